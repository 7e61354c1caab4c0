"""The design of a gated program as an operator: data and 0/1 gates, multiplied in chunks of rows, never expanded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["Gates"]

_CHUNK_ENTRIES = 1_000_000
"""Gates expanded to floats at a time: few enough to stay in cache while two products read them."""


_EXPANDED_ENTRIES = 64_000_000
"""Selected gates kept as floats up to this number."""


class Gates:
    r"""The operator ``A = [S_1 E ... S_P E]``, ``S_p = diag(kappa + (1 - kappa) G_p)``, of n rows and q P columns.

    A product is one matrix product per chunk of rows: ``A W = rowsum(E o (S W'))`` and, for several outputs,
    ``A' R = S' [e_i (x) r_i]``. The gates are stored once, as bytes; an expanded chunk lives only while it is used.

    Parameters
    ----------
    rows : ndarray of shape (n, q)
        The rows E that neurons see.
    patterns : uint8 ndarray of shape (n, P)
        0/1 gates; kept without a copy where possible (also as floats of ``dtype``).
    kappa : float
        Slope of the activation for negative arguments.
    dtype : float64 or float32
        Arithmetic of all products, and dtype of what they return.
    chunk : int
        Largest number of rows expanded at a time.
    """

    def __init__(
        self, rows: np.ndarray, patterns: np.ndarray, kappa: float, *, dtype: Any = np.float64, chunk: int = 2048
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.rows = np.ascontiguousarray(rows, dtype=self.dtype)
        self.patterns = np.ascontiguousarray(patterns, dtype=self.dtype if patterns.dtype == self.dtype else np.uint8)
        self.kappa = float(kappa)
        self.chunk = chunk

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.rows.shape[0])

    @property
    def q(self) -> int:
        """Weights per gate."""
        return int(self.rows.shape[1])

    @property
    def P(self) -> int:
        """Number of gates."""
        return int(self.patterns.shape[1])

    def forward(self, W: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
        """Predictions ``sum_j S_j E W_j`` of weights (q, J) or (q, J, k) of the gates ``groups`` (None: all)."""
        W = np.asarray(W, dtype=self.dtype)
        outputs = math.prod(W.shape[2:])
        columns = np.ascontiguousarray(np.moveaxis(W, 0, -1)).reshape(W.shape[1], outputs * self.q)
        out = np.empty((self.n, *W.shape[2:]), dtype=self.dtype)
        for piece, gate in self._chunks(groups):
            mixed = (gate @ columns).reshape(-1, *W.shape[2:], self.q)
            out[piece] = np.einsum("i...q,iq->i...", mixed, self.rows[piece])
        if self.kappa == 0:
            return out
        return (1 - self.kappa) * out + self.kappa * (self.rows @ W.sum(axis=1))

    def adjoint(self, r: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
        """Correlations ``E' S_j r`` of r (n,) or (n, k) with the gates ``groups``: (q, J) or (q, J, k)."""
        r = np.asarray(r, dtype=self.dtype)
        count, outputs = self.P if groups is None else len(groups), math.prod(r.shape[1:])
        out = np.zeros((self.q * outputs, count), dtype=self.dtype)
        for piece, gate in self._chunks(groups):
            out += self._scaled(r[piece], self.rows[piece]).T @ gate
        if self.kappa != 0:
            out *= 1 - self.kappa
            out += self.kappa * (self.rows.T @ r).reshape(-1, 1)
        return out if r.ndim == 1 else out.reshape(self.q, outputs, count).swapaxes(1, 2)

    def block(self, groups: np.ndarray | slice) -> np.ndarray:
        """Gate factors ``kappa + (1 - kappa) G`` of the gates ``groups``, shape (n, J)."""
        gate = self.patterns[:, groups].astype(self.dtype)
        if self.kappa == 0:
            return gate
        return self.dtype.type(self.kappa) + self.dtype.type(1 - self.kappa) * gate

    def select(self, groups: np.ndarray, *, expanded: bool = False) -> Gates:
        """The operator of some gates, stored contiguously: worth it before repeated products with them.

        ``expanded`` stores them as floats if they are few: products are then up to twice as fast.
        """
        few = expanded and self.n * len(groups) <= _EXPANDED_ENTRIES
        dtype = self.dtype if few else np.uint8
        return self._like(self.rows, np.take(self.patterns, groups, axis=1).astype(dtype, copy=False))

    def subset(self, samples: np.ndarray) -> Gates:
        """The operator of some rows."""
        return self._like(self.rows[samples], self.patterns[samples])

    def single(self) -> Gates:
        """The same operator in float32; it shares the gates."""
        return self if self.dtype == np.float32 else self._like(self.rows, self.patterns, np.float32)

    def _like(self, rows: np.ndarray, patterns: np.ndarray, dtype: Any = None) -> Gates:
        return Gates(rows, patterns, self.kappa, dtype=self.dtype if dtype is None else dtype, chunk=self.chunk)

    def _chunks(self, groups: np.ndarray | None) -> Iterator[tuple[slice, np.ndarray]]:
        """Row slices and their 0/1 gates as floats."""
        count = self.P if groups is None else len(groups)
        step = max(64, min(self.chunk, _CHUNK_ENTRIES // max(count, 1)))
        for start in range(0, self.n, step):
            piece = slice(start, min(start + step, self.n))
            gate = self.patterns[piece]
            yield piece, (gate if groups is None else np.take(gate, groups, axis=1)).astype(self.dtype, copy=False)

    @staticmethod
    def _scaled(r: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """``r_i e_i`` (n, q), or the Kronecker products ``e_i (x) r_i`` (n, q k)."""
        if r.ndim == 1:
            return r[:, None] * rows
        return (rows[:, :, None] * r[:, None, :]).reshape(len(r), -1)
