"""A subset of the activation patterns, from random directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import as_matrix, check_choice, check_count
from ..errors import DataError, PatternError
from ._directions import unit
from ._rank import rank_bounds
from ._reduction import expand_bits, merge_parallel, scaled_rows
from ._witnesses import clear_signs, representable
from ._words import pack
from .counting import cover_count
from .patterns import PatternSet, data_hash

__all__ = ["patterns_at", "sample_patterns"]

_METHODS = ("gaussian", "differences", "sparse")
_CHUNK = 4_000_000
_RANK_WORK = 1e8
"""Operations spent on the exact rank of X; a bound of it does for a sample."""
Draw = Callable[[np.random.Generator, int], np.ndarray]


def sample_patterns(
    X: Any,
    n_patterns: int,
    *,
    method: str = "gaussian",
    random_state: int | np.random.Generator | None = None,
    max_draws: int | None = None,
) -> PatternSet:
    """Draw directions g until ``n_patterns`` distinct patterns ``1[X g >= 0]`` are found or ``max_draws`` are spent.

    ``gaussian``: ``g = V S^{-1} h``, h standard normal, ``X = U S V^T`` (columns first scaled by powers of two),
    so that ``X g = U h`` does not depend on the scaling or correlation of the columns. ``differences``: the same
    with ``h = U^T (e_i - e_j)`` for random rows. ``sparse``: one or two random features, standard normal weights.
    With a constant column the last two put the hyperplane through a random point between two rows of X.

    Parameters
    ----------
    X : (n, d) data, with the column of ones already appended if there is a bias.
    n_patterns : wanted number of patterns; fewer are returned when the draws do not find more.
    method : "gaussian", "differences" or "sparse".
    random_state : seed or Generator.
    max_draws : default ``20 * n_patterns + 1000``.

    Returns
    -------
    PatternSet with ``complete=False``, unless the number of patterns reaches Cover's bound of the distinct rows
    (``complete=True``, ``proof="cover-count"``).

    Raises
    ------
    ProblemError
        If an option is invalid.
    DataError
        If X is not a finite non-empty 2-D array.
    PatternError
        If no direction had signs beyond rounding error.

    Notes
    -----
    Source of sampling patterns with random gates: M. Pilanci, T. Ergen, "Neural networks are convex regularizers",
    2020; whitening makes it independent of the units of the features.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).standard_normal((30, 3))
    >>> sample_patterns(X, 100, random_state=0)
    PatternSet(n=30, P=100, complete=False, proof='', rank=3)
    """
    matrix = as_matrix(X)
    n_patterns = check_count(n_patterns, "n_patterns")
    check_choice(method, "method", _METHODS)
    generator = _generator(random_state)
    limit = 20 * n_patterns + 1000 if max_draws is None else check_count(max_draws, "max_draws")
    reduced = _reduce(matrix)
    rank, most = rank_bounds(matrix, _RANK_WORK)
    bound = cover_count(len(reduced.rows), most)
    draw = _drawer(np.ldexp(matrix, -reduced.column_exp.astype(np.int32)), method)
    bits, witnesses = _collect(reduced, draw, generator, min(n_patterns, bound), limit)
    if not len(bits):
        raise PatternError(
            f"none of {limit} directions had all signs beyond rounding error: two rows may be almost parallel, or X "
            "has entries of extreme size. Rescale the columns, try another method, or enumerate_patterns(X)."
        )
    return _listed(matrix, reduced, rank, bound, bits, witnesses)


def patterns_at(X: Any, directions: Any) -> PatternSet:
    """Return the distinct patterns ``1[X g >= 0]`` of given directions, one a column.

    Directions on which some sign is within rounding error of zero are left out.

    Parameters
    ----------
    X : (n, d) data, with the column of ones already appended if there is a bias.
    directions : (d, P) array, for example the weights (and biases) of trained neurons.

    Raises
    ------
    DataError
        If an array is not finite, or the shapes do not fit.
    PatternError
        If no direction has signs beyond rounding error.

    Examples
    --------
    >>> patterns_at([[1.0, 1.0], [2.0, 1.0]], [[1.0, -1.0], [0.0, 1.5]]).patterns.tolist()
    [[1, 1], [1, 0]]
    """
    matrix, columns = as_matrix(X), as_matrix(directions, "directions")
    if columns.shape[0] != matrix.shape[1]:
        raise DataError(f"directions must have {matrix.shape[1]} rows, one per column of X, got {columns.shape[0]}.")
    reduced = _reduce(matrix)
    rank, most = rank_bounds(matrix, _RANK_WORK)
    bound = cover_count(len(reduced.rows), most)
    scaled = np.ldexp(columns.T, reduced.column_exp.astype(np.int32))
    bits, witnesses = _collect(reduced, lambda generator, count: scaled, np.random.default_rng(0), len(scaled), 1)
    if not len(bits):
        raise PatternError("none of the directions had all signs beyond rounding error; move them off the hyperplanes.")
    return _listed(matrix, reduced, rank, bound, bits, witnesses)


def _listed(
    X: np.ndarray, reduced: _Reduced, rank: int, bound: int, bits: np.ndarray, witnesses: np.ndarray
) -> PatternSet:
    return PatternSet(
        patterns=expand_bits(bits, reduced.group, reduced.orient).T,
        witnesses=witnesses.T,
        complete=len(bits) == bound,
        data_hash=data_hash(X),
        proof="cover-count" if len(bits) == bound else "",
        rank=rank,
    ).sealed()


@dataclass(frozen=True)
class _Reduced:
    """Distinct rows of X at size one, in the coordinates of X with columns scaled by powers of two."""

    X: np.ndarray
    rows: np.ndarray
    group: np.ndarray
    orient: np.ndarray
    balanced: np.ndarray
    column_exp: np.ndarray


def _reduce(X: np.ndarray) -> _Reduced:
    rows, group, orient = merge_parallel(X)
    balanced, column_exp = scaled_rows(X[rows]) if len(rows) else (X[rows], np.zeros(X.shape[1], dtype=np.int64))
    return _Reduced(X, rows, group, orient, balanced, column_exp)


def _generator(random_state: Any) -> np.random.Generator:
    if isinstance(random_state, np.random.Generator):
        return random_state
    if random_state is not None:
        random_state = check_count(random_state, "random_state", minimum=0)
    return np.random.default_rng(random_state)


def _drawer(X: np.ndarray, method: str) -> Draw:
    """Return a function that draws (count, d) directions in the coordinates of X with scaled columns."""
    constant = np.flatnonzero(np.equal(X, X[:1]).all(axis=0) & (X[0] != 0))
    bias = int(constant[0]) if len(constant) else None
    if method == "sparse":
        return _sparse_drawer(X, bias)
    U, S, Vt = np.linalg.svd(X, full_matrices=False)
    kept = np.greater(S, S[0] * max(X.shape) * np.finfo(float).eps)
    if not kept.any():
        return lambda generator, count: generator.standard_normal((count, X.shape[1]))
    U, whitening = U[:, kept], Vt[kept] / S[kept, None]
    if method == "gaussian":
        return lambda generator, count: generator.standard_normal((count, len(whitening))) @ whitening

    def differences(generator: np.random.Generator, count: int) -> np.ndarray:
        i, j = generator.integers(0, len(X), size=(2, count))
        return _through_segments(X, (U[i] - U[j]) @ whitening, i, j, bias, generator)

    return differences


def _sparse_drawer(X: np.ndarray, bias: int | None) -> Draw:
    usable = np.flatnonzero((X != 0).any(axis=0) & (np.arange(X.shape[1]) != bias))
    if not len(usable):
        usable = np.arange(X.shape[1])
    spread = np.sqrt((X[:, usable] ** 2).mean(axis=0)) if bias is None else X[:, usable].std(axis=0)
    weight = 1.0 / np.where(spread > 0, spread, 1.0)

    def sparse(generator: np.random.Generator, count: int) -> np.ndarray:
        G = np.zeros((count, X.shape[1]))
        for _ in range(min(2, len(usable))):
            pick = generator.integers(0, len(usable), size=count)
            G[np.arange(count), usable[pick]] = generator.standard_normal(count) * weight[pick]
        i, j = generator.integers(0, len(X), size=(2, count))
        return _through_segments(X, G, i, j, bias, generator)

    return sparse


def _through_segments(
    X: np.ndarray, G: np.ndarray, i: np.ndarray, j: np.ndarray, bias: int | None, generator: np.random.Generator
) -> np.ndarray:
    """Shift each hyperplane, where there is a constant column, through a random point between rows i and j."""
    if bias is None:
        return G
    t = generator.random(len(G))[:, None]
    G[:, bias] = 0.0
    G[:, bias] = -(G * (t * X[i] + (1 - t) * X[j])).sum(axis=1) / X[0, bias]
    return G


def _collect(
    reduced: _Reduced, draw: Draw, generator: np.random.Generator, wanted: int, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct patterns (P, N) found on the distinct rows, and a unit witness of each (P, d)."""
    n, d = reduced.balanced.shape
    batch = int(np.clip(wanted, 64, max(64, _CHUNK // max(n, d))))
    found: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
    drawn = 0
    while drawn < limit and len(found) < wanted:
        G = draw(generator, min(batch, limit - drawn))
        drawn += len(G)
        length = np.linalg.norm(G, axis=1)
        G = G[length > 0] / length[length > 0, None]
        witnesses = unit(G, -reduced.column_exp)
        bits, unclear, _ = clear_signs(reduced.balanced, G)
        good = representable(reduced.X, witnesses)
        good[unclear] = False
        words = pack(bits)
        for k in np.flatnonzero(good):
            found.setdefault(words[k].tobytes(), (bits[k], witnesses[k]))
            if len(found) == wanted:
                break
    patterns = np.array([value[0] for value in found.values()], dtype=np.uint8).reshape(len(found), n)
    return patterns, np.array([value[1] for value in found.values()]).reshape(len(found), d)
