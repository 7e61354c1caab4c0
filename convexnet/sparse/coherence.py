r"""Mutual coherence of a matrix, with its rounding, and what it proves about recovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import as_matrix
from ..errors import DataError
from ._rounding import product_error, scaled_columns

__all__ = ["Coherence", "mutual_coherence"]

_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Coherence:
    """Largest correlation between two columns, enclosed in ``[lower, upper]``.

    Attributes
    ----------
    lower, upper : float
        Bounds of the mutual coherence that cover every rounding error. For unit columns it is the restricted isometry
        constant of order two as well.
    pair : tuple of int or None
        Two columns that attain it; None for a single column.
    nearest : ndarray of shape (N,)
        Correlation of every column with its nearest neighbour, rounded.
    """

    lower: float
    upper: float
    pair: tuple[int, int] | None
    nearest: np.ndarray

    @property
    def certified_sparsity(self) -> int:
        """Largest s with ``s < (1 + 1 / upper) / 2``: every s-sparse z is the unique l1 solution of ``A x = A z``."""
        if self.upper == 0:
            return len(self.nearest)
        return min(len(self.nearest), max(0, int(np.ceil((1 + 1 / self.upper) / 2 * (1 - 1e-15))) - 1))

    def __repr__(self) -> str:
        return f"Coherence({self.lower:.6g}, columns={len(self.nearest)}, certified_sparsity={self.certified_sparsity})"

    def summary(self) -> str:
        """Return a line for people."""
        return (
            f"mutual coherence {self.lower:.6g} of {len(self.nearest)} columns (median nearest neighbour "
            f"{np.median(self.nearest):.4g}): every {self.certified_sparsity}-sparse vector is recovered"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the scalar facts."""
        return {
            "lower": self.lower,
            "upper": self.upper,
            "pair": self.pair,
            "median_nearest": float(np.median(self.nearest)),
            "certified_sparsity": self.certified_sparsity,
        }


def mutual_coherence(A: Any) -> Coherence:
    r"""Largest absolute correlation between two different columns of A, with rigorous bounds.

    .. math:: \mu(A) = \max_{i \ne j} \frac{|a_i \cdot a_j|}{\|a_i\| \, \|a_j\|}

    Every vector with fewer than :math:`(1 + 1/\mu) / 2` non-zero entries is then the unique solution of
    :math:`\min \|x\|_1` subject to :math:`Ax = Az`.

    Parameters
    ----------
    A : array (m, N)
        Its columns may have any length except zero.

    Raises
    ------
    DataError
        If A is empty, not finite, not a matrix, or has a zero column.

    References
    ----------
    D. L. Donoho and M. Elad, "Optimally sparse representation in general (nonorthogonal) dictionaries via l1
    minimization", PNAS 2003; R. Gribonval and M. Nielsen, "Sparse representations in unions of bases", IEEE
    Transactions on Information Theory 2003.

    Examples
    --------
    >>> import numpy as np
    >>> found = mutual_coherence(np.hstack([np.eye(4), np.full((4, 1), 0.5)]))
    >>> round(found.lower, 6), found.certified_sparsity
    (0.5, 1)
    """
    matrix = as_matrix(A, "A")
    zero = np.flatnonzero(~matrix.any(axis=0))
    if zero.size:
        raise DataError(f"column {zero[0]} of A is zero and has no direction; drop the zero columns.")
    unit = scaled_columns(matrix)
    unit = unit / np.linalg.norm(unit, axis=0)
    m, count = unit.shape
    nearest, partner = np.zeros(count), np.zeros(count, dtype=int)
    for start in range(0, count if count > 1 else 0, _BLOCK):
        gram = np.abs(unit[:, start : start + _BLOCK].T @ unit)
        rows = np.arange(len(gram))
        gram[rows, start + rows] = -1.0
        partner[start + rows] = gram.argmax(axis=1)
        nearest[start + rows] = gram[rows, partner[start + rows]]
    if count == 1:
        return Coherence(0.0, 0.0, None, nearest)
    best = int(nearest.argmax())
    value, error = float(nearest[best]), 3 * product_error(m)
    pair = tuple(sorted((best, int(partner[best]))))
    nearest = np.minimum(nearest, 1.0)
    nearest.setflags(write=False)
    return Coherence(max(0.0, min(1.0, value - error)), min(1.0, value + error), (pair[0], pair[1]), nearest)
