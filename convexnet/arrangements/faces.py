"""Activation patterns of all faces of a hyperplane arrangement: for jumps on the borders of cells."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._validation import as_matrix, check_count, check_flag
from ..errors import PatternError, TooManyCellsError
from ._face_directions import exact_direction
from ._reduction import Reduction, reduce_rows
from .enumeration import enumerate_patterns
from .patterns import PatternSet, data_hash

__all__ = ["FacePatterns", "face_patterns", "has_positive_direction"]

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_CHUNK = 512


@dataclass(frozen=True, eq=False)
class FacePatterns:
    """Distinct activation patterns of the faces of ``{u : x_i . u = 0}``, each with the signs of one of its faces.

    Parameters
    ----------
    patterns : (n, P) uint8
        ``1[x_i . u >= 0]`` on a face for ``closed`` patterns, ``1[x_i . u > 0]`` for open ones.
    signs : (n, P) int8
        Signs of ``x_i . u`` on the largest face with that pattern.
    closed : bool
    data_hash : :func:`convexnet.arrangements.data_hash` of X.
    n_faces : number of faces, the origin included.
    rank : rank of X.
    X : (n, d) the data, read-only.
    seal : fingerprint left by the enumeration; see :attr:`proven`.

    Examples
    --------
    >>> faces = face_patterns([[1.0], [-1.0]])
    >>> faces
    FacePatterns(n=2, P=3, closed=True, faces=3, rank=1)
    >>> faces.patterns.T.tolist()
    [[0, 1], [1, 1], [1, 0]]
    """

    patterns: np.ndarray
    signs: np.ndarray
    closed: bool
    data_hash: str
    n_faces: int
    rank: int
    X: np.ndarray
    seal: str = ""

    def __post_init__(self) -> None:
        for name in ("patterns", "signs", "X"):
            view = np.asarray(getattr(self, name)).view()
            view.setflags(write=False)
            object.__setattr__(self, name, view)

    def __len__(self) -> int:
        return int(self.patterns.shape[1])

    def __repr__(self) -> str:
        n, P = self.patterns.shape
        return f"FacePatterns(n={n}, P={P}, closed={self.closed}, faces={self.n_faces}, rank={self.rank})"

    @property
    def proven(self) -> bool:
        """Whether the enumeration left its seal on exactly these patterns."""
        return bool(self.seal) and self.seal == self._fingerprint()

    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(f"{self.patterns.shape} {self.data_hash} {self.closed}".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.patterns.T).data)
        return digest.hexdigest()

    def check(self, X: Any) -> None:
        """Raise PatternError unless X is the data these patterns belong to."""
        matrix = as_matrix(X)
        if matrix.shape != self.X.shape or data_hash(matrix) != self.data_hash:
            raise PatternError(
                f"these face patterns belong to other data, of shape {self.X.shape}; enumerate them again after "
                "scaling, shuffling or editing X (with a bias: of X with a column of ones appended)."
            )

    def direction(self, index: int) -> np.ndarray | None:
        """Return floats u whose products ``x_i . u`` have exactly the signs of the face; None where none was found.

        A face of dimension two or more inside a hyperplane whose normal needs all digits has directions, but perhaps
        none among the floating-point numbers.
        """
        return exact_direction(self.X, self.signs[:, index])

    def summary(self) -> str:
        """Return a line for people."""
        kind = "x . u >= 0" if self.closed else "x . u > 0"
        return f"{len(self)} activation patterns 1[{kind}] of {self.n_faces} faces, rank {self.rank}."

    def to_dict(self) -> dict[str, Any]:
        """Return the scalar facts about the set, without the arrays."""
        return {
            "n": int(self.patterns.shape[0]), "P": len(self), "closed": self.closed, "faces": self.n_faces,
            "rank": self.rank, "data_hash": self.data_hash,
        }  # fmt: skip


def face_patterns(
    X: Any, *, closed: bool = True, max_faces: int = 500_000, time_limit: float | None = None
) -> FacePatterns:
    """List the activation patterns of all faces of the arrangement of X, from its cells down to the origin.

    A discontinuous activation, or a cost that jumps down on the border of a cell, needs them, unless some direction is
    positive on every row (:func:`has_positive_direction`): then each is the pattern of a cell, too.

    Parameters
    ----------
    X : (n, d) data, with the column of ones already appended if there is a bias.
    closed : bool
        Points on a hyperplane count as active (threshold activation) or not (label noise).
    max_faces : refuse when there are more.
    time_limit : seconds for the enumeration of the cells, or None.

    Returns
    -------
    FacePatterns

    Raises
    ------
    TooManyCellsError
        If there are more than ``max_faces`` faces, or the time ran out.
    DataError
        If X is not a finite non-empty 2-D array.
    ProblemError
        If an option is invalid.

    Notes
    -----
    A row is positive on an extreme ray if it is positive on every cell that has the ray, and zero if cells of both
    signs have it. Every face is the composition of its rays (Björner, Las Vergnas, Sturmfels, White and Ziegler,
    "Oriented Matroids", 1999), so composing rays that contradict no sign reaches all of them.

    Examples
    --------
    >>> face_patterns([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], closed=False).patterns.T.tolist()
    [[0, 1, 0], [0, 1, 1], [0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1]]
    """
    matrix = as_matrix(X)
    check_flag(closed, "closed")
    max_faces = check_count(max_faces, "max_faces")
    reduction = reduce_rows(matrix)
    if reduction.rank == 0:
        distinct = np.zeros((1, 0), dtype=np.int8)
    else:
        cells = enumerate_patterns(matrix, max_cells=max_faces, time_limit=time_limit)
        distinct = _compositions(_ray_signs(cells, reduction.rows), max_faces)
    signs = _expanded(distinct, reduction)
    active = (signs >= 0 if closed else signs > 0).astype(np.uint8)
    order = np.argsort(np.sum(distinct == 0, axis=1), kind="stable")
    _, first = np.unique(active[order], axis=0, return_index=True)
    chosen = order[first]
    chosen = chosen[np.lexsort(signs[chosen].T[::-1])] if signs.shape[1] else chosen
    found = FacePatterns(
        np.ascontiguousarray(active[chosen].T), np.ascontiguousarray(signs[chosen].T), closed, data_hash(matrix),
        len(distinct), reduction.rank, matrix,
    )  # fmt: skip
    return replace(found, seal=found._fingerprint())


def _ray_signs(cells: PatternSet, rows: np.ndarray) -> np.ndarray:
    """Signs of the distinct rows on every extreme ray of either orientation, (2 R, N), from the cells around it."""
    import scipy.sparse as sp

    assert cells.rays is not None
    rays = cells.rays
    oriented = 2 * rays.ray_index + (rays.ray_sign < 0)
    cell = np.repeat(np.arange(len(cells)), np.diff(rays.cell_ptr))
    around = sp.csr_array((np.ones(len(cell)), (oriented, cell)), shape=(2 * rays.directions.shape[1], len(cells)))
    count = around.sum(axis=1)[:, None]
    active = around @ cells.patterns[rows].T.astype(np.float64)
    signs = np.where(active == count, 1, np.where(active == 0, -1, 0)).astype(np.int8)
    return np.unique(signs[count[:, 0] > 0], axis=0)


def _compositions(rays: np.ndarray, max_faces: int) -> np.ndarray:
    """All compositions of rays that contradict no sign, and the origin: (F, N)."""
    seen = {bytes(rays.shape[1]), *(ray.tobytes() for ray in rays)}
    level, faces = rays, [np.zeros((1, rays.shape[1]), dtype=np.int8), rays]
    positive, negative = (rays > 0).astype(np.float32), (rays < 0).astype(np.float32)
    while len(level):
        fresh = []
        for start in range(0, len(level), _CHUNK):
            part = level[start : start + _CHUNK]
            clash = (part > 0).astype(np.float32) @ negative.T + (part < 0).astype(np.float32) @ positive.T
            face, ray = np.nonzero(clash == 0)
            for composed in np.unique(np.where(part[face] != 0, part[face], rays[ray]), axis=0):
                key = composed.tobytes()
                if key not in seen:
                    seen.add(key)
                    fresh.append(composed)
            if len(seen) > max_faces:
                raise TooManyCellsError(f"The arrangement has more than max_faces={max_faces} faces; sample patterns.")
        level = np.array(fresh, dtype=np.int8).reshape(len(fresh), rays.shape[1])
        faces.append(level)
    return np.concatenate(faces)


def _expanded(distinct: np.ndarray, reduction: Reduction) -> np.ndarray:
    """Signs (F, n) of all rows from those of the distinct hyperplanes: 0 for zero rows."""
    if distinct.shape[1] == 0:
        return np.zeros((len(distinct), len(reduction.group)), dtype=np.int8)
    signs = distinct[:, np.maximum(reduction.group, 0)] * reduction.orient.astype(np.int8)
    signs[:, reduction.group < 0] = 0
    return signs


def has_positive_direction(X: Any) -> bool:
    """Whether a direction u with ``x_i . u > 0`` for every non-zero row was found, beyond rounding (a bias is one).

    False means that none was found: there may be one that rounding hides.

    Raises
    ------
    DataError
        If X is not a finite non-empty 2-D array.

    Examples
    --------
    >>> has_positive_direction([[1.0, 2.0], [-3.0, 2.0]]), has_positive_direction([[1.0], [-1.0]])
    (True, False)
    """
    matrix = as_matrix(X)
    rows = matrix[np.any(matrix != 0, axis=1)]
    if not len(rows) or np.any(np.all(rows > 0, axis=0) | np.all(rows < 0, axis=0)):
        return True
    return _positive_at(rows, _highest(rows))


def _positive_at(rows: np.ndarray, u: np.ndarray) -> bool:
    error = 2 * (rows.shape[1] + 2) * (_EPS * (np.abs(rows) @ np.abs(u)) + _TINY)
    return bool(np.all(rows @ u > error))


def _highest(rows: np.ndarray) -> np.ndarray:
    """A direction whose smallest product with a unit row is as large as it can be, by a linear program."""
    from scipy.optimize import linprog

    columns = np.maximum(np.abs(rows).max(axis=0), _TINY)
    scaled = rows / columns
    scaled = scaled / np.linalg.norm(scaled, axis=1)[:, None]
    n, d = scaled.shape
    bounds = [(-1.0, 1.0)] * d + [(None, 1.0)]
    answer = linprog(np.append(np.zeros(d), -1.0), A_ub=np.column_stack([-scaled, np.ones(n)]), b_ub=np.zeros(n),
                     bounds=bounds, method="highs")  # fmt: skip
    if answer.x is None or not np.isfinite(answer.x).all():
        return np.zeros(d)
    return np.asarray(answer.x[:-1] / columns)
