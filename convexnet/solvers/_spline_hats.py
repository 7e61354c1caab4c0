"""Weighted least squares in the hat basis of chosen knots: tridiagonal systems from moments of each interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["HatBasis", "Quadratic"]


@dataclass(frozen=True, eq=False)
class Quadratic:
    """``min 1/2 sum w (y - theta)^2 + lam TV`` at distinct abscissae: the core problem of every smooth loss."""

    x: np.ndarray
    weight: np.ndarray
    y: np.ndarray
    lam: float


class HatBasis:
    """Hat functions on knots ``x[places]`` (both ends included) and their moments under the weights.

    Each interval between neighbouring knots has five moments; those of unchanged intervals are taken over from the
    ``previous`` basis.
    """

    def __init__(self, problem: Quadratic, places: np.ndarray, previous: HatBasis | None = None) -> None:
        self.problem, self.places = problem, places
        self.width = np.diff(problem.x[places])
        self.moments = np.empty((5, places.size - 1))
        fresh = np.ones(places.size - 1, dtype=bool)
        if previous is not None and previous.places.size > 1:
            at = np.minimum(np.searchsorted(previous.places, places[:-1]), previous.places.size - 2)
            same = (previous.places[at] == places[:-1]) & (previous.places[at + 1] == places[1:])
            self.moments[:, same] = previous.moments[:, at[same]]
            fresh = ~same
        self._measure(np.flatnonzero(fresh))

    def _measure(self, pieces: np.ndarray) -> None:
        """Moments of the intervals listed; the left knot of an interval belongs to it, the right one does not."""
        if not pieces.size:
            return
        p = self.problem
        left, count = self.places[pieces], np.diff(self.places)[pieces]
        begin = np.concatenate([[0], np.cumsum(count)[:-1]])
        rows = slice(None, -1) if pieces.size == self.width.size else np.repeat(left - begin, count) + np.arange(
            int(count.sum())
        )
        right = (p.x[rows] - np.repeat(p.x[left], count)) / np.repeat(self.width[pieces], count)
        w, y = p.weight[rows], p.y[rows]
        stay, turn = w * (1 - right), w * right
        products = (stay * (1 - right), stay * right, turn * right, stay * y, turn * y)
        for row, product in enumerate(products):
            self.moments[row, pieces] = np.add.reduceat(product, begin)

    def solve(self, signs: np.ndarray) -> np.ndarray:
        """Values at the knots that minimise the loss plus ``lam sum signs kinks``."""
        p, b0, b1 = self.problem, self.moments[3], self.moments[4]
        right = np.append(b0, p.weight[-1] * p.y[-1])
        right[1:] += b1
        pull = p.lam * (np.diff(signs) / self.width)
        right[:-1] -= pull
        right[1:] += pull
        return self.correction(right)

    def correction(self, right: np.ndarray) -> np.ndarray:
        """Solve the tridiagonal system with another right-hand side."""
        diagonal = np.append(self.moments[0], self.problem.weight[-1])
        diagonal[1:] += self.moments[2]
        return solve_tridiagonal(diagonal, self.moments[1], right)

    def kinks(self, values: np.ndarray) -> np.ndarray:
        """Slope jumps at the knots, zero at both ends."""
        jumps = np.zeros(values.size)
        jumps[1:-1] = np.diff(np.diff(values) / self.width)
        return jumps

    def theta(self, values: np.ndarray) -> np.ndarray:
        """Values at all nodes, by interpolation."""
        x, count = self.problem.x, np.diff(self.places)
        slope = np.diff(values) / self.width
        theta = np.repeat(values[:-1], count) + np.repeat(slope, count) * (
            x[:-1] - np.repeat(x[self.places[:-1]], count)
        )
        return np.append(theta, values[-1])


def solve_tridiagonal(diagonal: np.ndarray, off: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve a symmetric positive definite tridiagonal system; scaled, as weights may differ by many digits."""
    from scipy.linalg.lapack import dptsv

    if diagonal.size == 1:
        return right / diagonal
    scale = 1 / np.sqrt(diagonal)
    _, _, solution, info = dptsv(np.ones(diagonal.size), off * scale[:-1] * scale[1:], right * scale)
    if info == 0:
        return scale * solution
    from scipy.linalg import solve_banded

    # Two knots without data of their own between weighty neighbours: singular to working precision.
    bands = np.zeros((3, diagonal.size))
    bands[0, 1:] = bands[2, :-1] = off * scale[:-1] * scale[1:]
    bands[1] = 1 + 1e-14
    return scale * solve_banded((1, 1), bands, right * scale)
