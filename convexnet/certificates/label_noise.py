r"""Judge a network under the label-noise regulariser by dual vectors, priced in output space."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .._validation import check_positive
from ..arrangements import FacePatterns, PatternSet
from ..errors import PatternError
from ..networks.shallow import ShallowNetwork
from ..pricing import PricingResult, dual_bound, enumerable, feasible_dual, relative_gap
from ..pricing.label_noise import LabelNoisePricer, check_label_noise, label_noise_patterns, price_points
from ..problem import TrainingProblem, check_problem
from ._listed import ListedBound, best_bound, bounded_certificate
from .certificate import Certificate
from .tolerances import check_tolerance, largest_residual, rounding_of_objective
from .verdict import own_duals

__all__ = ["judge_label_noise"]


def judge_label_noise(
    problem: TrainingProblem,
    network: ShallowNetwork,
    *,
    patterns: PatternSet | FacePatterns | None = None,
    nu: Any = None,
    tol: float = 1e-6,
    time_limit: float | None = None,
    pricer: LabelNoisePricer | None = None,
) -> Certificate:
    r"""Bound the label-noise objective of every network from below and judge one network by it.

    .. math:: \text{objective} \ge \max_{0 \le s \le \mathrm{reg}/M(\nu)} -L^*(-s \nu), \qquad
              M(\nu) = \max_u \frac{|\nu^\top \sigma(X u)|}{\kappa(u)\, \|\sigma(X u)\|}

    M(nu) is bounded over all cells where they are listed completely, else by single points
    (:func:`convexnet.pricing.price_points`); the smaller bound counts.

    Parameters
    ----------
    problem : TrainingProblem
        With ``norm="label_noise"``.
    network : ShallowNetwork
        Any network of the problem's class, however it was trained.
    patterns : PatternSet or FacePatterns, optional
        Activation patterns of ``problem.extended``. Default: all of them, if listing them takes seconds.
    nu : ndarray or list of ndarray, optional
        Dual vectors to try besides the network's own residual.
    tol : float
        Relative gap asked for, below 1.
    time_limit : float, optional
        Seconds; the bound is then weaker, never wrong.
    pricer : LabelNoisePricer, optional
        Prepared pricing of the patterns.

    Returns
    -------
    Certificate

    Raises
    ------
    NetworkError
        If the network is outside the class of the problem.
    PatternError
        If the patterns, or those of ``pricer``, belong to other data.
    ProblemError
        If the problem has another norm, ``nu`` another shape, or ``tol`` is not in (0, 1).

    References
    ----------
    Weak duality, as for weight decay (Pilanci and Ergen 2020); the regulariser: de Dios and Bruna (2020).

    Examples
    --------
    >>> from convexnet import ShallowNetwork, TrainingProblem
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.1, norm="label_noise", bias="none")
    >>> judge_label_noise(problem, ShallowNetwork([[0.9]], [0.0], [1.0])).verdict
    'optimal'
    """
    start = time.perf_counter()
    check_problem(problem)
    check_label_noise(problem, "judge_label_noise")
    tol = check_tolerance(tol)
    deadline = None if time_limit is None else start + check_positive(time_limit, "time_limit")
    objective = problem.objective(network)
    if pricer is not None:
        _check_pricer(pricer, problem)
    else:
        if patterns is None and enumerable(problem):
            patterns = label_noise_patterns(problem)
        pricer = None if patterns is None else LabelNoisePricer(problem, patterns)
    misfit = largest_residual(problem, network.predict(problem.X), objective)
    bounds = [_bound(problem, vector, pricer, deadline, misfit) for vector in own_duals(problem, network, nu)]
    best, listed = best_bound(bounds)
    upper = objective + rounding_of_objective(problem, network, objective)
    gap = relative_gap(upper, best.value)
    # Points on a border that rounding makes inactive take a neuron out of the list, to a smaller cost.
    listed_gap = None if listed is None else 0.0 if upper <= listed else relative_gap(upper, listed)
    return bounded_certificate(
        problem, network, best, objective=objective, gap=gap, listed=listed, listed_gap=listed_gap, tol=tol,
        misfit=misfit, n_patterns=0 if pricer is None else len(pricer.cells), start=start,
    )  # fmt: skip


def _check_pricer(pricer: LabelNoisePricer, problem: TrainingProblem) -> None:
    """Prices of other data or slopes would bound another problem."""
    if pricer.problem.kappa != problem.kappa or not np.array_equal(pricer.problem.extended, problem.extended):
        raise PatternError("pricer belongs to a problem with other data, bias or activation; leave it out.")


def _bound(
    problem: TrainingProblem, nu: np.ndarray, pricer: LabelNoisePricer | None, deadline: float | None, misfit: float
) -> ListedBound:
    """One dual vector's lower bound over all networks, and over the listed patterns where they are not all."""
    point = feasible_dual(problem, nu)
    every: PricingResult = price_points(problem, point.nu)
    listed = None
    if pricer is not None:
        cells = pricer.price(point.nu, threshold=problem.reg * (1 - 1e-9), deadline=deadline)
        if pricer.complete:
            every = min((cells, every), key=lambda result: result.bound)
        else:
            listed = dual_bound(problem, point, min(cells.bound, every.bound), misfit=misfit)[0]
    value, scale = dual_bound(problem, point, every.bound, misfit=misfit)
    return ListedBound(value, point.nu, scale, every.bound, every.method, listed)
