r"""Heuristic pricing for vector outputs: neurons and output directions improve each other in turn.

.. math:: \max_{\|u\| = 1} \|N^\top \sigma(X u)\|_2, \qquad
          u \leftarrow X^\top (\sigma'(X u) \circ N c), \quad c = N^\top \sigma(X u) \text{ normalised}
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from ..networks._arrays import row_norms
from ..networks.activations import activate
from ..pricing.ascent import price_ascent
from ..pricing.outputs import scalar_problem

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["price_shared"]

_STEPS = 60
_ENTRIES = 1_500_000
_SAME = 1e-4

_Found = tuple[np.ndarray, np.ndarray, np.ndarray]


def price_shared(
    problem: TrainingProblem, N: np.ndarray, current: np.ndarray, count: int, most: int,
    generator: np.random.Generator, deadline: float = np.inf,
) -> _Found:  # fmt: skip
    """Distinct directions of large value: atoms (A, q), output directions (A, k), values (A,), best first."""
    if not np.any(N):
        return np.zeros((0, problem.extended.shape[1])), np.zeros((0, N.shape[1])), np.zeros(0)
    if problem.bias == "free":
        U = _by_directions(problem, N, current, count, generator, deadline)
    else:
        count = int(max(8, min(count, _ENTRIES // problem.n)))
        U = _climb(problem, N, _starts(problem, N, current, count, generator), deadline)
    return _listed(problem, N, U, most)


def _starts(
    problem: TrainingProblem, N: np.ndarray, current: np.ndarray, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Random directions, heavy rows, responses of output directions, current neurons and perturbed copies."""
    rows = problem.extended
    spread = np.sqrt(np.mean(rows**2, axis=0))
    spread[spread == 0] = 1.0
    random = generator.standard_normal((count, rows.shape[1]))
    random[::2] /= spread
    heavy = rows[np.argsort(-row_norms(N) * row_norms(rows))[: count // 4]]
    parts = [random, heavy, N.T @ rows, -N.T @ rows]
    if len(current):
        chosen = current[np.arange(count // 2) % len(current)]
        noise = generator.standard_normal(chosen.shape) / spread
        noise *= (np.array([0.05, 0.15, 0.4])[np.arange(len(noise)) % 3] / row_norms(noise))[:, None]
        parts += [current, chosen / np.maximum(row_norms(chosen), 1e-300)[:, None] + noise]
    U = np.concatenate(parts)
    sizes = row_norms(U)
    return U[sizes > 0] / sizes[sizes > 0, None]


def _evaluate(problem: TrainingProblem, N: np.ndarray, U: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (A,) and gradients (A, q)."""
    z = U @ problem.extended.T
    slopes = np.where(z > 0, 1.0, problem.kappa)
    response = (slopes * z) @ N
    values = row_norms(response)
    slopes *= (response / np.maximum(values, 1e-300)[:, None]) @ N.T
    return values, slopes @ problem.extended


def _climb(problem: TrainingProblem, N: np.ndarray, U: np.ndarray, deadline: float) -> np.ndarray:
    """Steps towards the normalised gradient, each direction with a step length of its own."""
    values, G = _evaluate(problem, N, U)
    step = np.ones(len(U))
    for round_ in range(_STEPS):
        if time.perf_counter() > deadline:
            break
        if round_ in (8, 20) and len(U) > 24:
            best = np.argsort(-values)[: len(U) // 2]
            U, values, G, step = U[best], values[best], G[best], step[best]
        trial = (1 - step)[:, None] * U + (step / np.maximum(row_norms(G), 1e-300))[:, None] * G
        trial /= np.maximum(row_norms(trial), 1e-300)[:, None]
        trial_values, trial_G = _evaluate(problem, N, trial)
        better = trial_values > values
        U[better], values[better], G[better] = trial[better], trial_values[better], trial_G[better]
        step = np.where(better, np.minimum(1.5 * step, 1), 0.3 * step)
        if np.all(step < 1e-7):
            break
    return U


def _by_directions(
    problem: TrainingProblem, N: np.ndarray, current: np.ndarray, count: int, generator: np.random.Generator,
    deadline: float,
) -> np.ndarray:  # fmt: skip
    """Free biases: scalar ascents for output directions, which then follow the neurons found."""
    base = scalar_problem(problem, np.ascontiguousarray(N[:, 0]))
    k = N.shape[1]
    directions = [*np.linalg.svd(N, full_matrices=False)[2], *generator.standard_normal((min(4, k), k))]
    noise = 1e-12 * float(np.max(np.abs(N)))
    found = [current]
    for c in directions:
        c = c / np.linalg.norm(c)
        for _ in range(3):
            nu = N @ c
            nu -= nu.mean()
            if time.perf_counter() > deadline or float(np.max(np.abs(nu))) <= noise:
                break
            starts = current.T if len(current) else None
            atoms = price_ascent(
                base, _summing_to_zero(nu), n_starts=max(8, count // 8), random_state=generator, starts=starts,
                max_atoms=3,
            ).atoms.T  # fmt: skip
            if not len(atoms):
                break
            found.append(atoms)
            response = N.T @ activate(problem.extended @ atoms[0], problem.kappa)
            if not np.linalg.norm(response) > 0:
                break
            c = response / np.linalg.norm(response)
    return np.concatenate(found)


def _summing_to_zero(nu: np.ndarray) -> np.ndarray:
    """On a grid on which the sum is exact, the rest taken from the largest entry."""
    grid = 2.0 ** np.ceil(np.log2(float(np.max(np.abs(nu))))) * 2.0**-40
    steps = np.round(nu / grid)
    steps[np.argmax(np.abs(steps))] -= steps.sum()
    return steps * grid


def _listed(problem: TrainingProblem, N: np.ndarray, U: np.ndarray, most: int) -> _Found:
    """Norm one, the best distinct ones."""
    inner = problem.d if problem.bias == "free" else problem.extended.shape[1]
    sizes = row_norms(U[:, :inner])
    U = U[sizes > 0] / sizes[sizes > 0, None]
    hidden = activate(problem.extended @ U.T, problem.kappa)
    response = hidden.T @ N
    values = row_norms(response)
    hidden /= np.maximum(np.linalg.norm(hidden, axis=0), 1e-300)
    kept: list[int] = []
    for j in np.argsort(-values, kind="stable")[: 8 * most].tolist():
        if len(kept) < most and values[j] > 0 and not np.any(hidden[:, kept].T @ hidden[:, j] > 1 - _SAME):
            kept.append(j)
    return U[kept], response[kept] / values[kept, None], values[kept]
