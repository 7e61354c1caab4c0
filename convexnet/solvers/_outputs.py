r"""Dual semismooth-Newton augmented Lagrangian method for gated programs with several outputs,

.. math:: \min_{W, c}\; L\Big(\sum_p S_p E W_p + C c,\, Y\Big) + \mathrm{reg} \sum_p \|W_p\| ,
          \qquad W_p \in \mathbb{R}^{q \times k} ,

for smooth losses with the nuclear or Frobenius norm of the blocks, or the sum of the l2 norms of their rows.

For softmax with a skip connection no lower bound is known, so the gap stays at 1 and the status is ``stalled`` even at
an optimum; ``work["residual"]`` of the result is the relative gap if no optimum had a larger part of the free columns
than the weights found (or than one in each prediction). It is an estimate, not a bound.

References
----------
Li, Sun and Toh (2018), "A highly efficient semismooth Newton augmented Lagrangian method for solving lasso problems";
Mishkin, Sahiner and Pilanci (2022) for the gated program.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .._columns import column_basis
from ..pricing import feasible_dual, price_gated
from ._gated_bounds import Found
from ._gates import Gates
from ._outputs_groups import Frobenius, Groups, Rows, Shrunk, Slope
from ._outputs_loss import Curve, Root, State, curve_of
from ._outputs_newton import Shared, conjugate_gradients
from ._outputs_nuclear import Nuclear

if TYPE_CHECKING:
    from ._gated_bounds import GatedCase
    from ._monitor import Monitor
    from .result import GatedResult

__all__ = ["run_outputs"]

_SIGMA = 1.0
_LARGEST_SIGMA = 1e12
"""Relative to the size of the rows: beyond, the multipliers drown in the rounding of ``sigma S``."""
_PATIENCE = 8
"""Outer iterations without progress before the method gives up."""
_INNER_STEPS = 60
_CG_STEPS = 500
_LOOSE = 1e-2
"""Largest relative residual of a Newton system."""
_FACTOR_STEPS = 12
"""Steps of conjugate gradients after which a factor of an earlier Newton system is replaced."""
_FACTOR_ROWS = 4000
"""Samples up to which systems are factored."""
_DOUBLE = 3000
"""Entries of a dual matrix up to which everything is in double precision."""


def run_outputs(case: GatedCase, monitor: Monitor, start: GatedResult | None, random_state: int) -> Found:
    """Solve a gated case with several outputs, from zero weights again if a warm start ends nowhere; nothing is random.

    No lower bound is known where softmax meets a skip connection (see ``feasible_dual``). There the run ends by the
    optimality residual ``work["residual"]``, with status ``stalled``, for nothing is proven.
    """
    solver = _Solver(case, monitor)
    solver.run(start)
    if start is not None and not monitor.status and not solver.finished:
        warm, solver = solver, _Solver(case, monitor)
        solver.run(None)
        solver.join(warm)
    return solver.found()


class _Solver:
    """State of one run: dual state and its correlations S, multipliers (blocks and free part), sigma."""

    def __init__(self, case: GatedCase, monitor: Monitor) -> None:
        problem = case.problem
        self.case, self.monitor, self.reg = case, monitor, problem.reg
        weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
        self.used = np.flatnonzero(weight > 0)
        self.curve: Curve = curve_of(problem.loss, problem.y[self.used], weight[self.used])
        self.gates = Gates(case.rows[self.used], case.gates[self.used], problem.kappa)
        self.groups = _groups(self.gates, problem.norm, case.group)
        # Orthogonal columns with the span of the free ones and the size of the rows.
        self.column_size = float(np.linalg.norm(self.gates.rows)) or 1.0
        basis = column_basis(problem.free_columns[self.used], 1e-10)
        self.columns, self.free_map = (self.column_size * part for part in basis)
        k = problem.n_outputs
        self.active, self.blocks = np.zeros(0, dtype=int), np.zeros((self.gates.q, 0, k))
        self.free = np.zeros((self.columns.shape[1], k))
        self.size = float(np.sum(self.curve.w * self.gates.rows**2)) / self.gates.q or 1.0
        self.sigma, self.largest_sigma = 1.0, _LARGEST_SIGMA / self.size
        self.provable = not (problem.skip and problem.loss.vector_only)
        self.residual = math.inf
        self.double = len(self.used) * k <= _DOUBLE
        self.factor: Shared | None = None
        self.last_count, self.loose = 0, _LOOSE
        self.work = {"outer": 0.0, "cg": 0.0, "factorizations": 0.0}
        self.best: tuple[float, np.ndarray, np.ndarray] | None = None
        self.lower, self.nu = -math.inf, np.zeros_like(problem.y)

    def run(self, start: GatedResult | None) -> None:
        """Outer iterations until the gap, a limit or rounding stops them."""
        self._begin(start)
        stuck, last, before, largest = 0, math.inf, math.inf, self.sigma
        while self.used.size and not (self.finished or self.monitor.expired()):
            steps = self._minimise()
            gap = self._measure()
            self.work["outer"] += 1
            assert self.best is not None
            slow = gap >= 0.9 * last and self.best[0] >= 0.99 * before
            # A larger sigma is a new attempt; there are finitely many below the cap.
            stuck = stuck + 1 if slow and (steps is None or self.sigma <= largest) else 0
            last, before, largest = min(gap, last), self.best[0], max(self.sigma, largest)
            if stuck >= _PATIENCE and self.double:
                break
            self.double = self.double or stuck >= 3
            self._adapt(steps, slow)

    def _adapt(self, steps: int | None, slow: bool) -> None:
        """The next sigma: smaller after a failure (None), larger if Newton's method was quick or little came of it."""
        factor = 0.1 if steps is None else 5.0 if steps <= 4 else 2.0 if steps <= 8 or slow else 1.0
        self.sigma = min(factor * self.sigma, max(self.sigma, self.largest_sigma))

    def _begin(self, start: GatedResult | None) -> None:
        """Zero weights or a warm start, the dual point of their predictions, and a first sigma."""
        k = self.case.problem.n_outputs
        predictions = np.zeros((len(self.used), k))
        if start is not None and start.blocks.shape == self.case.block_shape:
            self.active = np.flatnonzero(np.any(start.blocks != 0, axis=(0, 2)))
            self.blocks = np.array(start.blocks[:, self.active], dtype=np.float64)
            if self.columns.size:
                self.free = np.linalg.pinv(self.free_map) @ start.free
            predictions = self._predict(self.active, self.blocks, self.free)
        self.state: State = self.curve.at(predictions)
        self.correlations = self.gates.adjoint(self.state.nu)
        self.sigma = self._first_sigma()
        if start is not None and self.active.size:
            self.sigma = min(max(start.work.get("sigma", 0.0) / 5, self.sigma), self.largest_sigma)
        self._keep(self.curve.value(predictions) + self.reg * self.case.penalty(self._full()))
        self._measure()

    def _first_sigma(self) -> float:
        """Squared and Huber loss: by the size of the rows; else where the first shrinkage predicts values of order one.

        From zero weights the curvature of the losses of classes says nothing about larger predictions.
        """
        if self.case.problem.loss.name in ("squared", "huber"):
            return _SIGMA / self.size
        shrunk = self.groups.shrink(self.correlations, self.reg)
        free = self.columns.T @ self.state.nu
        largest = float(np.max(np.abs(self._predict(shrunk.active, shrunk.blocks, free)), initial=0.0))
        return 3.0 / largest if largest > 0 else 1.0

    def _predict(self, active: np.ndarray, blocks: np.ndarray, free: np.ndarray) -> np.ndarray:
        values = self.gates.forward(blocks, active) if active.size else 0.0
        return np.asarray(values + self.columns @ free)

    def _lagrangian(self, state: State, correlations: np.ndarray) -> tuple[Shrunk, np.ndarray, float]:
        """Shrunk blocks, free part and value of the augmented Lagrangian."""
        Z = self.sigma * correlations
        Z[:, self.active] += self.blocks
        shrunk = self.groups.shrink(Z, self.sigma * self.reg)
        free = self.free + self.sigma * (self.columns.T @ state.nu)
        square = shrunk.square + float(np.vdot(free, free))
        return shrunk, free, self.curve.conjugate(state) + square / (2 * self.sigma)

    def _minimise(self) -> int | None:
        """Newton steps on the augmented Lagrangian, then new multipliers; returns their number, None if they failed."""
        steps = self._newton()
        if steps is not None:
            self.active, self.blocks, self.free = self.shrunk.active, self.shrunk.blocks, self.new_free
        return steps

    def _newton(self) -> int | None:
        self.shrunk, self.new_free, value = self._lagrangian(self.state, self.correlations)
        failures = 0
        for step in range(_INNER_STEPS):
            predictions = self._predict(self.shrunk.active, self.shrunk.blocks, self.new_free)
            gradient = predictions - self.state.theta
            objective = self.curve.value(predictions) + self.reg * self.shrunk.penalty
            self._keep(objective, self.shrunk)
            root = self.curve.root(self.state)
            rhs = -root.transpose(gradient)
            size = float(np.linalg.norm(rhs))
            target = self._change() / math.sqrt(self.sigma)
            unit = max(math.sqrt(abs(objective)), 1e-300)
            if size <= max(target, 1e-9 * unit) or self.monitor.expired():
                return step
            if failures >= 3:
                return None
            self.monitor.iteration += 1
            tol = min(max(0.1 * size / unit, 1e-8 if self.double else 1e-6), self.loose)
            new, descent = self._direction(root, rhs, gradient, tol)
            value, scale = self._search(new, value, descent)
            failures = failures + 1 if scale < 1e-4 else 0
            # A short step means a poor direction: solve the next system more accurately, at last in double precision.
            self.loose = max(self.loose / 10, 1e-8) if scale < 0.2 else min(3 * self.loose, _LOOSE)
            self.double = self.double or failures > 0
        return _INNER_STEPS

    def _direction(self, root: Root, rhs: np.ndarray, gradient: np.ndarray, tol: float) -> tuple[State, float]:
        """The state a Newton step leads to, and the slope of the Lagrangian towards it."""
        dtype = np.float64 if self.double else np.float32
        factor = root.astype(dtype)
        slope = self.groups.slope(self.shrunk, self.sigma, dtype)
        columns = (math.sqrt(self.sigma) * self.columns).astype(dtype)

        def curvature(x: np.ndarray) -> np.ndarray:
            return slope.apply(x) + columns @ (columns.T @ x)

        def operator(x: np.ndarray) -> np.ndarray:
            return x + factor.transpose(curvature(factor.apply(x)))

        self._refactor(factor, slope, columns)
        r, left, count = conjugate_gradients(
            operator, rhs.astype(dtype), tol, _CG_STEPS, self.factor, stop=self.monitor.expired
        )
        self.work["cg"] += count
        self.last_count = count
        # B' step = -r up to the residual, which is small beside rhs but not beside r: it is taken off again.
        step = curvature(factor.apply(r)) + factor.undo(left)
        step = self.curve.limit(self.state, gradient + step.astype(np.float64))
        for _ in range(30):
            new = self.curve.at(self.state.theta + step)
            descent = float(np.vdot(gradient, new.nu - self.state.nu))
            if descent < 0:
                break
            step = step / 2
        return new, descent

    def _refactor(self, root: Root, slope: Slope, columns: np.ndarray) -> None:
        """A factor of the system, or of one close to it, where all outputs share the curvature of the loss."""
        if root.unit is not None or root.size.shape[1] > 1 or len(root.size) > _FACTOR_ROWS:
            return
        if self.factor is None or self.last_count > _FACTOR_STEPS:
            self.factor = Shared(root.size[:, 0], slope.kernel() + columns @ columns.T, slope.low_rank)
            self.work["factorizations"] += 1

    def _search(self, new: State, value: float, descent: float) -> tuple[float, float]:
        """Armijo steps on the segment of dual points; correlations are linear on it."""
        if not descent < 0:
            return value, 0.0
        change = self.gates.adjoint(new.nu - self.state.nu)
        scale = 1.0
        while True:
            state = self.curve.mix(self.state, new, scale)
            correlations = self.correlations + scale * change
            shrunk, free, trial = self._lagrangian(state, correlations)
            if trial <= value + 1e-4 * scale * descent + 1e-14 * abs(value) or scale < 1e-6:
                break
            scale /= 2
        if not trial <= value + 1e-12 * abs(value):
            return value, 0.0
        self.state, self.correlations, self.shrunk, self.new_free = state, correlations, shrunk, free
        return trial, scale

    def _change(self) -> float:
        """Distance of the shrunk blocks and free part from the multipliers."""
        _, mine, theirs = np.intersect1d(self.active, self.shrunk.active, assume_unique=True, return_indices=True)
        both = float(np.vdot(self.blocks[:, mine], self.shrunk.blocks[:, theirs]))
        square = self.shrunk.square + float(np.vdot(self.blocks, self.blocks)) - 2 * both
        return math.sqrt(max(square, 0.0) + float(np.sum((self.new_free - self.free) ** 2)))

    def _keep(self, objective: float, shrunk: Shrunk | None = None) -> None:
        """Remember the best weights met."""
        if self.best is None or objective < self.best[0]:
            blocks = self._full(shrunk)
            self.best = (objective, blocks, self.new_free if shrunk is not None else self.free)

    def _full(self, shrunk: Shrunk | None = None) -> np.ndarray:
        active, blocks = (self.active, self.blocks) if shrunk is None else (shrunk.active, shrunk.blocks)
        full = np.zeros(self.case.block_shape)
        full[:, active] = blocks
        return full

    def _measure(self) -> float:
        """Estimate the gap; prove and report it where it has clearly improved. Returns the gap to be made small."""
        assert self.best is not None
        estimate = self._estimate() if self.used.size else math.inf
        if not self.provable:
            self.residual = min(self.residual, estimate)
        if self.columns.size or estimate < 0.5 * self.monitor.gap or estimate <= self.monitor.tol:
            self._prove()
        size = int(np.sum(np.any(self.best[1] != 0, axis=(0, 2))))
        self.monitor.report(self.best[0], self.lower, size)
        return self.monitor.gap if self.provable else self.residual

    def _estimate(self) -> float:
        """The gap, in plain floating point, if no optimum had a larger part of the free columns than this."""
        assert self.best is not None
        objective, norm = self.best[0], self.groups.dual_norm(self.correlations)
        scale = self.curve.scale(self.state, self.reg / norm if norm > 0 else math.inf)
        free = max(float(np.linalg.norm(self.columns @ self.best[2])), math.sqrt(self.state.nu.size))
        slack = scale * free * float(np.linalg.norm(self.columns.T @ self.state.nu)) / self.column_size
        return (objective - self.curve.dual(self.state, scale) + slack) / max(abs(objective), 1e-300)

    def _prove(self) -> None:
        """Lower bound of the dual point, over the given gates."""
        nu = np.zeros_like(self.case.problem.y)
        nu[self.used] = self.state.nu
        lower, point = _bound(self.case, nu)
        if lower > self.lower:
            self.lower, self.nu = lower, point

    @property
    def finished(self) -> bool:
        """Whether the gap is closed, or its estimate where none can be proven."""
        return self.residual <= self.monitor.tol or self.monitor.status == "solved"

    def join(self, other: _Solver) -> None:
        """Take over what another run of the same case found better."""
        assert self.best is not None and other.best is not None
        if other.best[0] < self.best[0]:
            self.best = other.best
        if other.lower > self.lower:
            self.lower, self.nu = other.lower, other.nu
        for name, count in other.work.items():
            self.work[name] += count

    def found(self) -> Found:
        """The best weights, the dual point of the best bound, and the counts."""
        assert self.best is not None
        last = {"sigma": self.sigma} | ({} if self.provable else {"residual": self.residual})
        return Found(self.best[1], self.free_map @ self.best[2], self.nu, self.work | last)


def _groups(gates: Gates, norm: str, group: str) -> Groups:
    if norm == "l1":
        return Rows(gates)
    return Frobenius(gates) if group == "frobenius" else Nuclear(gates)


def _bound(case: GatedCase, nu: np.ndarray) -> tuple[float, np.ndarray]:
    """Proven lower bound of a dual point: of every scale at once where that is cheap, else of the largest safe one."""
    problem = case.problem
    if problem.loss.name in ("squared", "huber"):
        return case.bound(nu)
    point = feasible_dual(problem, nu)
    if point.rows.size:
        return case.bound(nu)
    priced = price_gated(problem, point.nu, case.gates, group=case.group).bound
    scale = min(1.0, problem.reg / priced * (1 - 1e-15)) if priced > 0 else 1.0
    return problem.loss.dual_bound(scale * point.nu, problem.y, problem.sample_weight), point.nu
