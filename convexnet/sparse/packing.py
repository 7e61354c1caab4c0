r"""How coherent every dictionary with one atom per cell must be: cells are many, and the sphere has room for few."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._validation import as_matrix
from ..arrangements import PatternSet, enumerate_patterns
from ..errors import PatternError
from ._column_space import column_space

__all__ = ["coherence_floor"]

_MARGIN = 1e-9


def coherence_floor(X: Any, patterns: PatternSet | None = None) -> float:
    r"""Lower bound of the mutual coherence of ``(X u_s)_+`` over **every** choice of one ``u_s`` in each cell.

    .. math:: 1 - \mu \le \min_{\lambda} \frac{\delta(N_\lambda)^2}{2 \lambda}, \qquad
              N_\lambda = \#\{s : \lambda_{\min}(U^T D_s U) \ge \lambda\},

    where U is an orthonormal basis of the column space of X, of rank r, and :math:`\delta(N)` an upper bound of the
    smallest distance between N points of the unit sphere of dimension r - 1: caps around them of half that angular
    distance do not overlap.

    Parameters
    ----------
    X : array (n, d)
        With the column of ones appended if there is a bias.
    patterns : PatternSet, optional
        Cells of X, all or some; all are enumerated by default.

    Returns
    -------
    float
        In [0, 1). Zero where the cells are too few to say anything, or the rank of X is not proven.

    Raises
    ------
    DataError
        If X is not a finite matrix.
    PatternError
        If the patterns are not a PatternSet of X.

    Notes
    -----
    With :math:`w = U^T X u` of length one, outputs are 1-Lipschitz in w and those of cell s have squared length
    :math:`\lambda_{\min}(U^T D_s U)` at least; and :math:`1 - \cos(a, b) \le \|a - b\|^2 / (2 \|a\| \|b\|)`. With n
    samples in general position N grows like :math:`n^{r-1}`, so :math:`1 - \mu` is of order :math:`n^{-2}` at most.

    The rank r is that of X read as exact numbers: too small a rank would crowd the sphere and claim too much. Where
    columns are nearly dependent, U is computed from an exact elimination.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 200)
    >>> round(coherence_floor(np.column_stack([x, np.ones(200)])), 3)
    0.995
    """
    matrix = as_matrix(X)
    cells = enumerate_patterns(matrix) if patterns is None else patterns
    if not isinstance(cells, PatternSet):
        raise PatternError("patterns must be a PatternSet, whose witnesses show that each is a cell of X.")
    cells.check(matrix)
    basis, error = column_space(matrix)
    if basis is None or basis.shape[1] < 2:
        return 0.0
    # A unit vector of the exact space is within ``error`` of the computed one, and so is its active part.
    sizes = np.sort(_active_share(basis, cells.patterns))[::-1] - 3 * error - _MARGIN
    counts = np.arange(1, len(sizes) + 1)
    used = (sizes > _MARGIN) & (counts >= 2)
    gaps = _packing_distance(counts[used], basis.shape[1]) ** 2 / (2 * sizes[used])
    return float(max(0.0, 1 - gaps.min() * (1 + _MARGIN))) if used.any() else 0.0


def _active_share(basis: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """``lambda_min(U' D_s U)`` of every cell."""
    n, rank = basis.shape
    outer = (basis[:, :, None] * basis[:, None, :]).reshape(n, -1)
    return np.linalg.eigvalsh((patterns.T @ outer).reshape(-1, rank, rank))[:, 0]


def _packing_distance(counts: np.ndarray, rank: int) -> np.ndarray:
    """Some two of N unit vectors are at most this far apart: N caps of half their angle fit on the sphere."""
    from scipy.special import betaincinv

    # A cap of angular radius t <= pi/2 covers the share I_{sin^2 t}((r - 1) / 2, 1 / 2) / 2 of the sphere.
    half_sine = np.sqrt(betaincinv((rank - 1) / 2, 0.5, np.minimum(2.0 / counts, 1.0)))
    return np.asarray(2 * half_sine)
