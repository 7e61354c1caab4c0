r"""Heuristic pricing for the ReLU solver: many directions climb smoothed versions of the pricing function at once.

.. math:: \max_{\|u\| = 1} \pm \nu^\top \sigma_h(X u; \theta), \qquad h = 0.1, 0.02, 0.005

The slopes ``theta`` follow the direction as in the solver itself, so that the kinks of the raw function, on which a
plain ascent stalls, cost no accuracy. Half of the starts are random, half are the neurons at hand, well perturbed.
Single precision; what is returned is evaluated again in double precision.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from ..networks._arrays import row_norms
from ..networks.activations import activate
from ..pricing.ascent import price_ascent
from ..pricing.spectral import direction_norms

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Pricer"]

_WIDTHS = (0.1, 0.02, 0.005)
_KEPT = (0.6, 0.5, 0.5)
"""Share of the directions that go on after each width."""
_STEPS = 20
_MOVES = 5
"""Steps between two moves of the slopes."""
_ENTRIES = 1_500_000
"""Most entries of a matrix of responses."""
_SAME = 1e-3

_Found = tuple[np.ndarray, np.ndarray, np.ndarray]


class Pricer:
    """Pricing of one problem for changing dual vectors."""

    def __init__(self, problem: TrainingProblem, generator: np.random.Generator) -> None:
        self.problem, self.generator = problem, generator
        rows = problem.extended
        top = float(np.max(np.abs(rows), initial=0.0)) or 1.0
        self.rows = (rows / top).astype(np.float32)
        self.columns = np.ascontiguousarray(self.rows.T)
        sizes = row_norms(self.rows)
        self.sizes = np.where(sizes > 0, sizes, 1.0).astype(np.float32)
        self.spread = np.sqrt(np.mean(rows**2, axis=0))
        self.spread[self.spread == 0] = 1.0

    def search(
        self, nu: np.ndarray, current: np.ndarray, count: int, max_atoms: int, deadline: float = np.inf
    ) -> _Found:
        """Distinct directions of large value: atoms (A, q), signs, values, best first.

        ``current`` (m, q) are the neurons at hand: perturbed, they are starts as well.
        """
        if self.problem.bias == "free":
            return self.exact(nu, current, count, max_atoms, deadline)
        count = int(max(8, min(count, _ENTRIES // self.problem.n)))
        top = float(np.max(np.abs(nu), initial=0.0))
        if top == 0:
            return np.zeros((0, self.rows.shape[1])), np.zeros(0), np.zeros(0)
        r = (nu / top).astype(np.float32)
        near, near_signs = self._near_starts(nu, current, count // 2)
        far, far_signs = self._far_starts(r, count - len(near))
        atoms, signs = np.concatenate([near, far]), np.concatenate([near_signs, far_signs])
        slopes = None
        for width, share in zip(_WIDTHS, _KEPT, strict=True):
            atoms, slopes = self._climb(r, atoms, signs, width, slopes, deadline)
            kept = np.argsort(-self._raw(r, atoms, signs), kind="stable")[: max(24, int(share * len(atoms)))]
            atoms, signs, slopes = atoms[kept], signs[kept], slopes[kept]
        return self._listed(nu, atoms.astype(np.float64), max_atoms)

    def exact(
        self, nu: np.ndarray, current: np.ndarray, count: int, max_atoms: int, deadline: float
    ) -> _Found:
        """Local maxima of the raw function, finished exactly; slower."""
        seconds = max(deadline - time.perf_counter(), 1e-3)
        starts = np.vstack([current, self._perturbed(current, count // 2)])
        result = price_ascent(
            self.problem, nu, n_starts=count // 2, random_state=self.generator, starts=starts.T,
            time_limit=min(seconds, 1e6), max_atoms=max_atoms,
        )  # fmt: skip
        return np.ascontiguousarray(result.atoms.T), result.signs.astype(np.float64), result.values

    def _far_starts(self, r: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of simple patterns, heavy rows and random directions, each for one sign or for both."""
        parts = [np.maximum(r, 0) @ self.rows, np.minimum(r, 0) @ self.rows, r @ self.rows]
        natural = np.array([*parts, *(-part for part in parts)])
        heavy = np.argsort(-np.abs(r) * self.sizes)[: count // 4]
        random = self.generator.standard_normal((max(count - len(heavy) - 6, 8), self.rows.shape[1]))
        random[::2] /= self.spread
        starts = np.concatenate([natural, self.rows[heavy], random]).astype(np.float32)
        signs = np.where(np.arange(len(starts)) % 2, -1.0, 1.0).astype(np.float32)
        signs[: len(natural)] = [1, -1, 1, 1, -1, -1]
        signs[len(natural) : len(natural) + len(heavy)] = np.sign(r[heavy])
        return starts, np.where(signs == 0, 1, signs).astype(np.float32)

    def _near_starts(self, nu: np.ndarray, current: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Current neurons and perturbed copies, with the sign of their value."""
        starts = np.vstack([current, self._perturbed(current, count)])
        if not len(starts):
            starts = self.generator.standard_normal((count, self.rows.shape[1])) / self.spread
        scores = nu @ activate(self.problem.extended @ starts.T, self.problem.kappa)
        return starts.astype(np.float32), np.where(scores < 0, -1.0, 1.0).astype(np.float32)

    def _perturbed(self, current: np.ndarray, count: int) -> np.ndarray:
        if not len(current):
            return current
        chosen = current[np.arange(count) % len(current)]
        noise = self.generator.standard_normal(chosen.shape) / self.spread
        noise /= row_norms(noise)[:, None]
        size = np.array([0.3, 0.6, 0.15])[np.arange(count) // len(current) % 3]
        return chosen / np.maximum(row_norms(chosen), 1e-300)[:, None] + size[:, None] * noise

    def _raw(self, r: np.ndarray, U: np.ndarray, signs: np.ndarray) -> np.ndarray:
        """Values of the raw function."""
        return signs * (activate(U @ self.columns, self.problem.kappa) @ r)

    def _evaluate(
        self, r: np.ndarray, U: np.ndarray, signs: np.ndarray, h: np.ndarray, centre: np.ndarray | float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values (A,) and gradients (A, q) of the smoothed function, and the slopes (A, n)."""
        slopes = U @ self.columns
        slopes /= h
        slopes += centre
        np.clip(slopes, np.float32(self.problem.kappa), 1, out=slopes)
        G = (slopes * r) @ self.rows
        excess = slopes - centre
        excess *= excess
        values = np.einsum("ij,ij->i", G, U) - excess @ (0.5 * h * r)
        return signs * values, signs[:, None] * G, slopes

    def _climb(
        self, r: np.ndarray, U: np.ndarray, signs: np.ndarray, width: float, centre: np.ndarray | None, deadline: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Steps towards the normalised gradient, each direction with a step length of its own; the slopes move."""
        U = U / np.maximum(row_norms(U), 1e-30)[:, None]
        h = np.float32(width) * self.sizes
        at: np.ndarray | float = 0.0 if centre is None else centre
        values, G, slopes = self._evaluate(r, U, signs, h, at)
        step = np.ones(len(U), dtype=np.float32)
        for count in range(1, _STEPS + 1):
            if time.perf_counter() > deadline:
                break
            sizes = np.maximum(row_norms(G), 1e-30)
            trial = (1 - step)[:, None] * U + (step / sizes)[:, None] * G
            trial /= np.maximum(row_norms(trial), 1e-30)[:, None]
            trial_values, trial_G, trial_slopes = self._evaluate(r, trial, signs, h, at)
            better = trial_values > values
            U[better], values[better], G[better] = trial[better], trial_values[better], trial_G[better]
            slopes[better] = trial_slopes[better]
            step = np.where(better, np.minimum(1.5 * step, 1), 0.3 * step).astype(np.float32)
            if count % _MOVES == 0:
                at = slopes.copy()
                values, G, slopes = self._evaluate(r, U, signs, h, at)
        return U, slopes

    def _listed(self, nu: np.ndarray, atoms: np.ndarray, max_atoms: int) -> _Found:
        """Norm one, values in double precision, the best distinct ones."""
        sizes = direction_norms(self.problem, atoms.T)
        atoms = atoms[sizes > 0] / sizes[sizes > 0, None]
        responses = activate(self.problem.extended @ atoms.T, self.problem.kappa)
        scores = nu @ responses
        order = np.argsort(-np.abs(scores), kind="stable")[: 6 * max_atoms]
        units = responses[:, order] / np.maximum(np.linalg.norm(responses[:, order], axis=0), 1e-300)
        same = (units.T @ units > 1 - _SAME) & (np.sign(scores[order])[:, None] == np.sign(scores[order]))
        kept: list[int] = []
        for i in range(len(order)):
            if len(kept) < max_atoms and not same[i, kept].any():
                kept.append(i)
        chosen = order[kept]
        return atoms[chosen], np.where(scores[chosen] < 0, -1.0, 1.0), np.abs(scores[chosen])
