r"""Two-layer ReLU networks of free width, trained over all activation patterns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_count, check_positive
from ..errors import ProblemError
from ..problem import check_problem, require_path_norm
from ._relu_result import ReluResult, Stopped
from ._relu_search import FIRST_WIDTHS, Search
from ._relu_state import state_of
from .result import Progress

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["solve_relu"]

_MESSAGES = {
    "solved": "no better neuron met: the heuristic pricing gap is below tol; this proves nothing",
    "time_limit": "the time is up; this is the best network met",
    "iteration_limit": "max_iter rounds are done; this is the best network met",
    "interrupted": "interrupted; this is the best network met",
    "callback": "the callback asked to stop; this is the best network met",
    "stalled": "no further progress, with a heuristic pricing gap above tol",
}


def solve_relu(
    problem: TrainingProblem,
    *,
    tol: float = 1e-6,
    time_limit: float = 60.0,
    max_iter: int | None = None,
    start: ShallowNetwork | None = None,
    width: int | None = None,
    n_restarts: int = 2,
    callback: Callable[[Progress], object] | None = None,
    verbose: bool = False,
    random_state: Any = 0,
) -> ReluResult:
    r"""Train a two-layer network of free width: the true objective, all activation patterns, no certificate.

    .. math:: \min_{m, u_j, v_j, c}\; L\Big(\sum_{j=1}^m \sigma(X u_j) v_j + F c, y\Big)
              + \mathrm{reg} \sum_{j=1}^m \|u_j\| |v_j|

    A random network is trained by L-BFGS. Rounds then alternate descent on a smoothed objective whose bias vanishes
    at fixed width (the slope of each sample at each kink is a multiplier that moves along), near the end Newton's
    method on the neurons (long descent if they are many), merging of twins, and pricing: directions that climb the
    pricing function join as new neurons. At the end the neurons of further random networks join until
    ``n_restarts`` of them in a row change nothing. Kinked losses are smoothed like the activation. The best network
    met is kept, by ``problem.objective``.

    Parameters
    ----------
    problem : TrainingProblem
        Any loss but interpolation, any activation, bias rule, intercept, skip connection, sample weights; norm l2.
    tol : float
        Heuristic relative pricing gap at which the search stops.
    time_limit : float
        Seconds; the best network so far is returned when they are over.
    max_iter : int, optional
        Most rounds of pricing.
    start : ShallowNetwork, optional
        Network to start from instead of a random one.
    width : int, optional
        Neurons of each random network; the result may have more or fewer. Default: 60, more for thousands of samples.
    n_restarts : int
        Random networks in a row that must not improve the result before the search ends; together they get about as
        much time as the first one took.
    callback : callable, optional
        Called with a :class:`Progress` at each improvement and each round; returning True stops the solver.
    verbose : bool
        Print one line for each of them.
    random_state : int or numpy Generator

    Returns
    -------
    ReluResult

    Raises
    ------
    ProblemError
        For the interpolation loss, the l1 norm, or an option out of range.
    NetworkError
        If ``start`` does not belong to the class of the problem.

    Notes
    -----
    The problem is convex in the measure of the neurons, so a pricing maximum of exactly reg would prove optimality;
    here that maximum is searched, not bounded, and the reported gap is heuristic.
    ``convexnet.certify(problem, network)`` looks for a proof.

    References
    ----------
    Pilanci and Ergen (2020), "Neural networks are convex regularizers"; Bach (2017), "Breaking the curse of
    dimensionality with convex neural networks", for the search over neurons; Rockafellar (1976), "Augmented Lagrangians
    and applications of the proximal point algorithm", for the moving multipliers.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], reg=0.1)
    >>> result = solve_relu(problem)
    >>> result.status, round(result.objective, 6)
    ('solved', 0.271053)
    """
    check_problem(problem)
    require_path_norm(problem, "solve_relu")
    width, n_restarts, max_rounds = _check(problem, start, tol, time_limit, max_iter, width, n_restarts)
    if not problem.scalar:
        from ._relu_outputs import solve_relu_outputs

        return solve_relu_outputs(
            problem, tol=tol, time_limit=time_limit, max_iter=max_iter, start=start, width=width,
            n_restarts=n_restarts, callback=callback, verbose=verbose, random_state=random_state,
        )  # fmt: skip
    started = time.perf_counter()
    history: list[Progress] = []

    def report(progress: Progress) -> None:
        history.append(progress)
        if verbose:
            print(progress.line())
        if callback is not None and callback(progress) is True:
            raise Stopped("callback")

    search = Search(
        problem, tol, started, time_limit, max_rounds, report, np.random.default_rng(random_state)
    )
    status = _run(search, start, width, n_restarts)
    search.tidy()
    gap, nu = search.outcome()
    status = status or ("solved" if gap <= tol else "stalled")
    return ReluResult(
        search.network, search.objective, nu, gap, status, _MESSAGES[status], search.round, search.starts,
        tuple(history), time.perf_counter() - started, problem,
    )  # fmt: skip


def _check(
    problem: TrainingProblem, start: ShallowNetwork | None, tol: float, time_limit: float, max_iter: int | None,
    width: int | None, n_restarts: int,
) -> tuple[int, int, float]:  # fmt: skip
    """Width, restarts and rounds; errors for what the method cannot do."""
    check_positive(tol, "tol")
    check_positive(time_limit, "time_limit")
    if problem.loss.name == "interpolation":
        raise ProblemError(
            "solve_relu minimises a loss; interpolation is a constraint. Call convexnet.solve(problem), or pass "
            "problem.with_options(loss='squared', reg=...) with a small reg."
        )
    if problem.norm != "l2":
        raise ProblemError("solve_relu handles Euclidean neuron norms; for norm='l1' call convexnet.solve(problem).")
    if start is not None:
        problem.check_network(start)
    chosen = _default_width(problem) if width is None else check_count(width, "width")
    rounds = math.inf if max_iter is None else check_count(max_iter, "max_iter")
    return chosen, check_count(n_restarts, "n_restarts", minimum=0), rounds


def _default_width(problem: TrainingProblem) -> int:
    return int(min(60 + problem.n // 40, 150))


def _run(search: Search, start: ShallowNetwork | None, width: int, n_restarts: int) -> str:
    """The whole search; why it was stopped, or an empty string."""
    try:
        if search.null():
            return ""
        first = None if start is None else state_of(search.problem, start)
        state = search.improve(search.smooth(search.begin(first, width), FIRST_WIDTHS))
        idle = 0
        now = time.perf_counter()
        until = now + 3.0 + (now - search.started)  # restarts may take about as long as what came before
        while idle < n_restarts and time.perf_counter() < until:
            search.starts += 1
            state, found = search.widen(state, search.random_state(width))
            state = search.improve(state) if found else state
            idle = 0 if found else idle + 1
    except Stopped as stopped:
        return stopped.status
    except KeyboardInterrupt:
        return "interrupted"
    return ""
