"""One way to call every solver: named, with the same four settings, and with a status instead of an exception."""

from __future__ import annotations

import math
import warnings
from enum import StrEnum
from typing import Any

import cvxpy as cp

from .._validation import check_choice, check_count, check_positive
from ..errors import InaccurateSolutionWarning, InfeasibleError, ProblemError, SolverError

__all__ = ["SOLVERS", "ProgramStatus", "run_solver", "solver_options"]

DEFAULT_TOL = {"CLARABEL": 1e-9, "ECOS": 1e-9, "SCS": 1e-7, "HIGHS": 1e-9}
SOLVERS = tuple(DEFAULT_TOL)
"""Solvers by name; the first is the default."""

_DEFAULT_ITERATIONS = {"CLARABEL": 200, "ECOS": 200, "SCS": 100_000}
_LOOSER = 1e4
_HINTS = {
    "HIGHS": " HIGHS treats linear programs only (norm='l1' with a piecewise linear loss).",
    "ECOS": " ECOS is unreliable with the logistic and softmax losses and has no semidefinite cones (nuclear norm); "
    "use CLARABEL there.",
}


class ProgramStatus(StrEnum):
    """What a solver said about its answer; never a claim of optimality by this package.

    ``OPTIMAL``: its own tolerance was reached. ``INACCURATE``: it stopped before. ``ITERATION_LIMIT`` and
    ``TIME_LIMIT``: the caller's limit ended it.

    Examples
    --------
    >>> ProgramStatus.OPTIMAL == "optimal"
    True
    """

    OPTIMAL = "optimal"
    INACCURATE = "inaccurate"
    ITERATION_LIMIT = "iteration_limit"
    TIME_LIMIT = "time_limit"


def solver_options(
    solver: str, tol: float | None = None, max_iter: int | None = None, time_limit: float | None = None
) -> dict[str, Any]:
    """Return the solver's own names for a tolerance, an iteration limit and a time limit in seconds.

    Every setting is always written out: a solver that keeps its workspace would otherwise keep the previous limits.

    Raises
    ------
    ProblemError
        For an unknown solver, a value that is not positive, or a time limit for ECOS, which has none.

    Examples
    --------
    >>> solver_options("ECOS", tol=1e-8, max_iter=50)
    {'abstol': 1e-08, 'reltol': 1e-08, 'feastol': 1e-08, 'max_iters': 50}
    """
    check_choice(solver, "solver", SOLVERS)
    eps = DEFAULT_TOL[solver] if tol is None else check_positive(tol, "tol")
    seconds = math.inf if time_limit is None else check_positive(time_limit, "time_limit")
    steps = _DEFAULT_ITERATIONS.get(solver) if max_iter is None else check_count(max_iter, "max_iter")
    if solver == "CLARABEL":
        gaps = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), eps)
        ratio = min(1e-6, 1e3 * eps)
        return {**gaps, "tol_ktratio": ratio, "max_iter": steps, "time_limit": seconds, "accept_unknown": True}
    if solver == "ECOS":
        if time_limit is not None:
            raise ProblemError("ECOS has no time limit; pass max_iter, or solver='CLARABEL' or 'SCS'.")
        return {**dict.fromkeys(("abstol", "reltol", "feastol"), eps), "max_iters": steps}
    if solver == "SCS":
        limit = 0.0 if math.isinf(seconds) else seconds
        return {"eps_abs": eps, "eps_rel": eps, "max_iters": steps, "time_limit_secs": limit}
    tight = max(eps, 1e-10)
    options: dict[str, Any] = {"primal_feasibility_tolerance": tight, "dual_feasibility_tolerance": tight}
    if steps is not None:
        options.update(simplex_iteration_limit=steps, ipm_iteration_limit=steps)
    return options if time_limit is None else {**options, "time_limit": seconds}


def run_solver(
    model: cp.Problem,
    solver: str = "CLARABEL",
    *,
    tol: float | None = None,
    max_iter: int | None = None,
    time_limit: float | None = None,
    verbose: bool = False,
) -> ProgramStatus:
    """Solve a CVXPY model in place; a failure is tried once more with a tolerance 10,000 times as large.

    Warns
    -----
    InaccurateSolutionWarning
        If the solver stopped before its tolerance without having met a limit set by the caller.

    Raises
    ------
    InfeasibleError
        If the solver found the constraints contradictory.
    SolverError
        If there is no answer at all: numerical failure, an unbounded model, a problem class the solver does not treat.

    Examples
    --------
    >>> import cvxpy as cp
    >>> x = cp.Variable()
    >>> str(run_solver(cp.Problem(cp.Minimize(cp.square(x - 1)))))
    'optimal'
    """
    options = solver_options(solver, tol, max_iter, time_limit)
    if solver not in cp.installed_solvers():
        raise SolverError(f"The solver {solver} is not installed; installed are {', '.join(cp.installed_solvers())}.")
    settled = True
    try:
        _call(model, solver, options, verbose)
    except cp.error.SolverError as failure:
        settled = False
        eps = DEFAULT_TOL[solver] if tol is None else tol
        _retry(model, solver, solver_options(solver, _LOOSER * eps, max_iter, time_limit), verbose, failure)
    status = _status(model, settled, max_iter, time_limit)
    if status is ProgramStatus.INACCURATE:
        warnings.warn(
            f"{solver} stopped before reaching its tolerance. The values are kept; loosen tol, scale the data, or try "
            "another solver. Bounds that are recomputed from the values stay valid.",
            InaccurateSolutionWarning,
            stacklevel=3,
        )
    return status


def _call(model: cp.Problem, solver: str, options: dict[str, Any], verbose: bool) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(may be inaccurate|Converting|infeasible or unbounded).*")
        model.solve(solver=solver, verbose=verbose, **options)


def _retry(model: cp.Problem, solver: str, options: dict[str, Any], verbose: bool, failure: Exception) -> None:
    try:
        _call(model, solver, options, verbose)
    except cp.error.SolverError:
        reason = str(failure).strip()
        raise SolverError(f"{solver} returned nothing usable: {reason}{_HINTS.get(solver, '')}") from failure


def _status(model: cp.Problem, settled: bool, max_iter: int | None, time_limit: float | None) -> ProgramStatus:
    """Translate CVXPY's status; a limit is named only if the caller set one."""
    status = model.status
    if status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
        raise InfeasibleError("The constraints of the program contradict each other.")
    if status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE, cp.USER_LIMIT):
        raise SolverError(f"The solver reports that the model is {status}; added penalties must be bounded below.")
    if status == cp.OPTIMAL:
        return ProgramStatus.OPTIMAL if settled else ProgramStatus.INACCURATE
    steps = model.solver_stats.num_iters
    limited = status == cp.USER_LIMIT and time_limit is None
    if max_iter is not None and (limited or steps is None or steps >= max_iter):
        return ProgramStatus.ITERATION_LIMIT
    if time_limit is not None and (status == cp.USER_LIMIT or (model.solver_stats.solve_time or 0.0) >= time_limit):
        return ProgramStatus.TIME_LIMIT
    return ProgramStatus.INACCURATE
