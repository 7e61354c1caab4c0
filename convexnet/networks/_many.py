"""Outputs of the hidden layer for many samples and neurons, without the matrix of all their products."""

from __future__ import annotations

import numpy as np

from .activations import activate

__all__ = ["hidden_sums"]

_ENTRIES = 20_000_000
"""Entries of the hidden layer that are held at once."""
_FAST = 1_000_000
"""Entries up to which sums over sorted breakpoints are no faster."""


def hidden_sums(
    X: np.ndarray, weights: np.ndarray, biases: np.ndarray, output_weights: np.ndarray, kappa: float
) -> np.ndarray:
    """Return ``sigma(X W^T + b) @ V``, shape (n,) or (n, k), for X (n, d), W (m, d), b (m,), V (m,) or (m, k)."""
    entries = len(X) * len(weights)
    if entries <= min(_ENTRIES, _FAST):
        return activate(X @ weights.T + biases, kappa) @ output_weights
    if X.shape[1] == 1:
        return _on_line(X[:, 0], weights[:, 0], biases, output_weights, kappa)
    rows = max(1, _ENTRIES // len(weights))
    parts = [X[start : start + rows] for start in range(0, len(X), rows)]
    return np.concatenate([activate(part @ weights.T + biases, kappa) @ output_weights for part in parts])


def _on_line(x: np.ndarray, w: np.ndarray, b: np.ndarray, v: np.ndarray, kappa: float) -> np.ndarray:
    """One feature: between two breakpoints the sum is linear, with coefficients that are cumulative sums."""
    columns = v.reshape(len(w), -1).astype(np.longdouble)
    slopes, heights = columns * w[:, None], columns * b[:, None]
    total = kappa * (x[:, None] * slopes.sum(axis=0) + heights.sum(axis=0))
    flat = w == 0
    total = total + (1 - kappa) * np.maximum(b[flat], 0.0) @ columns[flat]
    for side in (1, -1):  # neurons that are active to the right and to the left of their breakpoint
        chosen = w * side > 0
        breaks = side * (-b[chosen] / w[chosen])
        order = np.argsort(breaks, kind="stable")
        active = np.searchsorted(breaks[order], side * x)
        slope, height = (np.zeros((len(order) + 1, columns.shape[1]), np.longdouble) for _ in range(2))
        np.cumsum(slopes[chosen][order], axis=0, out=slope[1:])
        np.cumsum(heights[chosen][order], axis=0, out=height[1:])
        total = total + (1 - kappa) * (x[:, None] * slope[active] + height[active])
    return total.astype(np.float64).reshape(len(x), *v.shape[1:])
