r"""Losses as the dual Newton method sees them: values of ``h*(-alpha)``, its gradient and curvature, safe moves.

For predictions ``theta`` and dual vector ``alpha = -h'(theta)`` the gradient of ``h*(-alpha)`` is ``-theta`` and its
Hessian the inverse of the curvature ``D = h''(theta)``. Rows of weight zero are left out beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ProblemError
from ..losses.base import entropy_term

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["DUAL_LOSSES", "DualLoss", "dual_loss"]

_SMALLEST = 1e-280
_SHORT_OF_ONE = 2.0**-53


class DualLoss:
    """Squared loss; the base of the others. All arrays have shape (n,)."""

    exact = True
    """Whether every alpha lies in the domain of ``h*`` and :meth:`conjugate` is just ``h*(-alpha)``."""

    quadratic = True
    """Whether the curvature is constant."""
    first_sigma = 30.0
    """First penalty of the multipliers, times the typical curvature."""
    looseness = 2.0
    """How far psi is minimised for the next multipliers, relative to their change."""

    def __init__(self, problem: TrainingProblem, kept: np.ndarray | slice) -> None:
        self.y = problem.y[kept]
        weight = problem.sample_weight
        self.weight = np.ones(len(self.y)) if weight is None else weight[kept]

    @property
    def curvature_scale(self) -> float:
        """A typical size of h''."""
        return float(np.mean(self.weight))

    def start(self, prediction: np.ndarray) -> np.ndarray:
        """``-h'`` at some predictions."""
        return self.weight * (self.y - prediction)

    def admits(self, alpha: np.ndarray) -> bool:
        """Whether alpha is a point to start from."""
        return True

    def set_sigma(self, sigma: float) -> None:
        """Penalty of the multipliers that the loss has of its own, if any."""

    def advance(self, alpha: np.ndarray) -> None:
        """Take up those multipliers."""

    def change(self, alpha: np.ndarray) -> float:
        """Squared change of those multipliers, over their penalty."""
        return 0.0

    def conjugate(self, alpha: np.ndarray) -> float:
        """``h*(-alpha)``."""
        return float(np.dot(alpha, 0.5 * alpha / self.weight - self.y))

    def theta(self, alpha: np.ndarray) -> np.ndarray:
        """Minus the gradient of ``h*(-alpha)``: the predictions that belong to alpha."""
        return self.y - alpha / self.weight

    def curvature(self, alpha: np.ndarray) -> np.ndarray:
        """``h''`` there."""
        return self.weight

    def move(self, alpha: np.ndarray, step: np.ndarray) -> np.ndarray:
        """``alpha + step``, bent into the domain."""
        return alpha + step


class DualHuber(DualLoss):
    r"""Huber loss, the least value of ``w (f + e - y)^2 / 2 + delta w |e|`` over e.

    The excess e is one more multiplier: the limits ``|alpha_i| <= delta w_i`` are approached, not kept.
    """

    exact = False
    quadratic = False

    def __init__(self, problem: TrainingProblem, kept: np.ndarray | slice) -> None:
        super().__init__(problem, kept)
        self.delta = float(problem.loss.delta)  # type: ignore[attr-defined]
        self.excess = np.zeros_like(self.y)
        self.set_sigma(1.0)

    def set_sigma(self, sigma: float) -> None:
        self.step = sigma * float(np.mean(self.weight)) / self.weight

    def start(self, prediction: np.ndarray) -> np.ndarray:
        residual = self.y - prediction
        alpha = np.clip(residual, -self.delta, self.delta)
        if np.any(prediction):
            self.excess = residual - alpha
        return self.weight * alpha

    def conjugate(self, alpha: np.ndarray) -> float:
        return super().conjugate(alpha) + 0.5 * float(np.sum(self._next(alpha) ** 2 / self.step))

    def theta(self, alpha: np.ndarray) -> np.ndarray:
        return super().theta(alpha) - self._next(alpha)

    def curvature(self, alpha: np.ndarray) -> np.ndarray:
        return self.weight / (1 + self.weight * self.step * (self._next(alpha) != 0))

    def change(self, alpha: np.ndarray) -> float:
        return float(np.sum((self._next(alpha) - self.excess) ** 2 / self.step))

    def advance(self, alpha: np.ndarray) -> None:
        self.excess = self._next(alpha)

    def _next(self, alpha: np.ndarray) -> np.ndarray:
        """The excess that follows from alpha."""
        moved = self.excess + self.step * alpha
        return np.sign(moved) * np.maximum(np.abs(moved) - self.step * self.delta * self.weight, 0.0)


class DualLogistic(DualLoss):
    """Logistic loss with labels -1/+1: ``alpha_i = y_i w_i q_i``, ``0 < q_i < 1``."""

    quadratic = False
    first_sigma = 3.0
    looseness = 4.0

    @property
    def curvature_scale(self) -> float:
        return float(np.mean(self.weight)) / 4

    def start(self, prediction: np.ndarray) -> np.ndarray:
        margin = self.y * prediction
        e = np.exp(-np.abs(margin))
        return self.y * self.weight * self._kept_inside(np.where(margin >= 0, e, 1.0) / (1 + e))

    def admits(self, alpha: np.ndarray) -> bool:
        q = self.y * alpha / self.weight
        return bool(np.all((q > 0) & (q < 1)))

    def conjugate(self, alpha: np.ndarray) -> float:
        q = self._shares(alpha)
        return float(np.dot(self.weight, entropy_term(q) + (1 - q) * np.log1p(-q)))

    def theta(self, alpha: np.ndarray) -> np.ndarray:
        q = self._shares(alpha)
        return self.y * (np.log1p(-q) - np.log(q))

    def curvature(self, alpha: np.ndarray) -> np.ndarray:
        q = self._shares(alpha)
        return self.weight * q * (1 - q)

    def move(self, alpha: np.ndarray, step: np.ndarray) -> np.ndarray:
        # To second order q + s, but a share of what is left on the side it moves to: the borders are never reached.
        q, s = self._shares(alpha), self.y * step / self.weight
        down = q * np.exp(np.clip(s / q, -30.0, 0.0))
        up = q - (1 - q) * np.expm1(-np.clip(s / (1 - q), 0.0, 30.0))
        return self.y * self.weight * self._kept_inside(np.where(s < 0, down, up))

    def _shares(self, alpha: np.ndarray) -> np.ndarray:
        return self._kept_inside(self.y * alpha / self.weight)

    @staticmethod
    def _kept_inside(q: np.ndarray) -> np.ndarray:
        return np.clip(q, _SMALLEST, 1 - _SHORT_OF_ONE)


DUAL_LOSSES: dict[str, type[DualLoss]] = {"squared": DualLoss, "huber": DualHuber, "logistic": DualLogistic}
"""Losses the Newton method takes, by name."""


def dual_loss(problem: TrainingProblem, kept: np.ndarray | slice) -> DualLoss:
    """The loss of a problem on the samples ``kept``, which have positive weights."""
    if problem.loss.name not in DUAL_LOSSES or not problem.scalar:
        raise ProblemError(
            f"The Newton method takes one output and the losses {', '.join(DUAL_LOSSES)}, not {problem.loss.name!r}; "
            "use build_gated, or method='gated_program' of solve."
        )
    return DUAL_LOSSES[problem.loss.name](problem, kept)
