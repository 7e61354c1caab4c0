"""Neurons as the ReLU solver moves them: from and to networks, resized, merged, joined by new ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..networks.activations import activate
from ..pricing.spectral import direction_norms
from ._amplitudes import amplitudes
from ._assembled import assembled
from ._kinks import Neurons

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = [
    "appended", "empty_state", "merged", "network_of", "predictions", "resized", "state_of", "taken", "with_slopes",
]  # fmt: skip


def empty_state(problem: TrainingProblem) -> Neurons:
    """No neurons, free coefficients zero."""
    q = problem.extended.shape[1]
    return Neurons(np.zeros((0, q)), np.zeros(0), np.zeros(problem.free_columns.shape[1]), np.zeros((problem.n, 0)))


def state_of(problem: TrainingProblem, network: ShallowNetwork) -> Neurons:
    """The neurons of a network, amplitudes absorbed; neurons of norm zero (constants) go to the intercept."""
    u = np.column_stack([network.weights, network.biases])[:, : problem.extended.shape[1]]
    u = u * np.abs(network.output_weights)[:, None]
    signs = np.where(network.output_weights < 0, -1.0, 1.0)
    keep = direction_norms(problem, u.T) > 0
    intercept = float(network.intercept) + float(signs[~keep] @ activate(u[~keep, -1], problem.kappa))
    skip = np.zeros(problem.d) if network.skip is None else network.skip
    free = np.concatenate([skip if problem.skip else [], [intercept] if problem.intercept else []])
    return with_slopes(problem, u[keep], signs[keep], free)


def with_slopes(problem: TrainingProblem, u: np.ndarray, signs: np.ndarray, free: np.ndarray) -> Neurons:
    """Slopes as the true activation has them."""
    return Neurons(u, signs, free, np.where(problem.extended @ u.T > 0, 1.0, problem.kappa))


def network_of(problem: TrainingProblem, state: Neurons) -> ShallowNetwork:
    """The balanced network of a state."""
    return assembled(problem, state.u.T, state.signs, state.free).balanced(problem.bias, problem.norm)


def predictions(problem: TrainingProblem, state: Neurons) -> np.ndarray:
    """Predictions on the data, (n,)."""
    hidden = activate(problem.extended @ state.u.T, problem.kappa)
    return hidden @ state.signs + problem.free_columns @ state.free


def taken(state: Neurons, keep: np.ndarray) -> Neurons:
    """Some of the neurons."""
    return Neurons(state.u[keep], state.signs[keep], state.free, state.theta[:, keep])


def appended(problem: TrainingProblem, state: Neurons, u: np.ndarray, signs: np.ndarray) -> Neurons:
    """More neurons, with the slopes of the true activation."""
    theta = np.where(problem.extended @ u.T > 0, 1.0, problem.kappa)
    return Neurons(
        np.vstack([state.u, u]), np.append(state.signs, signs), state.free, np.hstack([state.theta, theta])
    )


def resized(problem: TrainingProblem, state: Neurons, deadline: float = np.inf) -> Neurons:
    """Best amplitudes of the directions at hand; neurons of amplitude zero go."""
    sizes = direction_norms(problem, state.u.T)
    state, sizes = taken(state, sizes > 0), sizes[sizes > 0]
    directions = state.u / sizes[:, None]
    columns = activate(problem.extended @ directions.T, problem.kappa) * state.signs
    if not len(state.u) and not problem.free_columns.size:
        return state
    a, free = amplitudes(problem, columns, sizes, state.free, deadline)
    return taken(replace(state, u=directions * a[:, None], free=free), a > 1e-12 * float(a.max(initial=0.0)))


def merged(problem: TrainingProblem, state: Neurons, slack: float, cosine: float = 0.97) -> Neurons:
    """Add up pairs of similar neurons of one sign while the objective rises by at most ``slack`` in all."""
    budget = slack
    while len(state.u) > 1:
        state, spent = _merging_pass(problem, state, budget, cosine)
        if spent is None:
            break
        budget -= max(spent, 0.0)
    return state


def _merging_pass(
    problem: TrainingProblem, state: Neurons, budget: float, cosine: float
) -> tuple[Neurons, float | None]:
    """Merge disjoint pairs, most similar first; what it cost, or None if no pair fits the budget."""
    rows, reg = problem.extended, problem.reg
    hidden = activate(rows @ state.u.T, problem.kappa)
    f = hidden @ state.signs + problem.free_columns @ state.free
    sizes = direction_norms(problem, state.u.T)
    units = hidden / np.maximum(np.linalg.norm(hidden, axis=0), 1e-300)
    similar = np.triu(units.T @ units * (state.signs[:, None] == state.signs), 1)
    pairs = np.argwhere(similar > cosine)
    pairs = pairs[np.argsort(-similar[pairs[:, 0], pairs[:, 1]])]
    u, keep, spent, done = state.u.copy(), np.ones(len(state.u), dtype=bool), 0.0, False
    touched = np.zeros(len(state.u), dtype=bool)
    value = problem.loss_value(f)
    for i, j in pairs.tolist():
        if touched[i] or touched[j]:
            continue
        both = u[i] + u[j]
        size = float(direction_norms(problem, both[:, None])[0])
        trial = f + state.signs[i] * (activate(rows @ both, problem.kappa) - hidden[:, i] - hidden[:, j])
        loss = problem.loss_value(trial)
        rise = loss - value + reg * (size - sizes[i] - sizes[j])
        if spent + rise <= budget + 1e-15 * abs(value):
            into, out = (i, j) if sizes[i] >= sizes[j] else (j, i)
            u[into], keep[out], f, value = both, False, trial, loss
            touched[[i, j]] = True
            spent, done = spent + max(rise, 0.0), True
    return (taken(replace(state, u=u), keep), spent) if done else (state, None)
