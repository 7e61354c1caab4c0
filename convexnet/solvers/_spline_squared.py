"""The squared loss in one variable: merged samples, active set, certified gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..networks.linear_spline import LinearSpline
from ._spline_active import ActiveSet
from ._spline_best import Best
from ._spline_dual import dual_vector, samples_of
from ._spline_hats import Quadratic
from ._spline_interior import proposed_knots
from ._spline_nodes import Line, Nodes, fitted_line, nodes_of
from ._spline_objective import kink_price
from ._spline_polish import polish

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from ._monitor import Monitor
    from ._spline_result import SplineResult

__all__ = ["solve_squared"]

MANY = 500
LAST = 10


def solve_squared(problem: TrainingProblem, monitor: Monitor, method: str, start: LinearSpline | None) -> SplineResult:
    """The squared loss with free biases and a skip connection."""
    nodes = nodes_of(problem)
    weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
    line = fitted_line(problem.X[nodes.order, 0], weight[nodes.order], problem.y[nodes.order])
    samples = samples_of(problem, nodes, line)
    total = nodes.sums(samples.weight)
    mean = nodes.sums(samples.weight * samples.target) / total
    core = Quadratic(nodes.x, total, mean.astype(np.float64), kink_price(problem))
    spread = samples.target - mean[nodes.node_of]
    best = Best(problem, samples, monitor)
    if best.settled(line):
        return best.result("line")
    name = "active_set"
    with monitor.interruptible():
        active = _begin(core, start) if method != "interior_point" else _from_interior(core, monitor)
        while True:
            if method == "auto" and name == "active_set" and _crowded(active):
                name = "interior_point"
                other = _from_interior(core, monitor)
                active = other if other.state.objective < active.state.objective else active
            going = active.gap() > 0.1 * monitor.tol and not monitor.expired() and active.step()
            monitor.iteration += going
            if not going or monitor.callback is not None:
                _offer(best, active, nodes, line, spread)
            if not going or monitor.status:
                break
        for _ in range(LAST):
            if monitor.expired() or not active.step(1e-13):
                break
            _offer(best, active, nodes, line, spread)
    return best.result(method if method != "auto" else name)


def _crowded(active: ActiveSet) -> bool:
    """Whether so many nodes are knots that the interior point method is faster; it cannot resolve tiny spacings."""
    gaps, knots = active.gaps, active.state.signs.size
    return knots > max(MANY, active.problem.x.size // 8) and float(gaps.min()) > 1e-5 * float(gaps.mean())


def _from_interior(core: Quadratic, monitor: Monitor) -> ActiveSet:
    """The active set started from the knots that the interior point method proposes."""
    if core.x.size < 3:
        return ActiveSet(core)
    return ActiveSet(core, *proposed_knots(core, monitor.out_of_time))


def _begin(core: Quadratic, start: LinearSpline | None) -> ActiveSet:
    """The straight line, or the knots of a given spline moved onto the data."""
    if start is None or core.x.size < 3:
        return ActiveSet(core)
    moved = start.on_nodes(core.x)
    return ActiveSet(core, np.searchsorted(core.x, moved.knots), np.sign(moved.kinks))


def _offer(best: Best, active: ActiveSet, nodes: Nodes, line: Line, spread: np.ndarray) -> None:
    """The active set's function and its residual as a dual vector, orthogonal to lines.

    Residuals are taken from the targets that the active set was given, so that what it knows of their sums stays true
    where they are no larger than the rounding of the targets; ``spread`` is how samples of one node differ.
    """
    polished = polish(active)
    residual = active.problem.y.astype(np.longdouble) - polished.theta
    raw = best.samples.weight * (residual[nodes.node_of] + spread)
    spline = polished.spline.shifted(line.anchor, line.value, line.slope)
    best.offer(spline, dual_vector(best.samples, raw, best.samples.weight))
