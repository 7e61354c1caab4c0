r"""From any vector nu to a feasible dual point and a rigorous lower bound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..arrangements._rank import rank_bounds
from ..errors import ProblemError
from ..networks._arrays import row_norms
from ._centre import exact_shift
from ._exact_sums import two_product

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["DualPoint", "dual_bound", "feasible_dual", "relative_gap"]

_EPS = float(np.finfo(np.float64).eps)
_NOISE = 1e-6
_LARGEST = float(np.finfo(np.float64).max)
_TINY = float(np.finfo(np.float64).tiny)
_INSIDE, _MARGIN, _ROOM = 1e-10, 0.01, 1e-13
"""Share by which a dual vector moves inwards where its box holds it, the margin of what it moves to, and the room that
entries then need.
"""
_SAFE = 1e-250
"""Products of at least this size have rounding errors that do not underflow."""


def relative_gap(upper: float, lower: float, zero: float = 0.0) -> float:
    """Return ``(upper - lower) / upper``; rounding noise below zero is cut off.

    An ``upper`` up to ``zero`` counts as zero, and so does its gap (no objective is negative). Infinite where nothing
    is proven: a NaN, an infinite objective, or a lower bound that clearly exceeds the upper one.

    Examples
    --------
    >>> relative_gap(2.0, 1.0)
    0.5
    """
    if not math.isfinite(upper) or math.isnan(lower) or lower > upper + _NOISE * abs(upper):
        return math.inf
    return 0.0 if abs(upper) <= zero else max(0.0, (upper - lower) / abs(upper))


@dataclass(frozen=True, eq=False)
class DualPoint:
    """A dual vector whose feasibility is exact.

    Attributes
    ----------
    nu : ndarray of shape (n,) or (n, k)
        In the domain of the conjugate. Orthogonal to the free columns exactly, or after changing the rows ``rows``
        by at most ``slack`` each.
    rows : ndarray of int
        Rows whose last digits would change to make the orthogonality exact (empty without a skip connection).
    slack : float
        Largest such change.
    """

    nu: np.ndarray
    rows: np.ndarray
    slack: float

    def pricing_slack(self, problem: TrainingProblem) -> float:
        """How much M can grow when ``rows`` move by ``slack``: by ``||x_i||`` each, and the reach of a free bias.

        A free bias puts the kink among the samples, so that only their distances count, from whatever centre.
        """
        if not self.rows.size:
            return 0.0
        free = problem.bias == "free"
        sizes = row_norms(problem.X - exact_shift(problem.X) if free else problem.extended)
        reach = float(sizes.max()) if free else 0.0
        return self.slack * math.sqrt(problem.n_outputs) * float(np.sum(sizes[self.rows] + reach))


def feasible_dual(problem: TrainingProblem, nu: np.ndarray) -> DualPoint:
    """Move ``nu`` into the conjugate's domain and orthogonal to the free columns (intercept, skip).

    Falls back to ``nu = 0``, which is always feasible, where no such point is found.

    Raises
    ------
    ProblemError
        If ``nu`` has another shape than ``problem.y`` or is not finite.

    References
    ----------
    Free terms as equalities of the dual: Parhi and Nowak (2021); exactness by a dyadic grid is elementary.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[0.0], [1.0], [3.0]], [0.0, 1.0, 0.0], reg=0.1, bias="free")
    >>> float(feasible_dual(problem, np.array([1.0, 1.0, 0.3])).nu.sum())
    0.0
    """
    nu = np.array(nu, dtype=np.float64)
    if nu.shape != problem.y.shape or not np.isfinite(nu).all():
        raise ProblemError(f"nu must be finite and of shape {problem.y.shape}, got shape {nu.shape}.")
    none = np.zeros(0, dtype=int)
    columns = problem.free_columns
    if problem.skip and problem.intercept:  # the same span, better conditioned
        columns[:, : problem.d] -= exact_shift(problem.X)
    loss, y, weight = problem.loss, problem.y, problem.sample_weight
    zero = DualPoint(np.zeros_like(nu), none, 0.0)
    if columns.size and nu.ndim > 1 and loss.vector_only:
        return _balanced(problem, nu) or zero
    nu = loss.clip_dual(nu, y, weight)
    if not columns.size:
        return DualPoint(nu, none, 0.0)
    outputs = [_orthogonal(problem, column, columns, index) for index, column in enumerate(np.atleast_2d(nu.T))]
    if any(point is None for point in outputs):
        return zero
    points = [point for point in outputs if point is not None]
    moved = points[0].nu if nu.ndim == 1 else np.column_stack([point.nu for point in points])
    if not loss.in_domain(moved, y, weight):
        return zero
    rows = np.unique(np.concatenate([point.rows for point in points]))
    return DualPoint(moved, rows, max(point.slack for point in points))


def _balanced(problem: TrainingProblem, nu: np.ndarray) -> DualPoint | None:
    """A loss that couples its outputs, with free constants: rows and columns sum to zero; None with skip terms."""
    from ._simplex_dual import balanced_matrix

    if problem.skip:
        return None
    if problem.loss.in_domain(nu, problem.y, problem.sample_weight) and not any(map(math.fsum, nu.T)):
        return DualPoint(nu, np.zeros(0, dtype=int), 0.0)
    weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
    nu = problem.loss.clip_dual(nu, problem.y, problem.sample_weight)
    moved = balanced_matrix(nu, problem.y, weight[:, None])
    if moved is None or not problem.loss.in_domain(moved, problem.y, problem.sample_weight):
        return None
    return DualPoint(moved, np.zeros(0, dtype=int), 0.0)


def _orthogonal(problem: TrainingProblem, nu: np.ndarray, columns: np.ndarray, output: int) -> DualPoint | None:
    """Project one output's dual column onto ``columns' nu = 0`` inside the loss's box, then make it exact."""
    lower, upper = _box(problem, output)
    # samples of weight zero must not make columns look independent that the others cannot tell apart
    columns = np.where(((lower == 0) & (upper == 0))[:, None], 0.0, columns)
    basis = np.linalg.qr(_independent(columns))[0]
    nu = _project(nu, basis, lower, upper)
    if problem.skip:
        # at a corner of the box too few entries may be free to move: a little inside all are
        return (
            _with_slack(nu, columns, lower, upper)
            or _with_slack(_snapped(nu, lower, upper), columns, lower, upper)
            or _with_slack(_inside(nu, basis, lower, upper), columns, lower, upper, _ROOM)
        )
    return _on_grid(nu, lower, upper)


def _box(problem: TrainingProblem, output: int) -> tuple[np.ndarray, np.ndarray]:
    y = problem.y if problem.scalar else problem.y[:, output]
    weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
    lower, upper = problem.loss._dual_box(y, weight)
    return np.broadcast_to(lower, y.shape), np.broadcast_to(upper, y.shape)


def _project(nu: np.ndarray, basis: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """``argmin ||z - nu||`` s.t. ``basis' z = 0``, ``lower <= z <= upper``: semismooth Newton on the multipliers."""
    t = np.zeros(basis.shape[1])
    z = np.clip(nu, lower, upper)
    residual = basis.T @ z
    for _ in range(100):
        size = float(np.linalg.norm(residual))
        if size <= 1e-15 * float(np.linalg.norm(z)):
            break
        free = (z > lower) & (z < upper)
        matrix = basis[free].T @ basis[free] + 1e-14 * np.eye(len(t))
        step, scale = np.linalg.solve(matrix, residual), 1.0
        while scale > 1e-10:
            trial = np.clip(nu - basis @ (t + scale * step), lower, upper)
            if np.linalg.norm(basis.T @ trial) < (1 - 1e-4 * scale) * size:
                break
            scale /= 2
        else:
            break
        t, z = t + scale * step, trial
        residual = basis.T @ z
    return z


def _snapped(nu: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Entries that rounding alone keeps from a bound, or from zero, put there."""
    near = 1e-13 * float(np.max(np.abs(nu), initial=0.0))
    for value in (lower, upper, np.zeros_like(nu)):
        nu = np.where(np.abs(nu - value) <= near, value, nu)
    return np.clip(nu, lower, upper)


def _inside(nu: np.ndarray, basis: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Move a little towards an orthogonal vector in the middle of the box."""
    finite = np.isfinite(lower) & np.isfinite(upper)
    low, high = np.where(finite, lower, nu), np.where(finite, upper, nu)
    width = _MARGIN * (high - low)
    narrow = np.where(finite, low + width, lower), np.where(finite, high - width, upper)
    return (1 - _INSIDE) * nu + _INSIDE * _project((low + high) / 2, basis, *narrow)


def _on_grid(nu: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> DualPoint | None:
    """Round onto a dyadic grid so fine, and yet so coarse, that the sum of the entries is exactly zero."""
    top = float(np.max(np.abs(nu), initial=0.0))
    if top == 0:
        return DualPoint(nu, np.zeros(0, dtype=int), 0.0)
    # Up to a thousand entries sum without rounding in any order; more need an exact sum, or the grid would be coarse.
    unit = 2.0 ** (math.ceil(math.log2(top)) - 50 + min(math.ceil(math.log2(len(nu) + 1)), 10))
    ticks = np.clip(np.round(nu / unit), np.ceil(lower / unit), np.floor(upper / unit))
    excess = math.fsum(ticks.tolist())
    low, high = np.ceil(lower / unit), np.floor(upper / unit)
    for index in np.argsort(-np.minimum(ticks - low, high - ticks)):
        moved = float(np.clip(ticks[index] - excess, low[index], high[index]))
        excess -= float(ticks[index]) - moved
        ticks[index] = moved
        if excess == 0:
            return DualPoint(ticks * unit, np.zeros(0, dtype=int), 0.0)
    return None


def _with_slack(
    nu: np.ndarray, columns: np.ndarray, lower: np.ndarray, upper: np.ndarray, least: float = 1e-6
) -> DualPoint | None:
    """Bound the change of a few interior entries that makes ``columns' nu = 0`` exact."""
    from scipy.linalg import qr

    columns = _independent(columns)
    scale = row_norms(columns.T)
    residual = _exact_residual(nu, columns, scale)
    if residual == 0:
        return DualPoint(nu, np.zeros(0, dtype=int), 0.0)
    room = np.minimum(nu - lower, upper - nu)
    interior = np.flatnonzero(room > least * float(np.max(np.abs(nu))))
    if interior.size == 0:
        return None
    _, triangle, order = qr((columns[interior] / scale).T, mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    if size.size < len(scale) or size[-1] <= 1e-9 * size[0]:
        return None
    rows = interior[order[: len(scale)]]
    smallest = float(np.linalg.svd(columns[rows] / scale, compute_uv=False)[-1])
    slack = 2 * residual / smallest
    if slack > 1e-9 * float(np.max(np.abs(nu))) or np.any(room[rows] <= slack):
        return None
    return DualPoint(nu, rows, slack)


def _independent(columns: np.ndarray) -> np.ndarray:
    """Columns that span the same space exactly (the numerical choice is kept only if the exact rank agrees)."""
    from scipy.linalg import qr

    columns = columns[:, np.any(columns != 0, axis=0)]
    if not columns.size:
        return columns
    _, triangle, order = qr(columns / np.linalg.norm(columns, axis=0), mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    rank = int(np.sum(size > 1e-10 * size[0]))
    agreed = rank < columns.shape[1] and rank_bounds(columns) == (rank, rank)
    return columns[:, order[:rank]] if agreed else columns


def _exact_residual(nu: np.ndarray, columns: np.ndarray, scale: np.ndarray) -> float:
    """``||scaled columns' nu||`` with the sums taken exactly, rounded up: zero only if exact."""
    exact = [_exact_product(nu, column) for column in columns.T]
    if not any(exact):
        return 0.0
    sums = [abs(total) / size for total, size in zip(exact, scale, strict=True)]
    return max(math.hypot(*sums) * (1 + 1e-10), _TINY)


def _exact_product(a: np.ndarray, b: np.ndarray) -> float:
    """``a . b`` rounded once; in rational arithmetic where a rounding error of a product could underflow."""
    high, low = two_product(a, b)
    sizes = np.abs(high[(a != 0) & (b != 0)])
    if sizes.size and float(sizes.min()) < _SAFE:
        pairs = zip(a.tolist(), b.tolist(), strict=True)
        total = sum((Fraction(x) * Fraction(y) for x, y in pairs), start=Fraction(0))
        return float(total) or math.copysign(_TINY, total) if total else 0.0
    return math.fsum([*high.tolist(), *low.tolist()])


def dual_bound(
    problem: TrainingProblem, point: DualPoint, pricing_bound: float, *, misfit: float = 0.0
) -> tuple[float, float]:
    r"""Lower bound of the objective over all networks from a dual point and a bound on its pricing value.

    .. math:: \max_{0 \le s \le \mathrm{reg} / M} -L^*(-s\,\nu), \qquad M \ge M(\nu)

    Parameters
    ----------
    problem : TrainingProblem
    point : DualPoint
    pricing_bound : float
    misfit : float
        For interpolation: the bound then holds for all networks with ``max |f - y| <= misfit``, not for exact fits
        alone: ``reg * path norm >= s nu . f >= s nu . y - s misfit ||nu||_1``.

    Returns
    -------
    bound, scale : float
        The bound, rounded down, and the ``s`` that attains it. Never below ``-L*(0)``, the bound of ``nu = 0``;
        infinite if no network fits the targets (interpolation).

    Raises
    ------
    Nothing: an infinite, negative or NaN ``pricing_bound`` gives the bound of ``s = 0``.

    References
    ----------
    Weak duality; the scaling by ``s`` makes any ``nu`` feasible (Pilanci and Ergen 2020, dual program).

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0]], [2.0], reg=1.0, bias="none")
    >>> bound, scale = dual_bound(problem, feasible_dual(problem, np.array([1.0])), pricing_bound=1.0)
    >>> round(bound, 6), scale
    (1.5, 1.0)
    """
    loss, y, weight = problem.loss, problem.y, problem.sample_weight
    at_zero = _at_zero(problem)
    limit = 0.0
    if pricing_bound == 0:
        limit = math.inf
    elif pricing_bound > 0:
        limit = min(problem.reg / pricing_bound * (1 - 4 * _EPS), _LARGEST)
    scale = loss.best_scale(point.nu, y, weight, limit)
    cost = misfit * (float(np.sum(np.abs(point.nu))) + point.slack * point.rows.size) * (1 + 1e-12)
    if math.isinf(scale):
        unreachable = loss.dual_bound(point.nu, y, weight) > cost + _slack_cost(problem, point, 1.0)
        return (math.inf, scale) if unreachable else (at_zero, 0.0)
    with np.errstate(over="ignore"):  # an overflow is outside every domain
        scaled = scale * point.nu
    value = loss.dual_bound(scaled, y, weight) - scale * cost - _slack_cost(problem, point, scale)
    return (value, scale) if value > at_zero else (at_zero, 0.0)


def _at_zero(problem: TrainingProblem) -> float:
    """``-L*(0)``, the smallest loss of any predictions: zero exactly for every loss of the package."""
    zero = np.zeros_like(problem.y)
    value = problem.loss.dual_value(zero, problem.y, problem.sample_weight)
    return value if value == 0 else problem.loss.dual_bound(zero, problem.y, problem.sample_weight)


def _slack_cost(problem: TrainingProblem, point: DualPoint, scale: float) -> float:
    """How much the dual value can drop when the rows in ``point.rows`` move by ``point.slack`` (concave, separable)."""
    if not point.rows.size or scale == 0:
        return 0.0
    loss, y, weight, cost = problem.loss, problem.y, problem.sample_weight, 0.0
    nu = scale * point.nu
    value = loss.dual_bound(nu, y, weight)
    for entry in np.ndindex(len(point.rows), *nu.shape[1:]):
        index = (point.rows[entry[0]], *entry[1:])
        drops = []
        for step in (-scale * point.slack, scale * point.slack):
            moved = nu.copy()
            moved[index] += step
            drops.append(value - loss.dual_bound(moved, y, weight))
        cost += max(0.0, *drops)
    return cost
