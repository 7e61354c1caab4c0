r"""The Newton system of the dual method: a Cholesky factor where cheap, else conjugate gradients with an earlier one.

.. math:: (I + D^{1/2} K D^{1/2})\, r = -D^{1/2} g, \qquad p = D^{1/2} r, \qquad
          K = \sigma A\, \mathrm{prox}' A^\top + \sigma B B^\top

D is the curvature of the loss, A the design of the active gates, B the free columns. Three ways, chosen by what they
cost: factor the matrix in double precision, n x n by the identity ``A diag(a) A' = (E E') o (G diag(a) G')`` or m x m
by Woodbury with the m columns of the active gates; conjugate gradients in single precision with a factor in single
precision, of this matrix or of an earlier one; and, where n and m are both large, conjugate gradients in weight space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from ._cg import NewtonCG
from ._ssnal_design import ActiveDesign, Design
from ._ssnal_gram import Gram
from ._ssnal_groups import Active, L2Active

__all__ = ["NewtonSystem"]

_LARGEST_ENTRIES = 40_000_000
"""Entries of the largest matrix that is formed."""
_CG_STEPS = 500
_LOOSE = 0.03
"""Accuracy beyond which conjugate gradients in weight space cost more than another Newton step."""
_WEIGHT_SPACE = 150.0
"""Steps that a factor may cost before conjugate gradients in weight space are tried instead."""
_LARGEST_PRODUCTS = 8
"""Columns whose inner products are kept, in multiples of the number of rows."""
_REUSED = 0.3
"""Share of the work for new inner products that one system has to bear."""
_TOO_MANY = 60
"""Steps with a factor of the very matrix that show single precision to be too coarse."""
_MULTIPLIES, _FACTORS, _SKINNY, _ENTRIES, _CALL = 45e9, 33e9, 25e9, 1.2e9, 5e-5
"""Nominal rates per second in double precision (products, Cholesky, skinny products, entrywise), seconds per call."""

Solve = Callable[[np.ndarray], np.ndarray]


@dataclass
class _System:
    """The matrix of one system, as an operator and as something to factor."""

    design: ActiveDesign
    active: Active
    free: np.ndarray
    root: np.ndarray
    sigma: float

    def multiply(self, r: np.ndarray) -> np.ndarray:
        """The matrix times r, in the precision of r."""
        root = (np.sqrt(self.sigma) * self.root).astype(r.dtype, copy=False)
        p = root * r
        image = self.design.forward(self.active.multiply(self.design.adjoint(p)))
        if self.free.size:
            free = self.free.astype(r.dtype, copy=False)
            image += free @ (free.T @ p)
        return r + root * image

    def square(self, kernel: np.ndarray) -> Solve | None:
        """Solve with a factor of the n x n matrix."""
        dtype = kernel.dtype.type
        root = (np.sqrt(self.sigma) * self.root).astype(dtype)
        matrix = self.active.square(self.design, kernel, root)
        if self.free.size:
            free = self.free.astype(dtype) * root[:, None]
            matrix += free @ free.T
        np.einsum("ii->i", matrix)[...] += 1
        return _cholesky(matrix)

    def narrow(self, dtype: Any) -> Solve | None:
        """The same by Woodbury, with a factor of the m x m matrix."""
        root = (np.sqrt(self.sigma) * self.root).astype(dtype)
        V = self.active.columns(self.design, dtype, root)
        if self.free.size:
            V = np.concatenate([V, self.free.astype(dtype) * root[:, None]], axis=1)
        matrix = np.asfortranarray(V.T @ V)
        np.einsum("ii->i", matrix)[...] += 1
        solve = _cholesky(matrix)
        return None if solve is None else lambda r: r - V @ solve(V.T @ r)


class NewtonSystem:
    """Solves one Newton system after the other.

    Parameters
    ----------
    design : Design
    free : ndarray of shape (n, r)
        The free columns, scaled like the design.
    curvature : ndarray of shape (n,), optional
        The curvature of the loss, if it is the same for all systems.
    """

    def __init__(self, design: Design, free: np.ndarray, curvature: np.ndarray | None = None) -> None:
        self.design, self.free = design, free
        self.gram = None if curvature is None or free.size else Gram(design, np.sqrt(curvature))
        self.kernels: dict[Any, np.ndarray] = {}
        self.factor: Solve | None = None
        self.large: NewtonCG | None = None
        self.expected = np.inf
        self.reset()

    def reset(self) -> None:
        """Count anew; a new problem over the same gates may need other accuracy."""
        self.double = False
        self.counts = {"cg": 0.0, "factorizations": 0.0}

    def direction(
        self, active: Active, design: ActiveDesign, sigma: float, curvature: np.ndarray, gradient: np.ndarray,
        accuracy: float, expired: Callable[[], bool],
    ) -> np.ndarray:  # fmt: skip
        """The Newton step p; where it is iterated for, to the relative accuracy ``accuracy`` of the scaled residual."""
        root = np.sqrt(curvature)
        right = -root * gradient
        if not design.width and not self.free.size:
            return root * right
        system = _System(design, active, self.free, root, sigma)
        if isinstance(active, L2Active) and self._known(active):
            solution = self._from_products(system, active, right)
            if solution is not None:
                return root * solution
        step, single, double = self._step_cost(active), self._factor_cost(active, 4), self._factor_cost(active, 8)
        if np.isfinite(double) and double <= min(single + 3 * step, self.expected * step):
            self._refactor(system, np.float64)
            if self.factor is not None:
                self.expected = 8.0
                return root * self.factor(right)
        if single > _WEIGHT_SPACE * step:
            return self._weight_space(system, gradient, accuracy, expired)
        return root * self._iterated(system, right, accuracy, single / step, expired)

    def _known(self, active: L2Active) -> bool:
        """Whether a matrix from inner products of columns is cheapest; new ones may be needed again."""
        gates = self.design.gates
        # Where all weights together are few, every product is used again and again; else only small matrices pay.
        most = gates.n if gates.P * gates.q <= 1.5 * gates.n else gates.n / 2
        if self.gram is None or active.rank > most:
            return False
        n, m, missing = gates.n, active.rank, self.gram.missing(active.groups)
        total = self.gram.size + missing
        if total > max(_LARGEST_PRODUCTS * n, m) or max(n, total) * total > _LARGEST_ENTRIES:
            return False
        work = m**3 / 3 / _FACTORS + 4 * m * m / _ENTRIES
        work += _REUSED * 2 * n * missing * (total - missing / 2) / _MULTIPLIES
        return work <= self._square_cost(active)

    def _from_products(self, system: _System, active: L2Active, right: np.ndarray) -> np.ndarray | None:
        """Solve with a factor of the matrix in the weights of the active gates."""
        assert self.gram is not None
        solve = _cholesky(self.gram.matrix(active, system.sigma).T)
        self.counts["factorizations"] += 1
        if solve is None:
            return None
        weights = solve(system.design.adjoint(system.root * right).T.ravel())
        return right - system.root * system.design.forward(weights.reshape(-1, self.design.gates.q).T)

    def _weight_space(
        self, system: _System, gradient: np.ndarray, accuracy: float, expired: Callable[[], bool]
    ) -> np.ndarray:
        """Conjugate gradients on the weights of the active gates, preconditioned by a coarse space."""
        if self.large is None:
            self.large = NewtonCG(self.design.gates, self.free)
        ridge, pull, unit = system.active.parts()
        with np.errstate(divide="ignore"):
            inverse = 1 / system.root**2
        p, steps = self.large.solve(
            inverse, system.active.groups, system.sigma * ridge, system.sigma * pull, unit, gradient,
            tol=max(accuracy, _LOOSE), free_weight=system.sigma, max_iter=_CG_STEPS, expired=expired,
        )  # fmt: skip
        self.counts["cg"] += steps
        return p

    def _iterated(
        self, system: _System, right: np.ndarray, accuracy: float, worth: float, expired: Callable[[], bool]
    ) -> np.ndarray:
        """Conjugate gradients, with a new factor once the old one has cost ``worth`` steps."""
        fresh = self.factor is None or worth + 3 < self.expected
        if fresh:
            self._refactor(system, np.float64 if self.double else np.float32)
        cap = _CG_STEPS if fresh else int(np.clip(worth + 3, 4, _CG_STEPS))
        r, steps, done = self._conjugate(system, right, accuracy, cap, expired)
        if not done and not fresh and not expired():
            self._refactor(system, np.float64 if self.double else np.float32)
            r, steps, done = self._conjugate(system, right, accuracy, _CG_STEPS, expired)
            fresh = True
        if fresh and steps > _TOO_MANY:
            self.double = True
        self.expected = np.inf if fresh and steps > _TOO_MANY else steps + 3.0
        return r

    def _step_cost(self, active: Active) -> float:
        """Seconds of a conjugate gradient step in single precision."""
        n, q, J = self.design.gates.n, self.design.gates.q, len(active.groups)
        own = min(n, active.rank + self.free.shape[1])
        work = 2 * n * q * J / _SKINNY + 0.5 * own * own / _ENTRIES + 2 * n * q / _ENTRIES
        return work / 2 + 4 * _CALL

    def _factor_cost(self, active: Active, size: int) -> float:
        """Seconds of a factor with numbers of ``size`` bytes; infinite if it takes too much memory."""
        cost = min(self._narrow_cost(active), self._square_cost(active))
        return (size / 8) * cost + 6 * _CALL

    def _narrow_cost(self, active: Active) -> float:
        """Seconds of an m x m factor in double precision."""
        n, m = self.design.gates.n, active.rank + self.free.shape[1]
        if n * m > _LARGEST_ENTRIES or m >= n:
            return np.inf
        return n * m * m / _MULTIPLIES + m**3 / 3 / _FACTORS + 12 * n * m / _ENTRIES

    def _square_cost(self, active: Active) -> float:
        """Seconds of an n x n factor in double precision."""
        n = self.design.gates.n
        if n * n > _LARGEST_ENTRIES:
            return np.inf
        return n * n * active.products / _MULTIPLIES + n**3 / 3 / _FACTORS + 2 * n * n / _ENTRIES

    def _refactor(self, system: _System, dtype: Any) -> None:
        self.counts["factorizations"] += 1
        narrow = self._narrow_cost(system.active) < self._square_cost(system.active)
        with np.errstate(over="ignore", invalid="ignore"):
            self.factor = system.narrow(dtype) if narrow else system.square(self._kernel(dtype))
        if self.factor is None and dtype == np.float32:
            self.double = True
            self._refactor(system, np.float64)

    def _kernel(self, dtype: Any) -> np.ndarray:
        """``E E'``."""
        if dtype not in self.kernels:
            rows = self.design.gates.rows.astype(dtype)
            self.kernels[dtype] = rows @ rows.T
        return self.kernels[dtype]

    def _conjugate(
        self, system: _System, right: np.ndarray, accuracy: float, cap: int, expired: Callable[[], bool]
    ) -> tuple[np.ndarray, int, bool]:
        """Preconditioned conjugate gradients; given up once the rate so far would need more than ``cap`` steps."""
        size = float(np.linalg.norm(right))
        residual = (right / size).astype(np.float64 if self.double else np.float32)
        r = np.zeros_like(residual)
        direction = z = self._precondition(residual)
        product = float(residual @ z)
        for step in range(cap):
            if not product > 0 or expired():
                return size * r.astype(np.float64), step, False
            image = system.multiply(direction)
            self.counts["cg"] += 1
            length = residual.dtype.type(product / float(direction @ image))
            r = r + length * direction
            residual = residual - length * image
            left = float(np.linalg.norm(residual))
            if left <= accuracy:
                return size * r.astype(np.float64), step + 1, True
            if step >= 2 and (step + 1) * np.log(accuracy) < cap * np.log(left):
                break
            z = self._precondition(residual)
            previous, product = product, float(residual @ z)
            direction = z + residual.dtype.type(product / previous) * direction
        return size * r.astype(np.float64), step + 1, False

    def _precondition(self, residual: np.ndarray) -> np.ndarray:
        return residual.copy() if self.factor is None else self.factor(residual).astype(residual.dtype, copy=False)


def _cholesky(matrix: np.ndarray) -> Solve | None:
    """Solve with a symmetric positive definite matrix (lower triangle, overwritten); None if it is numerically not."""
    (potrf,), (trsv,) = get_lapack_funcs(("potrf",), (matrix,)), get_blas_funcs(("trsv",), (matrix,))
    factor, info = potrf(matrix, lower=1, overwrite_a=1, clean=0)
    if info != 0 or not np.all(np.isfinite(np.diagonal(factor))):
        return None

    def solve(right: np.ndarray) -> np.ndarray:
        half = trsv(factor, right.astype(factor.dtype, copy=False), lower=1)  # five times faster than potrs
        return trsv(factor, half, lower=1, trans=1, overwrite_x=1)

    return solve
