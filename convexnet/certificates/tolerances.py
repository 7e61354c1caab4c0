"""What every certificate checks first: its tolerance, the rounding of the objective, how a network interpolates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_positive
from ..errors import ProblemError
from ..networks.threshold import ThresholdNetwork

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["check_tolerance", "largest_residual", "prediction_error", "rounding_of_objective", "rounding_of_zero"]

_EPS = float(np.finfo(np.float64).eps)
_ROUNDINGS = 1024
"""Roundings of ``|y_i|`` that a computed prediction of a target may be away from it."""
_ENTRIES = 10**6
"""Samples times neurons up to which networks of one feature are evaluated in extended precision."""


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


def prediction_error(problem: TrainingProblem, network: ShallowNetwork | ThresholdNetwork) -> np.ndarray:
    """Bounds of the rounding errors of ``network.predict(problem.X)``: large for data far from the origin.

    On one feature they are measured in extended precision where that is affordable, as far data are common there.
    """
    if isinstance(network, ThresholdNetwork):  # whose gates are exact
        return np.full(problem.n, (network.n_neurons + 4) * _EPS * (network.path_norm() + abs(network.intercept)))
    X = np.abs(problem.X)
    weights, outputs = np.abs(network.weights), np.abs(network.output_weights)
    size = X @ (weights.T @ outputs) + np.abs(network.biases) @ outputs + np.abs(network.intercept)
    if network.skip is not None:
        size = size + X @ np.abs(network.skip)
    terms = problem.d + network.n_neurons + 12
    if problem.d == 1 and problem.scalar and problem.n * network.n_neurons <= _ENTRIES:
        unit = float(np.finfo(np.longdouble).eps)
        measured = np.abs(network.predict(problem.X) - _extended(problem.X[:, 0], network)).astype(np.float64)
        return measured * (1 + 4 * _EPS) + terms * unit * size
    return terms * _EPS * size


def _extended(x: np.ndarray, network: ShallowNetwork) -> np.ndarray:
    """Predictions of a network of one feature and one output in extended precision."""
    x = x.astype(np.longdouble)
    z = x[:, None] * network.weights[:, 0] + network.biases
    values = np.maximum(z, network.kappa * z) @ network.output_weights.astype(np.longdouble) + network.intercept
    return np.asarray(values if network.skip is None else values + x * network.skip[0])


def rounding_of_objective(
    problem: TrainingProblem, network: ShallowNetwork | ThresholdNetwork, objective: float
) -> float:
    """How far the objective of a network, evaluated exactly, can be above the computed one."""
    if not math.isfinite(objective):
        return 0.0
    loss, y, error = problem.loss, problem.y, prediction_error(problem, network)
    own = (problem.n + network.n_neurons + problem.d + 40) * _EPS * objective
    if loss.name == "interpolation":
        return own
    f = network.predict(problem.X)
    if loss.vector_only:
        rise = 2 * np.max(error, axis=1)
    else:
        # Each term is convex in its own prediction: on an interval it is largest at an end.
        rise = np.maximum(loss._terms(f - error, y), loss._terms(f + error, y)) - loss._terms(f, y)
    weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
    return own + float(np.sum(weight @ np.maximum(rise, 0.0)))


def rounding_of_zero(problem: TrainingProblem) -> float:
    """Objectives up to this size cannot be told from zero: what rounding leaves where the targets are met.

    Zero unless the free terms alone fit the targets that closely. Elsewhere the smallest objective is positive, however
    small ``reg`` makes it, and a small objective may be many times the smallest.
    """
    if problem.loss_value(problem.y) != 0:
        return 0.0
    size = problem.loss_value(problem.y * (1 - _ROUNDINGS * _EPS))
    if size == 0:
        return 0.0
    columns, root = problem.free_columns, np.ones(problem.n)
    if problem.sample_weight is not None:
        root = np.sqrt(problem.sample_weight)
    fit = np.linalg.lstsq(root[:, None] * columns, (root * problem.y.T).T, rcond=None)[0]
    return size if problem.loss_value(columns @ fit) <= size else 0.0
