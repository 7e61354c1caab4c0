"""The rows of X that bound a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from .._validation import as_matrix, check_count
from ..errors import PatternError
from ._integers import integer_rows, pivots, solve_scaled
from ._reduction import merge_parallel, reduce_rows
from .patterns import PatternSet
from .projection import cell_rows

__all__ = ["cell_facets"]

_KEY_SEED = 20_230_517


@dataclass(frozen=True)
class _Lookup:
    """Sorted linear hashes of the patterns on the distinct rows, to find a pattern with one hyperplane crossed."""

    rows: np.ndarray
    keys: np.ndarray
    hashes: np.ndarray
    order: np.ndarray
    sorted_hashes: np.ndarray


_LOOKUPS: WeakKeyDictionary[PatternSet, _Lookup] = WeakKeyDictionary()


def cell_facets(patterns: PatternSet, X: Any, index: int) -> np.ndarray:
    """Return the rows of X whose hyperplanes bound cell ``index``, one row per facet.

    For a complete set, row i is a facet iff the pattern with the bit of i (and of all rows parallel to it) flipped is
    listed too. For an incomplete set, row i is left out only if ``s_i x_i`` is proven, in rationals, to be a
    non-negative combination of other rows ``s_j x_j``; in doubt it is kept, so the rows returned always describe the
    closed cell exactly.

    Parameters
    ----------
    patterns : PatternSet of X.
    X : (n, d) the data of the patterns.
    index : number of the cell, 0 <= index < P.

    Returns
    -------
    Sorted int array of row indices; of parallel rows the first one stands for all.

    Raises
    ------
    PatternError
        If X is not the data of the patterns or the index is out of range.
    ProblemError
        If the index is not a non-negative integer.

    Examples
    --------
    >>> from convexnet.arrangements import enumerate_patterns
    >>> X = [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]
    >>> cells = enumerate_patterns(X)
    >>> {len(cell_facets(cells, X, p)) for p in range(len(cells))}
    {2}
    """
    matrix = as_matrix(X)
    index = check_count(index, "index", minimum=0)
    if index >= len(patterns):
        raise PatternError(f"index must lie between 0 and {len(patterns) - 1}, got {index}.")
    patterns.check(matrix)
    if not patterns.complete:
        return _irredundant_rows(matrix, patterns.patterns[:, index])
    lookup = _LOOKUPS.get(patterns)
    if lookup is None:
        lookup = _LOOKUPS[patterns] = _build_lookup(patterns, matrix)
    return _flippable_rows(patterns.patterns, lookup, index)


def _build_lookup(patterns: PatternSet, X: np.ndarray) -> _Lookup:
    rows, _, _ = merge_parallel(X)
    keys = np.random.default_rng(_KEY_SEED).integers(0, 2**64, size=len(rows), dtype=np.uint64)
    hashes = np.zeros(len(patterns), dtype=np.uint64)
    for row, key in zip(rows, keys, strict=True):
        hashes += patterns.patterns[row].astype(np.uint64) * key
    order = np.argsort(hashes, kind="stable")
    return _Lookup(rows, keys, hashes, order, hashes[order])


def _flippable_rows(patterns: np.ndarray, lookup: _Lookup, index: int) -> np.ndarray:
    own = patterns[lookup.rows, index]
    target = lookup.hashes[index] + np.where(own == 1, ~lookup.keys + np.uint64(1), lookup.keys)
    left = np.searchsorted(lookup.sorted_hashes, target, side="left")
    right = np.searchsorted(lookup.sorted_hashes, target, side="right")
    hits = [(int(k), int(left[k]), int(right[k])) for k in np.flatnonzero(right > left)]
    found = [hit[0] for hit in hits if _is_flip(patterns, lookup, own, *hit)]
    return np.sort(lookup.rows[np.array(found, dtype=np.int64)])


def _is_flip(patterns: np.ndarray, lookup: _Lookup, own: np.ndarray, k: int, left: int, right: int) -> bool:
    """Compare the candidates with the flipped pattern bit by bit (equal hashes prove nothing)."""
    wanted = own.copy()
    wanted[k] ^= 1
    return any(np.array_equal(patterns[lookup.rows, p], wanted) for p in lookup.order[left:right])


def _irredundant_rows(X: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Drop every row that is provably in the cone of the others."""
    from scipy.optimize import nnls

    reduction = reduce_rows(X)
    distinct = reduction.rows
    if len(distinct) == 0:
        return distinct
    _, unit_rows, _ = cell_rows(X[distinct], bits[distinct])
    whole, _ = integer_rows(X[np.ix_(distinct, reduction.columns)])
    signed = whole * (2 * bits[distinct].astype(np.int64) - 1).astype(object)[:, None]
    kept = []
    for i in range(len(distinct)):
        others = np.delete(np.arange(len(distinct)), i)
        try:
            weights, residual = nnls(unit_rows[others].T, unit_rows[i])
        except RuntimeError:
            weights, residual = np.zeros(len(others)), 1.0
        support = others[weights > 0]
        if residual > 1e-6 or not _in_cone(signed[support], signed[i]):
            kept.append(int(distinct[i]))
    return np.array(kept, dtype=np.int64)


def _in_cone(generators: np.ndarray, target: np.ndarray) -> bool:
    """Prove ``target = sum_j c_j generators_j`` with c >= 0 in integers; False when there is no such proof."""
    rows, columns = pivots(generators)
    if len(rows) < len(generators) or not rows:
        return False
    determinant, solution = solve_scaled(generators[:, columns].T, target[columns, None])
    weights = solution[:, 0]
    nonnegative = all(w * determinant >= 0 for w in weights)
    return nonnegative and bool((weights.dot(generators) == determinant * target).all())
