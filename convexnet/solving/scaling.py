r"""Solve in units of one, answer in the user's: exact changes of scale by powers of two.

With ``y = c y'`` and, where no penalised bias ties the rows to a column of ones, ``X = h X'``, amplitudes scale by
``c / h`` and the training problem becomes one of the same kind. Conic solvers, whose tolerances are absolute for small
numbers, then see data of size one. Bounds are never computed in these units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..losses import HuberLoss
from ..networks.shallow import ShallowNetwork

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Units", "in_units_of_one"]

_QUADRATIC = ("squared", "huber")
_LINEAR = ("absolute", "interpolation")


@dataclass(frozen=True)
class Units:
    """Sizes of the targets and inputs, and of the dual vector."""

    y: float
    X: float
    nu: float

    def restore(self, network: ShallowNetwork, problem: TrainingProblem) -> ShallowNetwork:
        """The network of the original problem: outputs times ``y``, inputs divided by ``X``."""
        skip = None if network.skip is None else network.skip * (self.y / self.X)
        return replace(
            network,
            weights=network.weights / self.X,
            output_weights=network.output_weights * self.y,
            intercept=network.intercept * self.y,
            skip=skip,
        ).balanced(problem.bias, problem.norm)


def in_units_of_one(problem: TrainingProblem) -> tuple[TrainingProblem, Units]:
    """Return the same problem with targets (and inputs, if no bias is penalised) of size about one.

    Losses of the margin keep their labels.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> scaled, units = in_units_of_one(TrainingProblem([[1.0], [2.0]], [3e6, 5e6], reg=10.0))
    >>> units.y, float(scaled.y.max()) <= 1
    (8388608.0, True)
    """
    name = problem.loss.name
    y = _power_of_two(problem.y) if name in (*_QUADRATIC, *_LINEAR) else 1.0
    X = 1.0 if problem.bias == "penalized" else _power_of_two(problem.X)
    if y == X == 1.0:
        return problem, Units(1.0, 1.0, 1.0)
    changes: dict[str, object] = {"X": problem.X / X, "y": problem.y / y}
    if name != "interpolation":
        changes["reg"] = problem.reg / (X * y if name in _QUADRATIC else X)
    if isinstance(problem.loss, HuberLoss):
        changes["loss"] = HuberLoss(problem.loss.delta / y)
    nu = y if name in _QUADRATIC else 1.0 / X if name == "interpolation" else 1.0
    return problem.with_options(**changes), Units(y, X, nu)


def _power_of_two(values: np.ndarray) -> float:
    """The power of two nearest above the size of the values, 1 for zeros and where values are of size one already."""
    top = float(np.max(np.abs(values), initial=0.0))
    if top == 0:
        return 1.0
    size = 2.0 ** math.ceil(math.log2(top))
    return size if size > 16 or size < 1 / 4 else 1.0
