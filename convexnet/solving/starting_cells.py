"""Where cell generation starts: cells of a gradient-trained network, or cells that make interpolation feasible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrangements import PatternSet, patterns_at, sample_patterns
from ..errors import ConvexNetError, InfeasibleError
from ..networks.shallow import ShallowNetwork
from .master import Pair

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["cell_index", "feasible_cells", "likely_patterns", "network_cells", "trained_start"]


def cell_index(patterns: PatternSet) -> dict[bytes, int]:
    """Map each pattern (packed bits as bytes) to its column.

    Examples
    --------
    >>> from convexnet import enumerate_patterns
    >>> len(cell_index(enumerate_patterns([[1.0], [2.0]])))
    2
    """
    packed = np.ascontiguousarray(np.packbits(patterns.patterns, axis=0).T)
    return {row.tobytes(): index for index, row in enumerate(packed)}


def network_cells(problem: TrainingProblem, network: ShallowNetwork, index: dict[bytes, int]) -> list[Pair]:
    """(cell, sign) pairs of a network's neurons, for those whose pattern is listed; scalar outputs."""
    packed = np.packbits(network.activation_patterns(problem.X), axis=0).T
    pairs = []
    for row, amplitude in zip(packed, network.output_weights, strict=True):
        cell = index.get(np.ascontiguousarray(row).tobytes())
        if cell is not None and amplitude != 0:
            pairs.append((cell, 1 if amplitude > 0 else -1))
    return list(dict.fromkeys(pairs))


def trained_start(
    problem: TrainingProblem, random_state: int, time_limit: float | None, width: int = 60
) -> ShallowNetwork | None:
    """One gradient-trained network of moderate accuracy, or None where gradients do not apply."""
    from ..baselines import train

    if problem.loss.name == "interpolation" or not problem.scalar:
        return None
    try:
        runs = train(
            problem, method="lbfgs", width=width, n_starts=1, max_iter=400, random_state=random_state,
            time_limit=time_limit,
        )  # fmt: skip
    except ConvexNetError:
        return None
    return runs.best if np.isfinite(runs.best_objective) else None


def likely_patterns(problem: TrainingProblem, n_sampled: int, random_state: int, time_limit: float) -> PatternSet:
    """A partial list where all patterns are too many: random ones, and those around a trained network's neurons."""
    X = problem.extended
    sampled = sample_patterns(X, n_sampled, random_state=random_state)
    network = None if sampled.complete else trained_start(problem, random_state, time_limit)
    if network is None or network.n_neurons == 0:
        return sampled
    joined = np.column_stack([network.weights, network.biases])[:, : X.shape[1]]
    directions = joined[network.neuron_norms(problem.bias, problem.norm) * np.abs(network.output_weights) > 1e-8].T
    generator = np.random.default_rng(random_state)
    spread = 1e-3 * np.linalg.norm(directions, axis=0) / np.maximum(np.abs(X).max(axis=0), 1e-300)[:, None]
    spread = spread * np.abs(X).max()
    nearby = [directions + spread * generator.standard_normal(directions.shape) for _ in range(2)]
    return patterns_at(X, np.column_stack([directions, *nearby, sampled.witnesses]))


def feasible_cells(problem: TrainingProblem, patterns: PatternSet) -> list[Pair]:
    r"""Cells over which ``f(X) = y`` has a solution, found greedily.

    Both signs of a cell together produce every vector of ``D_p X R^q`` (a cone with interior generates the space), so
    interpolation over cells is feasible exactly when y lies in the span of their columns and the free columns.

    Raises
    ------
    InfeasibleError
        If y is outside the span over all listed cells; its ``certificate`` is orthogonal to every output.
    """
    keep = np.ones(problem.n, bool) if problem.sample_weight is None else problem.sample_weight > 0
    X, y = problem.extended[keep], problem.y[keep]
    scale = np.maximum(np.linalg.norm(X, axis=0), 1e-300)
    basis = _orthonormal(problem.free_columns[keep])
    chosen: list[int] = []
    residual = y - basis @ (basis.T @ y)
    size = float(np.linalg.norm(y))
    while np.linalg.norm(residual) > 1e-9 * size:
        gains = _gains(X / scale, patterns.patterns[keep], problem.kappa, residual)
        cell = int(np.argmax(gains))
        if gains[cell] <= 1e-9 * float(np.linalg.norm(residual)):
            certificate = np.zeros(problem.n)
            certificate[keep] = residual
            raise InfeasibleError(
                "No network interpolates these targets"
                + ("" if patterns.complete else " with the listed activation patterns")
                + ": the attached vector is orthogonal, to working precision, to every network's output but not to y. "
                "Usual cause: repeated or parallel rows of X with different y; use loss='squared' instead.",
                certificate,
            )
        chosen.append(cell)
        gate = np.where(patterns.patterns[keep, cell] > 0, 1.0, problem.kappa)
        basis = _orthonormal(np.column_stack([basis, gate[:, None] * X / scale]))
        residual = y - basis @ (basis.T @ y)
    # Targets that the free terms fit alone need no cell, but a program needs one.
    return [(cell, sign) for cell in dict.fromkeys(chosen or [0]) for sign in (1, -1)]


def _gains(X: np.ndarray, patterns: np.ndarray, kappa: float, residual: np.ndarray) -> np.ndarray:
    gains = np.empty(patterns.shape[1])
    for start in range(0, len(gains), 4096):
        gates = kappa + (1 - kappa) * patterns[:, start : start + 4096].astype(float)
        gains[start : start + 4096] = np.linalg.norm(X.T @ (residual[:, None] * gates), axis=0)
    return gains


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    if columns.shape[1] == 0:
        return columns
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    return u[:, s > 1e-11 * s[0]] if s[0] > 0 else u[:, :0]
