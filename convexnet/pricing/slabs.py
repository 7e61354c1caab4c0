"""Pricing bound by branch and bound over slabs of the sphere, with a moment relaxation in every node."""

from __future__ import annotations

import heapq
import time
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_choice, check_count, check_positive, require
from ..errors import ProblemError
from ..problem import require_path_norm
from . import _slab_numpy
from ._slab_compile import chosen_engine
from ._slab_finish import Finisher
from ._slab_node import Form, Leaf, Node, Options, Path
from ._slab_proof import Log
from ._slab_values import attained, relaxed_response
from .forms import pricing_forms
from .result import PricingResult

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["SlabSearch", "price_slabs"]

BACKENDS = ("auto", "numpy", "numba")
_BATCH = 32
_ROOT_LIMIT, _FIRST_LIMIT, _AGAIN_LIMIT, _AGAIN_OFFSET = 300, 12, 200, 60.0
"""A node is solved more closely before it is split: nodes at the top of the heap are often just not converged."""
_MIDDLE = 0.7  # splits stay in this middle share of the range of the splitting direction
_INTERIOR, _NEAR = 16, 0.03


def price_slabs(
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
    r"""Bound ``M(nu) = max_{||u|| <= 1} |nu . sigma(X u)|`` over all directions by branch and bound over slabs.

    A node is the part of the unit sphere with ``l_k <= a_k . u <= h_k``, k = 1..K. With (u, U) in the place of the
    mean and second moment of a distribution on it, each pricing form ``c . u + sum_i w_i |x_i u|`` is at most

    .. math:: \max_{u, U}\; c^\top u + \sum_i w_i\, \phi_i(x_i^\top u,\, x_i^\top U x_i) \quad \text{s.t.} \quad
              U \succeq u u^\top,\; \mathrm{tr}\, U = 1,\; \mathbb{E}\, s_p(u) s_q(u) \ge 0 ,

    where ``s_p`` runs over the 2K affine functions that are non-negative on the node, and ``phi_i`` is the largest
    (``w_i > 0``) mean of ``|x_i u|``, or a lower bound of the smallest one, given its first two moments and its range.
    The dual is solved inexactly by Frank-Wolfe steps; every iterate is a valid bound. Nodes are split across the
    deviations of (u, U) that cost most. Meant for d >= 8; below, cones or cells are usually better.

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
    time_limit, node_limit, memory_limit : float (seconds), int (nodes bounded), int (bytes)
    stop_at_violation : bool
        Stop once a value above ``target`` is attained.
    proof : bool
        Keep the tree and the states of its nodes, and return what a checker needs as ``proof``.
    backend : {"auto", "numpy", "numba"}
        ``auto`` starts in numpy and goes over to compiled code when the extra ``fast`` is there.

    Returns
    -------
    PricingResult
        Its ``bound`` holds for every status.

    Raises
    ------
    ProblemError
        If ``nu`` has another shape, is not finite, or has a non-zero sum with free biases; for several outputs; for a
        limit that is not a positive number.
    MissingExtraError
        For ``backend="numba"`` without numba.

    References
    ----------
    Frank and Wolfe (1956); Sherali and Adams (1990) for the products of linear constraints; the combination is ours.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [1.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> result = price_slabs(problem, problem.y, target=2.25, backend="numpy")
    >>> result.status, 2.2 < result.value <= result.bound <= 2.25
    ('target', True)
    """
    require_path_norm(problem, "price_slabs")
    search = SlabSearch(problem, nu, tol=tol, proof=proof, backend=backend, memory_limit=memory_limit)
    return search.run(
        target=target, time_limit=time_limit, node_limit=node_limit, stop_at_violation=stop_at_violation
    )  # fmt: skip


class SlabSearch:
    """A branch and bound that can be continued: every :meth:`run` goes on where the last one ended.

    Parameters
    ----------
    problem, nu, tol, proof, backend, memory_limit
        See :func:`price_slabs`.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [1.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1)
    >>> search = SlabSearch(problem, problem.y, backend="numpy")
    >>> search.run(target=2.25, node_limit=1).status
    'node_limit'
    >>> search.run(target=2.25).status
    'target'
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
        options: Options | None = None,
    ) -> None:
        require_path_norm(problem, "SlabSearch")
        began = time.perf_counter()
        self.problem, self.nu = problem, np.array(nu, dtype=np.float64)
        self.tol = check_positive(tol, "tol", allow_zero=True)
        self.memory_limit = check_count(memory_limit, "memory_limit")
        self.backend = check_choice(backend, "backend", BACKENDS)
        self.options, self.path = options or Options(), Path()
        if self.backend == "numba":
            require("numba", "fast")
        self.forms = [Form(form) for form in pricing_forms(problem, self.nu)]
        self.log = Log() if proof else None
        self.best, self.best_form, self.best_direction = -np.inf, 0, np.eye(problem.extended.shape[1])[0]
        self.nodes = self.iterations = self.bytes = self._pushed = 0
        self._heap: list[tuple[float, int, Node]] = []
        self._stuck: list[Node] = []
        self._closed = [0.0] * len(self.forms)
        self._pace = (1, 0.0)
        self._history: list[tuple[float, float]] = []
        self._waiting = list(range(len(self.forms)))
        self._finisher = Finisher()
        self.seconds = time.perf_counter() - began

    def run(
        self,
        *,
        target: float | None = None,
        time_limit: float = 60.0,
        node_limit: int = 100_000_000,
        stop_at_violation: bool = False,
    ) -> PricingResult:
        """Search on; see :func:`price_slabs`. ``node_limit`` and ``time_limit`` count this call alone.

        Raises
        ------
        ProblemError
            For a limit that is not a positive number, or a target that is not a finite one.
        """
        self._began = time.perf_counter()
        deadline = self._began + check_positive(time_limit, "time_limit")
        last = self.nodes + check_count(node_limit, "node_limit")
        if target is not None and not np.isfinite(target):
            raise ProblemError(f"target must be a finite number, got {target!r}.")
        status = ""
        while not status:
            status = self._advance(target, deadline, last, stop_at_violation)
        self.seconds += time.perf_counter() - self._began
        return self._result(status)

    @property
    def bound(self) -> float:
        """The bound proven so far (rounding included)."""
        tops = [self._key(self._heap[0][2])] if self._heap else []
        tops += [self._key(node) for node in self._stuck] + [self._crude(index) for index in self._waiting]
        return max([0.0, self.best, *self._closed, *tops])

    def responses(self, k: int) -> np.ndarray:
        """Relaxed responses of the k nodes with the largest bounds: what the relaxation holds to be an atom there.

        In each column z of the (n, k') result ``nu . z`` is about the node's bound, and ``f = z * amplitude``
        (amplitude >= 0) what the relaxed neuron adds to the predictions. A nu that is small on these columns and on
        the true atoms gives a better bound on the same partition.
        """
        nodes = [entry[2] for entry in heapq.nsmallest(check_count(k, "k"), self._heap)]
        columns = [relaxed_response(self.problem, self.nu, self.forms[node.form].form, node) for node in nodes]
        return np.array(columns).reshape(-1, self.problem.n).T

    def _key(self, node: Node) -> float:
        form = self.forms[node.form]
        return float(np.ldexp(node.bound + form.slack, form.power)) * (1 + 4e-16)

    def _crude(self, index: int) -> float:
        """Bound of a form not looked at yet."""
        form = self.forms[index]
        return float(np.ldexp(2 * form.mass + form.slack, form.power))

    def _advance(self, target: float | None, deadline: float, last: int, stop_at_violation: bool) -> str:
        """One batch; a status once there is a reason to stop."""
        bound, cutoff = self.bound, max(self.best * (1 + self.tol), 0.0)
        if target is not None and stop_at_violation and self.best > target:
            return "violated"
        if target is not None and bound <= target:
            return "target"
        if not self._waiting and bound <= cutoff:
            return "done"
        goal = max(cutoff, -np.inf if target is None else target)
        if not self._waiting and (not self._heap or self._key(self._heap[0][2]) <= goal):
            return "precision"
        left = deadline - time.perf_counter()
        if left <= 0:
            return "time_limit"
        if self.nodes >= last:
            return "node_limit"
        if self.bytes + (self.log.bytes if self.log else 0) > self.memory_limit and not self._close(goal):
            return "memory_limit"
        self._note()
        self._work(goal, left, last)
        return ""

    def _note(self) -> None:
        """History at doubling times."""
        now = self.seconds + time.perf_counter() - self._began
        if not self._history or now >= 1.25 * self._history[-1][0]:
            self._history.append((now, self.bound))

    def _close(self, goal: float) -> bool:
        """Forget the nodes that are good enough; whether that helped."""
        before, keep = self.bytes, []
        for entry in self._heap:
            node = entry[2]
            if self._key(node) <= goal:
                self._closed[node.form] = max(self._closed[node.form], self._key(node))
                self.bytes -= node.size
            else:
                keep.append(entry)
        heapq.heapify(keep)
        self._heap = keep
        return self.bytes < 0.8 * before

    def _work(self, goal: float, left: float, last: int) -> None:
        """Bound waiting roots, look again at the best nodes, or split the best nodes of one form."""
        engine = chosen_engine(self.backend)
        room = self._room(_BATCH if engine is _slab_numpy else 4, left)
        if self._waiting:
            index = self._waiting[0]
            node = Node(index, self.forms[index])
            self._bound([node], goal, engine, replace(self.options, limit=_FIRST_LIMIT, offset=0.0))
            self._waiting.pop(0)
            self._push(node)
            return
        # The parts that this cuts a node into are not kept, so a proof goes without.
        if self.log is None and self._finisher.close(self, goal, min(0.5, 0.2 * left)):
            return
        nodes = self._take(goal, min(room, 1 + (last - self.nodes) // 2))
        try:
            if not nodes[0].refined:
                again = replace(self.options, limit=_AGAIN_LIMIT, offset=_AGAIN_OFFSET)
                root = replace(self.options, limit=_ROOT_LIMIT, offset=0.0, progress=0.0)
                # Accuracy is what a node lacks that is nearly good enough, where interior point steps are affordable.
                exact = self.forms[nodes[-1].form].d <= _INTERIOR and engine is not _slab_numpy
                near = exact and self._key(nodes[-1]) <= (1 + _NEAR) * goal
                closer: Options | Path = self.path if near else again
                self._bound(nodes, goal, engine, closer if len(nodes[0].low) else root)
                new = nodes
                for node in new:
                    node.refined = True
            else:
                new = self._split(nodes, goal, engine)
        except BaseException:
            for node in nodes:
                self._push(node)
            raise
        for node in new:
            self._push(node)

    def _room(self, most: int, left: float) -> int:
        """Nodes to split at once: up to twice as many as last time, and never long against the time left."""
        count, seconds = self._pace
        return max(1, min(most, 2 * count, int(0.2 * left * count / max(seconds, 1e-9))))

    def _take(self, goal: float, room: int) -> list[Node]:
        """The best nodes above the goal, all of the first one's kind."""
        nodes: list[Node] = []
        others: list[tuple[float, int, Node]] = []
        while self._heap and len(nodes) < room and len(others) < 2 * room:
            node = self._heap[0][2]
            if self._key(node) <= goal:
                break
            entry = heapq.heappop(self._heap)
            if nodes and (node.form, node.refined) != (nodes[0].form, nodes[0].refined):
                others.append(entry)
                continue
            self.bytes -= node.size
            nodes.append(node)
        for entry in others:
            heapq.heappush(self._heap, entry)
        return nodes

    def _push(self, node: Node) -> None:
        self._pushed += 1
        self.bytes += node.size
        heapq.heappush(self._heap, (-self._key(node), self._pushed, node))

    def _split(self, nodes: list[Node], goal: float, engine: ModuleType) -> list[Node]:
        """Bound both parts of every node; what cannot be split is put aside with its bound."""
        form = self.forms[nodes[0].form]
        children: list[Node] = []
        cuts = []
        for node in nodes:
            low, high = engine.normal_range(node)
            if high - low < 1e-6:
                self._stuck.append(node)
                continue
            rest = 0.5 * (1 - _MIDDLE) * (high - low)
            middle = float(np.clip(node.normal @ node.mean, low + rest, high - rest))
            cuts.append((node, (low, middle, high)))
            children += [node.child(low, middle), node.child(middle, high)]
        if children:
            engine.tighten_rows(form, children, self.options.sweeps)
            self._bound(children, goal, engine, self.options)
        for (node, cut), left, right in zip(cuts, children[::2], children[1::2], strict=True):
            if self.log is not None:
                self.log.split(node, cut, left, right)
        return children

    def level(self, form: Form, goal: float) -> float:
        """The goal in the units of a scaled form, slack and rounding taken off."""
        return (float(np.ldexp(goal, -form.power)) - form.slack) * (1 - 1e-9) - 1e-15

    def offer(self, index: int, direction: np.ndarray) -> None:
        """Remember a direction of a form if it attains more than the best so far."""
        form = self.forms[index]
        value = float(np.ldexp(form.value(direction), form.power)) - 2 * form.form.slack
        if value > self.best:
            self.best, self.best_form, self.best_direction = value, index, direction

    def _bound(self, nodes: list[Node], goal: float, engine: ModuleType, options: Options | Path) -> None:
        """Bound nodes of one form and look at the attained values."""
        began = time.perf_counter()
        form = self.forms[nodes[0].form]
        if form.mass == 0:
            for node in nodes:
                leaf = Leaf(node.mean, node.second, options.s0, 1e-300)
                node.keep(0.0, leaf, node.dense_cuts(), node.mean, node.second, node.second)
        else:
            scale = max(float(np.ldexp(goal, -form.power)), 1e-3)
            ready = options if isinstance(options, Path) else replace(options, scale=scale)
            solve = engine.refine_nodes if isinstance(options, Path) else engine.bound_nodes
            self.iterations += solve(form, nodes, ready, self.level(form, goal))
        for node in nodes:
            self.offer(node.form, node.atom)
            if self.log is not None:
                self.log.add(node)
            node.leaf = None
        self.nodes += len(nodes)
        self._pace = (max(1, len(nodes) // 2), time.perf_counter() - began)

    def _result(self, status: str) -> PricingResult:
        """What is known now."""
        bound = self.bound
        now, heap = self.seconds, [*(entry[2] for entry in self._heap), *self._stuck]
        work: dict[str, Any] = {
            "nodes": self.nodes, "iterations": self.iterations, "seconds": now, "bytes": self.bytes,
            "open": len(heap), "gap_history": [*self._history, (now, bound)],
        }  # fmt: skip
        value, atom, sign = 0.0, self.best_direction, 1
        if self.forms:  # with a free bias and nu = 0 there is none
            value, atom, sign = attained(self.problem, self.nu, self.forms[self.best_form].form, atom)
        payload = None
        if self.log is not None and not self._waiting:
            payload = self.log.payload(self.forms, heap, self._closed, self.options.sweeps)
        return PricingResult(value, max(bound, value), "all", "slabs", atom, sign, (), status, work, payload)
