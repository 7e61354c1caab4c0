r"""Moments as products of a thin factor: the moment relaxation as a smooth problem for a quasi-Newton method.

A factor ``V`` (K, q) stands for the moments ``m = ||V||^2``, ``u = ||V|| v_1``, ``U = V' V``: since
``u u' / m = v_1 v_1' <= V' V`` they are admissible, ``tr U = m``, and up to rank K all moments on the sphere are of
this form. The relaxed responses ``|x_i . u|`` then lie between

    lower_i = max(|t_i|, q_i / h_i)  (smoothed)   and   upper_i = sqrt(m q_i),    t = X u,  q_i = ||V x_i||^2.

The problem in V is not convex, and need not be solved exactly: bounds come from the multipliers that V suggests.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Responses", "factor_of", "minimise", "moments_of", "responses"]

_FLOOR = 1e-300


@dataclass(frozen=True, eq=False)
class Responses:
    """What a factor V responds to the rows, and what is needed to differentiate it."""

    rows: np.ndarray
    sizes: np.ndarray
    V: np.ndarray
    T: np.ndarray
    length: float
    mass: float
    t: np.ndarray
    q: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    tilt: np.ndarray
    share: np.ndarray
    drift: np.ndarray

    def gradient(self, by_t: np.ndarray, by_upper: np.ndarray, by_lower: np.ndarray, by_mass: float) -> np.ndarray:
        """Derivative in V of a function whose derivatives in t, upper, lower and mass are given."""
        by_t = by_t + by_lower * self.tilt
        half = 0.5 * by_upper / self.upper
        by_q = half * self.mass + by_lower * self.share / self.sizes
        by_mass = by_mass + float(half @ self.q) + float(by_lower @ self.drift)
        by_T = 2 * by_q[:, None] * self.T
        by_T[:, 0] += self.length * by_t
        by_length = float(by_t @ self.T[:, 0]) + 2 * self.length * by_mass
        return by_T.T @ self.rows + (by_length / self.length) * self.V


def responses(rows: np.ndarray, sizes: np.ndarray, V: np.ndarray, smoothing: float) -> Responses:
    """Responses of the rows (n, q), all of positive size, to a non-zero factor.

    ``lower`` is ``s log(e^(t/s) + e^(-t/s) + e^(q/(h s)))`` with ``s = smoothing h m``: at least the maximum.
    """
    T = rows @ V.T
    mass = float(np.sum(V**2))
    length = mass**0.5
    t, q = length * T[:, 0], np.einsum("ij,ij->i", T, T)
    scale = smoothing * sizes * mass
    size, curved = np.abs(t), q / sizes
    top = np.maximum(size, curved)
    with np.errstate(under="ignore"):
        first, second = np.exp((size - top) / scale), np.exp(-(size + top) / scale)
        third = np.exp((curved - top) / scale)
    total = first + second + third
    tilt, share = np.sign(t) * (first - second) / total, third / total
    lower = top + scale * np.log(total)
    drift = (lower - tilt * t - share * curved) / mass
    upper = np.sqrt(mass * q) + _FLOOR
    return Responses(rows, sizes, V, T, length, mass, t, q, upper, lower, tilt, share, drift)


def moments_of(V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normalised moments ``(u, U)`` of a factor; those of the uniform distribution for a zero factor."""
    mass = float(np.sum(V**2))
    if not mass > _FLOOR:
        return np.zeros(V.shape[1]), np.eye(V.shape[1]) / V.shape[1]
    return V[0] / mass**0.5, V.T @ V / mass


def factor_of(u: np.ndarray, U: np.ndarray, rank: int, generator: np.random.Generator) -> np.ndarray:
    """A factor of at most ``rank`` rows near the moments (u, U), with a little of every direction mixed in."""
    values, vectors = np.linalg.eigh(U - np.outer(u, u))
    top = np.argsort(-values)[: max(rank - 1, 0)]
    rest = (np.sqrt(np.maximum(values[top], 0.0)) * vectors[:, top]).T
    V = np.vstack([u, rest])
    return V + 0.02 * float(np.linalg.norm(V) + 1e-12) / V.size**0.5 * generator.standard_normal(V.shape)


class _LateError(Exception):
    """Raised inside an objective to end the minimisation at the deadline."""


def minimise(
    function: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray, steps: int, deadline: float
) -> np.ndarray:
    """L-BFGS from ``start``; returns the best point met, also when the deadline ends it."""
    from scipy.optimize import minimize

    best: list[tuple[float, np.ndarray]] = [(np.inf, start)]

    def watched(x: np.ndarray) -> tuple[float, np.ndarray]:
        if time.perf_counter() > deadline:
            raise _LateError
        value, gradient = function(x)
        if value < best[0][0]:
            best[0] = (value, x.copy())
        return value, gradient

    options = {"maxiter": steps, "maxfun": 2 * steps, "maxcor": 20, "ftol": 1e-12, "gtol": 1e-12}
    with contextlib.suppress(_LateError):
        minimize(watched, start, jac=True, method="L-BFGS-B", options=options)
    return best[0][1]
