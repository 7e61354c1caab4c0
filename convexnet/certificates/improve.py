"""Refutation by example: rescale a network or add one priced neuron, and check that the evaluated objective falls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..losses.base import golden_section
from ..networks.activations import activate
from ..networks.shallow import ShallowNetwork
from ..pricing import PricingResult

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["improve"]

_RESOLUTION = 1e-10
"""Relative decrease below which two objectives count as equal."""


def improve(
    problem: TrainingProblem, network: ShallowNetwork, pricings: Sequence[PricingResult]
) -> ShallowNetwork | None:
    """Return a network with a strictly lower objective, ``network`` rescaled or with one priced atom, or None.

    An atom priced at another vector than the network's own residual need not help: only the evaluated objective counts.
    None for interpolation, where no single neuron can be added to a fit.

    References
    ----------
    One step of the Frank-Wolfe method, Bach (2017), "Breaking the curse of dimensionality with convex neural networks".

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import ShallowNetwork, TrainingProblem
    >>> from convexnet.pricing import price_spectral
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.5, bias="none")
    >>> empty = ShallowNetwork(np.zeros((0, 1)), [], [])
    >>> better = improve(problem, empty, [price_spectral(problem, problem.y)])
    >>> problem.objective(better) < problem.objective(empty)
    True
    """
    current = problem.objective(network)
    if problem.loss.name == "interpolation" or not np.isfinite(current):
        return None
    best, best_value = None, current - _RESOLUTION * abs(current)
    predicted = network.predict(problem.X)
    atoms = [pricing.atom for pricing in pricings if np.any(pricing.atom)]
    candidates = [_rescaled(problem, network), *(_with_atom(problem, network, predicted, atom) for atom in atoms)]
    for candidate in candidates:
        value = problem.objective(candidate)
        if value < best_value:
            best, best_value = candidate, value
    return best


def _rescaled(problem: TrainingProblem, network: ShallowNetwork) -> ShallowNetwork:
    """All output weights times the factor that minimises the objective."""
    rest = replace(network, output_weights=0 * network.output_weights).pruned().predict(problem.X)
    hidden = network.predict(problem.X) - rest
    norm = problem.reg * network.path_norm(problem.bias, problem.norm)
    factor = golden_section(lambda t: -problem.loss_value(rest + t * hidden) - t * norm, 2.0)
    return replace(network, output_weights=factor * network.output_weights)


def _with_atom(
    problem: TrainingProblem, network: ShallowNetwork, predicted: np.ndarray, atom: np.ndarray
) -> ShallowNetwork:
    """Append the atom with the amplitude that minimises the objective along it (a convex problem in one number)."""
    response = activate(problem.extended @ atom, problem.kappa)
    residual = -problem.gradient(predicted)
    direction = np.array(1.0) if problem.scalar else _unit(residual.T @ response)
    column = response if problem.scalar else response[:, None] * direction
    slope = float(np.sum(residual * column))
    side = 1.0 if slope >= 0 else -1.0

    def gain(t: float) -> float:
        return -problem.loss_value(predicted + side * t * column) - problem.reg * t

    curvature = float(np.sum(column**2))
    reach = 8 * abs(slope) / curvature if slope and curvature > 0 else 1.0
    amplitude = side * golden_section(gain, reach)
    neuron = (amplitude * direction).reshape((1, *network.output_weights.shape[1:]))
    return replace(
        network,
        weights=np.vstack([network.weights, atom[: problem.d]]),
        biases=np.append(network.biases, atom[-1] if problem.bias != "none" else 0.0),
        output_weights=np.concatenate([network.output_weights, neuron]),
    )


def _unit(vector: np.ndarray) -> np.ndarray:
    size = float(np.linalg.norm(vector))
    return vector / size if size > 0 else vector
