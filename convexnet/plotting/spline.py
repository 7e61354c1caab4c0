"""Functions of one variable: the data, the pieces, the knots, and the curve that proves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import as_targets
from ..errors import DataError, ProblemError
from ..networks.linear_spline import LinearSpline
from ._arguments import axes_for

if TYPE_CHECKING:
    from ..solvers import SplineResult

__all__ = ["plot_spline", "plot_spline_certificate"]


def plot_spline(spline: Any, X: Any = None, y: Any = None, ax: Any = None, label: str | None = None) -> Any:
    """Draw a piecewise linear function, its knots and the data.

    Parameters
    ----------
    spline : LinearSpline, SplineResult, SplineFit or fitted estimator
        A function, what ``solve_spline`` returns, or a fitted ``SparseLinearSpline`` or ``SparseLinearSplineCV``.
    X, y : array-like of shape (n,), optional
        Data to draw; X also as a table of one column. Default: those of the result's problem, if there is one.
    ax : matplotlib Axes, optional
    label : str, optional
        Of the function, for the legend.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    DataError
        If only one of X and y is given, or they cannot be read.
    ProblemError
        If there is no function of one variable to draw, or ``ax`` is something else.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("matplotlib")
    >>> from convexnet.networks import LinearSpline
    >>> ax = plot_spline(LinearSpline([0.0, 1.0], [1.0, -2.0]), [-1.0, 0.5, 2.0], [0.1, 0.4, -0.1])
    >>> len(ax.lines), ax.get_xlabel()
    (3, 'x')
    """
    function = _function(spline)
    problem = getattr(spline, "problem", None)
    if X is None and y is None and problem is not None:
        X, y = problem.X, problem.y
    if (X is None) != (y is None):
        raise DataError("Pass both X and y, or neither.")
    x = np.zeros(0) if X is None else as_targets(X, np.shape(X)[0] if np.ndim(X) else 0, "X")
    if x.ndim != 1:
        raise DataError(f"X must be a vector or a table of one column, got shape {x.shape}.")
    targets = as_targets(np.zeros(0) if y is None else y, x.size)
    if targets.ndim != 1:
        raise DataError(f"y must be a vector, got shape {targets.shape}.")
    ax = axes_for(ax, 7, 4)
    if x.size:
        ax.plot(x, targets, ".", color="0.6", ms=4, zorder=1)
    left, right = _window(function.knots, x)
    corners = np.concatenate([[left], function.knots[(function.knots > left) & (function.knots < right)], [right]])
    color = ax.plot(corners, function(corners), lw=1.6, label=label, zorder=2)[0].get_color()
    count = f"{function.n_knots} knots" if label is None else None
    ax.plot(function.knots, function(function.knots), "o", ms=4.5, mfc="w", color=color, label=count, zorder=3)
    ax.set_xlabel("x")
    return ax


def plot_spline_certificate(result: SplineResult, ax: Any = None) -> Any:
    r"""Draw the curve that proves a fit: it stays in a band of half-width ``reg`` and touches its edge at the knots.

    .. math:: u(t) = \sum_i \nu_i\, (t - x_i)_+ , \qquad |u(t)| \le \mathrm{reg} \text{ for all } t

    is what a knot at t would gain, per unit of its kink, against what it costs. Between data u is straight, and zero
    outside of them, so the picture shows all knots there could be.

    Parameters
    ----------
    result : SplineResult
        For free biases and a skip connection, ReLU.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ProblemError
        If the result belongs to another kind of problem, or ``ax`` is something else.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("matplotlib")
    >>> from convexnet import TrainingProblem
    >>> from convexnet.solvers import solve_spline
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], reg=0.1, bias="free", skip=True)
    >>> plot_spline_certificate(solve_spline(problem)).get_ylabel()
    'u(t)'
    """
    problem, spline = getattr(result, "problem", None), getattr(result, "spline", None)
    if problem is None or spline is None:
        raise ProblemError(f"plot_spline_certificate draws a SplineResult, got {result!r}.")
    if problem.bias != "free" or not problem.skip or problem.kappa != 0:
        raise ProblemError("The band is that of bias='free', skip=True and ReLU; other knots have other prices.")
    ax = axes_for(ax, 7, 3)
    nodes, u = _potential(problem.X[:, 0], result.nu)
    ax.axhspan(-problem.reg, problem.reg, color="0.9", label="band of half-width reg")
    ax.axhline(0, color="0.6", lw=0.8)
    ax.plot(nodes, u, color="k", lw=1.2)
    for sign, color, name in ((1, "C0", "upward kinks"), (-1, "C3", "downward kinks")):
        knots = spline.knots[np.sign(spline.kinks) == sign]
        ax.plot(knots, np.interp(knots, nodes, u), "o", ms=5, color=color, label=name)
    ax.set_xlabel("t")
    ax.set_ylabel("u(t)")
    ax.legend(loc="best", frameon=False, fontsize="small")
    return ax


def _function(spline: Any) -> LinearSpline:
    """The function of a result or of a fitted estimator."""
    for found in (spline, getattr(spline, "spline", None), getattr(spline, "spline_", None)):
        if isinstance(found, LinearSpline):
            return found
    hint = "; fit it first" if hasattr(spline, "fit") else ""
    raise ProblemError(
        f"plot_spline draws a LinearSpline, a SplineResult with one, or a fitted estimator, got {spline!r}{hint}."
    )


def _potential(x: np.ndarray, nu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct abscissae and u there, by two cumulative sums."""
    nodes, index = np.unique(x, return_inverse=True)
    slopes = np.cumsum(np.bincount(index, nu))
    return nodes, np.concatenate([[0.0], np.cumsum(np.diff(nodes) * slopes[:-1])])


def _window(knots: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """What to show: all data and knots, with a margin."""
    everything = np.concatenate([knots, x]) if knots.size + x.size else np.array([-1.0, 1.0])
    low, high = float(everything.min()), float(everything.max())
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin
