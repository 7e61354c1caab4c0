"""Payloads of the searches, put into the order in which a checker meets the rows: that of the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProofFileError
from ..pricing.forms import PricingForm, pricing_forms
from ._proof_text import encode, hexed

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["encode_forms"]

_EPS = float(np.finfo(np.float64).eps)
_MARGIN = 1e-12


def encode_forms(problem: TrainingProblem, nu: np.ndarray, proof: Mapping[str, Any]) -> dict[str, Any]:
    """The proof as plain JSON.

    Raises
    ------
    ProofFileError
        If the payload does not fit the forms of ``nu``.
    """
    if not isinstance(proof, Mapping) or "kind" not in proof:
        raise ProofFileError("proof must be a payload with a kind; run the pricing with proof=True.")
    if proof["kind"] == "cells":
        return {key: proof[key] for key in ("kind", "witnesses", "integers", "counts", "rows", "values")}
    forms = pricing_forms(problem, nu)
    entries = list(proof.get("forms", ()))
    if len(entries) != len(forms):
        raise ProofFileError(f"The proof covers {len(entries)} forms, this nu has {len(forms)}.")
    encoded = []
    for form, entry in zip(forms, entries, strict=True):
        kind = entry.get("kind", proof["kind"])
        if kind not in _ENCODERS:
            raise ProofFileError(f"Proofs of kind {kind!r} have no file format; use cells, moment, cones or slabs.")
        kept, head = _layout(problem, nu, form)
        order = np.argsort(kept, kind="stable")
        try:
            encoded.append({"kind": kind, **head, **_ENCODERS[kind](form, order, entry)})
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ProofFileError(f"The {kind} payload does not fit its form: {error!r}.") from None
    kinds = {entry["kind"] for entry in encoded}
    return {"kind": kinds.pop() if len(kinds) == 1 else "mixed", "forms": encoded}


def _layout(problem: TrainingProblem, nu: np.ndarray, form: PricingForm) -> tuple[np.ndarray, dict[str, Any]]:
    """Samples of the form's rows, and how the others were merged into them or dropped."""
    groups = form.groups
    r = form.sign * nu
    rows = problem.extended if form.centre < 0 else problem.X - problem.X[form.centre]
    half = 0.5 * (1 - problem.kappa)
    weights, absolute = np.zeros(len(groups.representatives)), np.zeros(len(groups.representatives))
    inside = groups.group >= 0
    np.add.at(weights, groups.group[inside], half * r[inside] * groups.scale[inside])
    np.add.at(absolute, groups.group[inside], half * np.abs(r[inside]) * groups.scale[inside])
    keep = np.abs(weights) > 8 * _EPS * absolute
    kept = groups.representatives[keep]
    if len(kept) != len(form.rows) or not np.array_equal(rows[kept], form.rows):
        raise ProofFileError("The rows of a form do not follow from the data; nu is not the vector that was priced.")
    members = np.flatnonzero(inside)
    representative = np.full(len(r), -1)
    representative[members] = groups.representatives[groups.group[members]]
    merged = [i for i in members.tolist() if representative[i] != i]
    dropped = groups.representatives[~keep & (absolute > 0)]
    return kept, {
        "sign": int(form.sign), "centre": int(form.centre),
        "merged": [[i, int(representative[i]), hexed(groups.scale[i])] for i in merged],
        "dropped": [int(i) for i in np.sort(dropped)],
    }  # fmt: skip


def _moment(form: PricingForm, order: np.ndarray, entry: Mapping[str, Any]) -> dict[str, Any]:
    w = form.weights
    columns = {}
    for name, side in (("tau", w > 0), ("a", w < 0), ("theta", w < 0)):
        full = np.zeros(len(w))
        full[side] = np.asarray(entry[name], dtype=np.float64)
        columns[name] = full[order][side[order]]
    total = np.abs(columns["a"]) + columns["theta"]
    for name in ("a", "theta"):  # a rounding beyond 1 is taken back
        columns[name] = columns[name] / np.maximum(total * (1 + 4 * _EPS), 1.0)
    return {**{name: encode(values) for name, values in columns.items()}, "mu": hexed(float(entry["mu"]))}


def _cones(form: PricingForm, order: np.ndarray, entry: Mapping[str, Any]) -> dict[str, Any]:
    tree, leaves = _cone_tree(entry["tree"])
    g = np.asarray(entry["leaves"]["g"], dtype=np.float64)
    leaf, row, value = _overrides(entry["leaves"].get("alpha", ()))
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(len(order))
    limit = np.abs(form.weights[row])
    row, value = rank[row], np.clip(value, -limit, limit)
    sort = np.lexsort((row, leaf))
    leaf, row, value = leaf[sort], row[sort], value[sort]
    # Several leaves may share the multipliers of the cone they were cut from: each gets its own copy.
    start, stop = np.searchsorted(leaf, leaves), np.searchsorted(leaf, leaves, side="right")
    counts = stop - start
    take = np.arange(int(counts.sum())) + np.repeat(start - np.cumsum(counts) + counts, counts)
    return {
        "simplex": encode(np.asarray(entry["simplex"], dtype=np.int64), "i8"),
        "tree": encode(tree, "i1"),
        "g": encode(g[leaves]),
        "alpha": {
            "leaf": encode(np.repeat(np.arange(len(leaves)), counts), "i4"),
            "row": encode(row[take], "i4"),
            "value": encode(value[take]),
        },
    }


def _cone_tree(tree: Any) -> tuple[np.ndarray, np.ndarray]:
    """Preorder rows [a, b, i, j] or [-1, 0, 0, 0], and the leaf numbers in order."""
    if isinstance(tree, np.ndarray) and tree.ndim == 2:
        rows = tree.astype(np.int64)
        leaves = rows[rows[:, 0] < 0, 1].copy()
        rows[rows[:, 0] < 0] = (-1, 0, 0, 0)
        return rows, leaves
    leaf_numbers = [int(node) for node in tree if not isinstance(node, Sequence | np.ndarray)]
    plain = [[-1, 0, 0, 0] if not isinstance(node, Sequence | np.ndarray) else [int(v) for v in node] for node in tree]
    return np.array(plain, dtype=np.int64).reshape(-1, 4), np.array(leaf_numbers, dtype=np.int64)


def _overrides(alpha: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leaf, row and value of the multipliers that differ from the default."""
    if isinstance(alpha, Mapping):
        parts = [alpha[name] for name in ("leaf", "row", "value")]
    elif isinstance(alpha, tuple) and len(alpha) == 3 and all(isinstance(part, np.ndarray) for part in alpha):
        parts = list(alpha)
    else:
        parts = list(np.asarray(list(alpha), dtype=np.float64).reshape(-1, 3).T)
    leaf, row, value = (np.asarray(part) for part in parts)
    return leaf.astype(np.int64), row.astype(np.int64), value.astype(np.float64)


def _slabs(form: PricingForm, order: np.ndarray, entry: Mapping[str, Any]) -> dict[str, Any]:
    splits, leaves = entry["splits"], entry["leaves"]
    tree, split_order, leaf_order = [], [], []
    for node in entry["tree"]:
        internal = isinstance(node, Sequence | np.ndarray)
        tree.append(int(internal))
        if internal:
            split_order.append(int(node[0]))
        else:
            leaf_order.append(int(node))
    q = form.rows.shape[1]
    # The directions are unit vectors up to rounding only: the outer ends move by more than that.
    names = (("low", -_MARGIN), ("middle", 0.0), ("high", _MARGIN))
    ends = np.column_stack([np.asarray(splits[name], dtype=np.float64) + move for name, move in names])
    smoothing = np.broadcast_to(np.asarray(leaves["s"], dtype=np.float64), (len(leaves["u"]),))
    begin = np.asarray(leaves["cut_start"], dtype=np.int64)
    counts = np.diff(begin)[leaf_order]
    first = np.repeat(begin[:-1][leaf_order] - np.cumsum(counts) + counts, counts)
    take = np.arange(int(counts.sum())) + first
    state = np.asarray(leaves["U"])
    return {
        "sweeps": int(entry.get("sweeps", 2)),
        "tree": encode(np.array(tree), "u1"),
        "a": encode(np.asarray(splits["a"], dtype=np.float64).reshape(-1, q)[split_order]),
        "ends": encode(ends.reshape(-1, 3)[split_order]),
        "u": encode(np.asarray(leaves["u"])[leaf_order], "f8"),
        "matrix": encode(state[leaf_order], "f4" if state.dtype == np.float32 else "f8"),
        "smoothing": encode(smoothing[leaf_order]),
        "mu": encode(np.asarray(leaves["mu"], dtype=np.float64)[leaf_order]),
        "counts": encode(counts, "i4"),
        "p": encode(np.asarray(leaves["cut_p"])[take], "u2"),
        "q": encode(np.asarray(leaves["cut_q"])[take], "u2"),
        "value": encode(np.asarray(leaves["cut_value"], dtype=np.float64)[take]),
    }  # fmt: skip


_ENCODERS = {"moment": _moment, "cones": _cones, "slabs": _slabs}
