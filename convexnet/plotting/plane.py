"""Pictures over two features: the hyperplane arrangement of the data, and a network with its kinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import require
from ..errors import ProblemError

if TYPE_CHECKING:
    from ..networks import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["plot_arrangement", "plot_network"]


def plot_network(
    problem: TrainingProblem, network: ShallowNetwork, ax: Any = None, features: Sequence[str] = ("x1", "x2")
) -> Any:
    """Draw a network of two features as contours, with the kink line of each neuron and the data on top.

    Raises
    ------
    ProblemError
        If the problem does not have two features and one output.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("matplotlib")
    >>> from convexnet import TrainingProblem, solve
    >>> problem = TrainingProblem([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> plot_network(problem, solve(problem).network).get_xlabel()
    'x1'
    """
    plt = require("matplotlib.pyplot", "plot")
    if problem.d != 2 or not problem.scalar:
        raise ProblemError("plot_network draws two features and one output.")
    ax = ax or plt.subplots(figsize=(6, 5), layout="constrained")[1]
    low, high = problem.X.min(axis=0), problem.X.max(axis=0)
    pad = 0.08 * (high - low) + 1e-9
    axes = [np.linspace(a, b, 160) for a, b in zip(low - pad, high + pad, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1)
    values = network.predict(grid.reshape(-1, 2)).reshape(160, 160)
    shades = ax.contourf(*axes, values, levels=18, cmap="Greys", alpha=0.75)
    ax.figure.colorbar(shades, ax=ax, label="prediction")
    for (w1, w2), b in zip(network.weights, network.biases, strict=True):
        ax.contour(*axes, grid @ np.array([w1, w2]) + b, levels=[0.0], colors="tab:red", linewidths=1.2)
    ax.scatter(*problem.X.T, c=problem.y, cmap="coolwarm", s=12, edgecolors="k", linewidths=0.3)
    ax.set_xlabel(features[0])
    ax.set_ylabel(features[1])
    ax.set_title(f"{network.n_neurons} neurons; each red line is one neuron's kink")
    return ax


def plot_arrangement(X: Any, ax: Any = None, network: ShallowNetwork | None = None) -> Any:
    """Draw the activation cells of data with two columns, and neurons as arrows.

    Parameters
    ----------
    X : array-like of shape (n, 2)
        Extended data (one feature and a column of ones, or two features without a bias).

    Raises
    ------
    ProblemError
        If X does not have two columns.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("matplotlib")
    >>> plot_arrangement([[1.0, 1.0], [-1.0, 1.0], [0.5, 1.0]]).get_title()
    '6 cells'
    """
    from ..arrangements import enumerate_patterns

    plt = require("matplotlib.pyplot", "plot")
    patterns = enumerate_patterns(X)
    if patterns.d != 2 or patterns.rays is None:
        raise ProblemError("plot_arrangement draws two columns: one feature and ones, or two features without a bias.")
    ax = ax or plt.subplots(figsize=(5, 5), layout="constrained")[1]
    for cell in range(len(patterns)):
        rays = patterns.rays.of(cell)
        corners = np.column_stack([np.zeros(2), rays[:, 0], patterns.witnesses[:, cell], rays[:, -1]])
        share = patterns.patterns[:, cell].mean()
        ax.fill(*corners, color=str(1 - 0.55 * share), lw=0)
    for direction in patterns.rays.directions.T:
        ax.plot(*np.outer(direction, [-1.05, 1.05]), color="k", lw=0.6)
    if network is not None:
        for row in np.column_stack([network.weights, network.biases]):
            tip = row[:2] / np.linalg.norm(row[:2])
            ax.annotate("", xy=tip, xytext=(0, 0), arrowprops={"color": "tab:red", "width": 1})
    ax.set_aspect("equal")
    ax.set_xlabel("weight")
    ax.set_ylabel("bias or second weight")
    ax.set_title(f"{len(patterns)} cells")
    return ax
