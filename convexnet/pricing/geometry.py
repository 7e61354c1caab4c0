r"""Pricing one cell: ``max { g . u : A u >= 0, ||u|| <= 1 }`` with a proven upper bound, for each norm and bias rule.

Every bound comes from multipliers ``m >= 0``: on the cell ``g . u <= (g + A^T m) . u``, so the dual norm of
``g + A^T m`` bounds the maximum whatever solver produced ``m``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .spectral import direction_norms

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["CellValue", "price_cell"]

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class CellValue:
    """Proven upper bound of a cell's maximum and a direction that (nearly) attains it, scaled to norm one."""

    bound: float
    direction: np.ndarray


def price_cell(problem: TrainingProblem, pattern: np.ndarray, nu: np.ndarray) -> CellValue:
    r"""Bound ``max nu . sigma(X u)`` over the closed cell of one activation pattern and the unit ball.

    .. math:: \max\{ g^\top u : (2D - I) X u \ge 0,\ \|u\| \le 1 \}
              = \min_{m \ge 0} \| g + X^\top (2D - I) m \|_* , \qquad g = X^\top S \nu

    with the norm of the problem; for free biases the bias component of ``g + A^T m`` must vanish.

    Parameters
    ----------
    problem : TrainingProblem
    pattern : ndarray of shape (n,), uint8
    nu : ndarray of shape (n,)

    References
    ----------
    Pilanci and Ergen (2020), dual of the convex program; de Dios and Bruna (2020) for the projection form.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=1.0, bias="none")
    >>> round(price_cell(problem, np.array([1, 1]), np.array([1.0, 1.0])).bound, 9)
    3.0
    """
    X = problem.extended
    active = pattern.astype(bool)
    g = X.T @ np.where(active, nu, problem.kappa * nu)
    sizes = np.linalg.norm(X, axis=1)
    rows = sizes > 0
    A = np.where(active[rows], 1.0, -1.0)[:, None] * X[rows] / sizes[rows, None]
    noise = 4 * (problem.n + X.shape[1]) * _EPS
    rounding = noise * float(np.abs(nu) @ sizes)
    if problem.norm == "l1":
        multipliers, direction = _linear_program(g, A, problem.bias == "free")
    elif problem.bias == "free":
        multipliers, direction = _equality_nnls(g, A)
    else:
        multipliers, direction = _nnls(g, A)
    residual = g + A.T @ multipliers
    bound = _dual_norm(problem, residual, A) + rounding + noise * float(multipliers.sum())
    return CellValue(bound, _normalised(problem, direction))


def _dual_norm(problem: TrainingProblem, residual: np.ndarray, A: np.ndarray) -> float:
    """Dual norm; with free biases ``|b|`` is bounded on a mixed cell and zero residual is needed elsewhere."""
    order = np.inf if problem.norm == "l1" else 2
    if problem.bias != "free":
        return float(np.linalg.norm(residual, order))
    # On a cell with both signs some active row gives b >= -||x_i||, some inactive one b <= ||x_i|| (times ||w|| <= 1).
    mixed = bool(np.any(A[:, -1] > 0) and np.any(A[:, -1] < 0))
    reach = float(np.max(np.linalg.norm(problem.X, axis=1))) if mixed else 0.0
    return float(np.linalg.norm(residual[:-1], order) + abs(residual[-1]) * reach)


def _normalised(problem: TrainingProblem, direction: np.ndarray) -> np.ndarray:
    size = float(direction_norms(problem, direction[:, None])[0])
    return direction / size if size > 0 else np.zeros_like(direction)


def _nnls(g: np.ndarray, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers of the projection of g onto {A u >= 0}, and the projection itself."""
    m = _solve_nnls(A.T, -g)
    return m, g + A.T @ m


def _solve_nnls(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``argmin_{m >= 0} ||matrix m - target||``; any non-negative m is usable, so an early stop is no error."""
    from scipy.optimize import lsq_linear, nnls

    try:
        return nnls(matrix, target, maxiter=10 * matrix.shape[1] + 100)[0]
    except RuntimeError:
        return np.maximum(lsq_linear(matrix, target, bounds=(0, np.inf), max_iter=200).x, 0.0)


def _equality_nnls(g: np.ndarray, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Free bias: ``min ||g_w + A_w' m||`` s.t. ``g_b + A_b' m = 0``, the equality as a heavily weighted row."""
    heavy = np.append(np.ones(A.shape[1] - 1), 1e5 * max(1.0, float(np.linalg.norm(A[:, :-1], 2))))
    m = _solve_nnls(heavy[:, None] * A.T, -heavy * g)
    w = g[:-1] + A[:, :-1].T @ m
    tight = m > 0
    bias_rows = A[tight]
    if not bias_rows.size or not np.any(bias_rows[:, -1]):
        bias_rows = A
    offsets = -(bias_rows[:, :-1] @ w) / bias_rows[:, -1]
    return m, np.append(w, float(np.median(offsets)))


def _linear_program(g: np.ndarray, A: np.ndarray, free: bool) -> tuple[np.ndarray, np.ndarray]:
    """l1 ball: the linear program over (u+, u-), its inequality multipliers from HiGHS."""
    from scipy.optimize import linprog

    n, q = A.shape
    penalised = np.ones(q)
    if free:
        penalised[-1] = 0.0
    matrix = np.vstack([np.hstack([-A, A]), np.tile(penalised, 2)])
    limits = np.append(np.zeros(n), 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = linprog(-np.tile(g, 2) * np.repeat([1.0, -1.0], q), A_ub=matrix, b_ub=limits, method="highs")
    if answer.x is None:
        return np.zeros(n), np.zeros(q)
    multipliers = np.maximum(-np.asarray(answer.ineqlin.marginals)[:n], 0.0)
    return multipliers, answer.x[:q] - answer.x[q:]
