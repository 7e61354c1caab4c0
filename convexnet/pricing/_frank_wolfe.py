r"""The moment relaxation of one pricing form: Frank-Wolfe steps, then a quasi-Newton method on few directions."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

from ..networks._arrays import row_norms
from ._low_rank import factor_of, minimise, moments_of, responses
from .forms import PricingForm
from .trust_region import solve_trust_region

__all__ = ["FrankWolfe", "MomentState"]

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_SMALLEST = 1e-12
"""Smallest ``q_i / h_i^2`` used in a square root: keeps tau positive where all directions of a state are tied."""
_STAGES = (0.01, 0.002, 0.0005, 0.0001)
_RANK = 12
_STEPS = 200
_REFINEMENTS = 2

MomentState = tuple[np.ndarray, np.ndarray]
"""First and second moments ``(u, U)`` of unit directions, of shapes (q,) and (q, q)."""


class FrankWolfe:
    """The moment relaxation of one form: state, multipliers and the trust-region oracle."""

    def __init__(self, form: PricingForm, state: MomentState | None = None) -> None:
        order = np.argsort(form.weights < 0, kind="stable")
        self.form, self.order = form, order
        self.split = int(np.sum(form.weights > 0))
        self.rows = np.ascontiguousarray(form.rows[order])
        self.strength = np.abs(form.weights[order])
        self.sizes = row_norms(self.rows) * (1 + 4 * _EPS) if len(order) else np.zeros(0)
        q = form.rows.shape[1]
        self.fresh = state is None
        self.value, self.found = np.inf, (np.zeros(0), np.zeros(0), np.zeros(0), 0.0)
        self.relaxed = -np.inf
        self.best_direction = (-np.inf, np.zeros(q))
        self.count = 0
        self.u = np.zeros(q)
        self.U = np.eye(q) / q
        self._move_to(self.u if state is None else state[0].copy(), self.U if state is None else state[1].copy())

    def _move_to(self, u: np.ndarray, U: np.ndarray) -> None:
        self.u, self.U = u, U
        self.t = self.rows @ u
        self.q = np.maximum(np.einsum("ij,ij->i", self.rows @ U, self.rows), 0.0)

    def settled(self, tol: float, goal: float, watch: float) -> bool:
        """Whether the bound is at its goal or as good as it gets, or a direction exceeds ``watch``."""
        close = self.value - self.relaxed <= tol * abs(self.value)
        return self.value <= goal or close or self.best_direction[0] > watch

    def run(self, iterations: int, smoothing: float, tol: float, goal: float, deadline: float, watch: float) -> None:
        """Frank-Wolfe steps until :meth:`settled` or a limit is met."""
        offset = 2 if self.fresh else 22
        for j in range(max(iterations, 1)):
            direction, response = self._step(smoothing / (1 + 0.1 * j))
            late = j + 1 >= iterations or time.perf_counter() > deadline
            if late or self.settled(tol, goal, watch):
                break
            step = 2.0 / (j + offset)
            self.u += step * (direction - self.u)
            self.U += step * (np.outer(direction, direction) - self.U)
            self.t += step * (response - self.t)
            self.q += step * (response**2 - self.q)

    def refine(self, tol: float, goal: float, deadline: float, watch: float) -> None:
        """Maximise the relaxation over factors of few rows, with decreasing smoothing; one bound after each stage."""
        generator = np.random.default_rng(0)
        for _ in range(_REFINEMENTS):
            V = factor_of(self.u, self.U, min(_RANK, len(self.u) + 1), generator)
            for smoothing in _STAGES:
                V = minimise(partial(self._factored, V.shape, smoothing), V.ravel(), _STEPS, deadline).reshape(V.shape)
                self._move_to(*moments_of(V))
                self._step(smoothing)
                if self.settled(tol, goal, watch) or time.perf_counter() > deadline:
                    return
            # A local maximum of the factors: mix other directions in.
            self.fresh = False
            self.run(10, _STAGES[-1], tol, goal, deadline, watch)

    def _factored(self, shape: tuple[int, int], smoothing: float, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the relaxed value of the moments of a factor, invariant to its scale, and the gradient."""
        k, V = self.split, x.reshape(shape)
        found = responses(self.rows, self.sizes, V + _TINY, smoothing)
        zero = np.zeros(len(self.strength))
        upper, lower = zero.copy(), zero.copy()
        upper[:k], lower[k:] = self.strength[:k], -self.strength[k:]
        tilt = self.form.linear @ V[0]
        total = found.length * float(tilt) + float(upper @ found.upper + lower @ found.lower)
        gradient = found.gradient(zero, upper, lower, 0.0) + (float(tilt) / found.length) * V
        gradient[0] += found.length * self.form.linear
        value = total / found.mass
        return -value, -((gradient - 2 * value * V) / found.mass).ravel()

    def _step(self, smoothing: float) -> tuple[np.ndarray, np.ndarray]:
        """Multipliers at the state, their trust-region bound, and its maximiser with the response of the rows."""
        k = self.split
        tau = np.sqrt(np.maximum(self.q[:k], _SMALLEST * self.sizes[:k] ** 2))
        alpha, theta = _softmax(self.t[k:], self.q[k:], self.sizes[k:], smoothing)
        slopes = np.concatenate([self.strength[:k] / (2 * tau), -self.strength[k:] * theta / self.sizes[k:]])
        A = self.rows.T @ (slopes[:, None] * self.rows)
        b = self.form.linear - (self.strength[k:] * alpha) @ self.rows[k:]
        point = solve_trust_region(A, b, sphere=True)
        value = 0.5 * float(self.strength[:k] @ tau) + point.value
        lowest = np.maximum(np.abs(self.t[k:]), self.q[k:] / self.sizes[k:])
        here = self.form.linear @ self.u + self.strength[:k] @ np.sqrt(self.q[:k]) - self.strength[k:] @ lowest
        self.relaxed = max(self.relaxed, float(here))
        if value < self.value:
            self.value, self.found = value, (tau, alpha, theta, point.mu)
        response = self.rows @ point.maximiser
        self.count += 1
        self._try(point.maximiser, response)
        return point.maximiser, response

    def _try(self, direction: np.ndarray, response: np.ndarray) -> None:
        size = np.abs(response)
        k = self.split
        score = float(self.form.linear @ direction + self.strength[:k] @ size[:k] - self.strength[k:] @ size[k:])
        length = float(np.linalg.norm(direction))
        if length > 0 and score / length > self.best_direction[0]:
            self.best_direction = (score / length, direction / length)

    def multipliers(self) -> dict[str, Any]:
        """Those of the best iterate, in the order of the form's rows."""
        tau, alpha, theta, mu = self.found
        return {"tau": tau, "a": alpha, "theta": theta, "mu": float(mu)}


def _softmax(
    t: np.ndarray, q: np.ndarray, sizes: np.ndarray, smoothing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the minorants t, -t, q/h of ``|t|``: the difference of the first two, and the third."""
    scale = smoothing * sizes
    size, third = np.abs(t), q / sizes
    top = np.maximum(size, third)
    with np.errstate(under="ignore"):
        first, second, last = np.exp((size - top) / scale), np.exp((-size - top) / scale), np.exp((third - top) / scale)
    total = first + second + last
    return np.sign(t) * (first - second) / total, last / total
