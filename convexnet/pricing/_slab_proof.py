"""What a slab search remembers for a checker: the tree of splits and the state of every node that was bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._slab_node import Form, Node

__all__ = ["Log"]


@dataclass(frozen=True, eq=False)
class _Entry:
    """State of one node."""

    own: float
    mean: np.ndarray
    second: np.ndarray
    s: float
    mu: float
    count: int
    key: np.ndarray
    value: np.ndarray


class Log:
    """Every node ever bounded, with its parent's split."""

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self.splits: dict[int, tuple[np.ndarray, float, float, float, int, int]] = {}
        self.roots: dict[int, int] = {}
        self.bytes = 0

    def add(self, node: Node) -> None:
        """Remember a bounded node (again, if it was bounded anew and better)."""
        d, leaf = len(node.mean), node.leaf
        if leaf is None:
            return
        entry = _Entry(node.own, leaf.mean, leaf.second[np.triu_indices(d)], leaf.s, leaf.mu, len(node.low),
                       node.cut_key, node.cut_value)  # fmt: skip
        if node.record >= 0:
            self.entries[node.record] = entry
            return
        node.record = len(self.entries)
        self.entries.append(entry)
        self.bytes += 8 * (d * (d + 1) // 2 + d) + 12 * len(node.cut_key) + 1300
        if not len(node.low):
            self.roots[node.form] = node.record

    def split(self, node: Node, cut: tuple[float, float, float], left: Node, right: Node) -> None:
        """Remember where a node was split."""
        self.splits[node.record] = (node.normal, *cut, left.record, right.record)

    def payload(
        self, forms: Sequence[Form], open_: Sequence[Node], closed: Sequence[float], sweeps: int
    ) -> dict[str, Any]:
        """Proof that no form exceeds the bounds of its open nodes, nor the level at which its others were closed."""
        bounds = [max([node.bound for node in open_ if node.form == i], default=0.0) for i in range(len(forms))]
        bounds = [
            max(bound, float(np.ldexp(level, -form.power)) - form.slack)
            for bound, level, form in zip(bounds, closed, forms, strict=True)
        ]
        parts = [self._form(index, form, bound) for index, (form, bound) in enumerate(zip(forms, bounds, strict=True))]
        for part in parts:
            part["sweeps"] = sweeps
        return {"kind": "slabs", "forms": parts}

    def _form(self, index: int, form: Form, bound: float) -> dict[str, Any]:
        """Tree cut off below every node whose own bound is good enough."""
        tree: list[Any] = []
        splits: list[tuple[np.ndarray, float, float, float]] = []
        leaves: list[_Entry] = []
        stack = [self.roots[index]]
        while stack:
            record = stack.pop()
            entry = self.entries[record]
            if entry.own <= bound or record not in self.splits:
                tree.append(len(leaves))
                leaves.append(entry)
                continue
            normal, low, middle, high, left, right = self.splits[record]
            tree.append([len(splits)])
            splits.append((normal, low, middle, high))
            stack += [right, left]
        return {
            "tree": tree, "splits": _columns(splits, form.d), "leaves": _stack(leaves, form),
            "bound": float(np.ldexp(bound, form.power)) * (1 + 1e-9) + form.form.slack + 1e-299,
        }  # fmt: skip


def _columns(splits: Sequence[tuple[np.ndarray, float, float, float]], d: int) -> dict[str, np.ndarray]:
    numbers = np.array([split[1:] for split in splits]).reshape(-1, 3)
    normals = np.array([split[0] for split in splits]).reshape(-1, d)
    return {"a": normals, "low": numbers[:, 0], "middle": numbers[:, 1], "high": numbers[:, 2]}


def _stack(leaves: Sequence[_Entry], form: Form) -> dict[str, np.ndarray]:
    """Arrays of all leaves; multipliers and mu in the units of the pricing form."""
    sides = [_sides(entry) for entry in leaves]
    start = np.cumsum([0] + [len(entry.value) for entry in leaves])
    return {
        "u": np.array([entry.mean for entry in leaves]), "U": np.array([entry.second for entry in leaves]),
        "s": np.array([entry.s for entry in leaves]),
        "mu": np.ldexp(np.array([entry.mu for entry in leaves]), form.power),
        "cut_start": start, "cut_p": np.concatenate([p for p, _ in sides]),
        "cut_q": np.concatenate([q for _, q in sides]),
        "cut_value": np.ldexp(np.concatenate([entry.value for entry in leaves]), form.power),
    }  # fmt: skip


def _sides(entry: _Entry) -> tuple[np.ndarray, np.ndarray]:
    """The two sides (2k: above the lower plane of slab k, 2k + 1: below the upper one) each multiplier belongs to."""
    count = max(entry.count, 1)
    plane, r, k = np.unravel_index(entry.key.astype(int), (4, count, count))
    return 2 * r + np.isin(plane, (1, 3)), 2 * k + np.isin(plane, (1, 2))
