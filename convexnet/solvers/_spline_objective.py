"""The objective of a spline without its network: a matrix of samples times knots would not fit for large data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..networks.linear_spline import LinearSpline
    from ..problem import TrainingProblem

__all__ = ["kink_price", "spline_objective"]


def kink_price(problem: TrainingProblem) -> float:
    """What a unit of total variation costs: a neuron of path norm 1 makes a kink of ``1 - kappa``."""
    return problem.reg / (1.0 - problem.kappa)


def spline_objective(problem: TrainingProblem, spline: LinearSpline) -> float:
    """Loss plus reg times path norm (free biases, skip connection) of the network that computes the spline.

    Losses of residuals take these in extended precision: an offset of the targets costs no digits.
    """
    loss, x = problem.loss, problem.X[:, 0]
    if loss.name in ("squared", "huber", "absolute"):
        value = loss.value(spline.residuals(x, problem.y), np.zeros(problem.n), problem.sample_weight)
    else:
        value = problem.loss_value(spline.predict(x))
    return value + kink_price(problem) * spline.total_variation
