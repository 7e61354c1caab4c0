"""Whether the logistic loss has a minimum on one variable: free terms must not be able to lower it for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ProblemError

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["check_attained"]


def check_attained(problem: TrainingProblem) -> None:
    """Raise ProblemError if some free function has the sign of each label, where it is not zero, and is not zero.

    The logistic loss falls along its multiples, which cost nothing, so that no network attains the infimum.
    """
    if problem.loss.name != "logistic":
        return
    counted = slice(None) if problem.sample_weight is None else problem.sample_weight > 0
    x, y = problem.X[counted, 0], problem.y[counted]
    if problem.intercept and y.size and np.all(y == y[0]):
        raise ProblemError(
            "All labels are equal and constants cost nothing: the logistic loss falls for ever along them and no "
            "network attains the minimum. Use loss='hinge', or bias='penalized' without intercept and skip."
        )
    if problem.skip and _line_separates(x, y, problem.intercept):
        raise ProblemError(
            "One threshold separates the labels, so the logistic loss falls along an ever steeper line and no network "
            "attains the minimum. Use loss='hinge', or bias='penalized' without skip, where slopes cost."
        )


def _line_separates(x: np.ndarray, y: np.ndarray, intercept: bool) -> bool:
    """Whether a line (through the origin without intercept) has the signs of the labels; zeros are left out."""
    if not intercept:
        signs = y * np.sign(x)
        return bool(np.any(signs) and (np.all(signs >= 0) or np.all(signs <= 0)))
    low, high = x[y < 0], x[y > 0]
    parted = low.size and high.size and (low.max() <= high.min() or high.max() <= low.min())
    return bool(parted and np.ptp(x) > 0)
