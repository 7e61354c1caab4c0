"""Where the cone search keeps its cones: flat arrays that both backends work on, a heap, and the proof's tree."""

from __future__ import annotations

import heapq

import numpy as np

from ._cone_forms import ConeForms
from ._cone_proof import ProofLog, longer

__all__ = ["ConeStore"]


class ConeStore:
    """Cones as structures of arrays; a slot is reused as soon as its cone has been split or closed.

    Attributes
    ----------
    vertices : ndarray of shape (V, d)
        Integers below 2^53, shared by all cones of all forms.
    lengths : ndarray of shape (V,)
    key : ndarray of shape (N,)
        Upper bound of the form on the cone, slack included.
    form : ndarray of shape (N,)
    corner : ndarray of int, shape (N, d)
        The cone's vertices.
    linear : ndarray of shape (N, d)
        ``c + sum w_i s_i x_i`` over the rows with constant sign ``s_i`` on the cone.
    mask : ndarray of uint8, shape (N, W)
        Bits of the other rows.
    split : ndarray of shape (N, 4)
        Edge (a, b) to be split next, and the exponents (i, j) of the new vertex ``2^i v_a + 2^j v_b``; a = -1: a
        form whose starting fan has not been built; a = -2: no edge can be split exactly.
    cone : ndarray of shape (N,)
        Number of the cone in the proof's tree.
    free : list of int
        Unused slots.
    heap : list of (-key, slot)
        Until ``flatten`` moves it to ``heap_keys`` and ``heap_slots``, of which ``n_heap`` entries are in use.
    """

    def __init__(self, forms: ConeForms, proof: bool) -> None:
        d, count = forms.d, max(64, 2 * forms.count)
        self.width = (forms.widest + 7) // 8
        self.vertices, self.lengths = np.zeros((256 + d + 1, d)), np.zeros(256 + d + 1)
        self.vertices[: d + 1] = forms.fan
        self.lengths[: d + 1] = np.sqrt(np.sum(forms.fan**2, axis=1))
        self.n_vertices = d + 1
        self.key, self.form = np.zeros(count), np.zeros(count, dtype=np.int32)
        self.corner, self.linear = np.zeros((count, d), dtype=np.int32), np.zeros((count, d))
        self.mask = np.zeros((count, self.width), dtype=np.uint8)
        self.split = np.zeros((count, 4), dtype=np.int16)
        self.cone = np.zeros(count if proof else 0, dtype=np.int32)
        self.free = np.arange(count - 1, -1, -1, dtype=np.int32)
        self.n_free = count
        self.heap: list[tuple[float, int]] = []
        self.heap_keys, self.heap_slots, self.n_heap = np.zeros(0), np.zeros(0, dtype=np.int32), 0
        self.log = ProofLog(forms.count, d) if proof else None
        for f in range(forms.count):
            # A proof needs the cones of every form, so that none may be passed over for its small size.
            self._add_form(f, np.inf if proof else float(forms.mass[f] + forms.slack[f]))

    def _add_form(self, f: int, key: float) -> None:
        self.n_free -= 1
        slot = int(self.free[self.n_free])
        self.key[slot], self.form[slot], self.split[slot, 0] = key, f, -1
        heapq.heappush(self.heap, (-key, slot))

    @property
    def nbytes(self) -> int:
        """Memory of the arrays and of the heap (in its larger form)."""
        arrays = sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))
        return arrays + 120 * len(self.heap) + (0 if self.log is None else self.log.nbytes)

    @property
    def size(self) -> int:
        """Number of slots."""
        return len(self.key)

    def room(self, cones: int, vertices: int) -> bool:
        """Whether that many more cones and vertices fit without growing."""
        return self.n_free >= cones and self.n_vertices + vertices <= len(self.lengths)

    def grow(self, cones: int, vertices: int, limit: float) -> bool:
        """Make room, by half of the present size if memory allows; False (and nothing done) if it does not."""
        extra_nodes = self._extra(self.size, max(0, cones - self.n_free))
        extra_vertices = self._extra(len(self.lengths), max(0, self.n_vertices + vertices - len(self.lengths)))
        per_node = 8 + 4 + 12 * self.vertices.shape[1] + self.width + 8 + 8 + 120
        per_vertex = 8 * (self.vertices.shape[1] + 1)
        # One array at a time is copied, so that its old and its new version exist together.
        largest = max(self.vertices.nbytes, self.linear.nbytes, self.mask.nbytes)
        if self.nbytes + extra_nodes * per_node + extra_vertices * per_vertex + largest > limit:
            return False
        self._grow_nodes(extra_nodes)
        self.vertices = longer(self.vertices, extra_vertices)
        self.lengths = longer(self.lengths, extra_vertices)
        return True

    @staticmethod
    def _extra(size: int, needed: int) -> int:
        return max(needed, size // 2) if needed else 0

    def _grow_nodes(self, extra: int) -> None:
        if not extra:
            return
        old = self.size
        for name in ("key", "form", "corner", "linear", "mask", "split"):
            setattr(self, name, longer(getattr(self, name), extra))
        if len(self.heap_keys):
            self.heap_keys, self.heap_slots = longer(self.heap_keys, extra), longer(self.heap_slots, extra)
        if self.log is not None:
            self.cone = longer(self.cone, extra)
        free = np.empty(old + extra, dtype=np.int32)
        free[: self.n_free] = self.free[: self.n_free]
        free[self.n_free : self.n_free + extra] = np.arange(old + extra - 1, old - 1, -1)
        self.free, self.n_free = free, self.n_free + extra

    def take(self, count: int) -> np.ndarray:
        """Slots for new cones."""
        self.n_free -= count
        return self.free[self.n_free : self.n_free + count].copy()

    def release(self, slots: np.ndarray) -> None:
        """Give slots back."""
        self.free[self.n_free : self.n_free + len(slots)] = slots
        self.n_free += len(slots)

    def add_vertices(self, points: np.ndarray) -> np.ndarray:
        """Append integer points and return their numbers."""
        first, self.n_vertices = self.n_vertices, self.n_vertices + len(points)
        self.vertices[first : self.n_vertices] = points
        self.lengths[first : self.n_vertices] = np.sqrt(np.sum(points**2, axis=1))
        return np.arange(first, self.n_vertices, dtype=np.int32)

    def top(self) -> float:
        """Largest bound of an open cone."""
        if self.n_heap:
            return -float(self.heap_keys[0])
        return -self.heap[0][0] if self.heap else -np.inf

    @property
    def n_open(self) -> int:
        """Number of open cones."""
        return self.n_heap + len(self.heap)

    def flatten(self) -> None:
        """Move the heap to arrays; the order of a list heap is that of a flat one."""
        if len(self.heap_keys):
            return
        self.heap_keys, self.heap_slots = np.zeros(self.size), np.zeros(self.size, dtype=np.int32)
        self.n_heap = len(self.heap)
        if self.heap:
            keys, slots = zip(*self.heap, strict=True)
            self.heap_keys[: self.n_heap], self.heap_slots[: self.n_heap] = keys, slots
        self.heap = []

    def pop(self) -> int:
        """Take the open cone of the largest bound off the heap."""
        return heapq.heappop(self.heap)[1]

    def push(self, slots: np.ndarray) -> None:
        """Put cones on the heap."""
        for key, slot in zip(self.key[slots].tolist(), slots.tolist(), strict=True):
            heapq.heappush(self.heap, (-key, slot))

