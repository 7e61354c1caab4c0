"""Nodes of the slab search: a part of the unit sphere between parallel planes, and what bounds a form on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..networks._arrays import row_norms
from .forms import PricingForm

__all__ = ["Form", "Leaf", "Node", "Options", "Path"]


@dataclass(frozen=True)
class Options:
    """Of the inner loop: steps ``2 / (j + 2 + offset)``, smoothing ``s0 / (1 + decay j)``, cut steps ``rate scale``.

    It stops after ``limit`` iterations, below the target, or when ``pause`` iterations have brought less than the
    share ``progress`` of what is missing; the multipliers' reference point moves every ``every`` iterations.
    """

    limit: int = 120
    s0: float = 0.02
    rate: float = 0.15
    offset: float = 20.0
    decay: float = 0.1
    every: int = 3
    pause: int = 20
    progress: float = 0.15
    sweeps: int = 3
    scale: float = 1.0


@dataclass(frozen=True)
class Path:
    """Of the interior point steps: at most ``limit``, each aiming at ``shrink`` of the complementarity.

    They start at the node's state with the share ``mix`` of the uniform moments, the barrier ``barrier`` and the
    smoothing ``s0``, multiplied by ``cool`` a step down to ``s1``; the barrier ends at the share ``finish`` of the
    target. They stop when all but the share ``enough`` of what is missing is proven to stay missing.
    """

    limit: int = 12
    shrink: float = 0.2
    mix: float = 1e-3
    barrier: float = 2e-5
    s0: float = 0.02
    s1: float = 1e-3
    enough: float = 0.3
    cool: float = 0.5
    finish: float = 1e-3


def _exponent(size: float) -> int:
    return int(np.frexp(size)[1]) if 0 < size < np.inf else 0


class Form:
    """A pricing form, divided by ``2^power``, with what every node of it needs."""

    def __init__(self, form: PricingForm) -> None:
        self.form = form
        self.d = form.rows.shape[1]
        # Rows of size 1 and a total of size 1, by powers of two: nothing is rounded, and nothing over- or underflows.
        stretch = _exponent(float(np.max(np.abs(form.rows), initial=0.0)))
        self.rows = np.ascontiguousarray(np.ldexp(form.rows, -stretch), dtype=float)
        self.norms = row_norms(self.rows)
        size = float(np.sum(np.abs(np.ldexp(form.weights, stretch)) * self.norms)) + float(np.sum(np.abs(form.linear)))
        self.power = _exponent(size)
        self.weights, self.linear = np.ldexp(form.weights, stretch - self.power), np.ldexp(form.linear, -self.power)
        size = float(np.ldexp(size, -self.power))
        # What is charged for rounding per 40 operations on sums of this size; n more for the sums over decided rows.
        self.mass = size * (1 + len(self.rows) / 32)
        self.slack = float(np.ldexp(form.slack, -self.power))

    @cached_property
    def products(self) -> np.ndarray:
        """``x x'`` of every row, flattened (n, d^2)."""
        return (self.rows[:, :, None] * self.rows[:, None, :]).reshape(len(self.rows), self.d * self.d)

    @cached_property
    def features(self) -> np.ndarray:
        """Coefficients of ``x' U x`` on the upper triangle of U (n, d(d+1)/2)."""
        i, j = np.triu_indices(self.d)
        return np.ascontiguousarray(self.rows[:, i] * self.rows[:, j] * np.where(i == j, 1.0, 2.0))

    def value(self, u: np.ndarray) -> float:
        """F at one direction."""
        return float(self.linear @ u + self.weights @ np.abs(self.rows @ u))


@dataclass(frozen=True, eq=False)
class Leaf:
    """State with the best bound of a node, and the smoothing and ``mu`` that go with it."""

    mean: np.ndarray
    second: np.ndarray
    s: float
    mu: float


def _across(covariance: np.ndarray, stress: np.ndarray) -> np.ndarray:
    """Unit normal of the plane across the part of the deviations that costs most.

    With ``covariance = R R'`` and deviations ``R e`` the quadratics above the convex rows cost ``e' R' stress R e``;
    for the top eigenvector e, ``stress R e`` is the direction whose planes separate these deviations.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    normal = stress @ (root @ np.linalg.eigh(root.T @ stress @ root)[1][:, -1])
    size = float(np.linalg.norm(normal))
    return normal / size if 1e-14 < size < np.inf else vectors[:, -1].copy()


class Node:
    """One part of the sphere: its slabs, its undecided rows, and the state of its relaxation.

    ``mean`` and ``second`` are where the inner loop ended, from where the children start; ``leaf`` is where its bound
    was best. Starting the children there instead makes them worse than their parents.
    """

    __slots__ = (
        "atom", "base", "bound", "cut_key", "cut_value", "form", "high", "index", "leaf", "low", "lower", "mean",
        "normal", "normals", "own", "pull", "record", "refined", "second", "tried", "upper",
    )  # fmt: skip

    def __init__(self, number: int, form: Form) -> None:
        d = form.d
        self.form, self.record, self.refined, self.tried = number, -1, False, False
        self.normals, self.low, self.high = np.zeros((0, d)), np.zeros(0), np.zeros(0)
        self.index = np.arange(len(form.rows), dtype=np.int32)
        self.lower, self.upper, self.base = -form.norms, form.norms.copy(), form.linear.copy()
        self.mean, self.second = np.zeros(d), np.eye(d) / d
        self.cut_key, self.cut_value = np.zeros(0, dtype=np.int32), np.zeros(0)
        self.bound, self.own = np.inf, np.inf
        self.leaf: Leaf | None = None
        self.atom, self.normal, self.pull = np.zeros(d), np.zeros(d), 0.0

    def child(self, low: float, high: float) -> Node:
        """The part with ``low <= normal . u <= high``; its intervals and its bound are still the parent's."""
        new = Node.__new__(Node)
        new.form, new.record, new.refined, new.tried = self.form, -1, False, False
        new.bound, new.own = self.bound, np.inf
        new.normals = np.vstack([self.normals, self.normal])
        new.low, new.high = np.append(self.low, low), np.append(self.high, high)
        new.index, new.lower, new.upper, new.base = self.index, self.lower, self.upper, self.base
        new.mean, new.second, new.leaf = self.mean, self.second, None
        count = len(new.low)
        plane, r, k = np.unravel_index(self.cut_key, (4, max(count - 1, 1), max(count - 1, 1)))
        last = (3 * count - 1) * count + count - 1
        key = np.append(np.ravel_multi_index((plane, r, k), (4, count, count)), last)
        # Larger multipliers are of nodes where the inner loop went astray: the children would not recover.
        usual = np.minimum(self.cut_value, 2.0)
        new.cut_key, new.cut_value = key.astype(np.int32), np.append(usual, 0.5 * max(0.0, self.pull))
        new.atom, new.normal, new.pull = self.atom, self.normal, 0.0
        return new

    def settle(self, form: Form, lower: np.ndarray, upper: np.ndarray) -> None:
        """Take over narrower intervals of the undecided rows; those of one sign become linear."""
        lower, upper = np.maximum(lower, self.lower), np.minimum(upper, self.upper)
        crossed = lower > upper
        lower, upper = np.where(crossed, self.lower, lower), np.where(crossed, self.upper, upper)
        side = np.where(lower >= 0, 1.0, np.where(upper <= 0, -1.0, 0.0))
        decided = self.index[side != 0]
        self.base = self.base + (form.weights[decided] * side[side != 0]) @ form.rows[decided]
        open_ = side == 0
        self.index, self.lower, self.upper = self.index[open_], lower[open_], upper[open_]

    def dense_cuts(self) -> np.ndarray:
        """Multipliers by plane (low low, high high, low high, high low), earlier slab, later slab."""
        count = len(self.low)
        cuts = np.zeros(4 * count * count)
        cuts[self.cut_key] = self.cut_value
        return cuts.reshape(4, count, count)

    def keep(self, own: float, leaf: Leaf, cuts: np.ndarray, atom: np.ndarray, matrix: np.ndarray,
             stress: np.ndarray) -> None:  # fmt: skip
        """Store the bound found, and choose across which direction the node would be split."""
        self.atom = atom
        if not own < self.own and self.record >= 0:
            return
        self.own, self.leaf = own, leaf
        flat = cuts.ravel()
        self.cut_key = np.flatnonzero(flat).astype(np.int32)
        self.cut_value = flat[self.cut_key]
        self.bound = min(self.bound, own)
        self.normal = _across(leaf.second - np.outer(leaf.mean, leaf.mean), stress)
        self.pull = float(self.normal @ matrix @ self.normal)

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        d = len(self.mean)
        return 20 * len(self.index) + 12 * len(self.cut_key) + 8 * (d * d + 5 * d + (d + 2) * len(self.low)) + 3400
