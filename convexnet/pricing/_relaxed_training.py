r"""The moment relaxation of the training problem in factored form: a smooth function of one flat vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..networks._arrays import row_norms
from ._frank_wolfe import MomentState
from ._low_rank import Responses, factor_of, moments_of, responses
from ._relaxed_loss import RelaxedLoss

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["RelaxedTraining"]

_MIXED = 0.2
"""Share of the relaxed maximiser that is mixed into factors that are stuck."""


class RelaxedTraining:
    """Objective, dual vector and moments of the relaxed training problem as functions of one flat vector."""

    def __init__(self, problem: TrainingProblem, rank: int, generator: np.random.Generator) -> None:
        self.problem, self.generator = problem, generator
        rows = problem.extended
        if problem.bias == "free":
            rows = problem.X - problem.X.mean(axis=0)
            radius = float(np.max(row_norms(rows))) or 1.0
            rows = np.column_stack([rows, np.full(problem.n, radius)])
        self.unit = float(np.max(row_norms(rows))) or 1.0
        self.used = np.flatnonzero(row_norms(rows) > 0)
        self.rows = rows[self.used] / self.unit
        self.sizes = row_norms(self.rows)
        self.reg = problem.reg / self.unit
        self.shape = (min(rank, rows.shape[1] + 1), rows.shape[1])
        columns = problem.free_columns
        top = np.maximum(np.abs(columns).max(axis=0, initial=0.0), 1e-300)
        self.columns = columns / top
        self.loss = RelaxedLoss(problem)
        self.smoothing = 0.05

    def start(self) -> np.ndarray:
        """Small random factors, large enough to leave the saddle at zero."""
        size = self.loss.spread() / max(float(np.mean(self.sizes)) if self.sizes.size else 1.0, 1e-12)
        factors = self.generator.standard_normal((2, *self.shape))
        factors *= (0.5 * size / (self.shape[0] * self.shape[1])) ** 0.5
        return np.concatenate([factors.ravel(), np.zeros(self.columns.shape[1])])

    def mixed(self, x: np.ndarray, states: Mapping[int, MomentState]) -> np.ndarray:
        """Factors moved towards the relaxed maximisers: out of a local minimum, and back from zero."""
        plus, minus, free = self._split(x)
        total = float(np.sum(plus**2) + np.sum(minus**2)) or self.loss.spread()
        parts = []
        for V, (u, U) in zip((plus, minus), (states[1], states[-1]), strict=True):
            mass = float(np.sum(V**2))
            share = _MIXED if mass > 1e-6 * total else 1.0
            own = moments_of(V)
            u, U = (1 - share) * own[0] + share * u, (1 - share) * own[1] + share * U
            scale = max(mass, 0.05 * total) ** 0.5
            parts.append(scale * factor_of(u, U, self.shape[0], self.generator).ravel())
        return np.concatenate([*parts, free])

    def _split(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        count = self.shape[0] * self.shape[1]
        return x[:count].reshape(self.shape), x[count : 2 * count].reshape(self.shape), x[2 * count :]

    def _ranges(self, x: np.ndarray) -> tuple[Responses, Responses, np.ndarray, np.ndarray]:
        """Responses of both signs, and the lowest and highest relaxed predictions."""
        plus, minus, free = self._split(x)
        P, N = (responses(self.rows, self.sizes, V + 1e-150, self.smoothing) for V in (plus, minus))
        kappa = self.problem.kappa
        linear = 0.5 * (1 + kappa) * (P.t - N.t)
        shift = self.columns @ free
        low, high = shift.copy(), shift.copy()
        low[self.used] += linear + 0.5 * (1 - kappa) * (P.lower - N.upper)
        high[self.used] += linear + 0.5 * (1 - kappa) * (P.upper - N.lower)
        return P, N, low, high

    def objective(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        P, N, low, high = self._ranges(x)
        self.loss.smoothing = self.smoothing
        value, by_low, by_high = self.loss.over(low, high)
        both = by_low + by_high
        a, b = by_low[self.used], by_high[self.used]
        c1, c2 = 0.5 * (1 + self.problem.kappa), 0.5 * (1 - self.problem.kappa)
        plus = P.gradient(c1 * (a + b), c2 * b, c2 * a, self.reg)
        minus = N.gradient(-c1 * (a + b), -c2 * a, -c2 * b, self.reg)
        gradient = np.concatenate([plus.ravel(), minus.ravel(), self.columns.T @ both])
        return value + self.reg * (P.mass + N.mass), gradient

    def dual(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Value of the objective and minus the loss gradient at the relaxed predictions."""
        P, N, low, high = self._ranges(x)
        self.loss.smoothing = self.smoothing
        value, by_low, by_high = self.loss.over(low, high)
        return value + self.reg * (P.mass + N.mass), -(by_low + by_high)

    def states(self, x: np.ndarray) -> dict[int, MomentState]:
        """Normalised moments of both signs, without the bias if it is free."""
        if self.problem.bias == "free":
            return {sign: moments_of(V[:, :-1]) for sign, V in zip((1, -1), self._split(x)[:2], strict=True)}
        return {sign: moments_of(V) for sign, V in zip((1, -1), self._split(x)[:2], strict=True)}
