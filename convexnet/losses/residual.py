"""Losses of the residual ``f - y``: squared, Huber, absolute, and interpolation (an exact fit)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .._validation import as_targets, check_positive
from ..errors import ClassLabelsWarning, ProblemError
from .base import Array, Loss, aligned, divide, linear_scale, row_weights, weighted_sum

__all__ = ["AbsoluteLoss", "HuberLoss", "InterpolationLoss", "SquaredLoss"]


@dataclass(frozen=True, repr=False)
class _Residual(Loss):
    """Losses of the residual ``f - y``: refuse nothing, but say when targets look like class labels."""

    def prepare_targets(self, y: Any, n: int) -> Array:
        targets = as_targets(y, n)
        levels = _class_levels(y, targets)
        if levels:
            warnings.warn(
                f"y holds the integers 0..{levels - 1}, which look like class labels; the {self.name} loss "
                "treats them as numbers. Use loss='softmax' to classify, or pass y as floats if they are amounts.",
                ClassLabelsWarning,
                stacklevel=3,
            )
        return targets


def _class_levels(y: Any, targets: Array) -> int:
    """Number of classes when integer targets look like class codes 0..c-1 (3 <= c <= 20), else 0."""
    if np.asarray(y).dtype.kind not in "iu" or targets.ndim != 1:
        return 0
    levels = np.unique(targets)
    codes = 3 <= levels.size <= 20 and np.array_equal(levels, np.arange(levels.size))
    return int(levels.size) if codes and targets.size > 2 * levels.size else 0


@dataclass(frozen=True, repr=False)
class SquaredLoss(_Residual):
    """Squared loss ``1/2 (f - y)^2``; dual value ``sum_i nu_i y_i - nu_i^2 / (2 w_i)``.

    Examples
    --------
    >>> import numpy as np
    >>> SquaredLoss().value(np.array([1.0, 2.0]), np.array([0.0, 0.0]))
    2.5
    """

    name: ClassVar[str] = "squared"

    def _terms(self, f: Array, y: Array) -> Array:
        return 0.5 * (f - y) ** 2

    def _slopes(self, f: Array, y: Array) -> Array:
        return f - y

    def _dual_terms(self, nu: Array, y: Array, weight: Array) -> tuple[Array, Array]:
        square = 0.5 * nu * divide(nu, weight)
        return nu * y - square, np.abs(nu * y) + square

    def _scale_up_to(self, high: float, nu: Array, y: Array, weight: Array | None) -> float:
        size = float(np.max(np.abs(nu)))
        unit = nu / size
        slope, curvature = float(np.sum(unit * y)), float(np.sum(unit * divide(unit, row_weights(weight, nu))))
        return float(np.clip(slope / curvature / size, 0.0, high))

    def prox(self, v: Any, y: Array, step: float, weight: Array | None = None) -> Array:
        v = aligned(v, y, "v")
        scale = step * row_weights(weight, v)
        return (v + scale * y) / (1 + scale)

    def expression(self, f: Any, y: Array, weight: Array | None = None) -> tuple[Any, list[Any]]:
        import cvxpy as cp

        if weight is None:
            return 0.5 * cp.sum_squares(f - y), []
        root = np.broadcast_to(np.sqrt(row_weights(weight, y)), y.shape)
        return 0.5 * cp.sum_squares(cp.multiply(np.array(root), f - y)), []


@dataclass(frozen=True, repr=False)
class HuberLoss(SquaredLoss):
    """Huber loss: ``r^2/2`` for ``|r| <= delta``, else ``delta |r| - delta^2/2``.

    The dual value is the squared one on ``|nu_i| <= delta w_i``.

    Parameters
    ----------
    delta : float > 0
        The residual beyond which the loss is linear.

    Raises
    ------
    ProblemError
        If ``delta`` is not a positive finite number.

    Examples
    --------
    >>> import numpy as np
    >>> HuberLoss(delta=1.0).value(np.array([3.0]), np.array([0.0]))
    2.5
    """

    name: ClassVar[str] = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", check_positive(self.delta, "delta"))

    def _terms(self, f: Array, y: Array) -> Array:
        r = np.abs(f - y)
        inner = np.minimum(r, self.delta)
        return 0.5 * inner**2 + self.delta * (r - inner)

    def _slopes(self, f: Array, y: Array) -> Array:
        return np.clip(f - y, -self.delta, self.delta)

    def _dual_box(self, y: Array, weight: Array) -> tuple[Array, Array]:
        # A product rounded up is harmless: the loss shrinks by at most the factor by which delta does, which the
        # margin of dual_bound covers.
        return -self.delta * weight, self.delta * weight

    def prox(self, v: Any, y: Array, step: float, weight: Array | None = None) -> Array:
        v = aligned(v, y, "v")
        scale = step * row_weights(weight, v)
        r = v - y
        inside = np.abs(r) <= self.delta * (1 + scale)
        return y + np.where(inside, r / (1 + scale), r - scale * self.delta * np.sign(r))

    def expression(self, f: Any, y: Array, weight: Array | None = None) -> tuple[Any, list[Any]]:
        import cvxpy as cp

        return weighted_sum(0.5 * cp.huber(f - y, self.delta), weight), []


@dataclass(frozen=True, repr=False)
class AbsoluteLoss(_Residual):
    """Absolute loss ``|f - y|``; dual value ``<nu, y>`` on ``|nu_i| <= w_i``.

    Examples
    --------
    >>> import numpy as np
    >>> AbsoluteLoss().value(np.array([3.0, -1.0]), np.array([0.0, 0.0]))
    4.0
    """

    name: ClassVar[str] = "absolute"
    smooth: ClassVar[bool] = False

    def _terms(self, f: Array, y: Array) -> Array:
        return np.abs(f - y)

    def _slopes(self, f: Array, y: Array) -> Array:
        return np.sign(f - y)

    def _dual_terms(self, nu: Array, y: Array, weight: Array) -> tuple[Array, Array]:
        return nu * y, np.abs(nu * y)

    def _dual_box(self, y: Array, weight: Array) -> tuple[Array, Array]:
        return -weight, weight

    def _scale_up_to(self, high: float, nu: Array, y: Array, weight: Array | None) -> float:
        return linear_scale(float(np.sum(nu * y)), high)

    def prox(self, v: Any, y: Array, step: float, weight: Array | None = None) -> Array:
        r = aligned(v, y, "v") - y
        return y + np.sign(r) * np.maximum(np.abs(r) - step * row_weights(weight, r), 0.0)

    def expression(self, f: Any, y: Array, weight: Array | None = None) -> tuple[Any, list[Any]]:
        import cvxpy as cp

        return weighted_sum(cp.abs(f - y), weight), []


@dataclass(frozen=True, repr=False)
class InterpolationLoss(_Residual):
    """Exact fit: 0 when ``f = y`` on every sample of positive weight, else infinite; dual value ``<nu, y>``.

    The dual value is unbounded along a ``nu`` with ``<nu, y> > 0``, so :meth:`best_scale` returns ``s_max``.

    Parameters
    ----------
    tol : float > 0
        The residual, relative to ``max|y|``, up to which a computed prediction counts as exact.

    Raises
    ------
    ProblemError
        If ``tol`` is not a positive finite number, and by :meth:`gradient`, because an exact fit has none.

    Examples
    --------
    >>> import numpy as np
    >>> InterpolationLoss().value(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
    inf
    """

    name: ClassVar[str] = "interpolation"
    smooth: ClassVar[bool] = False
    tol: float = 1e-7

    def __post_init__(self) -> None:
        object.__setattr__(self, "tol", check_positive(self.tol, "tol"))

    def _terms(self, f: Array, y: Array) -> Array:
        scale = float(np.max(np.abs(y), initial=0.0)) or 1.0
        return np.where(np.abs(f - y) <= self.tol * scale, 0.0, np.inf)

    def _slopes(self, f: Array, y: Array) -> Array:
        raise ProblemError(
            "The interpolation loss has no gradient: take the dual variable of the constraint f = y from a solver, or "
            "train with loss='squared' and a small reg."
        )

    def _dual_terms(self, nu: Array, y: Array, weight: Array) -> tuple[Array, Array]:
        return nu * y, np.abs(nu * y)

    def _scale_up_to(self, high: float, nu: Array, y: Array, weight: Array | None) -> float:
        return linear_scale(float(np.sum(nu * y)), high)

    def prox(self, v: Any, y: Array, step: float, weight: Array | None = None) -> Array:
        v = aligned(v, y, "v")
        return np.where(row_weights(weight, v) > 0, y, v)

    def expression(self, f: Any, y: Array, weight: Array | None = None) -> tuple[Any, list[Any]]:
        import cvxpy as cp

        if weight is None:
            return cp.Constant(0.0), [f == y]
        keep = np.flatnonzero(weight > 0)
        return cp.Constant(0.0), [f[keep] == y[keep]]
