"""What column generation prices over: a given dictionary, the rays of the l1 norm, the cells of the l2 norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..pricing import CellPricer, feasible_dual
from ..pricing.rays import RayPricer
from ._column_generation import Atoms
from .dual_newton import refined

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["CellOracle", "ListOracle", "RayOracle", "no_atoms"]

_EPS = float(np.finfo(np.float64).eps)
_SMALLEST, _REFINED = 1e-300, 400
_OUTSIDE = 1e-10
"""Distance, relative to the row, up to which a neuron beyond the hyperplane of a row still lies in the closed cell."""
_CHUNK = 4096
_NEWTON = 1e-3
"""Relative gap below which Newton's method on the dual vector is tried."""


def no_atoms(problem: TrainingProblem) -> Atoms:
    """An empty list."""
    return Atoms(np.zeros((problem.extended.shape[1], 0)), np.zeros(0), np.zeros(0, dtype=int))


def _best(scores: np.ndarray, threshold: float, most: int) -> np.ndarray:
    """Indices of the largest scores above the threshold."""
    above = np.flatnonzero(scores > threshold)
    if len(above) > most:
        above = above[np.argpartition(-scores[above], most)[:most]]
    return above[np.argsort(-scores[above], kind="stable")]


class ListOracle:
    """A finite list of atoms of norm one, each with its sign."""

    def __init__(self, problem: TrainingProblem, atoms: Atoms, max_new: int) -> None:
        self.problem, self.atoms, self.max_new = problem, atoms, max_new
        self.columns = atoms.columns(problem)
        n, q = problem.extended.shape
        rows = np.linalg.norm(problem.extended, axis=1)
        lengths = np.linalg.norm(atoms.directions, axis=0)
        # rounding of sigma(x . u) and of its product with nu
        self._error = 4 * (n + q + 8) * _EPS * rows
        self._longest = float(np.max(lengths, initial=0.0))

    def price(self, nu: np.ndarray, threshold: float, deadline: float) -> tuple[float, Atoms]:
        """See :class:`Oracle`."""
        scores = nu @ self.columns
        noise = float(self._error @ np.abs(nu)) * self._longest
        top = float(np.max(scores, initial=0.0)) + noise
        return top, self.atoms.take(_best(scores, threshold, self.max_new))

    def aligned(self, nu: np.ndarray) -> Atoms:
        """See :class:`Oracle`."""
        cosines = (nu @ self.columns) / np.maximum(np.linalg.norm(self.columns, axis=0), _SMALLEST)
        return self.atoms.take(_best(cosines, 0.0, self.max_new))

    def improved(
        self, atoms: Atoms, amplitudes: np.ndarray, network: ShallowNetwork, nu: np.ndarray, gap: float
    ) -> tuple[Atoms, np.ndarray | None]:
        """Nothing: the list is what there is."""
        return no_atoms(self.problem), None


class RayOracle:
    """All rays of the l1 norm, hence all neurons; ``origin`` counts them as in ``pricer.rays.directions``."""

    def __init__(self, problem: TrainingProblem, pricer: RayPricer, max_new: int) -> None:
        self.problem, self.pricer, self.max_new = problem, pricer, max_new

    def price(self, nu: np.ndarray, threshold: float, deadline: float) -> tuple[float, Atoms]:
        """See :class:`Oracle`."""
        table = self.pricer.scores(nu)
        top, scores = self.pricer.bound(nu, table), table.ravel()
        index = _best(np.abs(scores), threshold, self.max_new)
        return top, Atoms(self.pricer.rays.directions[:, index], np.where(scores[index] > 0, 1.0, -1.0), index)

    def aligned(self, nu: np.ndarray) -> Atoms:
        """See :class:`Oracle`."""
        scores = self.pricer.scores(nu).ravel()
        cosines = np.abs(scores) / np.maximum(self.pricer.lengths.ravel(), _SMALLEST)
        index = _best(cosines, 0.0, self.max_new)
        return Atoms(self.pricer.rays.directions[:, index], np.where(scores[index] > 0, 1.0, -1.0), index)

    def improved(
        self, atoms: Atoms, amplitudes: np.ndarray, network: ShallowNetwork, nu: np.ndarray, gap: float
    ) -> tuple[Atoms, np.ndarray | None]:
        """Nothing: the list is complete."""
        return no_atoms(self.problem), None


class CellOracle:
    """All neurons of the listed cells, by one projection for each cell that the screen leaves."""

    def __init__(self, problem: TrainingProblem, pricer: CellPricer, max_new: int) -> None:
        self.problem, self.pricer, self.max_new = problem, pricer, max_new

    def price(self, nu: np.ndarray, threshold: float, deadline: float) -> tuple[float, Atoms]:
        """See :class:`Oracle`."""
        for refined_cells in (_REFINED, None):  # all of them only where few have shown no violated pair
            result = self.pricer.price(
                nu, threshold=threshold, max_refined=refined_cells, max_violators=self.max_new, deadline=deadline
            )
            if result.value > threshold or result.bound <= threshold * (1 + 1e-9):
                break
        pairs = [(v.cell, v.sign) for v in result.violators]
        directions = [self.pricer.geometry.price(self._pattern(cell), sign * nu).direction for cell, sign in pairs]
        signs = [float(sign) for _, sign in pairs]
        if result.value > threshold:
            directions.append(result.atom)
            signs.append(float(result.sign))
        table = np.array(directions).reshape(len(signs), self.problem.extended.shape[1]).T
        return result.bound, self.inside(Atoms(table, np.array(signs), np.full(len(signs), -1)))

    def aligned(self, nu: np.ndarray) -> Atoms:
        """See :class:`Oracle`."""
        return self.price(nu, 0.0, np.inf)[1]

    def _pattern(self, cell: int) -> np.ndarray:
        return self.pricer.patterns.patterns[:, cell]

    def improved(
        self, atoms: Atoms, amplitudes: np.ndarray, network: ShallowNetwork, nu: np.ndarray, gap: float
    ) -> tuple[Atoms, np.ndarray | None]:
        """Sums of atoms that meet in a cell; near the optimum the dual vector and atoms of Newton's method."""
        sums = self.inside(self._sums(atoms, amplitudes))
        if gap > _NEWTON:
            return sums, None
        better = refined(self.problem, feasible_dual(self.problem, nu).nu, network)
        if not np.isfinite(better.residual):
            return sums, None
        found = Atoms(better.directions, better.signs, np.full(len(better.signs), -1))
        return sums.joined(self.inside(found)), better.nu

    def inside(self, atoms: Atoms) -> Atoms:
        """Those of the atoms that lie in a listed closed cell: all of them where no cell is missing."""
        if self.pricer.complete or not len(atoms):
            return atoms
        geometry, u = self.pricer.geometry, atoms.directions
        outputs = self.problem.extended @ u
        lengths = np.linalg.norm(u, axis=0)
        if geometry.free:  # in the coordinates of the centred rows, where the lengths say how far a neuron is out
            lengths = np.linalg.norm(np.vstack([u[:-1], (u[-1] + geometry.centre @ u[:-1]) / geometry.radius]), axis=0)
        noise = _OUTSIDE * geometry.sizes[:, None] * lengths
        noise += 4 * self.problem.extended.shape[1] * _EPS * (np.abs(self.problem.extended) @ np.abs(u))
        # a neuron is outside a cell where a row that it decides has the other sign
        decided = np.where(np.abs(outputs) > noise, np.sign(outputs), 0.0)
        listed = np.zeros(len(atoms), dtype=bool)
        for start in range(0, len(self.pricer.patterns), _CHUNK):
            signs = 2.0 * self.pricer.patterns.patterns[:, start : start + _CHUNK] - 1.0
            listed |= np.any(signs.T @ decided == np.abs(decided).sum(axis=0), axis=0)
        return atoms.take(np.flatnonzero(listed))

    def _sums(self, atoms: Atoms, amplitudes: np.ndarray) -> Atoms:
        """Sums of atoms of one sign and cell: the same output at a smaller norm."""
        used = np.flatnonzero(amplitudes > 0)
        active = (self.problem.extended @ atoms.directions[:, used] > 0).T
        keys = np.packbits(np.column_stack([active, atoms.signs[used] > 0]), axis=1)
        _, group, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
        group = group.ravel()
        sums = np.zeros((self.problem.extended.shape[1], len(counts)))
        np.add.at(sums.T, group, (atoms.directions[:, used] * amplitudes[used]).T)
        signs = np.zeros(len(counts))
        signs[group] = atoms.signs[used]
        many = np.flatnonzero(counts > 1)
        penalised = sums[:-1, many] if self.problem.bias == "free" else sums[:, many]
        sizes = np.linalg.norm(penalised, axis=0)
        good = sizes > 0
        return Atoms(sums[:, many[good]] / sizes[good], signs[many[good]], np.full(int(good.sum()), -1))
