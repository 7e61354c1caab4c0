"""Cells around a vertex: the sign choices on the rows through it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np

from ._directions import TINY, cross, cross_bounds, direction_error
from ._reduction import Normals
from ._vertices import Deadline, Vertices, find_vertices
from ._words import complement_mask, group_equal, spread, unpack

__all__ = ["canonical_cells", "incidences", "sign_table"]

_CIRCUIT_WORK = 2**18
_BLOCK = 2_000_000


def sign_table(k: int) -> np.ndarray:
    """Return all 2**k bit vectors of length k as a boolean (2**k, k) table."""
    return (np.arange(2**k)[:, None] >> np.arange(k) & 1).astype(bool)


def incidences(normals: Normals, vertices: Vertices, deadline: Deadline) -> tuple[np.ndarray, np.ndarray]:
    """Return the packed patterns of all cells around each +v, and the number of v for each: (K, W) and (K,)."""
    words, owner = [], []
    for base, rows, bits, index in _blocks(normals, vertices, deadline):
        words.append(spread(base, rows, bits))
        owner.append(index)
    return np.concatenate(words), np.concatenate(owner)


def _blocks(normals: Normals, vertices: Vertices, deadline: Deadline) -> Iterator[tuple[np.ndarray, ...]]:
    n, r = normals.shape
    simple = np.flatnonzero(vertices.simple)
    table = sign_table(r - 1)
    index = np.repeat(simple, len(table))
    yield vertices.words[index], vertices.basis[index], np.tile(table, (len(simple), 1)), index
    crowded = np.flatnonzero(~vertices.simple)
    through = unpack(vertices.through, n)
    sizes = through.sum(axis=1, dtype=np.int64)
    for m in np.unique(sizes):
        same = np.flatnonzero(sizes == m)
        rows = np.nonzero(through[same])[1].reshape(len(same), m)
        step = max(1, _BLOCK // int(m * m * r))
        for start in range(0, len(same), step):
            deadline.check()
            part = slice(start, start + step)
            members = crowded[same[part]]
            owner, bits = _local_bits(_project(normals, rows[part], vertices.pivot[members]), normals, deadline)
            yield vertices.words[members[owner]], rows[part][owner], bits, members[owner]


def _project(normals: Normals, rows: np.ndarray, pivot: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drop coordinate ``pivot`` of the rows through v: v is not zero there, so their dependencies stay the same."""
    r = normals.shape[1]
    kept = np.array([[c for c in range(r) if c != p] for p in range(r)])[pivot]
    take = (rows[:, :, None], kept[:, None, :])
    return normals.floats[take], normals.ints[take], kept


def _local_bits(
    local: tuple[np.ndarray, np.ndarray, np.ndarray], normals: Normals, deadline: Deadline
) -> tuple[np.ndarray, np.ndarray]:
    """Return (K,) batch numbers and (K, m) bits of all local cells of a batch of arrangements of m rows of rank q."""
    floats, ints, kept = local
    _, m, q = ints.shape
    if q == 2:
        return _pencil(floats, ints, normals.exact)
    if 2**m * comb(m, q + 1) <= _CIRCUIT_WORK:
        return _by_circuits(floats, ints, normals.exact)
    owner, bits = [], []
    for b in range(len(ints)):
        deadline.check()
        sub = Normals(floats[b], ints[b], normals.float_exp[kept[b]], normals.int_exp[kept[b]], normals.exact)
        half = unpack(canonical_cells(sub, deadline)[0], m).astype(bool)
        bits.append(np.concatenate([half, ~half]))
        owner.append(np.full(2 * len(half), b))
    return np.concatenate(owner), np.concatenate(bits)


def _sign(floats: np.ndarray, ints: np.ndarray, exact: bool) -> np.ndarray:
    """Exact signs (-1, 0, 1) of the generalised cross products of a (B, k, k + 1) batch."""
    value, bound = cross_bounds(floats)
    sign = np.sign(value).astype(np.int8)
    if exact:
        return sign
    doubtful = (np.abs(value) <= direction_error(floats.shape[2]) * bound + TINY).any(axis=1)
    if doubtful.any():
        whole = cross(ints[doubtful])
        sign[doubtful] = (whole > 0).astype(np.int8) - (whole < 0).astype(np.int8)
    return sign


def _pencil(floats: np.ndarray, ints: np.ndarray, exact: bool) -> tuple[np.ndarray, np.ndarray]:
    """Cells of m lines in the plane: at the turned row i, take bit i = 1 and ``det(x_i, x_j) > 0`` for the others.

    That is the cell next to the ray in one fixed sense of rotation, so the 2m rays give each of the 2m cells once.
    """
    count, m, _ = ints.shape
    left, right = floats[:, :, None, :], floats[:, None, :, :]
    first, second = left[..., 0] * right[..., 1], left[..., 1] * right[..., 0]
    value = first - second
    bits = value > 0
    if not exact:
        doubtful = np.abs(value) <= direction_error(2) * (np.abs(first) + np.abs(second)) + TINY
        doubtful[:, np.arange(m), np.arange(m)] = False
        b, i, j = np.nonzero(doubtful)
        bits[b, i, j] = ints[b, i, 0] * ints[b, j, 1] - ints[b, i, 1] * ints[b, j, 0] > 0
    bits[:, np.arange(m), np.arange(m)] = True
    half = bits.reshape(count * m, m)
    owner = np.repeat(np.arange(count), m)
    return np.concatenate([owner, owner]), np.concatenate([half, ~half])


def _by_circuits(floats: np.ndarray, ints: np.ndarray, exact: bool) -> tuple[np.ndarray, np.ndarray]:
    """Cells of m rows of rank q: the sign vectors that no circuit contradicts.

    Signs s belong to a cell iff no ``c >= 0, c != 0`` has ``sum_i c_i s_i x_i = 0`` (Gordan), and a dependency is a
    conformal sum of circuits; every circuit is the dependency of some q + 1 rows of rank q.
    """
    count, m, q = ints.shape
    table = sign_table(m)
    signs = 2 * table.astype(np.float32) - 1
    feasible = np.ones((count, len(table)), dtype=bool)
    for chosen in combinations(range(m), q + 1):
        rows = list(chosen)
        circuit = _sign(floats[:, rows].transpose(0, 2, 1), ints[:, rows].transpose(0, 2, 1), exact)
        size = np.abs(circuit).sum(axis=1)
        score = np.abs(circuit.astype(np.float32) @ signs[:, rows].T)
        feasible &= (score < size[:, None]) | (size == 0)[:, None]
    owner, pattern = np.nonzero(feasible)
    return owner, table[pattern]


def canonical_cells(
    normals: Normals, deadline: Deadline
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Vertices]:
    """Return one of each pair of opposite cells (bit of row 0 is 1) for N > r >= 2 distinct hyperplanes.

    Returns
    -------
    words : (H, W) packed patterns; ptr : (H + 1,), line, sign : the incident vertices ``sign * v[line]`` of each cell
    in compressed rows; then the vertices.
    """
    vertices = find_vertices(normals, deadline)
    words, owner = incidences(normals, vertices, deadline)
    deadline.check()
    opposite = (words[:, 0] & np.uint64(1)) == 0
    words[opposite] ^= complement_mask(normals.shape[0])
    order, starts = group_equal(words)
    ptr = np.append(starts, len(order))
    sign = np.where(opposite, -1, 1).astype(np.int8)
    return words[order[starts]], ptr, owner[order], sign[order], vertices
