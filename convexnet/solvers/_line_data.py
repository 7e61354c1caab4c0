r"""Samples of one feature in sorted order: predictions, inner products and Gram matrices by prefix sums.

A column is ``sign * gate * (slope * x + height)`` where the gate is 1 on a range of the sorted rows and kappa
elsewhere: neurons, their derivatives and free terms alike. Nothing here costs more than O(n + K^2) for K columns.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..pricing._exact_sums import Double, prefix_sums, product

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Columns", "LineData"]


@dataclass(frozen=True, eq=False)
class Columns:
    """K columns: gates are 1 on rows ``first`` to ``last - 1`` and ``rest`` elsewhere."""

    sign: np.ndarray
    slope: np.ndarray
    height: np.ndarray
    first: np.ndarray
    last: np.ndarray
    rest: np.ndarray

    @classmethod
    def joined(cls, parts: list[Columns]) -> Columns:
        names = cls.__dataclass_fields__
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


class LineData:
    """A problem of one feature, sorted; ``nodes`` are the distinct abscissae, ``starts`` their first rows."""

    def __init__(self, problem: TrainingProblem) -> None:
        self.problem = problem
        x = problem.X[:, 0]
        self.order = np.argsort(x, kind="stable")
        self.x = x[self.order]
        self.nodes, first = np.unique(self.x, return_index=True)
        self.starts = np.append(first, len(x))
        self.middle = float(np.mean(self.nodes))

    def with_problem(self, problem: TrainingProblem) -> LineData:
        """The same samples with another loss."""
        other = copy(self)
        other.problem = problem
        return other

    def free_columns(self) -> Columns:
        """Skip term and intercept; with both the skip term is centred, which is the same model."""
        lines = []
        if self.problem.skip:
            lines.append((1.0, -self.middle if self.problem.intercept else 0.0))
        if self.problem.intercept:
            lines.append((0.0, 1.0))
        slope, height = np.array(lines).reshape(-1, 2).T
        ones = np.ones(len(lines))
        zero = np.zeros(len(lines), dtype=np.intp)
        return Columns(ones, slope, height, zero, zero + len(self.x), ones)

    def predictions(self, columns: Columns, coefficients: np.ndarray) -> np.ndarray:
        """The sum of the columns times coefficients, in the order of the problem.

        Sums are taken in extended precision: slopes and heights cancel where the data lie far from the origin.
        """
        weight = (coefficients * columns.sign).astype(np.longdouble)
        lines = []
        for part in (columns.slope, columns.height):
            jumps = np.zeros(len(self.x) + 1, dtype=np.longdouble)
            np.add.at(jumps, columns.first, weight * part * (1 - columns.rest))
            np.add.at(jumps, columns.last, -weight * part * (1 - columns.rest))
            lines.append(np.cumsum(jumps)[:-1] + np.sum(weight * part * columns.rest))
        values = np.empty_like(self.x)
        values[self.order] = lines[0] * self.x + lines[1]
        return values

    def products(self, columns: Columns, nu: np.ndarray) -> np.ndarray:
        """Inner products of the columns with a vector in the order of the problem."""
        nu = nu[self.order]
        first = prefix_sums(product(nu, self.x))
        zeroth = prefix_sums(Double(nu, np.zeros_like(nu)))

        def between(sums: Double) -> np.ndarray:
            inner = sums.rows(columns.last).minus(sums.rows(columns.first)).times(1.0 - columns.rest)
            return inner.plus(sums.rows(np.full(len(columns.last), -1)).times(columns.rest)).value()

        return columns.sign * (columns.slope * between(first) + columns.height * between(zeroth))

    def gram(self, columns: Columns, weight: np.ndarray) -> np.ndarray:
        """Weighted inner products of all pairs of columns; ``weight`` in the order of the problem."""
        h, t = weight[self.order], self.x - self.middle
        moments = np.concatenate([np.zeros((3, 1)), np.cumsum([h, h * t, h * t * t], axis=1)], axis=1)
        a, b = columns.slope, columns.height + columns.slope * self.middle
        factors = np.array([np.outer(b, b), np.outer(a, b) + np.outer(b, a), np.outer(a, a)])

        def over(first: np.ndarray, last: np.ndarray) -> np.ndarray:
            return np.asarray(np.sum((moments[:, np.maximum(first, last)] - moments[:, first]) * factors, axis=0))

        first, last, rest = columns.first, columns.last, columns.rest
        one = np.ones((len(a), len(a)), dtype=np.intp)
        inner = over(np.maximum.outer(first, first), np.minimum.outer(last, last)) * np.outer(1 - rest, 1 - rest)
        if np.any(rest):
            rows = over(first[:, None] * one, last[:, None] * one) * np.outer(1 - rest, rest)
            inner = inner + rows + rows.T + over(0 * one, len(t) * one) * np.outer(rest, rest)
        return inner * np.outer(columns.sign, columns.sign)
