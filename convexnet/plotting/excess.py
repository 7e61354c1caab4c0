"""How far each training method ends above the proven lower bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import require

if TYPE_CHECKING:
    from ..solving import Comparison

__all__ = ["plot_comparison"]


def plot_comparison(comparison: Comparison, ax: Any = None) -> Any:
    """Draw best and median excess over the proven lower bound, one row a method, on a logarithmic axis.

    Parameters
    ----------
    comparison : Comparison
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("matplotlib")
    >>> from convexnet import TrainingProblem, compare
    >>> problem = TrainingProblem([[-1.0], [0.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> ax = plot_comparison(compare(problem, methods=("lbfgs",), n_starts=2, width=10))
    >>> ax.get_xscale()
    'log'
    """
    plt = require("matplotlib.pyplot", "plot")
    ax = ax or plt.subplots(figsize=(7, 0.5 * len(comparison.rows) + 1.5), layout="constrained")[1]
    floor = 1e-12
    rows = np.arange(len(comparison.rows))[::-1]
    best = np.maximum([row.excess_best for row in comparison.rows], floor)
    median = np.maximum([row.excess_median for row in comparison.rows], floor)
    ax.hlines(rows, best, median, color="0.6", zorder=1)
    ax.plot(best, rows, "o", color="k", label="best start")
    ax.plot(median, rows, "D", mfc="w", color="k", label="median start")
    ax.set_xscale("log")
    ax.set_yticks(rows, [f"{row.method}, width {row.width}" for row in comparison.rows])
    ax.set_xlabel("excess over the proven lower bound (relative)")
    ax.grid(axis="x", alpha=0.3)
    ax.legend(loc="best", frameon=False)
    return ax
