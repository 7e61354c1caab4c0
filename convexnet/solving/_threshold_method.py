r"""Training of threshold networks behind the front door: the lasso over patterns, and its certificate."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from ..arrangements import FacePatterns, PatternSet, sample_patterns
from ..certificates.farkas import check_interpolable
from ..certificates.threshold import judge_threshold
from ..errors import IncompletePatternsWarning, TooManyCellsError
from ..pricing import enumerable, threshold_patterns
from ..pricing.threshold import check_threshold
from ..solvers.threshold import solve_threshold
from ._certified import Options, certified_solution

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from .solution import Solution

__all__ = ["solve_threshold_network"]

_SAMPLED = 5000
"""Random patterns drawn where all of them cannot be listed."""
_ROUNDS = 500
_SHARE = 0.8
"""Share of the time limit that the solver may take."""


def solve_threshold_network(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> Solution:
    r"""Solve the lasso over the listed patterns (all where they can be listed) and certify the network.

    .. math:: \min_{m, u_j, a_j}\; L\Big(\sum_{j=1}^m a_j 1[X u_j \ge 0],\, y\Big) + \mathrm{reg} \sum_j |a_j|

    Raises
    ------
    ProblemError
        If the problem has another activation.
    InfeasibleError
        If no network interpolates the targets.
    """
    check_threshold(problem, "method='threshold'")
    if problem.loss.name == "interpolation":
        check_interpolable(problem)
    listed = patterns if patterns is not None else _listed(problem, options)
    found = solve_threshold(
        problem, listed, tol=min(1e-10, options.tol), time_limit=_SHARE * options.remaining(),
        max_iter=options.max_iter or _ROUNDS, callback=options.callback,
    )  # fmt: skip
    certificate = judge_threshold(problem, found.network, patterns=listed, nu=found.nu, tol=options.tol)
    return certified_solution(
        problem, found.network, certificate, found.status, listed, found.history, "threshold", options
    )


def _listed(problem: TrainingProblem, options: Options) -> PatternSet | FacePatterns:
    """All patterns, or random ones with a warning."""
    if enumerable(problem):
        try:
            return threshold_patterns(problem, time_limit=max(0.5 * options.left(), 0.01))
        except TooManyCellsError:
            pass
    sampled = sample_patterns(problem.extended, _SAMPLED, random_state=options.random_state)
    warnings.warn(
        f"Too many activation patterns to list all: {len(sampled)} were drawn, so the result is judged over these and "
        "bounded over all networks.",
        IncompletePatternsWarning,
        stacklevel=4,
    )
    return sampled
