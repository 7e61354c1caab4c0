r"""The l1 program behind the front door: atom generation for the l2 norm, extreme rays for the l1 norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import PatternError
from ..pricing import CellPricer
from ..solvers.atom_generation import generate_atoms
from ..solvers.polyhedral import solve_polyhedral
from ._certified import Options, certified
from .cell_generation import Generated
from .solution import Solution

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["solve_atom_network"]

_ROUNDS = 500
_SHARE = 0.9
"""Share of the time limit that the solver may take over an incomplete list."""


def solve_atom_network(problem: TrainingProblem, patterns: PatternSet, options: Options) -> Solution:
    r"""Generate atoms over the listed patterns, or solve the finite program over rays, and certify the network.

    Raises
    ------
    InfeasibleError
        If no network interpolates the targets.
    PatternError
        For a partial list with the l1 norm.
    """
    pricer = CellPricer(problem, patterns)
    if problem.norm == "l1" and not pricer.complete:
        raise PatternError(
            "method='atoms' solves the l1 norm over all directions; leave patterns out, pass all of them "
            "(enumerate_patterns), or use method='cells' to stay within a list."
        )
    limit = (1.0 if pricer.complete else _SHARE) * options.remaining()
    rounds = options.max_iter or _ROUNDS
    tol = 0.5 * options.tol  # the certificate adds the rounding of the objective
    if problem.norm == "l1":
        found = solve_polyhedral(problem, tol=tol, time_limit=limit, max_iter=rounds, callback=options.callback)
    else:
        found = generate_atoms(
            problem, patterns, tol=tol, time_limit=limit, max_iter=rounds, callback=options.callback
        )
    outcome = Generated(found.network, found.nu, found.status, found.history)
    return certified(problem, patterns, pricer, outcome, "atoms", options)
