"""The optimum of a tiny training problem by one convex program over every sign pattern, written out in CVXPY."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
from helpers.arrangement_bruteforce import cells_bruteforce

__all__ = ["reference_optimum"]


def reference_optimum(problem: Any) -> float:
    """Optimal value over networks of every width (scalar output), accurate to about 1e-8."""
    E = problem.X if problem.bias == "none" else np.column_stack([problem.X, np.ones(problem.n)])
    kappa = {"relu": 0.0, "absolute": -1.0}.get(problem.activation, problem.negative_slope)
    order = 1 if problem.norm == "l1" else 2
    f: Any = np.zeros(problem.n)
    penalty: Any = 0.0
    constraints = []
    for bits in sorted(cells_bruteforce(E)):
        pattern = np.array(bits)
        gate = np.where(pattern > 0, 1.0, kappa)
        for sign in (1, -1):
            u = cp.Variable(E.shape[1])
            constraints.append(cp.multiply(2 * pattern - 1, E @ u) >= 0)
            f = f + sign * cp.multiply(gate, E @ u)
            penalty = penalty + cp.norm(u[:-1] if problem.bias == "free" else u, order)
    if problem.intercept:
        f = f + cp.Variable()
    if problem.skip:
        f = f + problem.X @ cp.Variable(problem.d)
    w = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
    loss, extra = _loss(problem, f, w)
    program = cp.Problem(cp.Minimize(loss + problem.reg * penalty), constraints + extra)
    program.solve(
        solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11, tol_ktratio=1e-9, max_iter=300
    )
    return float(program.value)


def _loss(problem: Any, f: Any, w: np.ndarray) -> tuple[Any, list[Any]]:
    y, name = problem.y, problem.loss.name
    if name == "interpolation":
        counted = np.flatnonzero(w > 0)
        return 0.0, [f[counted] == y[counted]]
    terms = {
        "squared": lambda: cp.square(f - y) / 2,
        "absolute": lambda: cp.abs(f - y),
        "huber": lambda: cp.huber(f - y, problem.loss.delta) / 2,
        "logistic": lambda: cp.logistic(cp.multiply(-y, f)),
        "hinge": lambda: cp.pos(1 - cp.multiply(y, f)),
    }[name]()
    return w @ terms, []
