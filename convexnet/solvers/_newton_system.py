r"""The Newton system of a network with smoothed kinks, solved by Cholesky or preconditioned conjugate gradients.

.. math:: H = A^\top \mathrm{diag}(c) A + \mathrm{blkdiag}_j\big(X^\top \mathrm{diag}(b_j) X
          + p_j (I - \hat u_j \hat u_j^\top)\big), \qquad A = [\,s_1 T_1 X, \dots, s_m T_m X,\; F\,] .

Products with ``H`` are two GEMMs of ``n x q x m``. The factor of an earlier system (or, for very many variables, those
of the diagonal blocks) preconditions the next ones: near the solution only few samples change their slope.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

__all__ = ["NewtonSolver", "NewtonSystem"]

_CHUNK_ENTRIES = 4_000_000
_DIRECT = 400
"""Variables up to which a new factor costs less than the overhead of an iteration."""
_DENSE = 6000
"""Variables up to which the whole matrix is factorised (in single precision beyond _SINGLE)."""
_SINGLE = 1500


@dataclass(frozen=True, eq=False)
class NewtonSystem:
    """The pieces of ``H``; variables are the neurons (m, q), row by row, then the free coefficients (r,).

    Attributes
    ----------
    rows : (n, q)
    slopes : (n, m), with the output signs
    curvature : (n,)
    bend : (n, m), non-negative: curvature of the smoothed kinks
    units : (m, p), penalised parts of the neurons, normalised
    pull : (m,), reg over the norms
    columns : (n, r)
    """

    rows: np.ndarray
    slopes: np.ndarray
    curvature: np.ndarray
    bend: np.ndarray
    units: np.ndarray
    pull: np.ndarray
    columns: np.ndarray

    @property
    def size(self) -> int:
        """Number of variables."""
        return self.slopes.shape[1] * self.rows.shape[1] + self.columns.shape[1]

    def diagonal(self) -> np.ndarray:
        """The diagonal of H."""
        squares = self.rows**2
        blocks = (self.slopes**2 * self.curvature[:, None] + self.bend).T @ squares
        blocks[:, : self.units.shape[1]] += self.pull[:, None] * (1 - self.units**2)
        return np.concatenate([blocks.ravel(), self.curvature @ self.columns**2])

    def apply(self, x: np.ndarray) -> np.ndarray:
        """``H x``."""
        (m, p), q = self.units.shape, self.rows.shape[1]
        u, free = x[: m * q].reshape(m, q), x[m * q :]
        z = self.rows @ u.T
        moved = self.curvature * (np.einsum("ij,ij->i", self.slopes, z) + self.columns @ free)
        z *= self.bend
        z += self.slopes * moved[:, None]
        out = z.T @ self.rows
        inner = u[:, :p]
        out[:, :p] += self.pull[:, None] * (inner - np.sum(self.units * inner, axis=1)[:, None] * self.units)
        return np.concatenate([out.ravel(), self.columns.T @ moved])

    def dense(self, dtype: type, deadline: float = np.inf) -> np.ndarray | None:
        """H in Fortran order, its lower triangle; None if the clock runs out."""
        from scipy.linalg.blas import dsyrk, ssyrk

        syrk = dsyrk if dtype is np.float64 else ssyrk
        q, m, N = self.rows.shape[1], self.slopes.shape[1], self.size
        H: np.ndarray = np.zeros((N, N), dtype=dtype, order="F")
        root = np.sqrt(self.curvature)
        used = np.flatnonzero(root)
        chunk = max(64, _CHUNK_ENTRIES // max(N, 1))
        for start in range(0, len(used), chunk):
            if time.perf_counter() > deadline:
                return None
            part = used[start : start + chunk]
            A: np.ndarray = np.empty((len(part), N), dtype=dtype)
            scaled = (self.slopes[part] * root[part, None]).astype(dtype)
            rows: np.ndarray = self.rows[part].astype(dtype)
            np.multiply(scaled[:, :, None], rows[:, None, :], out=A[:, : m * q].reshape(len(part), m, q))
            A[:, m * q :] = self.columns[part] * root[part, None]
            H = syrk(1.0, A.T, beta=1.0, c=H, lower=1, overwrite_c=1)
        for j in range(m):
            H[j * q : (j + 1) * q, j * q : (j + 1) * q] += self._own(j)
        return H

    def _own(self, j: int) -> np.ndarray:
        """What the kinks and the norm of neuron j add to its diagonal block."""
        p, q = self.units.shape[1], self.rows.shape[1]
        soft = np.flatnonzero(self.bend[:, j])
        X = self.rows[soft]
        block = X.T @ (self.bend[soft, j, None] * X) if len(soft) else np.zeros((q, q))
        block[:p, :p] += self.pull[j] * (np.eye(p) - np.outer(self.units[j], self.units[j]))
        return block

    def block(self, j: int) -> np.ndarray:
        """The diagonal block of neuron j."""
        weight = self.slopes[:, j] ** 2 * self.curvature
        used = np.flatnonzero(weight)
        X = self.rows[used]
        return self._own(j) + X.T @ (weight[used, None] * X)


class NewtonSolver:
    """Solves one system after another; the factor of an earlier one is kept as a preconditioner."""

    def __init__(self) -> None:
        self.steps = self.factorizations = 0
        self._factor: _Factor | None = None

    def solve(
        self, system: NewtonSystem, gradient: np.ndarray, damping: float, tol: float, deadline: float = np.inf
    ) -> np.ndarray:
        """Return about ``-H^-1 gradient``: a descent direction whatever stops the iteration.

        ``damping`` is added to the diagonal of the matrix scaled to unit diagonal; ``tol`` is the residual wanted, in
        the norm of the preconditioner and relative to the gradient's.
        """
        diagonal = system.diagonal()
        top = float(np.max(diagonal, initial=0.0))
        scale = np.sqrt(np.maximum(diagonal, max(1e-8 * top, 1e-300)))
        goal = -gradient / scale
        if self._factor is not None and self._factor.size != system.size:
            self._factor = None
        cost = 60 if system.size > _SINGLE else 15
        for fresh in (self._factor is None or system.size <= _DIRECT, True):
            if fresh:
                self._factor = _factor(system, scale, damping, deadline)
                self.factorizations += 1
            dense = self._factor is not None and self._factor.whole
            x, count, done = _conjugate_gradients(
                system, scale, damping, goal, self._factor, tol, cost if dense and not fresh else 500, deadline
            )
            self.steps += count
            if done or fresh or not dense or time.perf_counter() > deadline:
                break
        return x / scale


@dataclass(frozen=True, eq=False)
class _Factor:
    """Cholesky factor of the whole scaled matrix, or of its diagonal blocks."""

    size: int
    scale: np.ndarray
    whole: bool
    lower: np.ndarray | list[np.ndarray]

    def solve(self, r: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Apply the inverse; the variables of ``r`` are scaled by ``scale``, those of the factor by its own."""
        from scipy.linalg.lapack import dpotrs, spotrs

        ratio = scale / self.scale
        r = r * ratio
        if isinstance(self.lower, np.ndarray):
            potrs = dpotrs if self.lower.dtype == np.float64 else spotrs
            out = potrs(self.lower, r.astype(self.lower.dtype), lower=1)[0].astype(np.float64)
        else:
            out, start = np.empty_like(r), 0
            for L in self.lower:
                part = slice(start, start + len(L))
                out[part] = dpotrs(L, r[part], lower=1)[0]
                start += len(L)
        return out * ratio


def _factor(system: NewtonSystem, scale: np.ndarray, damping: float, deadline: float) -> _Factor | None:
    """Factorise; None if the clock runs out."""
    if system.size > _DENSE:
        return _block_factor(system, scale, damping)
    dtype = np.float32 if system.size > _SINGLE else np.float64
    H = system.dense(dtype, deadline)
    if H is None:
        return None
    H /= scale.astype(dtype)
    H /= scale.astype(dtype)[:, None]
    lower = _cholesky(H, max(damping, 1e-14 if dtype is np.float64 else 1e-6))
    return _Factor(system.size, scale, True, lower)


def _block_factor(system: NewtonSystem, scale: np.ndarray, damping: float) -> _Factor:
    q, m = system.rows.shape[1], system.slopes.shape[1]
    lower = []
    for j in range(m):
        own = scale[j * q : (j + 1) * q]
        lower.append(_cholesky(np.asfortranarray(system.block(j) / own / own[:, None]), max(damping, 1e-12)))
    if system.columns.shape[1]:
        own = scale[m * q :]
        block = system.columns.T @ (system.curvature[:, None] * system.columns) / own / own[:, None]
        lower.append(_cholesky(np.asfortranarray(block), max(damping, 1e-12)))
    return _Factor(system.size, scale, False, lower)


def _cholesky(H: np.ndarray, ridge: float) -> np.ndarray:
    """Lower factor of ``H`` (its lower triangle) plus at least ``ridge``, as much as positive definiteness takes."""
    from scipy.linalg.lapack import dpotrf, spotrf

    potrf = dpotrf if H.dtype == np.float64 else spotrf
    diagonal = np.diag(H).copy()
    while ridge < 1e6:
        np.fill_diagonal(H, diagonal + H.dtype.type(ridge))
        lower, failed = potrf(H, lower=1)
        if not failed:
            return lower
        ridge *= 30
    return np.asfortranarray(np.diag(np.sqrt(np.maximum(diagonal, 1))).astype(H.dtype))


def _conjugate_gradients(
    system: NewtonSystem, scale: np.ndarray, damping: float, goal: np.ndarray, factor: _Factor | None, tol: float,
    max_iter: int, deadline: float,
) -> tuple[np.ndarray, int, bool]:  # fmt: skip
    """Conjugate gradients on the scaled system, from zero: every iterate is a descent direction."""
    x, r = np.zeros_like(goal), goal.copy()
    z = factor.solve(r, scale) if factor is not None else r
    p, rz = z.copy(), float(r @ z)
    wanted = tol**2 * rz
    for count in range(max_iter):
        if rz <= wanted or time.perf_counter() > deadline:
            return (x if count else p), count, rz <= wanted
        Hp = system.apply(p / scale) / scale + damping * p
        curved = float(p @ Hp)
        if curved <= 1e-15 * float(p @ p):
            return (x if count else p), count, True
        step = rz / curved
        x += step * p
        r -= step * Hp
        z = factor.solve(r, scale) if factor is not None else r
        before, rz = rz, float(r @ z)
        p = z + (rz / before) * p
    return x, max_iter, rz <= wanted
