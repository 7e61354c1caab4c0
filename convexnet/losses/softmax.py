"""Softmax cross-entropy for several classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .._validation import as_targets
from ..errors import DataError
from .base import EPS, Array, Loss, aligned, divide, entropy_term, row_weights, weighted_sum

__all__ = ["SoftmaxLoss"]


@dataclass(frozen=True, repr=False)
class SoftmaxLoss(Loss):
    """Softmax cross-entropy ``log sum_c exp(f_c) - sum_c Y_c f_c`` with one-hot rows Y, shape (n, k).

    Integer class codes 0..k-1 of shape (n,) are turned into one-hot rows. With ``Q = Y - N / w``, whose rows must lie
    in the simplex, the dual value is ``-sum_ic w_i Q_ic log Q_ic``. The rows of N then sum to zero:
    :meth:`in_domain` demands it exactly and :meth:`clip_dual` makes it so, while :meth:`dual_value` and
    :meth:`dual_bound` allow for the rounding of a product ``s * nu``.

    Examples
    --------
    >>> import numpy as np
    >>> loss = SoftmaxLoss()
    >>> Y = loss.prepare_targets([0, 1], 2)
    >>> round(loss.value(np.zeros((2, 2)), Y), 6)
    1.386294
    """

    name: ClassVar[str] = "softmax"
    vector_only: ClassVar[bool] = True

    def prepare_targets(self, y: Any, n: int) -> Array:
        targets = as_targets(y, n)
        if targets.ndim == 1:
            targets = _one_hot(targets)
        if not (np.isin(targets, (0.0, 1.0)).all() and (targets.sum(axis=1) == 1).all()):
            raise DataError(
                "The softmax loss needs class codes 0..k-1 of shape (n,), or one-hot rows: a single 1 in each, else 0."
            )
        targets.setflags(write=False)
        return targets

    def _terms(self, f: Array, y: Array) -> Array:
        shifted = f - f.max(axis=1, keepdims=True)
        return np.log(np.exp(shifted).sum(axis=1)) - (y * shifted).sum(axis=1)

    def _slopes(self, f: Array, y: Array) -> Array:
        e = np.exp(f - f.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True) - y

    def _dual_terms(self, nu: Array, y: Array, weight: Array) -> tuple[Array, Array]:
        q = divide(weight * y - nu, weight)
        terms = -entropy_term(q)
        # Near Q = 0 a rounding of nu = w (1 - Q) changes Q by up to eps/2 and the entropy by at most 20 eps.
        return weight * terms, weight * (np.abs(terms) + q) + 3 * np.abs(nu)

    def _dual_box(self, y: Array, weight: Array) -> tuple[Array, Array]:
        return -weight * (1 - y), weight * y

    def _inside(self, nu: Array, y: Array, weight: Array) -> bool:
        sums_vanish = np.abs(nu.sum(axis=1)) <= 8 * EPS * (np.abs(nu).sum(axis=1) + weight[:, 0])
        return super()._inside(nu, y, weight) and bool(sums_vanish.all())

    def in_domain(self, nu: Any, y: Array, weight: Array | None = None) -> bool:
        nu = aligned(nu, y, "nu")
        return super().in_domain(nu, y, weight) and all(math.fsum(row) == 0.0 for row in nu)

    def clip_dual(self, nu: Any, y: Array, weight: Array | None = None) -> Array:
        """Return a point of the domain near ``nu``, equal to it up to rounding where the domain already holds it.

        The probabilities Q are clipped at zero and normalised, then ``w Q`` is put on the grid of the last bit of w.
        """
        nu = aligned(nu, y, "nu")
        w = row_weights(weight, nu)
        q = np.maximum(y - divide(np.where(w > 0, nu, 0.0), w), 0.0)
        total = q.sum(axis=1, keepdims=True)
        q = np.where(total > 0, q / np.where(total > 0, total, 1.0), y)
        grid = np.spacing(w)
        counts = np.floor(w * q / grid).astype(np.int64)
        rows = np.arange(len(q))
        counts[rows, q.argmax(axis=1)] += (w / grid).astype(np.int64)[:, 0] - counts.sum(axis=1)
        return w * y - grid * counts

    def expression(self, f: Any, y: Array, weight: Array | None = None) -> tuple[Any, list[Any]]:
        import cvxpy as cp

        return weighted_sum(cp.log_sum_exp(f, axis=1) - cp.sum(cp.multiply(y, f), axis=1), weight), []


def _one_hot(codes: Array) -> Array:
    if not np.array_equal(codes, np.round(codes)) or codes.min() < 0:
        raise DataError("Class codes for the softmax loss must be the integers 0..k-1.")
    k = int(codes.max()) + 1
    if k < 2:
        raise DataError("The softmax loss needs at least two classes; y holds only the code 0.")
    if k > 10_000 or k > 2 * len(codes) + 2:
        raise DataError(f"The largest class code is {k - 1:g} with {len(codes)} samples; recode the classes as 0..k-1.")
    return np.eye(k)[codes.astype(int)]
