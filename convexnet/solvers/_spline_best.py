"""The best spline and the best dual vector that a solver for one variable met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..networks.linear_spline import LinearSpline
from ..pricing import relative_gap
from ._spline_dual import Samples, lower_bound
from ._spline_nodes import Line
from ._spline_objective import spline_objective
from ._spline_result import SplineResult

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from ._monitor import Monitor

__all__ = ["Best"]

ROUNDINGS = 64


@dataclass
class Best:
    """The best spline and the best dual vector met, with their proven values."""

    problem: TrainingProblem
    samples: Samples
    monitor: Monitor
    spline: LinearSpline | None = None
    objective: float = np.inf
    nu: np.ndarray | None = None
    bound: float = 0.0

    def offer(self, spline: LinearSpline, nu: np.ndarray) -> None:
        """Take over what is better and report it; ``nu`` belongs to the sorted samples."""
        objective = spline_objective(self.problem, spline)
        if self.spline is None or objective < self.objective:
            self.spline, self.objective = spline, objective
        bound, scale = lower_bound(self.samples, nu)
        if self.nu is None or bound > self.bound:
            self.nu, self.bound = scale * nu, bound
        if self._fits():
            self.bound = min(self.bound, self.objective)  # the objective of rounded predictions may be smaller still
        self.monitor.report(self.objective, self.bound, self.spline.n_knots)
        if self.gap <= self.monitor.tol:
            self.monitor.status = "solved"

    def settled(self, line: Line) -> bool:
        """Whether the straight line already meets the targets up to rounding; nothing is left to fit then."""
        spline = LinearSpline(np.zeros(0), np.zeros(0), line.anchor, line.value, line.slope)
        if spline_objective(self.problem, spline) > _rounding_of_zero(self.problem):
            return False
        self.offer(spline, np.zeros(self.samples.order.size))
        return True

    @property
    def gap(self) -> float:
        """Relative gap; a straight line that fits the targets up to rounding has none."""
        return 0.0 if self._fits() else relative_gap(self.objective, self.bound)

    def _fits(self) -> bool:
        straight = self.spline is not None and self.spline.n_knots == 0
        return straight and self.objective <= _rounding_of_zero(self.problem)

    def result(self, method: str) -> SplineResult:
        """The result with the status of the monitor."""
        problem, monitor = self.problem, self.monitor
        if self.spline is None or self.nu is None:  # interrupted, or failed, before anything was found
            self.offer(LinearSpline(np.zeros(0), np.zeros(0)), np.zeros(self.samples.order.size))
        assert self.spline is not None and self.nu is not None
        nu = np.zeros(problem.n)
        nu[self.samples.order] = self.nu.astype(np.float64)
        self.bound = min(self.bound, self.objective)  # which is rounded
        network = self.spline.to_network(problem.activation, problem.negative_slope)
        return SplineResult(
            self.spline, network, self.objective, self.bound, self.gap, nu,
            monitor.status or "stalled", monitor.iteration, method, tuple(monitor.history), monitor.seconds, problem,
        )  # fmt: skip


def _rounding_of_zero(problem: TrainingProblem) -> float:
    """The loss that rounding leaves where the targets are met; zero for losses that are positive there."""
    if problem.loss_value(problem.y) != 0:
        return 0.0
    return problem.loss_value(problem.y * (1 - ROUNDINGS * float(np.finfo(np.float64).eps)))
