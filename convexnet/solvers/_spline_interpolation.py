"""Interpolation in one variable: connecting the dots has the least total variation of the slope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, InfeasibleError
from ..networks._knots import distinct_kinks
from ..networks.linear_spline import LinearSpline
from ..pricing import relative_gap
from ._spline_nodes import Nodes, nodes_of
from ._spline_objective import kink_price, spline_objective
from ._spline_result import SplineResult

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from ._monitor import Monitor

__all__ = ["solve_interpolation"]

Long = np.longdouble


def solve_interpolation(problem: TrainingProblem, monitor: Monitor) -> SplineResult:
    """The function that connects the dots, and the proof that none through them has less total variation."""
    nodes = nodes_of(problem)
    _check_slopes(problem, nodes)
    values = _node_targets(problem, nodes)
    spline = LinearSpline.from_values(nodes.x, values)
    bound, node_nu = _least_variation(nodes.x, values)
    price = kink_price(problem)
    objective, bound = spline_objective(problem, spline), price * bound * (1 - 1e-15)
    nu = np.zeros(problem.n)
    nu[nodes.order[nodes.starts]] = price * node_nu
    monitor.report(objective, bound, spline.n_knots)
    return SplineResult(
        spline, spline.to_network(problem.activation, problem.negative_slope), objective, bound,
        relative_gap(objective, bound), nu, monitor.status or "stalled", 0, "interpolation", tuple(monitor.history),
        monitor.seconds, problem,
    )  # fmt: skip


def _check_slopes(problem: TrainingProblem, nodes: Nodes) -> None:
    """Slopes must not overflow: named here rather than as inf in a network."""
    gap = float(np.min(np.diff(nodes.x), initial=np.inf))
    if float(np.ptp(problem.y)) > 1e300 * gap:
        raise DataError(f"Abscissae {gap:.1e} apart make slopes that overflow; rescale X, or merge such samples.")


def _node_targets(problem: TrainingProblem, nodes: Nodes) -> np.ndarray:
    """The target of each node; InfeasibleError with a Farkas vector if a node has two."""
    y = problem.y[nodes.order]
    values = y[nodes.starts]
    other = np.flatnonzero(y != values[nodes.node_of])
    if other.size:
        i, j = nodes.order[other[0]], nodes.order[nodes.starts[nodes.node_of[other[0]]]]
        nu = np.zeros(problem.n)
        nu[i] = np.sign(problem.y[i] - problem.y[j])
        nu[j] = -nu[i]
        raise InfeasibleError(
            f"Samples {j} and {i} have the same x = {problem.X[i, 0]:.17g} but y = {problem.y[j]:.6g} and "
            f"{problem.y[i]:.6g}: no function interpolates both. Merge repeated abscissae, or use loss='squared'.",
            nu,
        )
    return values


def _least_variation(x: np.ndarray, values: np.ndarray) -> tuple[float, np.ndarray]:
    """A lower bound of TV(f') over all functions through the points, and its dual vector.

    The dual function is the sign of each kink at its node, linear in between; where there is none the last sign goes
    on. Kinks within the rounding of the values are left out of the bound, which keeps it valid.
    """
    if x.size < 3:
        return 0.0, np.zeros(x.size)
    places, kinks = distinct_kinks(x, values)
    slopes = np.diff(values.astype(Long)) / np.diff(x.astype(Long))
    unit = float(np.finfo(Long).eps)
    total = float(np.sum(np.abs(kinks.astype(Long))))
    bound = total * (1 - 4e-16) - 8 * unit * float(np.sum(np.abs(slopes)))
    u = np.zeros(x.size)
    u[places] = np.sign(kinks)
    last = np.maximum.accumulate(np.where(u != 0, np.arange(x.size), 0))
    u = u[last]
    u[-1] = 0.0
    pull = np.diff(u) / np.diff(x)
    return max(bound, 0.0), np.append(pull, 0.0) - np.append(0.0, pull)
