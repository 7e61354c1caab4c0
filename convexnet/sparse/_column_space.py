"""The column space of a matrix whose floats are read as exact numbers: a proven dimension, a basis with its error."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from ..arrangements._rank import rank_bounds
from ._rounding import EPS, scaled_columns, singular_error

__all__ = ["column_space"]

_FINE = 1e-12
"""Times the number of rows (at least 100): a distance that exact elimination would not improve."""
_RANK_WORK, _EXACT_WORK = 1e7, 3e5


def column_space(X: np.ndarray) -> tuple[np.ndarray | None, float]:
    """Orthonormal basis (n, r) with r the exact rank of X, and how far from it an exact unit vector can be.

    The basis is None, at an infinite distance, where the rank is not proven; it has no columns for X = 0.
    """
    columns = scaled_columns(X[:, X.any(axis=0)])
    if not columns.size:
        return columns, 0.0
    found, fine = _basis(columns), _FINE * max(100, len(columns))
    if found[1] > fine:
        found = min(found, _basis(_independent(columns)), key=lambda pair: pair[1])
    if found[1] > fine and columns.size * columns.shape[1] <= _EXACT_WORK:
        found = min(found, _basis(_eliminated(columns)), key=lambda pair: pair[1])
    return found


def _basis(columns: np.ndarray) -> tuple[np.ndarray | None, float]:
    """Left singular vectors of columns rounded to floats, and their distance; None if the columns may be dependent."""
    left, values, _ = np.linalg.svd(columns, full_matrices=False)
    error = singular_error(columns.shape, float(values[0])) + EPS * float(np.linalg.norm(columns))
    least = float(values[-1]) - error if columns.shape[1] <= columns.shape[0] else 0.0
    if least <= error:
        return None, math.inf
    # A unit vector of the exact space is the image of one no longer than 1 / least, and images move by ``error``.
    return left, error / least + singular_error(columns.shape, float(columns.shape[1]))


def _independent(columns: np.ndarray) -> np.ndarray:
    """As many columns as the exact rank can be at most: they span the space if they are independent."""
    from scipy.linalg import qr

    rank = rank_bounds(columns, _RANK_WORK)[1]
    return np.asarray(columns[:, np.sort(qr(columns, mode="r", pivoting=True)[-1][:rank])])


def _eliminated(columns: np.ndarray) -> np.ndarray:
    """A basis with an identity among its rows, by exact elimination with the largest pivots; its result is rounded."""
    exact = np.vectorize(Fraction, otypes=[object])(columns)
    free = list(range(exact.shape[1]))
    used: list[int] = []
    while free:
        row, place = np.unravel_index(int(np.abs(exact[:, free]).argmax()), (len(exact), len(free)))
        column = free[int(place)]
        if not exact[row, column]:
            break
        exact[:, column] = exact[:, column] / exact[row, column]
        for other in (*free, *used):
            if other != column and exact[row, other]:
                exact[:, other] = exact[:, other] - exact[row, other] * exact[:, column]
        used.append(free.pop(int(place)))
    return exact[:, used].astype(np.float64)
