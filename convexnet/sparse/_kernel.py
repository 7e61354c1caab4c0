"""The null space of a matrix: how far a computed vector is at most from an exact null vector."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from ._rounding import TINY, product_error, scaled_rows, singular_error

__all__ = ["Kernel"]

_MOST_WORK = 1e7


class Kernel:
    """Null space of A (m, N) by independent rows that span the row space, scaled by powers of two.

    For any z there is an exact null vector of A within ``distance(z)`` in the l1 norm; infinite where it is not proven
    that the rows span the row space.
    """

    def __init__(self, A: np.ndarray) -> None:
        self.A = A

    @cached_property
    def rows(self) -> np.ndarray | None:
        """Independent rows of A, or None where their number cannot be proven."""
        rows = np.unique(scaled_rows(self.A[self.A.any(axis=1)])[0], axis=0)
        if not rows.size or _smallest(rows) > 0:
            return rows
        return _independent(rows)

    @cached_property
    def smallest(self) -> float:
        """Lower bound of the smallest singular value of ``rows``; zero where nothing is proven."""
        if self.rows is None:
            return 0.0
        return _smallest(self.rows) if self.rows.size else math.inf

    def distance(self, z: np.ndarray) -> float:
        """Bound on the l1 distance from z to the null space."""
        if self.rows is None or self.smallest <= 0:
            return math.inf
        if not self.rows.size:
            return 0.0
        error = product_error(self.A.shape[1]) * (np.abs(self.rows) @ np.abs(z)) + self.A.shape[1] * TINY
        residual = float(np.linalg.norm(np.abs(self.rows @ z) + error)) * (1 + 1e-12)
        return math.sqrt(self.A.shape[1]) * residual / self.smallest * (1 + 1e-12)


def _smallest(rows: np.ndarray) -> float:
    """Lower bound of the m-th singular value of m rows; zero if there are more rows than columns."""
    if rows.shape[0] > rows.shape[1]:
        return 0.0
    values = np.linalg.svd(rows, compute_uv=False)
    return max(0.0, float(values[-1]) - singular_error(rows.shape, float(values[0])))


def _independent(rows: np.ndarray) -> np.ndarray | None:
    """As many well-conditioned rows as the exact rank can be at most; None if there are not."""
    from scipy.linalg import qr

    from ..arrangements._rank import rank_bounds

    rank = rank_bounds(rows.T, _MOST_WORK)[1]
    chosen = qr(rows.T, mode="r", pivoting=True)[-1][:rank]
    return rows[chosen] if _smallest(rows[chosen]) > 0 else None
