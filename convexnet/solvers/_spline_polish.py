"""The last digits of an active set: iterative refinement in extended precision.

Where the fit nearly interpolates, or knots are 1e-9 apart, residuals and kinks are small differences of large numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..networks.linear_spline import LinearSpline
from ._spline_active import ActiveSet

__all__ = ["Polished", "polish"]

Long = np.longdouble
ROUNDS = 10
SMALL = 4 * float(np.finfo(np.longdouble).eps)


@dataclass(frozen=True, eq=False)
class Polished:
    """The function, and its values at the nodes in extended precision."""

    spline: LinearSpline
    theta: np.ndarray


def polish(active: ActiveSet) -> Polished:
    """Refine the values at the knots against the residual in extended precision; signs that turn end it."""
    problem, state = active.problem, active.state
    basis, signs = state.basis, state.signs
    x, weight, y = problem.x.astype(Long), problem.weight, problem.y.astype(Long)
    values = state.values.astype(Long)
    if basis.places.size == 1:
        spline = LinearSpline(np.zeros(0), np.zeros(0), problem.x[0], state.values[0], 0.0)
        return Polished(spline, values)
    frame = _Frame(x, basis.places)
    theta = frame.theta(values)
    for _ in range(ROUNDS):
        gradient = frame.moments(weight * (y - theta))
        pull = problem.lam * (np.diff(signs) / frame.width)
        gradient[:-1] -= pull
        gradient[1:] += pull
        change = basis.correction(gradient.astype(np.float64))
        trial = values + change
        kinks = frame.kinks(trial)
        if np.any(signs[1:-1] * kinks <= 0):
            break
        values, theta = trial, frame.theta(trial)
        if float(np.max(np.abs(change))) <= SMALL * float(np.max(np.abs(values))):
            break
    return Polished(LinearSpline.through(problem.x, theta, basis.places[1:-1]), theta)


class _Frame:
    """Interpolation between knots and its transpose, in extended precision."""

    def __init__(self, x: np.ndarray, places: np.ndarray) -> None:
        self.starts, self.count = places[:-1], np.diff(places)
        self.width = np.diff(x[places])
        self.share = (x[:-1] - np.repeat(x[self.starts], self.count)) / np.repeat(self.width, self.count)

    def theta(self, values: np.ndarray) -> np.ndarray:
        steps = np.repeat(np.diff(values), self.count)
        return np.append(np.repeat(values[:-1], self.count) + self.share * steps, values[-1])

    def moments(self, r: np.ndarray) -> np.ndarray:
        right = np.add.reduceat(self.share * r[:-1], self.starts)
        total = np.append(np.add.reduceat(r[:-1], self.starts) - right, r[-1])
        total[1:] += right
        return total

    def kinks(self, values: np.ndarray) -> np.ndarray:
        return np.diff(np.diff(values) / self.width)
