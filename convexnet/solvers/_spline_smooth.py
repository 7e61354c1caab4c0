"""Logistic and Huber losses in one variable: proximal Newton steps, each a weighted least-squares spline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._spline_active import ActiveSet
from ._spline_attained import check_attained
from ._spline_best import Best
from ._spline_dual import Samples, dual_vector, samples_of
from ._spline_hats import Quadratic
from ._spline_nodes import Line, Nodes, fitted_line, nodes_of
from ._spline_objective import kink_price
from ._spline_polish import polish

if TYPE_CHECKING:
    from ..networks.linear_spline import LinearSpline
    from ..problem import TrainingProblem
    from ._monitor import Monitor
    from ._spline_result import SplineResult

__all__ = ["solve_smooth"]

INNER_GAP = 1e-13
LONGEST, SHORTEST = 1e12, 1e-9
PATIENCE = 20


def solve_smooth(problem: TrainingProblem, monitor: Monitor, start: LinearSpline | None) -> SplineResult:
    """A smooth loss with free biases and a skip connection."""
    nodes = nodes_of(problem)
    order = nodes.order
    line = Line()
    if problem.loss.name == "logistic":
        check_attained(problem)
    else:
        weight = np.ones(order.size) if problem.sample_weight is None else problem.sample_weight[order]
        line = fitted_line(problem.X[order, 0], weight, problem.y[order])
    samples = samples_of(problem, nodes, line)
    best = Best(problem, samples, monitor)
    if best.settled(line):
        return best.result("line")
    with monitor.interruptible():
        _Newton(best, nodes, line, start).run()
    return best.result("proximal_newton")


class _Newton:
    """Values at the nodes and kinks, moved by the minimiser of the quadratic model."""

    def __init__(self, best: Best, nodes: Nodes, line: Line, start: LinearSpline | None) -> None:
        self.best, self.nodes, self.line = best, nodes, line
        self.samples: Samples = best.samples
        self.target = self.samples.target.astype(np.float64)
        self.price = kink_price(best.problem)
        spread = float(np.ptp(self.target))
        self.reach = 10.0 if best.problem.loss.name == "logistic" else 10 * spread if spread > 0 else 1.0
        self.scale = self.reach
        self.theta, self.kinks = np.zeros(nodes.x.size), np.zeros(nodes.x.size)
        if start is not None:
            moved = start.on_nodes(nodes.x)
            self.theta = moved.predict(nodes.x) - line.at(nodes.x).astype(np.float64)
            self.kinks[np.searchsorted(nodes.x, moved.knots)] = moved.kinks

    def loss(self, theta: np.ndarray) -> float:
        return self.best.problem.loss.value(theta[self.nodes.node_of], self.target, self.samples.weight)

    def run(self) -> None:
        """Newton steps until the gap is closed or nothing moves."""
        monitor = self.best.monitor
        objective = self.loss(self.theta) + self.price * float(np.sum(np.abs(self.kinks)))
        idle = 0
        while self.reach > SHORTEST * self.scale and idle < PATIENCE:
            monitor.iteration += 1
            theta, kinks = self._offered(self._model())
            if monitor.expired():
                return
            step, lower = 1.0, objective
            while step > 1e-3:
                trial = self.theta + step * (theta - self.theta), self.kinks + step * (kinks - self.kinks)
                lower = self.loss(trial[0]) + self.price * float(np.sum(np.abs(trial[1])))
                # Near the end a step that improves the dual changes the objective by less than its rounding.
                if lower <= objective * (1 + 4e-15):
                    idle = 0 if lower < objective * (1 - 1e-14) else idle + 1
                    self.theta, self.kinks, objective = *trial, lower
                    break
                step /= 2
            else:
                step = 0.0
            self.reach *= 8.0 if step == 1.0 and self.reach < LONGEST * self.scale else 0.1 if step < 0.5 else 1.0

    def _offered(self, active: ActiveSet) -> tuple[np.ndarray, np.ndarray]:
        """The minimiser of the model, offered as a solution: what the line search refuses is a function all the same.

        Returns its values and kinks at the nodes.
        """
        polished = polish(active)
        kinks = np.zeros(self.theta.size)
        kinks[active.state.basis.places] = active.state.kinks
        spline = polished.spline.shifted(self.line.anchor, self.line.value, self.line.slope)
        self.best.offer(spline, self._dual(polished.theta[self.nodes.node_of]))
        return polished.theta.astype(np.float64), kinks

    def _model(self) -> ActiveSet:
        """The minimiser of the quadratic model at the current values."""
        fit = self.theta[self.nodes.node_of]
        problem, weight = self.best.problem, self.samples.weight
        slope = self.nodes.sums(problem.loss.gradient(fit, self.target, weight))
        curve = self.nodes.sums(_curvature(problem.loss, fit, self.target, weight))
        # No sample may ask to move further than ``reach``: flat terms would pull without limit.
        curve = np.maximum(np.maximum(curve, np.abs(slope) / self.reach), 1e-30 * float(curve.max() or 1.0))
        core = Quadratic(self.nodes.x, curve, self.theta - slope / curve, self.price)
        places = np.flatnonzero(self.kinks)
        active = ActiveSet(core, places, np.sign(self.kinks[places]))
        while active.gap() > INNER_GAP and not self.best.monitor.out_of_time() and active.step():
            pass
        return active

    def _dual(self, fit: np.ndarray) -> np.ndarray:
        """Minus the gradient at a fit, orthogonal to lines and in the domain."""
        loss, y, weight = self.best.problem.loss, self.target, self.samples.weight
        plain = fit.astype(np.float64)
        curve = _curvature(loss, plain, y, weight)
        if loss.name == "logistic":
            nu = dual_vector(self.samples, -loss.gradient(plain, y, weight), curve).astype(np.float64)
            return loss.clip_dual(nu, self.samples.y, weight)
        low, high = loss._dual_box(y, weight)
        raw = np.clip(weight * (self.samples.target - fit), low, high)
        return np.clip(dual_vector(self.samples, raw, curve), low, high)


def _curvature(loss: object, fit: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Second derivatives of the terms."""
    if getattr(loss, "name", "") == "logistic":
        margin = np.abs(fit)
        odds = np.exp(-margin)
        return weight * odds / (1 + odds) ** 2
    return np.where(np.abs(fit - y) <= getattr(loss, "delta", np.inf), weight, 0.0)
