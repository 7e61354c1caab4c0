r"""Neurons of one variable: each on a ray at a breakpoint, or moving on the arc between two neighbouring samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..networks.shallow import ShallowNetwork
from ..pricing.spectral import direction_norms
from ._line_data import Columns, LineData

if TYPE_CHECKING:
    from ..pricing.univariate import LinePeak

__all__ = ["Units"]

_AT_END = 1e-10
"""Angle to the end of an arc that is none: what it changes is of second order."""
_VANISHING = 1e-9
_NOTHING = 1e-12
"""Of its amplitude, or of all amplitudes, what rounding leaves of a neuron that a step takes away."""


@dataclass(frozen=True, eq=False)
class Units:
    """K neurons ``sign * amplitude * sigma(direction . (x, 1))`` with unit directions and amplitudes >= 0.

    ``low <= -b/w <= high`` is the breakpoint's interval: a point, or the closed interval between two neighbouring
    samples. Family 0 has ``w >= 0``, family 1 the opposite direction.
    """

    data: LineData
    family: np.ndarray
    sign: np.ndarray
    low: np.ndarray
    high: np.ndarray
    direction: np.ndarray
    amplitude: np.ndarray

    @classmethod
    def empty(cls, data: LineData) -> Units:
        none, whole = np.zeros(0), np.zeros(0, dtype=np.int64)
        return cls(data, whole, whole, none, none, np.zeros((0, 2)), none)

    @classmethod
    def at_peaks(cls, data: LineData, peaks: Sequence[LinePeak]) -> Units:
        """Neurons of amplitude zero at peaks of a pricing."""
        low, high = (np.array([getattr(p, name) for p in peaks], dtype=np.float64) for name in ("low", "high"))
        family = np.array([p.family for p in peaks], dtype=np.int64)
        sign = np.array([p.sign for p in peaks], dtype=np.int64)
        direction = np.array([np.append(p.direction, 0.0)[:2] for p in peaks]).reshape(-1, 2)
        if data.problem.bias != "none":
            at = np.isfinite(low) & (low == high)
            rays = np.column_stack([np.ones(int(at.sum())), -low[at]]) * np.where(family[at] == 0, 1.0, -1.0)[:, None]
            direction[at] = rays / direction_norms(data.problem, rays.T)[:, None]
        return cls(data, family, sign, low, high, direction, np.zeros(len(peaks)))

    def __len__(self) -> int:
        return len(self.sign)

    def take(self, index: np.ndarray) -> Units:
        """Some of the neurons."""
        return Units(self.data, *(array[index] for array in self._arrays()))

    def with_(self, other: Units) -> Units:
        """These neurons and others."""
        pairs = zip(self._arrays(), other._arrays(), strict=True)
        return Units(self.data, *(np.concatenate(pair) for pair in pairs))

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return self.family, self.sign, self.low, self.high, self.direction, self.amplitude

    @property
    def curved(self) -> bool:
        """Whether a neuron between two samples has a best place of its own: Euclidean norms of penalised biases."""
        return self.data.problem.bias == "penalized" and self.data.problem.norm == "l2"

    @property
    def moving(self) -> np.ndarray:
        """Indices of the neurons that turn inside their arcs."""
        if not self.curved or not len(self):
            return np.zeros(0, dtype=np.intp)
        # The norm has no second derivative at zero: a vanishing neuron shrinks or grows along its ray.
        return np.flatnonzero((self.low < self.high) & (self.amplitude > _VANISHING * np.sum(self.amplitude)))

    def pieces(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest piece (between samples, 0 to m) whose closure holds the breakpoint's interval."""
        nodes = self.data.nodes
        down, up = np.searchsorted(nodes, self.high), np.searchsorted(nodes, self.low, side="right")
        up = np.where(np.isneginf(self.low) & np.isneginf(self.high), 0, up)
        down = np.where(np.isposinf(self.low), len(nodes), down)
        return np.where(self.low < self.high, up, down), up

    def columns(self) -> Columns:
        """Responses of the unit neurons, then the derivatives by the angle of the moving ones, then the free terms."""
        down, up = self.pieces()
        starts, n = self.data.starts, len(self.data.x)
        right = self.family == 0
        first = np.where(right, starts[up], 0)
        last = np.where(right, n, starts[down])
        rest = np.full(len(self), self.data.problem.kappa)
        sign = self.sign.astype(np.float64)
        w, b = self.direction.T
        m = self.moving
        radial = Columns(sign, w, b, first, last, rest)
        turning = Columns(sign[m], -b[m], w[m], first[m], last[m], rest[m])
        return Columns.joined([radial, turning, self.data.free_columns()])

    def moved(self, step: np.ndarray, free: np.ndarray) -> tuple[Units, np.ndarray]:
        """After a step in amplitudes, angles and free terms, projected onto rays and arcs."""
        m, K = self.moving, len(self)
        amplitude = self.amplitude + step[:K]
        amplitude = np.where(amplitude <= _NOTHING * self.amplitude, 0.0, amplitude)
        low, high, direction = self.low.copy(), self.high.copy(), self.direction.copy()
        if len(m):
            u = self.direction[m]
            turned = np.column_stack([-u[:, 1], u[:, 0]])
            z = (self.amplitude[m] + step[m])[:, None] * u + step[K : K + len(m), None] * turned
            amplitude[m], direction[m], low[m], high[m] = self._on_arcs(m, z)
        moved = replace(self, amplitude=amplitude, low=low, high=high, direction=direction)
        return moved, free + step[K + len(m) :]

    def _on_arcs(self, m: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Project vectors onto the cones of the arcs: amplitude, direction and interval."""
        side = np.where(self.family[m] == 0, 1.0, -1.0)[:, None]
        z = z * side
        angle = np.arctan2(z[:, 1], z[:, 0])
        low, high = self.low[m], self.high[m]
        below, above = -np.arctan(high), -np.arctan(low)  # angles fall as breakpoints rise
        size = np.hypot(z[:, 0], z[:, 1])
        inside = (angle > below) & (angle < above)
        nearer = np.abs(_wrapped(angle - above)) < np.abs(_wrapped(angle - below))
        end = np.where(nearer, low, high)
        ray = _unit_at(end)
        along = np.maximum(np.sum(z * ray, axis=1), 0.0)
        direction = np.where(inside[:, None], z / np.where(size > 0, size, 1.0)[:, None], ray)
        amplitude = np.where(inside, size, along)
        return amplitude, direction * side, np.where(inside, low, end), np.where(inside, high, end)

    def reach(self, step: np.ndarray) -> float:
        """The largest multiple of a step, up to 1, that leaves no ray and no arc."""
        rays = np.setdiff1d(np.arange(len(self)), self.moving)
        falling = rays[step[rays] < 0]
        limits = np.concatenate([-self.amplitude[falling] / step[falling], self._arc_limits(step).ravel()])
        return float(np.min(limits, initial=1.0))

    def _arc_limits(self, step: np.ndarray) -> np.ndarray:
        """Multiples of a step at which the moving neurons meet the low and the high end of their arcs, (2, moving)."""
        m, K = self.moving, len(self)
        u = self.direction[m]
        turned = np.column_stack([-u[:, 1], u[:, 0]])
        z = self.amplitude[m, None] * u
        move = step[m, None] * u + step[K : K + len(m), None] * turned
        side = np.where(self.family[m] == 0, 1.0, -1.0)[:, None]
        limits = np.full((2, len(m)), np.inf)
        for row, (end, turn) in enumerate(((self.low[m], -1.0), (self.high[m], 1.0))):
            ray = _unit_at(end) * side
            normal = turn * np.column_stack([-ray[:, 1], ray[:, 0]])
            now, change = np.sum(z * normal, axis=1), np.sum(move * normal, axis=1)
            out = change < 0
            limits[row, out] = np.maximum(now[out], 0.0) / -change[out]
        return limits

    def held(self, step: np.ndarray) -> Units | None:
        """Without the neurons that a step would take away at once, and those that it would turn out of their arcs
        fixed at the end; None if there are neither."""
        m, limits = self.moving, self._arc_limits(step)
        K = len(self)
        far = np.hypot(step[m], step[K : K + len(m)])
        out = np.flatnonzero(limits.min(axis=0, initial=np.inf) * far < _AT_END * self.amplitude[m])
        gone = (self.amplitude <= _NOTHING * float(np.sum(self.amplitude))) & (step[:K] < 0)
        gone[m] = False
        if not len(out) and not gone.any():
            return None
        end = np.where(limits[0] < limits[1], self.low[m], self.high[m])[out]
        side = np.where(self.family[m[out]] == 0, 1.0, -1.0)[:, None]
        held = replace(
            self, low=_put(self.low, m[out], end), high=_put(self.high, m[out], end),
            direction=_put(self.direction, m[out], _unit_at(end) * side),
        )  # fmt: skip
        return held.take(np.flatnonzero(~gone))

    def merged(self) -> Units:
        """Neurons of one sign on one closed arc as their sum: the same function, and never a larger norm."""
        if not self.curved or len(self) < 2:
            return self
        units = self.take(np.lexsort((self.high, self.low, self.family, self.sign)))
        while True:
            down, up = units.pieces()
            same = (units.family[1:] == units.family[:-1]) & (units.sign[1:] == units.sign[:-1])
            pairs = np.flatnonzero(same & (up[:-1] >= down[1:]))
            if not len(pairs):
                return units
            pairs = pairs[np.concatenate([[True], np.diff(pairs) > 1])]  # neighbouring pairs one after the other
            units = units._joined(pairs, down)

    def _joined(self, pairs: np.ndarray, down: np.ndarray) -> Units:
        """Each pair of neighbours as one neuron; ``down`` are the first pieces of all."""
        a, b = pairs, pairs + 1
        z = self.amplitude[a, None] * self.direction[a] + self.amplitude[b, None] * self.direction[b]
        size = np.hypot(z[:, 0], z[:, 1])
        nodes = np.concatenate([[-np.inf], self.data.nodes, [np.inf]])
        fixed = (self.low[a] == self.high[b]) & (self.low[a] == self.high[a])
        low = np.where(fixed, self.low[a], nodes[down[b]])
        high = np.where(fixed, self.high[b], nodes[down[b] + 1])
        mean = self.direction[a] + self.direction[b]
        mean = mean / np.hypot(mean[:, 0], mean[:, 1])[:, None]
        unit = np.where(size[:, None] > 0, z / np.where(size > 0, size, 1.0)[:, None], mean)
        units = replace(
            self, low=_put(self.low, a, low), high=_put(self.high, a, high), direction=_put(self.direction, a, unit),
            amplitude=_put(self.amplitude, a, size),
        )  # fmt: skip
        return units.take(np.setdiff1d(np.arange(len(self)), b))

    def network(self, free: np.ndarray) -> ShallowNetwork:
        """The network of the neurons and the coefficients of the free columns."""
        problem, kept = self.data.problem, self.amplitude > 0
        skip = float(free[0]) if problem.skip else None
        intercept = float(free[-1]) if problem.intercept else 0.0
        if skip is not None and problem.intercept:
            intercept -= skip * self.data.middle
        w, b = self.direction[kept].T
        options: dict[str, Any] = {"activation": problem.activation, "negative_slope": problem.negative_slope}
        return ShallowNetwork(
            w[:, None], b, (self.sign * self.amplitude)[kept], intercept, None if skip is None else np.array([skip]),
            **options,
        )  # fmt: skip


def _unit_at(breakpoints: np.ndarray) -> np.ndarray:
    """The unit direction with ``w >= 0`` of every breakpoint; (0, 1) at -inf, (0, -1) at inf."""
    angle = -np.arctan(breakpoints)
    finite = np.isfinite(breakpoints)
    t = np.where(finite, breakpoints, 0.0)
    size = np.hypot(1.0, t)
    vertical = np.column_stack([0 * angle, np.sign(angle)])
    return np.where(finite[:, None], np.column_stack([1 / size, -t / size]), vertical)


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _put(array: np.ndarray, index: np.ndarray, values: np.ndarray) -> np.ndarray:
    changed = array.copy()
    changed[index] = values
    return changed
