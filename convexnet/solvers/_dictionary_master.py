r"""The l1 program over given unit atoms: a linear program (HiGHS) or a lasso, with its dual vector.

.. math:: \min_{a \ge 0, c}\; L(\Phi a + F c, y) + \mathrm{reg} \sum_k a_k

with one column of ``Phi`` for each atom and sign, and the free columns ``F``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._columns import column_basis
from ..networks.reduce import reduce_amplitudes
from ._amplitudes import amplitudes
from ._kinks import curvature

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["LINEAR", "AtomSolution", "fewest", "solve_atoms"]

LINEAR = ("interpolation", "absolute", "hinge")
"""Losses for which the program is linear."""
_TIGHT, _ELASTIC, _CORRECTION = 1e-10, 1e4, 1e-5


@dataclass(frozen=True, eq=False)
class AtomSolution:
    """Amplitudes (K,), free coefficients (r,), dual vector (n,), and why a linear program has no solution if so."""

    amplitudes: np.ndarray
    free: np.ndarray
    nu: np.ndarray
    infeasible: bool = False
    timed_out: bool = False
    failed: bool = False


def solve_atoms(
    problem: TrainingProblem, columns: np.ndarray, start: tuple[np.ndarray, np.ndarray], seconds: float, now: float
) -> AtomSolution:
    """Solve over ``columns`` (n, K) of norm-one atoms; ``start`` matters to smooth losses only."""
    if problem.loss.name in LINEAR:
        return _linear(problem, columns, max(seconds, 0.05))
    a, c = amplitudes(problem, columns, start[0], start[1], now + max(seconds, 0.05))
    a, c = _polished(problem, columns, *fewest(problem, columns, a, c))
    nu = -problem.gradient(columns @ a + problem.free_columns @ c)
    # with a small reg the residuals cancel: what the atoms in use say about nu is more accurate
    table = np.column_stack([columns, problem.free_columns])
    cost = np.append(np.full(len(a), problem.reg), np.zeros(len(c)))
    return AtomSolution(a, c, _refined_dual(table, cost, np.append(a, np.ones(len(c))), nu))


def fewest(
    problem: TrainingProblem, columns: np.ndarray, a: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same outputs by columns that are independent modulo the free ones, at no larger sum (Caratheodory)."""
    used = np.flatnonzero(a > 0)
    if not len(used):
        return a, c
    Q, T = column_basis(problem.free_columns)
    chosen = columns[:, used]
    after = np.zeros_like(a)
    after[used] = reduce_amplitudes(chosen, np.ones((len(used), 1)), a[used], Q)
    return after, c + T @ (Q.T @ (chosen @ (a - after)[used]))


def _polished(
    problem: TrainingProblem, columns: np.ndarray, a: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Newton steps on the atoms in use, kept while their amplitudes stay positive and the optimality improves."""
    used = np.flatnonzero(a > 0)
    design = np.column_stack([columns[:, used], problem.free_columns])
    cost = np.append(np.full(len(used), problem.reg), np.zeros(len(c)))
    z = np.append(a[used], c)
    best = np.inf
    for _ in range(4):
        f = design @ z
        slope = design.T @ problem.gradient(f) + cost
        size = float(np.max(np.abs(slope), initial=0.0))
        if not size < 0.5 * best:
            break
        best, kept = size, z
        root = np.sqrt(np.maximum(curvature(problem, f), 0.0))
        if not root.any():
            break
        # the Gauss-Newton step by a QR of the design, not of its square
        triangle = np.linalg.qr(root[:, None] * design, mode="r")
        inverse = np.linalg.pinv(triangle, rcond=1e-13)
        step = inverse @ (inverse.T @ slope)
        z = z - step
        if np.any(z[: len(used)] <= 0):
            break
    if not np.isfinite(best):
        return a, c
    polished = np.zeros_like(a)
    polished[used] = kept[: len(used)]
    return polished, kept[len(used) :]


def _linear(problem: TrainingProblem, columns: np.ndarray, seconds: float) -> AtomSolution:
    """The program in units of one: columns of largest entry one, targets of size one, costs of size one."""
    name, F = problem.loss.name, problem.free_columns
    n, K, r = problem.n, columns.shape[1], F.shape[1]
    weight = np.ones(n) if problem.sample_weight is None else problem.sample_weight
    unit_y = 1.0 if name == "hinge" else float(np.max(np.abs(problem.y))) or 1.0
    sizes, free_sizes = _sizes(columns), _sizes(F)
    slack, slack_cost = _slack(problem, weight)
    rows = weight > 0
    cost = np.concatenate([problem.reg / sizes, np.zeros(r), slack_cost])
    matrix, target = np.column_stack([columns / sizes, F / free_sizes, slack])[rows], problem.y[rows] / unit_y
    answer = _highs(cost, matrix, target, slice(K, K + r), seconds)
    infeasible = answer == "infeasible" or (answer == "failed" and name == "interpolation")
    if infeasible:
        # residuals at a cost: their multipliers still bound the optimum and tell which atoms are missing
        unit = float(np.median(cost[cost > 0])) if np.any(cost > 0) else problem.reg
        cost = np.append(cost, np.full(2 * len(target), _ELASTIC * unit))
        matrix = np.column_stack([matrix, np.eye(len(target)), -np.eye(len(target))])
        answer = _highs(cost, matrix, target, slice(K, K + r), seconds)
    if isinstance(answer, str):
        return AtomSolution(np.zeros(K), np.zeros(r), np.zeros(n), infeasible, answer == "time_limit", True)
    z = _refined_primal(matrix, target, answer[0], K, r)
    nu = np.zeros(n)
    nu[rows] = _refined_dual(matrix, cost, z, answer[1])
    return AtomSolution(z[:K] * unit_y / sizes, z[K : K + r] * unit_y / free_sizes, nu, infeasible)


def _highs(
    cost: np.ndarray, matrix: np.ndarray, target: np.ndarray, free: slice, seconds: float
) -> tuple[np.ndarray, np.ndarray] | str:
    """Vertex and multipliers by the dual simplex method, or the word for what happened instead.

    The tolerance of the multipliers is absolute. The cheapest atom must not be as small as it, which decides the unit
    of the costs; where that makes others too large for the solver, the median is tried, then looser tolerances.
    """
    from scipy.optimize import linprog

    if not len(cost):  # which the library refuses
        return "infeasible" if target.any() else (np.zeros(0), np.zeros(len(target)))
    bounds = np.zeros((len(cost), 2))
    bounds[:, 1] = np.inf
    bounds[free, 0] = -np.inf
    positive = cost[cost > 0]
    units = (float(np.min(positive)), float(np.median(positive))) if len(positive) else (1.0,)
    word = "failed"
    for tol, unit in [(tol, unit) for tol in (_TIGHT, 1e-7) for unit in units]:
        options = {"primal_feasibility_tolerance": tol, "dual_feasibility_tolerance": tol, "time_limit": seconds}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = linprog(cost / unit, A_eq=matrix, b_eq=target, bounds=bounds, method="highs-ds", options=options)
        if answer.status == 0 and np.isfinite(answer.x).all():
            return np.asarray(answer.x), np.asarray(answer.eqlin.marginals) * unit
        word = {1: "time_limit", 2: "infeasible"}.get(answer.status, "failed")
        if word == "time_limit":
            break
    return word


def _sizes(columns: np.ndarray) -> np.ndarray:
    top = np.max(np.abs(columns), axis=0, initial=0.0)
    return np.where(top > 0, top, 1.0)


def _slack(problem: TrainingProblem, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and costs of what the loss adds to ``f = y``: nothing, residuals of both signs, or margins."""
    n, name = problem.n, problem.loss.name
    if name == "interpolation":
        return np.zeros((n, 0)), np.zeros(0)
    counted = np.eye(n)[:, weight > 0]
    if name == "absolute":
        return np.column_stack([counted, -counted]), np.tile(weight[weight > 0], 2)
    # hinge: f = y (1 - s + t) with a margin missed by s at cost w and exceeded by t at none
    signed = counted * problem.y[:, None]
    return np.column_stack([signed, -signed]), np.append(weight[weight > 0], np.zeros(signed.shape[1]))


def _refined_primal(matrix: np.ndarray, target: np.ndarray, z: np.ndarray, K: int, free: int) -> np.ndarray:
    """Solve again on the variables in use: the simplex method meets its equations only to a tolerance."""
    bounded = np.ones(len(z), dtype=bool)
    bounded[K : K + free] = False
    used = np.flatnonzero((z > 0) | ~bounded)
    for _ in range(2):
        trial = z.copy()
        trial[used] += np.linalg.lstsq(matrix[:, used], target - matrix @ z, rcond=1e-13)[0]
        better = np.linalg.norm(target - matrix @ trial) < np.linalg.norm(target - matrix @ z)
        if not better or np.any(trial[bounded] < 0):
            break
        z = trial
    return np.where(bounded, np.maximum(z, 0.0), z)


def _refined_dual(matrix: np.ndarray, cost: np.ndarray, z: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """Least change of nu that gives the variables in use a reduced cost of exactly zero, if it is a small one."""
    used, start = matrix[:, z != 0], nu
    for _ in range(2):
        gap = cost[z != 0] - used.T @ nu
        nu = nu + np.linalg.lstsq(used.T, gap, rcond=1e-13)[0]
    change = float(np.max(np.abs(nu - start), initial=0.0))
    # nearly parallel atoms turn the rounding of their costs into a large change
    return nu if change <= _CORRECTION * float(np.max(np.abs(start), initial=0.0)) else start
