r"""Column generation: the l1 program over few atoms, exact pricing over all of them, until both bounds meet."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..networks.activations import activate
from ..pricing import dual_bound, feasible_dual, relative_gap
from ._assembled import assembled
from ._dictionary_master import AtomSolution, solve_atoms
from ._monitor import Monitor

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["Atoms", "Incumbent", "Oracle", "atoms_network", "generate_columns", "misfit_of"]

_PATIENCE, _KEEP = 30, 15
"""Rounds without progress before the end, and rounds for which an atom without weight stays.

Dropping atoms at once makes the rounds repeat themselves.
"""


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms of norm one with the sign of their output weight, and where they come from (-1: nowhere in a list).

    directions (q, K), signs (K,), origin (K,).
    """

    directions: np.ndarray
    signs: np.ndarray
    origin: np.ndarray

    def __len__(self) -> int:
        return len(self.signs)

    def columns(self, problem: TrainingProblem) -> np.ndarray:
        """Signed outputs on the data, shape (n, K)."""
        return activate(problem.extended @ self.directions, problem.kappa) * self.signs

    def take(self, index: np.ndarray) -> Atoms:
        """Some of the atoms."""
        return Atoms(self.directions[:, index], self.signs[index], self.origin[index])

    def joined(self, other: Atoms) -> Atoms:
        """These atoms, then those."""
        return Atoms(
            np.concatenate([self.directions, other.directions], axis=1),
            np.concatenate([self.signs, other.signs]),
            np.concatenate([self.origin, other.origin]),
        )


class Oracle(Protocol):
    """Prices a dual vector over all atoms of a class."""

    def price(self, nu: np.ndarray, threshold: float, deadline: float) -> tuple[float, Atoms]:
        """Return an upper bound of the largest value, and atoms above the threshold, best first."""
        ...

    def aligned(self, nu: np.ndarray) -> Atoms:
        """Return atoms whose outputs make small angles with nu."""
        ...

    def improved(
        self, atoms: Atoms, amplitudes: np.ndarray, network: ShallowNetwork, nu: np.ndarray, gap: float
    ) -> tuple[Atoms, np.ndarray | None]:
        """Return further atoms suggested by a solution, and a better dual vector, if there is one."""
        ...


@dataclass(eq=False)
class Incumbent:
    """The best network so far with its atoms, and the best dual vector with a bound of its pricing value."""

    network: ShallowNetwork
    atoms: Atoms
    amplitudes: np.ndarray
    free: np.ndarray
    objective: float
    nu: np.ndarray
    pricing: float = math.inf
    lower_bound: float = -math.inf
    infeasible: bool = False


def generate_columns(problem: TrainingProblem, oracle: Oracle, atoms: Atoms, monitor: Monitor) -> Incumbent:
    """Alternate the program over the active atoms with pricing; the status is left in ``monitor``."""
    best = _nothing(problem)
    columns = atoms.columns(problem)
    solution = AtomSolution(np.zeros(len(atoms)), np.zeros(problem.free_columns.shape[1]), best.nu)
    age = np.zeros(len(atoms), dtype=int)
    with monitor.interruptible():
        while not monitor.expired():
            monitor.iteration += 1
            left = monitor.time_limit - monitor.seconds
            start = (solution.amplitudes, solution.free)
            solution = solve_atoms(problem, columns, start, left, time.perf_counter())
            if solution.timed_out or solution.failed:
                best.infeasible = solution.infeasible
                monitor.status = monitor.status or ("time_limit" if solution.timed_out else "stalled")
                break
            network = _offer(problem, best, atoms, solution)
            lower, found = _price(problem, oracle, best, solution.nu, monitor)
            gap = relative_gap(best.objective, lower)
            further, nu = oracle.improved(atoms, solution.amplitudes, network, solution.nu, gap)
            if nu is not None and gap > monitor.tol:
                second, more = _price(problem, oracle, best, nu, monitor)
                lower, found = max(lower, second), found.joined(more)
            monitor.report(best.objective, lower, best.network.n_neurons)
            if monitor.status or _idle(monitor):
                break
            found = found.joined(further)
            age = np.where(solution.amplitudes > 0, 0, age + 1)
            atoms, columns, age, amplitudes, added = _updated(problem, atoms, columns, age, solution, found)
            solution = AtomSolution(amplitudes, solution.free, solution.nu, solution.infeasible)
            if not added:
                best.infeasible = solution.infeasible
                monitor.status = "stalled"
    return best


def _idle(monitor: Monitor) -> bool:
    """Whether many rounds have changed neither bound beyond rounding; the status then says so."""
    if len(monitor.history) > _PATIENCE:
        old, new = monitor.history[-1 - _PATIENCE], monitor.history[-1]
        if new.objective >= old.objective * (1 - 1e-14) and new.gap >= old.gap * (1 - 1e-6):
            monitor.status = "stalled"
    return bool(monitor.status)


def _price(
    problem: TrainingProblem, oracle: Oracle, best: Incumbent, nu: np.ndarray, monitor: Monitor
) -> tuple[float, Atoms]:
    """Bound the objective by one dual vector; return the bound and the violated atoms."""
    point = feasible_dual(problem, nu)
    deadline = monitor.start + monitor.time_limit
    bound, found = oracle.price(point.nu, problem.reg * (1 + 1e-10), deadline)
    if not np.any(point.nu) and _nearly_orthogonal(problem, nu):
        # no exactly feasible vector was found near this one: it bounds nothing, but shows the atoms that are missing
        found = oracle.price(nu, problem.reg * (1 + 1e-10), deadline)[1]
    bound += point.pricing_slack(problem)
    lower = dual_bound(problem, point, bound, misfit=misfit_of(problem, best.network.predict(problem.X)))[0]
    if lower > best.lower_bound:
        best.nu, best.pricing, best.lower_bound = point.nu, bound, lower
    return lower, found


def _nearly_orthogonal(problem: TrainingProblem, nu: np.ndarray) -> bool:
    """Whether a vector is orthogonal to the free columns up to rounding, and not zero."""
    columns = problem.free_columns
    return bool(np.any(nu) and np.all(np.abs(nu @ columns) <= 1e-10 * (np.abs(nu) @ np.abs(columns))))


def _updated(
    problem: TrainingProblem, atoms: Atoms, columns: np.ndarray, age: np.ndarray, solution: AtomSolution, found: Atoms
) -> tuple[Atoms, np.ndarray, np.ndarray, np.ndarray, int]:
    """Drop atoms that have been without weight for long, add those found that are new."""
    kept = np.flatnonzero(age < _KEEP)
    atoms, columns, age, amplitudes = atoms.take(kept), columns[:, kept], age[kept], solution.amplitudes[kept]
    new = found.columns(problem)
    fresh = _fresh(columns, new)
    atoms = atoms.joined(found.take(fresh))
    columns = np.concatenate([columns, new[:, fresh]], axis=1)
    age = np.concatenate([age, np.zeros(len(fresh), dtype=int)])
    return atoms, columns, age, np.concatenate([amplitudes, np.zeros(len(fresh))]), len(fresh)


def _fresh(columns: np.ndarray, new: np.ndarray) -> np.ndarray:
    """New columns that no present one equals up to rounding."""
    kept: list[int] = []
    present = columns
    for k in range(new.shape[1]):
        size = float(np.max(np.abs(new[:, k]), initial=0.0))
        apart = np.max(np.abs(present - new[:, k, None]), axis=0, initial=0.0)
        if size > 0 and not np.any(apart <= 1e-13 * size):
            kept.append(k)
            present = np.column_stack([present, new[:, k]])
    return np.array(kept, dtype=int)


def _offer(problem: TrainingProblem, best: Incumbent, atoms: Atoms, solution: AtomSolution) -> ShallowNetwork:
    """Keep the network of a solution if it is the best so far; return it in any case."""
    used = np.flatnonzero(solution.amplitudes > 0)
    chosen, amplitudes = atoms.take(used), solution.amplitudes[used]
    network = atoms_network(problem, chosen, amplitudes, solution.free)
    objective = problem.objective(network)
    if objective < best.objective:
        best.network, best.objective = network, objective
        best.atoms, best.amplitudes, best.free = chosen, amplitudes, solution.free
    return network


def _nothing(problem: TrainingProblem) -> Incumbent:
    q, r = problem.extended.shape[1], problem.free_columns.shape[1]
    none = Atoms(np.zeros((q, 0)), np.zeros(0), np.zeros(0, dtype=int))
    network = atoms_network(problem, none, np.zeros(0), np.zeros(r))
    objective = problem.objective(network)
    return Incumbent(network, none, np.zeros(0), np.zeros(r), objective, np.zeros(problem.n))


def atoms_network(
    problem: TrainingProblem, atoms: Atoms, amplitudes: np.ndarray, free: np.ndarray
) -> ShallowNetwork:
    """Balanced network of atoms of norm one with positive amplitudes, and coefficients of the free columns."""
    root = np.sqrt(amplitudes)
    return assembled(problem, atoms.directions * root, atoms.signs * root, free)


def misfit_of(problem: TrainingProblem, predicted: np.ndarray) -> float:
    """``max |f - y|`` of an accepted interpolating network, rounded up; 0 for other losses."""
    if problem.loss.name != "interpolation" or not math.isfinite(problem.loss_value(predicted)):
        return 0.0
    rest = np.abs(predicted - problem.y)
    rest = rest if problem.sample_weight is None else rest[problem.sample_weight > 0]
    return float(np.max(rest, initial=0.0)) * (1 + 1e-12)
