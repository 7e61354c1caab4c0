r"""Certify any network: polish, price, bound, and again with what the pricing met, until the bounds meet."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._printing import rounded_down
from .._validation import check_choice, check_count, check_flag, check_positive
from ..arrangements import FacePatterns, PatternSet
from ..certificates import Certificate, judge
from ..certificates.tolerances import check_tolerance
from ..errors import PatternError, ProblemError
from ..networks.shallow import ShallowNetwork
from ..pricing import feasible_dual
from ..problem import check_problem
from ._bounding import Board
from ._loop import Run
from ._own_certify import certify_own_kind, is_own_kind
from .dual_sources import DualSource

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["METHODS", "certify"]

METHODS = ("cells", "cones", "slabs", "moment")

Callback = Callable[[float, float, float], object]


def certify(
    problem: TrainingProblem,
    network: Any = None,
    *,
    time_limit: float = 60.0,
    tol: float = 1e-6,
    nu: Any = None,
    patterns: PatternSet | FacePatterns | None = None,
    random_state: int = 0,
    method: str = "auto",
    proof: bool = False,
    memory_limit: int = 2_000_000_000,
    backend: str = "auto",
    callback: Callback | None = None,
    verbose: bool = False,
) -> Certificate:
    r"""Bound how far any network, however trained, can be from the best network of any width.

    The lower bound comes from a dual vector and a proven bound on its pricing value,

    .. math:: \text{objective} \ge \max_{0 \le s \le \mathrm{reg}/M(\nu)} -L^*(-s \nu) , \qquad
              M(\nu) = \max_{\|u\| \le 1} |\nu^\top \sigma(X u)| .

    Networks trained and polished here supply dual vectors that are far better than the residual of the judged network.
    M is computed exactly for one feature, where an exact solver supplies the dual vector, whatever the number of
    samples. Elsewhere it is bounded by listing all cells where these are few, by branch and bound over cones (few
    dimensions, small tolerances) or over slabs with moment relaxations (many dimensions). A neuron that the search
    meets above reg improves the polished network, whose residual is then priced again, until ``tol`` or the time limit
    is reached.

    Problems with ``norm="label_noise"`` or ``activation="threshold"`` are solved for a dual vector, which is then
    judged as by :func:`convexnet.certificates.judge_label_noise` or :func:`convexnet.certificates.judge_threshold`;
    ``method``, ``proof``, ``memory_limit`` and ``backend`` are not for them.

    Parameters
    ----------
    problem : TrainingProblem
    network : ShallowNetwork or ThresholdNetwork, optional
        The network to judge; also a module that :func:`convexnet.networks.as_shallow` reads. Default: the best one
        found here, which is ``certificate.network``.
    time_limit : float
        Seconds for everything together.
    tol : float
        Relative gap asked for.
    nu : ndarray or list of ndarray, optional
        Further dual vectors to try, e.g. those of another certificate.
    patterns : PatternSet, optional
        Activation patterns of ``problem.extended``, if at hand; used for pricing if they are complete. For label noise
        and thresholds also FacePatterns.
    random_state : int
    method : {"auto", "cells", "cones", "slabs", "moment"}
        How M is bounded.
    proof : bool
        Keep what a proof file needs, so that ``certificate.save`` repeats no search (takes memory).
    memory_limit : int
        Bytes that a search may keep.
    backend : {"auto", "numpy", "numba"}
        Of the branch and bound over cones.
    callback : callable, optional
        ``callback(seconds, objective, lower_bound)`` whenever one of the bounds improves.
    verbose : bool
        Print these lines.

    Returns
    -------
    Certificate
        Of the judged network. ``improved`` is a better one, if one was found: with verdict ``refuted`` better by more
        than ``tol``. The bound holds for all networks of any width, whatever the verdict.

    Raises
    ------
    NetworkError
        If the network is outside the class of the problem.
    PatternError
        If the patterns belong to other data.
    ProblemError
        If an option is invalid, or ``nu`` has another shape or is not finite.
    InfeasibleError
        If no network interpolates the targets (``loss="interpolation"``).
    KeyboardInterrupt
        If it is interrupted before any bound is known; later, the bounds so far are returned, status ``interrupted``.

    References
    ----------
    Pilanci and Ergen (2020), convex dual; Horst and Tuy (1996), branch and bound; Lasserre (2001), moments.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import ShallowNetwork, TrainingProblem, certify
    >>> X = np.random.default_rng(0).standard_normal((30, 4))
    >>> problem = TrainingProblem(X, np.abs(X[:, 0]) - X[:, 1], reg=2.0)
    >>> certify(problem, time_limit=20, tol=1e-4).verdict
    'optimal'
    >>> bad = ShallowNetwork([[1.0, 0.0, 0.0, 0.0]], [0.0], [1.0])
    >>> certify(problem, bad, time_limit=20, tol=1e-4).verdict
    'refuted'
    """
    start = time.perf_counter()
    check_problem(problem)
    tol = check_tolerance(tol)
    check_positive(time_limit, "time_limit")
    check_count(random_state, "random_state", minimum=0)
    check_count(memory_limit, "memory_limit")
    check_choice(method, "method", ("auto", *METHODS))
    check_flag(proof, "proof")
    if callback is not None and not callable(callback):
        raise ProblemError(f"callback must be callable, got {type(callback).__name__}.")
    if network is not None:
        network = network if problem.activation == "threshold" else _shallow(network)
        problem.check_network(network)
    if is_own_kind(problem):
        return certify_own_kind(
            problem, network, nu=nu, patterns=patterns, tol=tol, time_limit=time_limit, random_state=random_state,
            method=method, proof=proof, callback=_printer(callback, verbose),
        )  # fmt: skip
    if patterns is not None and not isinstance(patterns, PatternSet):
        raise PatternError(f"patterns must be a PatternSet, got {type(patterns).__name__}.")
    deadline = start + 0.97 * time_limit - 0.05 * min(1.0, time_limit)
    board = Board(problem, start, tol, _printer(callback, verbose))
    if problem.loss.name == "interpolation":
        return _interpolating(problem, network, nu, patterns, tol, time_limit, random_state)
    options = {"proof": proof, "memory_limit": memory_limit, "backend": backend}
    run = Run(problem, network, board, deadline, method, options, random_state)
    given = _given(problem, nu)
    run.find_patterns(patterns)
    try:
        run.search(given)
    except (KeyboardInterrupt, SystemError) as error:
        if not _is_interrupt(error):
            raise
        if board.best is None:
            raise KeyboardInterrupt from None
        run.status = "interrupted"
    return run.certificate(start)


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether the user interrupted: in compiled code that arrives as the cause of a chain of SystemErrors."""
    while isinstance(error, SystemError):
        error = error.__cause__
    return isinstance(error, KeyboardInterrupt)


def _given(problem: TrainingProblem, nu: Any) -> list[DualSource]:
    """The dual vectors of the caller."""
    from ..certificates.verdict import dual_vectors

    return [DualSource("given", feasible_dual(problem, vector)) for vector in dual_vectors(problem, nu)]


def _shallow(network: Any) -> ShallowNetwork:
    """A ShallowNetwork, or what can be read as one."""
    if isinstance(network, ShallowNetwork):
        return network
    from ..networks import as_shallow

    return as_shallow(network)


def _interpolating(
    problem: TrainingProblem, network: ShallowNetwork | None, nu: Any, patterns: PatternSet | None, tol: float,
    time_limit: float, random_state: int,
) -> Certificate:  # fmt: skip
    """Exact fits: solve over the cells that can be listed; no search follows."""
    from .front import solve

    if network is not None and nu is not None:
        return judge(problem, network, nu=nu, patterns=patterns, tol=tol, time_limit=time_limit)
    solution = solve(problem, patterns=patterns, tol=tol, time_limit=0.8 * time_limit, random_state=random_state)
    if network is None:
        return solution.certificate
    return judge(
        problem, network, nu=solution.certificate.nu, patterns=solution.patterns, tol=tol, time_limit=0.2 * time_limit
    )


def _printer(callback: Callback | None, verbose: bool) -> Callback | None:
    if not verbose:
        return callback

    def report(seconds: float, objective: float, lower: float) -> None:
        print(f"{seconds:7.1f} s  objective {objective:.9g}  lower bound {rounded_down(lower)}", flush=True)
        if callback is not None:
            callback(seconds, objective, lower)

    return report
