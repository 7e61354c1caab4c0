"""From the blocks of a solved program to the neurons of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..networks._arrays import row_norms
from ..networks.activations import activate
from ..networks.shallow import ShallowNetwork
from ..problem import TrainingProblem

if TYPE_CHECKING:
    from .program import Program

__all__ = ["blocks_to_network", "effective_blocks", "free_values"]


def blocks_to_network(
    problem: TrainingProblem, V: np.ndarray, W: np.ndarray, intercept: float, skip: np.ndarray | None, tol: float
) -> ShallowNetwork:
    r"""Turn the columns of V (output sign +) and W (-) into balanced neurons.

    A column v becomes the neuron :math:`v / \sqrt{\|v\|}` with output weight :math:`\pm\sqrt{\|v\|}`. Columns without
    effect are left out; with a free bias a column that is constant on the data goes to the intercept.
    """
    blocks = np.concatenate([V, W], axis=1)
    signs = np.repeat([1.0, -1.0], [V.shape[1], W.shape[1]])
    free = problem.bias == "free"
    inputs, penalised = (problem.X, blocks[:-1]) if free else (problem.extended, blocks)
    kept = effective_blocks(np.max(np.abs(inputs @ penalised), axis=0), tol * _scale(problem, blocks, signs))
    kept &= np.any(penalised != 0, axis=0)
    if free:
        intercept += float(signs[~kept] @ activate(blocks[-1, ~kept], problem.kappa))
    blocks, penalised, signs = blocks[:, kept], penalised[:, kept], signs[kept]
    roots = np.sqrt(row_norms(penalised.T, problem.norm))
    u = (blocks / roots).T
    biases = np.zeros(len(roots)) if problem.bias == "none" else u[:, -1]
    return ShallowNetwork(
        u[:, : problem.d],
        biases,
        signs * roots,
        intercept=intercept,
        skip=skip,
        activation=problem.activation,
        negative_slope=problem.negative_slope,
    )


def free_values(program: Program) -> tuple[float, np.ndarray | None]:
    """Intercept and skip connection of a solved program: 0 and None where it has none."""
    intercept = float(program.block("intercept")) if "intercept" in program.variables else 0.0
    return intercept, program.block("skip") if "skip" in program.variables else None


def _scale(problem: TrainingProblem, blocks: np.ndarray, signs: np.ndarray) -> float:
    f = activate(problem.extended @ blocks, problem.kappa) @ signs
    return float(max(np.max(np.abs(f)), np.max(np.abs(problem.y))))


def effective_blocks(effect: np.ndarray, budget: float) -> np.ndarray:
    """Mark all blocks but those of smallest effect on the predictions whose effects together stay within the budget."""
    order = np.argsort(effect, kind="stable")
    kept = np.ones(len(effect), dtype=bool)
    kept[order[np.cumsum(effect[order]) <= budget]] = False
    return kept
