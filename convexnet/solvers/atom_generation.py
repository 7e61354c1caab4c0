r"""Atom generation: the l1 program over few neurons of the sphere, exact pricing over all cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..arrangements import enumerate_patterns
from ..errors import ProblemError, TooManyCellsError
from ..pricing import CellPricer
from ..pricing._dictionary import check_atomic
from ..pricing.spectral import direction_norms
from ..problem import check_problem, require_path_norm
from ._centred import as_given, centring
from ._column_generation import Atoms, Incumbent, generate_columns
from ._dictionary_result import DictionaryResult
from ._dictionary_runs import finished, spanning_atoms, unstarted
from ._monitor import Monitor, started
from ._oracles import CellOracle, ListOracle, no_atoms
from .result import Progress

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["generate_atoms"]

_MAX_NEW = 60
_START_TOL, _START_SHARE = 1e-4, 0.2


def generate_atoms(
    problem: TrainingProblem,
    patterns: PatternSet | None = None,
    *,
    tol: float = 1e-6,
    time_limit: float = 600.0,
    max_iter: int = 500,
    callback: Callable[[Progress], object] | None = None,
    verbose: bool = False,
) -> DictionaryResult:
    r"""Train a two-layer network by generating the atoms of the l1 program where they are needed.

    .. math:: \min_{z, \theta, c}\; L\Big(\sum_s z_s\, \sigma(X \theta_s) + F c,\, y\Big) + \mathrm{reg} \sum_s |z_s| ,
              \qquad \|\theta_s\| = 1

    Each round solves the linear program (interpolation, absolute, hinge loss) or lasso over the atoms so far, prices
    its dual vector over every cell, records both bounds, and adds the best atom of each violated cell and, for atoms of
    one sign that meet in a cell, their sum: the same output at a smaller norm. Atoms without weight for 15 rounds are
    dropped. Interpolation starts from the program over the extreme rays of the arrangement. The rounds need not end in
    finitely many steps, as atoms may drift inside their cells; cell generation (:func:`convexnet.solve`) does.

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output, ``norm="l2"``.
    patterns : PatternSet, optional
        Patterns of ``problem.extended``; all of them by default. Over a partial list the neurons stay in the listed
        closed cells, to 1e-10 of the length of a row, and the bound is about such networks.
    tol : float
        Relative gap at which to stop.
    time_limit : float
        Seconds.
    max_iter : int
        Most rounds.
    callback : callable, optional
        Called with a :class:`Progress` after each round; returning True stops.
    verbose : bool
        Print one line for each round.

    Returns
    -------
    DictionaryResult
        With scope "all", or "listed" for a partial list.

    Raises
    ------
    InfeasibleError
        If no network, or none with neurons of the listed cells, interpolates the targets.
    ProblemError
        For the l1 norm, several outputs, or an option out of range.
    PatternError
        If the patterns are empty or belong to other data, or are too many to list.

    References
    ----------
    J. de Dios and J. Bruna, arXiv 2006.10225 (2020); K. Bredies and H. K. Pikkarainen, "Inverse problems in spaces of
    measures", 2013, for the generalised conditional gradient method that this is a fully corrective form of.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], reg=0.1)
    >>> result = generate_atoms(problem)
    >>> result.status, round(result.objective, 6), result.scope
    ('solved', 0.271053, 'all')
    """
    check_problem(problem)
    require_path_norm(problem, "generate_atoms")
    check_atomic(problem, "generate_atoms")
    if problem.norm != "l2":
        raise ProblemError("generate_atoms is for norm='l2'; with norm='l1' the program is finite: solve_polyhedral.")
    monitor = started(tol, time_limit, max_iter, callback, verbose)
    if patterns is not None:
        patterns.check(problem.extended)
    home = centring(problem) if patterns is None or patterns.proven else as_given(problem)
    if patterns is None or home.problem is not problem:
        try:
            patterns = enumerate_patterns(home.problem.extended, time_limit=time_limit)
        except TooManyCellsError:
            if not monitor.out_of_time():
                raise
            return unstarted(home, monitor, "atom generation, ended before the cells were listed")
    pricer = CellPricer(home.problem, patterns)
    best = _generated(home.problem, pricer, monitor)
    scope = "all" if pricer.complete else "listed"
    return finished(home, best, monitor, f"atom generation over {len(patterns)} cells", scope)


def _generated(problem: TrainingProblem, pricer: CellPricer, monitor: Monitor) -> Incumbent:
    """Start, then generate."""
    oracle = CellOracle(problem, pricer, _MAX_NEW)
    atoms = no_atoms(problem)
    if problem.loss.name == "interpolation":
        atoms = oracle.inside(_ray_atoms(problem, pricer.patterns, monitor))
    which = "any neurons" if pricer.complete else "neurons of the listed cells"
    atoms = spanning_atoms(problem, oracle, atoms, monitor, which)
    return generate_columns(problem, oracle, atoms, monitor)


def _ray_atoms(problem: TrainingProblem, patterns: PatternSet, monitor: Monitor) -> Atoms:
    """Atoms of a cheap interpolating network: the program over extreme rays of the cells, roughly solved."""
    if patterns.rays is None:
        return no_atoms(problem)
    rays = patterns.rays.directions
    norms = direction_norms(problem, rays)
    usable = norms > 1e-9 * np.linalg.norm(rays, axis=0)
    lines = rays[:, usable] / norms[usable]
    directions = np.concatenate([lines, -lines], axis=1)
    listed = Atoms(
        np.concatenate([directions, directions], axis=1),
        np.repeat([1.0, -1.0], directions.shape[1]),
        np.full(2 * directions.shape[1], -1),
    )
    oracle = ListOracle(problem, listed, _MAX_NEW)
    inner = Monitor(_START_SHARE * monitor.time_limit, 50, _START_TOL)
    start = spanning_atoms(problem, oracle, no_atoms(problem), inner)
    best = generate_columns(problem, oracle, start, inner)
    return best.atoms if len(best.atoms) else start
