r"""Losses with kinks, smoothed like the activation: a proximal step around a dual vector that moves along.

.. math:: L(f; \lambda) = \max_t\; t \cdot f - L^*(t) - \tfrac{\gamma}{2} \|t - \lambda\|^2,
          \qquad t = \lambda + (f - z) / \gamma, \quad z = \mathrm{prox}_{\gamma L}(f + \gamma \lambda) .

At a fixed point ``lambda = t`` the smoothed loss equals the true one at any width (Rockafellar 1976).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..errors import ProblemError
from ..losses import Loss
from ..problem import TrainingProblem

__all__ = ["LossShift", "shifted_problem"]

_SMOOTHED_ONLY = "A smoothed loss has a value, a gradient and a curvature only; duals and programs belong to its base."


@dataclass(frozen=True, repr=False)
class LossShift(Loss):
    """The smoothed loss around ``centre`` (n,)."""

    name: ClassVar[str] = "shifted"
    base: Loss = field(default=None)  # type: ignore[assignment]
    centre: np.ndarray = field(default_factory=lambda: np.zeros(0))
    width: float = 1.0

    def value(self, f: Any, y: np.ndarray, weight: np.ndarray | None = None) -> float:
        z = self.near(f, y, weight)
        moved = f - z
        return self.base.value(z, y, weight) + float(moved @ (self.centre + moved / (2 * self.width)))

    def gradient(self, f: Any, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        return self.centre + (f - self.near(f, y, weight)) / self.width

    def curvature(self, f: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """Second derivatives: those of the quadratic where the proximal point is on the kink, y for all losses."""
        return (self.near(f, y, weight) == y) / self.width

    def near(self, f: Any, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """The proximal point."""
        return self.base.prox(f + self.width * self.centre, y, self.width, weight)

    def expression(self, f: Any, y: np.ndarray, weight: np.ndarray | None = None) -> tuple[Any, list[Any]]:
        raise ProblemError(_SMOOTHED_ONLY)

    def _terms(self, f: np.ndarray, y: np.ndarray) -> np.ndarray:
        raise ProblemError(_SMOOTHED_ONLY)

    def _slopes(self, f: np.ndarray, y: np.ndarray) -> np.ndarray:
        raise ProblemError(_SMOOTHED_ONLY)

    def _dual_terms(self, nu: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise ProblemError(_SMOOTHED_ONLY)


class _Exchanged(TrainingProblem):
    """A problem with another loss and everything else shared."""

    def __init__(self, problem: TrainingProblem, loss: Loss) -> None:
        self.__dict__.update(problem.__dict__)
        self.__dict__["loss"] = loss


def shifted_problem(problem: TrainingProblem, centre: np.ndarray, width: float) -> TrainingProblem:
    """The problem with its loss smoothed around a dual vector."""
    return _Exchanged(problem, LossShift(problem.loss, centre, width))
