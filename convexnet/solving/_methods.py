r"""The methods behind the front door: each solves the problem its own way and hands a network to be certified."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..arrangements import PatternSet, enumerate_patterns, sample_patterns
from ..certificates import Certificate, certify_gated, judge
from ..errors import IncompletePatternsWarning, PatternError, ProblemError, TooManyCellsError
from ..networks.gated import GatedNetwork
from ..networks.shallow import ShallowNetwork
from ..pricing import CellPricer, PricingResult, enumerable, relative_gap
from ..pricing.gated import check_groups
from ..solvers.result import Progress
from ._loop import bound_over_all
from .cell_generation import Generated, generate_cells
from .master import Master
from .polish import tidied
from .solution import Solution
from .starting_cells import likely_patterns

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["METHODS", "Options", "chosen_method"]

Callback = Callable[[Progress], object]

_PROGRAM_TOL = 1e-10
"""Accuracy asked of the conic solver when the whole program is solved at once."""
_ADOPTIONS = 3
"""Times that a better network met while certifying is taken over."""
_SAMPLED = 100
"""Random patterns drawn where all of them cannot be listed."""
_ROUNDS = 100
"""Most rounds of cell generation."""
_FEW_CELLS = 50_000
"""Up to so many cells are listed to certify a network that was found without them."""
_CONIC_ENTRIES = 500_000
"""Entries of the gate blocks up to which the conic program is tried where the fast solver stalls."""
_ROUNDING = 1e-9
"""Relative differences of objectives up to this are no improvement."""
_SHARE = 0.8
"""Share of the time limit that the ReLU solver may take; the bound over all networks needs some too."""
_BOUND_SHARE = 0.3
"""Time for that bound, as a share of the ReLU solver's: longer searches are what ``certify`` is for."""
_BOUND_SECONDS = 1.0
"""Seconds that it may take in any case, as far as the time limit allows."""


@dataclass(frozen=True)
class Options:
    """What the caller asked for, checked."""

    tol: float
    time_limit: float
    max_iter: int | None
    solver: str
    random_state: int
    callback: Callback | None
    group: str
    start: float

    def remaining(self) -> float:
        return max(self.time_limit - (time.perf_counter() - self.start), 0.05)


# ------------------------------------------------------------------------------------------------ which one, over what
def chosen_method(
    problem: TrainingProblem, patterns: PatternSet | None, options: Options
) -> tuple[str, PatternSet | None]:
    """What ``auto`` means: cells where all can be listed in seconds, or over the given ones, else the ReLU solver.

    Up to some hundred patterns the whole program is a few hundredths of a second faster than cells, but its networks
    have up to three times as many neurons; it is never picked.
    """
    if not problem.scalar:
        if patterns is not None:
            raise ProblemError(
                "ReLU training with several outputs shared by the neurons has no tractable program over patterns; "
                "leave patterns out (method='relu'), use method='gated', or train one output at a time."
            )
        return "relu", None
    if patterns is not None:
        return "cells", patterns
    patterns = _all_patterns(problem, options) if enumerable(problem) else None
    if patterns is not None or problem.loss.name == "interpolation":
        return "cells", patterns
    return "relu", None


def _all_patterns(problem: TrainingProblem, options: Options) -> PatternSet | None:
    """Every pattern, or None if time runs out."""
    try:
        return enumerate_patterns(problem.extended, time_limit=options.time_limit / 2)
    except TooManyCellsError:
        return None


def _listed(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> PatternSet:
    """The given patterns, or all, or likely ones with a warning."""
    if not problem.scalar:
        raise ProblemError(
            "ReLU training with several outputs shared by the neurons has no tractable convex program; use "
            "method='relu', method='gated', or train one output at a time."
        )
    if patterns is None and enumerable(problem):
        patterns = _all_patterns(problem, options)
    if patterns is not None:
        return patterns
    sampled = likely_patterns(problem, _SAMPLED, options.random_state, options.time_limit / 4)
    if not sampled.complete:
        warnings.warn(
            f"Too many activation patterns to list all: {len(sampled)} were chosen, so the result is judged over these "
            "and bounded over all networks.",
            IncompletePatternsWarning,
            stacklevel=4,
        )
    return sampled


# ------------------------------------------------------------------------------------------------------- ReLU networks
def _solve_cells(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> Solution:
    patterns = _listed(problem, patterns, options)
    pricer = CellPricer(problem, patterns)
    found = generate_cells(
        problem, patterns, pricer=pricer, tol=options.tol, time_limit=options.remaining(), solver=options.solver,
        random_state=options.random_state, callback=options.callback, max_iter=options.max_iter or _ROUNDS,
    )  # fmt: skip
    return _certified(problem, patterns, pricer, found, "cells", options)


def _solve_program(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> Solution:
    patterns = _listed(problem, patterns, options)
    master = Master(problem, patterns, options.solver, options.max_iter)
    pairs = [(cell, sign) for cell in range(len(patterns)) for sign in (1, -1)]
    whole = master.solve(pairs, min(_PROGRAM_TOL, options.tol), options.remaining())
    found = Generated(whole.network, whole.nu, whole.limit or "solved", ())
    solution = _certified(problem, patterns, CellPricer(problem, patterns), found, "program", options)
    if options.callback is not None:
        options.callback(_last(solution))
    return solution


def _last(solution: Solution) -> Progress:
    """The one report of a method that cannot report on the way."""
    bound = solution.certificate
    lower = bound.lower_bound if bound.listed_lower_bound is None else bound.listed_lower_bound
    gap = relative_gap(solution.objective, lower)
    return Progress(solution.wall_time, 1, solution.objective, lower, gap, solution.size)


def _solve_relu(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> Solution:
    from ..solvers.relu import solve_relu

    if patterns is not None and not patterns.proven:
        raise PatternError(
            "method='relu' trains over all activation patterns; leave patterns out, pass all of them "
            "(enumerate_patterns), or use method='cells' to stay within a list."
        )
    found = solve_relu(
        problem, tol=options.tol, time_limit=_SHARE * options.remaining(), max_iter=options.max_iter,
        callback=options.callback, random_state=options.random_state,
    )  # fmt: skip
    if patterns is None and problem.scalar and enumerable(problem, max_cells=_FEW_CELLS):
        patterns = _all_patterns(problem, options)
    pricer = None if patterns is None else CellPricer(problem, patterns)
    generated = Generated(found.network, found.nu, found.status, found.history)
    heuristic = found.objective * (1 - found.pricing_gap)
    return _certified(problem, patterns, pricer, generated, "relu", options, heuristic)


def _certified(
    problem: TrainingProblem,
    patterns: PatternSet | None,
    pricer: CellPricer | None,
    found: Generated,
    method: str,
    options: Options,
    heuristic: float | None = None,
) -> Solution:
    """Tidy the network, certify it, adopt a better one if certification met one."""
    network = tidied(problem, found.network)
    share = 1.0 if heuristic is None else _BOUND_SHARE
    pricings, rival = _all_widths(problem, network, found, pricer, options, share)
    if rival is not None and problem.objective(rival) >= problem.objective(network) * (1 - _ROUNDING):
        rival = None  # the same network polished again: it would make the result depend on the clock

    def judged(network: ShallowNetwork) -> Certificate:
        limit = max(options.remaining(), 0.1 * options.time_limit)
        return judge(
            problem, network, nu=found.nu, tol=options.tol, time_limit=limit, pricer=pricer, pricings=pricings,
            rival=rival,
        )  # fmt: skip

    certificate = judged(network)
    for _ in range(_ADOPTIONS):
        better = certificate.improved_objective
        # Off the list a slightly better network is welcome, too.
        wanted = heuristic is not None and better is not None and better < certificate.upper_bound * (1 - _ROUNDING)
        if certificate.improved is None or not (certificate.verdict == "refuted" or wanted):
            break
        network = certificate.improved
        certificate = judged(network)
    return Solution(
        network=network,
        objective=certificate.upper_bound,
        certificate=certificate,
        status=_status(found.status, certificate.verdict in ("optimal", "listed")),
        patterns=patterns,
        history=found.history,
        method=method,
        problem=problem,
        random_state=options.random_state,
        wall_time=time.perf_counter() - options.start,
        pricing_gap=None if heuristic is None else relative_gap(certificate.upper_bound, heuristic),
    )


def _status(status: str, proven: bool) -> str:
    """``solved`` is what has been proven; otherwise why the method ended."""
    return "solved" if proven else "not_proven" if status == "solved" else status


def _all_widths(
    problem: TrainingProblem, network: ShallowNetwork, found: Generated, pricer: CellPricer | None, options: Options,
    share: float,
) -> tuple[list[tuple[np.ndarray, PricingResult]], ShallowNetwork | None]:  # fmt: skip
    """Where not all cells are listed: a bound over networks of every width, and a better network met on the way.

    It may take a share of the time that the solve has taken so far, but no more than a fifth of what is left.
    """
    if (pricer is not None and pricer.complete) or problem.loss.name == "interpolation":
        return [], None
    spent = options.time_limit - options.remaining()
    limit = min(0.2 * options.remaining(), max(_BOUND_SECONDS, share * spent))
    return bound_over_all(
        problem, network, found.nu, tol=options.tol, time_limit=limit, random_state=options.random_state
    )


# ------------------------------------------------------------------------------------------------------ gated networks
def _solve_gated(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> Solution:
    from ..solvers.gated import solve_gated

    check_groups(problem, options.group)
    patterns = _gates(problem, patterns, options)
    try:
        found = solve_gated(
            problem, patterns, group=options.group, tol=options.tol, time_limit=options.remaining(),
            max_iter=options.max_iter, callback=options.callback, random_state=options.random_state,
        )  # fmt: skip
    except ProblemError:  # a loss or norm that only the conic solvers treat
        return _solve_gated_program(problem, patterns, options)
    assert found.network is not None
    method = f"gated ({found.method})"
    fast = _gated_solution(problem, found.network, patterns, found.nu, found.status, found.history, method, options)
    if fast.status != "stalled" or patterns.patterns.size * problem.extended.shape[1] > _CONIC_ENTRIES:
        return fast
    conic = _solve_gated_program(problem, patterns, options)
    return min(fast, conic, key=lambda solution: solution.certificate.gap)


def _solve_gated_program(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> Solution:
    from ..programs import build_gated

    patterns = _gates(problem, patterns, options)
    program = build_gated(problem, patterns, group=options.group)
    limit = None if options.solver == "ECOS" else options.remaining()  # which has no time limit
    said = program.solve(
        options.solver, tol=min(1e-8, options.tol / 10), time_limit=limit, max_iter=options.max_iter
    )
    network = program.recover()
    assert isinstance(network, GatedNetwork)
    status = str(said) if "limit" in str(said) else "solved"
    solution = _gated_solution(problem, network, patterns, program.nu(), status, (), "gated (program)", options)
    if options.callback is not None:
        options.callback(_last(solution))
    return solution


def _gates(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> PatternSet:
    if patterns is not None:
        return patterns
    return sample_patterns(problem.extended, _SAMPLED, random_state=options.random_state)


def _gated_solution(
    problem: TrainingProblem, network: GatedNetwork, patterns: PatternSet, nu: np.ndarray, status: str,
    history: tuple[Progress, ...], method: str, options: Options,
) -> Solution:  # fmt: skip
    certificate = certify_gated(problem, network, patterns, nu, tol=options.tol, group=options.group)
    return Solution(
        network=network,
        objective=certificate.upper_bound,
        certificate=certificate,
        status=_status(status, math.isfinite(certificate.gap) and certificate.gap <= options.tol),
        patterns=patterns,
        history=history,
        method=method,
        problem=problem,
        random_state=options.random_state,
        wall_time=time.perf_counter() - options.start,
    )


METHODS: dict[str, Callable[[TrainingProblem, PatternSet | None, Options], Solution]] = {
    "cells": _solve_cells,
    "program": _solve_program,
    "relu": _solve_relu,
    "gated": _solve_gated,
    "gated_program": _solve_gated_program,
}
"""Methods by name: a new one is one function and one entry."""
