r"""The gated program by methods of its own: group lasso over gate blocks, every result with a proven gap."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._validation import check_choice, check_count
from ..errors import ProblemError
from ..problem import check_problem, require_path_norm
from ._gated_bounds import Found, GatedCase
from ._monitor import Monitor, started
from .result import GatedResult, Progress

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["solve_case", "solve_gated"]

METHODS = ("auto", "ssnal", "fista")
_MAX_ITER = {"ssnal": 2_000, "fista": 200_000, "fista+ssnal": 200_000}
NEWTON_SCALAR = ("squared", "huber", "logistic")
NEWTON_OUTPUTS = ("squared", "huber", "logistic", "softmax")


def solve_gated(
    problem: TrainingProblem,
    patterns: Any,
    *,
    group: str = "nuclear",
    method: str = "auto",
    tol: float = 1e-6,
    time_limit: float = 600.0,
    max_iter: int | None = None,
    start: GatedResult | None = None,
    callback: Callable[[Progress], object] | None = None,
    verbose: bool = False,
    random_state: int = 0,
) -> GatedResult:
    r"""Train a gated network over given activation patterns, to a proven relative duality gap.

    .. math:: \min_{W, c}\; L\Big(\sum_p S_p E W_p + B c,\; y\Big) + \mathrm{reg} \sum_p \|W_p\| ,
              \qquad S_p = \mathrm{diag}(\kappa + (1 - \kappa) g_p)

    with E the rows that neurons see, ``g_p`` the 0/1 patterns and B the unpenalised columns. It is the program of
    :func:`convexnet.programs.build_gated`; the lower bound is that program's, over the given gates, and says nothing
    about other gates or ReLU networks.

    Parameters
    ----------
    problem : TrainingProblem
        ``bias`` "penalized" or "none"; a differentiable loss.
    patterns : PatternSet of ``problem.extended``, or 0/1 array (n, P)
        A raw array gives weights and bounds but no network.
    group : {"nuclear", "frobenius"}
        Norm of the blocks for several outputs.
    method : {"auto", "ssnal", "fista"}
        ``ssnal``: dual semismooth-Newton augmented Lagrangian method; ``fista``: accelerated proximal gradient.
        ``auto`` takes the first where it knows the loss, and on large data (one output, l2 norms) starts it from the
        second: "fista+ssnal".
    tol : float
        Relative duality gap asked for.
    time_limit : float
        Seconds; the best bounds so far are returned when it runs out.
    max_iter : int, optional
        Newton or gradient steps.
    start : GatedResult, optional
        Warm start from a solution over the same gates, usually of a nearby ``reg``.
    callback : callable, optional
        Called with a :class:`Progress` now and then; returning True stops the solver.
    verbose : bool
        Print one line per report.
    random_state : int

    Returns
    -------
    GatedResult

    Raises
    ------
    ProblemError
        If an option is invalid, the bias is free, or no method here takes the loss (``build_gated`` may).
    PatternError
        If the patterns are empty, not 0/1, belong to other data, or a witness does not reproduce its pattern.

    Notes
    -----
    Interrupted from the keyboard, it returns the best bounds so far with status ``interrupted``.

    References
    ----------
    Mishkin, Sahiner and Pilanci (2022) for the program; Li, Sun and Toh (2018) for the method.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem, sample_patterns
    >>> from convexnet.solvers import solve_gated
    >>> X = np.random.default_rng(0).standard_normal((50, 3))
    >>> problem = TrainingProblem(X, np.abs(X[:, 0]), reg=1.0)
    >>> result = solve_gated(problem, sample_patterns(problem.extended, 40, random_state=0))
    >>> result.status, bool(result.gap <= 1e-6)
    ('solved', True)
    >>> bool(np.isclose(result.objective, problem.gated_objective(result.network), rtol=1e-12))
    True
    """
    check_problem(problem)
    require_path_norm(problem, "solve_gated")
    monitor = started(tol, time_limit, callback=callback, verbose=verbose)
    check_choice(method, "method", METHODS)
    check_count(random_state, "random_state", minimum=0)
    if max_iter is not None:
        check_count(max_iter, "max_iter")
    return solve_case(GatedCase(problem, patterns, group), monitor, method, max_iter, start, random_state)


def solve_case(
    case: GatedCase, monitor: Monitor, method: str = "auto", max_iter: int | None = None,
    start: GatedResult | None = None, random_state: int = 0,
) -> GatedResult:  # fmt: skip
    """Solve a case with checked options; the limits, the callback and the accuracy are the monitor's."""
    name, run = _pick(case, method)
    monitor.max_iter = _MAX_ITER[name] if max_iter is None else max_iter
    found = run(case, monitor, _checked_start(case, start), random_state)
    return case.result(found, monitor, name)


def _pick(case: GatedCase, method: str) -> tuple[str, Callable[..., Found]]:
    """The method that ``auto`` stands for, and its function."""
    problem, loss = case.problem, case.problem.loss
    newton = loss.name in (NEWTON_SCALAR if problem.scalar else NEWTON_OUTPUTS)
    if not loss.smooth or (method == "ssnal" and not newton):
        known = NEWTON_SCALAR if problem.scalar else NEWTON_OUTPUTS
        takes = f"the losses {', '.join(known)}" if method == "ssnal" else "differentiable losses"
        raise ProblemError(
            f"Here solve_gated takes {takes}, not {loss.name!r} with {problem.n_outputs} output(s); solve the program "
            "itself instead: convexnet.programs.build_gated, or method='gated_program' of solve."
        )
    if method == "fista" or not newton:
        from .fista import run_fista

        return "fista", run_fista
    if method == "auto" and problem.scalar:
        from ._large import prefers_both, run_both

        if prefers_both(case):
            return "fista+ssnal", run_both
    if problem.scalar:
        from ._ssnal import run_ssnal

        return "ssnal", run_ssnal
    from ._outputs import run_outputs

    return "ssnal", run_outputs


def _checked_start(case: GatedCase, start: GatedResult | None) -> GatedResult | None:
    """A warm start must fit the gates, the free columns and the outputs."""
    if start is None:
        return None
    if not isinstance(start, GatedResult):
        raise ProblemError(f"start must be a GatedResult, got {type(start).__name__}.")
    columns = (case.problem.free_columns.shape[1], *case.problem.y.shape[1:])
    if start.blocks.shape != case.block_shape or start.free.shape != columns or start.nu.shape != case.problem.y.shape:
        raise ProblemError(
            f"The warm start has blocks of shape {start.blocks.shape}, this problem {case.block_shape}; start from a "
            "result over the same patterns and with the same free columns."
        )
    return start
