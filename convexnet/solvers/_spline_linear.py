"""Absolute and hinge losses in one variable: linear programs over few knots, which join where the dual is broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..networks.linear_spline import LinearSpline
from ._spline_active import run_maxima
from ._spline_best import Best
from ._spline_columns import Columns, columns_of
from ._spline_dual import Samples, dual_vector, kink_values, samples_of
from ._spline_nodes import Line, Nodes, fitted_line, nodes_of
from ._spline_objective import kink_price

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from ._monitor import Monitor
    from ._spline_result import SplineResult

__all__ = ["solve_linear"]

TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


@dataclass(frozen=True, eq=False)
class Vertex:
    """A spline (targets less the free line) and a multiplier for each sample."""

    spline: LinearSpline
    nu: np.ndarray


def solve_linear(problem: TrainingProblem, monitor: Monitor, start: LinearSpline | None) -> SplineResult:
    """A piecewise linear loss with free biases and a skip connection."""
    nodes = nodes_of(problem)
    order, line = nodes.order, Line()
    if problem.loss.name == "absolute":
        line = fitted_line(problem.X[order, 0], np.ones(order.size), problem.y[order])
    samples = samples_of(problem, nodes, line)
    best = Best(problem, samples, monitor)
    if best.settled(line):
        return best.result("line")
    places = np.zeros(0, dtype=int) if start is None else np.searchsorted(nodes.x, start.on_nodes(nodes.x).knots)
    with monitor.interruptible():
        while True:
            monitor.iteration += 1
            vertex = _vertex(problem, nodes, samples, places, monitor)
            if vertex is None:
                break
            found = _offered(best, nodes, line, places, vertex)
            grown = np.union1d(places, found)
            if monitor.expired() or grown.size == places.size:
                break
            places = grown
    return best.result("linear_program")


def _offered(best: Best, nodes: Nodes, line: Line, places: np.ndarray, vertex: Vertex) -> np.ndarray:
    """Offer the vertex as a solution; the nodes where its multipliers break the dual."""
    samples, loss = best.samples, best.problem.loss
    spline = vertex.spline.shifted(line.anchor, line.value, line.slope)
    low, high = loss._dual_box(samples.y, samples.weight)
    nu = np.clip(vertex.nu, low, high)
    nu = np.clip(dual_vector(samples, nu, np.minimum(nu - low, high - nu)), low, high)
    best.offer(spline, nu.astype(np.float64))
    u = kink_values(samples, nu)[0].astype(np.float64)[nodes.starts]
    u[places] = u[-1] = 0.0
    return run_maxima(u, kink_price(best.problem) * (1 + 1e-11))


def _vertex(
    problem: TrainingProblem, nodes: Nodes, samples: Samples, places: np.ndarray, monitor: Monitor
) -> Vertex | None:
    """Solve the linear program over splines with knots at the chosen nodes; None when that fails.

    The unknowns are those of :class:`Columns`, then losses.
    """
    from scipy.sparse import hstack, identity

    columns, n = columns_of(nodes, places), samples.order.size
    k, absolute = places.size, problem.loss.name == "absolute"
    height = (float(np.max(np.abs(samples.target))) if absolute else 1.0) or 1.0
    top = float(samples.weight.max())
    kinks, losses = kink_price(problem) / top * columns.price, samples.weight / top
    cost = np.concatenate([np.zeros(columns.free), kinks, kinks, losses, losses[: n * absolute]])
    bounds: list[Any] = [(None, None)] * columns.free + [(0, None)] * (cost.size - columns.free)
    program: dict[str, Any]
    if absolute:
        rows = hstack([columns.design, identity(n), -identity(n)], format="csc")
        program = _equations(columns, rows, (samples.target / height).astype(np.float64))
    else:
        rows = hstack([_scaled(-samples.y[:, None], columns.design), -identity(n)], format="csc")
        program = {"A_ub": rows, "b_ub": -np.ones(n), **_equations(columns, None, np.zeros(0), n)}
    found = _linear_program(cost, bounds, monitor, **program)
    if found is None:
        return None
    nu = found.eqlin.marginals[-n:] if absolute else -samples.y * found.ineqlin.marginals
    return Vertex(columns.spline(found.x[: columns.free + 2 * k], height), top * nu)


def _equations(columns: Columns, rows: Any, right: np.ndarray, losses: int = 0) -> dict[str, Any]:
    """The equations among the columns, then the given rows, if any."""
    from scipy.sparse import csc_matrix, hstack, vstack

    if columns.rows is None:
        return {} if rows is None else {"A_eq": rows, "b_eq": right}
    count = columns.rows.shape[0]
    own = hstack([columns.rows, csc_matrix((count, losses if rows is None else rows.shape[1] - columns.rows.shape[1]))])
    stacked = own if rows is None else vstack([own, rows])
    return {"A_eq": stacked.tocsc(), "b_eq": np.concatenate([np.zeros(count), right])}


def _scaled(factors: np.ndarray, design: Any) -> Any:
    """Rows of a dense or sparse matrix times factors (n, 1)."""
    return design.multiply(factors).tocsr() if hasattr(design, "tocsr") else factors * design


def _linear_program(cost: np.ndarray, bounds: list[Any], monitor: Monitor, **program: Any) -> Any:
    """The solution with the tightest tolerances that the solver manages, or None."""
    from scipy.optimize import linprog

    for options, method in ((TIGHT, "highs"), (TIGHT, "highs-ds"), ({}, "highs"), ({"presolve": False}, "highs-ds")):
        seconds = max(0.05, monitor.time_limit - monitor.seconds)
        found = linprog(cost, bounds=bounds, method=method, options={**options, "time_limit": seconds}, **program)
        if found.x is not None and found.status == 0:
            return found
        if monitor.out_of_time():
            break
    return None
