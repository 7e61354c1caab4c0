r"""The loop of a certification: polish, price, bound, and again with the atoms that the search meets."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrangements import PatternSet, enumerate_patterns
from ..certificates import Certificate, judge
from ..certificates._listed import named_verdict
from ..certificates.improve import improve
from ..errors import ConvexNetError, TooManyCellsError
from ..networks.activations import activate
from ..networks.shallow import ShallowNetwork
from ..pricing import CellPricer, PricingResult, enumerable, feasible_dual, univariate_peaks
from ..solvers._tidy import tidied
from ._bounding import Arm, Board
from ._line_training import has_line_solver, line_training
from .dual_sources import DualSource, mixtures, network_source, relaxed_source
from .polish import Polisher

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Run", "bound_over_all"]

_FEW_CELLS = 50_000
"""Up to so many cells are listed and priced one by one; beyond, a search is faster than the list."""
_CONES = 7
"""Dimension up to which cones alone are searched; slabs compete beyond."""
_CONES_TOO = 12
"""Dimension up to which cones are worth a try besides slabs: beyond, their number explodes."""
_SLICES = (1 / 60, 4 / 60, 12 / 60, 1.0)
"""Shares of the time limit after which the searches are compared."""
_SHARES = (0.1, 0.4)
"""Shares of the relaxation's dual vector in the mixtures that are tried."""
_VIOLATION = 1e-9
_PEAKS = 20
"""Neurons added at once for one feature."""
_ROUNDS = 40
_FORM_SECONDS = 5e-8
"""Roughly the time to prepare one entry of a pricing form; with free biases there are n forms of n rows."""
_LINE_SECONDS = 2e-5
"""Roughly the time for each sample that the exact solver for one feature needs for a useful bound."""
_ADOPTIONS = 4
"""Times that a better network met while judging is taken over."""


def bound_over_all(
    problem: TrainingProblem, network: ShallowNetwork, nu: np.ndarray, *, tol: float, time_limit: float,
    random_state: int = 0,
) -> tuple[list[tuple[np.ndarray, PricingResult]], ShallowNetwork, bool]:  # fmt: skip
    """Bounds over networks of every width for a network found elsewhere, the best network met on the way, and whether
    an interrupt ended the search."""
    start = time.perf_counter()
    board = Board(problem, start, tol)
    options = {"proof": False, "memory_limit": 1_000_000_000, "backend": "auto"}
    run = Run(problem, network, board, start + time_limit, "auto", options, random_state)
    interrupted = False
    try:
        run.search([DualSource("given", feasible_dual(problem, nu))])
    except KeyboardInterrupt:
        interrupted = True
    pricings = [] if board.best is None else [(board.best[0].point.nu, board.best[1])]
    best = run.polisher.network if run.polisher.objective < problem.objective(network) else network
    return pricings, tidied(problem, best), interrupted


class Run:
    """State of one certification: the polisher, the board of bounds, the clock."""

    def __init__(
        self, problem: TrainingProblem, network: ShallowNetwork | None, board: Board, deadline: float, method: str,
        options: dict[str, Any], random_state: int,
    ) -> None:  # fmt: skip
        self.problem, self.network, self.board, self.deadline = problem, network, board, deadline
        self.method, self.options, self.random_state = method, options, random_state
        self.whole = deadline - board.start
        self.line = problem.d == 1 and method == "auto"  # priced exactly without cells or searches
        self.pricer: CellPricer | None = None
        self.listed: PatternSet | None = None
        self.relaxed: DualSource | None = None
        self.status = "time_limit"
        self.seed = random_state
        self.polisher = Polisher(problem)
        if network is not None:
            board.judged = problem.objective(network)
            board.improve(board.judged)

    # ------------------------------------------------------------------------------------------------- clock
    def remaining(self) -> float:
        return self.deadline - time.perf_counter()

    # ---------------------------------------------------------------------------------------------- patterns
    def find_patterns(self, patterns: PatternSet | None) -> None:
        """Take the given patterns, or list all where they are few."""
        problem = self.problem
        if not problem.scalar:
            return
        if patterns is not None:
            patterns.check(problem.extended)
            self.listed = None if patterns.proven else patterns
        elif self.line:
            return
        elif self.method == "cells" or (self.method == "auto" and enumerable(problem, max_cells=_FEW_CELLS)):
            try:
                patterns = enumerate_patterns(problem.extended, time_limit=max(0.4 * self.remaining(), 0.01))
            except TooManyCellsError:
                if self.method == "cells":
                    raise
        if patterns is not None and patterns.proven and self.method in ("auto", "cells") and not self.line:
            self.pricer = CellPricer(problem, patterns)

    # ------------------------------------------------------------------------------------------------ search
    def search(self, given: list[DualSource]) -> None:
        """Train, polish, then bound until the tolerance or the deadline is reached."""
        if self.line and self._on_line(given):
            self.status = "target"
            return
        if self.line and self.remaining() <= 0:
            return
        self._train()
        if not self.problem.scalar:
            self._several_outputs(given)
            return
        searchable = self.pricer is not None or self._searchable()
        if searchable and self.pricer is None:
            trained = network_source(self.problem, self.polisher.network, "trained residual")
            if trained is not None:
                self._first_bound(trained)  # a bound at once, however long polishing takes
        self._improve(0.25 * self.remaining())
        if not searchable:
            return
        judged = None if self.network is None else network_source(self.problem, self.network, "judged residual")
        for source in given if judged is None else [*given, judged]:
            self._first_bound(source)
        for _ in range(_ROUNDS):
            before = self.polisher.objective
            self.status = self._bound()
            if self.status in ("target", "time_limit") or self.remaining() <= 0:
                break
            if self.polisher.objective >= before * (1 - 1e-13):
                if not self.polisher.tighten():
                    break
                self._improve(0.25 * self.remaining())

    def _on_line(self, given: list[DualSource]) -> bool:
        """One feature: train by the exact solver and price all dual vectors; whether that reaches the target."""
        found = None
        if has_line_solver(self.problem):
            least = _LINE_SECONDS * self.problem.n  # without it there is nothing to say about the data
            found = line_training(self.problem, 1e-3 * self.board.tol, max(0.5 * self.remaining(), least))
        sources = list(given)
        if found is not None:
            self.polisher.offer(found.network)
            self._keep()
            sources.insert(0, DualSource("solver", feasible_dual(self.problem, found.nu)))
        if self.network is not None:
            judged = network_source(self.problem, self.network, "judged residual")
            sources += [] if judged is None else [judged]
        for source in sources:
            if not self.board.reached:
                self._first_bound(source)
        return self.board.reached

    def _searchable(self) -> bool:
        """Whether there are time and memory to set up a search; otherwise only the spectral bounds remain."""
        problem = self.problem
        if problem.bias != "free" or self.line:
            return True
        entries = problem.n**2 * problem.d
        if 3 * 8 * entries > self.options["memory_limit"]:
            self.status = "memory_limit"
        elif entries * problem.n_outputs * _FORM_SECONDS > 0.3 * self.remaining():
            self.status = "time_limit"
        else:
            return True
        return False

    def _train(self) -> None:
        """Networks of short gradient runs, and the judged one, as starts of the polishing."""
        from ..baselines import train

        problem = self.problem
        networks = [] if self.network is None else [self.network]
        try:
            runs = train(
                problem, method="lbfgs", width=60, n_starts=2, max_iter=400, random_state=self.random_state,
                time_limit=max(0.1 * self.remaining(), 0.02),
            )  # fmt: skip
            networks += [net for net in runs.networks if net is not None]
        except ConvexNetError:
            pass
        if problem.scalar:
            self.polisher = Polisher(problem, networks)
        else:
            for net in networks:
                self.polisher.offer(net)

    def _several_outputs(self, given: list[DualSource]) -> None:
        """Bound by one scalar bound after the other; atoms above reg improve the best network known."""
        self.board.improve(self.polisher.objective)
        if not self._searchable():
            return
        for _ in range(_ROUNDS):
            before = self.polisher.objective
            own = network_source(self.problem, self.polisher.network, "own residual")
            for source in given if own is None else [own, *given]:
                arm = Arm(self.problem, source, "line" if self.line else "outputs", self.options)
                result = arm.run(0.4 * self.remaining(), self.board, stop_at_violation=False)
                better = improve(self.problem, self.polisher.network, [result])
                if better is not None:
                    self.polisher.offer(better)
                    self.board.improve(self.polisher.objective)
            given = []
            if self.board.reached or self.polisher.objective > before * (1 - 1e-4) or self.remaining() < 0.05:
                break
        self.status = "target" if self.board.reached else "time_limit" if self.remaining() < 0.05 else "done"

    def _improve(self, time_limit: float) -> None:
        """Polish, look for violators by ascent, add them, until none is found or no progress is made."""
        deadline = min(time.perf_counter() + time_limit, self.deadline)
        for round_ in range(_ROUNDS):
            before = self.polisher.objective
            self.polisher.run(max(deadline - time.perf_counter(), 0.02))
            self._keep()
            if time.perf_counter() > deadline or not self._add_violators(deadline):
                return
            if round_ > 3 and self.polisher.objective > before * (1 - 1e-12):
                return

    def _keep(self) -> None:
        self.board.improve(self.polisher.objective)

    def _add_violators(self, deadline: float) -> bool:
        """Add local maxima of the pricing function above reg that an ascent finds."""
        from ..pricing.ascent import local_maxima

        source = self._own()
        if self.line:
            atoms, signs, _ = univariate_peaks(
                self.problem, source.point.nu, threshold=self.problem.reg * (1 + _VIOLATION), limit=_PEAKS
            )
            if signs.size:
                self.polisher.add(atoms, signs)
            return bool(signs.size)
        self.seed += 1
        network = self.polisher.network
        neurons = np.column_stack([network.weights, network.biases])[:, : self.problem.extended.shape[1]].T
        atoms, signs, _ = local_maxima(
            self.problem, source.point.nu, starts=neurons if neurons.size else None, random_state=self.seed,
            threshold=self.problem.reg * (1 + max(_VIOLATION, min(self.polisher.error, 1e-7))),
            time_limit=max(deadline - time.perf_counter(), 0.02),
        )  # fmt: skip
        if signs.size:
            self.polisher.add(atoms, signs)
        return bool(signs.size)

    def _own(self) -> DualSource:
        return DualSource("polished residual", feasible_dual(self.problem, self.polisher.nu), own=True)

    # ------------------------------------------------------------------------------------------------ bounds
    def _first_bound(self, source: DualSource) -> None:
        """A quick bound of a given dual vector."""
        method = "line" if self.line else "moment"
        Arm(self.problem, source, method, self.options).run(0.02 * self.whole, self.board, False)

    def _bound(self) -> str:
        """Race the searches; returns why they ended, ``violated`` if a neuron above reg was fed back."""
        arms = self._arms()
        for share in _SLICES:
            for arm in list(arms):
                status = self._slice(arm, min(share * self.whole, self.remaining()))
                if status:
                    return status
                if arm.finished(self.board):
                    arms += self._successors(arm)
            arms = self._survivors([arm for arm in arms if not arm.finished(self.board)])
            if not arms:
                return "done"
        return "time_limit"

    def _slice(self, arm: Arm, seconds: float) -> str:
        """Let one search go on; a status if the race is over."""
        result = arm.run(seconds, self.board, arm.feeds)
        if self.board.reached:
            return "target"
        if self._fed_back(result):
            return "violated"
        if result.status == "violated":
            arm.feeds = False
        return "time_limit" if self.remaining() <= 0 else ""

    def _survivors(self, arms: list[Arm]) -> list[Arm]:
        """Half of the searches, by what they promise for the time that is left; the best of each method first."""
        left = max(self.remaining(), 0.0)
        ranked = sorted(arms, key=lambda arm: arm.predicted(left / max(1, len(arms) // 2)))
        methods: dict[str, Arm] = {}
        for arm in ranked:
            methods.setdefault(arm.method, arm)
        ranked = [*methods.values(), *(arm for arm in ranked if arm not in methods.values())]
        return ranked[: max(1, (len(arms) + 1) // 2)]

    def _successors(self, arm: Arm) -> list[Arm]:
        """A search that has found M itself leaves the vector to be improved: nearer to the residual."""
        if arm.source.share < 0.01 or self.relaxed is None:
            return []
        closer = mixtures(self.problem, self._own(), self.relaxed, (arm.source.share / 3,))
        return [self._arm(source, arm.method) for source in closer]

    def _arms(self) -> list[Arm]:
        """Dual vectors and methods to try, the most promising first."""
        own = self._own()
        problem = self.problem
        dimension = problem.extended.shape[1] - (problem.bias == "free")
        owns = [own]
        if self.polisher.other is not None:
            owns.append(DualSource("program dual", feasible_dual(problem, self.polisher.other), own=True))
        method = "line" if self.line else "cells" if self.pricer is not None else self.method
        if method == "auto" and dimension <= _CONES:
            method = "cones"
        if method != "auto":
            return [self._arm(source, method) for source in owns]
        arms = [self._arm(own, "slabs")]
        if dimension <= _CONES_TOO:
            arms.append(self._arm(own, "cones"))
        if self.relaxed is None:
            self.relaxed = relaxed_source(problem, min(10.0, 0.05 * self.remaining()))
        if self.relaxed is not None:
            arms += [self._arm(source, "slabs") for source in mixtures(problem, own, self.relaxed, _SHARES)]
        return arms

    def _arm(self, source: DualSource, method: str) -> Arm:
        return Arm(self.problem, source, method, self.options, self.pricer)

    def _fed_back(self, result: PricingResult) -> bool:
        """Add the atom of a search to the neurons if it violates the polished residual, and polish again."""
        reg = self.problem.reg
        source = self._own()
        score = float(source.point.nu @ activate(self.problem.extended @ result.atom, self.problem.kappa))
        if abs(score) <= reg * (1 + 10 * _VIOLATION) or not np.any(result.atom):
            return False
        before = self.polisher.objective
        self.polisher.add(result.atom[:, None], np.array([1 if score > 0 else -1]))
        self._improve(0.25 * self.remaining())
        return self.polisher.objective < before * (1 - 1e-3 * self.board.tol)

    # ----------------------------------------------------------------------------------------------- verdict
    def certificate(self, start: float) -> Certificate:
        """Judge the network by the best bound."""
        best = tidied(self.problem, self.polisher.network)
        network = best if self.network is None else self.network
        pricings = [] if self.board.best is None else [(self.board.best[0].point.nu, self.board.best[1])]
        for _ in range(_ADOPTIONS):
            found = judge(
                self.problem, network, tol=self.board.tol, patterns=self.listed, pricings=pricings, rival=best,
                time_limit=max(0.05 * self.whole, 0.05),
            )  # fmt: skip
            if self.network is not None or found.improved is None:
                break
            network = found.improved
        if self.network is None and found.verdict == "refuted":  # nobody's network: only as far as time allowed
            verdict, scope = named_verdict(found.gap, found.listed_gap, found.tol, found.n_patterns)
            found = replace(found, verdict=verdict, scope=scope, improved=None, improved_objective=None)
        self.board.lower = max(self.board.lower, found.lower_bound)
        return replace(
            found, status=self.status, history=tuple(self.board.history), wall_time=time.perf_counter() - start,
        )  # fmt: skip
