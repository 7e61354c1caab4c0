"""Smooth losses of several outputs in the coordinates ``theta`` with dual point ``nu = -loss'(theta)``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProblemError
from ..losses import HuberLoss
from ..losses.base import entropy_term

if TYPE_CHECKING:
    from ..losses import Loss

__all__ = ["Curve", "Root", "State", "curve_of"]

_FLOOR = 1e-300
"""Smallest probability whose logarithm is taken."""


@dataclass(frozen=True, eq=False)
class State:
    """A dual point: ``theta`` (n, k), ``nu = -loss'(theta)`` and, for losses of classes, the probabilities."""

    theta: np.ndarray
    nu: np.ndarray
    q: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, eq=False)
class Root:
    """A factor B of the second derivative ``loss'' = B B'``: ``diag(size)``, or ``diag(size) (I - unit unit')``."""

    size: np.ndarray
    unit: np.ndarray | None = None

    def apply(self, x: np.ndarray) -> np.ndarray:
        """``B x``."""
        return self.size * self.project(x)

    def transpose(self, x: np.ndarray) -> np.ndarray:
        """``B' x``."""
        return self.project(self.size * x)

    def undo(self, x: np.ndarray) -> np.ndarray:
        """About the y with ``B' y = x``, zero where the loss is hardly curved."""
        return x * self.size / (self.size**2 + 1e-3 * np.max(self.size) ** 2)

    def project(self, x: np.ndarray) -> np.ndarray:
        """``(I - unit unit') x`` row by row."""
        if self.unit is None:
            return x
        return x - self.unit * np.einsum("nk,nk->n", self.unit, x)[:, None]

    def astype(self, dtype: Any) -> Root:
        """The same factor in another precision."""
        unit = None if self.unit is None else self.unit.astype(dtype)
        return Root(self.size.astype(dtype), unit)


class Curve(ABC):
    """A loss on rows of positive weight."""

    def __init__(self, loss: Loss, y: np.ndarray, weight: np.ndarray) -> None:
        self.loss, self.y, self.w = loss, y, weight[:, None]

    def value(self, f: np.ndarray) -> float:
        """The loss at predictions ``f``."""
        return self.loss.value(f, self.y, self.w[:, 0])

    def scale(self, state: State, largest: float) -> float:
        """A good factor for ``nu`` up to ``largest``."""
        return min(1.0, largest)

    def limit(self, state: State, step: np.ndarray) -> np.ndarray:
        """A step in theta cut where the quadratic model says nothing."""
        return step

    @abstractmethod
    def at(self, theta: np.ndarray) -> State:
        """The state with these coordinates."""

    @abstractmethod
    def near(self, nu: np.ndarray) -> State:
        """A state at, or near, a point of the domain of the dual."""

    @abstractmethod
    def mix(self, a: State, b: State, s: float) -> State:
        """The state at ``(1 - s) a.nu + s b.nu``."""

    @abstractmethod
    def conjugate(self, state: State) -> float:
        """``loss*(-nu)``."""

    @abstractmethod
    def root(self, state: State) -> Root:
        """A factor of the second derivative."""

    def dual(self, state: State, scale: float) -> float:
        """``-loss*(-scale nu)``, in plain floating point."""
        return -self.conjugate(self.mix(self.near(np.zeros_like(state.nu)), state, scale))


class _Residual(Curve):
    """Squared and Huber loss: theta = y - nu / w inside the box of nu."""

    @property
    def _box(self) -> np.ndarray:
        return self.w * (self.loss.delta if isinstance(self.loss, HuberLoss) else np.inf)

    def at(self, theta: np.ndarray) -> State:
        box = self._box
        return State(theta, np.clip(self.w * (self.y - theta), -box, box))

    def near(self, nu: np.ndarray) -> State:
        return State(self.y - nu / self.w, nu)

    def mix(self, a: State, b: State, s: float) -> State:
        if s == 1:
            return b
        nu = (1 - s) * a.nu + s * b.nu
        inside = np.abs(nu) < self._box
        return State(np.where(inside, self.y - nu / self.w, (1 - s) * a.theta + s * b.theta), nu)

    def conjugate(self, state: State) -> float:
        return float(np.sum(state.nu * (0.5 * state.nu / self.w - self.y)))

    def scale(self, state: State, largest: float) -> float:
        largest = min(largest, self.loss.max_scale(state.nu, self.y, self.w[:, 0]))
        slope, curvature = np.vdot(state.nu, self.y), np.vdot(state.nu, state.nu / self.w)
        return float(np.clip(slope / curvature, 0.0, largest)) if curvature > 0 else 0.0

    def root(self, state: State) -> Root:
        root = np.sqrt(self.w)
        return Root(np.where(np.abs(state.nu) < self._box, root, 0.0) if isinstance(self.loss, HuberLoss) else root)


class _Logistic(Curve):
    """Independent logistic losses: ``q = y nu / w`` in (0, 1), ``theta = -y log(q / (1 - q))``."""

    def at(self, theta: np.ndarray) -> State:
        margin = self.y * theta
        e = np.exp(-np.abs(margin))
        return State(theta, -self.loss.gradient(theta, self.y, self.w[:, 0]), np.where(margin >= 0, e, 1.0) / (1 + e))

    def near(self, nu: np.ndarray) -> State:
        return self._of(np.clip(self.y * nu / self.w, 0.0, 1.0))

    def _of(self, q: np.ndarray) -> State:
        theta = -self.y * (np.log(np.maximum(q, _FLOOR)) - np.log(np.maximum(1 - q, 1e-17)))
        return State(theta, self.y * self.w * q, q)

    def mix(self, a: State, b: State, s: float) -> State:
        return b if s == 1 else self._of((1 - s) * a.q + s * b.q)

    def conjugate(self, state: State) -> float:
        return float(np.sum(self.w * (entropy_term(state.q) + entropy_term(1 - state.q))))

    def limit(self, state: State, step: np.ndarray) -> np.ndarray:
        return -self.y * np.clip(-self.y * step, -6.0, 2.0)

    def root(self, state: State) -> Root:
        return Root(np.sqrt(self.w * state.q * (1 - state.q)))


class _Softmax(Curve):
    """Softmax: ``nu = w (y - q)``, theta = log q up to a constant in each row."""

    def at(self, theta: np.ndarray) -> State:
        shifted = theta - theta.max(axis=1, keepdims=True)
        q = np.exp(shifted)
        return self._of(q / q.sum(axis=1, keepdims=True))

    def near(self, nu: np.ndarray) -> State:
        q = np.maximum(self.y - nu / self.w, 0.0)
        return self._of(q / q.sum(axis=1, keepdims=True))

    def _of(self, q: np.ndarray) -> State:
        return State(np.log(np.maximum(q, _FLOOR)), self.w * (self.y - q), q)

    def mix(self, a: State, b: State, s: float) -> State:
        return b if s == 1 else self._of((1 - s) * a.q + s * b.q)

    def conjugate(self, state: State) -> float:
        return float(np.sum(self.w * entropy_term(state.q)))

    def limit(self, state: State, step: np.ndarray) -> np.ndarray:
        # Beyond a factor e^2 (up) or e^-6 (down) of a probability the quadratic model has lost it.
        return np.clip(step - np.einsum("nk,nk->n", state.q, step)[:, None], -6.0, 2.0)

    def root(self, state: State) -> Root:
        unit = np.sqrt(state.q)
        return Root(np.sqrt(self.w) * unit, unit)


def curve_of(loss: Loss, y: np.ndarray, weight: np.ndarray) -> Curve:
    """The loss on rows with positive weights.

    Raises
    ------
    ProblemError
        For a loss with kinks.
    """
    curves: dict[str, type[_Residual] | type[_Logistic] | type[_Softmax]] = {
        "squared": _Residual, "huber": _Residual, "logistic": _Logistic, "softmax": _Softmax,
    }  # fmt: skip
    if loss.name not in curves:
        raise ProblemError(
            f"The {loss.name} loss is not smooth, and no fast solver handles it; use method='program' (CVXPY)."
        )
    return curves[loss.name](loss, y, weight)
