"""Projection onto a closed cell by non-negative least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import as_matrix
from ..errors import DataError, PatternError, SolverError

__all__ = ["CellProjection", "cell_rows", "nonnegative_least_squares", "project_onto_cell"]


@dataclass(frozen=True, eq=False)
class CellProjection:
    """Projection of g onto ``C = {u : A u >= 0}``: ``point = g + A^T multipliers`` and ``value = ||point||``.

    ``value`` is the pricing value ``max {g . u : u in C, ||u|| <= 1}`` when it is positive. For any multipliers
    ``m >= 0`` the norm ``||g + A^T m||`` is an upper bound of that maximum, whatever accuracy the solver reached.
    """

    point: np.ndarray
    multipliers: np.ndarray
    value: float

    def __repr__(self) -> str:
        return f"CellProjection(value={self.value:.6g}, active={int((self.multipliers > 0).sum())})"


def as_pattern(pattern: Any, n: int) -> np.ndarray:
    """Return one activation pattern as a uint8 vector of length n or raise PatternError."""
    try:
        bits = np.asarray(pattern)
        valid = bits.shape == (n,) and bits.dtype.kind in "biuf" and bool(((bits == 0) | (bits == 1)).all())
    except ValueError:
        valid = False
    if not valid:
        raise PatternError(f"pattern must be a vector of {n} entries 0 or 1, one per row of X.")
    return bits.astype(np.uint8)


def as_direction(g: Any, d: int) -> np.ndarray:
    """Return g as a finite float64 vector of length d or raise DataError."""
    try:
        vector = np.array(g, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"g cannot be read as numbers ({error}).") from None
    if vector.shape != (d,) or not np.isfinite(vector).all():
        raise DataError(f"g must be finite with {d} entries, one per column of X; its shape is {vector.shape}.")
    return vector


def cell_rows(X: np.ndarray, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the indices of the non-zero rows, these rows of ``(2 D - I) X`` at unit length, and the lengths."""
    top = np.abs(X).max(axis=1)
    kept = np.flatnonzero(top > 0)
    rows = X[kept] / top[kept, None]
    length = np.linalg.norm(rows, axis=1)
    signs = 2.0 * bits[kept] - 1.0
    return kept, rows * (signs / length)[:, None], length * top[kept]


def nonnegative_least_squares(rows: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Return ``argmin_{m >= 0} ||g + rows^T m||``; a second solver steps in where the first fails."""
    from scipy.optimize import lsq_linear, nnls

    try:
        m, _ = nnls(rows.T, -g)
        if np.isfinite(m).all() and _optimal(rows, g, m):
            return m
    except RuntimeError:
        m = np.zeros(len(rows))
    other = lsq_linear(rows.T, -g, bounds=(0.0, np.inf), method="bvls", tol=1e-14).x
    candidates = [np.maximum(c, 0.0) for c in (m, other) if np.isfinite(c).all()]
    if not candidates:
        raise SolverError("projection onto a cell failed in both solvers; rescale the columns of X to similar size.")
    return min(candidates, key=lambda c: float(np.linalg.norm(g + c @ rows)))


def _optimal(rows: np.ndarray, g: np.ndarray, m: np.ndarray) -> bool:
    """Tell whether the residual lies in the cone and is orthogonal to the active rows, to rounding."""
    slack = rows @ (g + m @ rows)
    scale = 1e-9 * (np.linalg.norm(g) + m.sum() * 1e-3)
    return bool((slack >= -scale).all() and (np.abs(slack[m > 0]) <= scale).all())


def project_onto_cell(X: Any, pattern: Any, g: Any) -> CellProjection:
    """Project g onto the closed cell ``C = {u : (2 D - I) X u >= 0}`` of an activation pattern.

    ``P_C(g) = g + A^T m`` with ``A = (2 D - I) X`` and ``m = argmin_{m >= 0} ||g + A^T m||`` (Moreau decomposition).

    Parameters
    ----------
    X : (n, d) data. Zero rows constrain nothing and get multiplier 0.
    pattern : (n,) entries 0 or 1, the diagonal of D.
    g : (d,) vector.

    Returns
    -------
    CellProjection with ``point`` (d,), ``multipliers`` (n,) >= 0 in the scale of the rows of X, and ``value``.

    Raises
    ------
    PatternError
        If the pattern has another length or other entries than 0 and 1.
    DataError
        If X or g is not finite or their shapes do not match.
    SolverError
        If no solver returned finite multipliers.

    Notes
    -----
    Source: J. J. Moreau, "Décomposition orthogonale d'un espace hilbertien selon deux cônes mutuellement polaires",
    1962; C. L. Lawson and R. J. Hanson, "Solving Least Squares Problems", 1974, chapter 23 (NNLS).

    Examples
    --------
    >>> result = project_onto_cell([[1.0, 0.0], [0.0, 1.0]], [1, 0], [-3.0, -4.0])
    >>> result.point.round(12).tolist(), result.multipliers.round(12).tolist(), round(result.value, 12)
    ([0.0, -4.0], [3.0, 0.0], 4.0)
    """
    matrix = as_matrix(X)
    bits = as_pattern(pattern, len(matrix))
    vector = as_direction(g, matrix.shape[1])
    multipliers = np.zeros(len(matrix))
    kept, rows, length = cell_rows(matrix, bits)
    size = float(np.abs(vector).max())
    if len(kept) == 0 or size == 0.0:
        length_of_g = float(np.linalg.norm(vector / (size or 1.0))) * size
        return CellProjection(vector, multipliers, length_of_g)
    m = nonnegative_least_squares(rows, vector / size)
    point = vector / size + m @ rows
    multipliers[kept] = m * size / length
    return CellProjection(point * size, multipliers, float(np.linalg.norm(point)) * size)
