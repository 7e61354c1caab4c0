"""Training on data of one feature, whatever the conventions: the exact solver that fits them, if there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConvexNetError

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from ..solvers._spline_result import SplineResult

__all__ = ["covers_line", "has_line_solver", "line_training"]


def covers_line(problem: TrainingProblem) -> bool:
    """Whether a solver for one feature covers the problem."""
    return problem.d == 1 and problem.scalar and problem.activation != "threshold" and problem.norm in ("l2", "l1")


def has_line_solver(problem: TrainingProblem) -> bool:
    """Whether that solver is also the one to choose: it reaches rounding, whatever the number of samples."""
    if not covers_line(problem):
        return False
    if problem.loss.name in ("squared", "huber", "logistic"):
        return True
    interpolated = problem.loss.name == "interpolation" and problem.kappa == 0
    return problem.bias == "free" and (problem.skip or interpolated)


def line_training(problem: TrainingProblem, tol: float, time_limit: float) -> SplineResult | None:
    """The solution of a problem that :func:`covers_line` accepts; None where it has none or the solver fails."""
    from ..solvers._monitor import started
    from ..solvers.spline import spline_result

    try:
        found = spline_result(problem, started(tol, time_limit))
    except ConvexNetError:
        return None
    if found.status == "interrupted":
        raise KeyboardInterrupt
    return found
