"""All vertices (null directions of r - 1 rows) of a central arrangement, with exact signs of every row on them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations, islice
from math import comb

import numpy as np

from ..errors import TooManyCellsError
from ._directions import TINY, cross, cross_bounds, direction_error, sign_error, unit
from ._integers import to_mantissa
from ._reduction import Normals
from ._words import group_equal, pack

__all__ = ["Deadline", "Vertices", "find_vertices"]

_CHUNK = 4_000_000
_ACCURACY = 2e-14


class Deadline:
    """A wall-clock limit that long loops ask about."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.end = None if seconds is None else time.monotonic() + seconds

    def check(self) -> None:
        """Raise TooManyCellsError once the time is used up."""
        if self.end is not None and time.monotonic() > self.end:
            raise TooManyCellsError(
                f"time ran out after {self.seconds:g} s: the cells found so far may not be all, so completeness "
                "cannot be claimed. Raise time_limit, or use sample_patterns for a subset."
            )


@dataclass(frozen=True)
class Vertices:
    """One representative +v of each line that is a vertex of the arrangement.

    words : (V, W) packed signs, zero on the rows through v; basis : (V, r - 1) independent rows through v;
    simple : (V,) True where no further row passes through v; through : (number of non-simple, W) packed rows through v;
    pivot : (V,) a coordinate where v is not zero; mantissa, exponent : (V, r) floats of v in integer coordinates.
    """

    words: np.ndarray
    basis: np.ndarray
    simple: np.ndarray
    through: np.ndarray
    pivot: np.ndarray
    mantissa: np.ndarray
    exponent: np.ndarray

    def __len__(self) -> int:
        return len(self.basis)


def _subsets(n: int, k: int, size: int) -> Iterator[np.ndarray]:
    source = combinations(range(n), k)
    for _ in range(0, comb(n, k), size):
        flat = np.fromiter(chain.from_iterable(islice(source, size)), dtype=np.int64)
        yield flat.reshape(-1, k)


def find_vertices(normals: Normals, deadline: Deadline) -> Vertices:
    """Return every vertex once, for N > r >= 2 pairwise non-parallel rows of rank r."""
    n, r = normals.shape
    size = max(16, _CHUNK // max(n, 2**r))
    parts = []
    for basis in _subsets(n, r - 1, size):
        deadline.check()
        parts.append(_chunk(normals, basis))
    merged = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    return _without_repeats(*merged)


def _without_repeats(*fields: np.ndarray) -> Vertices:
    """Keep one of the bases of each vertex: a vertex is known by the set of rows through it."""
    words, basis, simple, through, pivot, mantissa, exponent = fields
    crowded = np.flatnonzero(~simple)
    if len(crowded):
        order, starts = group_equal(through)
        first = np.sort(order[starts])
        keep = np.sort(np.concatenate([np.flatnonzero(simple), crowded[first]]))
        through = through[first]
        words, basis, simple, pivot, mantissa, exponent = (
            field[keep] for field in (words, basis, simple, pivot, mantissa, exponent)
        )
    return Vertices(words, basis, simple, through, pivot, mantissa, exponent)


def _chunk(normals: Normals, basis: np.ndarray) -> tuple[np.ndarray, ...]:
    basis, v, bound, mantissa, exponent = _directions(normals, basis)
    bits, zero = _signs(normals, basis, v, bound)
    simple = np.logical_not(zero.any(axis=1))
    crowded = np.flatnonzero(~simple)
    zero = zero[crowded]
    zero[np.arange(len(crowded))[:, None], basis[crowded]] = True
    through = pack(zero)
    pivot: np.ndarray = (np.abs(v) - direction_error(v.shape[1]) * bound).argmax(axis=1)
    fields: tuple[np.ndarray, ...] = (pack(bits), basis, simple, through, pivot, mantissa, exponent)
    return fields if len(crowded) < 2 else _thin(fields)


def _thin(fields: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    kept = _without_repeats(*fields)
    return kept.words, kept.basis, kept.simple, kept.through, kept.pivot, kept.mantissa, kept.exponent


def _directions(normals: Normals, basis: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return independent bases, v in float coordinates with its absolute version, and v as mantissa and exponent."""
    shift = normals.float_exp - normals.int_exp
    v, bound = cross_bounds(normals.floats[basis])
    if normals.exact:
        keep = v.any(axis=1)
        v = v[keep]
        mantissa, exponent = np.frexp(v)
        return basis[keep], v, np.abs(v), mantissa, exponent.astype(np.int64)
    mantissa, part = np.frexp(v)
    exponent = part.astype(np.int64) - shift
    poor = np.flatnonzero(_inaccurate(v, bound, normals.float_exp))
    if len(poor):
        whole = cross(normals.ints[basis[poor]])
        fine_mantissa, fine_exponent = to_mantissa(whole)
        mantissa[poor], exponent[poor] = fine_mantissa, fine_exponent
        v[poor] = unit(fine_mantissa, fine_exponent + shift)
        bound[poor] = np.abs(v[poor])
        keep = np.ones(len(basis), dtype=bool)
        keep[poor] = (whole != 0).any(axis=1)
        return basis[keep], v[keep], bound[keep], mantissa[keep], exponent[keep]
    return basis, v, bound, mantissa, exponent


def _inaccurate(v: np.ndarray, bound: np.ndarray, float_exp: np.ndarray) -> np.ndarray:
    """Tell which directions are not known to ~1e-13, in balanced coordinates or in those of the data."""
    error = direction_error(v.shape[1]) * bound + TINY
    bad = np.zeros(len(v), dtype=bool)
    for power in (np.zeros_like(float_exp), float_exp):
        scale = np.ldexp(1.0, np.clip(power.min() - power, -1000, 0).astype(np.int32))
        bad |= ~((error * scale).sum(axis=1) <= _ACCURACY * 5 * (np.abs(v) * scale).max(axis=1))
    return bad


def _signs(normals: Normals, basis: np.ndarray, v: np.ndarray, bound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return bits ``x_j . v > 0`` and the exact zeros outside the basis, both (B, N)."""
    index = np.arange(len(v))[:, None]
    values = v @ normals.floats.T
    gamma = 0.0 if normals.exact else sign_error(v.shape[1])
    floor = 0.0 if normals.exact else TINY
    limit = gamma * bound.sum(axis=1, keepdims=True) + floor
    bits = values > limit
    doubtful = np.abs(values) <= limit
    bits[index, basis] = False
    doubtful[index, basis] = False
    if not normals.exact:
        _settle(normals, basis, values, bound, bits, doubtful)
    return bits, doubtful


def _settle(
    normals: Normals, basis: np.ndarray, values: np.ndarray, bound: np.ndarray, bits: np.ndarray, doubtful: np.ndarray
) -> None:
    """Decide doubtful signs, first by the componentwise error bound, then in integers (in place)."""
    b, j = np.nonzero(doubtful)
    limit = sign_error(bound.shape[1]) * (np.abs(normals.floats[j]) * bound[b]).sum(axis=1) + TINY
    value = values[b, j]
    clear = np.abs(value) > limit
    bits[b[clear], j[clear]] = value[clear] > 0
    doubtful[b[clear], j[clear]] = False
    b, j = b[~clear], j[~clear]
    if not len(b):
        return
    hard, inverse = np.unique(b, return_inverse=True)
    whole = cross(normals.ints[basis[hard]])
    sign = (normals.ints[j] * whole[inverse]).sum(axis=1)
    bits[b, j] = sign > 0
    doubtful[b, j] = sign == 0
