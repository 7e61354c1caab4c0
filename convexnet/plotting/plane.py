"""A network of two features as a heat map, with the kinks of its neurons and the data on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProblemError
from ..problem import require_path_norm
from ._arguments import axes_for, expect

if TYPE_CHECKING:
    from ..networks import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["plot_network"]

_POINTS = 160
"""Grid points along each feature."""
_NEGLIGIBLE = 1e-9
"""Neurons with a smaller share of the path norm are rounding, and their kinks are not drawn."""


def plot_network(
    problem: TrainingProblem, network: ShallowNetwork, ax: Any = None, features: Sequence[str] = ("x1", "x2")
) -> Any:
    """Draw the predictions over two features as a heat map, with kinks and samples.

    Each neuron bends the prediction along one line: upwards across a solid line, downwards across a dashed one. Samples
    have the colours of the heat map, so that a sample that vanishes in its surroundings is fitted well; two classes
    have two markers, and the dotted line is where the prediction changes sign. All shades differ in lightness.

    Parameters
    ----------
    problem : TrainingProblem
        Two features, one output.
    network : ShallowNetwork
    ax : matplotlib Axes, optional
    features : sequence of two str
        Names of the axes.

    Returns
    -------
    matplotlib Axes

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
    from ..problem import TrainingProblem

    expect(problem, TrainingProblem, "the data, the loss and reg")
    require_path_norm(problem, "plot_network")
    if problem.d != 2 or not problem.scalar:
        raise ProblemError(f"plot_network draws two features and one output, got {problem.d} and {problem.n_outputs}.")
    problem.check_network(network)
    ax = axes_for(ax, 6.5, 5)
    x1, x2 = _axes(problem.X)
    grid = np.stack(np.meshgrid(x1, x2), axis=-1)
    values = network.predict(grid.reshape(-1, 2)).reshape(_POINTS, _POINTS)
    margin = problem.loss.name in ("logistic", "hinge")
    shades = ax.pcolormesh(x1, x2, values, cmap="cividis", shading="auto", **({} if margin else _range(problem.y)))
    ax.figure.colorbar(shades, ax=ax, label="prediction", extend="neither" if margin else "both")
    _kinks(ax, network, network.output_weights * network.neuron_norms(problem.bias, problem.norm))
    if margin:
        if values.min() < 0 < values.max():
            ax.contour(x1, x2, values, levels=[0.0], colors="k", linestyles=":", linewidths=2)
            ax.plot([], [], "k:", lw=2, label="prediction 0")
        _classes(ax, problem)
    else:
        ax.scatter(*problem.X.T, c=problem.y, norm=shades.norm, cmap="cividis", s=16, edgecolors="k", linewidths=0.5)
    ax.set(xlim=(x1[0], x1[-1]), ylim=(x2[0], x2[-1]), xlabel=features[0], ylabel=features[1])
    ax.set_title(f"{network.n_neurons} neurons, {problem.n} samples")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False, fontsize="small")
    return ax


def _axes(X: np.ndarray) -> list[np.ndarray]:
    """Grid along each feature, a little wider than the data."""
    low, high = X.min(axis=0), X.max(axis=0)
    pad = np.where(high > low, 0.06 * (high - low), 0.5)
    return [np.linspace(a, b, _POINTS) for a, b in zip(low - pad, high + pad, strict=True)]


def _range(y: np.ndarray) -> dict[str, float]:
    """Shades span the targets without their extremes."""
    low, high = (float(value) for value in np.quantile(y, [0.02, 0.98]))
    return {"vmin": low, "vmax": high} if high > low else {}


def _kinks(ax: Any, network: ShallowNetwork, amplitudes: np.ndarray) -> None:
    """The line ``w . x + b = 0`` of each neuron, white around black so that it shows on every shade."""
    from matplotlib import patheffects

    casing = [patheffects.withStroke(linewidth=3.2, foreground="w")]
    drawn: set[bool] = set()
    negligible = _NEGLIGIBLE * np.abs(amplitudes).sum()
    for w, b, amplitude in zip(network.weights, network.biases, amplitudes, strict=True):
        if not w.any() or abs(amplitude) <= negligible:
            continue
        up = bool(amplitude > 0)
        foot = -b * w / (w @ w)
        label = None if up in drawn else f"kink, bends {'upwards' if up else 'downwards'}"
        drawn.add(up)
        ax.axline(foot, foot + np.array([-w[1], w[0]]) / np.linalg.norm(w), color="k", lw=1.3, path_effects=casing,
                  linestyle="-" if up else (0, (4, 2)), label=label, zorder=2)  # fmt: skip


def _classes(ax: Any, problem: TrainingProblem) -> None:
    for value, marker, fill in ((1.0, "o", "w"), (-1.0, "^", "k")):
        chosen = problem.y == value
        ax.scatter(*problem.X[chosen].T, marker=marker, s=14, c=fill, edgecolors="k" if fill == "w" else "w",
                   linewidths=0.4, label=f"class {value:+g}", zorder=3)  # fmt: skip
