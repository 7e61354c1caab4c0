"""A basis of the span of a few columns, with the way back to their coefficients."""

from __future__ import annotations

import numpy as np

__all__ = ["column_basis"]


def column_basis(columns: np.ndarray, rtol: float = 1e-12) -> tuple[np.ndarray, np.ndarray]:
    """Return an orthonormal basis Q of the span of the columns (n, r), and M with ``columns @ M = Q``.

    Directions whose singular value, after scaling the columns to length one, is below ``rtol`` of the largest are left
    out.

    Examples
    --------
    >>> Q, M = column_basis(np.array([[3.0, 6.0], [4.0, 8.0]]))
    >>> Q.shape, M.shape
    ((2, 1), (2, 1))
    """
    if not columns.size:
        return np.zeros((len(columns), 0)), np.zeros((columns.shape[1], 0))
    norms = np.linalg.norm(columns, axis=0)
    norms = np.where(norms > 0, norms, 1.0)
    left, values, right = np.linalg.svd(columns / norms, full_matrices=False)
    kept = values > rtol * values[0]
    return left[:, kept], (right[kept].T / values[kept]) / norms[:, None]
