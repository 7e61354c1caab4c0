r"""Amplitudes of given neurons: a non-negative lasso in as many variables as there are directions.

.. math:: \min_{a \ge 0, c}\; L(\Phi a + F c) + \mathrm{reg} \sum_j a_j

with one column of ``Phi`` for each direction and the free columns ``F``. New neurons get a finite size at once and
superfluous ones exactly none, which Newton's method on the neurons themselves cannot do.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from .._columns import column_basis
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
    floor, top = 1e-10, _stiffest(problem)
    for _ in range(60):
        if time.perf_counter() > deadline:
            break
        target = _model_minimum(problem, columns, columns @ a + F @ c, c, floor * top)
        scale, gain = 0.0, 0.0
        if target is not None:
            da, dc = target[0] - a, target[1] - c
            scale, gain = _line_search(problem, columns, (a, c), (da, dc), value)
            a, c, value = a + scale * da, c + scale * dc, value - gain
        if gain <= 1e-13 * abs(value) and (scale == 1 or floor == 1 or problem.loss.name == "squared"):
            break
        # samples without curvature leave the model flat where the loss is not: then each gets some, at last the most
        floor = max(0.01 * floor, 1e-10) if scale == 1 else min(100 * max(floor, 1e-6), 1.0)
    return a, c


def _line_search(
    problem: TrainingProblem, columns: np.ndarray, at: tuple[np.ndarray, np.ndarray],
    step: tuple[np.ndarray, np.ndarray], value: float,
) -> tuple[float, float]:  # fmt: skip
    """A share of the step that lowers the objective, by halving, and by how much."""
    scale = 1.0
    while scale > 1e-4:
        gain = value - _value(problem, columns, at[0] + scale * step[0], at[1] + scale * step[1])
        if gain > 0:
            return scale, gain
        scale *= 0.5
    return 0.0, 0.0


def _stiffest(problem: TrainingProblem) -> float:
    """Upper bound of the second derivatives of the loss terms."""
    weight = 1.0 if problem.sample_weight is None else float(np.max(problem.sample_weight))
    width = getattr(problem.loss, "width", None)
    return 1 / width if width is not None else weight


def _value(problem: TrainingProblem, columns: np.ndarray, a: np.ndarray, c: np.ndarray) -> float:
    return problem.loss_value(columns @ a + problem.free_columns @ c) + problem.reg * float(np.sum(a))


def _model_minimum(
    problem: TrainingProblem, columns: np.ndarray, f: np.ndarray, c: np.ndarray, floor: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Minimiser of the quadratic model at predictions ``f``; the free coefficients are eliminated."""
    F = problem.free_columns
    weight = np.maximum(curvature(problem, f), floor)
    root = np.sqrt(weight)
    # the model is 1/2 ||root (Phi x + F z) - goal||^2 + reg sum(x)
    goal = root * f - problem.gradient(f) / root
    A, B = root[:, None] * columns, root[:, None] * F
    basis = column_basis(B)[0] if F.size else B
    rest = A - basis @ (basis.T @ A)
    H, b = rest.T @ rest, rest.T @ goal - problem.reg
    diagonal = np.diag(H)
    scale = np.sqrt(np.maximum(diagonal, max(1e-14 * float(np.max(diagonal, initial=0.0)), 1e-200)))
    try:
        L = np.linalg.cholesky(H / scale / scale[:, None] + 1e-12 * np.eye(len(H)))
        # (without columns there is nothing to solve, and the library's routine must not be asked to)
        x = nonnegative_least_squares(L, -np.linalg.solve(L, b / scale)) / scale if len(b) else b
    except (np.linalg.LinAlgError, SolverError):
        return None
    return x, np.linalg.lstsq(B, goal - A @ x, rcond=None)[0] if F.size else c
