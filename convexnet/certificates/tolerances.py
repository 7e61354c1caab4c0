"""What every certificate checks first: its tolerance, and how well a network interpolates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_positive
from ..errors import ProblemError

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["check_tolerance", "largest_residual", "rounding_of_zero"]

_EPS = float(np.finfo(np.float64).eps)
_ROUNDINGS = 1024
"""Roundings of ``max|y|`` that a computed prediction of the targets may be away from them."""


def check_tolerance(tol: Any) -> float:
    """Return a relative gap in (0, 1): as no objective is negative, a gap of 1 would prove nothing."""
    number = check_positive(tol, "tol")
    if number >= 1:
        raise ProblemError(f"tol is a relative gap and must be below 1, got {tol!r}.")
    return number


def largest_residual(problem: TrainingProblem, predicted: np.ndarray, objective: float) -> float:
    """``max |f - y|`` of an accepted interpolating network, rounded up; 0 for other losses and rejected networks."""
    if problem.loss.name != "interpolation" or not math.isfinite(objective):
        return 0.0
    counted = np.ones(problem.n, dtype=bool) if problem.sample_weight is None else problem.sample_weight > 0
    return float(np.max(np.abs(predicted - problem.y)[counted])) * (1 + 1e-12)


def rounding_of_zero(problem: TrainingProblem) -> float:
    """Loss that rounding leaves where the targets are met: an objective up to this size cannot be told from zero."""
    if problem.loss_value(problem.y) != 0:
        return 0.0
    return problem.loss_value(problem.y - _ROUNDINGS * _EPS * float(np.max(np.abs(problem.y))) * np.sign(problem.y))
