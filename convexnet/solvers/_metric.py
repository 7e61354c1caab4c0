r"""A metric for proximal gradient steps in which gates that share directions no longer force short steps.

The design of many gates has few large singular values: weights that all gates share, and a constant. With V an
orthonormal basis of those right singular vectors,

.. math:: H = s\,(\ell I + V \mathrm{diag}(b) V^\top) \succeq A^\top A ,

where ``l`` bounds the rest of the spectrum, often a tenth of ``||A||^2``. The proximal step in H is a system of as
many equations as V has columns, which Newton's method solves at little cost next to a product with A.

References
----------
Becker, Fadili and Ochs (2019) for proximal steps in a metric of low rank; Hendrikx et al. (2020) for metrics from a
sample of the rows.
"""

from __future__ import annotations

import numpy as np

from ._gates import Gates

__all__ = ["Metric"]

_SAMPLE, _POWER_SAMPLE = 1200, 16_384
_LARGEST_RANK = 128
_LEADING = 0.05
"""Singular values of the basis: squares above this part of the largest."""
_POWER_STEPS, _SUBSPACE_STEPS = 6, 3
_SMALL = 400
"""Samples of which all eigenvectors are computed."""
_NEWTON_STEPS = 15


class Metric:
    """The metric of one design; ``scale`` grows until H bounds the curvature along the steps taken.

    Parameters
    ----------
    design : Gates
    curvature : float
        Bound on the second derivatives of the loss.
    """

    def __init__(self, design: Gates, curvature: float) -> None:
        self.shape = (design.q, design.P)
        values, self.V = _leading(design)
        rest = _largest_rest(design, self.V)
        self.rest = max(rest * curvature, 1e-300)
        self.extra = np.maximum(1.05 * values * curvature - self.rest, 1e-3 * self.rest)
        self.scale = 1.0
        self.multiplier = np.zeros(len(values))

    def keep(self, kept: np.ndarray) -> None:
        """Restrict to some of the gates (mask (J,)): a part of H bounds that part of ``A'A``."""
        q, J = self.shape
        self.V = self.V.reshape(q, J, -1)[:, kept].reshape(q * int(kept.sum()), -1)
        self.shape = (q, int(kept.sum()))

    def square(self, D: np.ndarray) -> float:
        """``||D||_H^2``."""
        return self.scale * self.inner(D, D)

    def inner(self, D: np.ndarray, E: np.ndarray) -> float:
        """``<D, E>_H / scale``."""
        return self.rest * float(np.vdot(D, E)) + float(np.sum(self.extra * self._gather(D) * self._gather(E)))

    def prox(self, Y: np.ndarray, slope: np.ndarray, reg: float) -> np.ndarray:
        """``argmin_W reg sum_j ||W_j|| + <slope, W> + 1/2 ||W - Y||_H^2``.

        With ``v = s b V'(W - Y)`` the blocks are ordinary proximal points of ``Y - (slope + V v) / (s l)``; v is found
        by Newton's method, from the last one.
        """
        reach = self.scale * self.rest
        self._terms = Y, Y - slope / np.float32(reach), reg / reach, reach
        v = self.multiplier
        W, residual, shrink, unit = self._at(v)
        goal = 1e-3 * float(np.linalg.norm(self._gather(W - Y))) + 1e-7 * float(np.linalg.norm(self._gather(Y)))
        for _ in range(_NEWTON_STEPS):
            size = float(np.linalg.norm(residual))
            if size <= goal:
                break
            step, length = np.linalg.solve(self._slope(shrink, unit), residual), 1.0
            while True:
                trial = self._at(v - length * step)
                if float(np.linalg.norm(trial[1])) < (1 - 1e-4 * length) * size or length < 1e-3:
                    break
                length /= 2
            v = v - length * step
            W, residual, shrink, unit = trial
        self.multiplier = v
        return W

    def _at(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Weights of the multiplier v, residual of its equation, shrinkage ``(1 - t)_+`` and unit blocks."""
        Y, centre, threshold, reach = self._terms
        Z = centre - (self.V @ v.astype(np.float32)).reshape(self.shape) / np.float32(reach)
        sizes = np.sqrt(np.einsum("qj,qj->j", Z, Z))
        unit = Z / np.maximum(sizes, np.finfo(np.float32).tiny)
        shrink = np.maximum(1 - np.float32(threshold) / np.maximum(sizes, np.finfo(np.float32).tiny), 0)
        W = Z * shrink
        return W, v / (self.scale * self.extra) - self._gather(W - Y), shrink, unit

    def _slope(self, shrink: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Jacobian of the residual in v."""
        q, J = self.shape
        active = np.flatnonzero(shrink > 0)
        V = self.V.reshape(q, J, -1)[:, active]
        along = np.einsum("qj,qjr->jr", unit[:, active], V)
        root = np.sqrt(shrink[active])
        V = (V * root[:, None]).reshape(-1, V.shape[2])
        along *= np.sqrt(1 - shrink[active])[:, None]
        matrix = (V.T @ V + along.T @ along).astype(np.float64) / self._terms[3]
        return matrix + np.diag(1 / (self.scale * self.extra))

    def _gather(self, D: np.ndarray) -> np.ndarray:
        return (self.V.T @ D.ravel()).astype(np.float64)


def _leading(design: Gates) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvalues and orthonormal eigenvectors (q J, r) of ``A'A``, from a sample of the rows."""
    rng = np.random.default_rng(0)
    count = min(design.n, _SAMPLE)
    some = design.subset(np.sort(rng.choice(design.n, count, replace=False)))
    E, S = some.rows, some.block(slice(None))
    kernel = (E @ E.T) * (S @ S.T)
    values, vectors = np.linalg.eigh(kernel) if count <= _SMALL else _subspace(kernel, rng)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = int(np.sum(values[: min(_LARGEST_RANK, count // 4)] > _LEADING * max(float(values[0]), 1e-30)))
    unit = np.ascontiguousarray(vectors[:, :rank] / np.sqrt(values[:rank]))
    V = some.adjoint(unit).reshape(design.q * design.P, rank)
    return values[:rank].astype(np.float64) * (design.n / count), np.ascontiguousarray(V)


def _subspace(kernel: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvalues, in ascending order, and eigenvectors of a kernel matrix, by subspace iteration."""
    basis = rng.standard_normal((len(kernel), _LARGEST_RANK + 32)).astype(kernel.dtype)
    for _ in range(_SUBSPACE_STEPS):
        basis = np.linalg.qr(kernel @ basis)[0]
    values, rotation = np.linalg.eigh(basis.T @ (kernel @ basis))
    return values, basis @ rotation


def _largest_rest(design: Gates, V: np.ndarray) -> float:
    """Largest eigenvalue of ``A'A`` between the complement of V and itself, by power iteration on a sample."""
    rng = np.random.default_rng(1)
    count = min(design.n, _POWER_SAMPLE)
    some = design.subset(np.sort(rng.choice(design.n, count, replace=False)))
    D: np.ndarray = rng.standard_normal((design.q, design.P)).astype(np.float32)
    for _ in range(_POWER_STEPS):
        flat = D.ravel() - V @ (V.T @ D.ravel())
        D = (flat / max(float(np.linalg.norm(flat)), 1e-30)).reshape(D.shape)
        D = some.adjoint(some.forward(D))
    flat = D.ravel() - V @ (V.T @ D.ravel())
    return 1.05 * float(np.linalg.norm(flat)) * design.n / count
