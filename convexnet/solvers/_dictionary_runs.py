"""What the solvers of the l1 program share: a start that fits, fewest atoms at the end, the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._columns import column_basis
from ..errors import InfeasibleError
from ..pricing import dual_bound, feasible_dual, relative_gap
from ._column_generation import Atoms, Incumbent, Oracle, atoms_network, misfit_of
from ._dictionary_master import fewest
from ._dictionary_result import DictionaryResult
from ._monitor import Monitor

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["finished", "spanning_atoms", "unreachable", "unreachable_part"]

_SPANNED, _ORTHOGONAL = 1e-10, 1e-9
"""Residual of the targets, relative to them, below which they lie in a span; cosine that counts as zero."""


def spanning_atoms(problem: TrainingProblem, oracle: Oracle, atoms: Atoms, monitor: Monitor) -> Atoms:
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
    raise unreachable(residual, "any")


def unreachable_part(problem: TrainingProblem, columns: np.ndarray) -> np.ndarray:
    """Residual of the targets against the span of the columns and the free columns, on the samples that count."""
    counted = np.ones(problem.n) if problem.sample_weight is None else (problem.sample_weight > 0).astype(float)
    y, table = counted * problem.y, counted[:, None] * np.column_stack([problem.free_columns, columns])
    basis = column_basis(table[:, np.any(table != 0, axis=0)], 1e-11)[0]
    for _ in range(2):
        y = y - basis @ (basis.T @ y)
    return y


def unreachable(nu: np.ndarray, which: str) -> InfeasibleError:
    """The error for targets that no network of the class fits."""
    return InfeasibleError(
        f"No network with {which} neurons fits these targets to working precision: the attached vector is orthogonal "
        "to the outputs of all of them but not to y. Usual causes: repeated or parallel rows of X with different y, or "
        "too small a dictionary. Use loss='squared' to fit approximately.",
        nu,
    )


def finished(
    problem: TrainingProblem, best: Incumbent, monitor: Monitor, method: str, scope: str,
    norms: np.ndarray | None = None,
) -> DictionaryResult:  # fmt: skip
    """Leave as few atoms as possible and put the result together; ``norms`` are those of a given dictionary."""
    best = _fewest(problem, best)
    # for interpolation the bound depends on how closely this very network fits
    misfit = misfit_of(problem, best.network.predict(problem.X))
    lower = dual_bound(problem, feasible_dual(problem, best.nu), best.pricing, misfit=misfit)[0]
    gap = relative_gap(best.objective, lower, _rounding_of_zero(problem, best))
    status = monitor.status or "stalled"
    if status in ("solved", "stalled"):
        status = "solved" if gap <= monitor.tol else "stalled"
    amplitudes = best.atoms.signs * best.amplitudes
    coefficients = None
    if norms is not None:
        coefficients = np.zeros(len(norms))
        np.add.at(coefficients, best.atoms.origin, amplitudes / norms[best.atoms.origin])
    return DictionaryResult(
        best.network, best.atoms.directions, amplitudes, best.atoms.origin, coefficients, best.free, best.objective,
        lower, gap, scope, best.nu, status, method, monitor.iteration, tuple(monitor.history), monitor.seconds, problem,
    )  # fmt: skip


def _rounding_of_zero(problem: TrainingProblem, best: Incumbent) -> float:
    """What rounding leaves of an objective of zero: only where the free terms alone fit the targets."""
    if len(best.atoms) or problem.loss_value(problem.y) != 0:
        return 0.0
    return problem.loss_value(problem.y * (1 - 1024 * float(np.finfo(np.float64).eps)))


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
