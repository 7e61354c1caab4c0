"""Limited-memory quasi-Newton descent, in place of a library's for its overhead and for a clock that it looks at."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

__all__ = ["descend"]

_MEMORY = 15
_Function = Callable[[np.ndarray], tuple[float, np.ndarray]]


def descend(
    function: _Function, x: np.ndarray, max_iter: int, deadline: float = np.inf, tol: float = 1e-12
) -> tuple[np.ndarray, float, int]:
    """Minimise by L-BFGS; return the last point, its value and the number of evaluations.

    Ends when ten iterations together gain less than ``tol`` of the value.
    """
    value, gradient = function(x)
    evaluations, pairs = 1, _Pairs(len(x))
    milestone = value
    for iteration in range(max_iter):
        if time.perf_counter() > deadline:
            break
        direction = pairs.direction(gradient)
        slope = float(gradient @ direction)
        if not slope < 0:
            if not pairs.count:
                break
            pairs.count = 0
            direction, slope = -gradient, -float(gradient @ gradient)
            if slope == 0:
                break
        first = 1.0 if pairs.count else min(1.0, 0.1 * abs(value) / max(-slope, 1e-300))
        found = _line_search(function, x, value, slope, direction, first)
        evaluations += found[3]
        if found[0] == 0:
            if not pairs.count:
                break
            pairs.count = 0
            continue
        step = found[0] * direction
        pairs.add(step, found[2] - gradient)
        x, value, gradient = x + step, found[1], found[2]
        if iteration % 10 == 9:
            if milestone - value <= tol * abs(value):
                break
            milestone = value
    return x, value, evaluations


def _line_search(
    function: _Function, x: np.ndarray, value: float, slope: float, direction: np.ndarray, first: float
) -> tuple[float, float, np.ndarray, int]:
    """Weak Wolfe conditions by bisection and doubling: step (0: none found), value, gradient, evaluations."""
    low, high, step = 0.0, np.inf, first
    best: tuple[float, float, np.ndarray] = (0.0, value, direction)
    for count in range(1, 21):
        trial, gradient = function(x + step * direction)
        if not trial <= value + 1e-4 * step * slope:
            high = step
        else:
            best = (step, trial, gradient)
            if float(gradient @ direction) >= 0.9 * slope or count > 8:
                return *best, count
            low = step
        step = 0.5 * (low + high) if np.isfinite(high) else 2 * step
        if best[0] and count > 8:
            return *best, count
    return *best, 20


class _Pairs:
    """The last steps and gradient changes."""

    def __init__(self, size: int) -> None:
        self.steps, self.changes = np.empty((_MEMORY, size)), np.empty((_MEMORY, size))
        self.products = np.empty(_MEMORY)
        self.count, self.next = 0, 0

    def add(self, step: np.ndarray, change: np.ndarray) -> None:
        """Keep a pair of positive curvature."""
        product = float(step @ change)
        if product <= 1e-12 * float(change @ change) * 1e-6:
            return
        if self.count == 0:
            self.next = 0
        self.steps[self.next], self.changes[self.next], self.products[self.next] = step, change, product
        self.next = (self.next + 1) % _MEMORY
        self.count = min(self.count + 1, _MEMORY)

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        """Minus the approximate inverse Hessian times the gradient."""
        g = gradient.copy()
        order = [(self.next - 1 - i) % _MEMORY for i in range(self.count)]
        weights = []
        for i in order:
            weight = float(self.steps[i] @ g) / self.products[i]
            g -= weight * self.changes[i]
            weights.append(weight)
        if order:
            last = order[0]
            g *= self.products[last] / float(self.changes[last] @ self.changes[last])
        for i, weight in zip(reversed(order), reversed(weights), strict=True):
            g += (weight - float(self.changes[i] @ g) / self.products[i]) * self.steps[i]
        return -g
