"""The proof of a cone search: its tree, and the multipliers (g, alpha) of its leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._cone_forms import ConeForms

__all__ = ["NO_CONES", "ProofLog", "longer", "proof_payload"]

NO_CONES = np.zeros(0, dtype=np.int32)


class ProofLog:
    """Every cone the search has made.

    Attributes
    ----------
    tree : ndarray of shape (K, 5)
        ``(a, b, i, j, left)`` of a split cone, whose halves are ``left`` and ``left + 1``; left = -1: a leaf.
    payload : ndarray of shape (K,)
        Which multipliers bound the form on the cone.
    root : ndarray of shape (F,)
        First of the ``d + 1`` cones of a form's fan; -1 before they are made.
    g : ndarray of shape (P, d)
    end : ndarray of shape (P,)
        Entries ``end[p - 1]:end[p]`` of ``row`` and ``alpha`` belong to payload p.
    row, alpha : ndarrays of shape (E,)
        Rows (in the search's order) of negative weight that change sign on the cone, and their multipliers.
    """

    def __init__(self, n_forms: int, d: int) -> None:
        self.tree, self.payload = np.zeros((64, 5), dtype=np.int32), np.full(64, -1, dtype=np.int32)
        self.root = np.full(n_forms, -1, dtype=np.int64)
        self.g, self.end = np.zeros((64, d)), np.zeros(64, dtype=np.int64)
        self.row, self.alpha = np.zeros(1024, dtype=np.int32), np.zeros(1024)
        self.n_cones, self.n_payloads, self.n_entries = 0, 0, 0

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))

    def reserve(self, cones: int, payloads: int, entries: int) -> None:
        """Make room for more."""
        if self.n_cones + cones > len(self.tree):
            extra = max(cones, len(self.tree) // 2)
            self.tree = longer(self.tree, extra)
            self.payload = longer(self.payload, extra)
        if self.n_payloads + payloads > len(self.g):
            extra = max(payloads, len(self.g) // 2)
            self.g, self.end = longer(self.g, extra), longer(self.end, extra)
        if self.n_entries + entries > len(self.row):
            extra = max(entries, len(self.row) // 2)
            self.row, self.alpha = longer(self.row, extra), longer(self.alpha, extra)

    def add_roots(self, forms: np.ndarray) -> np.ndarray:
        """New cones for the fans of some forms."""
        count = self.g.shape[1] + 1
        self.root[forms] = self.n_cones + count * np.arange(len(forms))
        return self._new(count * len(forms))

    def add_split(self, cones: np.ndarray, split: np.ndarray) -> np.ndarray:
        """New cones for the halves of some cones; they start with their parent's multipliers."""
        new = self._new(2 * len(cones))
        self.tree[cones, :4] = split
        self.tree[cones, 4] = new[::2]
        self.payload[new] = np.repeat(self.payload[cones], 2)
        return new

    def _new(self, count: int) -> np.ndarray:
        self.reserve(count, 0, 0)
        new = np.arange(self.n_cones, self.n_cones + count, dtype=np.int32)
        self.tree[new, 4], self.payload[new] = -1, -1
        self.n_cones += count
        return new

    def add_payload(self, cone: int, g: np.ndarray, rows: np.ndarray, alpha: np.ndarray) -> None:
        """Multipliers of one cone."""
        self.reserve(0, 1, len(rows))
        first, self.n_entries = self.n_entries, self.n_entries + len(rows)
        self.row[first : self.n_entries], self.alpha[first : self.n_entries] = rows, alpha
        self.g[self.n_payloads], self.end[self.n_payloads] = g, self.n_entries
        self.payload[cone] = self.n_payloads
        self.n_payloads += 1


def proof_payload(log: ProofLog, forms: ConeForms) -> dict[str, Any] | None:
    """The proof in the forms' own units: per form a fan, a tree in preorder and the leaves' multipliers.

    ``tree`` has one row a cone, the fan's ``d + 1`` cones one after the other: ``(a, b, i, j)`` for a split one,
    ``(-1, leaf, 0, 0)`` for a leaf; ``leaves`` holds g and the multipliers (leaf, row, alpha) that are not
    ``|w_i| sign(x_i g)``. None if some cone has no multipliers yet.
    """
    leaves = log.tree[: log.n_cones, 4] < 0
    if np.any(log.root < 0) or np.any(log.payload[: log.n_cones][leaves] < 0):
        return None
    return {"kind": "cones", "forms": [_form_proof(log, forms, f) for f in range(forms.count)]}


def _form_proof(log: ProofLog, forms: ConeForms, f: int) -> dict[str, Any]:
    d = forms.d
    nodes: list[list[int]] = []
    leaves: list[int] = []
    pending = list(range(int(log.root[f]) + d, int(log.root[f]) - 1, -1))
    while pending:
        a, b, i, j, left = log.tree[pending[-1]].tolist()
        cone = pending.pop()
        if left < 0:
            nodes.append([-1, len(leaves), 0, 0])
            leaves.append(int(log.payload[cone]))
        else:
            nodes.append([a, b, i, j])
            pending += [left + 1, left]
    used, index = np.unique(np.array(leaves, dtype=np.int64), return_inverse=True)
    tree = np.array(nodes, dtype=np.int64)
    ends = tree[:, 0] < 0
    tree[ends, 1] = index[tree[ends, 1]]
    return {"simplex": forms.fan.astype(np.int64), "tree": tree, "leaves": _multipliers(log, forms, f, used)}


def _multipliers(log: ProofLog, forms: ConeForms, f: int, used: np.ndarray) -> dict[str, Any]:
    """g and the alphas that differ from their default ``|w_i| sign(x_i g)``, which depends on g alone."""
    part = slice(int(forms.start[f]), int(forms.start[f + 1]))
    weights = np.abs(forms.weights[part])
    found: list[np.ndarray] = [np.zeros((0, 3))]
    for number, p in enumerate(used.tolist()):
        own = slice(int(log.end[p - 1]) if p else 0, int(log.end[p]))
        rows, alpha = log.row[own], log.alpha[own]
        differs = np.abs(alpha) != weights[rows]
        differs |= np.sign(alpha) != np.sign(forms.rows[part][rows] @ log.g[p])
        rows, alpha = rows[differs], alpha[differs]
        powers = forms.power - forms.power_of_row[part][rows]
        found.append(
            np.column_stack([np.full(len(rows), number), forms.order[part][rows], np.ldexp(alpha, powers)])
        )  # fmt: skip
    return {"g": np.ldexp(log.g[used], forms.power), "alpha": np.concatenate(found)}


def longer(array: np.ndarray, extra: int) -> np.ndarray:
    """The array with ``extra`` more entries along its first axis."""
    grown = np.zeros((len(array) + extra, *array.shape[1:]), dtype=array.dtype)
    grown[: len(array)] = array
    return grown
