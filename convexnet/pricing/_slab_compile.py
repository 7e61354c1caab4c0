"""The compiled backend of the slab search: numba on the loops, compiled in the background, cached where possible."""

from __future__ import annotations

import sys
from dataclasses import astuple
from types import ModuleType

import numpy as np

from .._validation import require
from . import _slab_finish, _slab_interior, _slab_kernels, _slab_loops, _slab_numpy
from ._background import FAST, BackgroundCompiler
from ._slab_node import Form, Leaf, Node, Options, Path

__all__ = ["Compiler", "bound_nodes", "chosen_engine", "normal_range", "refine_nodes", "tighten_rows"]

_MODULES = (_slab_kernels, _slab_loops, _slab_interior, _slab_finish)


def _build() -> None:
    numba = require("numba", "fast")
    for module in _MODULES:
        for name in module.KERNELS:
            _compile(numba, module, name)
    _rehearse()


Compiler = BackgroundCompiler("convexnet-compile-slabs", _build)


def chosen_engine(backend: str) -> ModuleType:
    """The module that bounds nodes: this one once the compiled code is there, numpy before or if asked for."""
    if backend == "numpy":
        return _slab_numpy
    Compiler.begin()
    if Compiler.ready(60.0 if backend == "numba" else 0.0):
        return sys.modules[__name__]
    if backend == "numba" and Compiler.error is not None:
        raise Compiler.error
    return _slab_numpy


def _compile(numba: ModuleType, module: ModuleType, name: str) -> None:
    """Put a compiled function in the place of the plain one; without a cache where no directory can be written."""
    function = getattr(module, name)
    try:
        compiled = numba.njit(cache=True, fastmath=FAST, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        compiled = numba.njit(fastmath=FAST, nogil=True, error_model="numpy")(function)
    for place in _MODULES:
        if hasattr(place, name):
            setattr(place, name, compiled)


def _rehearse() -> None:
    """Compile by bounding a tiny node and its child."""
    from .forms import PricingForm, group_rows

    rows = np.array([[1.0, 0.5], [0.3, -1.0], [0.2, 0.9]])
    plain = PricingForm(rows, np.array([0.1, 0.2]), np.array([1.0, -0.5, 0.7]), 1, -1, 0.0, group_rows(rows))
    form = Form(plain)
    node = Node(0, form)
    bound_nodes(form, [node], Options(limit=3), 0.0)
    half = node.child(-1.0, 0.5)
    tighten_rows(form, [half], 2)
    normal_range(half)
    bound_nodes(form, [half], Options(limit=3), 0.0)
    refine_nodes(form, [node, half], Path(limit=3), 0.0)
    sides = np.vstack([half.normals, -half.normals])
    ends = np.concatenate([half.high, -half.low])
    _slab_finish.concave_bound(form.linear, 0.1, rows[:2], np.ones(2), sides, ends, node.mean, 0.1, 3)


def tighten_rows(form: Form, nodes: list[Node], sweeps: int) -> None:
    """Narrow the intervals of the undecided rows of each node, and settle those that no longer change sign."""
    for node in nodes:
        lower, upper = node.lower.copy(), node.upper.copy()
        rows, norms = form.rows[node.index], form.norms[node.index]
        _slab_kernels.row_intervals(rows, norms, node.normals, node.low, node.high, sweeps, lower, upper)
        node.settle(form, lower, upper)


def normal_range(node: Node) -> tuple[float, float]:
    """Range of ``normal . u`` on a node, widened."""
    if not len(node.low):
        return -1.0, 1.0
    lower, upper = np.full(1, -1.0), np.ones(1)
    _slab_kernels.row_intervals(node.normal[None], np.ones(1), node.normals, node.low, node.high, 3, lower, upper)
    return max(-1.0, float(lower[0]) - 1e-7), min(1.0, float(upper[0]) + 1e-7)


def bound_nodes(form: Form, nodes: list[Node], options: Options, target: float) -> int:
    """Bound every node from its own state (in place); returns the number of Frank-Wolfe iterations."""
    used = 0
    settings = (
        float(options.limit), float(options.s0), float(options.rate * options.scale), float(options.offset),
        float(options.decay), float(options.every), float(options.pause), float(options.progress),
    )  # fmt: skip
    for node in nodes:
        rows, norms, weights = form.rows[node.index], form.norms[node.index], form.weights[node.index]
        place = (weights, node.lower, node.upper, node.base, node.normals, node.low, node.high)
        node.mean, node.second = node.mean.copy(), node.second.copy()
        _, mean, second, cuts, s, mu, atom, count, matrix = _slab_loops.solve_node(
            rows, *place, node.mean, node.second, node.dense_cuts(), settings, float(target)
        )
        own, mu, stress = _slab_loops.node_bound(rows, norms, *place, mean, second, cuts, s, mu, form.mass)
        node.keep(float(own), Leaf(mean, second, float(s), float(mu)), cuts, atom, matrix, stress)
        used += int(count)
    return used


def refine_nodes(form: Form, nodes: list[Node], path: Path, target: float) -> int:
    """Bound every node by interior point steps from its own state (in place); returns their number."""
    used = 0
    settings = tuple(float(value) for value in astuple(path))
    for node in nodes:
        rows, norms, weights = form.rows[node.index], form.norms[node.index], form.weights[node.index]
        place = (weights, node.lower, node.upper, node.base, node.normals, node.low, node.high)
        try:
            _, mean, second, cuts, s, mu, atom, count, matrix, *last = _slab_interior.interior_node(
                rows, form.features[node.index], *place, node.mean, node.second, node.dense_cuts(), settings, target
            )
        except np.linalg.LinAlgError:  # no longer positive definite to working accuracy
            continue
        own, mu, stress = _slab_loops.node_bound(rows, norms, *place, mean, second, cuts, s, mu, form.mass)
        used += int(count)
        if not own < node.own:
            continue
        node.keep(float(own), Leaf(mean, second, float(s), float(mu)), cuts, atom, matrix, stress)
        node.mean, node.second = last
    return used
