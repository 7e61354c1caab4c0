r"""The sensing matrix of a hyperplane arrangement: the outputs of one neuron of every activation cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import as_matrix, as_targets, check_flag
from ..arrangements import PatternSet, enumerate_patterns, project_onto_cell
from ..errors import DataError, PatternError
from ..networks import ShallowNetwork

__all__ = ["ArrangementDictionary", "arrangement_dictionary"]

_SAME = 1e-9
"""Unit columns closer than this are one atom: a maximiser on a face belongs to all cells that meet there."""


@dataclass(frozen=True, eq=False, repr=False)
class ArrangementDictionary:
    r"""Unit columns :math:`(X \theta_s)_+ / \|(X \theta_s)_+\|` with :math:`\theta_s` a unit direction of cell s.

    Attributes
    ----------
    matrix : ndarray of shape (n, N)
        Columns of length one.
    directions : ndarray of shape (d, N)
        Unit neurons.
    norms : ndarray of shape (N,)
        Lengths of the outputs of the unit neurons.
    cells : ndarray of shape (N,)
        Index of the cell of every atom in the patterns.
    """

    matrix: np.ndarray
    directions: np.ndarray
    norms: np.ndarray
    cells: np.ndarray

    @property
    def N(self) -> int:
        """Number of atoms."""
        return int(self.matrix.shape[1])

    @property
    def outputs(self) -> np.ndarray:
        """Outputs of the unit neurons: the columns whose l1 norm of amplitudes is the path norm."""
        return self.matrix * self.norms

    def __repr__(self) -> str:
        return f"ArrangementDictionary(samples={self.matrix.shape[0]}, atoms={self.N})"

    def summary(self) -> str:
        """Return a line for people."""
        low, high = self.norms.min(), self.norms.max()
        return f"{self.N} atoms, {self.matrix.shape[0]} samples; outputs of unit neurons {low:.3g} to {high:.3g}"

    def to_dict(self) -> dict[str, Any]:
        """Return the scalar facts."""
        return {"samples": self.matrix.shape[0], "atoms": self.N, "smallest_norm": float(self.norms.min()),
                "largest_norm": float(self.norms.max())}  # fmt: skip

    def network(self, z: Any, *, bias: bool = True) -> ShallowNetwork:
        """The network with outputs ``matrix @ z`` on the data: one neuron for every non-zero entry of z.

        Parameters
        ----------
        z : array (N,)
        bias : bool
            Whether the last column of X was the column of ones.

        Raises
        ------
        DataError
            If z does not have N finite entries, or a bias is asked for that X has no second column for.
        """
        if np.ndim(z) != 1 or len(z) != self.N:
            raise DataError(f"z must have shape ({self.N},), one entry for every atom, got {np.shape(z)}.")
        amplitudes = as_targets(z, self.N, "z")
        if check_flag(bias, "bias") and len(self.directions) == 1:
            raise DataError("X has one column only; pass bias=False if it is a feature and not the column of ones.")
        used = np.flatnonzero(amplitudes)
        neurons, weights = self.directions[:, used].T, amplitudes[used] / self.norms[used]
        if bias:
            return ShallowNetwork(neurons[:, :-1], neurons[:, -1], weights)
        return ShallowNetwork(neurons, np.zeros(len(used)), weights)


def arrangement_dictionary(X: Any, patterns: PatternSet | None = None, *, nu: Any = None) -> ArrangementDictionary:
    r"""The sensing matrix with one atom per activation cell, normalised to unit columns.

    Without a dual vector the atom of a cell is its centre, the sum of its unit extreme rays (its witness where rays are
    not known). With one it is the neuron that the dual program weighs most,

    .. math:: \theta_s = \frac{P_{C_s}(\pm X^T D_s \nu)}{\|P_{C_s}(\pm X^T D_s \nu)\|}, \qquad
              C_s = \{u : (2 D_s - I) X u \ge 0\},

    for the sign with the larger length, and the centre where both lengths are zero. Cells whose neurons are silent on
    all samples are left out. Of neurons with the same unit column (they lie on a face that cells share, or differ where
    no sample sees it) the one with the largest output is kept: it needs the smallest amplitude.

    Parameters
    ----------
    X : array (n, d)
        With the column of ones appended if there is a bias.
    patterns : PatternSet, optional
        Cells of X, all or some; all are enumerated by default.
    nu : array (n,), optional
        A dual vector, for instance that of the certificate of a trained network.

    Raises
    ------
    DataError
        If X or nu is not finite or of the wrong shape, or no cell has an active sample.
    PatternError
        If the patterns are not a PatternSet of X, or are empty.

    References
    ----------
    J. de Dios and J. Bruna, "On sparsity in overparametrised shallow ReLU networks", arXiv 2006.10225,
    2020.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.column_stack([[-1.0, 0.0, 2.0], np.ones(3)])
    >>> dictionary = arrangement_dictionary(X)
    >>> dictionary
    ArrangementDictionary(samples=3, atoms=5)
    >>> network = dictionary.network([0.0, 2.0, 0.0, 0.0, 0.0])
    >>> bool(np.allclose(network.predict(X[:, :1]), 2 * dictionary.matrix[:, 1]))
    True
    """
    matrix = as_matrix(X)
    cells = enumerate_patterns(matrix) if patterns is None else patterns
    if not isinstance(cells, PatternSet):
        raise PatternError("patterns must be a PatternSet; enumerate_patterns(X) lists all cells of X.")
    cells.check(matrix)
    index = np.flatnonzero(cells.patterns.any(axis=0))
    if not len(index):
        raise PatternError("no cell has an active sample; the dictionary would be empty.")
    if nu is None:
        directions = np.column_stack([_centre(cells, p) for p in index])
    else:
        dual = as_targets(nu, len(matrix), "nu")
        if dual.ndim != 1:
            raise DataError(f"nu must have shape ({len(matrix)},), got {dual.shape}.")
        scaled, weight = _scaled(matrix), _scaled(dual)  # directions do not depend on either scale
        directions = np.column_stack([_heaviest(scaled, cells, p, weight) for p in index])
    return _dictionary(matrix, directions, index)


def _dictionary(X: np.ndarray, directions: np.ndarray, cells: np.ndarray) -> ArrangementDictionary:
    """Outputs of the directions, those that vanish dropped, at unit length."""
    distinct, back = np.unique(X, axis=0, return_inverse=True)  # equal samples get equal outputs to the last bit
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = np.maximum(distinct @ directions, 0.0)[back.reshape(-1)]
        exponents = np.frexp(outputs.max(axis=0))[1]
        unit = np.ldexp(outputs, -exponents)  # squares of these neither overflow nor vanish
        lengths = np.linalg.norm(unit, axis=0)
        norms = np.ldexp(lengths, exponents)
    used = norms > 0
    if not used.any() or not np.isfinite(norms).all():
        raise DataError("outputs of unit neurons vanish or overflow; rescale the columns of X.")
    unit = unit[:, used] / lengths[used]
    distinct_columns = _distinct(unit, norms[used])
    kept = np.flatnonzero(used)[distinct_columns]
    arrays = unit[:, distinct_columns], directions[:, kept], norms[kept], cells[kept]
    for array in arrays:
        array.setflags(write=False)
    return ArrangementDictionary(*arrays)


def _scaled(values: np.ndarray) -> np.ndarray:
    """Times the power of two that brings the largest entry to [1/2, 1)."""
    return np.asarray(np.ldexp(values, -np.frexp(np.abs(values).max())[1]))


def _centre(cells: PatternSet, p: Any) -> np.ndarray:
    """A unit direction well inside a cell."""
    if cells.rays is not None and cells.rank == cells.d:
        total = cells.rays.of(p).sum(axis=1)
        if np.linalg.norm(total) > _SAME:
            return np.asarray(total / np.linalg.norm(total))
    return np.asarray(cells.witnesses[:, p])


def _heaviest(X: np.ndarray, cells: PatternSet, p: Any, nu: np.ndarray) -> np.ndarray:
    """The unit maximiser of ``|nu . (X u)_+|`` in a closed cell; its centre where none has a positive value."""
    bits = cells.patterns[:, p]
    g = X.T @ (bits * nu)
    found = max((project_onto_cell(X, bits, sign * g) for sign in (1, -1)), key=lambda projection: projection.value)
    if found.value <= _SAME * np.linalg.norm(g):
        return _centre(cells, p)
    return np.asarray(found.point / found.value)


def _distinct(columns: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Indices of columns that are no repetition, up to rounding, of one with a larger norm."""
    from scipy.spatial import cKDTree

    neighbours: dict[int, list[int]] = {}
    for first, second in cKDTree(columns.T).query_pairs(_SAME):
        neighbours.setdefault(first, []).append(second)
        neighbours.setdefault(second, []).append(first)
    kept = np.ones(len(norms), dtype=bool)
    for column in sorted(neighbours, key=lambda index: (-norms[index], index)):
        if kept[column]:
            kept[neighbours[column]] = False
    return np.flatnonzero(kept)
