r"""Globally optimal training of threshold networks: a lasso over activation patterns, by column generation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..arrangements import PatternSet
from ..arrangements.faces import FacePatterns
from ..errors import InfeasibleError, PatternError
from ..networks.threshold import ThresholdNetwork
from ..pricing import dual_bound, feasible_dual
from ..pricing.threshold import ThresholdPricer, check_threshold, threshold_direction, threshold_patterns
from ..problem import check_problem
from ._column_generation import misfit_of
from ._dictionary_master import AtomSolution, fewest, solve_atoms
from ._dictionary_runs import unreachable_part
from ._monitor import Monitor, started
from ._threshold_result import ThresholdResult
from .result import Progress

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["solve_threshold"]

_NEW = 60
"""Most patterns added in a round."""
_KEEP = 8
"""Rounds for which a pattern without weight stays."""


def solve_threshold(
    problem: TrainingProblem,
    patterns: PatternSet | FacePatterns | None = None,
    *,
    tol: float = 1e-8,
    time_limit: float = 600.0,
    max_iter: int = 500,
    callback: Callable[[Progress], object] | None = None,
    verbose: bool = False,
) -> ThresholdResult:
    r"""Train a network of threshold neurons to proven global optimality.

    .. math:: \min_{a, c}\; L(G a + c 1, y) + \mathrm{reg} \|a\|_1 , \qquad G_{ip} = 1[x_i^\top u_p \ge 0]

    with one column for each activation pattern (and c only with ``intercept=True``). It is weight decay with a
    trainable amplitude for each neuron. The lasso is solved over few columns at a time; all others are priced, so that
    hundreds of thousands of patterns are no obstacle.

    Parameters
    ----------
    problem : TrainingProblem
        With ``activation="threshold"``, any loss.
    patterns : PatternSet or FacePatterns, optional
        Of ``problem.extended``. Default: all of them (:func:`convexnet.pricing.threshold_patterns`).
    tol : float
        Relative gap asked for.
    time_limit : float
        Seconds.
    max_iter : int
        Most rounds.
    callback : callable, optional
        Called with a :class:`Progress` after each round; returning True stops.
    verbose : bool
        Print one line a round.

    Returns
    -------
    ThresholdResult
        Its bound holds for all networks where the patterns are proven to be all.

    Raises
    ------
    ProblemError
        If the problem has another activation, or an option is out of range.
    PatternError
        If the patterns are no pattern set, are empty, or belong to other data.
    TooManyCellsError
        If the patterns cannot be listed; sample some and pass them.
    InfeasibleError
        Interpolation of targets that no network over the patterns reaches; its ``certificate`` is a vector nu with
        nu . y = 1 that is orthogonal to all of them (up to rounding).

    References
    ----------
    Ergen, Gulluk, Lacotte and Pilanci (2023), "Globally optimal training of neural networks with threshold activation
    functions".

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [0.0], [1.0]], [0.0, 1.0, 0.0], reg=0.1, activation="threshold")
    >>> result = solve_threshold(problem)
    >>> result.status, round(result.objective, 6), result.network.n_neurons
    ('solved', 0.17, 3)
    """
    check_problem(problem)
    check_threshold(problem, "solve_threshold")
    monitor = started(tol, time_limit, max_iter, callback, verbose)
    if patterns is None:
        patterns = threshold_patterns(problem, time_limit=max(0.9 * monitor.time_limit, 1e-3))
    if not isinstance(patterns, (PatternSet, FacePatterns)):
        raise PatternError(
            f"patterns must be a PatternSet or FacePatterns, got {type(patterns).__name__}: a bare 0/1 array has no "
            "directions; use convexnet.programs.build_threshold for its value."
        )
    run = _Run(problem, patterns, monitor)
    run.rounds()
    return run.result()


class _Run:
    """Active signed patterns, the best amplitudes, the best dual vector."""

    def __init__(self, problem: TrainingProblem, patterns: PatternSet | FacePatterns, monitor: Monitor) -> None:
        self.problem, self.patterns, self.monitor = problem, patterns, monitor
        self.pricer = ThresholdPricer(problem, patterns)
        self.directions: dict[int, np.ndarray | None] = {}
        self.pairs: list[tuple[int, int]] = []
        self.age = np.zeros(0, dtype=int)
        self.best: tuple[list[tuple[int, int]], np.ndarray, np.ndarray] = ([], np.zeros(0), np.zeros(self._n_free))
        self.objective = problem.loss_value(np.zeros(problem.n))
        self.nu = np.zeros(problem.n)
        self.misfit = 0.0

    @property
    def _n_free(self) -> int:
        return int(self.problem.free_columns.shape[1])

    def rounds(self) -> None:
        """Alternate the lasso over the active patterns with pricing; the status is left in the monitor."""
        monitor = self.monitor
        solution = AtomSolution(np.zeros(0), np.zeros(self._n_free), np.zeros(self.problem.n))
        with monitor.interruptible():
            if self.problem.loss.name == "interpolation":
                self._add([(p, s) for p in spanning_patterns(self.pricer, self._usable) for s in (1, -1)])
            else:
                start = self.problem.loss.clip_dual(
                    -self.problem.gradient(np.zeros(self.problem.n)), self.problem.y, self.problem.sample_weight
                )
                solution = AtomSolution(np.zeros(0), np.zeros(self._n_free), start)
                self._price(solution.nu)
            while not monitor.expired():
                monitor.iteration += 1
                solution = self._solve(solution)
                if monitor.status:
                    break
                self.age = np.where(solution.amplitudes > 0, 0, self.age + 1)
                added = self._price(solution.nu)
                if not added and not monitor.status:
                    monitor.status = "stalled"
                solution = self._trimmed(solution)

    def _solve(self, before: AtomSolution) -> AtomSolution:
        problem, monitor = self.problem, self.monitor
        columns = self._columns(self.pairs)
        start = np.zeros(len(self.pairs))
        start[: len(before.amplitudes)] = before.amplitudes
        left = monitor.time_limit - monitor.seconds
        solution = solve_atoms(problem, columns, (start, before.free), left, time.perf_counter())
        if solution.infeasible:
            raise self._infeasible()
        if solution.timed_out:
            monitor.status = "time_limit"
            return solution
        f = columns @ solution.amplitudes + problem.free_columns @ solution.free
        objective = problem.loss_value(f) + problem.reg * float(np.sum(solution.amplitudes))
        if objective < self.objective:
            self.objective, self.best = objective, (list(self.pairs), solution.amplitudes, solution.free)
            self.misfit = misfit_of(problem, f)
        return solution

    def _price(self, nu: np.ndarray) -> int:
        """Bound the objective by one dual vector, record both bounds, add violated patterns; how many."""
        problem = self.problem
        point = feasible_dual(problem, nu)
        priced = self.pricer.price(point.nu, threshold=problem.reg * (1 + 1e-10), max_violators=4 * _NEW)
        lower = dual_bound(problem, point, priced.bound, misfit=self.misfit)[0]
        if lower > self.monitor.lower_bound:
            self.nu = point.nu
        size = int(np.sum(self.best[1] > 0))
        if self.monitor.iteration:
            self.monitor.report(self.objective, lower, size)
        present = set(self.pairs)
        fresh = [(v.cell, v.sign) for v in priced.violators if (v.cell, v.sign) not in present]
        return self._add(fresh)

    def _add(self, pairs: list[tuple[int, int]]) -> int:
        """Add usable pairs, at most a round's share of them (all of them at the start)."""
        limit = len(pairs) if not self.monitor.iteration else _NEW
        added = 0
        for pair in pairs:
            if added >= limit:
                break
            if self._usable(pair[0]):
                self.pairs.append(pair)
                added += 1
        self.age = np.concatenate([self.age, np.zeros(added, dtype=int)])
        return added

    def _usable(self, cell: int) -> bool:
        if cell not in self.directions:
            self.directions[cell] = threshold_direction(self.problem, self.patterns, cell)
        return self.directions[cell] is not None

    def _trimmed(self, solution: AtomSolution) -> AtomSolution:
        """Drop patterns that have been without weight for long (never where the program needs them to be feasible)."""
        if self.problem.loss.name == "interpolation":
            return solution
        kept = np.flatnonzero(self.age < _KEEP)
        known = kept[kept < len(solution.amplitudes)]
        self.pairs, self.age = [self.pairs[k] for k in kept], self.age[kept]
        return AtomSolution(solution.amplitudes[known], solution.free, solution.nu)

    def _columns(self, pairs: list[tuple[int, int]]) -> np.ndarray:
        cells = np.array([cell for cell, _ in pairs], dtype=int)
        return self.pricer.G[:, cells] * np.array([sign for _, sign in pairs], dtype=np.float64)

    def _infeasible(self) -> InfeasibleError:
        nu = unreachable_part(self.problem, self._columns(self.pairs))
        height = float(nu @ self.problem.y)
        scores = np.abs(self.pricer.scores(nu))
        proven = height > 0 and float(np.max(scores)) <= 1e-8 * float(np.sum(np.abs(nu)))
        return InfeasibleError(
            "No network of threshold neurons fits y. The usual causes are repeated rows with different targets, "
            "parallel rows without a bias, or too few patterns. Use loss='squared' to fit approximately.",
            nu / height if proven else None,
        )

    def result(self) -> ThresholdResult:
        """The network of the best amplitudes, measured as any other."""
        problem, monitor = self.problem, self.monitor
        pairs, amplitudes, free = self.best
        amplitudes, free = fewest_patterns(problem, self._columns(pairs), amplitudes, free)
        used = np.flatnonzero(amplitudes > 0)
        cells = np.array([pairs[k][0] for k in used], dtype=int)
        signs = np.array([pairs[k][1] for k in used], dtype=np.float64)
        table = np.array([self.directions[cell] for cell in cells]).reshape(len(cells), problem.extended.shape[1])
        biases = np.zeros(len(cells)) if problem.bias == "none" else table[:, -1]
        intercept = float(free[-1]) if problem.intercept else 0.0
        network = ThresholdNetwork(table[:, : problem.d], biases, signs * amplitudes[used], intercept)
        objective = problem.objective(network)
        monitor.objective = objective
        return ThresholdResult(
            network=network,
            cells=cells,
            objective=objective,
            lower_bound=monitor.lower_bound,
            gap=monitor.gap,
            scope="all" if self.pricer.complete else "listed",
            nu=self.nu,
            status=monitor.status,
            iterations=monitor.iteration,
            n_patterns=len(self.pricer),
            unusable=sum(direction is None for direction in self.directions.values()),
            history=tuple(monitor.history),
            wall_time=monitor.seconds,
            problem=problem,
        )


def spanning_patterns(pricer: ThresholdPricer, usable: Callable[[int], bool]) -> list[int]:
    """Patterns that span the outputs of all (with the free columns), chosen from random batches by pivoted QR."""
    from scipy.linalg import qr

    problem, G = pricer.problem, pricer.G
    rows = np.flatnonzero(np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight > 0)
    basis = np.zeros((len(rows), 0))
    if problem.free_columns.size:
        basis = np.linalg.qr(problem.free_columns[rows])[0]
    chosen: list[int] = []
    order = np.random.default_rng(0).permutation(len(pricer))
    step = max(2 * problem.n, 64)
    for start in range(0, len(order), step):
        if basis.shape[1] >= len(rows):
            break
        batch = np.array([p for p in order[start : start + step] if usable(int(p))], dtype=int)
        rest = G[np.ix_(rows, batch)].astype(np.float64)
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
        if not rest.size:
            continue
        Q, R, pivot = qr(rest, mode="economic", pivoting=True)
        rank = int(np.sum(np.abs(np.diag(R)) > 1e-9 * np.sqrt(len(rows))))
        chosen += batch[pivot[:rank]].tolist()
        basis = np.column_stack([basis, Q[:, :rank]])
    return chosen


def fewest_patterns(
    problem: TrainingProblem, columns: np.ndarray, amplitudes: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Amplitudes of independent columns only (Caratheodory), with the same outputs at no larger cost."""
    after, moved = fewest(problem, columns, amplitudes, free)
    change = columns @ (after - amplitudes) + problem.free_columns @ (moved - free)
    total = float(np.sum(amplitudes))
    size = float(np.max(np.abs(problem.y))) + total
    if np.sum(after) > total * (1 + 1e-12) or np.max(np.abs(change)) > 1e-12 * size:
        return amplitudes, free
    return after, moved
