"""The number of cells of a hyperplane arrangement in general position."""

from __future__ import annotations

from math import comb

from .._validation import check_count

__all__ = ["cover_count"]


def cover_count(n: int, r: int) -> int:
    """Return Cover's count of the cells cut out by n hyperplanes through the origin of rank r.

    ``2 * sum_{k < r} C(n - 1, k)``, which is ``2**n`` for ``n <= r``. It is attained in general position and is an
    upper bound for every other arrangement, so a list that reaches it is complete.

    Parameters
    ----------
    n : number of distinct hyperplanes (zero rows dropped, parallel rows merged), >= 0.
    r : rank of their normals, >= 0.

    Raises
    ------
    ProblemError
        If n or r is not a non-negative integer.

    Notes
    -----
    Source: T. M. Cover, "Geometrical and statistical properties of systems of linear inequalities with applications
    in pattern recognition", 1965, theorem 1.

    Examples
    --------
    >>> cover_count(20, 3), cover_count(40, 2), cover_count(3, 5)
    (382, 80, 8)
    """
    n = check_count(n, "n", minimum=0)
    r = check_count(r, "r", minimum=0)
    if n == 0 or r == 0:
        return 1
    return 2 * sum(comb(n - 1, k) for k in range(min(r, n)))
