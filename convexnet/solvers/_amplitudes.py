r"""Amplitudes of given neurons: a non-negative lasso in as many variables as there are directions.

.. math:: \min_{a \ge 0, c}\; L(\Phi a + F c) + \mathrm{reg} \sum_j a_j

with one column of ``Phi`` for each direction and the free columns ``F``. New neurons get a finite size at once and
superfluous ones exactly none, which Newton's method on the neurons themselves cannot do.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from ..arrangements.projection import nonnegative_least_squares
from ..errors import SolverError
from ._kinks import curvature

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["amplitudes"]


def amplitudes(
    problem: TrainingProblem, columns: np.ndarray, start: np.ndarray, free: np.ndarray, deadline: float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Return amplitudes (K,) and free coefficients (r,), at least as good as the start (differentiable losses).

    Newton's method whose quadratic models are solved by non-negative least squares.
    """
    a, c, F = np.maximum(start, 0.0), free, problem.free_columns
    value = _value(problem, columns, a, c)
    for _ in range(40):
        if time.perf_counter() > deadline:
            break
        f = columns @ a + F @ c
        target = _model_minimum(problem, columns, f, c)
        if target is None:
            break
        da, dc = target[0] - a, target[1] - c
        scale, before = 1.0, value
        while scale > 1e-6:
            trial = _value(problem, columns, a + scale * da, c + scale * dc)
            if trial < value:
                a, c, value = a + scale * da, c + scale * dc, trial
                break
            scale *= 0.5
        if before - value <= 1e-13 * abs(value):
            break
    return a, c


def _value(problem: TrainingProblem, columns: np.ndarray, a: np.ndarray, c: np.ndarray) -> float:
    return problem.loss_value(columns @ a + problem.free_columns @ c) + problem.reg * float(np.sum(a))


def _model_minimum(
    problem: TrainingProblem, columns: np.ndarray, f: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Minimiser of the quadratic model at predictions ``f``; the free coefficients are eliminated."""
    F = problem.free_columns
    weight = np.maximum(curvature(problem, f), 1e-10)
    root = np.sqrt(weight)
    # the model is 1/2 ||root (Phi x + F z) - goal||^2 + reg sum(x)
    goal = root * f - problem.gradient(f) / root
    A, B = root[:, None] * columns, root[:, None] * F
    basis = np.linalg.svd(B, full_matrices=False)[0] if F.size else B
    rest = A - basis @ (basis.T @ A)
    H, b = rest.T @ rest, rest.T @ goal - problem.reg
    diagonal = np.diag(H)
    scale = np.sqrt(np.maximum(diagonal, max(1e-14 * float(np.max(diagonal, initial=0.0)), 1e-200)))
    try:
        L = np.linalg.cholesky(H / scale / scale[:, None] + 1e-12 * np.eye(len(H)))
        x = nonnegative_least_squares(L, -np.linalg.solve(L, b / scale)) / scale
    except (np.linalg.LinAlgError, SolverError):
        return None
    return x, np.linalg.lstsq(B, goal - A @ x, rcond=None)[0] if F.size else c
