r"""The loss of predictions known up to an interval: its smallest value and the slopes at both ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["RelaxedLoss"]


class RelaxedLoss:
    r"""``sum_i min { w_i l(f_i, y_i) : low_i <= f_i <= high_i }`` and its derivatives in low and high.

    Losses with a kink (absolute, hinge) are smoothed by a quadratic of width ``eps``, interpolation becomes
    ``(f - y)^2 / (2 eps)``; ``eps`` is ``smoothing`` times the spread of the targets.
    """

    def __init__(self, problem: TrainingProblem) -> None:
        self.problem, self.y = problem, problem.y
        self.weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
        self.smoothing = 0.05

    def spread(self) -> float:
        """Size of the predictions that are worth making."""
        if self.problem.loss.name in ("logistic", "hinge"):
            return 1.0
        return float(np.sqrt(np.mean(self.y**2))) or 1.0

    def over(self, low: np.ndarray, high: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value and derivatives in ``low`` and in ``high``."""
        by_low = np.maximum(self._slopes(low), 0.0)
        by_high = np.minimum(self._slopes(high), 0.0)
        # The smallest value of every loss is zero. Smoothing can put low above high: then both ends are charged.
        value = self._value(np.where(by_low > 0, low, self.y)) + self._value(np.where(by_high < 0, high, self.y))
        return value - self._value(self.y), by_low, by_high

    def _width(self) -> float:
        return self.smoothing * self.spread()

    def _slopes(self, f: np.ndarray) -> np.ndarray:
        name, eps = self.problem.loss.name, self._width()
        if name == "absolute":
            return self.weight * np.clip((f - self.y) / eps, -1.0, 1.0)
        if name == "hinge":
            return -self.weight * self.y * np.clip((1 - self.y * f) / eps, 0.0, 1.0)
        if name == "interpolation":
            return np.where(self.weight > 0, (f - self.y) / eps, 0.0)
        return self.problem.gradient(f)

    def _value(self, f: np.ndarray) -> float:
        name, eps = self.problem.loss.name, self._width()
        if name in ("absolute", "hinge"):
            excess = np.abs(f - self.y) if name == "absolute" else np.maximum(1 - self.y * f, 0.0)
            inner = np.minimum(excess, eps)
            return float(self.weight @ (0.5 * inner**2 / eps + excess - inner))
        if name == "interpolation":
            return float(np.sum(np.where(self.weight > 0, 0.5 * (f - self.y) ** 2 / eps, 0.0)))
        return self.problem.loss_value(f)
