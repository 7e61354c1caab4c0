r"""Pricing one cell: ``max { g . u : A u >= 0, ||u|| <= 1 }`` with a proven upper bound, for each norm and bias rule.

Every bound comes from multipliers ``m >= 0``: on the cell ``g . u <= (g + A^T m) . u``, so the dual norm of
``g + A^T m`` bounds the maximum whatever solver produced ``m``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..networks._arrays import row_norms
from ..problem import require_path_norm
from .multipliers import candidates, peak
from .spectral import direction_norms

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["CellGeometry", "CellValue", "price_cell"]

_EPS = float(np.finfo(np.float64).eps)
_LARGEST = float(np.finfo(np.float64).max)
_TINY = float(np.finfo(np.float64).tiny)


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
        With free biases of sum zero: otherwise the maximum is infinite on the cells of one sign.

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
    require_path_norm(problem, "price_cell")
    return CellGeometry(problem).price(pattern, nu)


class CellGeometry:
    r"""The rows that neurons see, in coordinates fit for pricing; computed once for all cells and dual vectors.

    With free biases ``u = (w, b)`` becomes ``(w, (b + c . w) / h)`` with a centre c of the data and their radius h:
    ``x . w + b = (x - c) . w + h * (b + c . w) / h``, so data far from the origin lose no digits.
    """

    def __init__(self, problem: TrainingProblem) -> None:
        self.problem = problem
        self.free = problem.bias == "free"
        rows = problem.extended
        if self.free:
            self.centre = np.median(problem.X, axis=0)
            rows = problem.X - self.centre
            self.reach = row_norms(rows)
            self.radius = float(np.max(self.reach)) or 1.0
            rows = np.column_stack([rows, np.full(problem.n, self.radius)])
        self.rows, self.sizes = rows, row_norms(rows)
        self.kept = self.sizes > 0
        self.unit = rows[self.kept] / self.sizes[self.kept, None]

    def price(self, pattern: np.ndarray, nu: np.ndarray) -> CellValue:
        """Price one cell; see :func:`price_cell`."""
        active = np.asarray(pattern) > 0
        g = self.rows.T @ np.where(active, nu, self.problem.kappa * nu)
        noise = 8 * (len(nu) + len(g)) * _EPS
        # Zero only where every product is zero, not where one underflows: a zero bound leaves the dual scale free.
        rounding = noise * float(np.abs(nu) @ self.sizes) + (_TINY if np.any(nu[self.kept]) else 0.0)
        top = float(np.max(np.abs(g), initial=0.0))
        if not top > 0:
            return CellValue(rounding, np.zeros_like(g))
        if self.free and bool(active.all() or not active.any()):
            return CellValue(self._dual_norm(g[:-1]) + rounding, self._one_sided(g[:-1], active[0]))
        A = np.where(active[self.kept], 1.0, -1.0)[:, None] * self.unit
        limits = self._limits(active) if self.free else (0.0, 0.0)
        best, direction = _LARGEST, np.zeros_like(g)
        for multipliers, candidate in candidates(g / top, A, self.problem.norm, self.free):
            bound = self._bound(g / top + multipliers @ A, limits) + noise * float(multipliers.sum())
            if bound < best * (1 - 1e-12):
                best, direction = bound, candidate
        return CellValue(best * top + rounding, self._normalised(direction))

    def _bound(self, residual: np.ndarray, limits: tuple[float, float]) -> float:
        """Dual norm; with free biases plus the most that the bias component, of limited size, can add."""
        if not self.free:
            return self._dual_norm(residual)
        low, high = limits
        return self._dual_norm(residual[:-1]) + max(residual[-1] * high, -residual[-1] * low)

    def _limits(self, active: np.ndarray) -> tuple[float, float]:
        """With ``||w|| <= 1`` the bias coordinate of a cell of both signs lies in ``[-low, high]``."""
        margin = (1 + 1e-12) / self.radius
        return float(self.reach[active].min()) * margin, float(self.reach[~active].min()) * margin

    def _dual_norm(self, vector: np.ndarray) -> float:
        if self.problem.norm == "l1":
            return float(np.max(np.abs(vector), initial=0.0))
        return math.hypot(*vector.tolist())  # correct to the last digits also where squares underflow

    def _one_sided(self, g: np.ndarray, positive: bool) -> np.ndarray:
        """Where all rows have one sign the bias is free to grow and the function is linear in w."""
        w = peak(g) if self.problem.norm == "l1" else g
        return self._normalised(np.append(w, float(np.linalg.norm(w)) * (1.0 if positive else -1.0)))

    def _normalised(self, direction: np.ndarray) -> np.ndarray:
        """Back to the coordinates of the data, at norm one."""
        if self.free:
            w = direction[:-1]
            direction = np.append(w, direction[-1] * self.radius - self.centre @ w)
        size = float(direction_norms(self.problem, direction[:, None])[0])
        return direction / size if size > 0 else np.zeros_like(direction)
