r"""The l1 neuron norm: training is one finite program over extreme rays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ProblemError, TooManyCellsError
from ..pricing._dictionary import check_atomic
from ..pricing.rays import RayPricer
from ..problem import check_problem, require_path_norm
from ._centred import centring
from ._column_generation import generate_columns
from ._dictionary_result import DictionaryResult
from ._dictionary_runs import finished, spanning_atoms, unstarted
from ._monitor import started
from ._oracles import RayOracle, no_atoms
from .result import Progress

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["solve_polyhedral"]

_MAX_NEW = 60


def solve_polyhedral(
    problem: TrainingProblem,
    *,
    tol: float = 1e-8,
    time_limit: float = 600.0,
    max_iter: int = 1000,
    max_rays: int = 500_000,
    callback: Callable[[Progress], object] | None = None,
    verbose: bool = False,
) -> DictionaryResult:
    r"""Train a two-layer network with ``norm="l1"`` to optimality: a finite linear program or lasso.

    .. math:: \min_{z, c}\; L\Big(\sum_s z_s\, \sigma(X v_s) + F c,\, y\Big) + \mathrm{reg} \sum_s |z_s|

    over the extreme rays :math:`v_s`, of l1 norm one, of the arrangement of the data refined by the coordinate
    hyperplanes (:func:`convexnet.arrangements.refined_rays`). Its value is that of the training problem with networks
    of every width: on each refined cone norm and outputs are linear, so a neuron splits into rays at equal cost. The
    program is solved over a working set of rays that grows by pricing all of them; the answer has at most ``n - rank
    F`` neurons.

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output, ``norm="l1"``, any loss, activation and bias rule.
    tol : float
        Relative gap at which to stop.
    time_limit : float
        Seconds.
    max_iter : int
        Most programs solved.
    max_rays : int
        Refuse at once when there may be more.
    callback : callable, optional
        Called with a :class:`Progress` after each program; returning True stops.
    verbose : bool
        Print one line for each.

    Returns
    -------
    DictionaryResult
        With scope "all": the lower bound holds for networks of every width. ``support`` counts the rays as
        ``refined_rays`` does; with free biases, for features far from the origin, after they were centred.

    Raises
    ------
    InfeasibleError
        If no network interpolates the targets.
    ProblemError
        For another norm, several outputs, or an option out of range.
    TooManyCellsError
        If there may be more than ``max_rays`` rays.

    References
    ----------
    J. de Dios and J. Bruna, arXiv 2006.10225 (2020) for the l1 program; M. Pilanci and T. Ergen, "Neural networks are
    convex regularizers", ICML 2020, for the cone program with the same value.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], reg=0.1, norm="l1")
    >>> result = solve_polyhedral(problem)
    >>> result.status, round(result.objective, 9), result.scope
    ('solved', 0.335, 'all')
    """
    check_problem(problem)
    require_path_norm(problem, "solve_polyhedral")
    check_atomic(problem, "solve_polyhedral")
    if problem.norm != "l1":
        raise ProblemError(
            f"solve_polyhedral is for norm='l1', this problem has norm={problem.norm!r}; use "
            "convexnet.solvers.generate_atoms or convexnet.solve."
        )
    monitor = started(tol, time_limit, max_iter, callback, verbose)
    home = centring(problem)
    try:
        pricer = RayPricer(home.problem, max_rays=max_rays, time_limit=time_limit)
    except TooManyCellsError:
        if not monitor.out_of_time():
            raise
        return unstarted(home, monitor, "l1 program, ended before the extreme rays were listed")
    oracle = RayOracle(home.problem, pricer, _MAX_NEW)
    atoms = spanning_atoms(home.problem, oracle, no_atoms(problem), monitor)
    best = generate_columns(home.problem, oracle, atoms, monitor)
    return finished(home, best, monitor, f"l1 program over {len(pricer.rays)} extreme rays", "all")
