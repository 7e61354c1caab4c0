r"""Cells for the label-noise regulariser: weights, singular values and walls, and a proven bound for each of them.

On a cell with pattern G the outputs of a neuron are ``S E u`` and its cost is ``kappa_G ||S E u||``. For any ``m >= 0``
and ``t`` with ``(S E)^T (t - nu) = A^T m``, ``A = (2 D - I) E``, every u of the cell has

.. math:: \nu^\top S E u = t^\top S E u - m^\top A u \le \|t\| \|S E u\| ,

so ``||t|| / kappa_G`` bounds its value. In floating point the equation leaves a residual ``r``. It is a combination of
the rows N of ``S E`` and of the walls in use, hence ``r = N^T delta`` with ``||delta|| <= ||r|| / sigma``, sigma the
smallest non-zero singular value of N: moving t and m by delta makes the equation exact, at the price of ``||delta||``.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..arrangements import FacePatterns, cell_facets
from ..arrangements._rank import exact_rank, rank_bounds
from ..arrangements.patterns import PatternSet, pattern_matrix
from ..arrangements.projection import nonnegative_least_squares
from ..errors import PatternError, SolverError
from ._label_noise_rays import RayBounds, rays_usable

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["GradientCells", "Patterns", "border_weights", "gates", "least_distance"]

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_RANK = 1e-10
"""Singular values below this share of the largest are taken for zero, which is then proven or not used."""
_HEAVY = 1e5
_SMALL = 200
"""Entries of matrices whose rank is computed in integers."""
_CHUNK = 2048


def gates(G: np.ndarray, kappa: float) -> np.ndarray:
    """Diagonals of ``S_p = D_p + kappa (I - D_p)``, shape (n, P)."""
    return np.where(G > 0, 1.0, kappa)


def border_weights(E: np.ndarray, G: np.ndarray, kappa: float) -> np.ndarray:
    """Return ``kappa_p = (sum_i S_p,ii^2 ||x_i||^2)^(1/2)`` of every pattern, shape (P,)."""
    top = float(np.max(np.abs(E), initial=0.0)) or 1.0
    squares = np.sum((E / top) ** 2, axis=1)
    active = squares @ (G > 0)
    return top * np.sqrt(active + kappa**2 * (squares @ (G == 0)))


Patterns = PatternSet | FacePatterns | np.ndarray
"""Cells, faces with open patterns, or columns of zeros and ones."""


class GradientCells:
    """Everything about the cells that no dual vector changes.

    Attributes
    ----------
    G : (n, P) uint8, the points at which a neuron is strictly active.
    weights : (P,) ``kappa_p``.
    columns : columns of ``extended`` that span all of them.
    ranks, bases : ranks (P,) of ``S_p E`` and its right singular vectors (P, r, r), in rows, for ``E * scale``.
    useful : (P,) bool; other cells have no output.
    """

    def __init__(self, problem: TrainingProblem, patterns: Patterns) -> None:
        E = problem.extended
        self.patterns = patterns if isinstance(patterns, PatternSet) else None
        self.faces = patterns if isinstance(patterns, FacePatterns) else None
        if isinstance(patterns, FacePatterns):
            patterns = _open_faces(patterns, E)
        self.problem, self.kappa, self.G = problem, problem.kappa, pattern_matrix(E, patterns)
        self.columns = _spanning_columns(E)
        part = E[:, self.columns]
        top = np.abs(part).max(axis=0)
        # Powers of two: products with them are exact.
        self.scale = 2.0 ** -np.ceil(np.log2(np.where(top > 0, top, 1.0)))
        self.rows = part * self.scale
        self.weights = border_weights(E, self.G, self.kappa)
        self._lowest = self.weights * (1 - (E.size / len(E) + problem.n + 16) * _EPS)
        self.sizes = np.linalg.norm(self.rows, axis=1)
        self._values, self.bases = self._decompose()
        self.ranks = np.sum(self._values > _RANK * self._values[:, :1], axis=1) * (self._values[:, 0] > 0)
        self.useful = self.ranks > 0
        self._floors = self._singular_floors()
        self._proven = self.patterns is not None and self.patterns.proven
        self._rays = None
        if self.patterns is not None and self._proven and rays_usable(E, self.patterns):
            self._rays = RayBounds(E, self.kappa, self.patterns)
        self._walls: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return int(self.G.shape[1])

    def lift(self, cells: np.ndarray) -> np.ndarray:
        """Bases (K, r, r), in columns, of the directions of cells: orthonormal outputs first, then no outputs."""
        seen = np.arange(self._values.shape[1]) < self.ranks[cells][:, None]
        return np.swapaxes(self.bases[cells] / np.where(seen, self._values[cells], 1.0)[:, :, None], 1, 2)

    @property
    def complete(self) -> bool:
        """Whether the patterns are proven to cover every direction, the borders of cells included."""
        if self.faces is not None:
            return self.faces.proven
        # Where some direction is active at every point, border points are inactive in a neighbouring cell.
        return self._proven and (self.kappa == -1 or self.upwards is not None)

    @property
    def alone(self) -> np.ndarray:
        """Cells with one active point each, if there is one for every point; else empty."""
        nonzero = self.sizes > 0
        single = np.flatnonzero(self.G[nonzero].sum(axis=0, dtype=int) == 1) if self.kappa == 0 else np.zeros(0, int)
        return single if self.G[nonzero][:, single].any(axis=1).all() else single[:0]

    @cached_property
    def upwards(self) -> np.ndarray | None:
        """A direction u with ``E u > 0`` at every non-zero row, None where none is listed."""
        if self.problem.bias != "none":
            return np.eye(self.problem.extended.shape[1])[-1]
        listed = np.flatnonzero(self.G[self.sizes > 0].all(axis=0))
        if self.patterns is None or not listed.size:
            return None
        witness = self.patterns.witnesses[:, listed[0]]
        return witness if np.all((self.problem.extended @ witness)[self.sizes > 0] > 0) else None

    def _decompose(self) -> tuple[np.ndarray, np.ndarray]:
        """Singular values (P, r) and right singular vectors (P, r, r; in rows) of ``S_p E``."""
        P, r = len(self), self.rows.shape[1]
        values, bases = np.zeros((P, r)), np.zeros((P, r, r))
        padded = np.concatenate([self.rows, np.zeros((max(r - len(self.rows), 0), r))])
        for start in range(0, P, _CHUNK):
            S = gates(self.G[:, start : start + _CHUNK], self.kappa).T
            S = np.concatenate([S, np.zeros((len(S), len(padded) - S.shape[1]))], axis=1)
            _, s, vh = np.linalg.svd(S[:, :, None] * padded, full_matrices=False)
            values[start : start + _CHUNK], bases[start : start + _CHUNK] = s, vh
        return values, bases

    def _singular_floors(self) -> np.ndarray:
        """Lower bounds of the smallest singular value where it is clearly positive, else 0."""
        size = max(self.rows.shape)
        floor = self._values[:, -1] - 10 * size * _EPS * self._values[:, 0]
        return np.where(self.ranks == self._values.shape[1], np.maximum(floor, 0.0), 0.0)

    def walls(self, cell: int) -> np.ndarray:
        """Rows that bound a cell (all rows where no list of its neighbours is at hand)."""
        if cell not in self._walls:
            rows = np.arange(self.problem.n)
            if self.patterns is not None and self._proven:
                rows = cell_facets(self.patterns, self.problem.extended, cell)
            self._walls[cell] = rows[self.sizes[rows] > 0]
        return self._walls[cell]

    # -------------------------------------------------------------------------------------------------- all cells
    def lengths(self, cells: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Costs ``kappa_p ||S_p E v_p||`` of the columns of ``vectors``, each in its closed cell."""
        outputs = gates(self.G[:, cells], self.kappa) * (self.problem.extended @ vectors)
        return self.weights[cells] * _lengths(outputs)

    def screen(self, nu: np.ndarray) -> np.ndarray:
        """Proven upper bounds of the values of all cells for nu and -nu, shape (P, 2).

        The smallest of three: multipliers zero (the projection onto the range of ``S_p E``), the part of nu that has
        the signs of the outputs of the cell, and a bound from the extreme rays of the cell.
        """
        nu, unit = _unit(nu)
        upper = np.zeros((len(self), 2))
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            S = gates(self.G[:, part], self.kappa)
            signs = np.where(self.sizes[:, None] > 0, np.sign(S) * (2.0 * self.G[:, part] - 1), 0.0)
            flat = np.column_stack([_lengths(np.maximum(side * signs * nu[:, None], 0.0)) for side in (1, -1)])
            upper[part] = np.minimum(flat, self._range_bound(part, S, nu)[:, None]) / self._divisor(part)[:, None]
        if self._rays is not None:
            along = np.where(self.useful[:, None], self._rays.bounds(nu), 0.0)
            upper = np.minimum(upper, along / self._divisor(slice(None))[:, None])
        rounding = 1 + (len(nu) + 16) * _EPS
        return upper * rounding * unit + (_TINY if np.any(nu) else 0.0)

    def _divisor(self, part: slice | int) -> np.ndarray:
        return np.where(self.weights[part] > 0, self._lowest[part], np.inf)

    def _range_bound(self, part: slice, S: np.ndarray, nu: np.ndarray) -> np.ndarray:
        """``||t||`` of the projection, its residual covered; infinite for cells of lower rank."""
        E, floors = self.rows, self._floors[part]
        values = np.where(floors[:, None] > 0, self._values[part], 1.0)
        gain = np.einsum("pij,pj->pi", self.bases[part], (S * nu[:, None]).T @ E) / values**2
        t = S * (E @ np.einsum("pij,pi->pj", self.bases[part], gain).T)
        y = t - nu[:, None]
        residual = np.abs((S * y).T @ E) + (len(nu) + 16) * _EPS * (np.abs(S * y).T @ np.abs(E))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            bound = _lengths(t) + np.linalg.norm(residual, axis=1) / floors
        return np.where(floors > 0, bound, np.inf)

    # -------------------------------------------------------------------------------------------------- one cell
    def price(self, cell: int, nu: np.ndarray) -> tuple[float, np.ndarray]:
        """Proven upper bound of one cell's value, and the direction (q,) that nearly attains it (zero if none)."""
        nu, unit = _unit(nu)
        S = gates(self.G[:, cell], self.kappa)
        used = np.flatnonzero((S != 0) & (self.sizes > 0))
        if not used.size:
            return 0.0, np.zeros(self.problem.extended.shape[1])
        B, nu = S[used, None] * self.rows[used], nu[used]
        rho = int(self.ranks[cell])
        lift = self.bases[cell, :rho].T / self._values[cell, :rho]
        null = self.bases[cell, rho:].T
        A, walls = self.oriented(cell)
        g = lift.T @ (B.T @ nu)
        length, best = np.inf, lift @ g
        for m in _multipliers(g, A @ lift, A @ null):
            u = lift @ (g + m @ A @ lift)
            covered = self._covered(cell, used, B, nu, u, A, walls, m)
            if covered < length:
                length, best = covered, u
            if null.shape[1] == 0 and np.isfinite(length):
                break
        signs = np.sign(S[used]) * (2.0 * self.G[used, cell] - 1)
        flat = float(_lengths(np.maximum(signs * nu, 0.0)[:, None])[0])
        rounding = 1 + (len(nu) + 16) * _EPS
        bound = min(flat, length) / float(self._divisor(cell)) * rounding * unit + (_TINY if np.any(nu) else 0.0)
        return bound, self._inside(A, best, null)

    def oriented(self, cell: int) -> tuple[np.ndarray, np.ndarray]:
        """The walls of a cell at unit length, pointing inwards, and their row numbers."""
        walls = self.walls(cell)
        signs = 2.0 * self.G[walls, cell] - 1
        return self.rows[walls] * (signs / self.sizes[walls])[:, None], walls

    def _covered(
        self, cell: int, used: np.ndarray, B: np.ndarray, nu: np.ndarray, u: np.ndarray, A: np.ndarray,
        walls: np.ndarray, m: np.ndarray,
    ) -> float:  # fmt: skip
        """``||t|| + ||delta||`` for t = B u; infinite where no delta is proven to exist."""
        inside = np.isin(walls, used)
        # A small multiplier has no room for delta, and its row must then not be part of the residual either.
        m = np.where(inside | (m > 1e-9 * float(np.max(m, initial=0.0))), m, 0.0)
        t = B @ u
        y = t - nu
        noise = (len(y) + len(m) + 16) * _EPS * (np.abs(B).T @ np.abs(y) + m @ np.abs(A))
        size = float(np.linalg.norm(np.abs(B.T @ y - m @ A) + noise))
        length = float(_lengths(t[:, None])[0])
        floor = float(self._floors[cell])
        if size == 0 or floor > 0:
            return length + (size / floor if size > 0 else 0.0)
        outside = np.flatnonzero((m > 0) & ~inside)
        rows = np.concatenate([used, walls[outside]])
        floor = self._smallest_value(np.concatenate([B, A[outside]]), rows)
        if floor == 0:
            return np.inf
        delta = size / floor
        return length + delta if np.all(m[outside] >= delta) else np.inf

    def _smallest_value(self, N: np.ndarray, rows: np.ndarray) -> float:
        """Lower bound of the smallest non-zero singular value of N, 0 where its exact rank is not known."""
        values = np.linalg.svd(N, compute_uv=False)
        rank = int(np.sum(values > _RANK * values[0]))
        floor = float(values[rank - 1]) - 10 * max(N.shape) * _EPS * float(values[0])
        return max(floor, 0.0) if rank == min(N.shape) or _has_rank(self.rows[rows], rank) else 0.0

    def _inside(self, A: np.ndarray, u: np.ndarray, null: np.ndarray) -> np.ndarray:
        """A direction of the cell with the outputs of u, in the coordinates of the data."""
        if null.shape[1] and A.size and float((A @ u).min()) < 0:
            u = u + null @ least_distance(A @ null, -(A @ u))
        direction = np.zeros(self.problem.extended.shape[1])
        direction[self.columns] = u * self.scale
        return direction


def least_distance(A: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Return ``argmin ||x|| s.t. A x >= h`` (Lawson and Hanson 1974, chapter 23); zero where there is no such x.

    Rows without entries are left out; the others may be violated by 1e-11 of their length.
    """
    from scipy.optimize import nnls

    sizes = np.linalg.norm(A, axis=1)
    kept = sizes > 1e-12 * float(np.max(sizes, initial=0.0))
    A, h = A[kept] / sizes[kept, None], h[kept] / sizes[kept] - 1e-11
    top = float(np.max(h, initial=0.0))
    if top <= 0:
        return np.zeros(A.shape[1])
    E = np.column_stack([A, h / top]).T
    target = np.append(np.zeros(A.shape[1]), 1.0)
    try:
        w, size = nnls(E, target)
    except RuntimeError:
        return np.zeros(A.shape[1])
    residual = E @ w - target
    return -top * residual[:-1] / residual[-1] if size > 1e-12 and residual[-1] != 0 else np.zeros(A.shape[1])


def _open_faces(faces: FacePatterns, E: np.ndarray) -> np.ndarray:
    faces.check(E)
    if faces.closed:
        raise PatternError("The label-noise cost needs open patterns of faces: face_patterns(X, closed=False).")
    return faces.patterns


def _unit(nu: np.ndarray) -> tuple[np.ndarray, float]:
    """nu with largest entry about one, and the power of two that was taken out."""
    top = float(np.max(np.abs(nu), initial=0.0))
    unit = 2.0 ** float(np.clip(np.ceil(np.log2(top)), -1000, 1000)) if top > 0 else 1.0
    return nu / unit, unit


def _lengths(columns: np.ndarray) -> np.ndarray:
    return np.linalg.norm(columns, axis=0)


def _spanning_columns(E: np.ndarray) -> np.ndarray:
    """Columns that span all of them exactly; all columns unless fewer are proven to do."""
    from scipy.linalg import qr

    nonzero = np.flatnonzero(np.any(E != 0, axis=0))
    if not nonzero.size:
        return np.arange(1)
    _, triangle, order = qr(E[:, nonzero] / np.abs(E[:, nonzero]).max(axis=0), mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    rank = int(np.sum(size > _RANK * size[0]))
    if rank < nonzero.size and _has_rank(E[:, nonzero], rank):
        return nonzero[np.sort(order[:rank])]
    return nonzero


def _has_rank(rows: np.ndarray, rank: int) -> bool:
    """Whether the exact rank is proven to be what it seems to be."""
    distinct = np.unique(rows, axis=0)
    if len(distinct) <= rank or rank_bounds(distinct, most_work=1e6) == (rank, rank):
        return True
    return distinct.size <= _SMALL and exact_rank(distinct) == rank


def _multipliers(g: np.ndarray, A: np.ndarray, level: np.ndarray) -> list[np.ndarray]:
    """Candidates for ``argmin ||g + A^T m||`` over ``m >= 0`` with ``level^T m = 0``; zero is always one."""
    nothing = np.zeros(len(A))
    top = float(np.max(np.abs(g), initial=0.0))
    if not A.size or top == 0:
        return [nothing]
    try:
        if not level.shape[1]:
            return [top * nonnegative_least_squares(A, g / top), nothing]
        # The equality as heavy rows, then exactly on the multipliers in use.
        heavy = np.column_stack([A, _HEAVY * level])
        m = nonnegative_least_squares(heavy, np.append(g / top, np.zeros(level.shape[1])))
    except SolverError:
        return [nothing]
    supports = {tuple(np.flatnonzero(m > share * float(np.max(m)))) for share in (1e-12, 1e-7, 1e-4)}
    polished = [_levelled(g / top, A, level, np.array(used, dtype=int)) for used in sorted(supports)]
    return [top * found for found in (*polished, m) if np.all(found >= 0)] + [nothing]


def _levelled(g: np.ndarray, A: np.ndarray, level: np.ndarray, used: np.ndarray) -> np.ndarray:
    """The best m, of any sign, with the given support and ``level^T m = 0`` to rounding."""
    m = np.zeros(len(A))
    if not used.size:
        return m
    values, basis = np.linalg.svd(level[used].T)[1:]
    basis = basis[int(np.sum(values > 1e-12 * max(float(values[0]), _TINY))) :].T
    if basis.shape[1]:
        m[used] = basis @ np.linalg.lstsq(A[used].T @ basis, -g, rcond=None)[0]
    return m
