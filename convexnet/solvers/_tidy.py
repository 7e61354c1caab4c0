"""Tidying a trained network: fewer neurons at no cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["FREE_TERMS", "tidied"]

FREE_TERMS = {(True, True): "skip", (True, False): "linear", (False, True): "intercept"}
"""What ``ShallowNetwork.reduced`` calls the free terms, by (skip, intercept)."""

_LARGEST = 50_000_000
"""Outputs of all neurons on all samples up to which neurons are compared."""


def tidied(problem: TrainingProblem, network: ShallowNetwork, reduce: bool = True) -> ShallowNetwork:
    """Merge twins and drop neurons that others can replace, whenever the objective does not grow.

    ``reduce=False`` leaves out the second, whose cost grows with the square of the neurons. Networks too large for the
    matrix of all neurons' outputs stay as they are.
    """
    if problem.n * network.n_neurons > _LARGEST:
        return _without_dust(network.balanced(problem.bias, problem.norm))
    best, value = network, problem.objective(network)
    pruned = network.pruned(1e-9)
    candidates = [pruned, pruned.merged(problem.bias, problem.X)]
    if reduce:
        free = FREE_TERMS.get((problem.skip, problem.intercept))
        candidates.append(candidates[1].reduced(problem.X, problem.bias, problem.norm, free))
    for candidate in candidates:
        if candidate.n_neurons < best.n_neurons and problem.objective(candidate) <= value * (1 + 1e-12):
            best = candidate
    return _without_dust(best.balanced(problem.bias, problem.norm))


def _without_dust(network: ShallowNetwork) -> ShallowNetwork:
    """Decay leaves the weights of zero columns near 1e-300, where the float checker refuses them; make them zero."""
    weights = network.weights
    return replace(network, weights=np.where(np.abs(weights) < 1e-60, 0.0, weights)) if weights.size else network
