r"""Exact training on data of one feature where breakpoints are penalised, or there is no skip connection."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ProblemError
from ..pricing import dual_bound, feasible_dual, relative_gap
from ..pricing.univariate import LinePeak, line_peaks, price_univariate
from ._centred import centring
from ._line_data import LineData
from ._line_newton import Point, reduce, start
from ._line_shift import moved_back
from ._line_spline import spline_of
from ._line_units import Units
from ._relu_loss import shifted_problem
from ._spline_attained import check_attained
from ._spline_interpolation import node_targets
from ._spline_nodes import nodes_of
from ._spline_result import SplineResult
from .result import Progress

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["solve_penalized"]

_ROUNDS = 1000
_ABOVE = 1e-13
"""Relative excess over reg that is no rounding of the pricing."""
_STALLED = 4
"""Rounds without a better bound after which rounding is all that is left."""

_SETTLED, _LONGEST = 1.5, 8
"""Price, in units of reg, up to which the neurons at hand are enough to move a smoothed loss on, and rounds until then.

Its dual vector is that of the proximal step only where no neuron is missing.
"""
_WIDTH, _SHARPER = 0.1, 0.3
"""Width of a smoothed kink at first, in units of the targets, and its factor on a round without much progress."""

Callback = Callable[[Progress], object]


def solve_penalized(
    problem: TrainingProblem,
    *,
    tol: float = 1e-10,
    time_limit: float = 600.0,
    max_iter: int | None = None,
    callback: Callback | None = None,
) -> SplineResult:
    r"""Train a network of one variable by exact pricing: every bias rule, activation and free terms.

    With penalised biases a function is charged

    .. math:: \int \sqrt{1 + t^2}\; d|f''|(t)

    for its kinks (free affine part), so knots move off the data. Neurons are added where the exact certificate function
    exceeds ``reg``, at most one for every run of breakpoints; Newton's method then optimises all amplitudes and
    breakpoints on their arcs between neighbouring samples. Neurons of one sign on one arc are merged.

    Parameters
    ----------
    problem : TrainingProblem
        One feature, one output.
    tol : float
        Relative gap between objective and the lower bound over all networks.
    time_limit : float
    max_iter : int, optional
        Most rounds of pricing.
    callback : callable, optional
        Called with a :class:`~convexnet.solvers.Progress` each round; True ends the search.

    Returns
    -------
    SplineResult

    Raises
    ------
    ProblemError
        For more features or outputs, or logistic loss that free terms lower for ever.
    InfeasibleError
        For interpolation, if one abscissa has two targets.

    Notes
    -----
    Interpolation and the other losses with kinks are approached by smoothed ones, whose last digits may be out of
    reach: the status is then ``stalled``. :func:`convexnet.memorize` interpolates to rounding.

    References
    ----------
    Boursier and Flammarion (2023), "Penalising the biases in norm regularisation enforces sparsity".

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [0.0], [1.0], [2.0]], [1.0, 0.0, 0.5, 2.0], reg=0.1)
    >>> result = solve_penalized(problem)
    >>> result.status, result.n_neurons, round(result.objective, 6)
    ('solved', 2, 0.244626)
    """
    began = time.perf_counter()
    if problem.d != 1 or not problem.scalar:
        raise ProblemError("This solver is for one feature and one output.")
    check_attained(problem)
    if problem.loss.name == "interpolation":
        node_targets(problem, nodes_of(problem))
    near = centring(problem)
    result = _Search(near.problem, tol, began, time_limit, max_iter or _ROUNDS, callback).run()
    return moved_back(result, near)


class _Search:
    """Price, add, reduce, until the bounds meet.

    A loss with kinks is smoothed around a dual vector, which moves on every round (the proximal point algorithm).
    """

    def __init__(
        self, problem: TrainingProblem, tol: float, began: float, time_limit: float, rounds: int,
        callback: Callback | None,
    ) -> None:  # fmt: skip
        self.problem, self.tol, self.began, self.rounds, self.callback = problem, tol, began, rounds, callback
        self.deadline = began + time_limit
        self.data = LineData(problem)
        self.smooth = problem.loss.name in ("squared", "huber", "logistic")
        self.lower, self.nu = -math.inf, np.zeros(problem.n)
        self.latest = self.nu
        self.objective = math.inf
        self.best: Point | None = None
        self.last, self.width = 1.0, 1.0
        self.history: list[Progress] = []

    def run(self) -> SplineResult:
        """The result, whatever ends the search."""
        try:
            return self._result(self._searched())
        except KeyboardInterrupt:
            return self._result("interrupted")

    def _searched(self) -> str:
        """Search until something ends it, which is named."""
        idle, waited, single = 0, 0, False
        point = reduce(self._first(), 1e-15, self.deadline)
        for _ in range(self.rounds):
            before = self.lower, self.objective
            gap = self._bound(point)
            ended = self._ended()
            if ended:
                return ended
            idle = idle + 1 if (self.lower, self.objective) == before else 0
            if idle >= (_STALLED if self.smooth else 10 * _STALLED):
                return "stalled"
            peaks = self._peaks()
            single = single or not peaks
            added = Units.at_peaks(point.units.data, peaks[:1] if single else peaks)
            accuracy = 0.0 if single else min(max(1e-3 * gap, 1e-15), 1e-3)
            new = reduce(start(point.units.with_(added).merged(), point.free), accuracy, self.deadline)
            single = new.objective >= point.objective and self.smooth
            point, waited = new, waited + 1
            if not self.smooth and (waited >= _LONGEST or all(p.value <= _SETTLED * self.problem.reg for p in peaks)):
                point, waited = self._recentred(new, gap < 0.5 * self.last), 0
                self.last = gap
        return "iteration_limit"

    def _empty(self, problem: TrainingProblem) -> Point:
        """Neither neurons nor free terms, with the loss of the problem given."""
        free = np.zeros(problem.free_columns.shape[1])
        return start(Units.empty(self.data.with_problem(problem)), free)

    def _first(self) -> Point:
        """The point to begin at, with the loss or with one that has no kinks."""
        if self.smooth:
            return self._empty(self.problem)
        problem = self.problem
        size = float(np.max(np.abs(problem.y))) or 1.0
        centred = feasible_dual(problem, problem.y).nu
        price = price_univariate(problem, centred).bound
        force = problem.reg / price * float(np.max(np.abs(centred))) if price > 0 else 1.0
        if problem.loss.name != "interpolation":
            weight = problem.sample_weight
            force = min(force, 1.0 if weight is None else float(np.max(weight)))
        self.width = _WIDTH * size / force
        return self._empty(shifted_problem(problem, np.zeros(problem.n), self.width))

    def _recentred(self, point: Point, quick: bool) -> Point:
        """The loss smoothed around the newest dual vector, more sharply where progress is slow."""
        self.width *= 1.0 if quick else _SHARPER
        shifted = shifted_problem(self.problem, -point.nu, self.width)
        units = replace(point.units, data=self.data.with_problem(shifted))
        return start(units, point.free)

    def _bound(self, point: Point) -> float:
        """The gap after the point's objective and dual vector have been taken in."""
        problem = self.problem
        objective = problem.loss_value(point.predictions) + problem.reg * float(np.sum(point.units.amplitude))
        if objective < self.objective or self.best is None:
            self.objective, self.best = objective, point
        dual = feasible_dual(problem, point.nu)
        self.latest = dual.nu
        priced = price_univariate(problem, dual.nu)
        lower, scale = dual_bound(problem, dual, priced.bound + dual.pricing_slack(problem))
        if lower > self.lower:
            self.lower, self.nu = lower, scale * dual.nu
        return relative_gap(self.objective, self.lower)

    def _peaks(self) -> list[LinePeak]:
        """Neurons above reg; opposite directions are the same where the free terms or the activation make them so."""
        problem = self.problem
        peaks = line_peaks(problem, self.latest, problem.reg * (1 + _ABOVE))
        if (problem.skip and problem.intercept) or problem.kappa == -1:
            peaks = [peak for peak in peaks if peak.family == 0]
        return peaks

    def _ended(self) -> str:
        """Why the search is over, if it is."""
        assert self.best is not None
        seconds = time.perf_counter() - self.began
        gap = relative_gap(self.objective, self.lower)
        record = Progress(seconds, len(self.history) + 1, self.objective, self.lower, gap, len(self.best.units))
        self.history.append(record)
        if gap <= self.tol:
            return "solved"
        if self.callback is not None and self.callback(record):
            return "callback"
        return "time_limit" if time.perf_counter() > self.deadline else ""

    def _result(self, status: str) -> SplineResult:
        if self.best is None:  # interrupted at once
            point = self._empty(self.problem)
            self.objective, self.best = point.objective, point
        lower = min(self.lower, self.objective)  # which is rounded
        network = self.best.units.network(self.best.free)
        return SplineResult(
            spline=spline_of(network, float(self.data.nodes[len(self.data.nodes) // 2])), network=network,
            objective=self.objective, lower_bound=lower, gap=relative_gap(self.objective, lower), nu=self.nu,
            status=status, iterations=len(self.history), method="knot generation", history=tuple(self.history),
            wall_time=time.perf_counter() - self.began, problem=self.problem,
        )  # fmt: skip
