"""The hyperplane arrangement of data with two columns: its cells are sectors of the plane of neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import as_matrix
from ..errors import ProblemError
from ._arguments import axes_for, expect

if TYPE_CHECKING:
    from ..networks import ShallowNetwork

__all__ = ["plot_arrangement"]


def plot_arrangement(X: Any, ax: Any = None, network: ShallowNetwork | None = None) -> Any:
    """Draw the activation cells of data with two columns, and a network's neurons as arrows.

    Every row of X is a line through the origin of the plane of neurons; a cell is a sector between two lines. The more
    samples are active in a cell, the darker it is, and the number of active samples is written at its rim.

    Parameters
    ----------
    X : array-like of shape (n, 2)
        Extended data: one feature and a column of ones, or two features without a bias.
    ax : matplotlib Axes, optional
    network : ShallowNetwork, optional
        Arrows show the directions of its neurons: solid for a positive output weight, dashed for a negative one.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    DataError
        If X is not a finite matrix.
    ProblemError
        If X does not have two linearly independent columns, or the network's neurons have another number of weights.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("matplotlib")
    >>> plot_arrangement([[1.0, 1.0], [-1.0, 1.0], [0.5, 1.0]]).get_title()
    '6 cells of 3 samples'
    """
    from ..arrangements import enumerate_patterns
    from ..networks import ShallowNetwork

    matrix = as_matrix(X)
    if network is not None:
        expect(network, ShallowNetwork, "its neurons are the arrows")
    if matrix.shape[1] != 2:
        raise ProblemError("plot_arrangement draws two columns: one feature and ones, or two features without a bias.")
    patterns = enumerate_patterns(matrix)
    if patterns.rank != 2 or patterns.rays is None:
        raise ProblemError("The two columns are linearly dependent, so the cells are half-planes: nothing to draw.")
    ax = axes_for(ax, 5, 5)
    for cell in range(len(patterns)):
        _sector(ax, patterns.rays.of(cell), int(patterns.patterns[:, cell].sum()), len(matrix), len(patterns) <= 40)
    for direction in patterns.rays.directions.T:
        ax.plot(*np.outer(direction, [-1, 1]), color="k", lw=0.8 if len(patterns) <= 100 else 0.2)
    turn = np.linspace(0, 2 * np.pi, 361)
    ax.plot(np.cos(turn), np.sin(turn), color="k", lw=0.8)
    if network is not None:
        _arrows(ax, network)
    ax.set(aspect="equal", xlim=(-1.2, 1.2), ylim=(-1.2, 1.2))
    constant = bool(np.ptp(matrix[:, 1]) == 0 and matrix[0, 1] == 1)
    ax.set_xlabel("weight" if constant else "first weight")
    ax.set_ylabel("bias" if constant else "second weight")
    ax.set_title(f"{len(patterns)} cells of {len(matrix)} samples")
    return ax


def _sector(ax: Any, rays: np.ndarray, active: int, n: int, number: bool) -> None:
    """Fill the sector between two rays; write the number of active samples at the rim."""
    first, last = np.arctan2(rays[1, 0], rays[0, 0]), np.arctan2(rays[1, -1], rays[0, -1])
    width = (last - first + np.pi) % (2 * np.pi) - np.pi
    angles = first + width * np.linspace(0, 1, max(2, int(60 * abs(width))))
    rim = np.vstack([np.cos(angles), np.sin(angles)])
    ax.fill(*np.column_stack([np.zeros(2), rim]), color=str(1 - 0.6 * active / n), lw=0)
    if number:
        middle = first + width / 2
        ax.text(1.09 * np.cos(middle), 1.09 * np.sin(middle), str(active), ha="center", va="center", fontsize="small")


def _arrows(ax: Any, network: ShallowNetwork) -> None:
    """Unit vectors along the neurons' input weights."""
    rows = network.weights if network.n_features == 2 else np.column_stack([network.weights, network.biases])
    if rows.shape[1] != 2:
        raise ProblemError(f"The network's neurons have {rows.shape[1]} weights, bias included; two can be drawn.")
    for row, v in zip(rows, network.output_weights, strict=True):
        if row.any() and v != 0:
            style = {"arrowstyle": "-|>", "color": "tab:red", "lw": 2, "linestyle": "-" if v > 0 else "--"}
            ax.annotate("", xy=0.95 * row / np.linalg.norm(row), xytext=(0, 0), arrowprops=style)
