"""The two models of a regularization path: each solves at one value of reg after the other, warm-started."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrangements import PatternSet, enumerate_patterns, sample_patterns
from ..certificates.tolerances import rounding_of_zero
from ..errors import ProblemError, TooManyCellsError
from ..networks.gated import GatedNetwork
from ..networks.shallow import ShallowNetwork
from ..pricing import (
    CellPricer,
    dual_bound,
    enumerable,
    feasible_dual,
    null_prediction,
    price_ascent,
    price_gated,
    price_moment,
    price_null,
    price_spectral,
    relative_gap,
)
from ..pricing.gated import check_groups
from .path_result import PathPoint

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from ..solvers._gated_bounds import GatedCase
    from ..solvers.result import GatedResult

__all__ = ["Tracer", "tracer"]

_SAMPLED = 100
"""Random gates where none are given."""
_FEW_CELLS = 50_000
"""Up to so many cells are listed to bound the points of a ReLU path."""
_RESTARTS = 1
"""Random networks whose neurons join those of the point before; none where only the held-out error counts."""
_FOLD_TOL = 1e-4
"""Pricing gap that is enough for a held-out error."""
_BOUND_SHARE = 0.3
"""Most time for the bound of a point, as a share of that for its network."""
_BOUND_SECONDS = 0.25
"""Seconds that a bound may take in any case: moments of some hundred rows and ten features take so long."""


class Tracer(ABC):
    """Solves one problem for one value of reg after the other.

    ``reg_max`` is the largest useful reg and ``reg_max_kind`` whether that is exact; ``patterns`` are those in use.
    """

    patterns: PatternSet | None
    scope: str
    reg_max: float
    reg_max_kind: str

    def __init__(self, problem: TrainingProblem, tol: float, random_state: int) -> None:
        self.problem, self.tol, self.random_state = problem, tol, random_state

    @abstractmethod
    def point(self, reg: float, time_limit: float) -> PathPoint:
        """The network at ``reg``, started from the one before."""

    @abstractmethod
    def on_rows(self, rows: np.ndarray) -> Tracer:
        """The same model on a part of the rows, for held-out errors: nothing is proven about its points."""

    def part(self, rows: np.ndarray) -> TrainingProblem:
        """The problem on a part of the rows."""
        weight = self.problem.sample_weight
        return self.problem.with_options(
            X=self.problem.X[rows], y=self.problem.y[rows], sample_weight=None if weight is None else weight[rows]
        )


def tracer(
    problem: TrainingProblem, model: str, patterns: PatternSet | None, group: str, tol: float, random_state: int,
    time_limit: float,
) -> Tracer:  # fmt: skip
    """The tracer of a model."""
    if model == "gated":
        return _Gated(problem, patterns, group, tol, random_state)
    return _Relu(problem, patterns, tol, random_state, time_limit)


class _Gated(Tracer):
    """Gated networks over fixed gates; where the fast solver has no method, the conic program, cold."""

    def __init__(
        self, problem: TrainingProblem, patterns: PatternSet | None, group: str, tol: float, random_state: int
    ) -> None:
        super().__init__(problem, tol, random_state)
        check_groups(problem, group)
        if patterns is None:
            patterns = sample_patterns(problem.extended, _SAMPLED, random_state=random_state)
        self.patterns: PatternSet = patterns
        self.group = group
        self.scope = f"gated networks over {len(patterns)} listed gates"
        nu = feasible_dual(problem, -problem.gradient(null_prediction(problem))).nu
        self.reg_max = price_gated(problem, nu, patterns, group=group).bound
        self.reg_max_kind = "exact" if problem.loss.smooth else "heuristic"
        self._last: GatedResult | None = None
        self._case: GatedCase | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Other processes build their own products of the gates."""
        return {**vars(self), "_case": None}

    def on_rows(self, rows: np.ndarray) -> _Gated:
        from ..arrangements import patterns_at

        part = self.part(rows)
        gates = patterns_at(part.extended, self.patterns.witnesses)
        return _Gated(part, gates, self.group, self.tol, self.random_state)

    def point(self, reg: float, time_limit: float) -> PathPoint:
        start = time.perf_counter()
        problem = self.problem.with_options(reg=reg)
        try:
            found = self._solved(problem, self._last, time_limit)
        except ProblemError:
            return self._conic_point(problem, time_limit, start)
        left = time_limit - (time.perf_counter() - start)
        if found.status == "stalled" and self._last is not None and left > 0:
            found = min(found, self._solved(problem, None, left), key=lambda result: result.gap)
        self._last = found
        assert found.network is not None
        return self._wrapped(
            problem, found.network, found.objective, found.lower_bound, found.gap, found.size, found.status, start
        )

    def _solved(self, problem: TrainingProblem, last: GatedResult | None, time_limit: float) -> GatedResult:
        from ..solvers._gated_bounds import GatedCase
        from ..solvers._monitor import Monitor
        from ..solvers.gated import solve_case

        monitor = Monitor(time_limit, 0, self.tol)
        if self._case is None:
            self._case = GatedCase(self.problem, self.patterns, self.group)
        return solve_case(self._case.at(problem), monitor, start=last, random_state=self.random_state)

    def _conic_point(self, problem: TrainingProblem, time_limit: float, start: float) -> PathPoint:
        from .front import solve

        found = solve(
            problem, "gated_program", self.patterns, tol=self.tol, time_limit=time_limit, group=self.group,
            random_state=self.random_state,
        )  # fmt: skip
        network, proven = found.network, found.certificate
        assert isinstance(network, GatedNetwork)
        used = int(np.sum(np.any(network.weights != 0, axis=0).reshape(network.n_gates, -1).any(axis=1)))
        return self._wrapped(
            problem, network, found.objective, proven.lower_bound, proven.gap, used, found.status, start
        )

    def _wrapped(
        self, problem: TrainingProblem, network: GatedNetwork, objective: float, lower: float, gap: float, size: int,
        status: str, start: float,
    ) -> PathPoint:  # fmt: skip
        penalty = network.group_norm(problem.bias, problem.norm, self.group)
        return PathPoint(
            reg=problem.reg, objective=objective, loss=objective - problem.reg * penalty, penalty=penalty,
            lower_bound=lower, gap=gap, bound_method="gates", pricing_gap=None, neurons=size,
            seconds=time.perf_counter() - start, status=status, network=network,
        )  # fmt: skip


class _Relu(Tracer):
    """ReLU networks over all patterns, with a bound over networks of any width as far as one is cheap."""

    def __init__(
        self, problem: TrainingProblem, patterns: PatternSet | None, tol: float, random_state: int, time_limit: float
    ) -> None:
        super().__init__(problem, tol, random_state)
        if problem.loss.name == "interpolation":
            raise ProblemError("Interpolation has no regularization path: its objective has no reg to vary.")
        self.scope = "networks of any width"
        self.patterns = patterns
        if patterns is None and problem.scalar and enumerable(problem, max_cells=_FEW_CELLS):
            with suppress(TooManyCellsError):
                self.patterns = enumerate_patterns(problem.extended, time_limit=0.2 * time_limit)
        self.pricer = CellPricer(problem, self.patterns) if self.patterns is not None else None
        self.reg_max, self.reg_max_kind = self._largest()
        self._last: ShallowNetwork | None = None
        self.bounded = True

    def _largest(self) -> tuple[float, str]:
        """The largest useful reg: exact over listed cells, else the largest value of a neuron that is met."""
        problem = self.problem
        if self.pricer is not None or not problem.scalar:
            priced = price_null(problem, self.patterns)
            exact = self.pricer is not None and problem.loss.smooth
            return (priced.bound, "exact") if exact else (priced.value, "heuristic")
        nu = feasible_dual(problem, -problem.gradient(null_prediction(problem))).nu
        return price_ascent(problem, nu, random_state=self.random_state).value, "heuristic"

    def on_rows(self, rows: np.ndarray) -> _Relu:
        part = object.__new__(_Relu)
        Tracer.__init__(part, self.part(rows), max(self.tol, _FOLD_TOL), self.random_state)
        part.pricer, part.patterns, part._last, part.bounded = None, None, None, False
        return part

    def point(self, reg: float, time_limit: float) -> PathPoint:
        from ..solvers.relu import solve_relu

        start = time.perf_counter()
        problem = self.problem.with_options(reg=reg)
        found = solve_relu(
            problem, tol=self.tol, time_limit=time_limit, start=self._last, random_state=self.random_state,
            n_restarts=_RESTARTS if self.bounded else 0,
        )  # fmt: skip
        self._last = network = found.network
        lower, method = 0.0, "none"
        if self.bounded:
            spent = time.perf_counter() - start
            seconds = min(max(_BOUND_SHARE * spent, _BOUND_SECONDS), max(time_limit - spent, 0.02))
            lower, method = self._bound(problem, network, found.nu, seconds)
        penalty = network.path_norm(problem.bias, problem.norm)
        return PathPoint(
            reg=reg, objective=found.objective, loss=found.objective - reg * penalty, penalty=penalty,
            lower_bound=lower, gap=relative_gap(found.objective, lower, rounding_of_zero(problem)),
            bound_method=method, pricing_gap=found.pricing_gap, neurons=network.n_neurons,
            seconds=time.perf_counter() - start, status=found.status, network=network,
        )  # fmt: skip

    def _bound(
        self, problem: TrainingProblem, network: ShallowNetwork, nu: np.ndarray, seconds: float
    ) -> tuple[float, str]:
        """The best of what is cheap: all cells where they are listed, else singular values and moments."""
        point = feasible_dual(problem, nu)
        slack = point.pricing_slack(problem)
        if self.pricer is not None:
            deadline = time.perf_counter() + seconds  # which only loosens the bound
            priced = self.pricer.price(point.nu, threshold=problem.reg, deadline=deadline)
            return dual_bound(problem, point, priced.bound + slack)[0], "cells"
        bounds = [(dual_bound(problem, point, price_spectral(problem, point.nu).bound + slack)[0], "singular values")]
        if problem.scalar:
            moment = price_moment(problem, point.nu, time_limit=seconds).bound
            bounds.append((dual_bound(problem, point, moment + slack)[0], "moment relaxation"))
        return max(bounds)
