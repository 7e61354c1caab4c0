r"""What every loss shares: weighted sums, the dual value with its domain, and the best scale of a dual vector.

Every loss is ``L(F) = sum_i w_i l(f_i, y_i)`` with non-negative sample weights ``w`` (ones when ``None``). For a
dual vector ``nu`` the quantity that bounds training from below is ``-L*(-nu)``, called the dual value here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from .._validation import as_targets
from ..errors import ProblemError

__all__ = ["Array", "Loss", "divide", "entropy_term", "row_weights", "weighted_sum"]

Array = np.ndarray
EPS = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).tiny)
LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, repr=False)
class Loss(ABC):
    """A convex loss on predictions of shape (n,) or (n, k).

    Methods take predictions ``f`` or dual vectors ``nu``, prepared targets ``y`` of the same shape (see
    :meth:`prepare_targets`) and optional ``weight`` (n,). They raise ProblemError when the shapes differ. A sample of
    weight zero contributes nothing to the loss and forces its dual entries to zero.
    """

    name: ClassVar[str] = ""
    smooth: ClassVar[bool] = True
    """Differentiable everywhere, with a unique gradient."""
    vector_only: ClassVar[bool] = False
    """Needs an (n, k) prediction (softmax)."""

    def prepare_targets(self, y: Any, n: int) -> Array:
        """Check raw targets and return them as a read-only float64 array of shape (n,) or (n, k)."""
        return as_targets(y, n)

    def value(self, f: Any, y: Array, weight: Array | None = None) -> float:
        """Return ``sum_i w_i l(f_i, y_i)``."""
        terms = self._terms(aligned(f, y, "f"), y)
        if weight is not None:
            counted = np.asarray(weight) > 0
            terms = row_weights(weight, terms)[counted] * terms[counted]
        return float(np.sum(terms))

    def gradient(self, f: Any, y: Array, weight: Array | None = None) -> Array:
        """Return the gradient in ``f`` (a subgradient where the loss has a kink)."""
        f = aligned(f, y, "f")
        return row_weights(weight, f) * self._slopes(f, y)

    def conjugate(self, z: Any, y: Array, weight: Array | None = None) -> float:
        """Return ``L*(z) = sup_f <z, f> - L(f)``; ``inf`` outside its domain."""
        return -self.dual_value(-np.asarray(z, dtype=np.float64), y, weight)

    def dual_value(self, nu: Any, y: Array, weight: Array | None = None) -> float:
        """Return ``-L*(-nu)``; ``-inf`` outside the domain."""
        nu = aligned(nu, y, "nu")
        rows = row_weights(weight, nu)
        return self._dual_sum(nu, y, rows, margin=0.0) if self._inside(nu, y, rows) else -math.inf

    def dual_bound(self, nu: Any, y: Array, weight: Array | None = None) -> float:
        """Return :meth:`dual_value` rounded down by a bound on its floating-point error: safe in a certificate.

        ``nu`` may be the rounded product ``s * nu_0`` of a point ``nu_0`` of the domain (:meth:`clip_dual`) and a scale
        ``s`` up to :meth:`max_scale`: the number returned is below the dual value of the exact product as well.
        """
        nu = aligned(nu, y, "nu")
        rows = row_weights(weight, nu)
        return self._dual_sum(nu, y, rows, margin=16 * EPS) if self._inside(nu, y, rows) else -math.inf

    def in_domain(self, nu: Any, y: Array, weight: Array | None = None) -> bool:
        """Whether ``-nu`` lies in the domain of the conjugate (no tolerance)."""
        nu = aligned(nu, y, "nu")
        return self._inside(nu, y, row_weights(weight, nu))

    def clip_dual(self, nu: Any, y: Array, weight: Array | None = None) -> Array:
        """Return the nearest point of the conjugate's domain (entrywise): :meth:`in_domain` holds for it exactly."""
        nu = aligned(nu, y, "nu")
        return np.clip(nu, *self._dual_box(y, row_weights(weight, nu)))

    def max_scale(self, nu: Any, y: Array, weight: Array | None = None) -> float:
        """Return the largest ``s >= 0`` (possibly ``inf``) for which ``s * nu`` stays in the domain, rounded down."""
        nu = aligned(nu, y, "nu")
        lower, upper = self._dual_box(y, row_weights(weight, nu))
        limit = np.where(nu > 0, upper, lower)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            room = np.where(nu == 0, np.inf, limit / nu)
        # A tiny entry overflows the quotient; only an entry without a limit leaves the scale free.
        room = np.where((nu != 0) & np.isfinite(limit), np.minimum(room, LARGEST), room)
        return max(0.0, float(np.min(room, initial=np.inf)) * (1 - 4 * EPS))

    def best_scale(self, nu: Any, y: Array, weight: Array | None = None, s_max: float = math.inf) -> float:
        """Return ``argmax_{0 <= s <= s_max} -L*(-s nu)`` (concave in s), staying inside the domain.

        The answer is ``inf`` only if ``s_max`` is and the dual value grows without limit along ``nu`` (interpolation
        with ``<nu, y> > 0``): if every network is moreover orthogonal to ``nu``, none can fit the targets.
        """
        nu = aligned(nu, y, "nu")
        high = min(s_max, self.max_scale(nu, y, weight))
        if high <= 0 or not np.any(nu):
            return 0.0
        return self._scale_up_to(high, nu, y, weight)

    def prox(self, v: Any, y: Array, step: float, weight: Array | None = None) -> Array:
        """Return ``argmin_f step * L(f) + 1/2 ||f - v||^2``.

        Raises
        ------
        ProblemError
            If the loss has no closed form (logistic, softmax).
        """
        raise ProblemError(f"The {self.name} loss has no closed-form proximal operator.")

    @abstractmethod
    def expression(self, f: Any, y: Array, weight: Array | None = None) -> tuple[Any, list[Any]]:
        """Return the CVXPY expression of the loss at the CVXPY expression ``f``, and constraints that belong to it."""

    @abstractmethod
    def _terms(self, f: Array, y: Array) -> Array:
        """Losses ``l(f_i, y_i)`` without weights: one per sample or one per entry of ``f``."""

    @abstractmethod
    def _slopes(self, f: Array, y: Array) -> Array:
        """Derivatives of the unweighted terms in ``f``."""

    @abstractmethod
    def _dual_terms(self, nu: Array, y: Array, weight: Array) -> tuple[Array, Array]:
        """Terms whose sum is the dual value, and magnitudes: 16 eps times them bounds the rounding error.

        That error includes what one rounding of every entry of ``nu`` changes.
        """

    def _dual_box(self, y: Array, weight: Array) -> tuple[Array, Array]:
        """Entrywise lower and upper limits of ``nu``."""
        big = np.where(weight > 0, np.inf, 0.0)
        return -big, big

    def _inside(self, nu: Array, y: Array, weight: Array) -> bool:
        lower, upper = self._dual_box(y, weight)
        return bool(np.all(np.isfinite(nu) & (nu >= lower) & (nu <= upper)))

    def _dual_sum(self, nu: Array, y: Array, weight: Array, margin: float) -> float:
        """Sum the dual terms less ``margin`` times their magnitudes; ``-inf`` when they overflow."""
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            terms, magnitude = self._dual_terms(nu, y, weight)
            total = float(np.sum(magnitude))
        if not total < LARGEST / 4:
            return -math.inf
        underflow = TINY * magnitude.size * (1.0 + float(np.max(weight)) + float(np.max(np.abs(y))))
        slack = margin * total + underflow if margin > 0 else 0.0
        return math.fsum(np.ravel(terms)) - slack

    def _scale_up_to(self, high: float, nu: Array, y: Array, weight: Array | None) -> float:
        """Best scale in [0, high], high > 0, of a non-zero ``nu``."""
        return golden_section(lambda s: self.dual_value(s * nu, y, weight), high)

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters."""
        return {"name": self.name, **asdict(self)}

    def __repr__(self) -> str:
        parameters = ", ".join(f"{key}={value!r}" for key, value in asdict(self).items())
        return f"{type(self).__name__}({parameters})"


def aligned(values: Any, y: Array, name: str) -> Array:
    """Return ``values`` as float64, of the shape of ``y``: broadcasting would silently sum over the wrong pairs."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape != y.shape:
        raise ProblemError(f"{name} must have the shape of the targets, {y.shape}, got {array.shape}.")
    return array


def row_weights(weight: Array | None, like: Array) -> Array:
    """Weights shaped to multiply an (n,) or (n, k) array row by row."""
    if weight is None:
        return np.ones((like.shape[0],) + (1,) * (like.ndim - 1))
    return np.asarray(weight, dtype=np.float64).reshape((-1,) + (1,) * (like.ndim - 1))


def divide(values: Array, weight: Array) -> Array:
    """``values / weight`` with 0/0 = 0 and v/0 = +-inf."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(values == 0, 0.0, values / weight)


def entropy_term(q: Array) -> Array:
    """``q log q`` with ``0 log 0 = 0``."""
    return np.where(q > 0, q * np.log(np.where(q > 0, q, 1.0)), 0.0)


def weighted_sum(terms: Any, weight: Array | None) -> Any:
    """CVXPY sum of ``terms`` (n,) or (n, k), each row times its weight."""
    import cvxpy as cp

    if weight is None:
        return cp.sum(terms)
    rows = np.asarray(weight, dtype=np.float64).reshape((-1,) + (1,) * (len(terms.shape) - 1))
    return cp.sum(cp.multiply(np.array(np.broadcast_to(rows, terms.shape)), terms))


def linear_scale(slope: float, high: float) -> float:
    """Best scale of a dual value that is linear in the scale."""
    return high if slope > 0 else 0.0


def golden_section(function: Callable[[float], float], high: float) -> float:
    """Maximise a concave function on [0, high]; an unbounded interval is first bracketed by doubling."""
    if math.isinf(high):
        high = 1.0
        while function(2 * high) > function(high) and high < 2.0**500:
            high *= 2
        high *= 2
    ratio = (math.sqrt(5) - 1) / 2
    a, b = 0.0, high
    c, d = b - ratio * (b - a), a + ratio * (b - a)
    fc, fd = function(c), function(d)
    for _ in range(80):
        if fc >= fd:
            b, d, fd = d, c, fc
            c = b - ratio * (b - a)
            fc = function(c)
        else:
            a, c, fc = c, d, fd
            d = a + ratio * (b - a)
            fd = function(d)
    return max((0.0, 0.5 * (a + b), high), key=function)
