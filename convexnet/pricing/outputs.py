r"""Pricing for vector outputs: scalar bounds over directions of the output space, put together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProblemError
from ..networks._arrays import row_norms
from ..networks.activations import activate
from ..problem import TrainingProblem, require_path_norm
from .ascent import price_ascent
from .moment import price_moment
from .result import PricingResult
from .spectral import check_dual

if TYPE_CHECKING:
    from .moment import MomentState

__all__ = ["ScalarPricer", "price_outputs", "scalar_problem"]

_EPS = float(np.finfo(np.float64).eps)
_ROUNDING = 1e-12
_FAN = 16
_LARGEST_SPLIT = 4
"""Most outputs for which the half sphere of output directions is subdivided: it starts from 2^(k-1) orthants."""

_Corner = tuple[np.ndarray, float]
ScalarPricer = Callable[[TrainingProblem, np.ndarray], PricingResult]
"""Any function of a scalar problem and a dual vector (n,) whose result has a valid ``bound``."""


def price_outputs(
    problem: TrainingProblem,
    N: np.ndarray,
    scalar_pricer: ScalarPricer | None = None,
    *,
    target: float | None = None,
    time_limit: float | None = None,
    node_limit: int = 100,
    tol: float = 1e-6,
    n_starts: int = 32,
    random_state: Any = 0,
    stop_at_violation: bool = False,
) -> PricingResult:
    r"""Bound ``M(N) = max_{||u|| <= 1} ||N' sigma(X u)||`` from bounds on ``M(N c)``, one output direction c at a time.

    ``M(N) = max_{||c|| = 1} M(N c)``, and ``c -> M(N c)`` is convex, even and positively homogeneous. The smallest of
    three bounds is returned:

    * ``sqrt(sum_j M(N q_j)^2)`` for an orthonormal basis (right singular vectors of N): k scalar bounds;
    * two outputs: the largest of m directions at angles ``j pi / m``, divided by ``cos(pi / (2 m))``;
    * branch and bound on the half sphere of directions (up to 4 outputs): on the cone of ``c_1 .. c_k`` with scalar
      bounds ``m_j``, every g with ``g . c_j >= m_j`` proves ``M(N c) <= ||g||``; longest edges are bisected.

    Parameters
    ----------
    problem : TrainingProblem
        Several outputs, any loss.
    N : ndarray of shape (n, k)
        Orthogonal to the problem's free columns.
    scalar_pricer : callable, optional
        ``scalar_pricer(scalar_problem, nu)`` returns a PricingResult for the dual vector ``nu = N c``; default
        :func:`price_moment`.
    target : float, optional
        Stop as soon as the bound is at most this.
    time_limit : float, optional
        Seconds; checked between scalar bounds.
    node_limit : int
        Most scalar bounds.
    tol : float
        Relative distance between the attained value and the bound at which the search ends.
    n_starts : int
        Start directions of the heuristic for ``value``.
    stop_at_violation : bool
        Stop as soon as an atom of value above the target is known.

    Raises
    ------
    ProblemError
        If ``N`` has another shape, is not finite, or has columns of non-zero sum with free biases.

    References
    ----------
    Sahiner, Ergen, Pauly and Pilanci (2021) for the dual constraint of vector outputs; the bounds are elementary.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0], [2.0]], [[1.0, 0.0], [0.0, 1.0]], reg=0.1, bias="none")
    >>> result = price_outputs(problem, np.array([[3.0, 0.0], [0.0, 2.0]]))
    >>> round(result.value, 6), round(result.bound, 4)
    (5.0, 5.0)
    """
    require_path_norm(problem, "price_outputs")
    started = time.perf_counter()
    check_dual(problem, N)
    if problem.scalar:
        raise ProblemError("price_outputs is for several outputs; use price_moment or price_cones for one.")
    search = _OutputSearch(problem, N, scalar_pricer or _Chained(_share(time_limit, N)), node_limit)
    search.deadline = np.inf if time_limit is None else started + time_limit
    search.target = -np.inf if target is None else float(target)
    search.tol, search.stop = tol, stop_at_violation
    search.ascend(n_starts, random_state)
    status = search.run()
    bound = search.bound * (1 + _ROUNDING)
    work = {"nodes": float(search.count), "seconds": time.perf_counter() - started}
    return PricingResult(
        min(search.value, bound), bound, search.scope, f"{search.method}, {search.scalar_method}", search.atom, 1,
        status=status, work=work,
    )  # fmt: skip


def scalar_problem(problem: TrainingProblem, nu: np.ndarray) -> TrainingProblem:
    """The scalar problem with the same neurons, for pricing one combination ``nu`` (n,) of the outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0], [2.0]], [[1.0, 0.0], [0.0, 1.0]], reg=0.1)
    >>> scalar_problem(problem, np.array([1.0, 2.0])).n_outputs
    1
    """
    return TrainingProblem(
        problem.X, nu, reg=problem.reg, activation=problem.activation, negative_slope=problem.negative_slope,
        bias=problem.bias, norm=problem.norm,
    )  # fmt: skip


def _share(time_limit: float | None, N: np.ndarray) -> float | None:
    """Seconds for one of the scalar bounds that every answer needs."""
    return None if time_limit is None else time_limit / (N.shape[1] + 1)


@dataclass
class _Chained:
    """price_moment, each call started from the moments of the one before."""

    seconds: float | None = None
    states: dict[int, MomentState] = field(default_factory=dict)

    def __call__(self, problem: TrainingProblem, nu: np.ndarray) -> PricingResult:
        result = price_moment(problem, nu, states=self.states, time_limit=self.seconds)
        self.states = dict(result.states)
        return result


class _OutputSearch:
    """Scalar bounds are computed once for each direction; the best of the combined bounds is kept."""

    def __init__(self, problem: TrainingProblem, N: np.ndarray, pricer: ScalarPricer, node_limit: int) -> None:
        self.problem, self.N, self.pricer, self.node_limit = problem, N, pricer, node_limit
        self.base = scalar_problem(problem, np.ascontiguousarray(N[:, 0]))
        self.known: list[_Corner] = []
        self.count, self.scope, self.scalar_method = 0, "all", "no bound"
        self.bound, self.method = np.inf, "output directions"
        self.value, self.atom = 0.0, np.zeros(problem.extended.shape[1])
        self.deadline, self.target, self.tol, self.stop = np.inf, -np.inf, 0.0, False
        sizes = row_norms(problem.extended)
        # Rounding of the products N c, felt through rows that a free bias can move to any centre.
        self.reach = sizes + (float(sizes.max()) if problem.bias == "free" else 0.0)
        self.slack = (N.shape[1] + 2) * _EPS * float(self.reach @ np.abs(N).sum(axis=1))
        self.noise = 1e-13 * N.shape[1] * float(np.max(np.abs(N)))

    def ascend(self, n_starts: int, random_state: Any) -> None:
        """A lower bound: directions of the outputs and neurons improve each other in turn."""
        for c in [*np.linalg.svd(self.N, full_matrices=False)[2], None]:
            direction = self._output() if c is None else c
            for attempt in range(40):
                if direction is None or self._vanishes(direction) or time.perf_counter() > self.deadline:
                    break
                starts = self.atom[:, None] if np.any(self.atom) else None
                found = price_ascent(
                    self.base, self.N @ direction, n_starts=4 if attempt else n_starts, random_state=random_state,
                    starts=starts, max_atoms=1,
                )  # fmt: skip
                before = self.value
                self._offer(found.atom)
                direction = self._output()
                if not self.value > before * (1 + 1e-9):
                    break

    def _vanishes(self, c: np.ndarray) -> bool:
        """Whether ``N c`` is zero up to rounding (softmax: c constant); its digits need not sum to zero then."""
        return float(np.max(np.abs(self.N @ c))) <= self.noise

    def _output(self) -> np.ndarray | None:
        response = self.N.T @ activate(self.problem.extended @ self.atom, self.problem.kappa)
        size = float(np.linalg.norm(response))
        return response / size if size > 0 else None

    def _offer(self, atom: np.ndarray) -> None:
        value = float(np.linalg.norm(self.N.T @ activate(self.problem.extended @ atom, self.problem.kappa)))
        if value > self.value:
            self.value, self.atom = value, atom

    def scalar(self, c: np.ndarray) -> float:
        """Bound of ``M(N c)`` for a direction as stored."""
        if self._vanishes(c):
            self.count += 1
            return float(self.reach @ np.abs(self.N @ c)) * (1 + _ROUNDING) + self.slack
        result = self.pricer(self.base, self.N @ c)
        self.count += 1
        self.scope = result.scope if self.scope == "all" else self.scope
        self.scalar_method = result.method
        if np.any(result.atom):
            self._offer(result.atom)
        return result.bound + self.slack

    def ended(self) -> str | None:
        """Why the search can stop, if it can."""
        if self.stop and self.value > self.target > -np.inf:
            return "violated"
        if self.bound <= self.target:
            return "target"
        if self.bound - self.value <= self.tol * self.bound:
            return "done"
        if time.perf_counter() > self.deadline:
            return "time_limit"
        return "node_limit" if self.count >= self.node_limit else None

    def offer_bound(self, bound: float, method: str) -> None:
        if bound < self.bound:
            self.bound, self.method = bound, method

    def run(self) -> str:
        if not np.any(self.N):
            self.bound, self.method, self.scalar_method = 0.0, "no outputs", "zero"
            return "done"
        basis = np.linalg.svd(self.N)[2]
        self._orthonormal(basis)
        k = self.N.shape[1]
        if self.ended() is None and k == 2:
            self._fan()
        if self.ended() is None and k <= _LARGEST_SPLIT:
            self._divide()
        return self.ended() or "done"

    def _orthonormal(self, basis: np.ndarray) -> None:
        self.known = [(q, self.scalar(q)) for q in basis]
        bound = math.hypot(*(value for _, value in self.known)) * (1 + _ROUNDING)
        self.offer_bound(bound, "orthonormal output directions")

    def _fan(self) -> None:
        """Every output direction of the plane is within ``pi / (2 m)`` of one of m, up to sign."""
        if self.count + _FAN > self.node_limit:
            return
        worst = 0.0
        for j in range(_FAN):
            if time.perf_counter() > self.deadline:
                return
            angle = math.pi * j / _FAN
            worst = max(worst, self.scalar(np.array([math.cos(angle), math.sin(angle)])))
        self.offer_bound(worst / math.cos(math.pi / (2 * _FAN)) * (1 + _ROUNDING), f"fan of {_FAN} output directions")

    def _divide(self) -> None:
        """Best-first bisection of the half sphere of output directions."""
        heap: list[tuple[float, int, list[_Corner]]] = []
        order = 0
        for signs in product((1.0, -1.0), repeat=len(self.known) - 1):
            corners = [self.known[0]] + [(s * c, m) for s, (c, m) in zip(signs, self.known[1:], strict=True)]
            heappush(heap, (-_cone_bound(corners), order, corners))
            order += 1
        while heap:
            self.offer_bound(-heap[0][0], "division of the output directions")
            if self.ended() is not None:
                return
            parent, _, corners = heappop(heap)
            a, b = _longest_edge(corners)
            middle = corners[a][0] + corners[b][0]
            middle /= np.linalg.norm(middle)
            vertex = (middle, self.scalar(middle))
            for replaced in (a, b):
                child = list(corners)
                child[replaced] = vertex
                heappush(heap, (max(parent, -_cone_bound(child)), order, child))
                order += 1


def _cone_bound(corners: list[_Corner]) -> float:
    """``||g||`` of a vector with ``g . c_j >= m_j``: an upper bound of M(N c) over the cone of unit directions c_j."""
    from scipy.optimize import nnls

    C, m = np.column_stack([c for c, _ in corners]), np.array([value for _, value in corners])
    try:
        inverse = np.linalg.inv(C).T
        beta = nnls(inverse, -inverse @ m)[0]
        g = inverse @ (m + beta)
    except (np.linalg.LinAlgError, RuntimeError):
        return np.inf
    reached = C.T @ g * (1 - _ROUNDING)
    if not np.all(reached > 0):
        return np.inf if np.any(m > 0) else 0.0
    # The inequalities are tested, so an inexact inverse or an inexact g does no harm.
    return float(np.linalg.norm(g)) * max(1.0, float(np.max(m / reached))) * (1 + _ROUNDING)


def _longest_edge(corners: list[_Corner]) -> tuple[int, int]:
    C = np.column_stack([c for c, _ in corners])
    cosines = C.T @ C + 2 * np.eye(C.shape[1])
    a, b = np.unravel_index(int(np.argmin(cosines)), cosines.shape)
    return int(a), int(b)
