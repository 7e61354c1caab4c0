r"""A proven lower bound for one input variable in O(n): dual feasibility by two cumulative sums.

With free biases and a skip connection a dual vector must satisfy ``sum nu = 0``, ``sum x nu = 0`` and
``|u(t)| <= reg / (1 - kappa)`` for ``u(t) = sum_j nu_j (t - x_j)_+``; u is linear between data and zero outside, so its
values at the data decide. Sums are taken in extended precision with running error bounds (each addition errs by at most
half a unit of its result), and the last digits by which the two equalities fail are moved to two samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._spline_nodes import Line, Nodes
from ._spline_objective import kink_price

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Samples", "dual_vector", "kink_values", "lower_bound", "samples_of"]

Long = np.longdouble
UNIT = float(np.finfo(np.longdouble).eps)
EPS = float(np.finfo(np.float64).eps)
RESIDUAL = ("squared", "huber", "absolute", "interpolation")


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of positive weight, sorted: abscissae, weights, targets, and a line that is free in the dual value.

    ``target`` is y less the line, in extended precision, and ``blur`` bounds its rounding error.
    """

    problem: TrainingProblem
    order: np.ndarray
    x: np.ndarray
    weight: np.ndarray
    y: np.ndarray
    target: np.ndarray
    blur: np.ndarray
    gaps: np.ndarray


def samples_of(problem: TrainingProblem, nodes: Nodes, line: Line) -> Samples:
    """Sorted samples with ``y - line``."""
    order = nodes.order
    x, y = problem.X[order, 0], problem.y[order]
    weight = np.ones(order.size) if problem.sample_weight is None else problem.sample_weight[order]
    gaps = np.diff(x.astype(Long))
    blur = 4 * UNIT * (np.abs(y) + abs(line.value) + np.abs(line.slope * (x - line.anchor)))
    return Samples(problem, order, x, weight, y, y.astype(Long) - line.at(x), blur, gaps)


def dual_vector(samples: Samples, raw: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Project a raw dual vector (sorted samples) by a weighted line onto the equalities, up to rounding.

    Entries of no curvature are at a limit of the loss and stay.
    """
    if not np.any(curvature > 0):
        return raw
    for _ in range(2):
        raw = raw - curvature * multiplier_line(samples, raw, curvature)
    return raw


def multiplier_line(samples: Samples, raw: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """The line ``l`` with ``sum (raw - c l) = 0`` and ``sum x (raw - c l) = 0``, at the samples."""
    x, c = samples.x, curvature / curvature.max()
    total = float(c.sum())
    anchor = float(x[0] + (c @ (x - x[0])) / total)
    t = x - anchor
    t = t - (c @ t) / total
    square = float((c * t) @ t)
    value = np.sum(raw, dtype=Long) / total
    slope = np.sum(raw * t.astype(Long)) / square if square > 0 else 0.0
    return (value + slope * t) / curvature.max()


def kink_values(samples: Samples, nu: np.ndarray) -> tuple[np.ndarray, float, float, float]:
    """``u`` at the samples, a bound of its rounding error, ``sum nu`` and ``sum nu (x_n - x)`` with their errors added.

    Returns
    -------
    u (n,), error, |sum nu| and |last u|, both rounded up.
    """
    c = np.cumsum(nu.astype(Long))
    steps = samples.gaps * c[:-1]
    u = np.concatenate([np.zeros(1, dtype=Long), np.cumsum(steps)])
    with np.errstate(under="ignore"):
        drift = UNIT * (np.cumsum(np.abs(c)) - np.abs(c[0]))  # the first sum is exact
        error = np.sum(samples.gaps * drift[:-1]) + UNIT * (np.sum(np.abs(u)) + 3 * np.sum(np.abs(steps)))
    error = float(error) * (1 + 1e-6) + 1e-300
    return u, error, float(abs(c[-1]) + drift[-1]) * (1 + 1e-9), float(abs(u[-1])) * (1 + 1e-9) + error


def lower_bound(samples: Samples, nu: np.ndarray) -> tuple[float, float]:
    """Bound of the objective over all networks from ``nu`` (sorted samples), rounded down, and its scale.

    ``nu`` may be in extended precision.

    .. math:: \\max_s -L^*(-s \\nu) \\quad s\\,|u(t)| \\le \\mathrm{reg} / (1 - \\kappa)
    """
    problem, lam = samples.problem, kink_price(samples.problem) * (1 - 4 * EPS)
    loss = problem.loss
    if not np.any(nu) or not np.isfinite(nu).all() or not loss.in_domain(nu, samples.y, samples.weight):
        return 0.0, 0.0
    u, error, sum_bound, moment_bound = kink_values(samples, nu)
    pair, slack = _repair(samples, nu, sum_bound, moment_bound)
    reach = float(samples.x[-1] - samples.x[0]) * (1 + 4 * EPS)
    top = (float(np.max(np.abs(u))) + error + 2 * slack * reach) * (1 + 4 * EPS)
    limit = min(lam / top, loss.max_scale(nu, samples.y, samples.weight)) if top > 0 else 0.0
    limit = min(limit, _pair_limit(samples, nu, pair, slack))
    value, scale = _best_value(samples, nu, limit)
    value -= _repair_cost(samples, nu, scale, pair, slack)
    return (value, scale) if value > 0 else (0.0, 0.0)


def _repair(samples: Samples, nu: np.ndarray, total: float, moment: float) -> tuple[np.ndarray, float]:
    """Two samples far apart, and by how much they would have to change for both equalities to hold exactly.

    Room towards zero, where that is a limit, is what counts: a scale a little below 1 makes the other room.
    """
    x, loss = samples.x, samples.problem.loss
    reach = x[-1] - x[0]
    if reach == 0:
        return np.array([0]), total
    low, high = loss._dual_box(samples.y, samples.weight)
    room = np.where((low == 0) | (high == 0), np.minimum(np.abs(nu), samples.weight), samples.weight)
    usable = np.flatnonzero(room >= 0.05 * room.max())
    first = int(np.searchsorted(x, x[0] + reach / 3, side="right"))
    last = int(np.searchsorted(x, x[-1] - reach / 3))
    pairs = [usable[[0, -1]], np.array([int(np.argmax(room[:first])), last + int(np.argmax(room[last:]))])]
    found = []
    for pair in pairs:
        apart = float(x[pair[1]] - x[pair[0]])
        slack = (moment + total * float(reach)) / apart * (1 + 1e-9) if apart > 0 else math.inf
        found.append((slack / max(float(np.min(room[pair])), 1e-300), slack))
    best = int(found[1][0] < found[0][0])
    return pairs[best], found[best][1]


def _pair_limit(samples: Samples, nu: np.ndarray, pair: np.ndarray, slack: float) -> float:
    """The largest scale at which the two samples, moved, stay in the domain; less where they sit at a limit."""
    low, high = samples.problem.loss._dual_box(samples.y[pair], samples.weight[pair])
    most, least = nu[pair] + slack, nu[pair] - slack
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.minimum(np.where(most > 0, high / most, np.inf), np.where(least < 0, low / least, np.inf))
    return max(0.0, float(room.min())) * (1 - 8 * EPS)


def _best_value(samples: Samples, nu: np.ndarray, limit: float) -> tuple[float, float]:
    """The best scale up to ``limit`` and the dual value there, rounded down; the equalities are taken as exact."""
    problem = samples.problem
    if problem.loss.name not in RESIDUAL:
        scale = problem.loss.best_scale(nu, samples.y, samples.weight, limit)
        return problem.loss.dual_bound(scale * nu, samples.y, samples.weight), scale
    products = nu * samples.target
    slope = float(np.sum(products))
    size = float(np.sum(np.abs(products)))
    blur = float(np.abs(nu) @ samples.blur)
    curvature = 0.0
    if problem.loss.name in ("squared", "huber"):
        curvature = float(np.sum(nu.astype(Long) ** 2 / samples.weight))
    scale = 0.0
    if slope > 0:
        scale = limit if slope >= limit * curvature else slope / curvature
    value = scale * (slope - 0.5 * scale * curvature)
    # Sums of n terms err by at most n units of the sum of their sizes; the last steps are in double precision.
    error = (nu.size + 8) * UNIT * (size + scale * curvature) + blur + 4 * EPS * (abs(slope) + scale * curvature)
    return value - scale * error * (1 + 1e-6), scale


def _repair_cost(samples: Samples, nu: np.ndarray, scale: float, pair: np.ndarray, slack: float) -> float:
    """How much the dual value can fall when the two samples move."""
    loss, cost = samples.problem.loss, 0.0
    if scale == 0 or slack == 0:
        return 0.0
    shift = scale * slack * (1 + 4 * EPS)
    for i in pair:
        y, w = samples.y[i : i + 1], samples.weight[i : i + 1]
        entry = scale * nu[i : i + 1]
        if loss.name in RESIDUAL:
            quadratic = (abs(entry[0]) + shift) / w[0] if loss.name in ("squared", "huber") else 0.0
            cost += shift * (abs(float(samples.target[i])) + float(quadratic))
        else:
            here = loss.dual_value(entry, y, w)
            moved = (loss.clip_dual(entry + move, y, w) for move in (-shift, shift))
            cost += max(0.0, *(here - loss.dual_bound(other, y, w) for other in moved))
    return cost * (1 + 1e-9)
