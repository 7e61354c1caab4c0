r"""Newton systems of the gated solver by conjugate gradients, for when no factorisation fits.

.. math:: H = \mathrm{diag}(c) + \sum_{j \in J} S_j E M_j E^\top S_j + \tau C C^\top,
          \qquad M_j = \mathrm{diag}(a_j) + b_j z_j z_j^\top .

With ``B = [.. S_j E M_j^{1/2} .., tau^{1/2} C]`` and ``D = diag(c)`` the solution of ``H p = -g`` is
``p = -D^{-1}(g + B u)``, ``(I + B' D^{-1} B) u = -B' D^{-1} g``. The iteration runs on ``u``: each of its iterates
gives a direction of descent, however early it stops. Almost all large eigenvalues belong to few known directions: the
``z_j`` (where ``M_j`` is largest) and weights that all gates share. The preconditioner solves for those exactly, and
for the rest block by block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ._gates import Gates

__all__ = ["NewtonCG"]

_CHECK = 4
"""Steps between two evaluations of the residual of the original system, each half as dear as a step."""
_SHARED = 2
"""Shared directions: leading eigenvectors of the gates' Gram matrix, one copy per weight."""
_COARSE_SHARE = 4.0
"""Products with the design that the coarse matrix may cost; beyond, it is built from a sample of the rows."""


class NewtonCG:
    """Solves the Newton systems of one gated program; single precision inside.

    Parameters
    ----------
    gates : Gates
    free : ndarray of shape (n, r), optional
        Free columns C.
    """

    def __init__(self, gates: Gates, free: np.ndarray | None = None) -> None:
        self.gates = gates.single()
        self.free = np.zeros((gates.n, 0), np.float32) if free is None else np.asarray(free, dtype=np.float32)
        self._active = np.zeros(0, dtype=int)
        self._chosen = self.gates.select(self._active)

    def solve(
        self, curvature: np.ndarray, active: np.ndarray, ridge: np.ndarray, pull: np.ndarray, directions: np.ndarray,
        gradient: np.ndarray, *, tol: float, free_weight: float = 0.0, max_iter: int = 500,
        expired: Callable[[], bool] | None = None,
    ) -> tuple[np.ndarray, int]:  # fmt: skip
        """Return p with ``||H p + gradient|| <= tol ||gradient||`` (limits permitting) and the number of CG steps.

        Parameters
        ----------
        curvature : ndarray of shape (n,)
            Positive; ``inf`` leaves a row out (its p is zero).
        active : ndarray of int, shape (J,)
        ridge : ndarray of shape (J,) or (q, J)
            ``a_j >= 0``.
        pull : ndarray of shape (J,)
            ``b_j >= 0``; zero if ``ridge`` varies within a block.
        directions : ndarray of shape (q, J)
            Unit vectors ``z_j``.
        gradient : ndarray of shape (n,)
        tol, free_weight, max_iter, expired
            ``expired()`` is asked now and then whether to stop.
        """
        if not np.array_equal(active, self._active):
            self._active, self._chosen = active.copy(), self.gates.select(active, expanded=True)
        scale = float(np.linalg.norm(gradient)) or 1.0
        system = _System(self._chosen, self.free, 1 / curvature, ridge, pull, directions, free_weight)
        u, step, count = _iterate(system, gradient / scale, tol, max_iter, expired)
        self.weights = scale * system.half(u[: system.split].reshape(system.z.shape)).astype(np.float64)
        self.coefficients = scale * float(system.free_root) * u[system.split :].astype(np.float64)
        return scale * step.astype(np.float64), count


class _System:
    """``I + B' D^-1 B`` and its coarse space, with weights (q, J) and free coefficients (r,) side by side."""

    def __init__(
        self, gates: Gates, free: np.ndarray, inverse: np.ndarray, ridge: np.ndarray, pull: np.ndarray,
        directions: np.ndarray, free_weight: float,
    ) -> None:  # fmt: skip
        single = np.float32
        self.gates, self.free, self.inverse = gates, free, inverse.astype(single)
        self.z = directions.astype(single)
        self.root = np.atleast_2d(np.sqrt(ridge)).astype(single)
        self.top = np.sqrt(np.max(np.atleast_2d(ridge), axis=0) + pull).astype(single)
        self.along = np.where(pull > 0, self.top - self.root.max(axis=0), 0).astype(single)
        self.free_root = single(np.sqrt(free_weight))
        self.split = gates.q * len(self.top)

    def half(self, weights: np.ndarray) -> np.ndarray:
        """``M^(1/2)`` applied to every block."""
        inner = np.einsum("qj,qj->j", self.z, weights)
        return self.root * weights + self.z * (self.along * inner)

    def fit(self, u: np.ndarray) -> np.ndarray:
        """``B u``."""
        weights = u[: self.split].reshape(self.z.shape)
        return self.gates.forward(self.half(weights)) + self.free_root * (self.free @ u[self.split :])

    def correlate(self, r: np.ndarray) -> np.ndarray:
        """``B' r``."""
        return np.concatenate([self.half(self.gates.adjoint(r)).ravel(), self.free_root * (self.free.T @ r)])


def _iterate(
    system: _System, g: np.ndarray, tol: float, max_iter: int, expired: Callable[[], bool] | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Preconditioned conjugate gradients on ``u``; returns ``u`` and ``p``."""
    g = g.astype(np.float32)
    coarse = _Coarse(system)
    r = -system.correlate(system.inverse * g)
    u, fit = np.zeros_like(r), np.zeros_like(g)
    z = coarse.apply(r)
    d, rz, count = z, float(r @ z), 0
    while count < max_iter and rz > 0:
        image = system.fit(d)
        Hd = d + system.correlate(system.inverse * image)
        length = np.float32(rz / max(float(d @ Hd), 1e-30))
        u, fit, r = u + length * d, fit + length * image, r - length * Hd
        count += 1
        if count % _CHECK == 0 and (
            float(np.linalg.norm(system.fit(r))) <= tol or (expired is not None and expired())
        ):
            break
        z = coarse.apply(r)
        before, rz = rz, float(r @ z)
        d = z + np.float32(rz / before) * d
    return u, -system.inverse * (g + system.fit(u)), count


class _Coarse:
    """Preconditioner: exact on the span of the ``z_j``, of weights shared by the gates and of the free columns.

    On the complement ``E' S_j D^-1 S_j E`` is replaced by a multiple of ``E' D^-1 E`` for each gate.
    """

    def __init__(self, system: _System) -> None:
        self.system = system
        self.mask = (system.root > 0).astype(np.float32)
        rows = self._sample()
        gram, weight = self._gram(rows)
        values, vectors = np.linalg.eigh(weight)
        mean = max(float(np.mean(values)), 1e-300)
        self.basis = vectors.astype(np.float32)
        size = np.diag(gram) * (system.root.max(axis=0) ** 2) / mean
        self.inverse_diagonal = (1 / (1 + np.maximum(values, 0)[:, None] * size)).astype(np.float32)
        self.shared = self._shared(gram)
        inner = self._inner()
        outer = inner + self._coarse_matrix(rows)
        self.inner, self.outer = _factor(inner), _factor(outer)

    def _sample(self) -> np.ndarray | slice:
        """Rows from which the matrices are computed: all of them unless that costs too many products."""
        system, (q, J) = self.system, self.system.z.shape
        size = J + (_SHARED * q if J > 1 else 0) + system.free.shape[1]
        share = _COARSE_SHARE * 2 * q * J / size**2
        count = int(max(share * system.gates.n, 8 * size))
        if count >= system.gates.n:
            return slice(None)
        return np.sort(np.random.default_rng(0).choice(system.gates.n, count, replace=False))

    def _chunks(self, rows: np.ndarray | slice) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Rows, gate factors, free columns, and square roots of the weights of the sample's chunks."""
        system = self.system
        index = np.arange(system.gates.n)[rows]
        factor = system.gates.n / len(index)
        step = max(64, 1_000_000 // max(system.z.shape[1], 1))
        for start in range(0, len(index), step):
            part = index[start : start + step]
            some = system.gates.subset(part)
            yield some.rows, some.block(slice(None)), system.free[part], np.sqrt(factor * system.inverse[part])

    def _gram(self, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """``S' D^-1 S`` and ``E' D^-1 E`` divided by the sum of the weights, in double precision."""
        q, J = self.system.z.shape
        gates, data, total = np.zeros((J, J)), np.zeros((q, q)), 0.0
        for E, S, _, root in self._chunks(rows):
            S, E = root[:, None] * S, root[:, None] * E
            gates += S.T @ S
            data += E.T @ E
            total += float(root @ root)
        data /= max(total, 1e-300)
        return gates * (np.trace(data) / q), data

    def _shared(self, gram: np.ndarray) -> np.ndarray:
        """Leading eigenvectors (J, a) of the gates' Gram matrix, scaled by the square roots of the ridges."""
        J = len(gram)
        count = min(_SHARED, J - 1)
        if count <= 0:
            return np.zeros((J, 0), np.float32)
        root = self.system.root.max(axis=0)
        _, vectors = np.linalg.eigh(root[:, None] * gram * root)
        return vectors[:, ::-1][:, :count].astype(np.float32)

    def spread(self, c: np.ndarray) -> np.ndarray:
        """``V c``: from coarse coordinates to ``u``."""
        z, J, a = self.system.z, self.system.z.shape[1], self.shared.shape[1]
        along, shared, free = np.split(c, [J, J + a * len(z)])
        Y = self.mask * (shared.reshape(a, len(z)).T @ self.shared.T)
        Y += z * (along - np.einsum("qj,qj->j", z, Y))
        return np.concatenate([Y.ravel(), free])

    def gather(self, u: np.ndarray) -> np.ndarray:
        """``V' u``."""
        z, split = self.system.z, self.system.split
        Y = u[:split].reshape(z.shape)
        along = np.einsum("qj,qj->j", z, Y)
        shared = (self.mask * (Y - z * along)) @ self.shared
        return np.concatenate([along, shared.T.ravel(), u[split:]])

    def _inner(self) -> np.ndarray:
        """``V' V``."""
        system, (q, J), a = self.system, self.system.z.shape, self.shared.shape[1]
        size = J + a * q + system.free.shape[1]
        matrix = np.eye(size)
        z, mask = system.z.astype(float), np.broadcast_to(self.mask, (q, J))
        for s in range(a):
            for t in range(a):
                both = self.shared[:, s].astype(float) * self.shared[:, t]
                block = np.diag(mask @ both) - (z * both) @ z.T
                matrix[J + s * q : J + (s + 1) * q, J + t * q : J + (t + 1) * q] = block
        return matrix

    def _coarse_matrix(self, rows: np.ndarray | slice) -> np.ndarray:
        """``V' B' D^-1 B V``."""
        system, (q, J), a = self.system, self.system.z.shape, self.shared.shape[1]
        size = J + a * q + system.free.shape[1]
        matrix = np.zeros((size, size))
        shares = self.shared.T[:, None, :] * system.root  # (a, 1 or q, J)
        for E, S, C, root in self._chunks(rows):
            tangent = (E @ system.z) * S
            columns = [tangent * system.top]
            for s in range(a):
                remove = (system.root.max(axis=0) * self.shared[:, s] * system.z).T
                columns.append(E * (S @ shares[s].T) - tangent @ remove)
            block = root[:, None] * np.hstack([*columns, system.free_root * C])
            matrix += block.T @ block
        return matrix

    def apply(self, r: np.ndarray) -> np.ndarray:
        """The preconditioner's inverse times r: symmetric and positive definite."""
        c = self.gather(r)
        rest = self._smooth(r - self.spread(_solve(self.inner, c)))
        rest -= self.spread(_solve(self.inner, self.gather(rest)))
        return rest + self.spread(_solve(self.outer, c))

    def _smooth(self, r: np.ndarray) -> np.ndarray:
        z, split = self.system.z, self.system.split
        blocks = self.basis @ (self.inverse_diagonal * (self.basis.T @ r[:split].reshape(z.shape)))
        return np.concatenate([blocks.ravel(), r[split:]])


def _factor(matrix: np.ndarray) -> np.ndarray:
    """Lower Cholesky factor, shifted by rounding where the matrix is singular, in single precision."""
    shift = 1e-6 * float(np.max(np.diag(matrix), initial=0.0)) if len(matrix) else 0.0
    scaled = matrix + 1e-6 * np.diag(np.diag(matrix)) + 1e-3 * shift * np.eye(len(matrix))
    return cho_factor(scaled, lower=True)[0].astype(np.float32)


def _solve(factor: np.ndarray, c: np.ndarray) -> np.ndarray:
    return cho_solve((factor, True), c, check_finite=False)
