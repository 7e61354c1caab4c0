"""A network from its parts: neurons as columns, output weights, coefficients of the free columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..networks.shallow import ShallowNetwork

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["assembled"]


def assembled(
    problem: TrainingProblem, directions: np.ndarray, outputs: np.ndarray, free: np.ndarray
) -> ShallowNetwork:
    """Return the network of neurons (q, K), output weights (K,) and free coefficients (skip, then intercept).

    The weights are taken as they are; ``balanced`` makes the two parts of every neuron's cost equal.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[0.0], [1.0]], [1.0, 3.0], reg=0.1, intercept=True)
    >>> assembled(problem, np.array([[1.0], [0.5]]), np.array([2.0]), np.array([4.0])).predict([[1.0]])
    array([7.])
    """
    d = problem.d
    return ShallowNetwork(
        directions[:d].T,
        np.zeros(directions.shape[1]) if problem.bias == "none" else directions[-1],
        outputs,
        intercept=float(free[-1]) if problem.intercept else 0.0,
        skip=free[:d] if problem.skip else None,
        activation=problem.activation,
        negative_slope=problem.negative_slope,
    )
