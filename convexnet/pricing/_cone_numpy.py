"""The cone search in numpy: the open cones of the largest bounds are split and bounded in batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._cone_forms import ConeForms
from ._cone_proof import NO_CONES
from ._cone_solver import SHARES, least_norm, reach
from ._cone_store import ConeStore

__all__ = ["NumpyStep", "Progress"]

_ELEMENTS = 1_500_000
_TINY_WEIGHT = 1e-18
_EXACT = 2.0**53


@dataclass(eq=False)
class Progress:
    """What the search knows so far, in scaled units.

    Attributes
    ----------
    best : float
        Largest value attained (up to rounding; the caller evaluates it again).
    direction : ndarray of shape (d,)
    best_form : int
    closed : float
        Largest bound of a cone that is no longer open.
    stuck : float
        Largest bound of a cone that cannot be split further.
    nodes, iterations : int
        Cones bounded, and interior point steps for them.
    """

    best: float
    direction: np.ndarray
    best_form: int
    closed: float
    stuck: float
    nodes: int
    iterations: int


@dataclass(eq=False)
class _Children:
    """A batch of cones to be bounded."""

    form: np.ndarray
    corner: np.ndarray
    parent_key: np.ndarray
    linear: np.ndarray
    index: np.ndarray
    cone: np.ndarray


class NumpyStep:
    """Pops, splits and bounds; works on a :class:`ConeStore`."""

    def __init__(self, forms: ConeForms, store: ConeStore) -> None:
        self.forms, self.store = forms, store
        self.norms = np.sqrt(np.sum(forms.rows**2, axis=1))

    def batch_size(self, wanted: int) -> int:
        """Cones per step, limited by the memory of its arrays."""
        per_cone = 2 * max(1, self.forms.widest) * (2 * self.forms.d + 4)
        return int(np.clip(_ELEMENTS // per_cone, 1, wanted))

    def run(self, count: int, cutoff: float, progress: Progress) -> None:
        """Split up to ``count`` open cones whose bound is above ``cutoff``."""
        store = self.store
        parents: list[int] = []
        roots: list[int] = []
        while len(parents) + (self.forms.d + 1) * len(roots) < count and store.top() > cutoff:
            slot = store.pop()
            (roots if store.split[slot, 0] == -1 else parents).append(slot)
        for slots, build in ((roots, self._fans), (parents, self._halves)):
            if slots:
                children = build(np.array(slots))
                self._bound(children, cutoff, progress)

    def _fans(self, slots: np.ndarray) -> _Children:
        """The ``d + 1`` cones of each form."""
        forms, d = self.forms, self.forms.d
        corners = np.array([[k for k in range(d + 1) if k != omitted] for omitted in range(d + 1)], dtype=np.int32)
        form = np.repeat(self.store.form[slots], d + 1)
        length = np.diff(forms.start)[form]
        index = forms.start[form][:, None] + np.arange(int(length.max(initial=0)))
        index = np.where(np.arange(index.shape[1]) < length[:, None], index, len(forms.rows) - 1)
        key = np.repeat(self.store.key[slots], d + 1)
        self.store.release(slots)
        cone = NO_CONES
        if self.store.log is not None:
            cone, key = self.store.log.add_roots(form[:: d + 1]), np.full(len(form), np.inf)
        return _Children(form, np.tile(corners, (len(slots), 1)), key, forms.linear[form], index, cone)

    def _halves(self, slots: np.ndarray) -> _Children:
        """Two cones for each, either with the new vertex for one end of the edge."""
        store, forms = self.store, self.forms
        corner, split, form = store.corner[slots], store.split[slots].astype(np.int64), store.form[slots]
        row = np.arange(len(slots))
        first, second = corner[row, split[:, 0]], corner[row, split[:, 1]]
        points = np.ldexp(store.vertices[first], split[:, 2:3]) + np.ldexp(store.vertices[second], split[:, 3:4])
        new = store.add_vertices(points)
        both = np.repeat(corner[:, None, :], 2, axis=1)
        both[row, 0, split[:, 0]] = new
        both[row, 1, split[:, 1]] = new
        bits = np.unpackbits(store.mask[slots], axis=1, bitorder="little").astype(bool)
        index = self._padded(bits, forms.start[form])
        cone = NO_CONES if store.log is None else store.log.add_split(store.cone[slots], split)
        key, linear = np.repeat(store.key[slots], 2), np.repeat(store.linear[slots], 2, axis=0)
        store.release(slots)
        return _Children(
            np.repeat(form, 2), both.reshape(-1, forms.d), key, linear, np.repeat(index, 2, axis=0), cone
        )  # fmt: skip

    def _padded(self, bits: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Row numbers of the set bits, filled up with that of the zero row."""
        member, place = np.nonzero(bits)
        counts = np.bincount(member, minlength=len(bits))
        index = np.full((len(bits), int(counts.max(initial=0))), len(self.forms.rows) - 1)
        column = np.arange(len(member)) - np.repeat(np.cumsum(counts) - counts, counts)
        index[member, column] = start[member] + place
        return index

    def _bound(self, children: _Children, cutoff: float, progress: Progress) -> None:
        """Bound the children, keep those above the cutoff, charge the rest to ``progress.closed``."""
        forms, store = self.forms, self.store
        points = store.vertices[children.corner]
        V = points / store.lengths[children.corner][:, :, None]
        rows, weights = forms.rows[children.index], forms.weights[children.index]
        T = np.matmul(rows, V.transpose(0, 2, 1))
        margin = forms.stable[children.index]
        positive = (margin[:, :, None] < T).all(axis=2)
        negative = (-margin[:, :, None] > T).all(axis=2)
        signed = weights * (positive.astype(float) - negative)
        linear = children.linear + np.matmul(signed[:, None, :], rows)[:, 0, :]
        open_rows = ~(positive | negative) & (weights != 0)
        up = np.where(open_rows & (weights > 0), weights, 0.0)
        b = np.matmul(V, linear[:, :, None])[:, :, 0] + np.matmul(up[:, None, :], np.abs(T))[:, 0, :]
        heavy = np.abs(weights) * self.norms[children.index] > _TINY_WEIGHT * forms.mass[children.form][:, None]
        down = open_rows & (weights < 0) & heavy
        place = _columns(down)
        Tn = np.where((place >= 0)[:, :, None], np.take_along_axis(T, np.maximum(place, 0)[:, :, None], axis=1), 0.0)
        w = np.where(place >= 0, -np.take_along_axis(weights, np.maximum(place, 0), axis=1), 1.0)
        G = np.matmul(V, V.transpose(0, 2, 1))
        push = reach(G)
        noise = 2 * forms.relative_error * forms.mass[children.form]
        slack = forms.slack[children.form]
        with np.errstate(all="ignore"):
            found = least_norm(G, b, Tn, w, cutoff - slack, push, noise)
            right = b - np.matmul(found.alpha[:, None, :], Tn)[:, 0, :]
            own, g, lam = self._certified(found.lam, right, V, push, forms.mass[children.form])
            if store.log is not None:
                closed = np.flatnonzero(own <= cutoff - slack)
                part = [x[closed] for x in (G, b, Tn, w, V, push, noise, forms.mass[children.form], cutoff - slack)]
                self._list_few(closed, part, own, g, lam, found.alpha)
        own += slack
        lost = ~np.isfinite(own)
        lam[lost], g[lost] = 1.0, 0.0
        key = np.minimum(own, children.parent_key)
        self._attained(lam, T, g, b, up, Tn, w, children.form, progress)
        progress.nodes += len(key)
        progress.iterations += found.iterations
        alive = key > max(cutoff, progress.best)
        split = _edges(lam, G, T, up, store.lengths[children.corner], alive)
        stuck = alive & (split[:, 0] < 0)
        progress.closed = max(progress.closed, float(np.max(key[~alive | stuck], initial=-np.inf)))
        progress.stuck = max(progress.stuck, float(np.max(key[stuck], initial=-np.inf)))
        if store.log is not None:
            self._logged(children, own <= children.parent_key, g, found.alpha, place)
        keep = np.flatnonzero(alive & ~stuck)
        slots = store.take(len(keep))
        store.key[slots], store.form[slots] = key[keep], children.form[keep]
        store.corner[slots], store.linear[slots] = children.corner[keep], linear[keep]
        store.mask[slots], store.split[slots] = self._bits(children, open_rows, keep), split[keep]
        if store.log is not None:
            store.cone[slots] = children.cone[keep]
        store.push(slots)

    def _certified(
        self, lam: np.ndarray, right: np.ndarray, V: np.ndarray, push: np.ndarray, mass: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``||g||`` of vectors g that satisfy the d inequalities whatever the rounding of both sides, g and lam."""
        relative, passed = self.forms.relative_error, np.zeros(len(lam), dtype=bool)
        for _ in range(3):
            g = np.matmul(lam[:, None, :], V)[:, 0, :]
            size = np.sqrt(np.sum(g * g, axis=1))
            error = relative * (mass + size)
            missing = np.max(right - np.matmul(V, g[:, :, None])[:, :, 0], axis=1)
            passed = missing + error <= 0
            if passed.all():
                break
            lam = np.where(passed[:, None], lam, lam + (np.maximum(missing, 0) + 2 * error)[:, None] * push)
        return np.where(passed & np.isfinite(size), size * (1 + relative), np.inf), g, lam

    def _list_few(
        self, closed: np.ndarray, part: list[np.ndarray], own: np.ndarray, g: np.ndarray, lam: np.ndarray,
        alpha: np.ndarray,
    ) -> None:  # fmt: skip
        """Solve closed cones to full accuracy, so that few multipliers differ from ``+-w_i`` and need be listed."""
        G, b, T, w, V, push, noise, mass, goal = part
        if not closed.size:
            return
        found = least_norm(G, b, T, w, np.zeros(len(closed)), push, noise, early=0.0)
        side = np.where(np.matmul(T, found.lam[:, :, None])[:, :, 0] >= 0, w, -w)
        waiting = np.ones(len(closed), dtype=bool)
        for share in SHARES:
            trial = np.where(np.abs(found.alpha) >= (1 - share) * w, side, found.alpha)
            right = b - np.matmul(trial[:, None, :], T)[:, 0, :]
            bound, vector, moved = self._certified(found.lam, right, V, push, mass)
            chosen = waiting & (bound <= goal)
            rows = closed[chosen]
            own[rows], g[rows], lam[rows], alpha[rows] = bound[chosen], vector[chosen], moved[chosen], trial[chosen]
            waiting &= ~chosen

    def _attained(
        self, lam: np.ndarray, T: np.ndarray, g: np.ndarray, b: np.ndarray, up: np.ndarray, Tn: np.ndarray,
        w: np.ndarray, form: np.ndarray, progress: Progress,
    ) -> None:  # fmt: skip
        """The form at the relaxed maximisers."""
        size = np.sqrt(np.sum(g * g, axis=1))
        products = T * lam[:, None, :]
        loss = np.sum(np.abs(products), axis=2) - np.abs(np.sum(products, axis=2))
        value = np.sum(b * lam, axis=1) - np.sum(up * loss, axis=1)
        value -= np.sum(w * np.abs(np.matmul(Tn, lam[:, :, None])[:, :, 0]), axis=1)
        value = np.where(size > 0, value / np.maximum(size, 1e-300), -np.inf)
        best = int(np.argmax(value))
        if value[best] > progress.best:
            progress.best, progress.direction = float(value[best]), g[best] / size[best]
            progress.best_form = int(form[best])

    def _logged(
        self, children: _Children, own: np.ndarray, g: np.ndarray, alpha: np.ndarray, place: np.ndarray
    ) -> None:  # fmt: skip
        """Note the multipliers of each child whose own bound counts; the others keep their parent's."""
        log = self.store.log
        assert log is not None
        for k in np.flatnonzero(own):
            used = np.flatnonzero(place[k] >= 0)
            rows = children.index[k, place[k, used]] - self.forms.start[children.form[k]]
            log.add_payload(int(children.cone[k]), g[k], rows, alpha[k, used])

    def _bits(self, children: _Children, open_rows: np.ndarray, keep: np.ndarray) -> np.ndarray:
        """Bit masks of the rows that change sign on the cone."""
        bits = np.zeros((len(keep), 8 * self.store.width), dtype=bool)
        local = children.index[keep] - self.forms.start[children.form[keep]][:, None]
        member, place = np.nonzero(open_rows[keep])
        bits[member, local[member, place]] = True
        return np.packbits(bits, axis=1, bitorder="little")


def _columns(chosen: np.ndarray) -> np.ndarray:
    """Column numbers of the True entries of each row, filled up with -1."""
    member, place = np.nonzero(chosen)
    counts = np.bincount(member, minlength=len(chosen))
    columns = np.full((len(chosen), int(counts.max(initial=0))), -1)
    columns[member, np.arange(len(member)) - np.repeat(np.cumsum(counts) - counts, counts)] = place
    return columns


def _edges(
    lam: np.ndarray, G: np.ndarray, T: np.ndarray, up: np.ndarray, lengths: np.ndarray, alive: np.ndarray
) -> np.ndarray:
    """Edge to split and exponents: where interpolating the convex rows costs most at the relaxed maximiser."""
    C, d = lam.shape
    split = np.full((C, 4), -2, dtype=np.int16)
    chosen = np.flatnonzero(alive)
    best = np.full(len(chosen), -1.0)
    if not chosen.size:
        return split
    products, weights, lam = T[chosen], up[chosen], lam[chosen] + 1e-300
    sizes = np.abs(products)
    total = np.maximum(lam.sum(axis=1), 1e-300)
    for a in range(d):
        for b in range(a + 1, d):
            near, far = lengths[chosen, a], lengths[chosen, b]
            shift = np.round(np.log2(far / near)).astype(np.int64)
            i, j = np.maximum(shift, 0), np.maximum(-shift, 0)
            exact = np.ldexp(near, i) + np.ldexp(far, j) < _EXACT
            cost = sizes[:, :, a] + sizes[:, :, b] - np.abs(products[:, :, a] + products[:, :, b])
            score = np.sum(weights * cost, axis=1) / (1 / lam[:, a] + 1 / lam[:, b])
            # Ties, and cones with nothing to gain at the maximiser, go to the longest edge near it.
            width = np.maximum(1 - G[chosen, a, b], 1e-17)
            score = score + 1e-12 * total * width * (1e-3 + lam[:, a] * lam[:, b] / total**2)
            better = exact & (score > best)
            best[better] = score[better]
            rows = chosen[better]
            split[rows] = np.column_stack([np.full(len(rows), a), np.full(len(rows), b), i[better], j[better]])
    return split
