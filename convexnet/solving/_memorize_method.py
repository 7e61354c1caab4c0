"""Interpolation behind the front door, where cell generation over a list is not the way: the engine of ``memorize``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import PatternError, ProblemError
from ._line_memory import fits_on_line
from .memorization import fitted
from .solution import Solution

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem
    from ._certified import Options

__all__ = ["fits_on_line", "solve_memorization"]


def solve_memorization(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> Solution:
    """Fit the targets exactly with the smallest norm, as :func:`convexnet.memorize` does.

    Raises
    ------
    ProblemError
        For another loss, or several outputs.
    PatternError
        If patterns are given.
    SolverError
        If no exact fit was found.
    """
    if problem.loss.name != "interpolation" or not problem.scalar:
        raise ProblemError("method='memorize' fits one output exactly; state the problem with loss='interpolation'.")
    if patterns is not None:
        raise PatternError("method='memorize' finds its own patterns; leave them out, or use method='cells'.")
    found = fitted(
        problem, tol=options.tol, start=options.start, time_limit=options.time_limit,
        random_state=options.random_state, callback=options.callback,
    )  # fmt: skip
    return Solution(
        network=found.network,
        objective=found.path_norm,
        certificate=found.certificate,
        status=found.status,
        patterns=found.patterns,
        history=found.history,
        method="cells" if found.method == "cells" else f"memorize ({found.method})",
        problem=problem,
        random_state=options.random_state,
        wall_time=time.perf_counter() - options.start,
    )
