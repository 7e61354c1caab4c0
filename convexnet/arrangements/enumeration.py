"""All cells of a hyperplane arrangement, proven complete for the given floats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from .._validation import as_matrix, check_count, check_positive
from ..errors import PatternError, TooManyCellsError
from ._directions import cross
from ._integers import solve_scaled, to_mantissa
from ._local import canonical_cells, sign_table
from ._reduction import Reduction, reduce_rows
from ._vertices import Deadline, Vertices
from ._witnesses import find_witnesses
from ._words import complement_mask, pack, unpack
from .counting import cover_count
from .patterns import CellRays, PatternSet, data_hash

__all__ = ["enumerate_patterns"]

_MAX_INCIDENCES = 60_000_000


@dataclass(frozen=True)
class _Half:
    """One of each pair of opposite cells, its incident lines in compressed rows, the lines in integer coordinates."""

    words: np.ndarray
    ptr: np.ndarray
    line: np.ndarray
    sign: np.ndarray
    mantissa: np.ndarray
    exponent: np.ndarray
    exact_rays: Callable[[np.ndarray], np.ndarray]
    proof: str


def enumerate_patterns(X: Any, *, max_cells: int = 5_000_000, time_limit: float | None = None) -> PatternSet:
    """List every activation pattern ``1[X g >= 0]`` of a full-dimensional cell, with one interior witness per cell.

    The cells of ``{u : x_i . u = 0, i = 1..n}``. Complete for the floats of X read as exact numbers: signs that the
    rounding error bound leaves open are decided in integers. Column ``p + P/2`` is the cell opposite to column p.

    Parameters
    ----------
    X : (n, d) data, with the column of ones already appended if there is a bias.
    max_cells : refuse at once when Cover's bound for the distinct rows exceeds it.
    time_limit : seconds, or None.

    Returns
    -------
    PatternSet with ``complete=True``, ``proof`` "vertex-enumeration" (or "cover-count" when the rows are independent),
    and the unit extreme rays of every cell.

    Raises
    ------
    TooManyCellsError
        If there may be more than ``max_cells`` cells, or the time ran out.
    DataError
        If X is not a finite non-empty 2-D array.
    ProblemError
        If ``max_cells`` or ``time_limit`` is not a positive number.

    Notes
    -----
    Every cell of an essential central arrangement of rank r is a pointed cone and has an extreme ray, a null direction
    of r - 1 independent rows; around that ray the cells are those of the rows through it. Zero rows always have bit 1;
    parallel rows are merged first. Counts: T. M. Cover, 1965; T. Zaslavsky, "Facing up to arrangements", 1975.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [3.0, 1.0], [3.0, 1.0]])
    >>> cells = enumerate_patterns(X)
    >>> len(cells), cells.complete
    (6, True)
    >>> bool(((X @ cells.witnesses >= 0) == cells.patterns).all())
    True
    """
    matrix = as_matrix(X)
    max_cells = check_count(max_cells, "max_cells")
    deadline = Deadline(None if time_limit is None else check_positive(time_limit, "time_limit"))
    reduction = reduce_rows(matrix)
    if reduction.rank == 0:
        return _single_cell(matrix)
    _check_size(len(reduction.rows), reduction.rank, max_cells)
    half = _independent(reduction) if len(reduction.rows) == reduction.rank else _general(reduction, deadline)
    csr = (half.ptr, half.line, half.sign)
    lines = (half.mantissa, half.exponent)
    witnesses, thin = find_witnesses(reduction, half.words, csr, lines, half.exact_rays, deadline)
    return _assemble(reduction, half, witnesses, thin)


def _single_cell(X: np.ndarray) -> PatternSet:
    """All rows are zero: one cell, every bit is 1[0 >= 0] = 1."""
    witness = np.zeros((X.shape[1], 1))
    witness[0] = 1.0
    return PatternSet(np.ones((len(X), 1), dtype=np.uint8), witness, True, data_hash(X), "cover-count", 0).sealed()


def _check_size(n: int, r: int, max_cells: int) -> None:
    bound = cover_count(n, r)
    if bound > max_cells:
        raise TooManyCellsError(
            f"{n} distinct hyperplanes of rank {r} can have {bound:.6g} cells, more than max_cells={max_cells}; "
            "use sample_patterns(X, n_patterns) for a subset, or raise max_cells if memory allows."
        )
    if n > r and comb(n, r - 1) * 2 ** (r - 1) > _MAX_INCIDENCES:
        raise TooManyCellsError(
            f"{n} distinct hyperplanes of rank {r} can have {comb(n, r - 1) * 2 ** (r - 1):.6g} pairs of a cell and an "
            f"extreme ray, more than {_MAX_INCIDENCES:,}; use sample_patterns(X, n_patterns) for a subset."
        )


def _independent(reduction: Reduction) -> _Half:
    """Independent rows: every sign vector is a cell; its rays are the columns of the inverse with those signs."""
    ints, r = reduction.normals.ints, reduction.rank
    determinant, adjugate = solve_scaled(ints.astype(object), np.eye(r, dtype=np.int64).astype(object))
    rays = adjugate.T if determinant > 0 else -adjugate.T
    table = sign_table(r - 1)
    bits = np.concatenate([np.ones((len(table), 1), dtype=bool), table], axis=1)
    mantissa, exponent = to_mantissa(rays)
    return _Half(
        words=pack(bits),
        ptr=np.arange(len(bits) + 1) * r,
        line=np.tile(np.arange(r), len(bits)),
        sign=(2 * bits.astype(np.int8) - 1).ravel(),
        mantissa=mantissa,
        exponent=exponent.astype(np.int64),
        exact_rays=lambda index: rays[index],
        proof="cover-count",
    )


def _general(reduction: Reduction, deadline: Deadline) -> _Half:
    words, ptr, line, sign, vertices = canonical_cells(reduction.normals, deadline)
    _check_count(2 * len(words), len(reduction.rows), reduction.rank, vertices)
    return _Half(
        words=words,
        ptr=ptr,
        line=line,
        sign=sign,
        mantissa=vertices.mantissa,
        exponent=vertices.exponent,
        exact_rays=lambda index: cross(reduction.normals.ints[vertices.basis[index]]),
        proof="vertex-enumeration",
    )


def _check_count(cells: int, n: int, r: int, vertices: Vertices) -> None:
    """Compare with the count that theory gives, where it is known: rank 3, and general position."""
    expected = cells
    if vertices.simple.all() and len(vertices) == comb(n, r - 1):
        expected = cover_count(n, r)
    elif r == 3:
        crowded = int(unpack(vertices.through, n).sum(dtype=np.int64)) - len(vertices.through)
        expected = 2 * (1 + int(vertices.simple.sum()) + crowded)
    if cells != expected:
        raise PatternError(f"internal error: {cells} cells were found where theory counts {expected}; please report X.")


def _assemble(
    reduction: Reduction, half: _Half, witnesses: np.ndarray, thin: dict[int, tuple[int, ...]]
) -> PatternSet:
    """Add the opposite cells, expand merged rows, and put the extreme rays into the coordinates of X."""
    n, count = len(reduction.rows), len(half.words)
    words = np.concatenate([half.words, half.words ^ complement_mask(n)])
    size = half.ptr[-1]
    rays = CellRays(
        directions=reduction.embed(half.mantissa, half.exponent - reduction.normals.int_exp),
        cell_ptr=np.concatenate([half.ptr, half.ptr[1:] + size]),
        ray_index=np.concatenate([half.line, half.line]),
        ray_sign=np.concatenate([half.sign, -half.sign]),
    )
    opposite = {count + p: tuple(-value for value in u) for p, u in thin.items()}
    return PatternSet(
        patterns=reduction.expand(unpack(words, n)).T,
        witnesses=np.concatenate([witnesses, -witnesses], axis=1),
        complete=True,
        data_hash=data_hash(reduction.X),
        proof=half.proof,
        rank=reduction.rank,
        rays=rays,
        exact_witnesses={**thin, **opposite},
    ).sealed()
