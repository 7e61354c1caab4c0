"""The dual certificate as a curve over the direction of a neuron: it stays in a band and the atoms touch its edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProblemError
from ..networks.activations import activate
from ..problem import require_path_norm
from ._arguments import axes_for, expect

if TYPE_CHECKING:
    from ..certificates import Certificate
    from ..networks import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["plot_dual_certificate"]

_NEGLIGIBLE = 1e-9
"""Neurons with a smaller share of the path norm are rounding and are not drawn."""


def plot_dual_certificate(
    problem: TrainingProblem, certificate: Certificate, network: ShallowNetwork | None = None, ax: Any = None
) -> Any:
    r"""Draw ``nu . sigma(X u)`` over the direction of the unit vector u, with the band of half-width ``reg``.

    The vector nu proves the lower bound because the curve never leaves the band:

    .. math:: \max_{\|u\| \le 1} |\nu^\top \sigma(X u)| \le \mathrm{reg} .

    The neurons of an optimal network touch its edge, the upper one with positive and the lower one with negative output
    weights. Ticks along the axis are the walls between activation cells.

    Parameters
    ----------
    problem : TrainingProblem
        Neurons with two weights: one feature and a penalised bias, or two features without a bias; one output.
    certificate : Certificate
        Of that problem; ``scale * nu`` is drawn.
    network : ShallowNetwork, optional
        Its neurons are marked on the curve.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ProblemError
        If the problem does not fit in a plane, or the certificate belongs to another problem.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("matplotlib")
    >>> from convexnet import TrainingProblem, solve
    >>> problem = TrainingProblem([[-1.0], [0.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> solution = solve(problem)
    >>> plot_dual_certificate(problem, solution.certificate, solution.network).get_ylabel()
    'nu · sigma(X u)'
    """
    from ..certificates import Certificate
    from ..problem import TrainingProblem

    expect(problem, TrainingProblem, "the data, the loss and reg")
    require_path_norm(problem, "plot_dual_certificate")
    expect(certificate, Certificate, "what solve and certify attach to a network")
    if problem.extended.shape[1] != 2 or problem.bias == "free" or not problem.scalar:
        raise ProblemError(
            "plot_dual_certificate draws neurons with two weights: one feature and bias='penalized', or two features "
            "and bias='none', with one output."
        )
    if certificate.data_hash != problem.data_hash or certificate.conventions != problem.conventions():
        raise ProblemError("The certificate belongs to another problem (data, loss, reg or conventions differ).")
    ax = axes_for(ax, 7, 4)
    nu = certificate.scale * certificate.nu
    walls = _walls(problem.extended)
    angles = np.unique(np.concatenate([np.linspace(0, 360, 1441), walls]))
    ax.axhspan(-problem.reg, problem.reg, color="0.9", label="band of half-width reg")
    ax.axhline(0, color="0.6", lw=0.8)
    for edge in (-problem.reg, problem.reg):
        ax.axhline(edge, color="k", lw=1, ls="--")
    ax.plot(angles, _curve(problem, nu, angles), color="k", lw=1.5, label="nu · sigma(X u)")
    ax.plot(walls, np.full(len(walls), -1.32 * problem.reg), "|", color="0.4", ms=7, label="walls between cells")
    if network is not None:
        _atoms(ax, problem, network, nu)
    ax.set(xlim=(0, 360), ylim=(-1.42 * problem.reg, 1.42 * problem.reg), xticks=range(0, 361, 45))
    names = "(weight, bias)" if problem.bias == "penalized" else "(weight 1, weight 2)"
    ax.set_xlabel(f"direction of the neuron u = {names}, degrees")
    ax.set_ylabel("nu · sigma(X u)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False, fontsize="small")
    return ax


def _curve(problem: TrainingProblem, nu: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The curve at angles in degrees; u has unit length in the norm of the problem."""
    radians = np.deg2rad(angles)
    u = np.vstack([np.cos(radians), np.sin(radians)])
    u = u / np.linalg.norm(u, 1 if problem.norm == "l1" else 2, axis=0)
    return nu @ activate(problem.extended @ u, problem.kappa)


def _walls(X: np.ndarray) -> np.ndarray:
    """Angles of the two neurons orthogonal to each non-zero row, in degrees."""
    rows = X[np.any(X != 0, axis=1)]
    return np.unique(np.rad2deg(np.arctan2(rows[:, 0], -rows[:, 1]))[:, None] + [0.0, 180.0]) % 360


def _atoms(ax: Any, problem: TrainingProblem, network: ShallowNetwork, nu: np.ndarray) -> None:
    """The network's neurons on the curve: triangles upwards for positive output weights."""
    problem.check_network(network)
    rows = np.column_stack([network.weights, network.biases])[:, :2] if problem.d == 1 else network.weights
    amplitude = network.output_weights * network.neuron_norms(problem.bias, problem.norm)
    visible = np.abs(amplitude) > _NEGLIGIBLE * np.abs(amplitude).sum()
    for sign, marker, word in ((1.0, "^", "positive"), (-1.0, "v", "negative")):
        chosen = visible & (np.sign(amplitude) == sign)
        if chosen.any():
            angles = np.rad2deg(np.arctan2(rows[chosen, 1], rows[chosen, 0])) % 360
            ax.plot(angles, _curve(problem, nu, angles), marker, color="tab:red", mec="k", ms=9,
                    label=f"neuron, {word} output weight")  # fmt: skip
