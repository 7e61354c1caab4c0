"""The design matrix of the dual Newton method: small ones expanded once, the gates in use expanded once per step."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._gates import Gates

__all__ = ["ActiveDesign", "Design"]

_TABLE_ENTRIES = 4_000_000
"""Gates of a whole problem kept as doubles up to this number (32 MB)."""
_BLOCK_ENTRIES = 16_000_000
"""Gates in use expanded up to this number."""


class Design:
    """``A' r`` over all gates, and the design of some of them."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        small = gates.n * gates.P <= _TABLE_ENTRIES
        self.table = gates.block(slice(None)) if small else None
        self.singles = gates.single()

    def adjoint(self, r: np.ndarray) -> np.ndarray:
        """Correlations (q, P) of r (n,) with all gates."""
        if self.table is None:
            return self.gates.adjoint(r)
        return (self.gates.rows * r[:, None]).T @ self.table

    def active(self, groups: np.ndarray) -> ActiveDesign:
        """The design of the gates ``groups``."""
        return ActiveDesign(self, groups)


class ActiveDesign:
    """Products with some gates: an expanded block (n, J) where it fits, else chunks of bytes."""

    def __init__(self, design: Design, groups: np.ndarray) -> None:
        self.design, self.groups = design, groups
        self.small = design.gates.n * len(groups) <= _BLOCK_ENTRIES
        self._kept: dict[Any, Any] = {}

    @property
    def width(self) -> int:
        """The number J of gates."""
        return len(self.groups)

    def rows(self, dtype: Any) -> np.ndarray:
        """The rows E in single or double precision."""
        return self.design.gates.rows if dtype == np.float64 else self.design.singles.rows

    def block(self, dtype: Any) -> np.ndarray:
        """Gate factors (n, J)."""
        if dtype not in self._kept:
            if dtype == np.float64 and self.design.table is not None:
                block = np.take(self.design.table, self.groups, axis=1)
            elif np.float64 in self._kept:
                block = self._kept[np.float64].astype(dtype)
            else:
                source = self.design.gates if dtype == np.float64 else self.design.singles
                block = source.block(self.groups)
            self._kept[dtype] = block
        return self._kept[dtype]

    def forward(self, W: np.ndarray) -> np.ndarray:
        """Predictions (n,) of weights (q, J), in their precision."""
        if not self.small:
            return self._operator(W.dtype).forward(W)
        return np.einsum("iq,iq->i", self.block(W.dtype.type) @ W.T, self.rows(W.dtype))

    def adjoint(self, r: np.ndarray) -> np.ndarray:
        """Correlations (q, J) of r (n,), in its precision."""
        if not self.small:
            return self._operator(r.dtype).adjoint(r)
        return (self.rows(r.dtype) * r[:, None]).T @ self.block(r.dtype.type)

    def _operator(self, dtype: Any) -> Gates:
        key = ("operator", np.dtype(dtype).name)
        if key not in self._kept:
            source = self.design.gates if dtype == np.float64 else self.design.singles
            self._kept[key] = source.select(self.groups)
        return self._kept[key]
