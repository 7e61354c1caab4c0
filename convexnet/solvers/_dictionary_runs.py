"""What the solvers of the l1 program share: a start that fits, fewest atoms at the end, the result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from .._columns import column_basis
from ..errors import InfeasibleError
from ..pricing import dual_bound, feasible_dual, price_spectral, relative_gap
from ._centred import Centring
from ._column_generation import Atoms, Incumbent, Oracle, atoms_network, misfit_of
from ._dictionary_master import fewest, solve_atoms
from ._dictionary_result import DictionaryResult
from ._monitor import Monitor

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["finished", "refuse_unreachable", "spanning_atoms", "unreachable", "unreachable_part", "unstarted"]

_SPANNED, _ORTHOGONAL = 1e-10, 1e-9
"""Residual of the targets, relative to them, below which they lie in a span; cosine that counts as zero."""
_LAST_SECONDS = 0.05
_NORMAL = "is orthogonal to the outputs of all of them but not to y"
_SIGNED = "has a positive product with y but with no output of them in a sign that it may have"


def spanning_atoms(
    problem: TrainingProblem, oracle: Oracle, atoms: Atoms, monitor: Monitor, which: str = "any neurons"
) -> Atoms:
    """Add atoms, in both signs, until their outputs span the targets, so that the first program has a solution.

    Raises
    ------
    InfeasibleError
        If a part of the targets is orthogonal to the outputs of all atoms: it is the certificate.
    """
    if problem.loss.name != "interpolation":
        return atoms
    counted = np.ones(problem.n) if problem.sample_weight is None else (problem.sample_weight > 0).astype(float)
    size = float(np.linalg.norm(counted * problem.y))
    for _ in range(problem.n + 1):
        residual = unreachable_part(problem, atoms.columns(problem))
        if np.linalg.norm(residual) <= _SPANNED * size or monitor.out_of_time():
            return atoms
        found = oracle.aligned(residual)
        columns = counted[:, None] * found.columns(problem)
        lengths = np.linalg.norm(columns, axis=0) * float(np.linalg.norm(residual))
        if not len(found) or np.all(np.abs(residual @ columns) <= _ORTHOGONAL * lengths):
            break
        atoms = atoms.joined(found).joined(Atoms(found.directions, -found.signs, found.origin))
    raise unreachable(residual, which)


def unreachable_part(problem: TrainingProblem, columns: np.ndarray) -> np.ndarray:
    """Residual of the targets against the span of the columns and the free columns, on the samples that count."""
    counted = np.ones(problem.n) if problem.sample_weight is None else (problem.sample_weight > 0).astype(float)
    y, table = counted * problem.y, counted[:, None] * np.column_stack([problem.free_columns, columns])
    basis = column_basis(table[:, np.any(table != 0, axis=0)], 1e-11)[0]
    for _ in range(2):
        y = y - basis @ (basis.T @ y)
    return y


def unreachable(nu: np.ndarray, which: str, relation: str = _NORMAL) -> InfeasibleError:
    """The error for targets that no network of the class fits."""
    return InfeasibleError(
        f"No network with {which} fits these targets to working precision: the attached vector {relation}. Usual "
        "causes: repeated or parallel rows of X with different y, or too few neurons to choose from. Use "
        "loss='squared' to fit approximately.",
        nu,
    )


def refuse_unreachable(problem: TrainingProblem, columns: np.ndarray, signed: bool) -> None:
    """Raise the error for signed outputs of given neurons that cannot fit the targets, if a vector shows it."""
    nu = _separating(problem, columns)
    sizes = np.linalg.norm(nu) * np.linalg.norm(columns, axis=0)
    if float(nu @ problem.y) > 0 and np.all(nu @ columns <= _ORTHOGONAL * sizes):
        raise unreachable(nu, "the given neurons", _SIGNED if signed else _NORMAL)


def _separating(problem: TrainingProblem, columns: np.ndarray) -> np.ndarray:
    """Residual of the best non-negative fit: it has no positive product with any column, and one with y."""
    from scipy.optimize import nnls

    counted = np.ones(problem.n) if problem.sample_weight is None else (problem.sample_weight > 0).astype(float)
    size = float(np.max(np.abs(counted * problem.y))) or 1.0
    y, F = counted * problem.y / size, problem.free_columns
    table = counted[:, None] * np.column_stack([columns, F, -F])
    table /= np.maximum(np.linalg.norm(table, axis=0), 1e-300)
    try:
        return np.asarray(size * (y - table @ nnls(table, y)[0]))
    except RuntimeError:
        return np.zeros(problem.n)


def unstarted(home: Centring, monitor: Monitor, method: str) -> DictionaryResult:
    """What is known when the time ends before the atoms are listed: the free terms alone, the bound that needs no list.
    """
    problem = home.problem
    none = Atoms(np.zeros((problem.extended.shape[1], 0)), np.zeros(0), np.zeros(0, dtype=int))
    start = (np.zeros(0), np.zeros(problem.free_columns.shape[1]))
    solution = solve_atoms(problem, np.zeros((problem.n, 0)), start, _LAST_SECONDS, time.perf_counter())
    network = atoms_network(problem, none, start[0], solution.free)
    point = feasible_dual(problem, solution.nu)
    pricing = price_spectral(problem, point.nu).bound + point.pricing_slack(problem)
    best = Incumbent(network, none, start[0], solution.free, problem.objective(network), point.nu, pricing)
    return finished(home, best, monitor, method, "all")


def finished(
    home: Centring, best: Incumbent, monitor: Monitor, method: str, scope: str, norms: np.ndarray | None = None
) -> DictionaryResult:
    """Leave as few atoms as possible and put the result together; ``norms`` are those of a given dictionary."""
    problem, given = home.problem, home.given
    best = _fewest(problem, best)
    network = home.network(best.network)
    objective = given.objective(network)
    # for interpolation the bound depends on how closely this very network fits
    misfit = misfit_of(given, network.predict(given.X))
    lower = dual_bound(problem, feasible_dual(problem, best.nu), best.pricing, misfit=misfit)[0]
    gap = relative_gap(objective, lower, _rounding_of_zero(home, best))
    lower = min(lower, objective) if np.isfinite(gap) else lower  # they may cross by the rounding of the network
    status = monitor.status or "stalled"
    if status in ("solved", "stalled"):
        status = "solved" if gap <= monitor.tol else "stalled"
    amplitudes = best.atoms.signs * best.amplitudes
    coefficients = None
    if norms is not None:
        coefficients = np.zeros(len(norms))
        np.add.at(coefficients, best.atoms.origin, amplitudes / norms[best.atoms.origin])
    return DictionaryResult(
        network, home.directions(best.atoms.directions), amplitudes, best.atoms.origin, coefficients,
        home.free(best.free), objective, lower, gap, scope, best.nu, status, method, monitor.iteration,
        tuple(monitor.history), monitor.seconds, given,
    )  # fmt: skip


def _rounding_of_zero(home: Centring, best: Incumbent) -> float:
    """What rounding leaves of an objective of zero: only where the free terms alone fit the targets."""
    given = home.given
    if len(best.atoms) or given.loss_value(given.y) != 0:
        return 0.0
    terms = np.abs(given.free_columns) @ np.abs(home.free(best.free))
    shift = 1024 * float(np.finfo(np.float64).eps) * np.maximum(np.abs(given.y), terms)
    return given.loss_value(np.where(given.y < 0, given.y + shift, given.y - shift))


def _fewest(problem: TrainingProblem, best: Incumbent) -> Incumbent:
    """Atoms whose outputs are independent modulo the free columns (Caratheodory), if that costs nothing."""
    if not len(best.atoms):
        return best
    after, free = fewest(problem, best.atoms.columns(problem), best.amplitudes, best.free)
    used = np.flatnonzero(after > 0)
    if len(used) == len(best.atoms):
        return best
    atoms = best.atoms.take(used)
    network = atoms_network(problem, atoms, after[used], free)
    objective = problem.objective(network)
    before, now = (misfit_of(problem, net.predict(problem.X)) for net in (best.network, network))
    looser = now > 2 * before + 1e-12 * float(np.max(np.abs(problem.y)))
    if looser or objective > best.objective * (1 + 1e-12):
        return best
    return Incumbent(network, atoms, after[used], free, objective, best.nu, best.pricing)
