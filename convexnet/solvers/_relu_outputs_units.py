"""Units in which targets and inputs are of order one; powers of two, so that the way there and back rounds nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..losses import HuberLoss

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem
    from .result import Progress

__all__ = ["Units"]


class Units:
    r"""The same training problem with ``X / x`` and ``y / t``, and the way back.

    The objective is divided by ``t^2`` and ``reg`` by ``t x``. Targets of classes have no unit, and inputs next to a
    penalised bias none of their own: these stay as they are (the solver scales columns itself).

    Attributes
    ----------
    problem : TrainingProblem
        In the new units.
    objective : float
        What its objective is to be multiplied by.
    """

    def __init__(self, problem: TrainingProblem) -> None:
        self._given = problem
        y = problem.y if problem.sample_weight is None else problem.y[problem.sample_weight > 0]
        self._t = _power_of_two(y) if problem.loss.name in ("squared", "huber") else 1.0
        self._x = 1.0 if problem.bias == "penalized" else _power_of_two(problem.X)
        self.objective = self._t**2
        self.problem = self._changed()

    def _changed(self) -> TrainingProblem:
        problem, loss = self._given, self._given.loss
        if self._t == self._x == 1.0:
            return problem
        loss = HuberLoss(loss.delta / self._t) if isinstance(loss, HuberLoss) else loss
        return problem.with_options(
            X=problem.X / self._x, y=problem.y / self._t, loss=loss, reg=problem.reg / self._t / self._x
        )

    def inside(self, network: ShallowNetwork) -> ShallowNetwork:
        """A network of the given problem in the new units."""
        return self._network(network, 1 / self._x, 1 / self._t)

    def outside(self, network: ShallowNetwork) -> ShallowNetwork:
        """A network in the new units for the given problem, balanced there."""
        return self._network(network, self._x, self._t).balanced(self._given.bias, self._given.norm)

    def _network(self, network: ShallowNetwork, x: float, t: float) -> ShallowNetwork:
        skip = None if network.skip is None else network.skip * (t / x)
        return replace(
            network, weights=network.weights / x, output_weights=network.output_weights * t,
            intercept=network.intercept * t, skip=skip,
        )  # fmt: skip

    def nu(self, nu: np.ndarray) -> np.ndarray:
        """A dual vector in the units of the given problem."""
        return nu * self._t

    def told(self, progress: Progress) -> Progress:
        """A report in the units of the given problem."""
        return replace(
            progress, objective=progress.objective * self.objective,
            lower_bound=progress.lower_bound * self.objective,
        )  # fmt: skip


def _power_of_two(values: np.ndarray) -> float:
    """Near the largest absolute value; 1 if all are zero."""
    top = float(np.max(np.abs(values), initial=0.0))
    return 2.0 ** math.floor(math.log2(top)) if top > 0 else 1.0
