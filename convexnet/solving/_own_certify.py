"""Certifying where neurons are priced in their own way: threshold activations and the label-noise norm."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..certificates.label_noise import judge_label_noise
from ..certificates.threshold import judge_threshold
from ..certificates.verdict import dual_vectors
from ..errors import IncompletePatternsWarning, NotCertifiedWarning, ProblemError

if TYPE_CHECKING:
    from ..arrangements import FacePatterns, PatternSet
    from ..certificates import Certificate
    from ..problem import TrainingProblem
    from ..solvers.result import Progress

__all__ = ["certify_own_kind", "is_own_kind"]

_SHARE = 0.7
"""Of the time limit, for training; the verdict lists and prices patterns once more."""
_LEAST_SECONDS = 0.05


def is_own_kind(problem: TrainingProblem) -> bool:
    """Whether the problem has a program, a pricing and a judge of its own."""
    return problem.activation == "threshold" or problem.norm == "label_noise"


def certify_own_kind(
    problem: TrainingProblem, network: Any, *, nu: Any, patterns: PatternSet | FacePatterns | None, tol: float,
    time_limit: float, random_state: int, method: str, proof: bool,
    callback: Callable[[float, float, float], object] | None,
) -> Certificate:  # fmt: skip
    """Solve for a dual vector, judge the given network by it, and name the solution where it is better.

    Raises
    ------
    ProblemError
        For a method of bounding that is not theirs, or ``proof=True``.
    """
    from .front import solve

    start = time.perf_counter()
    what = "activation='threshold'" if problem.activation == "threshold" else "norm='label_noise'"
    if method != "auto":
        raise ProblemError(f"certify bounds {what} by its own pricing: leave method out, got {method!r}.")
    if proof:
        raise ProblemError(f"Proof files have no format for {what}; leave proof out.")
    given = dual_vectors(problem, nu)
    with warnings.catch_warnings():
        for category in (NotCertifiedWarning, IncompletePatternsWarning):  # the certificate says so
            warnings.simplefilter("ignore", category)
        solution = solve(
            problem, patterns=patterns, tol=tol, time_limit=_SHARE * time_limit, random_state=random_state,
            callback=None if callback is None else _passed_on(callback),
        )  # fmt: skip
    found = solution.certificate
    if network is not None or given:
        judge: Any = judge_threshold if problem.activation == "threshold" else judge_label_noise
        found = judge(
            problem, solution.network if network is None else network, nu=[*given, found.nu], tol=tol,
            patterns=solution.patterns if patterns is None else patterns,
            time_limit=max(time_limit - (time.perf_counter() - start), _LEAST_SECONDS),
        )  # fmt: skip
    better = problem.objective(solution.network)
    if better < found.upper_bound:
        rival: Any = solution.network
        refuted = found.verdict == "bound" and better < found.upper_bound * (1 - tol)
        found = replace(
            found, improved=rival, improved_objective=better, verdict="refuted" if refuted else found.verdict
        )
    return replace(found, wall_time=time.perf_counter() - start)


def _passed_on(callback: Callable[[float, float, float], object]) -> Callable[[Progress], object]:
    """Steps of the solver in which the objective or the bound improved."""
    known: list[tuple[float, float]] = []

    def report(record: Progress) -> object:
        state = (record.objective, record.lower_bound)
        if not known or state != known[-1]:
            known.append(state)
            callback(record.seconds, *state)
        return None

    return report
