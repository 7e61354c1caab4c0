r"""Training with one input variable: free biases make it total variation of the derivative, solved to rounding."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .._validation import check_choice
from ..errors import InaccurateSolutionWarning, ProblemError
from ..networks.linear_spline import LinearSpline
from ..problem import check_problem, require_path_norm
from ._monitor import started
from ._spline_result import SplineResult
from .result import Progress

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from ._monitor import Monitor

__all__ = ["solve_spline"]

METHODS = ("auto", "active_set", "interior_point")
RELATIVE = 1e-6
"""Difference between the objectives of the spline and of its network, as computed, that is worth a warning."""
MOST = 10**9
"""Samples times knots up to which the network is evaluated for it."""


def solve_spline(
    problem: TrainingProblem,
    *,
    method: str = "auto",
    tol: float = 1e-10,
    time_limit: float = 600.0,
    max_iter: int | None = None,
    start: LinearSpline | SplineResult | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> SplineResult:
    r"""Train on one input variable, with a proven gap: an exact function, its network, and a bound for every width.

    With free biases and a skip connection the program over all networks is

    .. math:: \min_f \; \sum_i w_i\, \ell(f(x_i), y_i) + \frac{\mathrm{reg}}{1 - \kappa}\, \mathrm{TV}(f'),

    solved by linear splines with knots at the data. Other bias rules change the price of a knot and are dispatched to
    solvers of their own.

    Parameters
    ----------
    problem : TrainingProblem
        One feature, one output; ``bias="free"`` or ``"penalized"``.
    method : {"auto", "active_set", "interior_point"}
        ``active_set``: knots join and leave, exact; ``interior_point``: a banded interior point method proposes the
        knots first; ``auto``: the active set, restarted from the interior point once it holds many knots. Other losses
        and bias rules have one method each, ``auto``.
    tol : float
        Relative duality gap.
    time_limit : float
        Seconds.
    max_iter : int, optional
        Most iterations.
    start : LinearSpline or SplineResult, optional
        Knots to begin with, e.g. the solution at a neighbouring reg; used with free biases and a skip connection.
    callback : callable, optional
        Called with a :class:`Progress` at each iteration; returning True stops the solver.

    Returns
    -------
    SplineResult

    Raises
    ------
    ProblemError
        For several features or outputs, ``bias="none"``, a norm or loss that is not covered, an option out of range,
        or logistic loss on labels that a free constant or line separates (the infimum 0 is not attained).
    InfeasibleError
        For interpolation, if one abscissa has two targets.

    Warns
    -----
    InaccurateSolutionWarning
        If the network computes the function with so much rounding that ``problem.objective(network)`` differs from the
        objective by more than 1e-6 of it: centre x then, or use ``result.spline``.

    Notes
    -----
    Repeated abscissae are merged and weights of zero left out. The work of an iteration is linear in n.

    The objective is that of ``result.spline``, which is evaluated in extended precision. Where penalised biases meet
    interpolation the last digits may be out of reach (status ``stalled``); :func:`convexnet.memorize` has them.

    References
    ----------
    Parhi and Nowak (2021), "Banach space representer theorems for neural networks and ridge splines"; Kim, Koh, Boyd
    and Gorinevsky (2009), "l1 trend filtering"; Debarre, Denoyelle, Unser and Fageot (2022), "Sparsest
    piecewise-linear regression of one-dimensional data".

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> from convexnet.solvers import solve_spline
    >>> x = np.linspace(-1, 1, 201)
    >>> problem = TrainingProblem(x[:, None], np.abs(x), reg=0.1, bias="free", skip=True)
    >>> result = solve_spline(problem)
    >>> result.status, result.spline.n_knots, bool(result.gap < 1e-10)
    ('solved', 1, True)
    """
    check_problem(problem)
    require_path_norm(problem, "solve_spline")
    _check_class(problem)
    monitor = started(tol, time_limit, max_iter, callback)
    _check_method(problem, method)
    result = spline_result(problem, monitor, method, _start(start))
    _warn_of_rounding(result)
    return result


def spline_result(
    problem: TrainingProblem, monitor: Monitor, method: str = "auto", start: LinearSpline | None = None
) -> SplineResult:
    """The result of the solver for the problem's bias rule (none included) and loss, without a warning."""
    tol, time_limit, callback = monitor.tol, monitor.time_limit, monitor.callback
    max_iter = None if math.isinf(monitor.max_iter) else int(monitor.max_iter)
    if problem.bias != "free":
        from ._spline_penalized import solve_penalized

        return solve_penalized(problem, tol=tol, time_limit=time_limit, max_iter=max_iter, callback=callback)
    if not problem.skip:
        from ._spline_no_skip import solve_no_skip

        return solve_no_skip(problem, tol=tol, time_limit=time_limit, max_iter=max_iter, callback=callback)
    if problem.loss.name == "squared":
        from ._spline_squared import solve_squared

        return solve_squared(problem, monitor, method, start)
    if problem.loss.name == "interpolation":
        from ._spline_interpolation import solve_interpolation

        return solve_interpolation(problem, monitor)
    if problem.loss.name in ("logistic", "huber"):
        from ._spline_smooth import solve_smooth

        return solve_smooth(problem, monitor, start)
    if problem.loss.name in ("absolute", "hinge"):
        from ._spline_linear import solve_linear

        return solve_linear(problem, monitor, start)
    raise ProblemError(f"solve_spline does not handle the {problem.loss.name} loss.")


def _check_class(problem: TrainingProblem) -> None:
    """Errors for problems that are not about functions of one variable, or have no free or penalised bias."""
    if problem.d != 1 or not problem.scalar:
        raise ProblemError(
            f"solve_spline needs one feature and one output, the problem has d={problem.d} and {problem.n_outputs} "
            "output(s); call convexnet.solve(problem)."
        )
    if problem.bias == "none":
        raise ProblemError("Without biases all kinks are at 0: call convexnet.solve(problem), or state bias='free'.")
    if problem.norm not in ("l2", "l1") or problem.activation not in ("relu", "leaky", "absolute"):
        raise ProblemError(
            f"solve_spline covers the path norm of piecewise linear activations, not norm={problem.norm!r} with "
            f"activation={problem.activation!r}; call convexnet.solve(problem)."
        )


def _check_method(problem: TrainingProblem, method: str) -> None:
    """Errors for an unknown method, or a choice where there is none."""
    check_choice(method, "method", METHODS)
    if method != "auto" and not (problem.bias == "free" and problem.skip and problem.loss.name == "squared"):
        raise ProblemError(
            f"method={method!r} is for the squared loss with bias='free' and skip=True; leave method out here."
        )


def _warn_of_rounding(result: SplineResult) -> None:
    """Say so where the network cannot compute what its parameters say."""
    problem, allowed = result.problem, RELATIVE * result.objective
    if not math.isfinite(result.objective) or problem.n * result.n_neurons > MOST:
        return
    nothing = problem.loss_value(np.zeros(problem.n))
    if math.isfinite(nothing):
        allowed += RELATIVE**2 * nothing  # an objective near zero is rounding itself
    computed = problem.objective(result.network)
    if abs(computed - result.objective) > allowed:
        x = problem.X[:, 0]
        middle = float(np.median(x))
        far = abs(middle) > float(np.ptp(x))
        advice = f"centre x (subtract {middle:.6g}) before training, or predict" if far else "predict"
        warnings.warn(
            f"Rounding in result.network: its objective computes as {computed:.6g}, that of result.spline is "
            f"{result.objective:.6g}; {advice} with result.spline.",
            InaccurateSolutionWarning, stacklevel=3,
        )  # fmt: skip


def _start(start: LinearSpline | SplineResult | None) -> LinearSpline | None:
    spline = start.spline if isinstance(start, SplineResult) else start
    if spline is not None and not isinstance(spline, LinearSpline):
        raise ProblemError(f"start must be a LinearSpline or a SplineResult, got {type(start).__name__}.")
    return spline
