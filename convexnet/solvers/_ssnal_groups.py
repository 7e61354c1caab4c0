r"""Group norms as the dual Newton method sees them: proximal steps, and their derivatives as matrices.

``K`` below is ``A prox' A'``, A the design restricted to the active gates. For l2 groups with
``t_j = threshold / ||z_j||`` and unit vectors ``u_j``, ``prox' = (1 - t_j) I + t_j u_j u_j'``, so that

.. math:: K = (E E^\top) \circ (G_J \mathrm{diag}(1 - t) G_J^\top) + R\, \mathrm{diag}(t) R^\top,
          \qquad R = (E U) \circ G_J ,

two products of n x |J| matrices whatever the number of columns of E is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs

from ._ssnal_design import ActiveDesign

__all__ = ["Active", "L1Active", "L2Active", "dual_norms", "proximal"]


def proximal(Z: np.ndarray, threshold: float, norm: str) -> tuple[np.ndarray, L2Active | L1Active]:
    """Proximal step of ``threshold * norm`` on every column of Z (q, P), and its derivative."""
    if norm == "l1":
        return _soft(Z, threshold)
    sizes = np.sqrt(np.einsum("qp,qp->p", Z, Z))
    groups = np.flatnonzero(sizes > threshold)
    shrink = threshold / sizes[groups]
    chosen = Z[:, groups]
    W = np.zeros_like(Z)
    W[:, groups] = chosen * (1 - shrink)
    return W, L2Active(groups, shrink, chosen / sizes[groups], sizes[groups] * (1 - shrink))


def _soft(Z: np.ndarray, threshold: float) -> tuple[np.ndarray, L1Active]:
    W = np.sign(Z) * np.maximum(np.abs(Z) - threshold, 0.0)
    active = W != 0
    groups = np.flatnonzero(active.any(axis=0))
    return W, L1Active(groups, active[:, groups], np.abs(W[:, groups]).sum(axis=0))


def dual_norms(S: np.ndarray, norm: str) -> float:
    """Largest dual norm of the columns of S."""
    if norm == "l1":
        return float(np.max(np.abs(S)))
    return float(np.sqrt(np.max(np.einsum("qp,qp->p", S, S))))


class L2Active:
    """Derivative of the proximal step of l2 groups: active groups J, ``t`` (J,), unit vectors ``unit`` (q, J).

    ``norms`` (J,) are those of the new columns.
    """

    def __init__(self, groups: np.ndarray, shrink: np.ndarray, unit: np.ndarray, norms: np.ndarray) -> None:
        self.groups, self.shrink, self.unit, self.norms = groups, shrink, unit, norms

    @property
    def rank(self) -> int:
        """Columns of :meth:`columns`."""
        return int(self.unit.size)

    @property
    def products(self) -> int:
        """Columns multiplied in :meth:`square`."""
        return 2 * len(self.groups)

    def multiply(self, S: np.ndarray) -> np.ndarray:
        """``prox'`` times S (q, J)."""
        unit, shrink = self.unit.astype(S.dtype, copy=False), self.shrink.astype(S.dtype, copy=False)
        return S * (1 - shrink) + unit * (shrink * np.einsum("qj,qj->j", unit, S))

    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``prox'`` as ``diag(ridge_j) + pull_j u_j u_j'``: ridge (J,), pull (J,), u (q, J)."""
        return 1 - self.shrink, self.shrink, self.unit

    def square(self, design: ActiveDesign, kernel: np.ndarray, root: np.ndarray) -> np.ndarray:
        """``diag(root) A prox' A' diag(root)`` (n, n), lower triangle in Fortran order; kernel is ``E E'``."""
        dtype = kernel.dtype.type
        block = design.block(dtype) * root[:, None]
        matrix = _gram(block * np.sqrt(1 - self.shrink).astype(dtype))
        matrix *= kernel.T
        block *= design.rows(dtype) @ (self.unit * np.sqrt(self.shrink)).astype(dtype)
        return _gram(block, matrix)

    def columns(self, design: ActiveDesign, dtype: Any, root: np.ndarray) -> np.ndarray:
        """V (n, q J) with ``V V'`` the matrix of :meth:`square`."""
        keep = np.sqrt(1 - self.shrink)
        rows = design.rows(np.float64)
        block = (design.block(np.float64) * root[:, None]).T
        tilt = ((rows @ self.unit).T * block * (1 - keep)[:, None]).astype(dtype)
        columns = np.multiply(rows.T.astype(dtype)[:, None, :], (block * keep[:, None]).astype(dtype))
        columns += self.unit.astype(dtype)[:, :, None] * tilt
        return columns.reshape(-1, len(root)).T


class L1Active:
    """Derivative of soft thresholding: active groups J, the entries ``mask`` (q, J) that are not zero, l1 norms."""

    def __init__(self, groups: np.ndarray, mask: np.ndarray, norms: np.ndarray) -> None:
        self.groups, self.mask, self.norms = groups, mask, norms

    @property
    def rank(self) -> int:
        """Columns of :meth:`columns`."""
        return int(np.count_nonzero(self.mask))

    @property
    def products(self) -> int:
        """Columns multiplied in :meth:`square`."""
        return self.rank

    def multiply(self, S: np.ndarray) -> np.ndarray:
        """``prox'`` times S (q, J)."""
        return np.where(self.mask, S, S.dtype.type(0))

    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``prox'`` as for l2 groups; the ridge is (q, J) here and nothing is pulled."""
        nothing = np.zeros(self.mask.shape)
        return self.mask.astype(np.float64), nothing[0], nothing

    def square(self, design: ActiveDesign, kernel: np.ndarray, root: np.ndarray) -> np.ndarray:
        """``diag(root) A prox' A' diag(root)`` (n, n), lower triangle in Fortran order."""
        block = design.block(kernel.dtype.type) * root[:, None]
        matrix = np.zeros(kernel.shape, dtype=kernel.dtype, order="F")
        for row, column in zip(self.mask, design.rows(kernel.dtype).T, strict=True):
            if row.any():
                matrix = _gram(block[:, row] * column[:, None], matrix)
        return matrix

    def columns(self, design: ActiveDesign, dtype: Any, root: np.ndarray) -> np.ndarray:
        """V (n, active entries) with ``V V'`` the matrix of :meth:`square`."""
        row, group = np.nonzero(self.mask)
        return design.rows(dtype)[:, row] * (design.block(dtype) * root[:, None])[:, group]


Active = L2Active | L1Active


def _gram(matrix: np.ndarray, onto: np.ndarray | None = None) -> np.ndarray:
    """Lower triangle of ``matrix matrix'``, added to ``onto`` in place, in Fortran order."""
    (syrk,) = get_blas_funcs(("syrk",), (matrix,))
    if not matrix.shape[1]:
        return np.zeros((len(matrix),) * 2, dtype=matrix.dtype, order="F") if onto is None else onto
    if onto is None:
        return syrk(1.0, matrix.T, trans=1, lower=1)
    return syrk(1.0, matrix.T, beta=1.0, c=onto, trans=1, lower=1, overwrite_c=1)
