r"""Cells from which interpolation starts: those that touch the neurons of the best network of extreme rays.

Every cell is spanned by its extreme rays, so neurons along rays interpolate whatever can be interpolated. The linear
program over all of them costs little, for the rays are priced by one matrix product, and its optimum is close to that
over all neurons: the optimal neurons lie on borders of cells as a rule.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..networks.activations import activate
from ..networks.shallow import ShallowNetwork
from ..pricing.spectral import direction_norms
from ._atom_program import AtomPoint, AtomProgram
from .master import Pair

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["RayStart", "ray_start"]

_CHUNK = 4096
_FIRST, _MORE = 4, 4
"""Random rays of the first program, and the most that are added a round, for each sample."""
_PRICED = 1e-7
_ROUNDS = 100


@dataclass(frozen=True, eq=False)
class RayStart:
    """Cells and signs to start from, the network of rays, and the dual vector of its program."""

    pairs: list[Pair]
    network: ShallowNetwork
    nu: np.ndarray


def ray_start(
    problem: TrainingProblem, patterns: PatternSet, deadline: float, random_state: int = 0
) -> RayStart | None:
    """Solve the program over the extreme rays of all cells; None without rays or where it finds no exact fit."""
    if patterns.rays is None or patterns.rank == 0 or not patterns.complete:
        return None
    pool = _Rays(problem, patterns)
    program = AtomProgram(problem)
    members = np.flatnonzero(np.tile(pool.usable, 2))
    count = min(_FIRST * problem.n, len(members))
    first = np.random.default_rng(random_state).choice(members, count, replace=False)
    program.add(pool.directions(np.concatenate([first, first])), np.repeat([1.0, -1.0], count))
    known = {(int(ray), sign) for ray in first for sign in (1, -1)}
    atoms = [(int(ray), 1) for ray in first] + [(int(ray), -1) for ray in first]
    point: AtomPoint | None = None
    for _ in range(_ROUNDS):
        latest = program.solve(max(deadline - time.perf_counter(), 0.05))
        if latest is None:
            break
        point = latest
        new = pool.violated(point.nu, _MORE * problem.n, known)
        if not new or time.perf_counter() > deadline:
            break
        known.update(new)
        atoms += new
        program.add(pool.directions(np.array([ray for ray, _ in new])), np.array([sign for _, sign in new]))
    if point is None or not point.met:
        return None
    used = np.flatnonzero(point.amplitudes > 1e-12 * np.max(point.amplitudes, initial=0.0))
    pairs = pool.cells([atoms[k] for k in used])
    return RayStart(pairs, program.network(point), point.nu) if pairs else None


class _Rays:
    """The rays of all cells: numbers below ``count`` are the listed directions, the others their opposites."""

    def __init__(self, problem: TrainingProblem, patterns: PatternSet) -> None:
        assert patterns.rays is not None
        self.problem, self.rays = problem, patterns.rays
        lines = patterns.rays.directions
        if patterns.rank < problem.extended.shape[1]:
            basis = np.linalg.svd(problem.extended, full_matrices=False)[2][: patterns.rank]
            lines = basis.T @ (basis @ lines)
        sizes = direction_norms(problem, lines)
        # with free biases the rays w = 0 are constants, which the intercept makes at no cost
        self.usable = sizes > 1e-12 * np.linalg.norm(lines, axis=0)
        self.lines = lines / np.where(self.usable, sizes, 1.0)
        self.count = lines.shape[1]

    def directions(self, members: np.ndarray) -> np.ndarray:
        """Unit neurons (q, K)."""
        return self.lines[:, members % self.count] * np.where(members < self.count, 1.0, -1.0)

    def violated(self, nu: np.ndarray, limit: int, known: set[Pair]) -> list[Pair]:
        """The rays of largest ``|nu . sigma(X v)| > 1`` that are not in the program yet."""
        X, kappa = self.problem.extended, self.problem.kappa
        forward = np.empty(self.count)
        for start in range(0, self.count, _CHUNK):
            forward[start : start + _CHUNK] = nu @ activate(X @ self.lines[:, start : start + _CHUNK], kappa)
        # sigma(-t) = sigma(t) - (1 + kappa) t
        scores = np.concatenate([forward, forward - (1 + kappa) * ((X.T @ nu) @ self.lines)])
        scores[~np.tile(self.usable, 2)] = 0.0
        excess = np.abs(scores)
        order = np.argsort(-excess, kind="stable")[:limit]
        found = [(int(ray), 1 if scores[ray] > 0 else -1) for ray in order if excess[ray] > 1 + _PRICED]
        return [pair for pair in found if pair not in known]

    def cells(self, atoms: list[Pair]) -> list[Pair]:
        """(cell, sign) pairs of the cells that touch the rays."""
        cell = np.repeat(np.arange(len(self.rays)), np.diff(self.rays.cell_ptr))
        number = self.rays.ray_index + self.count * (self.rays.ray_sign < 0)
        order = np.argsort(number, kind="stable")
        left = np.searchsorted(number[order], [ray for ray, _ in atoms], side="left")
        right = np.searchsorted(number[order], [ray for ray, _ in atoms], side="right")
        pairs: dict[Pair, None] = {}
        for (_, sign), start, end in zip(atoms, left, right, strict=True):
            pairs.update(dict.fromkeys((int(p), sign) for p in cell[order[start:end]]))
        return list(pairs)
