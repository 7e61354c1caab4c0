"""How far each training method ends above the proven lower bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._arguments import axes_for, expect

if TYPE_CHECKING:
    from ..solving import Comparison

__all__ = ["plot_comparison"]

_FLOOR = 1e-12
"""Smaller excesses are drawn here: they are rounding."""


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
    ProblemError
        If ``comparison`` or ``ax`` is something else.
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
    from ..solving import Comparison

    expect(comparison, Comparison, "what compare returns")
    ax = axes_for(ax, 7, 0.5 * len(comparison.rows) + 1.5)
    rows = np.arange(len(comparison.rows))[::-1]
    best = _drawn([row.excess_best for row in comparison.rows])
    median = _drawn([row.excess_median for row in comparison.rows])
    ax.hlines(rows, best, median, color="0.6", zorder=1)
    ax.plot(median, rows, "D", mfc="w", color="k", ms=8, label="median start")
    ax.plot(best, rows, "o", color="k", ms=5, label="best start")
    ax.set_xscale("log")
    ax.set_xlim(*_limits(np.concatenate([best, median])))
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_yticks(rows, [_label(row.method, row.width, row.n_starts) for row in comparison.rows])
    ax.set_xlabel("excess of the objective over the proven lower bound (relative)")
    ax.grid(axis="x", alpha=0.3)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False, fontsize="small")
    return ax


def _drawn(excess: list[float]) -> np.ndarray:
    """Excesses as drawn: at least the floor; an infinite one (no bound, or diverged) is left out."""
    values = np.asarray(excess, dtype=float)
    return np.where(np.isfinite(values), np.maximum(values, _FLOOR), np.nan)


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Whole decades around what is drawn, at least three."""
    known = np.log10(values[np.isfinite(values)]) if np.isfinite(values).any() else np.zeros(1)
    low, high = np.floor(known.min() - 0.2), np.ceil(known.max() + 0.2)
    return float(10 ** min(low, high - 3)), float(10**high)


def _label(method: str, width: int, starts: int) -> str:
    neurons = f"{width} neuron{'s' if width != 1 else ''}"
    name = method if method == "convex" else f"{method}, {starts} start{'s' if starts != 1 else ''}"
    return f"{name}\n{neurons}"
