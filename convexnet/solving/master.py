r"""The convex program over a few (cell, sign) pairs, and the same program over fewer of them."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..arrangements import cell_facets
from ..errors import InaccurateSolutionWarning, InfeasibleError
from ..networks.shallow import ShallowNetwork
from ..pricing.spectral import direction_norms
from ..programs import build_relu
from .scaling import in_units_of_one

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["Master", "MasterSolution", "Pair"]

_ROW_ROUNDS = 12
_SECONDS_PER_ENTRY = 1e-6
"""First guess of what building a program takes before its solver can look at the clock."""
_NEAR_ROWS = 4
"""Rows per dimension with which the cone of a cell of an incomplete list starts."""

Pair = tuple[int, int]
"""Index of a cell and the sign of the output weight of its neurons."""


@dataclass(frozen=True, eq=False)
class MasterSolution:
    """Solved program over ``pairs``: network, dual vector, one vector (q,) per pair, the limit that ended it if any."""

    pairs: tuple[Pair, ...]
    vectors: np.ndarray
    network: ShallowNetwork
    nu: np.ndarray
    limit: str


class Master:
    """Builds and solves the program over any pairs of one pattern set; cone rows are kept per cell."""

    def __init__(
        self, problem: TrainingProblem, patterns: PatternSet, solver: str, max_iter: int | None = None
    ) -> None:
        self.problem, self.patterns, self.solver, self.max_iter = problem, patterns, solver, max_iter
        self._complete = patterns.proven
        self._scaled, self._units = in_units_of_one(problem)
        self._rows: dict[int, np.ndarray] = {}
        self._pace = _SECONDS_PER_ENTRY

    def setup_seconds(self, n_pairs: int) -> float:
        """Roughly the time that a program over so many pairs takes besides its solver, by those built so far."""
        return self._pace * self.problem.extended.size * n_pairs

    def solve(self, pairs: list[Pair], tol: float, time_limit: float) -> MasterSolution:
        """Solve the program over ``pairs``.

        Raises
        ------
        InfeasibleError, SolverError
            As the program does.
        """
        cells = np.unique(np.array([cell for cell, _ in pairs], dtype=int))
        deadline = time.perf_counter() + time_limit
        for _ in range(_ROW_ROUNDS):
            solution = self._solve_with_rows(pairs, cells, tol, deadline)
            if solution.limit or not self._add_violated_rows(solution):
                break
            if deadline - time.perf_counter() < self.setup_seconds(len(pairs)):
                return replace(solution, limit="time_limit")
        return solution

    def _solve_with_rows(
        self, pairs: list[Pair], cells: np.ndarray, tol: float, deadline: float
    ) -> MasterSolution:
        start = time.perf_counter()
        positive = [cell for cell, sign in pairs if sign > 0]
        negative = [cell for cell, sign in pairs if sign < 0]
        program = build_relu(
            self._scaled,
            self.patterns.patterns[:, cells],
            positive=np.searchsorted(cells, positive).astype(int),
            negative=np.searchsorted(cells, negative).astype(int),
            cone_rows=[self._cone_rows(cell) for cell in cells.tolist()],
        )
        with warnings.catch_warnings():
            # Bounds are recomputed from whatever the solver returns, so its own doubts are not passed on.
            warnings.simplefilter("ignore", InaccurateSolutionWarning)
            # ECOS has no time limit; its iterations are bounded.
            left = max(deadline - time.perf_counter() - self.setup_seconds(len(pairs)), 0.05)
            limit = None if self.solver == "ECOS" else left
            try:
                status = program.solve(self.solver, tol=tol, time_limit=limit, max_iter=self.max_iter)
            except InfeasibleError as error:
                nu = None if error.certificate is None else np.asarray(error.certificate) / self._units.y
                raise InfeasibleError(str(error), nu) from None
        inside = program.model.solver_stats.solve_time or 0.0
        around = max(time.perf_counter() - start - inside, 0.0) / (self.problem.extended.size * len(pairs))
        self._pace = max(_SECONDS_PER_ENTRY, around)
        parts = [program.block(name) for name, listed in (("V", positive), ("W", negative)) if listed]
        ordered = tuple([(cell, 1) for cell in positive] + [(cell, -1) for cell in negative])
        vectors = np.concatenate(parts, axis=1)
        vectors[: self.problem.d] /= self._units.X
        network = self._units.restore(program.recover(), self.problem)
        return MasterSolution(ordered, vectors, network, self._units.nu * program.nu(),
                              str(status) if "limit" in str(status) else "")  # fmt: skip

    def thinned(
        self, solution: MasterSolution, objective: float, slack: float, time_limit: float
    ) -> MasterSolution | None:
        """Solve over one pair per direction: cells that share an optimal border neuron say the same thing twice.

        Pairs without weight are left out and pairs whose vectors nearly coincide keep the heaviest. The result is
        returned only if its objective exceeds ``objective`` by at most ``slack``.
        """
        deadline = time.perf_counter() + time_limit
        for angle, share in ((3e-2, 3e-4), (1e-2, 1e-5), (1e-4, 1e-7)):
            pairs = self._distinct(solution, angle, share)
            if not pairs or len(pairs) == len(solution.pairs):
                continue
            left = deadline - time.perf_counter()
            if left < self.setup_seconds(len(pairs)):
                break
            thin = self.solve(pairs, 1e-10, left)
            if self.problem.objective(thin.network) <= objective + slack:
                return thin
        return None

    def _distinct(self, solution: MasterSolution, angle: float, share: float) -> list[Pair]:
        weight = direction_norms(self.problem, solution.vectors)
        length = np.linalg.norm(solution.vectors, axis=0)
        unit = solution.vectors / np.maximum(length, 1e-300)
        kept: list[int] = []
        for index in np.argsort(-weight, kind="stable"):
            if weight[index] <= share * weight.sum():
                break
            same = [k for k in kept if solution.pairs[k][1] == solution.pairs[index][1]]
            if not same or np.max(unit[:, same].T @ unit[:, index]) < np.cos(angle):
                kept.append(int(index))
        return [solution.pairs[k] for k in kept]

    def _cone_rows(self, cell: int) -> np.ndarray:
        """Rows that keep a block in its cell: its facets, or (incomplete list) rows near its witness, to grow."""
        if cell not in self._rows:
            X = self.problem.extended
            if self._complete:
                self._rows[cell] = cell_facets(self.patterns, X, cell)
            else:
                distance = np.abs(X @ self.patterns.witnesses[:, cell]) / np.maximum(np.linalg.norm(X, axis=1), 1e-300)
                self._rows[cell] = np.sort(np.argsort(distance, kind="stable")[: _NEAR_ROWS * X.shape[1]])
        return self._rows[cell]

    def _add_violated_rows(self, solution: MasterSolution) -> bool:
        """Add the rows that the solution's blocks violate; a cell's facets are never violated beyond rounding."""
        if self._complete:
            return False
        X = self.problem.extended
        sizes = np.linalg.norm(X, axis=1)
        lengths = np.linalg.norm(solution.vectors, axis=0)
        grown = False
        for (cell, _), vector, length in zip(solution.pairs, solution.vectors.T, lengths, strict=True):
            if length <= 1e-6 * lengths.max():
                continue
            signs = 2.0 * self.patterns.patterns[:, cell] - 1
            violated = np.flatnonzero(signs * (X @ vector) < -1e-9 * sizes * length)
            new = np.setdiff1d(violated, self._rows[cell])
            if new.size:
                self._rows[cell] = np.union1d(self._rows[cell], new)
                grown = True
        return grown
