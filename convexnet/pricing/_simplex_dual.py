r"""Dual matrices of the softmax loss whose rows and columns sum to zero exactly."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["balanced_matrix"]

_BITS = 52
_ROUNDS = 500
_SHARE = 1e-9
"""Share of the class frequencies that is mixed in, so that no class is without room."""


def balanced_matrix(nu: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    r"""A matrix near ``nu`` in the domain of the softmax loss with columns of sum zero; None where weights underflow.

    With ``nu = w (y - Q)`` the columns sum to zero where the probabilities Q have the class totals of y. They are
    scaled to them in turn with the rows (the scaling of classes is an output bias), put on a dyadic grid on which all
    sums are exact, and what rounding leaves over is moved between the classes of single rows.

    References
    ----------
    Sinkhorn and Knopp (1967) for the scaling.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.eye(2)[[0, 0, 1]]
    >>> nu = balanced_matrix(np.array([[0.5, -0.5], [0.25, -0.25], [-0.5, 0.5]]), y, np.ones((3, 1)))
    >>> nu.sum(axis=0), nu.sum(axis=1)
    (array([0., 0.]), array([0., 0., 0.]))
    """
    unit = math.ldexp(1.0, max(math.ceil(math.log2(float(weight.sum()))) - _BITS, -1074))
    whole = np.floor(weight / unit)
    if not whole.any():
        return None
    totals = (whole * y).sum(axis=0)
    counts = _counts(whole * _scaled(nu, y, weight, whole, totals), whole)
    _level(counts, totals.astype(np.int64))
    return (whole * y - counts) * unit if np.all(counts >= 0) else None


def _scaled(nu: np.ndarray, y: np.ndarray, weight: np.ndarray, whole: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Probabilities near ``y - nu / w`` with class totals close to ``totals``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(whole > 0, np.maximum(y - nu / weight, 0.0), y)
    q = (1 - _SHARE) * q + _SHARE * totals / totals.sum()
    for _ in range(_ROUNDS):
        q = q / q.sum(axis=1, keepdims=True)
        reached = (whole * q).sum(axis=0)
        if np.max(np.abs(reached - totals)) <= 1e-13 * totals.sum():
            break
        q = q * np.where(totals > 0, totals / np.where(reached > 0, reached, 1.0), 0.0)
    return q / q.sum(axis=1, keepdims=True)


def _counts(exact: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Integers near ``exact`` whose rows sum to ``whole``."""
    counts = np.floor(exact).astype(np.int64)
    counts[np.arange(len(counts)), exact.argmax(axis=1)] += whole[:, 0].astype(np.int64) - counts.sum(axis=1)
    return counts


def _level(counts: np.ndarray, totals: np.ndarray) -> None:
    """Move units between the classes of single rows, in place, until the columns sum to ``totals``."""
    excess = counts.sum(axis=0) - totals
    for full in np.flatnonzero(excess > 0):
        for row in np.argsort(-counts[:, full]):
            for empty in np.flatnonzero(excess < 0):
                moved = min(excess[full], -excess[empty], max(counts[row, full], 0))
                counts[row, full] -= moved
                counts[row, empty] += moved
                excess[full] -= moved
                excess[empty] += moved
            if excess[full] <= 0:
                break
