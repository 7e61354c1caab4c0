"""What the threshold solver returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._printing import rounded_down, rounded_up
from ..networks.threshold import ThresholdNetwork
from .result import STATUS, Progress

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["ThresholdResult"]


@dataclass(frozen=True, eq=False)
class ThresholdResult:
    """A network of threshold neurons, its objective and a proven lower bound.

    Attributes
    ----------
    network : ThresholdNetwork
    cells : ndarray of int, shape (m,)
        Pattern of each neuron, as a column of the list.
    objective : float
        ``problem.objective(network)``.
    lower_bound : float
        Rounded down; over the class that ``scope`` names.
    gap : float
        ``(objective - lower_bound) / objective``.
    scope : {"all", "listed"}
        Whether the bound holds for all networks of any width, or for neurons with listed patterns.
    nu : ndarray of shape (n,)
        Dual vector of the lower bound.
    status : {"solved", "time_limit", "iteration_limit", "callback", "interrupted", "stalled"}
    iterations : int
    n_patterns : int
    unusable : int
        Patterns that were wanted but have no direction among the floating-point numbers; they count in the bound.
    history : tuple of Progress
    wall_time : float
        Seconds.
    problem : TrainingProblem
    """

    network: ThresholdNetwork
    cells: np.ndarray
    objective: float
    lower_bound: float
    gap: float
    scope: str
    nu: np.ndarray
    status: str
    iterations: int
    n_patterns: int
    unusable: int
    history: tuple[Progress, ...]
    wall_time: float
    problem: TrainingProblem

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return STATUS[self.status]

    def __repr__(self) -> str:
        return (
            f"ThresholdResult(objective={self.objective:.9g}, gap={rounded_up(self.gap, 3)}, "
            f"neurons={self.network.n_neurons}, scope={self.scope!r}, status={self.status!r})"
        )

    def summary(self) -> str:
        """Several lines for people."""
        over = "all networks of any width" if self.scope == "all" else f"{self.n_patterns} listed patterns"
        lines = [
            repr(self.problem),
            f"  {self.status}: {self.message}",
            f"  objective    {rounded_up(self.objective)}",
            f"  lower bound  {rounded_down(self.lower_bound)}  (relative gap {rounded_up(self.gap, 3)}, {over})",
            f"  neurons      {self.network.n_neurons}, rounds {self.iterations}, {self.wall_time:.2f} s",
        ]
        if self.unusable:
            lines.append(f"  {self.unusable} patterns without a floating-point direction are in the bound only")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON."""
        return {
            "objective": self.objective, "lower_bound": self.lower_bound, "gap": self.gap, "scope": self.scope,
            "status": self.status, "message": self.message, "iterations": self.iterations, "nu": self.nu.tolist(),
            "network": self.network.to_dict(), "cells": self.cells.tolist(), "n_patterns": self.n_patterns,
            "unusable": self.unusable, "history": [vars(record) for record in self.history],
            "wall_time": self.wall_time,
        }  # fmt: skip
