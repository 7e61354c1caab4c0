r"""The front door: check what was asked for, pick a method, solve, certify."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._printing import rounded_down
from .._validation import check_choice, check_count, check_positive
from ..arrangements import FacePatterns, PatternSet
from ..certificates.farkas import check_interpolable
from ..certificates.tolerances import check_tolerance
from ..errors import NotCertifiedWarning, PatternError, ProblemError
from ..pricing.gated import GROUPS
from ..problem import check_problem
from ..solvers.result import Progress
from ._methods import METHODS, Options, chosen_method
from .solution import LONGER, Solution

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["CONIC_SOLVERS", "METHODS", "solve"]

CONIC_SOLVERS = ("CLARABEL", "ECOS", "SCS")


def solve(
    problem: TrainingProblem,
    method: str = "auto",
    patterns: PatternSet | FacePatterns | None = None,
    *,
    tol: float = 1e-6,
    time_limit: float = 600.0,
    max_iter: int | None = None,
    verbose: bool = False,
    solver: str = "CLARABEL",
    random_state: int = 0,
    callback: Callable[[Progress], object] | None = None,
    group: str = "nuclear",
) -> Solution:
    r"""Train a network by convex optimization and certify it.

    With all activation patterns (listed automatically where that takes seconds: up to two or three features and a few
    hundred samples) the result is proven against **networks of every width**. Elsewhere a fast solver trains over all
    patterns without listing them; its own measure of optimality is heuristic, and a bounded search adds a lower bound
    over all networks. Over a given subset of patterns the result is judged against that subset, and the bound over all
    networks is reported besides.

    Parameters
    ----------
    problem : TrainingProblem
    method : str
        ``auto`` picks among those for ReLU networks, and what ``solution.method`` then says:

        - ``spline``: the exact solver for one feature, any number of rows;
        - ``cells``: cell generation over the listed patterns, where all can be listed or some are given;
        - ``memorize``: interpolation where they cannot, as by :func:`convexnet.memorize`;
        - ``relu``: the fast solver over all patterns, none listed, for everything else; with several outputs it is a
          local method;
        - ``label_noise``, ``threshold``: for problems with that norm or activation, which no other method solves.

        Never picked are ``atoms``, generation of single neurons over listed patterns (norm l1: the finite program over
        extreme rays); ``program``, the convex program over all patterns at once, for small problems; ``gated``, gated
        ReLU over the patterns, which is a different problem, by a fast solver where there is one for the loss, else
        like ``gated_program``, which hands the program to a conic solver.
    patterns : PatternSet or FacePatterns, optional
        Of ``problem.extended``, from :func:`enumerate_patterns` or :func:`sample_patterns`; those of faces too
        (:func:`~convexnet.arrangements.face_patterns`) for ``label_noise`` and ``threshold``.
    tol : float
        Relative gap between objective and lower bound (``relu``: by its heuristic pricing).
    time_limit : float
        Seconds; the best network and bounds so far are returned when it runs out. Searches for bounds that would not
        fit into what is left are left out: the bound is then that of singular values, or zero.
    max_iter : int, optional
        Most iterations of the method: rounds of ``cells`` (default 100) and ``relu``, Newton steps of ``gated``,
        iterations of the conic solver for the programs.
    verbose : bool
        Print one line a step.
    solver : str
        Conic solver of ``cells`` and the programs: ``CLARABEL``, ``ECOS`` or ``SCS``.
    random_state : int
        Seed of sampled patterns and of starting networks.
    callback : callable, optional
        Called with a :class:`~convexnet.solvers.Progress` after each step (once by the programs). If it returns True
        the method ends with the best network and bounds so far.
    group : {"nuclear", "frobenius"}
        Group norm of the gated methods with several outputs.

    Returns
    -------
    Solution
        An interrupt from the keyboard ends the method, or the search for bounds, and the best network so far is
        returned with status ``interrupted``; before there is one (a conic program at work) it is passed on.

    Raises
    ------
    ProblemError
        If an option is invalid, or the method has no program for the problem (several outputs: ``relu`` and the gated
        methods only; free biases: not the gated ones).
    PatternError
        If the patterns are empty or belong to other data, or an incomplete list is given to ``relu``.
    InfeasibleError
        If no network interpolates the targets.

    Warns
    -----
    IncompletePatternsWarning
        If patterns had to be chosen for a method that lists them.
    NotCertifiedWarning
        If the requested gap was not proven, over all networks or over the listed patterns.

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
    check_choice(group, "group", GROUPS)
    check_count(random_state, "random_state", minimum=0)
    if max_iter is not None:
        check_count(max_iter, "max_iter")
    if callback is not None and not callable(callback):
        raise ProblemError(f"callback must be callable, got {type(callback).__name__}.")
    if patterns is not None:
        _check_patterns(problem, patterns)
    options = Options(tol, time_limit, max_iter, solver, random_state, callback, group, start)
    automatic = method == "auto"
    if automatic:
        method, patterns = chosen_method(problem, patterns, options)
    if problem.loss.name == "interpolation" and problem.scalar and not method.startswith("gated"):
        check_interpolable(problem)
    if verbose:
        options = replace(options, callback=_printer(callback, method))
    try:
        solution = METHODS[method](problem, patterns, options)
    except ProblemError:
        if not (automatic and method == "relu" and problem.scalar):
            raise
        solution = METHODS["cells"](problem, patterns, options)  # what the fast solver does not treat
    if solution.certificate.verdict not in ("optimal", "listed"):
        hint = f"; {LONGER}" if method in ("relu", "cells", "program") else ""
        warnings.warn(f"{solution.certificate!r}{hint}", NotCertifiedWarning, stacklevel=2)
    return solution


def _check_patterns(problem: TrainingProblem, patterns: Any) -> None:
    own = problem.activation == "threshold" or problem.norm == "label_noise"  # the kinds that need faces as well
    if not isinstance(patterns, (PatternSet, FacePatterns) if own else PatternSet):
        raise PatternError(
            f"patterns must be a PatternSet, got {type(patterns).__name__}; use "
            "enumerate_patterns(problem.extended) or sample_patterns(problem.extended, 100)."
        )
    if len(patterns) == 0:
        raise PatternError("The pattern set is empty; list or sample at least one activation pattern.")
    patterns.check(problem.extended)


def _printer(callback: Callable[[Progress], object] | None, method: str) -> Callable[[Progress], object]:
    """A callback that prints; what the ReLU solver knows of its gap is heuristic and printed as such."""

    def report(record: Progress) -> object:
        bound = f"lower bound {rounded_down(record.lower_bound)}"
        if method == "relu":
            bound = f"pricing gap (heuristic) {record.gap:.2e}"
        unit = {"cells": "cells", "relu": "neurons", "atoms": "neurons", "spline": "knots"}.get(method, "gates")
        print(f"{record.seconds:7.1f} s  objective {record.objective:.9g}  {bound}  {unit} {record.size}", flush=True)
        return None if callback is None else callback(record)

    return report
