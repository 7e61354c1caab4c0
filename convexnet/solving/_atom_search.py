r"""Interpolation where the cells are too many to list: neurons are searched for, the bound is proven all the same."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..arrangements import patterns_at
from ..errors import ConvexNetError, SolverError
from ..networks.activations import activate
from ..networks.shallow import ShallowNetwork
from ..pricing import PricingResult, dual_bound, feasible_dual, price_ascent, price_spectral, relative_gap
from ..pricing.spectral import direction_norms
from ..solvers.result import Progress
from ._atom_program import AtomPoint, AtomProgram, fewer_neurons, least_norm, network_of, neurons_of, refitted
from .master import Master
from .starting_cells import cell_index

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["AtomSearch", "RandomFit", "random_fit", "search_atoms"]

_FEATURES, _SPARE = 3, 300
"""Random neurons of the first network for each sample, and the most of them beyond one for each."""
_MOST_SAMPLES = 5000
_PROGRAM_ENTRIES = 4_000_000
"""Entries of the dictionary up to which the linear program is solved over it."""
_FEW_ROUNDS = 200
_MAXIMA = 32
"""Local maxima of the dual function that join the program in a round."""
_SEARCH_SHARE, _CELLS_SHARE, _BOUND_SHARE = 0.2, 0.6, 0.9
_CELL_ROUNDS, _SPREAD, _NEARBY = 30, 1e-6, 2
"""Rounds over cells; the cells around a neuron are those of copies moved by so much, for it may lie on a border."""
_IDLE = 1e-7
"""Share of the largest neuron up to which a cell is given up."""
_STALL, _PATIENCE = 1e-4, 5
"""The search ends when the norm fell by less than this share in so many rounds."""
_CONES = 7
"""Dimension up to which cones bound best."""
_SECONDS = 0.05


@dataclass(frozen=True, eq=False)
class AtomSearch:
    """Best network met, the dual vector with the best proven bound and that bound, why the search ended, its rounds."""

    network: ShallowNetwork
    pricing: tuple[np.ndarray, PricingResult]
    status: str
    history: tuple[Progress, ...]


def search_atoms(
    problem: TrainingProblem, *, tol: float, deadline: float, random_state: int,
    callback: Callable[[Progress], object] | None,
) -> AtomSearch:  # fmt: skip
    """Interpolate by random neurons, improve by neurons that the dual vector asks for, bound over all neurons."""
    run = _Search(problem, tol, deadline, random_state, callback)
    run.begin()
    try:
        status = run.rounds()
        if status in ("not_proven", "time_limit"):
            status = run.cells() or status
    except KeyboardInterrupt:
        status, run.deadline = "interrupted", time.perf_counter()
    run.network = fewer_neurons(problem, run.network, 0.1 * tol, max(run.left(_BOUND_SHARE), _SECONDS))
    return AtomSearch(run.network, run.bounded(), status, tuple(run.history))


class _Search:
    """State of the search: best network, latest dual vector, the dictionary."""

    def __init__(
        self, problem: TrainingProblem, tol: float, deadline: float, random_state: int,
        callback: Callable[[Progress], object] | None,
    ) -> None:  # fmt: skip
        self.problem, self.tol, self.deadline, self.callback = problem, tol, deadline, callback
        self.start = time.perf_counter()
        self.generator = np.random.default_rng(random_state)
        self.objective = math.inf
        self.network = network_of(
            problem, np.zeros((problem.extended.shape[1], 0)), np.zeros(0), np.zeros(problem.free_columns.shape[1])
        )
        self.nu = np.zeros(problem.n)
        self.candidates: list[np.ndarray] = []
        self.history: list[Progress] = []
        self.atoms = np.zeros((problem.extended.shape[1], 0))

    def left(self, share: float = 1.0) -> float:
        """Seconds until that share of the time has passed."""
        return self.start + share * (self.deadline - self.start) - time.perf_counter()

    def offer(self, network: ShallowNetwork) -> None:
        """Keep a network if it fits and is smaller."""
        value = self.problem.objective(network)
        if value < self.objective or not self.history:
            self.network, self.objective = network, min(value, self.objective)

    def begin(self) -> None:
        """An exact fit by random neurons."""
        first = random_fit(self.problem, self.generator)
        self.atoms = first.atoms
        self.offer(first.network)
        self._dual(first.nu)
        self._record(self.atoms.shape[1])

    def rounds(self) -> str:
        """Linear programs over a growing dictionary until nothing more is found, the time or the callback ends it."""
        program = AtomProgram(self.problem)
        if self.problem.n * 2 * self.atoms.shape[1] > _PROGRAM_ENTRIES:
            return "time_limit" if self.left(_SEARCH_SHARE) <= 0 else "not_proven"
        count = self.atoms.shape[1]
        program.add(np.column_stack([self.atoms, self.atoms]), np.repeat([1.0, -1.0], count))
        recent: list[float] = []
        for seed in range(_FEW_ROUNDS):
            if self.left(_SEARCH_SHARE) <= 0:
                return "time_limit"
            point = program.solve(max(self.left(_SEARCH_SHARE), _SECONDS))
            if point is None:
                return "time_limit" if self.left(_SEARCH_SHARE) <= 0 else "stalled"
            self._take(program, point)
            record = self._record(len(program))
            if self.callback is not None and self.callback(record):
                return "callback"
            recent.append(self.objective)
            slow = len(recent) > _PATIENCE and recent[-1] > (1 - _STALL) * recent[-1 - _PATIENCE]
            if slow or not self._grow(program, point, seed):
                return "not_proven"
        return "iteration_limit"

    def _take(self, program: AtomProgram, point: AtomPoint) -> None:
        if point.met:
            self.offer(program.network(point))
        self._dual(point.nu)

    def _dual(self, nu: np.ndarray) -> None:
        self.nu = feasible_dual(self.problem, nu).nu
        self.candidates = [*self.candidates[:1], self.nu]

    def _grow(self, program: AtomProgram, point: AtomPoint, seed: int) -> bool:
        """Add local maxima of the dual function above one, found from the neurons in use and from random ones."""
        used = program.directions[:, point.amplitudes > 0]
        found = price_ascent(
            self.problem, self.nu, starts=used, random_state=seed, target=1 + 1e-6, max_atoms=_MAXIMA,
            time_limit=max(self.left(_SEARCH_SHARE), _SECONDS),
        )  # fmt: skip
        program.add(found.atoms, found.signs)
        return bool(found.atoms.shape[1])

    def cells(self) -> str:
        """The convex program over the cells of the neurons in use and of those that its dual vector asks for.

        Over a few cells neurons move freely: where neurons alone converge slowly, this closes most of what is left.
        """
        u, amplitudes = neurons_of(self.problem, self.network)
        signs = np.sign(amplitudes)
        for seed in range(_CELL_ROUNDS):
            solved = self._over_cells(u, signs)
            if solved is None:
                return ""
            kept, kept_signs = solved
            record = self._record(kept.shape[1])
            if self.callback is not None and self.callback(record):
                return "callback"
            found = price_ascent(
                self.problem, self.nu, starts=kept, random_state=1000 + seed, target=1 + 1e-5, max_atoms=_MAXIMA,
                time_limit=max(self.left(_CELLS_SHARE), _SECONDS),
            )  # fmt: skip
            if not found.atoms.shape[1]:
                return "not_proven"
            u = np.column_stack([kept, found.atoms])
            signs = np.append(kept_signs, found.signs)
        return "iteration_limit"

    def _over_cells(self, u: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Solve over the cells around neurons (q, K) with signs; return the neurons in use, None if out of time."""
        problem, rows = self.problem, self.problem.extended
        unit = np.maximum(np.abs(rows).max(axis=0), 1e-300)[:, None]
        spread = _SPREAD * np.abs(rows @ u).max(axis=0, initial=0.0) / unit
        copies = [u + spread * self.generator.standard_normal(u.shape) for _ in range(_NEARBY)]
        near, near_signs = np.column_stack([u, *copies]), np.tile(signs, 1 + _NEARBY)
        try:
            patterns = patterns_at(rows, near)
            index = cell_index(patterns)
            packed = np.packbits(rows @ near > 0, axis=0).T
            cells = [index.get(np.ascontiguousarray(row).tobytes()) for row in packed]
            pairs = {(p, int(s)): None for p, s in zip(cells, near_signs, strict=True) if p is not None}
            master = Master(problem, patterns, "CLARABEL")
            left = self.left(_CELLS_SHARE)
            if left < 2 * master.setup_seconds(len(pairs)):
                return None
            solution = master.solve(list(pairs), 1e-8, left)
        except (ConvexNetError, KeyError):
            return None
        self.offer(refitted(problem, solution.network))
        self._dual(solution.nu)
        sizes = direction_norms(problem, solution.vectors)
        used = sizes > _IDLE * np.max(sizes, initial=0.0)
        vectors = solution.vectors[:, used] / sizes[used]
        return vectors, np.array([sign for _, sign in solution.pairs], dtype=float)[used]

    def _record(self, size: int) -> Progress:
        lower = self.history[-1].lower_bound if self.history else 0.0
        gap = relative_gap(self.objective, lower)
        record = Progress(time.perf_counter() - self.start, len(self.history) + 1, self.objective, lower, gap, size)
        self.history.append(record)
        return record

    def bounded(self) -> tuple[np.ndarray, PricingResult]:
        """The dual vector and pricing bound that prove most."""
        best: tuple[float, np.ndarray, PricingResult] | None = None
        for nu in self.candidates[::-1]:
            point = feasible_dual(self.problem, nu)
            for result in self._bounds(nu):
                lower = dual_bound(self.problem, point, result.bound + point.pricing_slack(self.problem))[0]
                if best is None or lower > best[0]:
                    best = (lower, nu, result)
        assert best is not None
        return best[1], best[2]

    def _bounds(self, nu: np.ndarray) -> list[PricingResult]:
        """Bounds of one dual vector: singular values always, a search while there is time."""
        from ..pricing import price_cones, price_moment, price_slabs

        problem = self.problem
        found = [price_spectral(problem, nu)]
        gain = float(nu @ problem.y)
        seconds = (_BOUND_SHARE if nu is self.nu else 0.95) * self.left()
        if problem.norm != "l2" or gain <= 0 or seconds <= _SECONDS:
            return found
        target = gain / (self.objective * (1 - 0.5 * self.tol)) if math.isfinite(self.objective) else None
        if problem.extended.shape[1] <= _CONES:
            return [*found, price_cones(problem, nu, target=target, tol=1e-7, time_limit=seconds)]
        found.append(price_moment(problem, nu, target=target, time_limit=0.5 * seconds))
        return [*found, price_slabs(problem, nu, target=target, tol=1e-7, time_limit=0.5 * seconds)]


@dataclass(frozen=True, eq=False)
class RandomFit:
    """Random unit neurons (q, K), the network of their least amplitudes, and a first guess of a dual vector (n,)."""

    atoms: np.ndarray
    network: ShallowNetwork
    nu: np.ndarray


def random_fit(problem: TrainingProblem, random_state: int | np.random.Generator) -> RandomFit:
    """Least squares of the amplitudes over random neurons: an exact fit in any dimension, far from the smallest.

    Raises
    ------
    SolverError
        If there are more samples than dense equations are made for.
    """
    if problem.n > _MOST_SAMPLES:
        raise SolverError(
            f"{problem.n} samples are too many to be fitted exactly with {problem.d} features; memorize takes up to "
            f"{_MOST_SAMPLES}, and tens of thousands with one feature. Train with loss='squared' and a small reg."
        )
    count = problem.n + min((_FEATURES - 1) * problem.n, _SPARE) + problem.extended.shape[1]
    atoms = _random_atoms(problem, count, random_state)
    counted = np.ones(problem.n, bool) if problem.sample_weight is None else problem.sample_weight > 0
    hidden = activate(problem.extended @ atoms, problem.kappa)
    free = problem.free_columns
    sizes = np.maximum(np.abs(free).max(axis=0, initial=0.0), 1e-300)
    # free terms cost nothing: large columns make their share of the least squares small
    weight = 1e3 * float(np.max(np.linalg.norm(hidden, axis=0), initial=1.0))
    design = np.column_stack([hidden, weight * free / sizes])[counted]
    z = least_norm(design, problem.y[counted])
    z = np.zeros(design.shape[1]) if z is None else z
    m = atoms.shape[1]
    network = refitted(problem, network_of(problem, atoms, z[:m], weight * z[m:] / sizes))
    return RandomFit(atoms, network, np.where(counted, problem.y, 0.0))


def _random_atoms(problem: TrainingProblem, count: int, random_state: int | np.random.Generator) -> np.ndarray:
    """Unit neurons whose borders pass between samples: random directions, biases between two random samples."""
    generator, X = np.random.default_rng(random_state), problem.X
    scale = np.std(X, axis=0)
    u = generator.standard_normal((problem.d, count)) / np.where(scale > 0, scale, 1.0)[:, None]
    if problem.bias != "none":
        first, second = generator.integers(0, problem.n, (2, count))
        share = generator.uniform(0, 1, (count, 1))
        middle = share * X[first] + (1 - share) * X[second]
        u = np.vstack([u, -np.einsum("ij,ji->i", middle, u)])
    sizes = direction_norms(problem, u)
    return u[:, sizes > 0] / sizes[sizes > 0]
