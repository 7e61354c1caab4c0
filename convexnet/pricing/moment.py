r"""The moment relaxation: pricing bounds of size d + 1 by the Frank-Wolfe method, every iterate a valid bound."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..networks._arrays import row_norms
from ..problem import require_path_norm
from ._frank_wolfe import FrankWolfe, MomentState
from .ascent import attained_value, climb
from .forms import PricingForm, pricing_forms
from .result import PricingResult
from .trust_region import certified_value

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["MomentResult", "MomentState", "certified_moment", "price_moment", "relaxed_response"]

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_STRONGEST = 8
_SHORTEST = 1e-140
"""Rows shorter than this have squares that underflow; their forms get a bound without matrices."""
_ROOM = 1e-9
"""Relative room kept between a floating-point bound and a target before the rigorous evaluation is done."""

@dataclass(frozen=True, eq=False, repr=False)
class MomentResult(PricingResult):
    """A :class:`PricingResult` with the moments at which the search stopped.

    Attributes
    ----------
    states : mapping of sign to (u, U)
        Moments of the relaxed maximiser of each sign (free bias: at the centre with the largest bound, of the weights
        without the bias): the warm start of a later call.
    strongest : tuple of (sign, centre, (u, U))
        Relaxed maximisers of the forms with the largest bounds, largest first; centre -1 without a free bias.
    """

    states: Mapping[int, MomentState] = field(default_factory=dict)
    strongest: tuple[tuple[int, int, MomentState], ...] = ()


def price_moment(
    problem: TrainingProblem,
    nu: np.ndarray,
    *,
    target: float | None = None,
    time_limit: float | None = None,
    iterations: int = 30,
    refine: bool = True,
    tol: float = 1e-4,
    smoothing: float = 0.02,
    states: Mapping[int, MomentState] | None = None,
    stop_at_violation: bool = False,
    proof: bool = False,
) -> MomentResult:
    r"""Bound ``M(nu)`` by lifting u to its moments ``(u, U)``, ``U >= u u'``, ``tr U = 1``; scalar outputs.

    With ``t = a_i . u`` and ``q = a_i' U a_i`` the convex terms of the pricing form obey ``E|t| <= sqrt(q)``, the
    concave ones ``E|t| >= max(t, -t, q / ||a_i||)``. Multipliers ``tau_i > 0``, ``|alpha_i| + theta_i <= 1`` give

    .. math::

        F(u) \le \tfrac12 \sum_{w_i > 0} w_i \tau_i + \max_{\|u\| = 1} b^\top u + u^\top A u ,

    .. math::

        A = \sum_{w_i > 0} \frac{w_i}{2 \tau_i} a_i a_i^\top
            - \sum_{w_i < 0} \frac{|w_i| \theta_i}{\|a_i\|} a_i a_i^\top , \qquad
        b = c - \sum_{w_i < 0} |w_i| \alpha_i a_i

    This is a trust-region problem, whose maximiser is the next atom of the Frank-Wolfe method. Forms that the method
    leaves above the target are refined in factored form (few directions, L-BFGS). The best multipliers are evaluated
    once more with every rounding error charged.

    Parameters
    ----------
    problem : TrainingProblem
    nu : ndarray of shape (n,)
        Orthogonal to the problem's free columns.
    target : float, optional
        Stop as soon as the bound is at most this.
    time_limit : float, optional
        Seconds.
    iterations : int
        Frank-Wolfe steps for each form (two forms; with a free bias about one for each sample and sign).
    smoothing : float
        Smoothing ``s_0`` of the concave terms, relative to the length of their rows; it decreases as
        ``s_0 / (1 + j / 10)``.
    refine : bool
        Go on in factored form after the Frank-Wolfe steps.
    tol : float
        Relative distance between the bound and the value of the relaxation at which a form is finished.
    states : mapping of sign to (u, U), optional
        Moments to start from, e.g. those of an earlier result or of the joint program.
    stop_at_violation : bool
        Stop as soon as a direction of value above the target is met.
    proof : bool
        Attach the multipliers (``{"kind": "moment", "forms": [...]}``, one entry for each of :func:`pricing_forms`).

    Raises
    ------
    ProblemError
        For several outputs; if ``nu`` has another shape, is not finite, or has a non-zero sum with free biases.

    References
    ----------
    Lasserre (2001) for moments; Frank and Wolfe (1956), Jaggi (2013); Moré and Sorensen (1983) for the subproblem.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[3.0], [4.0]], [1.0, 1.0], reg=1.0, bias="none")
    >>> result = price_moment(problem, np.array([3.0, 4.0]))
    >>> round(result.value, 6), round(result.bound, 6)
    (25.0, 25.0)
    """
    require_path_norm(problem, "price_moment")
    started = time.perf_counter()
    search = _Search(problem, pricing_forms(problem, nu), target, stop_at_violation)
    search.deadline = started + (np.inf if time_limit is None else time_limit)
    search.refine, search.tol = refine, tol
    status = search.run(iterations, smoothing, dict(states or {}))
    atom, value, sign = attained_value(problem, nu, search.atoms())
    bound = max(0.0, search.bound())
    work = {"iterations": float(search.steps), "forms": float(len(search.forms)),
            "seconds": time.perf_counter() - started}  # fmt: skip
    payload = {"kind": "moment", "forms": search.payload()} if proof else None
    return MomentResult(
        min(value, bound), bound, "all", "moment relaxation", atom, sign,
        status=status, work=work, proof=payload, states=search.states, strongest=search.strongest(),
    )  # fmt: skip


class _Search:
    """One Frank-Wolfe run for each form; forms that cannot decide the maximum are left early."""

    def __init__(
        self, problem: TrainingProblem, forms: tuple[PricingForm, ...], target: float | None, stop: bool
    ) -> None:
        self.problem, self.forms, self.stop = problem, forms, stop
        self.target = -np.inf if target is None else float(target)
        self.deadline, self.refine, self.tol = np.inf, False, 0.0
        self.steps = 0
        self.bounds = np.full(len(forms), np.inf)
        self.multipliers: list[dict[str, Any]] = [{} for _ in forms]
        self.best: dict[int, tuple[float, PricingForm, np.ndarray]] = {}
        self.states: dict[int, MomentState] = {}
        self.visited: dict[int, MomentState] = {}
        self.value = 0.0

    def run(self, iterations: int, smoothing: float, states: dict[int, MomentState]) -> str:
        """Visit all forms; return the status."""
        order = range(len(self.forms))
        # One cheap pass finds the forms that matter; their bounds are the fallback of the others.
        refine, self.refine = self.refine, self.refine and len(self.forms) <= 2
        for index in order if len(self.forms) > 2 else []:
            self._visit(index, min(4, iterations), smoothing, states)
        self.refine = refine
        for index in np.argsort(-self.bounds, kind="stable").tolist():
            if self.stop and self.value > self.target > -np.inf:
                break
            if self.bounds[index] > self._goal():
                self._visit(index, iterations, smoothing, states)
        if self.stop and self.value > self.target > -np.inf:
            return "violated"
        if self.bound() <= self.target:
            return "target"
        return "time_limit" if time.perf_counter() > self.deadline else "done"

    def bound(self) -> float:
        return float(np.max(self.bounds, initial=0.0))

    def _order(self) -> list[int]:
        return sorted(self.visited, key=lambda index: -self.bounds[index])

    def strongest(self) -> tuple[tuple[int, int, MomentState], ...]:
        """Sign, centre and moments of the forms with the largest bounds."""
        best = self._order()[:_STRONGEST]
        return tuple((self.forms[i].sign, self.forms[i].centre, self.visited[i]) for i in best)

    def atoms(self) -> np.ndarray:
        """The best direction met for each sign, climbed to a local maximum, as columns of neurons."""
        late = time.perf_counter() > self.deadline
        found = [form.atom(self.problem, u if late else climb(form, u)) for _, form, u in self.best.values()]
        return np.column_stack(found) if found else np.zeros((self.problem.extended.shape[1], 0))

    def payload(self) -> list[dict[str, Any]]:
        pairs = zip(self.multipliers, self.bounds.tolist(), strict=True)
        return [{**entry, "bound": max(bound, 0.0)} for entry, bound in pairs]

    def _goal(self) -> float:
        """A form is finished once its bound is at most this: it then no longer decides the maximum."""
        return max(self.target, self.value if len(self.forms) > 1 else 0.0, 0.0)

    def _visit(self, index: int, iterations: int, smoothing: float, states: dict[int, MomentState]) -> None:
        form = self.forms[index]
        late = time.perf_counter() > self.deadline and len(self.forms) > 2
        if late or np.any(row_norms(form.rows) < _SHORTEST):
            self._give_up(index)
            return
        runner = FrankWolfe(form, states.get(form.sign))
        goal, watch = self._goal() * (1 - _ROOM) - form.slack, self._watch(form)
        runner.run(iterations, smoothing, self.tol, goal, self.deadline, watch)
        if self.refine and not runner.settled(self.tol, goal, watch):
            runner.refine(self.tol, goal, self.deadline, watch)
        self.steps += runner.count
        multipliers = runner.multipliers()
        bound = certified_moment(form, multipliers) + form.slack
        if bound < self.bounds[index]:
            self.bounds[index], self.multipliers[index] = bound, multipliers
            self.visited[index] = (runner.u, runner.U)
        if len(self.visited) > 4 * _STRONGEST:
            self.visited = {i: self.visited[i] for i in self._order()[:_STRONGEST]}
        score, direction = runner.best_direction
        if score > self.best.get(form.sign, (-np.inf,))[0]:
            self.best[form.sign] = (score, form, direction)
            states[form.sign] = self.states[form.sign] = (runner.u, runner.U)
        self.states.setdefault(form.sign, (runner.u, runner.U))
        self.value = max(self.value, score)

    def _give_up(self, index: int) -> None:
        """Too late, or rows too short: ``||c|| + sum_{w > 0} w ||a||``, with the multipliers that prove it."""
        if np.isfinite(self.bounds[index]):
            return
        form, convex = self.forms[index], self.forms[index].weights > 0
        sizes = row_norms(form.rows)
        mass, length = float(form.weights[convex] @ sizes[convex]), float(row_norms(form.linear[None])[0])
        none = np.zeros(int(np.sum(~convex)))
        self.multipliers[index] = {"tau": sizes[convex], "a": none, "theta": none, "mu": 0.5 * (mass + length)}
        self.bounds[index] = (mass + length) * (1 + (form.rows.size + 20) * _EPS) + form.slack + _TINY

    def _watch(self, form: PricingForm) -> float:
        """Value of a direction at which the search may stop."""
        return self.target + form.slack if self.stop else np.inf


def certified_moment(form: PricingForm, multipliers: Mapping[str, Any]) -> float:
    r"""Upper bound of ``max F`` over the unit sphere from multipliers, all rounding errors of its evaluation included.

    F is positively homogeneous: over the ball its maximum is this one or 0. ``form.slack`` is not part of the bound.
    Multipliers are moved into their domain first, so any arrays of the right shapes
    give a valid bound.

    Parameters
    ----------
    form : PricingForm
    multipliers : mapping
        ``tau`` (rows of positive weight), ``a`` and ``theta`` (rows of negative weight), both in the order of the
        form's rows, and the number ``mu``, which may be negative.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0]], [2.0], reg=1.0, bias="none")
    >>> plus, minus = pricing_forms(problem, np.array([2.0]))
    >>> round(certified_moment(plus, {"tau": [1.0], "a": [], "theta": [], "mu": 1.0}), 9)
    2.0
    """
    convex = form.weights > 0
    rows, strength = form.rows, np.abs(form.weights)
    n, d = rows.shape
    sizes = row_norms(rows) * (1 + (d + 4) * _EPS) if n else np.zeros(0)
    tau = np.maximum(np.asarray(multipliers["tau"], dtype=np.float64), _TINY)
    theta = np.clip(np.asarray(multipliers["theta"], dtype=np.float64), 0.0, 1.0)
    alpha = np.asarray(multipliers["a"], dtype=np.float64)
    room = (1 - theta) * (1 - 4 * _EPS)
    alpha = np.clip(alpha, -room, room)
    slopes, tilt = np.zeros(n), np.zeros(n)
    slopes[convex] = strength[convex] / (2 * tau)
    slopes[~convex] = -strength[~convex] * theta / sizes[~convex]
    tilt[~convex] = strength[~convex] * alpha
    A = rows.T @ (slopes[:, None] * rows)
    b = form.linear - tilt @ rows
    constant = 0.5 * float(strength[convex] @ tau)
    value = constant + certified_value(A, b, float(multipliers["mu"]), sphere=True)
    masses = float(np.abs(slopes) @ sizes**2 + np.abs(tilt) @ sizes) + constant
    errors = (n + d + 12) * _EPS * (masses + float(np.linalg.norm(form.linear)) + abs(value)) + _TINY
    return value + errors


def relaxed_response(
    problem: TrainingProblem, sign: int, nu: np.ndarray, state: MomentState, centre: int = -1
) -> np.ndarray:
    r"""Response z (n,) of the relaxed neuron with moments ``state`` that earns most from ``r = sign * nu``.

    .. math:: z_i = \tfrac{1+\kappa}{2} t_i + \tfrac{1-\kappa}{2}
              \begin{cases} \sqrt{q_i} & r_i > 0 \\ \max(|t_i|, q_i / \|x_i\|) & r_i \le 0 \end{cases}

    With a free bias the rows are ``x_i - x_centre``. The relaxed training problem has these z, times an amplitude that
    costs reg, in the place of neurons.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[1.0, 0.0]], [2.0], reg=1.0, bias="none")
    >>> relaxed_response(problem, 1, np.array([1.0]), (np.zeros(2), np.eye(2) / 2)).round(4)
    array([0.3536])
    """
    rows, kappa = problem.extended if centre < 0 else problem.X - problem.X[centre], problem.kappa
    t = rows @ state[0]
    q = np.maximum(np.einsum("ij,ij->i", rows @ state[1], rows), 0.0)
    sizes = np.maximum(row_norms(rows), _TINY)
    bent = np.where(sign * nu > 0, np.sqrt(q), np.maximum(np.abs(t), q / sizes))
    return 0.5 * (1 + kappa) * t + 0.5 * (1 - kappa) * bent
