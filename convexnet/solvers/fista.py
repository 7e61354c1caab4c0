r"""Accelerated proximal gradient for gated programs, with restarts and an active set: simple, for any smooth loss.

.. math:: W^+ = \mathrm{prox}_{s\,\mathrm{reg}\|\cdot\|}\big(Y - s A_J^\top h'(A_J Y)\big)

The iteration runs on a set J of gates; the others stay at zero. Now and then all gates are priced, which gives a bound
over all of them and the gates to add. Momentum is dropped when it points uphill. Large problems with one output and l2
norms are solved in single precision first, in a metric that takes up the few large singular values of the design.

References
----------
Beck and Teboulle (2009) for FISTA; O'Donoghue and Candes (2015) for the restarts; Massias, Gramfort and Salmon (2018)
for working sets driven by the duality gap.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .._columns import column_basis
from ..pricing import relative_gap
from ._gated_bounds import Found
from ._gates import Gates
from ._metric import Metric

if TYPE_CHECKING:
    from ._gated_bounds import GatedCase
    from ._monitor import Monitor
    from .result import GatedResult

__all__ = ["large", "run_fista"]

_CURVATURE = {"logistic": 0.25, "softmax": 0.5}
"""Largest second derivative of a loss term where it is not one; steps are checked, so this only saves trials."""
_FIRST_CHECK, _LAST_CHECK, _LAST_CHECK_METRIC = 10, 60, 15
_PATIENCE = 40
"""Checks without a better gap after which rounding has won."""
_SOLVED_PART = 0.5
"""Gates are added once the gap over J is below this part of the gap over all."""
_NEWS = 0.2
"""Bounds are proven when the gap has fallen to this part of the last proven one."""
_METRIC_ENTRIES = 50_000_000
"""Entries of the expanded design beyond which a metric pays."""
_SIGMA = 1000.0
"""Penalty for a Newton method that starts here, in units of columns of norm one."""
_SINGLE_PATIENCE = 4
"""Checks without progress after which single precision is given up."""


def run_fista(case: GatedCase, monitor: Monitor, start: GatedResult | None, random_state: int) -> Found:
    """Solve a gated case; nothing is random here."""
    method = _Fista(case, monitor, start)
    with monitor.interruptible():
        method.run()
    blocks, free = method.best
    work = {"checks": float(method.checks)}
    if monitor.gap < 1e-2:  # close enough for the Newton method to start with few, large outer steps
        work["sigma"] = _SIGMA / _CURVATURE.get(case.problem.loss.name, 1.0)
    return Found(blocks, method.free_map @ free, method.nu, work)


def large(case: GatedCase) -> bool:
    """Whether a metric pays: one output, l2 norms, no free columns, many entries of the expanded design."""
    problem = case.problem
    many = case.rows.size * case.gates.shape[1] >= _METRIC_ENTRIES
    return many and problem.scalar and problem.norm == "l2" and not problem.free_columns.size


class _Fista:
    """State of one run: weights W (q, P[, k]) and coefficients c of an orthonormal basis of the free columns."""

    def __init__(self, case: GatedCase, monitor: Monitor, start: GatedResult | None) -> None:
        problem = case.problem
        self.case, self.monitor, self.problem = case, monitor, problem
        self.use_metric = large(case)
        self.double = Gates(case.rows, case.gates, problem.kappa)
        self.gates = self.double.single() if self.use_metric else self.double
        self.W = np.zeros(case.block_shape)
        self.free, self.free_map = column_basis(problem.free_columns)
        self.c = np.zeros((self.free.shape[1], *problem.y.shape[1:]))
        if start is not None:
            self.W = start.blocks.copy()
            self.c = self.free.T @ (problem.free_columns @ start.free)
        self.best, self.best_value = (self.W, self.c), math.inf
        self.nu, self.lower = np.zeros_like(problem.y), -math.inf
        self.certified_at = math.inf
        self.checks = 0
        self.restrict(self._first_gates())

    def _first_gates(self) -> np.ndarray:
        """Gates in use, and those of the largest correlations with the residual."""
        P = self.gates.P
        used = np.any(self.W.reshape(len(self.W), P, -1), axis=(0, 2))
        sizes = self.dual_norms(self.gates.adjoint(self.project(-self.problem.gradient(self.fit(self.W, self.c)))))
        largest = np.argsort(-sizes)[: max(20, P // 10)]
        return np.union1d(np.flatnonzero(used), largest)

    # ------------------------------------------------------------------------------------------------------ iteration
    def run(self) -> None:
        """Iterate until the gap is closed, a limit is passed, or rounding allows no more."""
        span, stalls, last = _FIRST_CHECK, 0, math.inf
        while not self.monitor.expired():
            self._accelerate(span)
            gap = self._check()
            stalls = 0 if gap < 0.99 * last else stalls + 1
            last = min(last, gap)
            if stalls > _SINGLE_PATIENCE and self.gates is not self.double:
                self.gates, stalls = self.double, 0
                self.restrict(self.groups)
            if stalls > _PATIENCE and not self.monitor.status:
                self.monitor.status = "stalled"
            span = min(_LAST_CHECK_METRIC if self.use_metric else _LAST_CHECK, span + 5)

    def restrict(self, groups: np.ndarray) -> None:
        """Continue on these gates, from rest."""
        self.groups, self.design = groups, self.gates.select(groups, expanded=True)
        self.V = self.W[:, groups].astype(self.gates.dtype)
        self.fitted = self.design.forward(self.V) + self.free @ self.c
        weight = self.problem.sample_weight
        curvature = _CURVATURE.get(self.problem.loss.name, 1.0) * (1.0 if weight is None else float(weight.max()))
        self.metric = Metric(self.design.single(), curvature) if self.use_metric else None
        size = 1.0 if self.use_metric else _squared_norm(self.design)
        self.stretch = math.sqrt(size)  # the free columns count as columns of this norm
        copies = 1 if self.free.size == 0 else 2
        self.step = 1 / max(copies * size * curvature, 1e-300)
        self.rest()

    def rest(self) -> None:
        """Drop the momentum."""
        self.before, self.momentum = (self.V, self.c, self.fitted), 1.0

    def _accelerate(self, count: int) -> None:
        """``count`` accelerated steps."""
        for _ in range(count):
            if self.monitor.expired():
                return
            self.monitor.iteration += 1
            following = (1 + math.sqrt(1 + 4 * self.momentum**2)) / 2
            beta, now = (self.momentum - 1) / following, (self.V, self.c, self.fitted)
            V, c, fit = (new + beta * (new - old) for new, old in zip(now, self.before, strict=True))
            self._move(V, c, fit)
            self.before, self.momentum = now, following
            if self._uphill(V, c, now[0], now[1]):
                self.rest()

    def _move(self, V: np.ndarray, c: np.ndarray, fit: np.ndarray) -> None:
        """One proximal step from (V, c), shorter until the loss stays below its quadratic model."""
        problem, value = self.problem, self.problem.loss_value(fit)
        slope = problem.gradient(fit)
        across, along = self.design.adjoint(slope), self.stretch**2 * (self.free.T @ slope)
        slack = abs(value) * (1e-12 if self.gates is self.double else 1e-10)
        while True:
            if self.metric is not None:
                new, free = self.metric.prox(V, across, problem.reg), c
                square = self.metric.square(new - V)
            else:
                new, free = self.shrink(V - self.step * across, self.step * problem.reg), c - self.step * along
                moved = float(np.sum((new - V) ** 2)) + float(np.sum((free - c) ** 2)) / self.stretch**2
                square = moved / self.step
            fitted = self.design.forward(new) + self.free @ free
            model = value + float(np.vdot(slope, fitted - fit)) + square / 2
            if problem.loss_value(fitted) <= model + slack or not self._shorten():
                break
        self.V, self.c, self.fitted = new, free, fitted

    def _shorten(self) -> bool:
        """Shorter steps; False at the end of the floating-point range."""
        if self.metric is not None:
            self.metric.scale *= 1.3
            return self.metric.scale < 1e100
        self.step /= 2
        return self.step > 1e-300

    def _uphill(self, V: np.ndarray, c: np.ndarray, before: np.ndarray, free: np.ndarray) -> bool:
        """Whether the momentum of the last step, extrapolated to (V, c), opposed it."""
        if self.metric is not None:
            return self.metric.inner(V - self.V, self.V - before) > 0
        return bool(np.vdot(V - self.V, self.V - before) + np.vdot(c - self.c, self.c - free) / self.stretch**2 > 0)

    # ---------------------------------------------------------------------------------------------------------- bounds
    def _check(self) -> float:
        """Bounds over all gates, certified when they look new; more gates once those of J are nearly done."""
        self.checks += 1
        self.fitted = self.design.forward(self.V) + self.free @ self.c
        self.W = np.zeros_like(self.W)
        self.W[:, self.groups] = self.V
        value = self.problem.loss_value(self.fitted) + self.problem.reg * self.case.penalty(self.V)
        if value < self.best_value:
            self.best_value, self.best = value, (self.W, self.c)
        alpha = self.project(-self.problem.gradient(self.fitted))
        sizes = self.dual_norms(self.gates.adjoint(alpha))
        whole = relative_gap(self.best_value, self._estimate(alpha, float(sizes.max())))
        part = relative_gap(value, self._estimate(alpha, float(sizes[self.groups].max())))
        if whole <= self.monitor.tol or whole < _NEWS * self.certified_at:
            self._certify(alpha, whole)
        if part <= max(_SOLVED_PART * whole, 0.1 * self.monitor.tol):
            self._exchange(sizes, min(0.1, whole))
        self._prune(sizes[self.groups])
        return whole

    def _estimate(self, alpha: np.ndarray, size: float) -> float:
        """Dual value of alpha at its best scale, without care for rounding."""
        problem = self.problem
        loss, y, weight = problem.loss, problem.y, problem.sample_weight
        scale = loss.best_scale(alpha, y, weight, problem.reg / size if size > 0 else math.inf)
        return loss.dual_value(scale * alpha, y, weight) if math.isfinite(scale) else -math.inf

    def _certify(self, alpha: np.ndarray, gap: float) -> None:
        """A proven bound from alpha; tell the monitor."""
        self.certified_at = gap
        lower, nu = self.case.bound(alpha)
        if lower > self.lower:
            self.lower, self.nu = lower, nu
        used = np.any(self.best[0].reshape(len(self.W), self.gates.P, -1), axis=(0, 2))
        value = self.case.objective(self.best[0], self.free_map @ self.best[1])
        self.monitor.report(value, self.lower, int(used.sum()))

    def _exchange(self, sizes: np.ndarray, margin: float) -> None:
        """Add violated gates, at most as many as there are, and nearly violated ones; leave out slack ones at zero."""
        reg, inside = self.problem.reg, np.zeros(self.gates.P, dtype=bool)
        inside[self.groups] = True
        violated = np.flatnonzero((sizes > reg) & ~inside)
        if not violated.size:
            return
        used = np.any(self.W.reshape(len(self.W), self.gates.P, -1), axis=(0, 2))
        kept = np.flatnonzero(inside & (used | (sizes > 0.9 * reg)))
        near = np.flatnonzero((sizes > (1 - margin) * reg) & ~inside)
        largest = near[np.argsort(-sizes[near])][: max(20, len(kept))]
        self.restrict(np.union1d(kept, largest))

    def _prune(self, sizes: np.ndarray) -> None:
        """Leave out slack gates at zero, without a new start, once they are many; the largest always stays."""
        old = self.before[0]
        used = np.any((np.abs(self.V) + np.abs(old)).reshape(len(old), len(self.groups), -1), axis=(0, 2))
        kept = used | (sizes > 0.95 * self.problem.reg)
        kept[np.argmax(sizes)] = True
        if kept.sum() > 0.85 * len(kept):
            return
        self.groups, self.V = self.groups[kept], self.V[:, kept]
        self.before = (old[:, kept], *self.before[1:])
        self.design = self.gates.select(self.groups, expanded=True)
        if self.metric is not None:
            self.metric.keep(kept)

    # ------------------------------------------------------------------------------------------------------- operators
    def fit(self, W: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Predictions of weights of all gates."""
        return self.gates.forward(W) + self.free @ c

    def project(self, alpha: np.ndarray) -> np.ndarray:
        """Alpha without its part along the free columns, in the domain of the conjugate."""
        if not self.free.size:
            return alpha
        alpha = alpha - self.free @ (self.free.T @ alpha)
        return self.problem.loss.clip_dual(alpha, self.problem.y, self.problem.sample_weight)

    def shrink(self, Z: np.ndarray, t: float) -> np.ndarray:
        """``argmin_W t ||W|| + 1/2 ||W - Z||^2`` for every block of Z (q, J) or (q, J, k)."""
        if self.problem.norm == "l1":
            sizes = np.abs(Z) if Z.ndim == 2 else np.linalg.norm(Z, axis=2, keepdims=True)
        elif Z.ndim == 2 or self.case.group == "frobenius":
            sizes = np.sqrt(np.sum(Z * Z, axis=0 if Z.ndim == 2 else (0, 2), keepdims=True))
        else:
            left, values, right = np.linalg.svd(np.moveaxis(Z, 1, 0), full_matrices=False)
            return np.moveaxis((left * np.maximum(values - t, 0)[:, None, :]) @ right, 0, 1)
        return Z * np.maximum(1 - t / np.maximum(sizes, 1e-300), 0)

    def dual_norms(self, S: np.ndarray) -> np.ndarray:
        """Dual norms (P,) of the blocks of S."""
        if self.problem.norm == "l1":
            return np.max(np.abs(S) if S.ndim == 2 else np.linalg.norm(S, axis=2), axis=0)
        if S.ndim == 2 or self.case.group == "frobenius":
            return np.sqrt(np.sum(S * S, axis=0 if S.ndim == 2 else (0, 2)))
        blocks = np.moveaxis(S, 1, 0)
        narrow = blocks if blocks.shape[2] <= blocks.shape[1] else blocks.swapaxes(1, 2)
        return np.sqrt(np.maximum(np.linalg.eigvalsh(narrow.swapaxes(1, 2) @ narrow)[:, -1], 0))


def _squared_norm(gates: Gates) -> float:
    """``||A||^2`` by power iteration, from below."""
    r = np.random.default_rng(0).standard_normal(gates.n)
    size = 0.0
    for _ in range(6):
        r = gates.forward(gates.adjoint(r / max(float(np.linalg.norm(r)), 1e-300)))
        size = float(np.linalg.norm(r))
    return max(size, 1e-300)
