"""The compiled backend of the cone search: numba on the loops, compiled in the background, cached where possible."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .._validation import require
from . import _cone_kernels, _cone_loops
from ._background import FAST, BackgroundCompiler
from ._cone_forms import ConeForms
from ._cone_numpy import Progress
from ._cone_store import ConeStore

__all__ = ["Compiler", "LoopStep"]


def _build() -> None:
    numba = require("numba", "fast")
    for module, names in (
        (_cone_kernels, _cone_kernels.SOLVER_KERNELS), (_cone_loops, _cone_loops.LOOP_KERNELS),
    ):  # fmt: skip
        _compile(numba, module, names)
    LoopStep.search = staticmethod(_cached(numba))
    _rehearse()


Compiler = BackgroundCompiler("convexnet-compile-cones", _build)


def _compile(numba: Any, module: ModuleType, names: tuple[str, ...]) -> None:
    """Put functions to be compiled in the place of the plain ones."""
    for name in names:
        compiled = numba.njit(fastmath=FAST, nogil=True)(getattr(module, name))
        for other in (_cone_kernels, _cone_loops):
            if hasattr(other, name):
                setattr(other, name, compiled)


def _cached(numba: Any) -> Callable[..., None]:
    """The compiled search, kept on disk for the next process; without that where no directory can be written."""
    sources = [Path(str(module.__file__)).read_bytes() for module in (_cone_kernels, _cone_loops)]
    version = hashlib.sha256(b"".join(sources))
    function = _cone_loops.entry(int.from_bytes(version.digest()[:7], "big"))
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)


def _rehearse() -> None:
    """Compile by solving a tiny problem."""
    from ._cone_forms import stack_forms
    from .forms import PricingForm, group_rows

    rows = np.array([[1.0, 0.5], [0.3, -1.0], [0.2, 0.9]])
    form = PricingForm(rows, np.array([0.1, 0.2]), np.array([1.0, -0.5, 0.7]), 1, -1, 0.0, group_rows(rows))
    forms = stack_forms([form], 2)
    store = ConeStore(forms, False)
    LoopStep(forms, store).run(2, 0.0, 1e-9, 0.0, False, Progress(-np.inf, np.ones(2), 0, -np.inf, -np.inf, 0, 0))


class LoopStep:
    """Runs the loops (compiled or not) on a :class:`ConeStore`."""

    search: Callable[..., None] = staticmethod(_cone_loops.search_loop)

    def __init__(self, forms: ConeForms, store: ConeStore) -> None:
        self.forms, self.store = forms, store
        store.flatten()

    def run(self, count: int, goal: float, tol: float, floor: float, stop: bool, progress: Progress) -> None:
        """Split up to ``count`` open cones; the store must have room for their halves."""
        forms, store, log = self.forms, self.store, self.store.log
        counts = np.zeros(9, dtype=np.int64)
        counts[:3] = store.n_free, store.n_vertices, store.n_heap
        counts[5] = progress.best_form
        values = np.array([progress.best, progress.closed, progress.stuck])
        none = np.zeros(0, dtype=np.int32)
        proof: tuple[np.ndarray, ...] = (
            none.reshape(0, 5), none, np.zeros(0, dtype=np.int64), np.zeros((0, forms.d)),
            np.zeros(0, dtype=np.int64), none, np.zeros(0),
        )  # fmt: skip
        if log is not None:
            counts[6:] = log.n_cones, log.n_payloads, log.n_entries
            proof = (log.tree, log.payload, log.root, log.g, log.end, log.row, log.alpha)
        self.search(
            count, goal, tol, floor, stop, forms.d, forms.rows, forms.weights, forms.stable, forms.start, forms.linear,
            forms.mass, forms.slack, forms.relative_error, store.vertices, store.lengths, store.key, store.form,
            store.corner, store.linear, store.mask, store.split, store.free, store.heap_keys, store.heap_slots,
            log is not None, store.cone, *proof, counts, values, progress.direction,
        )  # fmt: skip
        store.n_free, store.n_vertices, store.n_heap = (int(value) for value in counts[:3])
        progress.nodes += int(counts[3])
        progress.iterations += int(counts[4])
        progress.best_form = int(counts[5])
        progress.best, progress.closed, progress.stuck = values.tolist()
        if log is not None:
            log.n_cones, log.n_payloads, log.n_entries = (int(value) for value in counts[6:])
