r"""Dual semismooth-Newton augmented Lagrangian method for gated programs with one output.

The dual of ``min_W h(A W + B c) + reg sum_i ||W_i||`` is minimised by an augmented Lagrangian method with multipliers
W and c; each inner problem

.. math:: \psi(\alpha) = h^*(-\alpha) + \tfrac{1}{2\sigma} \Big( \sum_i \big(\|W_i + \sigma A_i^\top \alpha\|
          - \sigma\,\mathrm{reg}\big)_+^2 + \|c + \sigma B^\top \alpha\|^2 \Big)

by Newton's method. Its gradient ``F - theta`` compares the predictions F of the new multipliers with those that belong
to alpha, so every Newton step gives weights and a dual vector: both bounds of the program.

References
----------
Li, Sun and Toh (2018), "A highly efficient semismooth Newton augmented Lagrangian method for solving lasso problems";
Zhang, Zhang, Sun and Toh (2020) for sparse groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .._columns import column_basis
from ..networks._arrays import row_norms
from ._gated_bounds import Found
from ._gates import Gates
from ._ssnal_design import ActiveDesign, Design
from ._ssnal_groups import Active, dual_norms, proximal
from ._ssnal_loss import dual_loss
from ._ssnal_system import NewtonSystem

if TYPE_CHECKING:
    from ._gated_bounds import GatedCase
    from ._monitor import Monitor
    from .result import GatedResult

__all__ = ["run_ssnal"]

_EPS = float(np.finfo(np.float64).eps)
_WARM_SIGMA = 0.04
"""Share of the last sigma with which a warm start begins."""
_INNER_STEPS = 60
_SEARCH_STEPS = 40
_SHORT = 0.1
_PATIENCE = 12
"""Outer iterations without a better gap after which the method has stalled."""
_NEAR = 0.1
"""Gap above which it takes three times as many: a small sigma may tell little about the dual for long."""
_LARGEST_SIGMA = 1e14


def run_ssnal(case: GatedCase, monitor: Monitor, start: GatedResult | None, random_state: int) -> Found:
    """Solve a gated case; nothing is random here."""
    method = _Ssnal(case, monitor, start)
    with monitor.interruptible():
        method.run()
    return Found(method.blocks, method.coefficients, method.nu, method.work)


@dataclass
class _Point:
    """What belongs to one alpha: new multipliers, predictions, gradient."""

    alpha: np.ndarray
    S: np.ndarray
    W: np.ndarray
    free: np.ndarray
    active: Active
    psi: float
    slack: float
    design: ActiveDesign = field(init=False)
    fit: np.ndarray = field(init=False)
    gradient: np.ndarray = field(init=False)
    curvature: np.ndarray = field(init=False)


class _Ssnal:
    """The method on one gated case; :meth:`run` leaves the best weights and dual vector in the attributes.

    Parameters
    ----------
    case : GatedCase
    monitor : Monitor
    start : GatedResult, optional
        Warm start: its weights, dual vector and ``sigma``.
    """

    def __init__(self, case: GatedCase, monitor: Monitor, start: GatedResult | None = None) -> None:
        problem = case.problem
        self.case, self.monitor, self.problem = case, monitor, problem
        weight = problem.sample_weight
        self.kept = slice(None) if weight is None else np.flatnonzero(weight > 0)
        self.loss = dual_loss(problem, self.kept)
        rows = case.rows[self.kept]
        self.scale = _power_of_two(float(np.max(row_norms(rows.T), initial=0.0)))
        self.reg = problem.reg / self.scale
        self.free, self.free_map = column_basis(problem.free_columns[self.kept])
        self.system = case.shared.get("newton") or self._first_system(rows)
        self.system.reset()
        self.design, self.gates = self.system.design, self.system.design.gates
        self.reach = float(np.linalg.norm(row_norms(self.gates.rows))) * max(1.0, abs(problem.kappa))
        self.sigma = self.loss.first_sigma / self.loss.curvature_scale
        self.W = np.zeros((self.gates.q, self.gates.P))
        self.c = np.zeros(self.free.shape[1])
        self.outer = 0
        self.direct = self.loss.exact and not self.free.size  # alpha scaled to feasibility is a dual point
        self.looseness = self.loss.looseness if self.direct else 1.0
        self.best_value, self.best_bound = math.inf, -math.inf
        self.best = (self.W, self.c)
        self.nu = np.zeros(problem.n)
        self.alpha, self.S, self.drift = self._cold() if start is None else self._warm(start)

    def _first_system(self, rows: np.ndarray) -> NewtonSystem:
        """The design and its products, which the next solve over these gates takes up."""
        gates = Gates(rows / self.scale, self.case.gates[self.kept], self.problem.kappa)
        curvature = self.loss.weight if self.loss.quadratic else None
        self.case.shared["newton"] = system = NewtonSystem(Design(gates), self.free, curvature)
        return system

    def _cold(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Alpha along minus the gradient at zero, scaled to feasibility: few gates become active at first."""
        alpha = self.loss.start(np.zeros(self.gates.n))
        S = self.design.adjoint(alpha)
        top = dual_norms(S, self.problem.norm)
        if top > self.reg:
            alpha = alpha * (self.reg / top)
            S = self.design.adjoint(alpha)
        return alpha, S, self._rounding(alpha)

    def _warm(self, start: GatedResult) -> tuple[np.ndarray, np.ndarray, float]:
        """Weights of a result for the same gates; its dual vector, scaled as the constraint has moved."""
        self.W = start.blocks * self.scale
        self.c = self.free.T @ (self.problem.free_columns[self.kept] @ start.free)
        self.sigma = max(self.sigma, float(start.work.get("sigma", 0.0)) * _WARM_SIGMA)
        used = np.flatnonzero(self.W.any(axis=0))
        alpha = self.loss.start(self.design.active(used).forward(self.W[:, used]) + self.free @ self.c)
        scaled = start.nu[self.kept] * min(1.0, self.problem.reg / start.problem.reg)
        if self.loss.admits(scaled):
            alpha = scaled
        return alpha, self.design.adjoint(alpha), self._rounding(alpha)

    def _rounding(self, alpha: np.ndarray) -> float:
        """Bound on the rounding error of a block of ``A' alpha``, or of adding one to another of this size."""
        return 8 * (self.gates.n + self.gates.q) * _EPS * float(np.linalg.norm(alpha)) * self.reach

    # ------------------------------------------------------------------------------------------------ outer iteration
    def run(self) -> None:
        """Iterate until the gap is closed, a limit is passed, or floating point allows no more."""
        stalls, last = 0, math.inf
        while not self.monitor.expired():
            steps = self._inner()
            self.outer += 1
            self._certify(True)
            stalls = 0 if self.monitor.gap < 0.9 * last else stalls + 1
            last = min(last, self.monitor.gap)
            patience = _PATIENCE if self.monitor.gap < _NEAR else 3 * _PATIENCE  # sigma has to grow first
            if stalls >= patience and not self.monitor.status:
                self.monitor.status = "stalled"
            factor = 5.0 if steps <= 4 else 2.0 if steps <= 8 else 1.0
            self.sigma = min(self.sigma * factor, _LARGEST_SIGMA / self.loss.curvature_scale)

    def _inner(self) -> int:
        """Newton's method on psi; ends with new multipliers. Returns the number of steps."""
        self.loss.set_sigma(self.sigma)
        if self.drift > 0.01 * self.monitor.tol * self.reg:
            self.S, self.drift = self.design.adjoint(self.alpha), self._rounding(self.alpha)
        point, first = self._evaluate(self.alpha, self.S), self.monitor.iteration
        for _ in range(_INNER_STEPS):
            self._differentiate(point)
            self._record(point)
            if self.monitor.expired() or self._accurate(point, self.monitor.iteration == first):
                break
            self.monitor.iteration += 1
            moved = self._step(point)
            if moved is None:
                break
            point = moved
        self.W, self.c = point.W, point.free
        self.loss.advance(point.alpha)
        return self.monitor.iteration - first

    def _evaluate(self, alpha: np.ndarray, S: np.ndarray) -> _Point:
        """Psi and the multipliers at alpha."""
        W, active = proximal(self.W + self.sigma * S, self.sigma * self.reg, self.problem.norm)
        c = self.c + self.sigma * (self.free.T @ alpha)
        conjugate = self.loss.conjugate(alpha)
        quadratic = (float(np.vdot(W, W)) + float(c @ c)) / (2 * self.sigma)
        return _Point(alpha, S, W, c, active, conjugate + quadratic, abs(conjugate) + quadratic)

    def _differentiate(self, point: _Point) -> None:
        """Predictions of the new multipliers, gradient of psi, curvature of the loss."""
        groups = point.active.groups
        point.design = self.design.active(groups)
        point.fit = point.design.forward(point.W[:, groups]) + self.free @ point.free
        point.gradient = point.fit - self.loss.theta(point.alpha)
        point.curvature = self.loss.curvature(point.alpha)

    def _accurate(self, point: _Point, first: bool) -> bool:
        """Whether psi is minimised well enough for the next multipliers (Rockafellar's second criterion).

        One step at least is taken, as long as rounding leaves something to gain.
        """
        size = float(np.linalg.norm(np.sqrt(point.curvature) * point.gradient))
        change = float(np.sum((point.W - self.W) ** 2) + np.sum((point.free - self.c) ** 2)) / self.sigma
        change = math.sqrt(change + self.loss.change(point.alpha))
        # Z = W + sigma S is known to eps |Z|, and so are the predictions of its shrunk columns.
        total = float(np.sum(point.active.norms)) + self.sigma * self.reg * point.design.width
        rounding = _EPS * total * self.reach * math.sqrt(float(np.max(point.curvature)))
        return size <= (rounding if first else max(self.looseness * change, rounding))

    def _step(self, point: _Point) -> _Point | None:
        """Newton direction and Armijo's rule along the chord to the point it leads to; None if psi cannot fall."""
        g, D = point.gradient, point.curvature
        whole = max(float(np.linalg.norm(point.alpha / np.sqrt(self.loss.weight))), 1e-300)
        size = float(np.linalg.norm(np.sqrt(D) * g)) / whole
        accuracy = float(np.clip(0.1 * size, 1e-4, 0.1))
        p = self.system.direction(point.active, point.design, self.sigma, D, g, accuracy, self.monitor.out_of_time)
        chord, slope = self._chord(point.alpha, p, g)
        if not slope < 0:
            return None
        full = self.design.adjoint(chord)
        self.drift += self._rounding(chord) + self._rounding(point.alpha)
        return self._search(point, chord, full, slope)

    def _chord(self, alpha: np.ndarray, p: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, float]:
        """The move along p, shortened until psi falls along it, and the slope of psi."""
        for _ in range(40):
            chord = self.loss.move(alpha, p) - alpha
            slope = float(g @ chord)
            if slope < 0:
                break
            p = p / 2
        return chord, slope

    def _search(self, point: _Point, chord: np.ndarray, full: np.ndarray, slope: float) -> _Point | None:
        """The chord halved a few times by Armijo's rule, then near its minimiser; None if rounding hides the fall."""
        low, high, low_slope, length = 0.0, 1.0, slope, 1.0
        for _ in range(_SEARCH_STEPS):
            trial = self._evaluate(point.alpha + length * chord, point.S + length * full)
            falls = trial.psi <= point.psi + 1e-4 * length * slope + 4 * _EPS * point.slack
            if falls and length > _SHORT:
                break
            rate = self._slope(trial, chord, full)
            if falls and abs(rate) <= 0.5 * abs(slope):
                break
            if rate > 0:
                high, part = length, low_slope / (low_slope - rate)
            else:
                low, low_slope, part = length, rate, 0.5
            length = length / 2 if length > _SHORT else low + (high - low) * float(np.clip(part, 0.1, 0.9))
        else:
            return None
        self.alpha, self.S = trial.alpha, trial.S
        return trial

    def _slope(self, trial: _Point, chord: np.ndarray, full: np.ndarray) -> float:
        """Derivative of psi along the chord."""
        inner = float(np.vdot(trial.W, full)) + float(trial.free @ (self.free.T @ chord))
        return inner - float(self.loss.theta(trial.alpha) @ chord)

    # -------------------------------------------------------------------------------------------------------- bounds
    def _record(self, point: _Point) -> None:
        """Keep the best weights and dual vector; certify once their gap looks closed."""
        value = self.problem.loss.value(point.fit, self.loss.y, self.loss.weight)
        value += self.reg * float(np.sum(point.active.norms))
        if value < self.best_value:
            self.best_value, self.best = value, (point.W, point.free)
        if self.direct and value - self._estimate() <= self.monitor.tol * value:
            self._certify(False)

    def _estimate(self) -> float:
        """Dual value at alpha scaled to feasibility, without care for rounding."""
        top = dual_norms(self.S, self.problem.norm)
        return -self.loss.conjugate(min(1.0, self.reg / top) * self.alpha if top > 0 else self.alpha)

    def _certify(self, report: bool) -> None:
        """A proven bound from the present alpha; tell the monitor."""
        nu = np.zeros(self.problem.n)
        nu[self.kept] = self.alpha
        if not self.direct:
            lower, nu = self.case.bound(nu)
        else:
            top = (dual_norms(self.S, self.problem.norm) * (1 + 16 * _EPS) + self.drift) * self.scale
            scale = min(1.0, self.problem.reg / top * (1 - 4 * _EPS)) if top > 0 else 1.0
            lower = self.problem.loss.dual_bound(scale * nu, self.problem.y, self.problem.sample_weight)
        if lower > self.best_bound:
            self.best_bound, self.nu = lower, nu
        if report or self.best_value - self.best_bound <= self.monitor.tol * self.best_value:
            size = int(np.count_nonzero(self.best[0].any(axis=0)))
            self.monitor.report(self.best_value, self.best_bound, size)

    @property
    def blocks(self) -> np.ndarray:
        """Best weights in the units of the problem."""
        return self.best[0] / self.scale

    @property
    def coefficients(self) -> np.ndarray:
        """Best coefficients of the free columns."""
        return self.free_map @ self.best[1]

    @property
    def work(self) -> dict[str, float]:
        """Counts, and the last sigma."""
        return {"outer": float(self.outer), "sigma": self.sigma, **self.system.counts}


def _power_of_two(size: float) -> float:
    """A power of two near ``size``: dividing by it rounds nothing."""
    return 2.0 ** round(math.log2(size)) if size > 0 else 1.0
