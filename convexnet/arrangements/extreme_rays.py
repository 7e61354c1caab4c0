"""Extreme rays of an arrangement refined by coordinate hyperplanes: the atoms of a polyhedral neuron norm."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from .._validation import as_matrix, check_count, check_positive
from ..errors import ProblemError, TooManyCellsError
from ._reduction import Reduction, reduce_rows
from ._vertices import Deadline, Vertices, find_vertices
from ._words import unpack

__all__ = ["RefinedRays", "refined_rays"]


@dataclass(frozen=True, eq=False)
class RefinedRays:
    """Extreme rays of the cells of ``{x_i . u = 0}`` refined by ``{u_j = 0}`` for the penalised coordinates j.

    Attributes
    ----------
    directions : ndarray of shape (q, R)
        One ray a column, opposite rays listed both, with l1 norm one over the penalised coordinates.
    free : ndarray of shape (q, R0)
        Rays whose penalised coordinates are all zero, with largest entry one: they cost nothing.
    penalized : ndarray of bool, shape (q,)
    """

    directions: np.ndarray
    free: np.ndarray
    penalized: np.ndarray

    def __post_init__(self) -> None:
        for name in ("directions", "free", "penalized"):
            array = np.asarray(getattr(self, name)).view()
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return int(self.directions.shape[1])

    def __repr__(self) -> str:
        return f"RefinedRays(rays={len(self)}, free={self.free.shape[1]}, dimension={self.directions.shape[0]})"

    def summary(self) -> str:
        """Return one line for people."""
        return (
            f"{len(self)} extreme rays in dimension {self.directions.shape[0]}, of l1 norm one over "
            f"{int(self.penalized.sum())} penalised coordinates, and {self.free.shape[1]} that cost nothing."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists."""
        return {
            "n_rays": len(self), "directions": self.directions.tolist(), "free": self.free.tolist(),
            "penalized": self.penalized.tolist(),
        }  # fmt: skip


def refined_rays(
    X: Any, *, penalized: Any = None, max_rays: int = 500_000, time_limit: float | None = None
) -> RefinedRays:
    r"""List the extreme rays of the arrangement of X refined by the coordinate hyperplanes.

    On each cone of the refined arrangement both the l1 norm and :math:`\sigma(X u)` are linear in u. A neuron is there
    a sum of extreme rays at equal cost, hence

    .. math:: \max_{\|u\|_1 \le 1} |\nu^\top \sigma(X u)| = \max_{v} |\nu^\top \sigma(X v)|

    over the rays v of norm one, and training with this norm is a finite program over these atoms. The rays are the null
    directions of the sets of q - 1 independent rows of ``[X; I]`` (``I`` over the penalised coordinates), of either
    sign: at most ``2 C(n + q, q - 1)``. Repeated ones are recognised exactly, for the floats of X read as exact
    numbers.

    Parameters
    ----------
    X : array-like of shape (n, q)
        Rows that neurons see: the column of ones already appended if there is a bias.
    penalized : array-like of bool, shape (q,), optional
        Coordinates in the norm; all by default. A free bias is left out: ``[True, ..., True, False]``.
    max_rays : int
        Refuse at once when there may be more.
    time_limit : float, optional
        Seconds.

    Returns
    -------
    RefinedRays

    Raises
    ------
    TooManyCellsError
        If there may be more than ``max_rays`` rays, or the time ran out.
    DataError
        If X is not a finite non-empty 2-D array.
    ProblemError
        If ``penalized`` is no mask of the columns, or a limit is not positive.

    References
    ----------
    Extreme rays generate a pointed cone (Minkowski; G. M. Ziegler, "Lectures on Polytopes", 1995, chapter 1); the
    finite dictionary of a neuron norm: J. de Dios and J. Bruna, arXiv 2006.10225 (2020).

    Examples
    --------
    >>> rays = refined_rays([[1.0, 1.0], [2.0, 1.0]])
    >>> rays
    RefinedRays(rays=8, free=0, dimension=2)
    >>> refined_rays([[1.0, 1.0], [2.0, 1.0]], penalized=[True, False])
    RefinedRays(rays=4, free=2, dimension=2)
    """
    matrix = as_matrix(X)
    mask = _mask(penalized, matrix.shape[1])
    limit = check_count(max_rays, "max_rays")
    deadline = Deadline(None if time_limit is None else check_positive(time_limit, "time_limit"))
    stacked = np.concatenate([matrix, np.eye(matrix.shape[1])[mask]])
    reduction = reduce_rows(stacked)
    count = 2 * comb(len(reduction.rows), max(reduction.rank - 1, 0))
    if count > limit:
        raise TooManyCellsError(
            f"{len(reduction.rows)} distinct hyperplanes of rank {reduction.rank} can have {count:.6g} extreme rays, "
            f"more than max_rays={limit}; use norm='l2' with cell generation, or raise max_rays if memory allows."
        )
    lines = _lines(reduction, len(matrix), mask, deadline)
    sizes = np.abs(lines[mask]).sum(axis=0)
    flat = sizes == 0
    unit, free = lines[:, ~flat] / sizes[~flat], lines[:, flat] / np.abs(lines[:, flat]).max(axis=0, initial=1e-300)
    both = [np.concatenate([part, -part], axis=1) + 0.0 for part in (unit, free)]  # + 0.0: no negative zeros
    return RefinedRays(both[0], both[1], mask)


def _mask(penalized: Any, q: int) -> np.ndarray:
    if penalized is None:
        return np.ones(q, dtype=bool)
    try:
        mask = np.asarray(penalized)
    except ValueError:
        mask = np.zeros(0)
    if mask.shape != (q,) or mask.dtype != bool:
        raise ProblemError(f"penalized must be a mask of {q} booleans, one per column of X, got {penalized!r}.")
    return mask.copy()


def _lines(reduction: Reduction, n: int, mask: np.ndarray, deadline: Deadline) -> np.ndarray:
    """One vector (q,) per line, as columns; coordinates whose hyperplane holds the line are exactly zero."""
    if reduction.rank == 0:
        return np.zeros((len(mask), 0))
    if reduction.rank == 1:
        return reduction.embed(np.ones((1, 1)), np.zeros((1, 1), dtype=np.int64))
    vertices = find_vertices(reduction.normals, deadline)
    lines = reduction.embed(vertices.mantissa, vertices.exponent - reduction.normals.int_exp)
    through = _rows_through(vertices, len(reduction.rows))
    for row, coordinate in enumerate(np.flatnonzero(mask)):
        lines[coordinate, through[:, reduction.group[n + row]]] = 0.0
    return lines


def _rows_through(vertices: Vertices, count: int) -> np.ndarray:
    """Table (V, N): which hyperplanes hold which line."""
    table = np.zeros((len(vertices), count), dtype=bool)
    np.put_along_axis(table, vertices.basis, True, axis=1)
    crowded = np.flatnonzero(~vertices.simple)
    if len(crowded):
        table[crowded] = unpack(vertices.through, count).astype(bool)
    return table
