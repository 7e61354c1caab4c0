"""Searches for pricing bounds side by side, in slices of time, and the best lower bound they have proven."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..pricing import CellPricer, PricingResult, dual_bound
from .dual_sources import DualSource, target_value

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Arm", "Board"]


_CONES_PER_OUTPUT = 5
"""Dimension up to which each output direction is priced by cones instead of the moment relaxation."""


def _cones(problem: TrainingProblem, nu: Any, seconds: float) -> PricingResult:
    """A scalar bound for several outputs."""
    from ..pricing import price_cones

    return price_cones(problem, nu, tol=1e-7, time_limit=seconds, backend="numpy")


@dataclass
class Board:
    """The best lower bound so far, what proves it, and how it grew."""

    problem: TrainingProblem
    start: float
    tol: float
    callback: Callable[[float, float, float], object] | None = None
    judged: float = math.inf
    objective: float = math.inf
    lower: float = 0.0
    best: tuple[DualSource, PricingResult] | None = None
    history: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def goal(self) -> float:
        """Lower bound that ends the search, a hair above the one asked for: the verdict is recomputed."""
        known = self.objective * (1 - 0.999 * self.tol)
        if not math.isfinite(self.judged) or self.judged * (1 - self.tol) > self.objective:
            return known
        # The judged network is not refuted: its gap counts, as far as the best known one allows.
        return max(known, min(self.judged * (1 - 0.999 * self.tol), self.objective * (1 - 1e-2 * self.tol)))

    @property
    def reached(self) -> bool:
        return self.best is not None and self.lower >= self.goal

    def offer(self, source: DualSource, result: PricingResult) -> float:
        """Take in a pricing bound; returns the lower bound that it proves."""
        if result.scope != "all" or not math.isfinite(result.bound):
            return -math.inf
        slack = source.point.pricing_slack(self.problem)
        lower = dual_bound(self.problem, source.point, result.bound + slack)[0]
        if self.best is None or lower > self.lower:
            self.lower, self.best = lower, (source, result)
            self.record()
        return lower

    def improve(self, objective: float) -> None:
        """Take in the objective of a network."""
        if objective < self.objective:
            self.objective = objective
            self.record()

    def record(self) -> None:
        entry = (time.perf_counter() - self.start, self.objective, self.lower)
        self.history.append(entry)
        if self.callback is not None:
            self.callback(*entry)


class Arm:
    """One search for a bound of one dual vector, continued slice by slice."""

    def __init__(
        self, problem: TrainingProblem, source: DualSource, method: str, options: dict[str, Any],
        pricer: CellPricer | None = None,
    ) -> None:  # fmt: skip
        self.problem, self.source, self.method, self.pricer = problem, source, method, pricer
        self.options = options
        # whether an atom above the target is worth stopping for; the l2 bounds of l1 norms end in atoms that are not
        self.feeds = source.own and problem.norm == "l2"
        self.search: Any = None
        self.result: PricingResult | None = None
        self.lower = -math.inf
        self.seconds = 0.0
        self.pace: list[tuple[float, float]] = []

    def finished(self, board: Board) -> bool:
        """Whether more time can hardly improve the best bound: the value attained limits what this vector proves."""
        if self.result is None:
            return False
        if self.result.status not in ("time_limit", "node_limit", "target", "violated"):
            return True
        slack = self.source.point.pricing_slack(self.problem)
        reach = dual_bound(self.problem, self.source.point, self.result.value + slack)[0]
        return reach <= board.lower + 0.1 * max(board.objective - board.lower, 0.0)

    def run(self, time_limit: float, board: Board, stop_at_violation: bool) -> PricingResult:
        """Search on for at most ``time_limit`` seconds and report to the board."""
        began = time.perf_counter()
        target = target_value(self.problem, self.source.point, board.goal)
        self.result = self._priced(max(time_limit, 0.01), target, stop_at_violation and target is not None)
        self.lower = max(self.lower, board.offer(self.source, self.result))
        self.seconds += time.perf_counter() - began
        self.pace.append((self.seconds, max(1 - self.lower / board.objective, 1e-12) if board.objective > 0 else 1e-12))
        return self.result

    def predicted(self, more: float) -> float:
        """Logarithm of the gap after ``more`` seconds if it goes on falling as fast as in the last slice."""
        if not self.pace:
            return -math.inf
        seconds, gap = self.pace[-1]
        if len(self.pace) < 2:
            return math.log(gap)
        before, previous = self.pace[-2]
        rate = math.log(previous / gap) / max(seconds - before, 1e-3)
        return math.log(gap) - rate * more

    def _priced(self, time_limit: float, target: float | None, stop: bool) -> PricingResult:
        nu = self.source.point.nu
        if self.method == "cells":
            assert self.pricer is not None
            deadline = time.perf_counter() + time_limit
            threshold = self.problem.reg * (1 - 1e-9)
            return self.pricer.price(nu, threshold=threshold, max_violators=20, deadline=deadline)
        if self.method == "line":
            from ..pricing import price_univariate

            return price_univariate(self.problem, nu)
        if self.method == "outputs":
            from ..pricing.outputs import price_outputs

            each = min(1.0, time_limit / (self.problem.n_outputs + 1))
            pricer = partial(_cones, seconds=each) if self.problem.extended.shape[1] <= _CONES_PER_OUTPUT else None
            return price_outputs(self.problem, nu, pricer, target=target, time_limit=time_limit)
        if self.method == "moment":
            from ..pricing import price_moment

            proof = bool(self.options.get("proof"))
            return price_moment(self.problem, nu, target=target, time_limit=time_limit, proof=proof)
        if self.search is None:
            self.search = self._new_search(nu)
        return self.search.run(target=target, time_limit=time_limit, stop_at_violation=stop)

    def _new_search(self, nu: Any) -> Any:
        if self.method == "cones":
            from ..pricing import ConeSearch

            return ConeSearch(self.problem, nu, **self.options)
        from ..pricing.slabs import SlabSearch

        return SlabSearch(self.problem, nu, **self.options)
