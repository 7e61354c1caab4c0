r"""Exact pricing over activation cells: a screen by extreme rays, then one small projection per surviving cell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from ..arrangements.patterns import CellRays
from ..errors import PatternError
from ..networks._arrays import row_norms
from ..networks.activations import activate
from ..problem import require_path_norm
from .geometry import CellGeometry
from .result import PricingResult, Violator
from .spectral import check_dual, direction_norms

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["CellPricer", "price_cells"]

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_RAY_ERROR = 1e-12
"""Ten times the relative error of a computed ray, in the units of the data as well as in those of its columns."""
_CHUNK = 4096


def price_cells(
    problem: TrainingProblem,
    nu: np.ndarray,
    patterns: PatternSet,
    *,
    threshold: float = 0.0,
    max_refined: int | None = None,
) -> PricingResult:
    r"""Compute ``M(nu) = max_{||u|| <= 1} |nu . sigma(X u)|`` over the closed cells of ``patterns``.

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output.
    nu : ndarray of shape (n,)
        Orthogonal to the problem's free columns.
    patterns : PatternSet
        Patterns of ``problem.extended``. If complete, the result holds for every direction u.
    threshold : float
        Cells whose bound is at most this are not refined; the returned bound is then at least ``threshold``-tight.
    max_refined : int, optional
        Most cells (per sign) to refine; the bound of the next one then enters the result.

    Raises
    ------
    PatternError
        If the patterns are empty or belong to other data.
    ProblemError
        If ``nu`` has another shape, is not finite, or has a non-zero sum with free biases.

    References
    ----------
    Pilanci and Ergen (2020); one atom per cell and sign: de Dios and Bruna (2020).

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem, enumerate_patterns
    >>> problem = TrainingProblem([[-1.0], [1.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> result = price_cells(problem, problem.y, enumerate_patterns(problem.extended))
    >>> round(result.value, 4), round(result.bound, 4), result.scope
    (2.2361, 2.2361, 'all')
    """
    return CellPricer(problem, patterns).price(nu, threshold=threshold, max_refined=max_refined)


class CellPricer:
    """Prices many dual vectors over the same cells; what depends on the geometry alone is computed once."""

    def __init__(self, problem: TrainingProblem, patterns: PatternSet) -> None:
        require_path_norm(problem, "CellPricer")
        if not problem.scalar:
            raise PatternError("Pricing over cells needs a scalar output; bound vector outputs by price_spectral.")
        if len(patterns) == 0:
            raise PatternError("The pattern set is empty; list or sample at least one activation pattern.")
        patterns.check(problem.extended)
        self.problem, self.patterns = problem, patterns
        self.geometry = CellGeometry(problem)
        self.complete = patterns.proven
        self._sizes = row_norms(problem.extended)
        self._screen = _RayScreen(problem, patterns) if _rays_usable(problem, patterns) else None

    def price(
        self,
        nu: np.ndarray,
        *,
        threshold: float = 0.0,
        max_refined: int | None = None,
        max_violators: int = 0,
        deadline: float | None = None,
    ) -> PricingResult:
        """Price one dual vector; see :func:`price_cells`.

        ``max_violators`` cells above the threshold are reported: local maxima of the certificate function first, then
        their neighbours. ``deadline`` is a ``time.perf_counter`` value after which no further cell is refined.
        """
        check_dual(self.problem, nu)
        upper, lower, atom = self._screened(nu)
        sign, value = self._attained(nu, atom)
        bound, rest = value, 0.0
        found: dict[tuple[int, int], float] = {}
        cap = upper.size if max_refined is None else 2 * max_refined
        for count, flat in enumerate(np.argsort(-upper, axis=None)):
            cell, column = divmod(int(flat), 2)
            collecting = self._screen is None and len(found) < max_violators
            goal = threshold if collecting else max(threshold, value)
            late = deadline is not None and time.perf_counter() > deadline
            if upper[cell, column] <= goal or count >= cap or late:
                rest = float(upper[cell, column])
                break
            exact = self.geometry.price(self.patterns.patterns[:, cell], (1 - 2 * column) * nu)
            bound = max(bound, min(float(upper[cell, column]), exact.bound))
            cell_sign, attained = self._attained(nu, exact.direction)
            if attained > exact.bound * (1 + 1e-9):
                # The projection on this cell is zero up to rounding: its direction lies in another cell.
                continue
            if attained > threshold:
                found[cell, 1 - 2 * column] = attained
            if attained > value:
                value, atom, sign = attained, exact.direction, cell_sign
        if self._screen is not None and max_violators:
            found.update(self._screen.peaks(lower, threshold, max_violators))
        violators = sorted((Violator(*key, found[key]) for key in found), key=lambda v: (-v.value, v.cell, v.sign))
        scope = "all" if self.complete else "listed"
        name = f"{len(self.patterns)} {'cells' if self.complete else 'listed cells'}"
        return PricingResult(value, max(bound, rest, value), scope, name, atom, sign, tuple(violators))

    def _screened(self, nu: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Upper and lower bounds of shape (P, 2) for signs +1, -1, and the best unit direction met on the way."""
        if self._screen is not None:
            return self._screen.bounds(nu, self._noise(nu))
        upper, atom = self._norm_screen(nu), self.patterns.witnesses[:, 0]
        size = float(direction_norms(self.problem, atom[:, None])[0])
        return upper, np.zeros_like(upper), atom / size if size > 0 else np.zeros_like(atom)

    def _attained(self, nu: np.ndarray, direction: np.ndarray) -> tuple[int, float]:
        """Sign and size of ``nu . sigma(X u)`` at a unit direction."""
        score = float(nu @ activate(self.problem.extended @ direction, self.problem.kappa))
        return (1 if score >= 0 else -1), abs(score)

    def _noise(self, nu: np.ndarray) -> float:
        """Bound on the error of ``nu . sigma(X u)`` at a computed unit ray, rounding and error of the ray together."""
        relative = _RAY_ERROR + 8 * (self.problem.n + 8) * _EPS
        if self.problem.bias == "free":
            # A ray of ||w|| = 1 has |b| up to the largest row: its error is felt by every row.
            return relative * 2 * float(self._sizes.max()) * float(np.abs(nu).sum()) + _TINY
        return relative * float(np.abs(nu) @ self._sizes) + (_TINY if np.any(nu[self._sizes > 0]) else 0.0)

    def _norm_screen(self, nu: np.ndarray) -> np.ndarray:
        """``||X^T S_p nu||``: valid without rays; useless (infinite) for free biases."""
        problem = self.problem
        if problem.bias == "free":
            return np.full((len(self.patterns), 2), np.inf)
        columns = []
        for start in range(0, len(self.patterns), _CHUNK):
            active = self.patterns.patterns[:, start : start + _CHUNK].astype(np.float64)
            gates = problem.kappa + (1 - problem.kappa) * active
            columns.append(row_norms((nu[:, None] * gates).T @ problem.extended))
        bound = np.concatenate(columns) + self._noise(nu)
        return np.column_stack([bound, bound])


def _rays_usable(problem: TrainingProblem, patterns: PatternSet) -> bool:
    """Rays span the cells only in full rank, except that an l2 ball allows projecting them onto the row space."""
    if patterns.rays is None or patterns.rank == 0:
        return False
    if patterns.rank == problem.extended.shape[1]:
        return True
    if problem.norm == "l1" or problem.bias == "free":
        return False
    values = np.linalg.svd(problem.extended, compute_uv=False)
    return bool(values[patterns.rank - 1] > 1e-2 * values[0])


class _RayScreen:
    r"""Upper bounds from extreme rays.

    On a cell with rays ``v_i`` (norm one) every u is ``sum l_i v_i`` with ``l >= 0``; if ``c`` has dual norm one and
    ``c . v_i >= delta > 0`` for all i, then ``sum l_i <= ||u|| / delta`` and the maximum is at most
    ``max(0, max_i nu . sigma(X v_i)) / delta``. The bound is exact where the norm is linear on the cell.
    """

    def __init__(self, problem: TrainingProblem, patterns: PatternSet) -> None:
        assert patterns.rays is not None
        self.problem = problem
        self.rays = rays = _without_unused(patterns.rays)
        directions = rays.directions
        if patterns.rank < problem.extended.shape[1]:
            basis = np.linalg.svd(problem.extended, full_matrices=False)[2][: patterns.rank]
            directions = basis.T @ (basis @ directions)
        norms = direction_norms(problem, directions)
        self.flat = norms <= 1e-12 * np.linalg.norm(directions, axis=0)
        self.directions = directions / np.where(self.flat, 1.0, norms)
        self.starts = rays.cell_ptr[:-1]
        self.met = np.zeros((2, len(norms)), dtype=bool)
        self.met[(rays.ray_sign < 0).astype(int), rays.ray_index] = True
        self.met &= ~self.flat
        self.inverse_delta = self._inverse_delta()
        self.constant = self._constant_cells(patterns)

    def _inverse_delta(self) -> np.ndarray:
        rays, problem = self.rays, self.problem
        penalised = self.directions[:-1] if problem.bias == "free" else self.directions
        members = penalised[:, rays.ray_index] * rays.ray_sign
        total = np.add.reduceat(members, self.starts, axis=1)
        mean = total / np.maximum(np.linalg.norm(total, axis=0), 1e-300)
        centre = np.sign(total) if problem.norm == "l1" else mean
        counts = np.diff(rays.cell_ptr)
        inner = np.einsum("ij,ij->j", members, np.repeat(centre, counts, axis=1))
        spread = float(np.max(row_norms(problem.X))) if problem.bias == "free" else 1.0
        delta = np.minimum.reduceat(inner, self.starts) - _RAY_ERROR * max(1.0, spread)
        delta[np.bitwise_or.reduceat(self.flat[rays.ray_index], self.starts)] = 0.0
        with np.errstate(divide="ignore"):
            return np.where(delta > 0, 1 / np.maximum(delta, 1e-300), np.inf)

    def _constant_cells(self, patterns: PatternSet) -> list[tuple[int, float]]:
        """Free bias: the all-active and all-inactive cells, on which the function is linear in w and flat in b."""
        if self.problem.bias != "free":
            return []
        counts = patterns.patterns.sum(axis=0, dtype=np.int64)
        found = [(int(i), 1.0) for i in np.flatnonzero(counts == self.problem.n)]
        return found + [(int(i), abs(self.problem.kappa)) for i in np.flatnonzero(counts == 0)]

    def bounds(self, nu: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Upper bounds (P, 2), values attained on rays (P, 2), and the ray with the largest ``|nu . sigma(X v)|``."""
        X, kappa = self.problem.extended, self.problem.kappa
        forward = np.empty(self.directions.shape[1])
        for start in range(0, len(forward), _CHUNK):
            block = X @ self.directions[:, start : start + _CHUNK]
            forward[start : start + _CHUNK] = nu @ activate(block, kappa)
        # sigma(-t) = sigma(t) - (1 + kappa) t
        backward = forward - (1 + kappa) * ((X.T @ nu) @ self.directions)
        rays = self.rays
        along = np.where(rays.ray_sign > 0, forward[rays.ray_index], backward[rays.ray_index])
        high = np.maximum.reduceat(along, self.starts)
        low = -np.minimum.reduceat(along, self.starts)
        lower = np.maximum(np.column_stack([high, low]), 0.0)
        # The smallest positive number keeps 0 * inf (a zero nu on an unscreened cell) from being NaN.
        upper = np.maximum(lower + noise, _TINY) * self.inverse_delta[:, None]
        if self.constant:
            linear = X.T @ nu
            size = float(np.max(np.abs(linear))) or 1.0
            norm = size * float(np.linalg.norm(linear[:-1] / size, np.inf if self.problem.norm == "l1" else 2)) + noise
            for cell, factor in self.constant:
                upper[cell] = factor * norm
        return upper, lower, self._best_ray(forward, backward)

    def peaks(self, lower: np.ndarray, threshold: float, limit: int) -> dict[tuple[int, int], float]:
        """Cells above the threshold: local maxima over cells that share a ray, then the cells that touch those."""
        oriented = 2 * self.rays.ray_index + (self.rays.ray_sign < 0)
        counts = np.diff(self.rays.cell_ptr)
        chosen: dict[tuple[int, int], float] = {}
        ranked: list[tuple[bool, float, int, int]] = []
        for column in (0, 1):
            values = lower[:, column]
            best = np.zeros(2 * self.directions.shape[1])
            np.maximum.at(best, oriented, np.repeat(values, counts))
            around = np.maximum.reduceat(best[oriented], self.starts)
            peak = (values >= around) & (values > threshold)
            marked = np.zeros(len(best), dtype=bool)
            marked[oriented[np.repeat(peak, counts)]] = True
            near = np.logical_or.reduceat(marked[oriented], self.starts) & (values > threshold)
            ranked += [(not peak[i], -float(values[i]), int(i), 1 - 2 * column) for i in np.flatnonzero(near)]
        for _, value, cell, sign in sorted(ranked)[:limit]:
            chosen[cell, sign] = -value
        return chosen

    def _best_ray(self, forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
        """The best unit ray among those of the listed cells: a ray's opposite belongs to other cells."""
        values = np.abs([forward, backward]) * self.met
        side, best = np.unravel_index(int(np.argmax(values)), values.shape)
        return self.directions[:, best] * (1.0 - 2.0 * side)


def _without_unused(rays: CellRays) -> CellRays:
    """A part of a list keeps all lines of the arrangement; only those of its own cells count."""
    used, index = np.unique(rays.ray_index, return_inverse=True)
    return CellRays(rays.directions[:, used], rays.cell_ptr, index, rays.ray_sign)
