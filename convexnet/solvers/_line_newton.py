r"""Newton's method on the neurons at hand: amplitudes, breakpoints and free terms together, on rays and arcs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._kinks import curvature
from ._line_units import Units
from ._relu_loss import LossShift

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Point", "reduce", "start"]

_RIDGE = 1e-14
"""Of the unit diagonal of the scaled Newton matrix: columns may be dependent."""
_STEPS = 60
_HALVINGS = 30
_RESOLUTION = 1e-13
"""Relative decrease of the objective below which rounding hides whether it fell."""
_DAMPING, _LEAST = 1e-3, 1e-9
"""Shares of the largest curvature that are mixed in: after a failure, and where the loss is straight."""
_FINAL = 3
"""Newton steps taken on trust at that point: the dual vector is less accurate than the objective."""


@dataclass(frozen=True, eq=False)
class Point:
    """Neurons and coefficients of the free columns, with what is known there."""

    units: Units
    free: np.ndarray
    predictions: np.ndarray
    objective: float

    @property
    def nu(self) -> np.ndarray:
        return -self.units.data.problem.gradient(self.predictions)


def start(units: Units, free: np.ndarray) -> Point:
    """Evaluate the objective at neurons and free coefficients."""
    data = units.data
    columns = units.columns()
    coefficients = np.concatenate([units.amplitude, np.zeros(len(units.moving)), free])
    f = data.predictions(columns, coefficients)
    objective = data.problem.loss_value(f) + data.problem.reg * float(np.sum(units.amplitude))
    return Point(units, free, f, objective)


def reduce(point: Point, accuracy: float, deadline: float) -> Point:
    """Minimise over the neurons at hand until Newton's decrement is below ``accuracy`` times the objective."""
    trusted, damping = 0, 0.0
    for _ in range(_STEPS):
        if time.perf_counter() > deadline:
            break
        step, decrement = _direction(point, damping)
        noise = decrement <= max(_RESOLUTION * abs(point.objective), 1e-300)
        new = _searched(point, step, decrement, noise)
        if new is None:
            held = point.units.held(step)
            if held is not None:
                point = start(held, point.free)
            elif noise or damping >= 1:
                break
            else:
                damping = max(_DAMPING, 10 * damping)
            continue
        blocked = len(new.units) < len(point.units) or len(new.units.moving) < len(point.units.moving)
        point, damping = new, 0.0 if damping <= _DAMPING else 0.1 * damping
        trusted += noise and not blocked
        if trusted >= _FINAL or (decrement <= accuracy * abs(point.objective) and not blocked and not noise):
            break
    return point


def _direction(point: Point, damping: float) -> tuple[np.ndarray, float]:
    """The Newton step and the decrease that its model promises, twice; damping mixes in the largest curvature."""
    units, problem = point.units, point.units.data.problem
    columns, m, K = units.columns(), units.moving, len(units)
    gradient = -units.data.products(columns, point.nu)
    gradient[:K] += problem.reg
    bends, cap = curvature(problem, point.predictions), _largest_curvature(problem)
    bends = np.maximum((1 - damping) * bends + damping * cap, _LEAST * cap)
    hessian = units.data.gram(columns, bends)
    turning = np.arange(K, K + len(m))
    hessian[turning, turning] += problem.reg / units.amplitude[m]
    return _solved(hessian, gradient, units, damping)


def _largest_curvature(problem: TrainingProblem) -> np.ndarray:
    """Bounds of the second derivatives of the loss terms anywhere."""
    weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
    if isinstance(problem.loss, LossShift):
        return np.full(problem.n, 1 / problem.loss.width)
    return weight * (0.25 if problem.loss.name == "logistic" else 1.0)


def _solved(hessian: np.ndarray, gradient: np.ndarray, units: Units, damping: float) -> tuple[np.ndarray, float]:
    """Solve for the step; a ray at zero whose amplitude would fall stays out."""
    from scipy.linalg import cho_factor, cho_solve

    K = len(units)
    active = np.ones(len(gradient), dtype=bool)
    step = np.zeros(len(gradient))
    for _ in range(K + 1):
        index = np.flatnonzero(active)
        H, g = hessian[np.ix_(index, index)], gradient[index]
        size = np.sqrt(np.maximum(np.diag(H), 1e-300))
        H = H / np.outer(size, size)
        factor = None
        for ridge in (max(_RIDGE, 1e-6 * damping), 1e-11, 1e-8, 1e-4, 1.0):
            try:
                factor = cho_factor(H + ridge * np.eye(len(g)))
                break
            except np.linalg.LinAlgError:
                continue
        step[:] = 0.0
        if factor is None or not len(g):
            break
        step[index] = -cho_solve(factor, g / size) / size
        stuck = active[:K] & (units.amplitude == 0) & (step[:K] < 0)
        if not stuck.any():
            break
        active[:K][stuck] = False
    return step, float(-gradient @ step)


def _searched(point: Point, step: np.ndarray, decrement: float, noise: bool) -> Point | None:
    """The projected step if the objective falls, else a part of it that stays inside; None if there is none."""
    reach = point.units.reach(step)
    if noise:
        trials = (_at(point, step, size) for size in dict.fromkeys((1.0, reach)))
        limit = point.objective + 10 * _RESOLUTION * abs(point.objective)
        return next((new for new in trials if new.objective <= limit), None)
    sizes = [reach * 0.5**k for k in range(_HALVINGS)] if reach > 0 else []
    if reach < 1:
        new = _at(point, step, 1.0)
        if new.objective < point.objective - 0.1 * min(reach, 0.1) * decrement:
            return new
    for size in sizes:
        new = _at(point, step, size)
        if new.objective < point.objective - 1e-4 * size * decrement:
            return new
    return None


def _at(point: Point, step: np.ndarray, size: float) -> Point:
    units, free = point.units.moved(size * step, point.free)
    kept = (units.amplitude > 0) | (np.append(step[: len(units)], 0.0)[: len(units)] > 0)
    return start(units.take(np.flatnonzero(kept)).merged(), free)
