"""Bit vectors packed into 64-bit words: packing, hashing, exact grouping of equal rows."""

from __future__ import annotations

import numpy as np

__all__ = ["complement_mask", "group_equal", "hash_words", "pack", "spread", "unpack"]

WORD = np.dtype("<u8")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def pack(bits: np.ndarray) -> np.ndarray:
    """Pack a boolean (B, n) matrix into (B, ceil(n / 64)) words; bit i lies in word i // 64 at position i % 64."""
    count, n = bits.shape
    packed = np.packbits(bits, axis=1, bitorder="little")
    width = max(1, -(-n // 64)) * 8
    if packed.shape[1] != width:
        padded = np.zeros((count, width), dtype=np.uint8)
        padded[:, : packed.shape[1]] = packed
        packed = padded
    return np.ascontiguousarray(packed).view(WORD)


def unpack(words: np.ndarray, n: int) -> np.ndarray:
    """Invert :func:`pack`: a uint8 (B, n) matrix of bits."""
    raw = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(raw, axis=1, bitorder="little", count=n)


def complement_mask(n: int) -> np.ndarray:
    """Return the words whose first n bits are one: XOR with them complements a packed pattern."""
    return pack(np.ones((1, n), dtype=bool))[0]


def hash_words(words: np.ndarray) -> np.ndarray:
    """Return one 64-bit hash per row (equal rows have equal hashes, the converse is checked by the callers)."""
    state = np.zeros(len(words), dtype=np.uint64)
    for column in range(words.shape[1]):
        state = (state ^ words[:, column]) * _MULTIPLIER
        state ^= state >> np.uint64(29)
    return state


def group_equal(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group equal rows exactly.

    Returns
    -------
    order : (B,) int array that makes equal rows adjacent (stable).
    starts : positions in ``order`` where a new group begins.
    """
    keys = hash_words(words)
    order = np.argsort(keys, kind="stable")
    changed = _changes(words, order)
    sorted_keys = keys[order]
    if (changed & (sorted_keys[1:] == sorted_keys[:-1])).any():
        order = np.lexsort(words.T)
        changed = _changes(words, order)
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(words)), dtype=bool), changed]))
    return order, starts


def _changes(words: np.ndarray, order: np.ndarray) -> np.ndarray:
    changed = np.zeros(max(0, len(order) - 1), dtype=bool)
    for column in range(words.shape[1]):
        values = words[order, column]
        changed |= values[1:] != values[:-1]
    return changed


def spread(base: np.ndarray, rows: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Return copies of the packed patterns ``base`` (K, W) with ``bits[k, j]`` written at row ``rows[k, j]``.

    The written positions must be zero in ``base``.
    """
    out = base.copy()
    index = np.arange(len(base))
    for j in range(rows.shape[1]):
        shift = (rows[:, j] & 63).astype(np.uint64)
        out[index, rows[:, j] >> 6] |= bits[:, j].astype(np.uint64) << shift
    return out
