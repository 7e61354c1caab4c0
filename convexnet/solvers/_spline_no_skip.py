r"""One input variable with free biases and no skip connection: lines are paid for as well."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ProblemError
from ..networks.no_skip import no_skip_network, no_skip_norm
from ..pricing import dual_bound, feasible_dual, relative_gap
from ..pricing.univariate import price_univariate
from ._centred import centring
from ._line_shift import moved_back
from ._line_spline import spline_of
from ._monitor import Monitor, started
from ._spline_interpolation import node_targets
from ._spline_nodes import nodes_of
from ._spline_penalized import Callback, solve_penalized
from ._spline_result import SplineResult

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["solve_no_skip"]


def solve_no_skip(
    problem: TrainingProblem,
    *,
    tol: float = 1e-10,
    time_limit: float = 600.0,
    max_iter: int | None = None,
    callback: Callback | None = None,
) -> SplineResult:
    r"""Train with free biases and no skip connection.

    A function with knots at the data then costs, with the sum S of the slopes of its first and last piece,

    .. math:: \max\big(\mathrm{TV}(f'),\ (\mathrm{TV}(f') + |S|) / 2\big)

    (ReLU), which interpolation evaluates. Where the best function with a skip connection costs no more without one, it
    is the answer; otherwise knots are generated from the exact pricing.

    Parameters
    ----------
    problem : TrainingProblem
        One feature, one output, ``bias="free"``, no skip connection.
    tol, time_limit, max_iter, callback
        As for ``solve_spline``.

    Returns
    -------
    SplineResult

    Raises
    ------
    InfeasibleError
        For interpolation, if one abscissa has two targets.

    References
    ----------
    Savarese, Evron, Soudry and Srebro (2019), "How do infinite width bounded norm networks look in function space?".

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 3.0], loss="interpolation", bias="free")
    >>> result = solve_no_skip(problem)
    >>> result.objective, result.status
    (2.0, 'solved')
    """
    if problem.loss.name == "interpolation" and problem.kappa == 0:
        near = centring(problem)
        return moved_back(_interpolated(near.problem, tol), near)
    monitor = started(tol, time_limit, max_iter, callback)
    if problem.kappa == 0 and callback is None:
        near = centring(problem)
        balanced = _without_line(near.problem, monitor)
        if balanced is not None:
            return moved_back(balanced, near)
    left = max(time_limit - monitor.seconds, 1e-3)
    return solve_penalized(problem, tol=tol, time_limit=left, max_iter=max_iter, callback=callback)


def _without_line(problem: TrainingProblem, monitor: Monitor) -> SplineResult | None:
    r"""The optimum with a skip connection where it costs no more without one, ``|S| <= TV``; else None.

    Its dual vector is orthogonal to the line as well, so that it is feasible here, with the same value.
    """
    from .spline import spline_result

    try:
        found = spline_result(problem.with_options(skip=True), monitor)
    except ProblemError:  # such as labels that a line separates
        return None
    if found.status == "interrupted":
        raise KeyboardInterrupt
    spline, x = found.spline, problem.X[:, 0]
    if found.status != "solved" or spline is None or x.min() == x.max():
        return None
    places = np.concatenate([[x.min()], spline.knots, [x.max()]])
    if not np.all(np.diff(places) > 0):
        return None
    network = no_skip_network(places, spline.predict(places))
    objective = problem.objective(network)
    dual = feasible_dual(problem, found.nu)
    bound = price_univariate(problem, dual.nu).bound + dual.pricing_slack(problem)
    lower, scale = dual_bound(problem, dual, bound)
    gap = relative_gap(objective, min(lower, objective))
    if gap > monitor.tol:
        return None
    return replace(
        found, network=network, objective=objective, lower_bound=min(lower, objective), gap=gap, nu=scale * dual.nu,
        wall_time=monitor.seconds, problem=problem,
    )  # fmt: skip


def _interpolated(problem: TrainingProblem, tol: float) -> SplineResult:
    """The cheapest network through the points, and the subgradient of its norm as the proof."""
    began = time.perf_counter()
    nodes = nodes_of(problem)
    values = node_targets(problem, nodes)
    network = no_skip_network(nodes.x, values)
    nu = np.zeros(problem.n)
    nu[nodes.order[nodes.starts]] = _subgradient(nodes.x, values)
    dual = feasible_dual(problem, nu)
    bound = price_univariate(problem, dual.nu).bound + dual.pricing_slack(problem)
    lower, scale = dual_bound(problem, dual, bound)
    objective = no_skip_norm(nodes.x, values)
    lower = min(lower, objective)  # which is rounded
    gap = relative_gap(objective, lower)
    return SplineResult(
        spline=spline_of(network, float(nodes.x[nodes.x.size // 2])), network=network, objective=objective,
        lower_bound=lower, gap=gap, nu=(scale if np.isfinite(scale) else 1.0) * dual.nu,
        status="solved" if gap <= tol else "stalled", iterations=0, method="interpolation", history=(),
        wall_time=time.perf_counter() - began, problem=problem,
    )  # fmt: skip


def _subgradient(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of the norm, as a function of the values at the nodes."""
    if x.size < 2:
        return np.zeros(x.size)
    gaps = np.diff(x)
    slopes = np.diff(values) / gaps
    kinks = np.diff(slopes)
    total, ends = float(np.sum(np.abs(kinks))), float(slopes[0] + slopes[-1])
    share = 0.0 if total > abs(ends) else 1.0
    # Derivatives by the slopes; then by the values.
    signs = np.concatenate([[0.0], (1 - 0.5 * share) * np.sign(kinks), [0.0]])
    by_slope = signs[:-1] - signs[1:]
    by_slope[0] += 0.5 * share * np.sign(ends)
    by_slope[-1] += 0.5 * share * np.sign(ends)
    pull = by_slope / gaps
    return np.append(0.0, pull) - np.append(pull, 0.0)
