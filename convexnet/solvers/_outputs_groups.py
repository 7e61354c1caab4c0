"""Group norms of several outputs: shrinkage of the blocks and its derivative as an operator on dual matrices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._gates import Gates

__all__ = ["ActiveGates", "Frobenius", "Groups", "Rows", "Shrunk", "Slope"]

KERNEL_ROWS = 4000
"""Samples up to which the n x n kernel of the gates is formed."""
_EXPANDED = 4_000_000
"""Entries of the active gates up to which they are kept as floats."""


class Slope(ABC):
    """``K = sigma A prox' A'`` on matrices (n, k), with an n x n matrix that is close to it for every output."""

    low_rank: np.ndarray | None = None
    """L (n k, J) with ``K x = kernel x + L L' x``, where that is the whole of K."""

    @abstractmethod
    def apply(self, x: np.ndarray) -> np.ndarray:
        """``K x``."""

    @abstractmethod
    def kernel(self) -> np.ndarray:
        """The n x n matrix."""


@dataclass(frozen=True, eq=False)
class Shrunk:
    """``prox(Z)``: the blocks (q, J, k) of the gates ``active``, their norm, squared norm, and what a slope needs."""

    active: np.ndarray
    blocks: np.ndarray
    penalty: float
    square: float
    parts: tuple[np.ndarray, ...]


class Groups(ABC):
    """The norms of the blocks of a :class:`Gates` operator."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        self._grams: dict[Any, np.ndarray] = {}

    def gram(self, dtype: Any) -> np.ndarray:
        """``E E'`` in a precision."""
        key = np.dtype(dtype)
        if key not in self._grams:
            rows = self.gates.rows.astype(key)
            self._grams[key] = rows @ rows.T
        return self._grams[key]

    def like(self, dtype: Any) -> Gates:
        """The operator in a precision."""
        return self.gates.single() if np.dtype(dtype) == np.float32 else self.gates

    @abstractmethod
    def dual_norm(self, S: np.ndarray) -> float:
        """Largest dual norm of the blocks S (q, P, k)."""

    @abstractmethod
    def shrink(self, Z: np.ndarray, t: float) -> Shrunk:
        """``argmin_W t ||W|| + 1/2 ||W - Z||^2``, block by block."""

    @abstractmethod
    def slope(self, shrunk: Shrunk, sigma: float, dtype: Any) -> Slope:
        """The derivative of the shrinkage between the gates."""


class ActiveGates:
    """Products with some gates, the blocks in the order (J, q, k); the gates are expanded once where they are few."""

    def __init__(self, gates: Gates, active: np.ndarray) -> None:
        self._rows, self._count = gates.rows, len(active)
        self._gate = gates.block(active) if gates.n * len(active) <= _EXPANDED else None
        self._design = gates.select(active) if self._gate is None else None

    def adjoint(self, x: np.ndarray) -> np.ndarray:
        """``E' S_j x``."""
        if self._design is not None:
            return np.ascontiguousarray(np.moveaxis(self._design.adjoint(x), 1, 0))
        assert self._gate is not None
        products = (self._rows[:, :, None] * x[:, None, :]).reshape(len(x), -1)
        return (self._gate.T @ products).reshape(self._count, self._rows.shape[1], x.shape[1])

    def forward(self, blocks: np.ndarray) -> np.ndarray:
        """``sum_j S_j E W_j``."""
        if self._design is not None:
            return self._design.forward(np.moveaxis(blocks, 0, 1))
        assert self._gate is not None
        q, k = blocks.shape[1:]
        mixed = (self._gate @ blocks.reshape(self._count, q * k)).reshape(-1, q, k)
        return (self._rows[:, None, :] @ mixed)[:, 0]

    def kernel(self, weight: np.ndarray, gram: np.ndarray) -> np.ndarray:
        """``(E E') o (G diag(weight) G')``."""
        gate = self._gate if self._design is None else self._design.block(slice(None))
        assert gate is not None
        matrix = (gate * weight) @ gate.T
        matrix *= gram
        return np.asarray(matrix)


class Frobenius(Groups):
    """One Frobenius norm per gate."""

    def dual_norm(self, S: np.ndarray) -> float:
        return float(np.sqrt(np.max(np.einsum("qpk,qpk->p", S, S), initial=0.0)))

    def shrink(self, Z: np.ndarray, t: float) -> Shrunk:
        size = np.sqrt(np.einsum("qpk,qpk->p", Z, Z))
        active = np.flatnonzero(size > t)
        size = size[active]
        ratio = t / size
        excess = size - t
        kept = Z[:, active]
        blocks = kept * (1 - ratio)[None, :, None]
        return Shrunk(active, blocks, float(excess.sum()), float(excess @ excess), (kept / size[:, None], ratio))

    def slope(self, shrunk: Shrunk, sigma: float, dtype: Any) -> Slope:
        kind = _FrobeniusSlope if self.gates.n <= KERNEL_ROWS else _LongSlope
        return kind(self, shrunk, sigma, dtype)


class _FrobeniusSlope(Slope):
    """``(E E') o (G diag(sigma (1 - t)) G')`` for every output, and one rank per gate along its direction."""

    def __init__(self, groups: Groups, shrunk: Shrunk, sigma: float, dtype: Any) -> None:
        directions, ratio = shrunk.parts
        single = groups.like(dtype)
        self._gram = groups.gram(dtype)
        self._gate = single.block(shrunk.active)
        self._weight = (sigma * (1 - ratio)).astype(dtype)
        n, k = self._gate.shape[0], directions.shape[2]
        scaled = self._gate * np.sqrt(sigma * ratio).astype(dtype)
        tall = np.empty((n, k, len(ratio)), dtype=dtype)
        for c in range(k):
            tall[:, c] = (single.rows @ directions[:, :, c].astype(dtype)) * scaled
        self.low_rank = tall.reshape(n * k, len(ratio))
        self._kernel: np.ndarray | None = None

    def kernel(self) -> np.ndarray:
        if self._kernel is None:
            self._kernel = (self._gate * self._weight) @ self._gate.T
            self._kernel *= self._gram
        return self._kernel

    def apply(self, x: np.ndarray) -> np.ndarray:
        assert self.low_rank is not None
        return self.kernel() @ x + (self.low_rank @ (x.reshape(-1) @ self.low_rank)).reshape(x.shape)


class _LongSlope(Slope):
    """The same for many samples: products with the active gates, nothing of size n x n."""

    def __init__(self, groups: Groups, shrunk: Shrunk, sigma: float, dtype: Any) -> None:
        directions, ratio = shrunk.parts
        self._design = ActiveGates(groups.like(dtype), shrunk.active)
        self._gram, self._dtype = groups.gram, dtype
        self._direction = np.ascontiguousarray(np.moveaxis(directions, 1, 0)).astype(dtype)
        self._equal = (sigma * (1 - ratio)).astype(dtype)
        self._along = (sigma * ratio).astype(dtype)

    def kernel(self) -> np.ndarray:
        return self._design.kernel(self._equal, self._gram(self._dtype))

    def apply(self, x: np.ndarray) -> np.ndarray:
        blocks = self._design.adjoint(x)
        along = self._along * np.einsum("jqk,jqk->j", self._direction, blocks)
        blocks *= self._equal[:, None, None]
        blocks += along[:, None, None] * self._direction
        return self._design.forward(blocks)


class Rows(Groups):
    """The l2 norm of each row of each block."""

    def dual_norm(self, S: np.ndarray) -> float:
        return float(np.sqrt(np.max(np.einsum("qpk,qpk->qp", S, S), initial=0.0)))

    def shrink(self, Z: np.ndarray, t: float) -> Shrunk:
        size = np.sqrt(np.einsum("qpk,qpk->qp", Z, Z))
        on = size > t
        active = np.flatnonzero(on.any(axis=0))
        size, on, kept = size[:, active], on[:, active], Z[:, active]
        factor = np.where(on, 1 - t / np.where(on, size, 1.0), 0.0)
        row, place = np.nonzero(on)
        excess, ratio = size[on] - t, t / size[on]
        parts = (kept[on] / size[on][:, None], ratio, row, active[place])
        return Shrunk(active, kept * factor[:, :, None], float(excess.sum()), float(excess @ excess), parts)

    def slope(self, shrunk: Shrunk, sigma: float, dtype: Any) -> Slope:
        return _RowSlope(self, shrunk, sigma, dtype)


class _RowSlope(Slope):
    """Columns a_j of the operator with k x k matrices ``sigma ((1 - t_j) I + t_j z_j z_j')``."""

    def __init__(self, groups: Groups, shrunk: Shrunk, sigma: float, dtype: Any) -> None:
        directions, ratio, row, gate = shrunk.parts
        single = groups.like(dtype)
        self._columns = single.rows[:, row] * single.block(gate)
        self._direction = directions.astype(dtype)
        self._equal = (sigma * (1 - ratio)).astype(dtype)
        self._along = (sigma * ratio).astype(dtype)

    def kernel(self) -> np.ndarray:
        k = self._direction.shape[1]
        return (self._columns * (self._equal + self._along / k)) @ self._columns.T

    def apply(self, x: np.ndarray) -> np.ndarray:
        inner = self._columns.T @ x
        along = self._along * np.einsum("jk,jk->j", self._direction, inner)
        return self._columns @ (self._equal[:, None] * inner + along[:, None] * self._direction)
