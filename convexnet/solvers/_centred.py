"""Data far from the origin: with free biases the problem does not change under translations, its rounding does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..networks.shallow import ShallowNetwork
from ..pricing._centre import exact_shift

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Centring", "as_given", "centring"]


@dataclass(frozen=True, eq=False)
class Centring:
    """A problem, the same problem with ``X - centre`` in its place, and the way back. The two are equal exactly."""

    given: TrainingProblem
    problem: TrainingProblem
    centre: np.ndarray

    def directions(self, directions: np.ndarray) -> np.ndarray:
        """Neurons (q, K) for the data as given: ``w . (x - c) + b = w . x + (b - w . c)``."""
        if not self.centre.any():
            return directions
        return np.concatenate([directions[:-1], (directions[-1] - self._shift(directions[:-1]))[None]])

    def free(self, free: np.ndarray) -> np.ndarray:
        """Coefficients of the free columns (skip, then intercept) for the data as given."""
        if not self.centre.any() or not self.problem.skip:
            return free
        return np.append(free[:-1], free[-1] - self._shift(free[:-1]))

    def network(self, network: ShallowNetwork) -> ShallowNetwork:
        """The network for the data as given."""
        if not self.centre.any():
            return network
        intercept = network.intercept if network.skip is None else network.intercept - self._shift(network.skip)
        return ShallowNetwork(
            network.weights, network.biases - self._shift(network.weights.T), network.output_weights,
            intercept=float(intercept), skip=network.skip, activation=network.activation,
            negative_slope=network.negative_slope,
        )  # fmt: skip

    def _shift(self, weights: np.ndarray) -> np.ndarray:
        return np.asarray(self.centre.astype(np.longdouble) @ weights, dtype=np.float64)


def as_given(problem: TrainingProblem) -> Centring:
    """The problem left where it is."""
    return Centring(problem, problem, np.zeros(problem.d))


def centring(problem: TrainingProblem) -> Centring:
    """Centre the features far from the origin, as far as that takes no rounding: with free biases, else none.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1e6, 0.0], [1e6 + 1, 1.0], [1e6 + 3, 2.0]], [0.0, 1.0, 2.0], bias="free", reg=1.0)
    >>> centring(problem).problem.X.tolist()
    [[-1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]
    """
    centre = exact_shift(problem.X) if problem.bias == "free" else np.zeros(problem.d)
    return Centring(problem, problem.with_options(X=problem.X - centre) if centre.any() else problem, centre)
