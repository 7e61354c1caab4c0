"""Exact signs of preactivations: at a kink or a jump one rounding error decides between two different networks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

__all__ = ["exact_signs"]

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)


def exact_signs(X: np.ndarray, weights: np.ndarray, biases: np.ndarray) -> np.ndarray:
    """Return the sign (-1, 0, 1) of ``x_i . w_j + b_j`` in exact arithmetic, int8 of shape (n, m).

    Entries that floating point leaves in doubt are summed in rationals.

    Examples
    --------
    >>> exact_signs(np.array([[1.0, 1.0], [0.1, 0.3]]), np.array([[1.0, -1.0]]), np.array([0.0])).ravel().tolist()
    [0, -1]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        t = X @ weights.T + biases
        size = np.abs(X) @ np.abs(weights).T + np.abs(biases)
        error = 2 * (X.shape[1] + 2) * (_EPS * size + _TINY)
    signs = np.sign(np.nan_to_num(t)).astype(np.int8)
    terms = (X != 0).astype(np.float64) @ (weights != 0).T.astype(np.float64) + (biases != 0)
    signs[terms == 0] = 0
    for i, j in np.argwhere((terms > 0) & ~(np.abs(t) > error)):
        signs[i, j] = _sign(X[i], weights[j], float(biases[j]))
    return signs


def _sign(x: np.ndarray, w: np.ndarray, b: float) -> int:
    used = (x != 0) & (w != 0)
    pairs = zip(x[used].tolist(), w[used].tolist(), strict=True)
    total = sum((Fraction(p) * Fraction(q) for p, q in pairs), Fraction(b))
    return (total > 0) - (total < 0)
