r"""Branch and bound over simplicial cones: bounds on M(nu) that converge to it, with no list of cells.

Space is covered by ``d + 1`` cones, and cones are halved along an edge until the bound on each is good enough. On a
cone the convex terms of a pricing form are interpolated from its edges and the concave ones kept through their dual.
"""

from __future__ import annotations

import importlib.util
import time
from typing import TYPE_CHECKING

import numpy as np

from .._validation import check_choice, check_count, check_positive, require
from ..errors import ProblemError, SolverError
from ..networks.activations import activate
from ..problem import require_path_norm
from ._cone_compile import Compiler, LoopStep
from ._cone_forms import stack_forms
from ._cone_numpy import NumpyStep, Progress
from ._cone_proof import proof_payload
from ._cone_store import ConeStore
from .forms import pricing_forms
from .result import PricingResult
from .spectral import direction_norms

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["ConeSearch", "price_cones"]

BACKENDS = ("auto", "numpy", "numba")
_BATCH = 128
_COMPILE_AFTER = 0.3
"""Seconds of numpy after which compiled code is fetched: small searches are over before."""
_SLICE = 0.05
"""Seconds between two looks at the clock in compiled code."""


def price_cones(
    problem: TrainingProblem,
    nu: np.ndarray,
    *,
    target: float | None = None,
    tol: float = 1e-9,
    time_limit: float = 60.0,
    node_limit: int = 100_000_000,
    memory_limit: int = 2_000_000_000,
    stop_at_violation: bool = False,
    proof: bool = False,
    backend: str = "auto",
) -> PricingResult:
    r"""Bound ``M(nu) = max_{||u|| <= 1} |nu . sigma(X u)|`` over all directions by branch and bound over cones.

    Each pricing form ``c . u + sum_i w_i |x_i u|`` is bounded on a cone spanned by ``v_1 .. v_d`` by

    .. math:: \min_{g, \alpha} \|g\| \quad \text{s.t.} \quad g^\top v_k \ge c^\top v_k + \sum_{w_i > 0} w_i |x_i v_k|
              - \sum_{w_i < 0} \alpha_i x_i v_k, \qquad |\alpha_i| \le |w_i| .

    Parameters
    ----------
    problem : TrainingProblem
        Scalar output.
    nu : ndarray of shape (n,)
        Orthogonal to the problem's free columns.
    target : float, optional
        Stop once the bound is at most this.
    tol : float
        Stop once the bound exceeds the attained value by at most this share of it.
    time_limit, node_limit, memory_limit : float (seconds), int (cones bounded), int (bytes)
    stop_at_violation : bool
        Stop once a value above ``target`` is attained.
    proof : bool
        Keep the tree and the multipliers of its leaves, and return them as ``proof``.
    backend : {"auto", "numpy", "numba"}
        ``auto`` starts in numpy and goes over to compiled code when the extra ``fast`` is there.

    Returns
    -------
    PricingResult
        Its ``bound`` holds for every status. ``status`` is ``done`` when ``tol`` is reached and ``precision`` when
        a cone above the goal cannot be split exactly any more.

    Raises
    ------
    ProblemError
        For several outputs or a wrong option; if ``nu`` has another shape, is not finite, or has a non-zero sum with
        free biases.
    MissingExtraError
        With ``backend="numba"`` where numba is not installed.

    References
    ----------
    Horst and Tuy, Global Optimization (1996), conical branch and bound; the dual of the concave part is elementary.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [1.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> result = price_cones(problem, problem.y, backend="numpy")
    >>> round(result.value, 4), round(result.bound, 4), result.status
    (2.2361, 2.2361, 'done')
    """
    require_path_norm(problem, "price_cones")
    search = ConeSearch(problem, nu, tol=tol, proof=proof, backend=backend, memory_limit=memory_limit)
    return search.run(
        target=target, time_limit=time_limit, node_limit=node_limit, stop_at_violation=stop_at_violation
    )  # fmt: skip


class ConeSearch:
    """A branch and bound that can be continued: every :meth:`run` goes on where the last one ended.

    Parameters
    ----------
    problem, nu, tol, proof, backend, memory_limit
        See :func:`price_cones`.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [1.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> search = ConeSearch(problem, problem.y, backend="numpy")
    >>> search.run(node_limit=2).status
    'node_limit'
    >>> search.run().status
    'done'
    """

    def __init__(
        self,
        problem: TrainingProblem,
        nu: np.ndarray,
        *,
        tol: float = 1e-9,
        proof: bool = False,
        backend: str = "auto",
        memory_limit: int = 2_000_000_000,
    ) -> None:
        require_path_norm(problem, "ConeSearch")
        began = time.perf_counter()
        self.problem, self.nu = problem, np.array(nu, dtype=np.float64)
        self.tol = check_positive(tol, "tol", allow_zero=True)
        self.memory_limit = check_count(memory_limit, "memory_limit")
        self.backend = check_choice(backend, "backend", BACKENDS)
        self.pricing = pricing_forms(problem, self.nu)
        dimension = problem.extended.shape[1] - (problem.bias == "free")
        self.forms = stack_forms(self.pricing, dimension)
        if self.backend == "numba":
            require("numba", "fast")
        self.store = ConeStore(self.forms, bool(proof))
        self._numpy = NumpyStep(self.forms, self.store)
        self._loops: LoopStep | None = None
        self._slice = 16
        self.progress = Progress(-np.inf, np.eye(dimension)[0], 0, -np.inf, -np.inf, 0, 0)
        # Below this no splitting helps: rounding and merged rows are charged to every cone.
        worst = float(np.max(self.forms.mass, initial=0.0))
        self._floor = 2 * float(np.max(self.forms.slack, initial=0.0)) + 4 * self.forms.relative_error * worst
        self.seconds = time.perf_counter() - began
        self._lowest = np.inf
        self._history: list[tuple[float, float, float]] = []

    def run(
        self,
        *,
        target: float | None = None,
        time_limit: float = 60.0,
        node_limit: int = 100_000_000,
        stop_at_violation: bool = False,
    ) -> PricingResult:
        """Search on; see :func:`price_cones`.

        ``node_limit`` and ``time_limit`` count this call alone. Cones closed under an earlier, larger target stay
        closed: the bound does not fall below what they were closed with.

        Raises
        ------
        ProblemError
            For a limit that is not a positive number, or a target that is not a finite one.
        """
        began = self._began = time.perf_counter()
        deadline = began + check_positive(time_limit, "time_limit")
        last = self.progress.nodes + check_count(node_limit, "node_limit")
        goal = -np.inf if target is None else self._scaled_target(target)
        status = ""
        while not status:
            status = self._advance(goal, deadline, last, stop_at_violation)
        self.seconds += time.perf_counter() - began
        return self._result(status)

    def _scaled_target(self, target: float) -> float:
        if not np.isfinite(target):
            raise ProblemError(f"target must be a finite number, got {target!r}.")
        return float(np.nextafter(np.ldexp(float(target), -self.forms.power), -np.inf))

    def _advance(self, goal: float, deadline: float, last: int, stop_at_violation: bool) -> str:
        """One batch; a status once there is a reason to stop."""
        progress, store = self.progress, self.store
        cutoff = max(goal, max(progress.best, 0.0) * (1 + self.tol) + self._floor)
        reason = self._finished(goal, cutoff, stop_at_violation)
        if reason:
            return reason
        if time.perf_counter() >= deadline:
            return "time_limit"
        if progress.nodes >= last:
            return "node_limit"
        if store.log is not None and store.nbytes + store.log.nbytes // 2 + self.forms.nbytes > self.memory_limit:
            return "memory_limit"
        left = max(1, (last - progress.nodes) // 2)
        if self._compiled(deadline):
            return self._run_loops(left, goal, deadline, stop_at_violation)
        if self.backend == "numba":
            return "time_limit"
        count = self._numpy.batch_size(min(_BATCH, left))
        room = 2 * count + self.forms.d + 1
        if not store.room(room, count) and not store.grow(room, count, self.memory_limit - self.forms.nbytes):
            return "memory_limit"
        self._numpy.run(count, cutoff, progress)
        return ""

    def _compiled(self, deadline: float) -> bool:
        """Whether compiled code is to be used from now on; asked for early, waited for only on demand."""
        if self._loops is not None:
            return True
        now = time.perf_counter()
        if self.backend == "numpy" or (self.backend == "auto" and now - self._began < _COMPILE_AFTER - self.seconds):
            return False
        if self.backend == "auto" and importlib.util.find_spec("numba") is None:
            return False
        Compiler.begin()
        if not Compiler.ready(max(deadline - now, 0.0) if self.backend == "numba" else 0.0):
            if self.backend == "numba" and Compiler.error is not None:
                raise SolverError("The compiled search could not be built; use backend='numpy'.") from Compiler.error
            return False
        self._loops = LoopStep(self.forms, self.store)
        return True

    def _run_loops(self, left: int, goal: float, deadline: float, stop_at_violation: bool) -> str:
        """A slice of the compiled search, as long as fits between two looks at the clock."""
        store, d = self.store, self.forms.d
        assert self._loops is not None
        count = min(self._slice, left)
        room = 2 * count + d + 1
        if store.log is not None:
            store.log.reserve(room, room, (d + 4) * max(1, self.forms.widest) + 8 * room)
        if not store.room(room, count) and not store.grow(room, count, self.memory_limit - self.forms.nbytes):
            return "memory_limit"
        began = time.perf_counter()
        self._loops.run(count, goal, self.tol, self._floor, stop_at_violation, self.progress)
        spent = time.perf_counter() - began
        goal_time = min(_SLICE, max(0.2 * (deadline - time.perf_counter()), 0.002))
        self._slice = int(np.clip(count * goal_time / max(spent, 1e-6), 4, 4 * count))
        return ""

    def _finished(self, goal: float, cutoff: float, stop_at_violation: bool) -> str:
        """Why the search is over, if it is."""
        progress, top = self.progress, self.store.top()
        if stop_at_violation and progress.best > goal > -np.inf:
            return "violated"
        if top > cutoff:
            return ""
        bound = max(top, progress.closed, progress.best, 0.0)
        if bound <= goal:
            return "target"
        return "done" if progress.stuck <= cutoff else "precision"

    def _result(self, status: str) -> PricingResult:
        """Evaluate the best direction in the problem's own terms and take stock."""
        progress, power = self.progress, self.forms.power
        largest = float(np.max(self.forms.mass + self.forms.slack, initial=0.0))
        scaled = min(max(self.store.top(), progress.closed, 0.0), largest)
        bound = float(np.ldexp(scaled, power)) * (1 + 1e-15)
        atom, value, sign = self._atom()
        self._lowest = min(self._lowest, bound)
        proof = None if self.store.log is None else proof_payload(self.store.log, self.forms)
        work = {
            "nodes": progress.nodes, "iterations": progress.iterations, "seconds": self.seconds,
            "bytes": self.store.nbytes + self.forms.nbytes, "open": self.store.n_open,
        }  # fmt: skip
        bound = max(bound if proof is not None else self._lowest, value)
        return PricingResult(value, bound, "all", "cones", atom, sign, (), status, work, proof)

    def _atom(self) -> tuple[np.ndarray, float, int]:
        """The best direction as a neuron of unit norm, its value and sign."""
        problem = self.problem
        direction = self.progress.direction
        if self.pricing:
            direction = self.pricing[self.progress.best_form].atom(problem, direction)
        elif problem.bias == "free":
            direction = np.append(direction, 0.0)
        atom = direction / float(direction_norms(problem, direction[:, None])[0])
        score = float(self.nu @ activate(problem.extended @ atom, problem.kappa))
        return atom, abs(score), 1 if score >= 0 else -1
