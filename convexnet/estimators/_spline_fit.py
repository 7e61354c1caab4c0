"""From rows to a fitted spline: the problem behind an alpha, its solution, and the bounds in the estimators' units."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._printing import rounded_up
from ..errors import InaccurateSolutionWarning, NotCertifiedWarning, ProblemError
from ..losses import Loss, get_loss
from ..networks.linear_spline import LinearSpline
from ..pricing import relative_gap
from ..problem import TrainingProblem
from ..solvers import SplineResult, solve_spline

__all__ = ["SplineFit", "checked_loss", "spline_fit", "spline_problem", "warn_if_open"]

LOSSES = ("squared", "huber", "absolute")
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False, repr=False)
class SplineFit:
    """A fitted function and its bounds.

    Attributes
    ----------
    spline : LinearSpline
    objective : float
        Mean loss plus alpha times the total variation of the slope (the total variation where alpha is 0).
    lower_bound : float
        Proven: no function and no network of any width has a smaller objective.
    result : SplineResult
        The solver's, for the problem in sums: objective and bound times the total weight, the dual vector, the status.
    """

    spline: LinearSpline
    objective: float
    lower_bound: float
    result: SplineResult

    @property
    def gap(self) -> float:
        """Proven relative gap, ``(objective - lower_bound) / objective``; zero where the objective is rounding."""
        result = self.result
        return relative_gap(result.objective, result.lower_bound, _rounding(result.problem))

    def __repr__(self) -> str:
        return (
            f"SplineFit(objective={self.objective:.9g}, gap={rounded_up(self.gap, 3)}, knots={self.spline.n_knots}, "
            f"status={self.result.status!r})"
        )

    def summary(self) -> str:
        """Several lines for people."""
        return f"{self!r}\n{self.spline.summary()}\n{self.result.summary()}"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON; None for what is not finite."""
        numbers = {"objective": self.objective, "lower_bound": self.lower_bound, "gap": self.gap}
        known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        return {**known, "status": self.result.status, "spline": self.spline.to_dict()}


def checked_loss(loss: Any) -> Loss:
    """A loss of regression."""
    found = get_loss(loss)
    if found.name not in LOSSES:
        raise ProblemError(f"loss must be one of {', '.join(map(repr, LOSSES))}, got {found.name!r}.")
    return found


def spline_problem(x: np.ndarray, y: np.ndarray, weight: np.ndarray, loss: Loss, alpha: float) -> TrainingProblem:
    """The training problem in sums: reg is alpha times the total weight; alpha = 0 interpolates means of ties."""
    if alpha > 0:
        reg = alpha * float(weight.sum())
        if not 0 < reg < math.inf:
            raise ProblemError(f"alpha={alpha:g} times the total weight {weight.sum():g} leaves the range of floats.")
        return TrainingProblem(x[:, None], y, loss=loss, reg=reg, sample_weight=weight, bias="free", skip=True)
    if loss.name != "squared":
        raise ProblemError(f"alpha=0 interpolates and needs loss='squared'; with loss={loss.name!r} pass alpha > 0.")
    nodes, index = np.unique(x, return_inverse=True)
    share = weight / np.bincount(index, weight)[index]
    # Means about the first of each node's targets: equal targets then stay what they are.
    base = np.empty(nodes.size)
    base[index[::-1]] = y[::-1]
    means = base + np.bincount(index, share * (y - base[index]))
    return TrainingProblem(nodes[:, None], means, loss="interpolation", bias="free", skip=True)


def spline_fit(problem: TrainingProblem, total: float, *, sparsest: bool, **options: Any) -> SplineFit:
    """Solve, and divide by the total weight (interpolation has no mean: its objective is TV(f') itself)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InaccurateSolutionWarning)  # about the network: the function predicts here
        result = solve_spline(problem, **options)
    if sparsest:
        result = result.sparsest()
    assert result.spline is not None
    scale = 1.0 if problem.loss.name == "interpolation" else total
    return SplineFit(result.spline, result.objective / scale, result.lower_bound / scale, result)


def warn_if_open(fit: SplineFit, tol: float) -> None:
    """Say so when the proven relative gap is larger than what was asked for, unless it is rounding in the data."""
    result = fit.result
    if fit.gap > tol and result.objective - result.lower_bound > _rounding(result.problem):
        advice = "" if result.status == "stalled" else "; raise max_iter or time_limit, or accept a larger tol"
        warnings.warn(
            f"The proven relative gap is {fit.gap:.2g}, above tol={tol:g}: {result.message}{advice}.",
            NotCertifiedWarning,
            stacklevel=3,
        )


def _rounding(problem: TrainingProblem) -> float:
    """The loss of predictions that are off by rounding alone."""
    if problem.loss.name == "interpolation":
        return 0.0
    return problem.loss_value(problem.y + 16 * EPS * np.abs(problem.y).max())
