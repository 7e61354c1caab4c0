r"""Regularization paths: networks along decreasing reg, each started from the one before, with errors over folds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._progress import progress_bar
from .._validation import check_choice, check_count, check_flag, check_positive
from .._versions import versions
from ..arrangements import PatternSet
from ..certificates.tolerances import check_tolerance
from ..errors import PatternError, ProblemError
from ..pricing.gated import GROUPS
from ..problem import check_problem, require_path_norm
from ._path_folds import check_folds, fold_errors
from ._path_models import Tracer, tracer
from .path_result import PathPoint, RegularizationPath

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["MODELS", "regularization_path"]

MODELS = ("relu", "gated")


def regularization_path(
    problem: TrainingProblem,
    regs: Sequence[float] | np.ndarray | None = None,
    *,
    model: str = "relu",
    patterns: PatternSet | None = None,
    n_regs: int = 50,
    smallest: float = 1e-3,
    tol: float = 1e-6,
    time_limit: float = 600.0,
    folds: Any = None,
    n_jobs: int = 1,
    progress: bool = False,
    random_state: int = 0,
    callback: Callable[[PathPoint], object] | None = None,
    group: str = "nuclear",
) -> RegularizationPath:
    r"""Train networks for decreasing values of reg, each started from the one before.

    .. math:: \min_f\; L(f(X), Y) + \mathrm{reg} \cdot \mathrm{penalty}(f), \qquad
              \mathrm{reg} = \mathrm{reg}_1 > \mathrm{reg}_2 > \dots

    Every point has a lower bound that is proven: over the given gates for gated networks, where the gap reaches
    ``tol``; over networks of any width for ReLU networks, where it reaches ``tol`` if all cells could be listed and is
    what a cheap relaxation gives elsewhere. ReLU points carry a heuristic pricing gap besides. Objective and training
    loss decrease with reg, up to the gaps.

    Parameters
    ----------
    problem : TrainingProblem
        Its own ``reg`` is ignored.
    regs : sequence of float > 0, optional
        Values of reg > 0, in any order; repeated ones count once. Default: ``n_regs`` values in geometric progression
        from the largest useful one, ``reg_max`` of the model, to ``smallest`` times that.
    model : {"relu", "gated"}
        ReLU networks over all activation patterns, or gated networks over ``patterns``: different problems.
    patterns : PatternSet, optional
        Of ``problem.extended``. Gated: the gates (default: 100 random ones). ReLU: all patterns, if at hand, for the
        lower bounds (default: listed where they are few).
    n_regs : int
    smallest : float
        In (0, 1).
    tol : float
        Relative gap at every point (ReLU: pricing gap, heuristic; 1e-4 is enough for its folds).
    time_limit : float
        Seconds for everything together; the points so far are returned when it runs out.
    folds : int, splitter or list of (train, test) index arrays, optional
        Held-out errors: ``int`` for shuffled folds (stratified for classes), an object with scikit-learn's ``split``
        method, or the splits, at least one. In each fold reg is scaled by the share of its training rows, as the loss
        is a sum.
    n_jobs : int
        Folds that are trained at a time, each in a process of its own (joblib), at least 1; -1 for all processors.
    progress : bool
        Show a progress bar on stderr if that is a terminal.
    random_state : int
    callback : callable, optional
        Called with each :class:`PathPoint`; if it returns True the path ends there.
    group : {"nuclear", "frobenius"}
        Group norm of gated networks with several outputs.

    Returns
    -------
    RegularizationPath
        An interrupt from the keyboard ends the path with the points so far and status ``interrupted``; folds that are
        not begun are left out.

    Raises
    ------
    ProblemError
        If an option is invalid, the model has no solver for the problem, or the null model fits the targets.
    PatternError
        If the patterns are empty, belong to other data, or are not all of them for a ReLU path.

    References
    ----------
    Friedman, Hastie and Tibshirani (2010) for warm starts along a geometric grid; Mishkin, Sahiner and Pilanci (2022)
    for the gated model.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem, regularization_path, sample_patterns
    >>> X = np.random.default_rng(0).standard_normal((40, 3))
    >>> problem = TrainingProblem(X, np.abs(X[:, 0]), reg=1.0)
    >>> gates = sample_patterns(problem.extended, 50, random_state=0)
    >>> path = regularization_path(problem, model="gated", patterns=gates, n_regs=5, folds=3)
    >>> bool(np.all(path.gaps <= 1e-6)), path.best_reg in path.regs
    (True, True)
    """
    start = time.perf_counter()
    check_problem(problem)
    require_path_norm(problem, "regularization_path")
    check_choice(model, "model", MODELS)
    check_choice(group, "group", GROUPS)
    tol = check_tolerance(tol)
    check_positive(time_limit, "time_limit")
    check_count(random_state, "random_state", minimum=0)
    check_flag(progress, "progress")
    _check_jobs(n_jobs)
    if callback is not None and not callable(callback):
        raise ProblemError(f"callback must be callable, got {type(callback).__name__}.")
    _check_patterns(problem, patterns, model)
    splits = check_folds(problem, folds, random_state)
    grid = _grid(regs, n_regs, smallest)
    trace = tracer(problem, model, patterns, group, tol, random_state, time_limit)
    values = grid if regs is not None else _largest(trace) * grid
    deadline = start + time_limit
    with progress_bar(len(values) + len(splits), f"{model} path", progress) as advance:
        points, status = _traced(trace, values, deadline, callback, advance)
        errors = None
        if splits and points and status != "interrupted":
            errors, interrupted = fold_errors(trace, values[: len(points)], splits, n_jobs, deadline, advance)
            if interrupted:
                status = "interrupted"
            elif np.isnan(errors).any() and status == "done":
                status = "time_limit"
    return RegularizationPath(
        points=tuple(points), problem=problem, model=model, scope=trace.scope, reg_max=trace.reg_max,
        reg_max_kind=trace.reg_max_kind, patterns=trace.patterns, fold_errors=errors, status=status, tol=tol,
        random_state=random_state, wall_time=time.perf_counter() - start, versions=versions(),
    )  # fmt: skip


def _traced(
    trace: Tracer, values: np.ndarray, deadline: float, callback: Callable[[PathPoint], object] | None,
    advance: Callable[[], None],
) -> tuple[list[PathPoint], str]:  # fmt: skip
    """The points, until the last value, the deadline, the callback or an interrupt."""
    points: list[PathPoint] = []
    try:
        for index, reg in enumerate(values):
            remaining = deadline - time.perf_counter()
            if remaining <= 0 and points:
                return points, "time_limit"
            points.append(trace.point(float(reg), max(remaining, 0.05)))
            advance()
            if callback is not None and callback(points[-1]):
                return points, "done" if index == len(values) - 1 else "callback"
            if points[-1].status == "interrupted":
                return points, "interrupted"
    except KeyboardInterrupt:
        if not points:
            raise
        return points, "interrupted"
    late = points[-1].status == "time_limit"
    return points, "time_limit" if late else "done"


def _grid(regs: Sequence[float] | np.ndarray | None, n_regs: int, smallest: float) -> np.ndarray:
    """Given values, largest first, or shares of reg_max in geometric progression."""
    check_count(n_regs, "n_regs")
    if check_positive(smallest, "smallest") >= 1:
        raise ProblemError(f"smallest is a share of reg_max and must be below 1, got {smallest!r}.")
    if regs is None:
        return np.geomspace(1.0, smallest, n_regs)
    try:
        values = np.asarray(regs, dtype=np.float64)
    except (TypeError, ValueError):
        raise ProblemError(f"regs must be numbers > 0, got {regs!r}.") from None
    if values.ndim != 1 or not values.size or not np.isfinite(values).all() or not (values > 0).all():
        raise ProblemError("regs must be a non-empty list of finite numbers > 0.")
    return np.unique(values)[::-1]


def _largest(trace: Tracer) -> float:
    if not trace.reg_max > 0:
        raise ProblemError("The model without neurons fits the targets: there is no largest useful reg; pass regs.")
    return trace.reg_max


def _check_patterns(problem: TrainingProblem, patterns: PatternSet | None, model: str) -> None:
    if patterns is None:
        return
    if not isinstance(patterns, PatternSet):
        raise PatternError(f"patterns must be a PatternSet, got {type(patterns).__name__}.")
    if len(patterns) == 0:
        raise PatternError("The pattern set is empty; list or sample at least one activation pattern.")
    patterns.check(problem.extended)
    if model == "relu" and not (patterns.proven and problem.scalar):
        raise PatternError(
            "A ReLU path is over all activation patterns; leave patterns out, or pass all of them (enumerate_patterns, "
            "one output). Over a subset use model='gated'."
        )


def _check_jobs(n_jobs: Any) -> None:
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, (int, np.integer)) or (n_jobs < 1 and n_jobs != -1):
        raise ProblemError(f"n_jobs must be -1 (all processors) or an integer >= 1, got {n_jobs!r}.")
