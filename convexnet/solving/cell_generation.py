r"""Cell generation: a convex program over few active cells, exact pricing over all, until both bounds meet."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..certificates.farkas import check_interpolable
from ..certificates.tolerances import largest_residual, rounding_of_zero
from ..errors import ConvexNetError, NetworkError, SolverError
from ..networks.shallow import ShallowNetwork
from ..pricing import CellPricer, DualPoint, PricingResult, dual_bound, feasible_dual, relative_gap
from ..pricing.univariate import price_univariate
from ..problem import require_path_norm
from ._atom_program import fewer_neurons, refitted
from ._line_memory import fits_on_line, line_fit
from ._ray_start import ray_start
from .master import Master, MasterSolution, Pair
from .solution import Progress
from .starting_cells import cell_index, feasible_cells, network_cells, trained_start

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["Generated", "empty_network", "free_fit", "generate_cells"]

_LOG = logging.getLogger(__name__)
_TOLERANCES = (1e-8, 1e-10, 1e-12)
"""Accuracies of the master program, tightened when no cell is violated but the gap is not closed."""


@dataclass(frozen=True, eq=False)
class Generated:
    """Outcome of cell generation: the best network, the dual vectors worth certifying with, and the rounds."""

    network: ShallowNetwork
    nu: np.ndarray
    status: str
    history: tuple[Progress, ...]


def generate_cells(
    problem: TrainingProblem,
    patterns: PatternSet,
    *,
    pricer: CellPricer | None = None,
    tol: float = 1e-6,
    time_limit: float = 600.0,
    max_iter: int = 100,
    max_new: int = 100,
    solver: str = "CLARABEL",
    random_state: int = 0,
    callback: Callable[[Progress], object] | None = None,
) -> Generated:
    r"""Solve the convex program over ``patterns`` while keeping only active cells in it.

    Each round solves the program over the active (cell, sign) pairs, prices its dual vector over every listed cell,
    records both bounds, and adds violated pairs. With exact masters a pair in the program cannot be violated again,
    so the rounds are finitely many.

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output.
    patterns : PatternSet
    pricer : CellPricer, optional
        Prepared pricing of ``patterns``.
    tol : float
        Relative gap between the network's objective and the bound over the listed cells.
    time_limit : float
        Seconds.
    max_iter, max_new : int
        Rounds, and pairs added per round.
    callback : callable, optional
        Called with a :class:`Progress` after each round (``size`` is the number of pairs); True ends the rounds.

    Raises
    ------
    InfeasibleError
        If no network interpolates the targets.

    References
    ----------
    De Dios and Bruna (2020) for one atom per cell and sign; column generation for the rest.

    Examples
    --------
    >>> from convexnet import TrainingProblem, enumerate_patterns
    >>> problem = TrainingProblem([[-1.0], [0.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> result = generate_cells(problem, enumerate_patterns(problem.extended))
    >>> result.status
    'solved'
    """
    require_path_norm(problem, "generate_cells")
    run = _Run(problem, patterns, pricer or CellPricer(problem, patterns), solver, time_limit)
    try:
        run.begin(random_state)
        status = run.rounds(max_iter, tol, max_new, callback)
        run.thin_out(tol)
    except KeyboardInterrupt:
        if not (run.history or run.network.n_neurons):
            raise
        status = "interrupted"
    return Generated(run.network, run.nu, status, tuple(run.history))


class _Run:
    """State of one cell generation: active pairs, incumbent network, best dual vector."""

    def __init__(
        self,
        problem: TrainingProblem,
        patterns: PatternSet,
        pricer: CellPricer,
        solver: str,
        time_limit: float,
    ) -> None:
        self.start = time.perf_counter()
        self.deadline = self.start + time_limit
        self.problem, self.patterns, self.pricer = problem, patterns, pricer
        self.network = empty_network(problem)
        self.objective = problem.objective(self.network)
        self.nu, self.lower_bound = np.zeros_like(problem.y), -math.inf
        self.history: list[Progress] = []
        self.accuracy = 0
        self.stuck = False
        self.master = Master(problem, patterns, solver)
        self.solution: MasterSolution | None = None
        self.pairs: dict[Pair, None] = {}
        self.interpolating = problem.loss.name == "interpolation"

    def begin(self, random_state: int) -> None:
        """Choose the pairs of the first program."""
        fitted = free_fit(self.problem)
        if fitted is not None:
            self._offer(fitted)
        self.pairs = dict.fromkeys(self._first_pairs(random_state))

    def _first_pairs(self, random_state: int) -> list[Pair]:
        if self.interpolating:
            return self._interpolating_pairs(random_state)
        left = self.deadline - time.perf_counter()
        # Over a partial list the result must have listed patterns, which a trained network has not.
        network = trained_start(self.problem, random_state, max(left / 4, 0.01)) if self.pricer.complete else None
        pairs: list[Pair] = []
        if network is not None:
            self._offer(network)
            merged = network.merged(self.problem.bias, self.problem.X).pruned(1e-6)
            pairs = network_cells(self.problem, merged, cell_index(self.patterns))
        return pairs or self._steepest_pairs()

    def _interpolating_pairs(self, random_state: int) -> list[Pair]:
        """Cells around the best network of extreme rays, which is the incumbent; else cells that span the targets."""
        check_interpolable(self.problem)
        left = self.deadline - time.perf_counter()
        fit = line_fit(self.problem, 0.3 * left) if fits_on_line(self.problem) and self.patterns.complete else None
        if fit is not None and math.isfinite(self.problem.objective(fit.network)):
            self._offer(fit.network)
            point = feasible_dual(self.problem, fit.nu)
            self._take(point, price_univariate(self.problem, point.nu))
            return [(cell, sign) for cell in range(len(self.patterns)) for sign in (1, -1)]
        start = ray_start(self.problem, self.patterns, time.perf_counter() + 0.5 * left, random_state)
        if start is None:
            return feasible_cells(self.problem, self.patterns)
        self._offer(start.network)
        return start.pairs

    def _steepest_pairs(self) -> list[Pair]:
        """Cells of the largest atoms at the empty network, so that the first master is not empty."""
        nu = feasible_dual(self.problem, self._gradient_nu(self.network)).nu
        result = self.pricer.price(nu, max_refined=20, max_violators=10, deadline=self.deadline)
        return [(v.cell, v.sign) for v in result.violators] or [(0, 1), (0, -1)]

    def rounds(
        self, limit: int, tol: float, max_new: int, callback: Callable[[Progress], object] | None
    ) -> str:
        """Rounds until one of the limits, the tolerance or the callback ends them; returns which."""
        if self._gap() <= tol:
            return "solved"  # an optimum of zero, which no program meets as closely
        for _ in range(limit):
            if self._too_late():
                return "time_limit"
            record = self.round(tol, max_new)
            stopped = callback is not None and bool(callback(record))
            status = self.finished(tol)
            if status or stopped:
                return status or "callback"
        return "iteration_limit"

    def round(self, tol: float, max_new: int) -> Progress:
        """Solve the master, price, record, add violated pairs."""
        candidates = self._solve_master()
        added = 0
        for nu in candidates:
            added += self._price(nu, max_new, tol)
            if added or self._gap() <= tol:
                break
        self.stuck = added == 0
        seconds = time.perf_counter() - self.start
        record = Progress(
            seconds, len(self.history) + 1, self.objective, self.lower_bound, self._gap(), len(self.pairs)
        )
        self.history.append(record)
        _LOG.info("round %d: %s", len(self.history), record)
        return record

    def _price(self, nu: np.ndarray, max_new: int, tol: float) -> int:
        """Bound by one dual vector; where the gap stays open, add violated pairs and return how many."""
        point = feasible_dual(self.problem, nu)
        new: list[Pair] = []
        # a cap keeps most rounds short; where it hides all that is left, the cells beyond it are refined, too
        for cap in (400, None) if self.interpolating else (400,):
            result = self.pricer.price(
                point.nu, threshold=self.problem.reg * (1 + 1e-9), max_refined=cap, max_violators=max_new,
                deadline=self.deadline,
            )  # fmt: skip
            self._take(point, result)
            if self._gap() <= tol:
                return 0
            new = [(v.cell, v.sign) for v in result.violators if (v.cell, v.sign) not in self.pairs]
            if new:
                break
        self.pairs.update(dict.fromkeys(new))
        return len(new)

    def _take(self, point: DualPoint, result: PricingResult) -> None:
        """Keep a dual vector if its bound is the best so far."""
        bound = result.bound + point.pricing_slack(self.problem)
        lower = dual_bound(self.problem, point, bound, misfit=self._misfit())[0]
        if lower > self.lower_bound:
            self.lower_bound, self.nu = lower, point.nu

    def _too_late(self) -> bool:
        """Whether the next program cannot be built in time; interpolation has no network before the first."""
        left = self.deadline - time.perf_counter()
        if self.interpolating and not self.history and math.isinf(self.objective):
            return False
        return left < self.master.setup_seconds(len(self.pairs))

    def finished(self, tol: float) -> str:
        """Status if the run is over, else an empty string; tightens the master instead of spinning."""
        if self._gap() <= tol:
            return "solved"
        if time.perf_counter() > self.deadline:
            return "time_limit"
        if self.stuck:
            self.accuracy += 1
            if self.accuracy >= len(_TOLERANCES):
                return "stalled"
        return ""

    def _solve_master(self) -> list[np.ndarray]:
        """Solve the program over the active pairs; offer its network and return dual vectors to price."""
        remaining = max(self.deadline - time.perf_counter(), 0.02)
        try:
            solution = self.master.solve(list(self.pairs), _TOLERANCES[self.accuracy], remaining)
        except (SolverError, NetworkError) as error:  # nothing usable, or not a number where time ran out
            _LOG.info("master program: %s", error)
            return [self.nu if self.interpolating else self._gradient_nu(self.network)]
        self.solution = solution
        self._offer(refitted(self.problem, solution.network) if self.interpolating else solution.network)
        return [self._gradient_nu(solution.network), solution.nu] if self.problem.loss.smooth else [solution.nu]

    def thin_out(self, tol: float) -> None:
        """Replace the network by one over fewer cells if that costs at most a tenth of the tolerance."""
        remaining = self.deadline - time.perf_counter()
        if self.solution is None or remaining <= self.master.setup_seconds(1):
            return
        if self.interpolating:
            self.network = fewer_neurons(self.problem, self.network, 0.1 * tol, remaining)
            return
        try:
            thin = self.master.thinned(self.solution, self.objective, 0.1 * tol * abs(self.objective), remaining)
        except ConvexNetError as error:
            _LOG.info("thinning: %s", error)
            return
        if thin is not None:
            self.network = thin.network

    def _gap(self) -> float:
        return relative_gap(self.objective, self.lower_bound, rounding_of_zero(self.problem))

    def _misfit(self) -> float:
        return largest_residual(self.problem, self.network.predict(self.problem.X), self.objective)

    def _offer(self, network: ShallowNetwork) -> None:
        """Keep the network if it is the best so far."""
        value = self.problem.objective(network)
        if value < self.objective:
            self.network, self.objective = network, value

    def _gradient_nu(self, network: ShallowNetwork) -> np.ndarray:
        return -self.problem.gradient(network.predict(self.problem.X))


def free_fit(problem: TrainingProblem) -> ShallowNetwork | None:
    """The network of the free terms alone where they fit the targets, so that the optimum is zero; else None."""
    if not problem.scalar or not problem.free_columns.size or problem.loss.name == "interpolation":
        return None
    if rounding_of_zero(problem) == 0:
        return None
    root = np.ones(problem.n) if problem.sample_weight is None else np.sqrt(problem.sample_weight)
    fit = np.linalg.lstsq(root[:, None] * problem.free_columns, root * problem.y, rcond=None)[0]
    skip = fit[: problem.d] if problem.skip else None
    return replace(empty_network(problem), skip=skip, intercept=float(fit[-1]) if problem.intercept else 0.0)


def empty_network(problem: TrainingProblem) -> ShallowNetwork:
    """The network without neurons (its free terms zero)."""
    return ShallowNetwork(
        np.zeros((0, problem.d)), np.zeros(0), np.zeros(0), activation=problem.activation,
        negative_slope=problem.negative_slope,
    )  # fmt: skip
