"""One strictly interior direction per cell: floats where the signs are beyond rounding, else Python integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import PatternError
from ._directions import TINY, sign_error, unit
from ._integers import to_mantissa
from ._reduction import Reduction
from ._vertices import Deadline
from ._words import unpack

__all__ = ["clear_signs", "find_witnesses", "representable"]

_CHUNK = 4_000_000


def clear_signs(balanced: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return bits ``x_i . g > 0`` (B, N) and the pairs (b, i) whose sign rounding may have changed.

    The bound covers any order of summation, and scaling g to unit length.
    """
    gamma = 2 * sign_error(balanced.shape[1])
    values = vectors @ balanced.T
    size = np.abs(vectors)
    b, j = np.nonzero(np.abs(values) <= gamma * size.sum(axis=1, keepdims=True) + TINY)
    unclear = np.abs(values[b, j]) <= gamma * (np.abs(balanced[j]) * size[b]).sum(axis=1) + TINY
    return values > 0, b[unclear], j[unclear]


def representable(X: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Tell which unit vectors (B, d) have products ``x_ik g_k`` far from under- and overflow."""
    size = np.abs(X)
    if size.max(initial=0.0) > 2.0**900:
        return np.zeros(len(vectors), dtype=bool)
    smallest = np.where(size > 0, size, 1.0).min(axis=0)
    parts = np.abs(vectors)
    with np.errstate(under="ignore"):
        return (np.where(parts > 0, parts, 1.0) * smallest > 2.0**-900).all(axis=1)


def _ray_sums(
    reduction: Reduction, ptr: np.ndarray, line: np.ndarray, sign: np.ndarray, rays: np.ndarray
) -> np.ndarray:
    """Sum the unit rays (V, r) of each cell: (H, r)."""
    cell = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    columns = [np.bincount(cell, weights=sign * rays[line, k], minlength=len(ptr) - 1) for k in range(reduction.rank)]
    return np.stack(columns, axis=1)


def find_witnesses(
    reduction: Reduction,
    words: np.ndarray,
    csr: tuple[np.ndarray, np.ndarray, np.ndarray],
    rays: tuple[np.ndarray, np.ndarray],
    exact_rays: Callable[[np.ndarray], np.ndarray],
    deadline: Deadline,
) -> tuple[np.ndarray, dict[int, tuple[int, ...]]]:
    """Return unit witnesses (d, H) and the integer witnesses of the cells that need them.

    rays : mantissa and exponent (V, r) of the lines in integer coordinates; exact_rays : the same as integers, on
    demand, for an index array.
    """
    shift = reduction.balance_exp - reduction.normals.int_exp
    ptr, line, sign = csr
    sums = _ray_sums(reduction, ptr, line, sign, unit(rays[0], rays[1] + shift))
    witnesses = reduction.embed(sums, -reduction.balance_exp)
    good = _verified(reduction, words, sums, deadline) & representable(reduction.X, witnesses.T)
    thin: dict[int, tuple[int, ...]] = {}
    poor = np.flatnonzero(~good)
    step = max(1, _CHUNK // len(reduction.rows))
    for start in range(0, len(poor), step):
        deadline.check()
        cells = poor[start : start + step]
        whole = _integer_sums(cells, csr, exact_rays, shift)
        mantissa, exponent = to_mantissa(whole)
        witnesses[:, cells] = reduction.embed(mantissa, exponent - reduction.normals.int_exp)
        fine = _decide(reduction, words[cells], whole, unit(mantissa, exponent + shift))
        fine &= representable(reduction.X, witnesses[:, cells].T)
        thin.update({int(cells[k]): _in_data_coordinates(reduction, whole[k]) for k in np.flatnonzero(~fine)})
    return witnesses, thin


def _verified(reduction: Reduction, words: np.ndarray, sums: np.ndarray, deadline: Deadline) -> np.ndarray:
    """Tell which float vectors have the signs of their cell beyond rounding error."""
    good = np.zeros(len(sums), dtype=bool)
    n = len(reduction.rows)
    step = max(1, _CHUNK // n)
    for start in range(0, len(sums), step):
        deadline.check()
        bits, unclear, _ = clear_signs(reduction.balanced, sums[start : start + step])
        same = (bits == unpack(words[start : start + step], n).view(bool)).all(axis=1)
        same[unclear] = False
        good[start : start + step] = same
    return good


def _integer_sums(
    cells: np.ndarray,
    csr: tuple[np.ndarray, np.ndarray, np.ndarray],
    exact_rays: Callable[[np.ndarray], np.ndarray],
    shift: np.ndarray,
) -> np.ndarray:
    """Sum the integer rays of each cell after shifting them to about equal length in balanced coordinates."""
    ptr, line, sign = csr
    counts = ptr[cells + 1] - ptr[cells]
    starts = np.cumsum(counts) - counts
    take = np.arange(counts.sum()) + np.repeat(ptr[cells] - starts, counts)
    lines, inverse = np.unique(line[take], return_inverse=True)
    rays = exact_rays(lines).astype(object)
    mantissa, exponent = to_mantissa(rays)
    length = np.where(mantissa == 0, -(10**6), exponent + shift).max(axis=1)[inverse]
    missing = np.repeat(np.maximum.reduceat(length, starts), counts) - length
    scaled = np.left_shift(rays[inverse], missing.astype(object)[:, None]) * sign[take].astype(object)[:, None]
    return np.add.reduceat(scaled, starts, axis=0)


def _decide(reduction: Reduction, words: np.ndarray, whole: np.ndarray, rounded: np.ndarray) -> np.ndarray:
    """Verify the integer witnesses ``whole`` exactly; tell for which of them the rounded one is good enough."""
    bits, b, j = clear_signs(reduction.balanced, rounded)
    exact = (reduction.normals.ints[j].astype(object) * whole[b]).sum(axis=1)
    bits[b, j] = exact > 0
    if (exact == 0).any() or (bits != unpack(words, len(reduction.rows)).view(bool)).any():
        raise PatternError("internal error: an integer witness is not interior to its cell; please report the data.")
    fine = np.ones(len(words), dtype=bool)
    fine[b] = False
    return fine


def _in_data_coordinates(reduction: Reduction, whole: np.ndarray) -> tuple[int, ...]:
    int_exp = reduction.normals.int_exp
    out = [0] * reduction.X.shape[1]
    for k, column in enumerate(reduction.columns):
        out[int(column)] = int(whole[k]) << int(int_exp.max() - int_exp[k])
    return tuple(out)
