r"""Training under the label-noise regulariser: the program over few cells, pricing over all, until both bounds meet."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING

import numpy as np

from ..arrangements import FacePatterns, PatternSet, patterns_at, sample_patterns
from ..certificates.label_noise import judge_label_noise
from ..certificates.tolerances import largest_residual
from ..errors import IncompletePatternsWarning, SolverError, TooManyCellsError
from ..pricing import dual_bound, enumerable, feasible_dual, relative_gap
from ..pricing.label_noise import (
    LabelNoisePricer,
    check_label_noise,
    isolating_direction,
    label_noise_patterns,
    price_points,
)
from ..solvers.result import Progress
from ._certified import Options, certified_solution
from ._label_noise_master import LabelNoiseMaster
from .cell_generation import empty_network
from .master import Pair
from .starting_cells import feasible_cells

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from .solution import Solution

__all__ = ["solve_label_noise"]

_TOLERANCES = (1e-9, 1e-11, 1e-13)
"""Accuracies of the program, tightened when no cell is violated but the gap is not closed."""
_AT_ONCE = 120
"""Up to so many (cell, sign) pairs the program over all of them is solved at once."""
_NEW = 60
_ROUNDS = 100
_SAMPLED = 200
_MOST_POINTS = 300
"""Points for which a neuron that is active there alone is looked for."""


def solve_label_noise(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> Solution:
    r"""Solve the label-noise program over the listed patterns (all where they can be listed) and certify the network.

    .. math:: \min_{u_j, v_j}\; L\Big(\sum_j \sigma(X u_j) v_j,\, y\Big)
              + \frac{\mathrm{reg}}{2} \sum_j \sum_i \|\nabla_{(u_j, v_j)}\, \sigma(x_i^\top u_j) v_j\|^2

    Where the patterns cannot be listed, those of random directions and of neurons active at one point alone are used;
    the certificate then rests on :func:`convexnet.pricing.price_points`, which is exact where such neurons exist.

    Parameters
    ----------
    problem : TrainingProblem
        With ``norm="label_noise"``.
    patterns : PatternSet or None
    options : Options

    Returns
    -------
    Solution

    Raises
    ------
    ProblemError
        If the problem has another norm.
    InfeasibleError
        If no network interpolates the targets.

    Warns
    -----
    IncompletePatternsWarning
        If patterns had to be chosen and the requested gap was not proven over all networks.
    """
    check_label_noise(problem, "method='label_noise'")
    listed = _listed(problem, patterns, options)
    run = _Run(problem, LabelNoisePricer(problem, listed), options)
    status = run.rounds()
    certificate = judge_label_noise(
        problem, run.network, nu=run.nu, tol=options.tol, time_limit=options.remaining(), pricer=run.pricer
    )
    listed_patterns = listed if isinstance(listed, PatternSet) else None
    if patterns is None and not run.pricer.complete and certificate.verdict != "optimal":
        warnings.warn(
            f"Too many activation patterns to list all: {len(listed)} were chosen, of random neurons and of neurons "
            "active at one point alone, so the result is judged over these and bounded over all networks.",
            IncompletePatternsWarning,
            stacklevel=3,
        )
    return certified_solution(
        problem, run.network, certificate, status, listed_patterns, run.history, "label_noise", options
    )


def _listed(problem: TrainingProblem, patterns: PatternSet | None, options: Options) -> PatternSet | FacePatterns:
    """The given patterns, or all, or those of random neurons and of neurons with one active point."""
    if patterns is not None:
        return patterns
    E = problem.extended
    if enumerable(problem):
        try:
            return label_noise_patterns(problem, time_limit=max(0.5 * options.left(), 0.01))
        except TooManyCellsError:
            pass
    sampled = sample_patterns(E, _SAMPLED, random_state=options.random_state)
    until = time.perf_counter() + 0.25 * options.left()
    alone = []
    for point in range(min(problem.n, _MOST_POINTS)):
        if time.perf_counter() > until:
            break
        direction = isolating_direction(E, point)
        alone += [] if direction is None else [direction]
    return patterns_at(E, np.column_stack([*alone, sampled.witnesses]))


class _Run:
    """State of one solve: active pairs, the best network, the best dual vector."""

    def __init__(self, problem: TrainingProblem, pricer: LabelNoisePricer, options: Options) -> None:
        self.problem, self.pricer, self.options = problem, pricer, options
        self.master = LabelNoiseMaster(problem, pricer.cells, options.solver, None)
        self.network = empty_network(problem)
        self.objective = problem.objective(self.network)
        self.nu, self.lower_bound = np.zeros_like(problem.y), -np.inf
        self.history: list[Progress] = []
        self.pairs: dict[Pair, None] = {}
        self.accuracy = 0

    def rounds(self) -> str:
        """Rounds until the gap is closed or a limit ends them; returns which."""
        self.pairs = dict.fromkeys(self._first_pairs())
        if not self.pairs:
            self._bound(-self.problem.gradient(self.network.predict(self.problem.X)), 0)
            return "solved" if self._gap() <= self.options.tol else "stalled"
        try:
            for _ in range(self.options.max_iter or _ROUNDS):
                status = self._round()
                if status:
                    return status
        except KeyboardInterrupt:
            if not self.history:
                raise
            return "interrupted"
        return "iteration_limit"

    def _first_pairs(self) -> list[Pair]:
        useful = np.flatnonzero(self.pricer.cells.useful)
        if 2 * useful.size <= _AT_ONCE:
            return [(int(cell), sign) for cell in useful for sign in (1, -1)]
        alone = self.pricer.cells.alone
        if alone.size:
            return [(int(cell), sign) for cell in alone for sign in (1, -1)]
        if self.problem.loss.name == "interpolation":
            listed = self.pricer.cells.patterns
            pairs = [(cell, sign) for cell in useful.tolist() for sign in (1, -1)]
            return pairs if listed is None else [pair for pair in feasible_cells(self.problem, listed) if pair in pairs]
        nu = feasible_dual(self.problem, -self.problem.gradient(self.network.predict(self.problem.X))).nu
        violators = self.pricer.price(nu, threshold=self.problem.reg, max_violators=_NEW).violators
        return [(v.cell, v.sign) for v in violators]

    def _round(self) -> str:
        """Solve, price, record, add violated pairs; the status if that was the last round."""
        candidates, limit = self._solved()
        added = 0
        for nu in candidates:
            added = self._bound(nu, _NEW)
            if added or self._gap() <= self.options.tol:
                break
        seconds = time.perf_counter() - self.options.start
        record = Progress(
            seconds, len(self.history) + 1, self.objective, self.lower_bound, self._gap(), len(self.pairs)
        )
        self.history.append(record)
        stopped = self.options.callback is not None and bool(self.options.callback(record))
        if self._gap() <= self.options.tol:
            return "solved"
        if limit or self.options.left() <= 0:
            return "time_limit"
        self.accuracy += 0 if added else 1
        return "callback" if stopped else "stalled" if self.accuracy >= len(_TOLERANCES) else ""

    def _solved(self) -> tuple[list[np.ndarray], str]:
        """Solve the program over the pairs, keep its network if it is better; dual vectors, and the limit met."""
        try:
            tol = min(_TOLERANCES[self.accuracy], self.options.tol)
            point = self.master.solve(list(self.pairs), tol, max(self.options.left(), 0.05))
        except SolverError:
            return [self.nu], ""
        value = self.problem.objective(point.network)
        if value < self.objective:
            self.network, self.objective = point.network, value
        residual = -self.problem.gradient(point.network.predict(self.problem.X)) if self.problem.loss.smooth else None
        return [*([] if residual is None else [residual]), *point.duals], point.limit

    def _bound(self, nu: np.ndarray, max_new: int) -> int:
        """Price a dual vector over the listed cells, keep the better bound, add violated pairs; how many."""
        problem = self.problem
        point = feasible_dual(problem, nu)
        deadline = time.perf_counter() + max(self.options.left(), 0.05)
        result = self.pricer.price(
            point.nu, threshold=problem.reg * (1 + 1e-10), max_violators=max_new, deadline=deadline
        )
        misfit = largest_residual(problem, self.network.predict(problem.X), self.objective)
        known = min(result.bound, price_points(problem, point.nu).bound)
        bound = dual_bound(problem, point, known, misfit=misfit)[0]
        if bound > self.lower_bound:
            self.lower_bound, self.nu = bound, point.nu
        new = [(v.cell, v.sign) for v in result.violators if (v.cell, v.sign) not in self.pairs]
        self.pairs.update(dict.fromkeys(new))
        return len(new)

    def _gap(self) -> float:
        if not self.pricer.complete and self.objective <= self.lower_bound:
            return 0.0  # better than every network of the list: points on a border of its cells are inactive
        return relative_gap(self.objective, self.lower_bound)
