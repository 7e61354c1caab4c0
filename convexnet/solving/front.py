r"""The front door: pick a method, solve, certify."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._printing import rounded_down
from .._validation import check_choice, check_count, check_positive
from ..arrangements import PatternSet, enumerate_patterns, sample_patterns
from ..certificates import Certificate, certify_gated, judge
from ..certificates.tolerances import check_tolerance
from ..errors import IncompletePatternsWarning, NotCertifiedWarning, PatternError, ProblemError, TooManyCellsError
from ..networks.gated import GatedNetwork
from ..networks.shallow import ShallowNetwork
from ..pricing import CellPricer, PricingResult, enumerable
from ..problem import check_problem
from ._loop import bound_over_all
from .cell_generation import Generated, generate_cells
from .master import Master
from .polish import tidied
from .solution import Round, Solution
from .starting_cells import likely_patterns

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["METHODS", "solve"]

_PROGRAM_TOL = 1e-10
"""Accuracy asked of the conic solver when the whole program is solved at once."""
CONIC_SOLVERS = ("CLARABEL", "ECOS", "SCS")
_ADOPTIONS = 3
"""Times that a better network met while certifying is taken over."""
_SAMPLED = 100
"""Random patterns drawn where all of them cannot be listed."""


def solve(
    problem: TrainingProblem,
    method: str = "auto",
    patterns: PatternSet | None = None,
    *,
    tol: float = 1e-6,
    time_limit: float = 600.0,
    verbose: bool = False,
    solver: str = "CLARABEL",
    random_state: int = 0,
    callback: Callable[[Round], object] | None = None,
    max_rounds: int = 100,
) -> Solution:
    r"""Train a network by convex optimization and certify it.

    With all activation patterns (listed automatically where that takes seconds: up to two or three features and a few
    hundred samples) the result is judged against **networks of every width**. With a subset, given or sampled, it is
    judged against the listed patterns, and the lower bound over all networks is reported besides.

    Parameters
    ----------
    problem : TrainingProblem
    method : {"auto", "cells", "program", "gated"}
        ``cells``: cell generation, what ``auto`` picks; ``program``: the whole convex program at once, for small
        problems; ``gated``: gated ReLU over the patterns, a different problem that ``auto`` never picks.
    patterns : PatternSet, optional
        Of ``problem.extended``, from :func:`enumerate_patterns` or :func:`sample_patterns`.
    tol : float
        Relative gap between objective and lower bound.
    time_limit : float
        Seconds; the best network and bounds so far are returned when it runs out.
    verbose : bool
        Print one line a round.
    solver : str
        Conic solver of the master programs: ``CLARABEL``, ``ECOS`` or ``SCS``.
    random_state : int
        Seed of sampled patterns and of the starting network.
    callback : callable, optional
        Called with a :class:`Round` after each round.
    max_rounds : int

    Returns
    -------
    Solution

    Raises
    ------
    ProblemError
        If an option is invalid, or the problem has several outputs and the method is not ``gated``.
    PatternError
        If the patterns are empty or belong to other data.
    InfeasibleError
        If no network interpolates the targets.

    Warns
    -----
    IncompletePatternsWarning
        If patterns had to be sampled.
    NotCertifiedWarning
        If the requested gap was not reached, over all networks or over the listed patterns.

    References
    ----------
    Pilanci and Ergen (2020); Mishkin, Sahiner and Pilanci (2022); de Dios and Bruna (2020).

    Examples
    --------
    >>> from convexnet import TrainingProblem, solve
    >>> solution = solve(TrainingProblem([[-1.0], [0.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1))
    >>> solution.certificate.verdict
    'optimal'
    """
    start = time.perf_counter()
    check_problem(problem)
    check_choice(method, "method", ("auto", *METHODS))
    tol = check_tolerance(tol)
    check_positive(time_limit, "time_limit")
    check_choice(solver, "solver", CONIC_SOLVERS)
    check_count(random_state, "random_state", minimum=0)
    check_count(max_rounds, "max_rounds")
    if callback is not None and not callable(callback):
        raise ProblemError(f"callback must be callable, got {type(callback).__name__}.")
    if not problem.scalar and method != "gated":
        raise ProblemError(
            "ReLU training with several outputs shared by the neurons has no tractable convex program; use "
            "method='gated', train one output at a time, or baselines.train and certify."
        )
    patterns = _patterns(problem, patterns, method, random_state, time_limit)
    method = "cells" if method == "auto" else method
    options = _Options(tol, time_limit, solver, random_state, _printer(callback, verbose), max_rounds, start)
    solution = METHODS[method](problem, patterns, options)
    if solution.certificate.verdict not in ("optimal", "listed"):
        warnings.warn(f"{solution.certificate!r}", NotCertifiedWarning, stacklevel=2)
    return solution


@dataclass(frozen=True)
class _Options:
    tol: float
    time_limit: float
    solver: str
    random_state: int
    callback: Callable[[Round], object] | None
    max_rounds: int
    start: float

    def remaining(self) -> float:
        return max(self.time_limit - (time.perf_counter() - self.start), 0.05)


def _printer(callback: Callable[[Round], object] | None, verbose: bool) -> Callable[[Round], object] | None:
    if not verbose:
        return callback

    def report(record: Round) -> None:
        bound = rounded_down(record.lower_bound)
        print(
            f"{record.seconds:7.1f} s  objective {record.objective:.9g}  lower bound {bound}  "
            f"cells {record.n_cells} (+{record.n_violators})",
            flush=True,
        )
        if callback is not None:
            callback(record)

    return report


def _patterns(
    problem: TrainingProblem, patterns: PatternSet | None, method: str, random_state: int, time_limit: float
) -> PatternSet:
    """Check the given patterns, or list all, or sample."""
    if patterns is not None:
        if not isinstance(patterns, PatternSet):
            raise PatternError(
                f"patterns must be a PatternSet, got {type(patterns).__name__}; use "
                "enumerate_patterns(problem.extended) or sample_patterns(problem.extended, 100)."
            )
        if len(patterns) == 0:
            raise PatternError("The pattern set is empty; list or sample at least one activation pattern.")
        patterns.check(problem.extended)
        return patterns
    if method != "gated" and enumerable(problem):
        try:
            return enumerate_patterns(problem.extended, time_limit=time_limit / 2)
        except TooManyCellsError:
            pass  # out of time: a part of the patterns is listed instead, and said
    if method == "gated" or not problem.scalar:
        return sample_patterns(problem.extended, _SAMPLED, random_state=random_state)
    sampled = likely_patterns(problem, _SAMPLED, random_state, time_limit / 4)
    if not sampled.complete:
        warnings.warn(
            f"Too many activation patterns to list all: {len(sampled)} were chosen, so the result is judged over these "
            "and bounded over all networks.",
            IncompletePatternsWarning,
            stacklevel=3,
        )
    return sampled


def _solve_cells(problem: TrainingProblem, patterns: PatternSet, options: _Options) -> Solution:
    pricer = CellPricer(problem, patterns)
    found = generate_cells(
        problem, patterns, pricer=pricer, tol=options.tol, time_limit=options.remaining(), solver=options.solver,
        random_state=options.random_state, callback=options.callback, max_rounds=options.max_rounds,
    )  # fmt: skip
    return _certified(problem, patterns, pricer, found, "cells", options)


def _solve_program(problem: TrainingProblem, patterns: PatternSet, options: _Options) -> Solution:
    master = Master(problem, patterns, options.solver)
    pairs = [(cell, sign) for cell in range(len(patterns)) for sign in (1, -1)]
    whole = master.solve(pairs, min(_PROGRAM_TOL, options.tol), options.remaining())
    found = Generated(whole.network, whole.nu, "time_limit" if whole.limited else "solved", ())
    return _certified(problem, patterns, CellPricer(problem, patterns), found, "program", options)


def _certified(
    problem: TrainingProblem,
    patterns: PatternSet,
    pricer: CellPricer,
    found: Generated,
    method: str,
    options: _Options,
) -> Solution:
    """Tidy the network, certify it, adopt a better one if certification met one."""
    network = tidied(problem, found.network)
    pricings, rival = _all_widths(problem, network, found, pricer, options)

    def judged(network: ShallowNetwork) -> Certificate:
        limit = max(options.remaining(), 0.1 * options.time_limit)
        return judge(
            problem, network, nu=found.nu, tol=options.tol, time_limit=limit, pricer=pricer, pricings=pricings,
            rival=rival,
        )  # fmt: skip

    certificate = judged(network)
    for _ in range(_ADOPTIONS):
        if certificate.verdict != "refuted" or certificate.improved is None:
            break
        network = certificate.improved
        certificate = judged(network)
    proven = certificate.verdict in ("optimal", "listed")
    status = "solved" if proven else "not_proven" if found.status == "solved" else found.status
    return Solution(
        network=network,
        objective=certificate.upper_bound,
        certificate=certificate,
        status=status,
        patterns=patterns,
        history=found.history,
        method=method,
        problem=problem,
        random_state=options.random_state,
        wall_time=time.perf_counter() - options.start,
    )


def _all_widths(
    problem: TrainingProblem, network: ShallowNetwork, found: Generated, pricer: CellPricer, options: _Options
) -> tuple[list[tuple[np.ndarray, PricingResult]], ShallowNetwork | None]:
    """Where not all cells are listed: a bound over networks of every width, and a better network met on the way.

    It may take as long as the solve has taken so far, but no more than a fifth of what is left.
    """
    if pricer.complete or problem.loss.name == "interpolation":
        return [], None
    spent = options.time_limit - options.remaining()
    limit = min(0.2 * options.remaining(), max(1.0, spent))
    return bound_over_all(
        problem, network, found.nu, tol=options.tol, time_limit=limit, random_state=options.random_state
    )


def _solve_gated(problem: TrainingProblem, patterns: PatternSet, options: _Options) -> Solution:
    from ..programs import build_gated

    program = build_gated(problem, patterns)
    program.solve(options.solver, tol=min(1e-8, options.tol / 10), time_limit=options.remaining())
    network = program.recover()
    assert isinstance(network, GatedNetwork)
    nu = program.nu()
    certificate = certify_gated(problem, network, patterns, nu, tol=options.tol)
    return Solution(
        network=network,
        objective=certificate.upper_bound,
        certificate=certificate,
        status="solved" if certificate.gap <= options.tol else "not_proven",
        patterns=patterns,
        history=(),
        method="gated",
        problem=problem,
        random_state=options.random_state,
        wall_time=time.perf_counter() - options.start,
    )


METHODS: dict[str, Callable[[Any, PatternSet, _Options], Solution]] = {
    "cells": _solve_cells,
    "program": _solve_program,
    "gated": _solve_gated,
}
"""Methods by name: a new one is one function and one entry."""
