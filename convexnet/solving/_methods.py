r"""The methods behind the front door: each solves the problem its own way and hands a network to be certified."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrangements import PatternSet, enumerate_patterns, sample_patterns
from ..certificates import certify_gated
from ..errors import IncompletePatternsWarning, PatternError, ProblemError, TooManyCellsError
from ..networks.gated import GatedNetwork
from ..pricing import CellPricer, enumerable, relative_gap
from ..pricing.gated import check_groups
from ..solvers.result import Progress
from ._atoms_method import solve_atom_network
from ._certified import Options, certified, final_status
from ._label_noise_method import solve_label_noise
from ._line_training import has_line_solver
from ._memorize_method import fits_on_line, solve_memorization
from ._spline_method import solve_spline_method
from ._threshold_method import solve_threshold_network
from .cell_generation import Generated, empty_network, free_fit, generate_cells
from .master import Master
from .solution import Solution
from .starting_cells import likely_patterns

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["METHODS", "Options", "chosen_method"]

_PROGRAM_TOL = 1e-10
"""Accuracy asked of the conic solver when the whole program is solved at once."""
_SAMPLED = 100
"""Random patterns drawn where all of them cannot be listed."""
_ROUNDS = 100
"""Most rounds of cell generation."""
_FEW_CELLS = 50_000
"""Up to so many cells are listed to certify a network that was found without them."""
_CONIC_ENTRIES = 500_000
"""Entries of the gate blocks up to which the conic program is tried where the fast solver stalls."""
_SHARE = 0.8
"""Share of the time limit that the ReLU solver may take; the bound over all networks needs some too."""
_LIST_SHARE = 0.9
"""The same for methods over an incomplete list."""

_KINDS: dict[str, Callable[[TrainingProblem], bool]] = {
    "threshold": lambda problem: problem.activation == "threshold",
    "label_noise": lambda problem: problem.norm == "label_noise",
}
"""Methods for problems that no other method solves."""


# ------------------------------------------------------------------------------------------------ which one, over what
def chosen_method(problem: TrainingProblem, patterns: Any, options: Options) -> tuple[str, Any]:
    """What ``auto`` means: the one method there is, for some kinds of problems; with one feature splines; else cells
    where all can be listed in seconds, or over the given ones, else the ReLU solver.

    Up to some hundred patterns the whole program is a few hundredths of a second faster than cells, but its networks
    have up to three times as many neurons; it is never picked.
    """
    for method, belongs in _KINDS.items():
        if belongs(problem):
            return method, patterns
    if not problem.scalar:
        if patterns is not None:
            raise ProblemError(
                "ReLU training with several outputs shared by the neurons has no tractable program over patterns; "
                "leave patterns out (method='relu'), use method='gated', or train one output at a time."
            )
        return "relu", None
    if patterns is not None:
        return "cells", patterns
    if has_line_solver(problem):
        return "spline", None
    if problem.loss.name == "interpolation" and fits_on_line(problem):
        return "memorize", None
    patterns = _all_patterns(problem, options) if enumerable(problem) else None
    if patterns is not None:
        return "cells", patterns
    return "memorize" if problem.loss.name == "interpolation" else "relu", None


def _all_patterns(problem: TrainingProblem, options: Options) -> PatternSet | None:
    """Every pattern, or None if time runs out."""
    try:
        return enumerate_patterns(problem.extended, time_limit=max(0.5 * options.left(), 0.01))
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
    sampled = likely_patterns(problem, _SAMPLED, options.random_state, max(options.left() / 4, 0.01))
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
    share = 1.0 if pricer.complete else _LIST_SHARE
    found = generate_cells(
        problem, patterns, pricer=pricer, tol=options.tol, time_limit=share * options.remaining(),
        solver=options.solver, random_state=options.random_state, callback=options.callback,
        max_iter=options.max_iter or _ROUNDS,
    )  # fmt: skip
    return certified(problem, patterns, pricer, found, "cells", options)


def _solve_atoms(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> Solution:
    return solve_atom_network(problem, _listed(problem, patterns, options), options)


def _solve_program(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> Solution:
    patterns = _listed(problem, patterns, options)
    master = Master(problem, patterns, options.solver, options.max_iter)
    pairs = [(cell, sign) for cell in range(len(patterns)) for sign in (1, -1)]
    limit = (1.0 if patterns.proven else _LIST_SHARE) * options.remaining()
    if limit < master.setup_seconds(len(pairs)) and problem.loss.name != "interpolation":
        found = Generated(free_fit(problem) or empty_network(problem), np.zeros_like(problem.y), "time_limit", ())
    else:
        whole = master.solve(pairs, min(_PROGRAM_TOL, options.tol), limit)
        best = min((whole.network, free_fit(problem) or whole.network), key=problem.objective)
        found = Generated(best, whole.nu, whole.limit or "solved", ())
    solution = certified(problem, patterns, CellPricer(problem, patterns), found, "program", options)
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
    fitted = free_fit(problem) if problem.norm == "l2" else None
    if fitted is not None:  # an optimum of zero, of which no relative gap is ever small
        found = Generated(fitted, np.zeros_like(problem.y), "solved", ())
        return certified(problem, patterns, None, found, "relu", options, heuristic=0.0)
    result = solve_relu(
        problem, tol=options.tol, time_limit=_SHARE * options.remaining(), max_iter=options.max_iter,
        callback=options.callback, random_state=options.random_state,
    )  # fmt: skip
    status, pricer = result.status, None
    try:
        if patterns is None and status != "interrupted" and problem.scalar and options.left() > 0:
            patterns = _all_patterns(problem, options) if enumerable(problem, max_cells=_FEW_CELLS) else None
        pricer = None if patterns is None else CellPricer(problem, patterns)
    except KeyboardInterrupt:
        status = "interrupted"
    found = Generated(result.network, result.nu, status, result.history)
    heuristic = result.objective * (1 - result.pricing_gap)
    return certified(problem, patterns, pricer, found, "relu", options, heuristic)


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
        status=final_status(status, math.isfinite(certificate.gap) and certificate.gap <= options.tol),
        patterns=patterns,
        history=history,
        method=method,
        problem=problem,
        random_state=options.random_state,
        wall_time=time.perf_counter() - options.start,
    )


METHODS: dict[str, Callable[[TrainingProblem, Any, Options], Solution]] = {
    "atoms": _solve_atoms,
    "cells": _solve_cells,
    "program": _solve_program,
    "relu": _solve_relu,
    "gated": _solve_gated,
    "gated_program": _solve_gated_program,
    "label_noise": solve_label_noise,
    "memorize": solve_memorization,
    "spline": solve_spline_method,
    "threshold": solve_threshold_network,
}
"""Methods by name: a new one is one function and one entry."""
