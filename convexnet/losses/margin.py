"""Losses of the margin ``y f`` with labels -1/+1: logistic and hinge."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .._validation import as_targets
from ..errors import DataError, LabelsMappedWarning
from .base import Array, Loss, aligned, divide, entropy_term, linear_scale, row_weights, weighted_sum

__all__ = ["HingeLoss", "LogisticLoss"]


@dataclass(frozen=True, repr=False)
class _Margin(Loss):
    """Labels -1/+1, dual vectors with ``0 <= y_i nu_i <= w_i``."""

    def prepare_targets(self, y: Any, n: int) -> Array:
        targets = as_targets(y, n)
        levels = np.unique(targets)
        if np.isin(levels, (-1.0, 1.0)).all():
            return targets
        if np.isin(levels, (0.0, 1.0)).all():
            message = f"Labels 0/1 were mapped to -1/+1 for the {self.name} loss; pass -1/+1 to silence this."
            warnings.warn(message, LabelsMappedWarning, stacklevel=3)
            mapped = 2 * targets - 1
            mapped.setflags(write=False)
            return mapped
        shown = ", ".join(f"{level:g}" for level in levels[:6]) + (", ..." if levels.size > 6 else "")
        advice = "use loss='softmax' for several classes, or loss='squared' for amounts."
        raise DataError(f"The {self.name} loss needs labels -1/+1 (or 0/1), y holds {shown}; {advice}")

    def _dual_box(self, y: Array, weight: Array) -> tuple[Array, Array]:
        return np.where(y > 0, 0.0, -weight), np.where(y > 0, weight, 0.0)


@dataclass(frozen=True, repr=False)
class LogisticLoss(_Margin):
    """Logistic loss ``log(1 + exp(-y f))`` with labels -1/+1.

    With ``q_i = y_i nu_i / w_i`` in [0, 1] the dual value is ``-sum_i w_i (q_i log q_i + (1 - q_i) log(1 - q_i))``.

    Examples
    --------
    >>> import numpy as np
    >>> round(LogisticLoss().value(np.array([0.0]), np.array([1.0])), 6)
    0.693147
    """

    name: ClassVar[str] = "logistic"

    def _terms(self, f: Array, y: Array) -> Array:
        return np.logaddexp(0.0, -y * f)

    def _slopes(self, f: Array, y: Array) -> Array:
        e = np.exp(-np.abs(f))
        return -y * np.where(y * f >= 0, e, 1.0) / (1 + e)

    def _dual_terms(self, nu: Array, y: Array, weight: Array) -> tuple[Array, Array]:
        # The entropy is symmetric: of q and 1 - q the smaller one, which w - |nu| gives without cancellation.
        p = divide(np.minimum(np.abs(nu), weight - np.abs(nu)), weight)
        terms = weight * (-entropy_term(p) - (1 - p) * np.log1p(-p))
        # Near q = 1 a rounding of nu changes 1 - q by up to eps/2 and the entropy by at most its value there, 20 eps.
        return terms, np.abs(terms) + 3 * np.abs(nu)

    def expression(self, f: Any, y: Array, weight: Array | None = None) -> tuple[Any, list[Any]]:
        import cvxpy as cp

        return weighted_sum(cp.logistic(cp.multiply(-y, f)), weight), []


@dataclass(frozen=True, repr=False)
class HingeLoss(_Margin):
    """Hinge loss ``max(0, 1 - y f)`` with labels -1/+1; dual value ``<nu, y>`` on ``0 <= y_i nu_i <= w_i``.

    Examples
    --------
    >>> import numpy as np
    >>> HingeLoss().value(np.array([0.5, -1.0]), np.array([1.0, -1.0]))
    0.5
    """

    name: ClassVar[str] = "hinge"
    smooth: ClassVar[bool] = False

    def _terms(self, f: Array, y: Array) -> Array:
        return np.maximum(0.0, 1 - y * f)

    def _slopes(self, f: Array, y: Array) -> Array:
        return np.where(y * f < 1, -y, 0.0)

    def _dual_terms(self, nu: Array, y: Array, weight: Array) -> tuple[Array, Array]:
        return nu * y, np.abs(nu)

    def _scale_up_to(self, high: float, nu: Array, y: Array, weight: Array | None) -> float:
        return linear_scale(float(np.sum(nu * y)), high)

    def prox(self, v: Any, y: Array, step: float, weight: Array | None = None) -> Array:
        v = aligned(v, y, "v")
        margin = y * v
        return y * np.where(margin < 1, np.minimum(margin + step * row_weights(weight, v), 1.0), margin)

    def expression(self, f: Any, y: Array, weight: Array | None = None) -> tuple[Any, list[Any]]:
        import cvxpy as cp

        return weighted_sum(cp.pos(1 - cp.multiply(y, f)), weight), []
