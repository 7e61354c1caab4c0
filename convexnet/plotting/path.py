"""A regularization path: errors and the number of neurons against reg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import require
from ._arguments import axes_for, expect

if TYPE_CHECKING:
    from ..solving import RegularizationPath

__all__ = ["plot_path"]


def plot_path(path: RegularizationPath, ax: Any = None) -> Any:
    """Draw mean training loss, held-out loss (one standard error around it) and neurons along the path.

    Parameters
    ----------
    path : RegularizationPath
    ax : matplotlib Axes, optional
        The neurons are drawn on a second axis at its right side.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ProblemError
        If ``path`` or ``ax`` is something else.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("matplotlib")
    >>> from convexnet import TrainingProblem, regularization_path
    >>> problem = TrainingProblem([[-1.0], [0.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> plot_path(regularization_path(problem, n_regs=4)).get_xscale()
    'log'
    """
    from ..solving import RegularizationPath

    expect(path, RegularizationPath, "what regularization_path returns")
    ax = axes_for(ax, 7, 4)
    weight = path.problem.sample_weight
    rows = path.problem.n if weight is None else float(weight.sum())
    ax.plot(path.regs, [point.loss / rows for point in path.points], color="k", label="training loss")
    if path.fold_errors is not None:
        _draw_errors(path, ax)
    ax.set_xscale("log")
    ticker = require("matplotlib.ticker", "plot")
    ax.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(ticker.NullFormatter())
    ax.set_xlabel("reg")
    ax.set_ylabel("mean loss")
    right = ax.twinx()
    right.step(path.regs, path.neurons, where="mid", color="C1", lw=1)
    right.set_ylabel("neurons" if path.model == "relu" else "gates in use", color="C1")
    ax.legend(loc="upper center", frameon=False, fontsize="small")
    return ax


def _draw_errors(path: RegularizationPath, ax: Any) -> None:
    """Mean and standard error over the folds; a line at the best."""
    errors, mean = path.fold_errors, path.validation
    assert errors is not None and mean is not None
    spread = errors.std(axis=0, ddof=1) / np.sqrt(len(errors)) if len(errors) > 1 else np.zeros_like(mean)
    ax.plot(path.regs, mean, color="C0", label=f"held-out loss, {len(errors)} folds")
    ax.fill_between(path.regs, mean - spread, mean + spread, color="C0", alpha=0.2, lw=0)
    if path.best_reg is not None:
        ax.axvline(path.best_reg, color="C0", ls=":", lw=1)
