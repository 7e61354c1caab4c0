r"""Judge a network of threshold neurons by dual vectors, priced over activation patterns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_positive
from ..errors import TooManyCellsError
from ..networks.threshold import ThresholdNetwork
from ..pricing import dual_bound, enumerable, feasible_dual, relative_gap
from ..pricing.threshold import ThresholdPricer, check_threshold, price_threshold, threshold_patterns
from ..problem import check_problem
from ._listed import ListedBound, best_bound, bounded_certificate
from .certificate import Certificate
from .tolerances import check_tolerance, largest_residual, rounding_of_objective, rounding_of_zero
from .verdict import own_duals

if TYPE_CHECKING:
    from ..arrangements import FacePatterns, PatternSet
    from ..problem import TrainingProblem

__all__ = ["judge_threshold"]


def judge_threshold(
    problem: TrainingProblem,
    network: ThresholdNetwork,
    *,
    patterns: PatternSet | FacePatterns | None = None,
    nu: Any = None,
    tol: float = 1e-6,
    time_limit: float | None = None,
) -> Certificate:
    r"""Bound the objective of every network of threshold neurons from below and judge one network by it.

    .. math:: \text{objective} \ge \max_{0 \le s \le \mathrm{reg}/M(\nu)} -L^*(-s \nu), \qquad
              M(\nu) = \max_u |\nu^\top 1[X u \ge 0]|

    M(nu) is the maximum over all patterns where they are listed completely, else at most the larger of the sums of the
    positive and of the negative entries of nu.

    Parameters
    ----------
    problem : TrainingProblem
        With ``activation="threshold"``.
    network : ThresholdNetwork
        However it was trained.
    patterns : PatternSet or FacePatterns, optional
        Of ``problem.extended``. Default: all of them, if listing them takes seconds.
    nu : ndarray or list of ndarray, optional
        Dual vectors to try besides the network's own residual, e.g. that of :func:`convexnet.solvers.solve_threshold`.
    tol : float
        Relative gap asked for, below 1.
    time_limit : float, optional
        Seconds for listing the patterns; the bound is then weaker, never wrong.

    Returns
    -------
    Certificate

    Raises
    ------
    NetworkError
        If the network is outside the class of the problem.
    PatternError
        If the patterns belong to other data.
    ProblemError
        If the problem has another activation, ``nu`` another shape, or ``tol`` is not in (0, 1).

    References
    ----------
    Ergen, Gulluk, Lacotte and Pilanci (2023), "Globally optimal training of neural networks with threshold activation
    functions"; weak duality.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> from convexnet.solvers import solve_threshold
    >>> problem = TrainingProblem([[-1.0], [0.0], [1.0]], [0.0, 1.0, 0.0], reg=0.1, activation="threshold")
    >>> result = solve_threshold(problem)
    >>> judge_threshold(problem, result.network, nu=result.nu).verdict
    'optimal'
    """
    start = time.perf_counter()
    check_problem(problem)
    check_threshold(problem, "judge_threshold")
    tol = check_tolerance(tol)
    limit = None if time_limit is None else check_positive(time_limit, "time_limit")
    objective = problem.objective(network)
    pricer = _pricer(problem, patterns, limit)
    misfit = largest_residual(problem, network.predict(problem.X), objective)
    bounds = [_bound(problem, vector, pricer, misfit) for vector in own_duals(problem, network, nu)]
    best, listed = best_bound(bounds)
    zero = rounding_of_zero(problem)
    upper = objective if objective <= zero else objective + rounding_of_objective(problem, network, objective)
    gap = relative_gap(upper, best.value, zero)
    listed_gap = None if listed is None else relative_gap(upper, listed, zero)
    return bounded_certificate(
        problem, network, best, objective=objective, gap=gap, listed=listed, listed_gap=listed_gap, tol=tol,
        misfit=misfit, n_patterns=0 if pricer is None else len(pricer), start=start,
    )  # fmt: skip


def _pricer(
    problem: TrainingProblem, patterns: PatternSet | FacePatterns | None, limit: float | None
) -> ThresholdPricer | None:
    if patterns is None and enumerable(problem):
        try:
            patterns = threshold_patterns(problem, time_limit=limit)
        except TooManyCellsError:
            return None
    return None if patterns is None else ThresholdPricer(problem, patterns)


def _bound(
    problem: TrainingProblem, nu: np.ndarray, pricer: ThresholdPricer | None, misfit: float
) -> ListedBound:
    """One dual vector's lower bound over all networks, and over the listed patterns where they are not all."""
    point = feasible_dual(problem, nu)
    every, listed = price_threshold(problem, point.nu), None
    if pricer is not None:
        cells = pricer.price(point.nu)
        if pricer.complete:
            every = cells
        else:
            listed = dual_bound(problem, point, cells.bound, misfit=misfit)[0]
    value, scale = dual_bound(problem, point, every.bound, misfit=misfit)
    listed = None if listed is None else max(listed, value)
    return ListedBound(value, point.nu, scale, every.bound, every.method, listed)
