"""Activation patterns with their proof of completeness, witnesses and extreme rays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._hashing import hash_arrays
from .._validation import as_matrix
from ..errors import PatternError

__all__ = ["CellRays", "PatternSet", "data_hash", "pattern_matrix"]


def data_hash(X: Any) -> str:
    """Return the SHA-256 of the shape and the little-endian float64 bytes of X.

    Raises
    ------
    DataError
        If X is not a finite non-empty 2-D array.

    Examples
    --------
    >>> data_hash([[1.0, 2.0]])[:12]
    'd87d3878df60'
    """
    return hash_arrays(as_matrix(X))


def _frozen(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.setflags(write=False)
    return view


@dataclass(frozen=True, eq=False)
class CellRays:
    """Unit extreme rays of every cell, in compressed rows.

    The rays of cell p are ``ray_sign[j] * directions[:, ray_index[j]]`` for ``cell_ptr[p] <= j < cell_ptr[p + 1]``.
    A closed cell is the cone they generate, plus the null space of X if X has dependent columns.

    Parameters
    ----------
    directions : (d, R) unit vectors, one per line of the arrangement.
    cell_ptr : (P + 1,) int.
    ray_index, ray_sign : (cell_ptr[-1],) index into the columns of ``directions``, and +1 or -1.

    Examples
    --------
    >>> from convexnet.arrangements import enumerate_patterns
    >>> cells = enumerate_patterns([[1.0, 0.0], [0.0, 1.0]])
    >>> cells.rays.of(0).shape
    (2, 2)
    """

    directions: np.ndarray
    cell_ptr: np.ndarray
    ray_index: np.ndarray
    ray_sign: np.ndarray

    def __post_init__(self) -> None:
        for name in ("directions", "cell_ptr", "ray_index", "ray_sign"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.cell_ptr) - 1

    def __repr__(self) -> str:
        return f"CellRays(cells={len(self)}, lines={self.directions.shape[1]}, incidences={len(self.ray_index)})"

    def of(self, index: int) -> np.ndarray:
        """Return the unit extreme rays of one cell as columns, shape (d, number of rays)."""
        part = slice(int(self.cell_ptr[index]), int(self.cell_ptr[index + 1]))
        return self.directions[:, self.ray_index[part]] * self.ray_sign[part]

    def subset(self, indices: np.ndarray) -> CellRays:
        """Return the rays of the listed cells; ``directions`` is kept whole."""
        counts = np.diff(self.cell_ptr)[indices]
        ptr = np.concatenate([[0], np.cumsum(counts)])
        take = np.arange(ptr[-1]) + np.repeat(self.cell_ptr[:-1][indices] - ptr[:-1], counts)
        return CellRays(self.directions, ptr, self.ray_index[take], self.ray_sign[take])


@dataclass(frozen=True, eq=False)
class PatternSet:
    """Activation patterns ``patterns[:, p] = 1[X g_p >= 0]`` of the cells of ``{u : x_i . u = 0}``.

    Parameters
    ----------
    patterns : (n, P) uint8, one column per cell.
    witnesses : (d, P) unit vectors; ``X @ witnesses[:, p]`` has the signs of column p in floating point, whatever the
        order of summation, unless p is a key of ``exact_witnesses``.
    complete : every full-dimensional cell is listed, proven for these floats.
    data_hash : :func:`data_hash` of X as given.
    proof : "cover-count", "vertex-enumeration", or "" for a sample.
    rank : exact rank of X (of a sample, where a proof would take long: modulo a prime, a lower bound).
    rays : extreme rays of the cells, or None.
    exact_witnesses : cells too thin for a float witness: index -> Python integers u with ``x_i . u`` of the right
        strict sign for every non-zero row (``witnesses[:, p]`` is then u rounded, only close to the cell).
    seal : fingerprint that the proof of completeness leaves on exactly these patterns; see :attr:`proven`.

    Raises
    ------
    PatternError
        If the arrays do not fit together.

    Examples
    --------
    >>> from convexnet.arrangements import enumerate_patterns
    >>> enumerate_patterns([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    PatternSet(n=3, P=6, complete=True, proof='vertex-enumeration', rank=2)
    """

    patterns: np.ndarray
    witnesses: np.ndarray
    complete: bool
    data_hash: str
    proof: str
    rank: int
    rays: CellRays | None = None
    exact_witnesses: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    seal: str = ""

    def __post_init__(self) -> None:
        patterns, witnesses = np.asarray(self.patterns), np.asarray(self.witnesses, dtype=np.float64)
        if patterns.ndim != 2 or patterns.dtype != np.uint8:
            raise PatternError(f"patterns must be uint8 of shape (n, P), got {patterns.dtype}, shape {patterns.shape}.")
        if witnesses.ndim != 2 or witnesses.shape[1] != patterns.shape[1]:
            raise PatternError(
                f"witnesses must have shape (d, {patterns.shape[1]}), one column per pattern, got {witnesses.shape}."
            )
        if patterns.size and patterns.max() > 1:
            raise PatternError("patterns must hold 0 and 1 only.")
        if self.rays is not None and len(self.rays) != patterns.shape[1]:
            raise PatternError(f"rays describe {len(self.rays)} cells but there are {patterns.shape[1]} patterns.")
        object.__setattr__(self, "patterns", _frozen(patterns))
        object.__setattr__(self, "witnesses", _frozen(witnesses))

    @property
    def n(self) -> int:
        """Number of samples (rows of X)."""
        return int(self.patterns.shape[0])

    @property
    def d(self) -> int:
        """Number of columns of X."""
        return int(self.witnesses.shape[0])

    @property
    def P(self) -> int:
        """Number of patterns."""
        return int(self.patterns.shape[1])

    def __len__(self) -> int:
        return self.P

    @property
    def proven(self) -> bool:
        """Whether ``complete`` was proven here for exactly these patterns, not set by hand on edited ones."""
        return self.complete and bool(self.proof) and self.seal == self._fingerprint()

    def sealed(self) -> PatternSet:
        """Return the set with its seal: for the code that has just proven completeness, and for nobody else."""
        return replace(self, seal=self._fingerprint()) if self.complete else self

    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(f"{self.patterns.shape} {self.data_hash} {self.proof}".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.patterns.T).data)
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"PatternSet(n={self.n}, P={self.P}, complete={self.complete}, proof={self.proof!r}, rank={self.rank})"

    def check(self, X: Any) -> None:
        """Raise PatternError unless X is the data these patterns belong to (same shape, same float64 bytes).

        Raises
        ------
        PatternError
            If X differs from the data of the patterns.
        """
        matrix = as_matrix(X)
        if matrix.shape != (self.n, self.d):
            raise PatternError(
                f"these patterns belong to data of shape ({self.n}, {self.d}), got {matrix.shape}; with a bias the "
                "patterns are those of X with a column of ones appended."
            )
        if data_hash(matrix) != self.data_hash:
            raise PatternError(
                "these patterns belong to other data of the same shape (the hashes differ); enumerate or sample "
                "patterns again after scaling, shuffling or editing X."
            )

    def subset(self, indices: Any) -> PatternSet:
        """Return the patterns with the given indices (ints or a boolean mask) as an incomplete set.

        Raises
        ------
        PatternError
            If an index is out of range or not an integer.
        """
        chosen = np.asarray(indices)
        if chosen.dtype == bool and chosen.shape == (self.P,):
            chosen = np.flatnonzero(chosen)
        if chosen.size == 0:
            chosen = chosen.astype(np.int64)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise PatternError(f"indices must be a 1-D list of integers or a mask of length {self.P}.")
        if chosen.size and (chosen.min() < -self.P or chosen.max() >= self.P):
            raise PatternError(f"indices must lie between 0 and {self.P - 1}.")
        chosen = np.where(chosen < 0, chosen + self.P, chosen)
        exact = {k: self.exact_witnesses[int(p)] for k, p in enumerate(chosen) if int(p) in self.exact_witnesses}
        return PatternSet(
            patterns=self.patterns[:, chosen],
            witnesses=self.witnesses[:, chosen],
            complete=False,
            data_hash=self.data_hash,
            proof="",
            rank=self.rank,
            rays=None if self.rays is None else self.rays.subset(chosen),
            exact_witnesses=exact,
        )

    def summary(self) -> str:
        """Return a few lines for people."""
        how = f"complete, proven by {self.proof}" if self.proven else "a subset of the cells"
        thin = f"; {len(self.exact_witnesses)} cells only with integer witnesses" if self.exact_witnesses else ""
        size = f"{self.P} activation patterns of {self.n} samples in dimension {self.d} (rank {self.rank})"
        return f"{size}: {how}{thin}."

    def to_dict(self) -> dict[str, Any]:
        """Return the scalar facts about the set, without the arrays."""
        return {
            "n": self.n,
            "d": self.d,
            "P": self.P,
            "complete": self.complete,
            "proof": self.proof,
            "rank": self.rank,
            "data_hash": self.data_hash,
            "n_exact_witnesses": len(self.exact_witnesses),
        }


def pattern_matrix(X: Any, patterns: Any) -> np.ndarray:
    """Return the (n, P) uint8 array of a PatternSet of X, or of a raw 0/1 array with one row per row of X.

    Parameters
    ----------
    X : (n, d) data, with the column of ones already appended if there is a bias.
    patterns : PatternSet, or array (n, P) of zeros and ones.

    Raises
    ------
    PatternError
        If the patterns are empty, not 0/1, or belong to other data.

    Examples
    --------
    >>> pattern_matrix([[1.0], [-1.0]], [[1, 0], [0, 1]]).shape
    (2, 2)
    """
    n = len(X)
    if isinstance(patterns, PatternSet):
        patterns.check(X)
        patterns = patterns.patterns
    try:
        G = np.asarray(patterns)
    except ValueError:
        raise PatternError("patterns is ragged; pass a PatternSet or a 0/1 array of shape (n, P).") from None
    if G.ndim != 2 or G.shape[0] != n:
        raise PatternError(
            f"patterns must be a PatternSet or an array of shape (n={n}, P), one pattern per column, got shape "
            f"{G.shape}."
        )
    if G.shape[1] == 0:
        raise PatternError("There are no patterns; enumerate or sample them from problem.extended first.")
    if G.dtype.kind not in "buif" or not _is_binary(G):
        raise PatternError("patterns must hold 0 and 1 only: entry (i, p) is 1 where x_i . g_p >= 0.")
    return G.astype(np.uint8, copy=False)


def _is_binary(G: np.ndarray) -> bool:
    return bool(G.max() <= 1) if G.dtype == np.uint8 else bool(np.isin(G, (0, 1)).all())
