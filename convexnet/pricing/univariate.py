r"""Exact pricing for data of one feature: sort, sum, compare; no cells, and any number of samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ProblemError
from ..networks.activations import activate
from ..problem import require_path_norm
from ._exact_sums import ERROR, Double, prefix_error, prefix_sums, product
from .result import PricingResult
from .spectral import check_dual

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["price_univariate", "univariate_peaks"]

_EPS = float(np.finfo(np.float64).eps)
_UNDERFLOW = 1e-150
"""Relative to the largest |nu|, what squares and lost low parts may hide."""
_ANGLE = 1e-8
"""A direction so close outside of an arc has the same value to rounding: it may count as inside."""


def price_univariate(problem: TrainingProblem, nu: np.ndarray) -> PricingResult:
    r"""Compute ``M(nu)`` for data of one feature, over every direction, in O(n log n).

    Between neighbouring breakpoints ``t = -b/w`` the function is linear in ``u = (w, b)``: for :math:`t \in [x_j,
    x_{j+1}]` and :math:`w \ge 0`

    .. math::

        \nu^\top \sigma(X u) = w P_j + b Q_j, \qquad (P_j, Q_j) = \sum_{i > j} \nu_i (x_i, 1)
        + \kappa \sum_{i \le j} \nu_i (x_i, 1),

    and likewise for :math:`w \le 0`, so that the maximum over that arc of the unit sphere is :math:`\|(P_j, Q_j)\|` or
    is attained at an end. All sums are prefix sums, carried in twice the working precision. Several outputs are exact
    as well: ``P_j`` and ``Q_j`` are then vectors and the maximum is a singular value.

    Parameters
    ----------
    problem : TrainingProblem
        With one feature; every activation, bias rule, norm and number of outputs.
    nu : ndarray of shape (n,) or (n, k)
        Orthogonal to the problem's free columns.

    Returns
    -------
    PricingResult
        With scope ``all``.

    Raises
    ------
    ProblemError
        If the data have more than one feature, or ``nu`` has another shape, is not finite, or has a non-zero sum with
        free biases.

    References
    ----------
    Pilanci and Ergen (2020) for the dual constraint; Parhi and Nowak (2021) for the Green's function of ``f''``;
    Boursier and Flammarion (2023) for the weights ``sqrt(1 + t^2)``.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [1.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> result = price_univariate(problem, problem.y)
    >>> round(result.value, 4), round(result.bound, 4), result.scope
    (2.2361, 2.2361, 'all')
    """
    require_path_norm(problem, "price_univariate")
    table = _Table(problem, nu)
    best, top, error = table.best()
    atom = table.unit(best)
    scores = np.asarray(nu).T @ activate(problem.extended @ atom, problem.kappa)
    size = float(np.linalg.norm(np.atleast_1d(scores)))
    bound = (top * (1 + 32 * _EPS) + error) * table.scale
    sign = 1 if nu.ndim > 1 or scores >= 0 else -1
    work = {"nodes": problem.n}
    return PricingResult(min(size, bound), bound, "all", "exact in one dimension", atom, sign, work=work)


def univariate_peaks(
    problem: TrainingProblem, nu: np.ndarray, *, threshold: float = 0.0, limit: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Return the best unit direction of every maximal run of breakpoints whose neurons price above ``threshold``.

    Parameters
    ----------
    problem : TrainingProblem
        With one feature and one output.
    nu : ndarray of shape (n,)
        Orthogonal to the problem's free columns.
    threshold : float
        Non-negative.
    limit : int, optional
        Most directions, the best ones.

    Returns
    -------
    directions : ndarray of shape (q, S)
    signs : ndarray of shape (S,)
        Of ``nu . sigma(X u)``.
    values : ndarray of shape (S,)
        Its size, largest first.

    Raises
    ------
    ProblemError
        As :func:`price_univariate`, or for several outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], reg=0.1, bias="free")
    >>> nu = np.array([-1.0, 2.0, -1.0])
    >>> univariate_peaks(problem, nu, threshold=0.5)[0].T.tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    require_path_norm(problem, "univariate_peaks")
    found = line_peaks(problem, nu, threshold)[:limit]
    directions = np.array([peak.direction for peak in found]).reshape(-1, problem.extended.shape[1]).T
    return directions, np.array([p.sign for p in found], dtype=np.int64), np.array([p.value for p in found])


@dataclass(frozen=True)
class LinePeak:
    """The best unit direction of a run of breakpoints: at a sample (``low == high``) or between two neighbouring ones.

    ``family`` 0 has ``w >= 0``, family 1 the opposite direction.
    """

    family: int
    low: float
    high: float
    direction: np.ndarray
    sign: int
    value: float


def line_peaks(problem: TrainingProblem, nu: np.ndarray, threshold: float = 0.0) -> list[LinePeak]:
    """Every peak above the threshold, the highest first; see :func:`univariate_peaks`."""
    if not problem.scalar:
        raise ProblemError("Peaks are for one output; price_univariate bounds several.")
    table = _Table(problem, nu)
    found = [peak for family in (0, 1) for peak in table.peaks(family, threshold / table.scale)]
    return sorted(found, key=lambda peak: -peak.value)


@dataclass(frozen=True)
class _Candidate:
    """A direction on the arcs: family 0 has w >= 0, family 1 its opposite; (w, b) in the scaled data of family 0."""

    family: int
    w: float
    b: float


class _Table:
    """Values at every node (a breakpoint at a sample) and on every arc between neighbouring ones."""

    def __init__(self, problem: TrainingProblem, nu: np.ndarray) -> None:
        if problem.d != 1:
            raise ProblemError(f"price_univariate is for data of one feature, got {problem.d}; use price_cells.")
        nu = np.asarray(nu, dtype=np.float64)
        check_dual(problem, nu)
        self.problem = problem
        x, columns = problem.X[:, 0], nu.reshape(len(nu), -1)
        # Powers of two scale exactly. The unit sphere of penalised biases fixes the scale of x.
        strength = _power(columns)
        self.unit_x = 1.0 if problem.bias == "penalized" else _power(x)
        self.scale = strength * self.unit_x
        x, columns = x / self.unit_x, columns / strength
        if problem.bias == "none" or (problem.bias == "penalized" and problem.norm == "l1"):
            # a corner of the unit ball of norm l1, and the only direction without biases
            x, columns = np.append(x, 0.0), np.vstack([columns, np.zeros_like(columns[:1])])
        order = np.argsort(x, kind="stable")
        self.x, self.nu = x[order], columns[order]
        self._sum()

    def _sum(self) -> None:
        """``P`` and ``Q`` of the families: shape (m + 1, k), row j for breakpoints above the j-th sample."""
        x, nu, kappa = self.x[:, None], self.nu, self.problem.kappa
        moments, plain = product(nu, x), Double(nu, np.zeros_like(nu))
        left = [prefix_sums(terms) for terms in (moments, plain)]
        right = [_reversed(prefix_sums(_reversed(terms))) for terms in (moments, plain)]
        plus = [r.plus(s.times(kappa)) for r, s in zip(right, left, strict=True)]
        minus = [s.plus(r.times(kappa)).times(-1.0) for r, s in zip(right, left, strict=True)]
        self.lines = [plus, minus]
        relative = prefix_error(len(nu)) + 8 * ERROR
        first, zeroth = np.abs(nu * x).sum(axis=0), np.abs(nu).sum(axis=0)
        self.errors = [4 * relative * float(np.linalg.norm(sums)) * (1 + 1e-9) for sums in (first, zeroth)]

    # ------------------------------------------------------------------------------------------------- values
    def node_costs(self) -> np.ndarray:
        """The norm of ``(1, -t)`` at every node; infinite where the problem has no such neuron."""
        problem, t = self.problem, self.x
        if problem.bias == "free":
            return np.ones_like(t)
        if problem.bias == "none":
            return np.where(t == 0, 1.0, np.inf)
        return 1 + np.abs(t) if problem.norm == "l1" else np.hypot(1.0, t)

    def node_scores(self, family: int) -> np.ndarray:
        """``nu . sigma(X u)`` of the unit neurons with a breakpoint at a node, (m, k)."""
        P, Q = (line.rows(slice(1, None)) for line in self.lines[family])
        return P.minus(Q.times(self.x[:, None])).value() / self.node_costs()[:, None]

    def error(self) -> float:
        """Bound of the absolute error of every value, besides a few relative roundings."""
        moment, plain = self.errors
        reach = {"penalized": 1.0, "free": float(np.max(np.abs(self.x))), "none": 0.0}[self.problem.bias]
        present = float(np.any(self.nu[self.x != 0] if self.problem.bias == "none" else self.nu))
        return moment + reach * plain + _UNDERFLOW * present

    def arcs(self, family: int) -> tuple[np.ndarray, np.ndarray]:
        """Best angle of ``(w, b)`` on every linear piece and its value; -inf where it lies outside the piece."""
        P, Q = (line.value() for line in self.lines[family])
        pp, qq, pq = (P * P).sum(axis=1), (Q * Q).sum(axis=1), (P * Q).sum(axis=1)
        radius = np.hypot(0.5 * (pp - qq), pq)
        values = np.sqrt(0.5 * (pp + qq) + radius)
        ends = np.concatenate([[0.5 * np.pi], -np.arctan(self.x), [-0.5 * np.pi]])
        lower, upper = ends[1:], ends[:-1]
        # A singular vector has two signs, half a turn apart.
        turned = 0.5 * np.arctan2(2 * pq, pp - qq) + np.pi * np.array([[-1.0], [0.0], [1.0]])
        outside = np.maximum(lower - turned, turned - upper)
        nearest = np.argmin(outside, axis=0), np.arange(len(values))
        with np.errstate(divide="ignore", invalid="ignore"):
            doubt = self.error() / values + np.where(radius > 0, 32 * _EPS * (pp + qq) / radius, np.inf)
        inside = outside[nearest] <= _ANGLE + np.where(values > 0, doubt, 0.0)
        return np.clip(turned[nearest], lower, upper), np.where(inside, values, -np.inf)

    def far(self, family: int) -> np.ndarray:
        """Sizes of the constant neurons: all samples active, all inactive."""
        return np.linalg.norm(self.lines[family][1].value()[[0, -1]], axis=1)

    # ------------------------------------------------------------------------------------------------ choices
    def best(self) -> tuple[_Candidate, float, float]:
        """The best direction, its value and the bound of the error."""
        found = max((self._best(family) for family in (0, 1)), key=lambda pair: pair[1])
        return (*found, self.error())

    def _best(self, family: int) -> tuple[_Candidate, float]:
        sizes = np.linalg.norm(self.node_scores(family), axis=1)
        node = int(np.argmax(sizes))
        choices = [(_Candidate(family, 1.0, -float(self.x[node])), float(sizes[node]))]
        if self.problem.bias == "penalized":
            far = self.far(family)
            choices += [(_Candidate(family, 0.0, side), float(size)) for side, size in zip((1, -1), far, strict=True)]
            if self.problem.norm == "l2":
                angle, values = self.arcs(family)
                arc = int(np.argmax(values))
                choices.append((_Candidate(family, *_on_circle(angle[arc])), float(values[arc])))
        return max(choices, key=lambda pair: pair[1])

    def unit(self, candidate: _Candidate) -> np.ndarray:
        """The candidate as a unit direction of the problem."""
        side = 1.0 - 2.0 * candidate.family
        if self.problem.bias == "none":
            return np.array([side])
        w, b = candidate.w, candidate.b * self.unit_x
        if self.problem.bias == "free":
            return side * np.array([w, b])
        norm = abs(w) + abs(b) if self.problem.norm == "l1" else math.hypot(w, b)
        return side * np.array([w, b]) / norm

    def peaks(self, family: int, threshold: float) -> list[LinePeak]:
        """The best candidate of each maximal run of one sign above the threshold, in the order of breakpoints."""
        scores, angles = self._profile(family)
        real = np.ones(len(scores), dtype=bool)
        real[::2] = np.isfinite(angles)
        found = []
        for sign in (1, -1):
            above = np.concatenate([[False], sign * scores > threshold, [False]])
            edges = np.flatnonzero(above[1:] != above[:-1])
            for start, stop in zip(edges[::2], edges[1::2], strict=True):
                index = start + int(np.argmax((sign * scores * real)[start:stop]))
                found.append(self._peak(family, index, angles[index // 2], sign, abs(float(scores[index]))))
        return found

    def _profile(self, family: int) -> tuple[np.ndarray, np.ndarray]:
        """Signed best scores along the breakpoints (piece 0, node 1, piece 1, ..., piece m) and angles on pieces.

        A piece without an interior maximum has the score of its worse end, and its angle is NaN.
        """
        nodes = self.node_scores(family)[:, 0]
        scores, angles = np.zeros(2 * len(nodes) + 1), np.full(len(nodes) + 1, np.nan)
        far = nodes[[0, -1]]
        if self.problem.bias == "penalized":
            far = self.lines[family][1].value()[[0, -1], 0] * (1.0, -1.0)
        around = np.concatenate([far[:1], nodes, far[1:]])
        scores[1::2] = nodes
        scores[::2] = np.where(np.abs(around[1:]) < np.abs(around[:-1]), around[1:], around[:-1])
        if self.problem.bias == "penalized":
            scores[[0, -1]], angles[[0, -1]] = far, (0.5 * np.pi, -0.5 * np.pi)
            if self.problem.norm == "l2":
                P, Q = (line.value()[:, 0] for line in self.lines[family])
                best, values = self.arcs(family)
                inner = np.isfinite(values)
                angles = np.where(inner, best, angles)
                scores[::2] = np.where(inner, P * np.cos(best) + Q * np.sin(best), scores[::2])
        return scores, angles

    def _peak(self, family: int, index: int, angle: float, sign: int, score: float) -> LinePeak:
        """The peak at a position of the profile: a node, or a piece with a best direction of its own."""
        piece, x = index // 2, self.x * self.unit_x
        if index % 2 == 1:
            low = high = float(x[piece])
            candidate = _Candidate(family, 1.0, -float(self.x[piece]))
        else:
            low = -math.inf if piece == 0 else float(x[piece - 1])
            high = math.inf if piece == len(x) else float(x[piece])
            candidate = _Candidate(family, *_on_circle(angle))
        return LinePeak(family, low, high, self.unit(candidate), sign, score * self.scale)


def _on_circle(angle: float) -> tuple[float, float]:
    return math.cos(angle), math.sin(angle)


def _power(values: np.ndarray) -> float:
    """The power of two of the largest entry; 1 if all are zero."""
    top = float(np.max(np.abs(values), initial=0.0))
    return math.ldexp(1.0, math.frexp(top)[1]) if top > 0 else 1.0


def _reversed(terms: Double) -> Double:
    return Double(terms.high[::-1], terms.low[::-1])
