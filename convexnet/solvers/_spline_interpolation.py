"""Interpolation in one variable: connecting the dots has the least total variation of the slope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, InfeasibleError
from ..networks._knots import needed_knots
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
ROUNDINGS = 64
"""That a term can meet in a sum, which numpy takes in pairs of blocks."""


def solve_interpolation(problem: TrainingProblem, monitor: Monitor) -> SplineResult:
    """The function that connects the dots, and the proof that none through them has less total variation."""
    nodes = nodes_of(problem)
    _check_slopes(problem, nodes)
    values = node_targets(problem, nodes)
    spline, bound, node_nu = LinearSpline(np.zeros(0), np.zeros(0), nodes.x[0], values[0]), 0.0, np.zeros(nodes.x.size)
    if nodes.x.size > 1:
        places = needed_knots(nodes.x, values)
        spline = LinearSpline.through(nodes.x, values, places)
        bound, node_nu = _least_variation(nodes.x, values, places)
    price = kink_price(problem)
    objective = spline_objective(problem, spline)
    bound = min(price * bound * (1 - 1e-15), objective)  # rounded kinks may cost less than those of the points
    nu = np.zeros(problem.n)
    nu[nodes.order[nodes.starts]] = price * node_nu
    with monitor.interruptible():
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


def node_targets(problem: TrainingProblem, nodes: Nodes) -> np.ndarray:
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


def _least_variation(x: np.ndarray, values: np.ndarray, places: np.ndarray) -> tuple[float, np.ndarray]:
    """A lower bound of TV(f') over all functions through the points, and its dual vector.

    The points at ``places`` and the outer ones alone ask for that much. The dual function is the sign of each kink at
    its node and linear in between; pieces along which it stays the same add nothing, not even their rounding.
    """
    nu = np.zeros(x.size)
    chosen = np.concatenate([[0], places, [x.size - 1]])
    slopes = np.diff(values[chosen].astype(Long)) / np.diff(x[chosen].astype(Long))
    u = np.concatenate([[0.0], np.sign(np.diff(slopes)), [0.0]]).astype(np.float64)
    terms = -np.diff(u) * slopes
    roundings = 2 + 0.5 * min(int(np.count_nonzero(terms)), ROUNDINGS)
    bound = float(np.sum(terms)) * (1 - 4e-16) - roundings * float(np.finfo(Long).eps) * float(np.sum(np.abs(terms)))
    pull = np.diff(u) / np.diff(x[chosen])
    nu[chosen] = np.append(pull, 0.0) - np.append(0.0, pull)
    return max(bound, 0.0), nu
