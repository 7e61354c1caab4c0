"""Samples of one variable sorted and merged: distinct abscissae with weights and mean targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Line", "Nodes", "fitted_line", "nodes_of"]

Long = np.longdouble


@dataclass(frozen=True, eq=False)
class Nodes:
    """Distinct abscissae ``x`` (m,), the samples of positive weight in their order, and the node of each of those.

    ``order`` (p,) are indices of samples, ``node_of`` (p,) their nodes, ``starts`` (m,) where each node begins.
    """

    x: np.ndarray
    order: np.ndarray
    node_of: np.ndarray
    starts: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum values (p,) of the sorted samples at each node."""
        return values if self.starts.size == values.size else np.add.reduceat(values, self.starts)


@dataclass(frozen=True)
class Line:
    """The line ``value + slope (x - anchor)``."""

    anchor: float = 0.0
    value: float = 0.0
    slope: float = 0.0

    def at(self, x: np.ndarray) -> np.ndarray:
        """Values in extended precision."""
        return Long(self.value) + Long(self.slope) * (x.astype(Long) - Long(self.anchor))


def nodes_of(problem: TrainingProblem) -> Nodes:
    """Sort and merge; samples of weight zero are left out."""
    x = problem.X[:, 0]
    order = np.argsort(x, kind="stable")
    if problem.sample_weight is not None:
        order = order[problem.sample_weight[order] > 0]
    sorted_x = x[order]
    new = np.concatenate([[True], np.diff(sorted_x) > 0])
    starts = np.flatnonzero(new)
    return Nodes(sorted_x[starts], order, np.cumsum(new) - 1, starts)


def fitted_line(x: np.ndarray, weight: np.ndarray, values: np.ndarray) -> Line:
    """The weighted least-squares line; a constant for a single abscissa."""
    w = weight / weight.max()
    total = float(w.sum())
    anchor = float(x[0] + (w @ (x - x[0])) / total)
    t = x - anchor
    t = t - (w @ t) / total
    mean = float(w @ values) / total
    square = float((w * t) @ t)
    slope = float((w * t) @ (values - mean)) / square if square > 0 else 0.0
    return Line(anchor, mean, slope if np.isfinite(slope) else 0.0)
