"""The rank of data whose floats are read as exact numbers: proven quickly where it can be, bounded where it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._validation import as_matrix
from ._integers import PRIME, eliminate, integer_rows, pivots

__all__ = ["exact_rank", "rank_bounds"]

_SPARE_ROWS = 32
_FRACTION = 30_000
"""Numerators and denominators up to this size are recognised from their residue: twice their product is below PRIME."""


def exact_rank(X: Any) -> int:
    """Return the rank of X over the rationals, its floats read as exact numbers.

    Parameters
    ----------
    X : (n, d) finite numbers.

    Raises
    ------
    DataError
        If X is not a finite non-empty 2-D array.

    Notes
    -----
    The rank modulo a prime is a lower bound; it is confirmed by integer null vectors or replaced by the rank from
    fraction-free elimination (E. H. Bareiss, "Sylvester's identity and multistep integer-preserving Gaussian
    elimination", 1968).

    Examples
    --------
    >>> exact_rank([[0.1, 0.2], [0.3, 0.6]]), exact_rank([[0.1, 0.3], [0.3, 0.9]])
    (1, 2)
    """
    matrix = as_matrix(X)
    lower, upper = rank_bounds(matrix)
    return lower if lower == upper else len(pivots(integer_rows(matrix)[0])[0])


def rank_bounds(X: np.ndarray, most_work: float = np.inf) -> tuple[int, int]:
    """Return proven bounds of the exact rank of a finite matrix, equal unless the dependence has large coefficients.

    Linear dependences between columns are guessed from residues and checked in integers, so that wide tables with
    zero, repeated or one-hot columns take no longer than others. Few rows usually show the rank of all; if they do not,
    and eliminating in all rows takes more than ``most_work`` operations, the bounds are those of the few.
    """
    X = _distinct_columns(X)
    n, d = X.shape
    if d == 0:
        return 0, 0
    sample = np.unique(np.linspace(0, n - 1, min(n, d + _SPARE_ROWS)).astype(int))
    Z = integer_rows(X[sample])[0]
    if len(sample) < n:
        seen = len(eliminate((Z % PRIME).astype(np.int64), PRIME)[0])
        if seen == d or n * d * d > most_work:
            return seen, d
    Z = Z if len(sample) == n else integer_rows(X)[0]
    residues = (Z % PRIME).astype(np.int64)
    rows, columns = eliminate(residues, PRIME)
    rank, most = len(rows), min(n, d)
    if rank == most or _columns_span(Z, residues, rows, columns):
        return rank, rank
    return rank, most


def _distinct_columns(X: np.ndarray) -> np.ndarray:
    """The columns without zero and repeated ones."""
    X = X[:, np.any(X != 0, axis=0)]
    first = {column.tobytes(): index for index, column in reversed(list(enumerate((X + 0.0).T.copy())))}
    return X[:, sorted(first.values())]


def _columns_span(Z: np.ndarray, residues: np.ndarray, rows: list[int], columns: list[int]) -> bool:
    """Whether every other column is a combination of the pivot columns with small fractions, checked exactly."""
    others = sorted(set(range(Z.shape[1])) - set(columns))
    solution = _solve_modulo(residues[np.ix_(rows, columns)], residues[np.ix_(rows, others)])
    for index, column in enumerate(others):
        fractions = [_fraction(int(value)) for value in solution[:, index]]
        if any(fraction is None for fraction in fractions):
            return False
        known = [fraction for fraction in fractions if fraction is not None]
        scale = int(np.lcm.reduce(np.array([b for _, b in known], dtype=object)))
        used = [k for k, (a, _) in enumerate(known) if a]
        weights = np.array([known[k][0] * (scale // known[k][1]) for k in used], dtype=object)
        if np.any(Z[:, [columns[k] for k in used]].astype(object).dot(weights) != scale * Z[:, column].astype(object)):
            return False
    return True


def _solve_modulo(M: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Solve ``M Y = B`` modulo the prime (M non-singular)."""
    size = len(M)
    work = np.concatenate([M, B], axis=1)
    for k in range(size):
        p = k + int(np.flatnonzero(work[k:, k])[0])
        work[[k, p]] = work[[p, k]]
        work[k] = work[k] * pow(int(work[k, k]), -1, PRIME) % PRIME
        others = np.flatnonzero(work[:, k])
        others = others[others != k]
        work[others] = (work[others] - work[others, k][:, None] * work[k]) % PRIME
    return work[:, size:]


def _fraction(residue: int) -> tuple[int, int] | None:
    """The fraction a / b of small size with ``a = b residue`` modulo the prime, if there is one (Wang, 1981)."""
    a, b, before, now = PRIME, residue, 0, 1
    while b > _FRACTION:
        quotient = a // b
        a, b, before, now = b, a - quotient * b, now, before - quotient * now
    if abs(now) > _FRACTION or now == 0:
        return None
    return (b, now) if now > 0 else (-b, -now)
