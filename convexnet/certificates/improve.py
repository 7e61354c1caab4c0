"""Refutation by example: add one priced neuron and check that the evaluated objective falls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..networks.activations import activate
from ..networks.shallow import ShallowNetwork
from ..pricing import PricingResult

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["improve"]


def improve(
    problem: TrainingProblem, network: ShallowNetwork, pricings: Sequence[PricingResult]
) -> ShallowNetwork | None:
    """Return a network with a strictly lower objective made of ``network`` and one priced atom, or None.

    An atom priced at another vector than the network's own residual need not help: only the evaluated objective counts.

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
    if not problem.loss.smooth and problem.loss.name == "interpolation":
        return None
    current = problem.objective(network)
    best, best_value = None, current - 1e-12 * abs(current)
    predicted = network.predict(problem.X)
    for pricing in pricings:
        if not np.any(pricing.atom):
            continue
        candidate = _with_atom(problem, network, predicted, pricing.atom)
        value = problem.objective(candidate)
        if value < best_value:
            best, best_value = candidate, value
    return best


def _with_atom(
    problem: TrainingProblem, network: ShallowNetwork, predicted: np.ndarray, atom: np.ndarray
) -> ShallowNetwork:
    """Append the atom with the amplitude that minimises the objective along it (a convex problem in one number)."""
    from scipy.optimize import minimize_scalar

    response = activate(problem.extended @ atom, problem.kappa)
    residual = -problem.gradient(predicted)
    direction = np.array(1.0) if problem.scalar else _unit(residual.T @ response)
    column = response if problem.scalar else response[:, None] * direction

    def along(t: float) -> float:
        return problem.loss_value(predicted + t * column) + problem.reg * abs(t)

    slope = float(np.sum(residual * column))
    curvature = float(np.sum(column**2)) or 1.0
    reach = 2 * abs(slope) / curvature + 1e-12
    side = 1.0 if slope >= 0 else -1.0
    amplitude = side * float(minimize_scalar(lambda t: along(side * t), bounds=(0.0, 4 * reach), method="bounded").x)
    has_bias = problem.bias != "none"
    return replace(
        network,
        weights=np.vstack([network.weights, atom[: problem.d]]),
        biases=np.append(network.biases, atom[-1] if has_bias else 0.0),
        output_weights=np.concatenate([network.output_weights, amplitude * np.atleast_1d(direction)[None].reshape(
            (1,) if problem.scalar else (1, -1))]),
    )  # fmt: skip


def _unit(vector: np.ndarray) -> np.ndarray:
    size = float(np.linalg.norm(vector))
    return vector / size if size > 0 else vector
