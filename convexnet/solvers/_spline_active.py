"""Active set for weighted least squares plus total variation of the slope: knots join where the dual is broken.

Knots and the signs of their kinks fix a tridiagonal system. Its solution is accepted when no kink has the wrong sign
and the objective fell; otherwise the step is cut where the first kink vanishes, which always descends. As no set of
knots and signs comes twice, the method ends after finitely many steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ._spline_hats import HatBasis, Quadratic

__all__ = ["ActiveSet", "State", "run_maxima"]


@dataclass(frozen=True, eq=False)
class State:
    """Knots (both ends included), the signs they were given, values, kinks, residual ``y - theta`` and objective."""

    basis: HatBasis
    signs: np.ndarray
    values: np.ndarray
    kinks: np.ndarray
    residual: np.ndarray
    objective: float


class ActiveSet:
    """The iteration: :meth:`step` until it returns False.

    Attributes
    ----------
    state : State
    u : ndarray (m,)
        ``u_i = sum_j r_j (x_i - x_j)_+`` of the weighted residual r; ``|u| <= lam`` everywhere is optimality.
    """

    def __init__(self, problem: Quadratic, places: np.ndarray | None = None, signs: np.ndarray | None = None) -> None:
        self.problem = problem
        self.gaps = np.diff(problem.x)
        self.single = False
        last = problem.x.size - 1
        inner = np.zeros(0, dtype=int) if places is None else places
        ends = np.array([0] if last == 0 else [0, last])
        chosen = np.union1d(inner, ends)
        start = np.zeros(chosen.size)
        if places is not None and signs is not None:
            start[np.searchsorted(chosen, places)] = np.sign(signs)
        start[0] = start[-1] = 0.0
        kept = (start != 0) | np.isin(chosen, ends)
        self.state = self._consistent(HatBasis(problem, chosen[kept]), start[kept])
        self.u = self._dual()

    def _finished(self, basis: HatBasis, signs: np.ndarray, values: np.ndarray, kinks: np.ndarray) -> State:
        """Residual and objective of values at the knots."""
        residual = self.problem.y - basis.theta(values)
        loss = 0.5 * float(np.sum(self.problem.weight * residual**2))
        return State(basis, signs, values, kinks, residual, loss + self.problem.lam * float(np.sum(np.abs(kinks))))

    def _consistent(self, basis: HatBasis, signs: np.ndarray) -> State:
        """Solve and drop all wrong kinks at once until none is wrong."""
        while True:
            values = basis.solve(signs)
            kinks = basis.kinks(values)
            good = signs * kinks > 0
            good[0] = good[-1] = True
            if good.all():
                return self._finished(basis, signs, values, kinks)
            basis, signs = HatBasis(self.problem, basis.places[good], basis), signs[good]

    def _stepped_back(self, basis: HatBasis, signs: np.ndarray, values: np.ndarray, kinks: np.ndarray) -> State:
        """Walk from consistent values towards each solution, leaving out the knot whose kink vanishes first."""
        while True:
            target = basis.solve(signs)
            jumps = basis.kinks(target)
            wrong = signs * jumps <= 0
            wrong[0] = wrong[-1] = False
            if not wrong.any():
                return self._finished(basis, signs, target, jumps)
            before, after = signs[wrong] * kinks[wrong], signs[wrong] * jumps[wrong]
            with np.errstate(invalid="ignore", divide="ignore"):
                fraction = np.where(before > 0, before / (before - after), 0.0)
            step = float(fraction.min())
            dropped = np.flatnonzero(wrong)[fraction <= step]
            values = values + step * (target - values)
            kinks = kinks + step * (jumps - kinks)
            basis = HatBasis(self.problem, np.delete(basis.places, dropped), basis)
            signs, values, kinks = (np.delete(array, dropped) for array in (signs, values, kinks))

    def _dual(self) -> np.ndarray:
        c = np.cumsum(self.problem.weight * self.state.residual)[:-1]
        return np.concatenate([[0.0], np.cumsum(self.gaps * c)])

    def violators(self) -> np.ndarray:
        """The largest ``|u|`` of each maximal run of one sign beyond lam, knots left out."""
        u = self.u.copy()
        u[self.state.basis.places] = 0.0
        return run_maxima(u, self.problem.lam * (1 + 1e-13))

    def step(self, rise: float = 0.0) -> bool:
        """Add knots and solve again; False when no knot is missing or the objective does not fall.

        Near the end, where a better dual changes the objective by less than its rounding, a relative ``rise`` may be
        allowed.
        """
        found = self.violators()
        if not found.size:
            return False
        while True:
            if self.single:
                found = found[[int(np.argmax(np.abs(self.u[found])))]]
            state = self._with_knots(found)
            if state.objective < self.state.objective * (1 + rise):
                self.single = False
                self.state = state
                self.u = self._dual()
                return True
            if self.single or found.size == 1:
                return False
            self.single = True

    def _with_knots(self, found: np.ndarray) -> State:
        """The state after knots joined, by the quick way if it descends, else by the safe one."""
        old = self.state
        places = np.union1d(old.basis.places, found)
        basis = HatBasis(self.problem, places, old.basis)
        signs = np.zeros(places.size)
        kept, new = np.searchsorted(places, old.basis.places), np.searchsorted(places, found)
        signs[kept], signs[new] = old.signs, np.sign(self.u[found])
        quick = self._consistent(basis, signs)
        if quick.objective < old.objective:
            return quick
        kinks = np.zeros(places.size)
        kinks[kept] = old.kinks
        return self._stepped_back(basis, signs, (self.problem.y - old.residual)[places], kinks)

    def gap(self) -> float:
        """Relative duality gap as it computes, rounding not covered."""
        r, lam = self.problem.weight * self.state.residual, self.problem.lam
        slope, curvature = float(np.sum(r * self.problem.y)), float(np.sum(r * self.state.residual))
        top = float(np.max(np.abs(self.u)))
        if curvature == 0 or self.state.objective == 0:
            return 0.0
        scale = min(slope / curvature, lam / top if top > 0 else math.inf)
        return 1 - (scale * slope - 0.5 * scale**2 * curvature) / self.state.objective


def run_maxima(u: np.ndarray, limit: float) -> np.ndarray:
    """Places of the largest ``|u|`` in each maximal run of one sign beyond the limit."""
    outside = np.where(np.abs(u) > limit, np.sign(u), 0.0)
    inside = np.flatnonzero(outside)
    if not inside.size:
        return inside
    before = np.concatenate([[0.0], outside[:-1]])
    starts = np.flatnonzero(outside[inside] != before[inside])
    run = np.repeat(np.arange(starts.size), np.diff(np.append(starts, inside.size)))
    order = np.lexsort((np.abs(u[inside]), run))
    return inside[order[np.append(starts[1:], inside.size) - 1]]
