r"""Exact end of the slab search: where few convex rows are undecided, cut along them and maximise what is concave.

On a node, each undecided row with ``w > 0`` lies below its chord and the others are concave, so that

.. math:: F(u) \le \Big\| b - \sum_i \alpha_i x_i - \sum_k \beta_k a_k \Big\| + c + \sum_k \beta_k h_k , \qquad
          |\alpha_i| \le |w_i| , \; \beta \ge 0 ,

for the sides ``a_k . u <= h_k`` of its slabs. Cutting along a row with ``w > 0`` decides it; once none is left the
bound is the maximum itself, however close neurons are tied. The relaxation by moments converges too slowly there.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._slab_node import Form, Node

if TYPE_CHECKING:
    from .slabs import SlabSearch

__all__ = ["KERNELS", "Finish", "Finisher", "concave_bound", "finish"]

KERNELS = ("concave_bound",)
_EPS = 2.3e-16
_STEPS = 40
_FEW = 12
_ALLOWED = 2000
"""Parts that failed attempts may have cost beyond what the successful ones did."""


@dataclass(frozen=True, eq=False)
class Finish:
    """Outcome: whether the node is below the goal everywhere, parts bounded, best direction met."""

    closed: bool
    parts: int
    atom: np.ndarray | None


@dataclass(frozen=True, eq=False)
class _Part:
    """A part of the node: what is linear there, convex rows still undecided, sides, a direction to start from."""

    base: np.ndarray
    convex: np.ndarray
    sides: np.ndarray
    ends: np.ndarray
    start: np.ndarray


class Finisher:
    """Attempts it on nodes with few undecided convex rows; how few is learnt from how the attempts go."""

    def __init__(self) -> None:
        self.most = 160.0
        self.attempts = self.closed = self.parts = self.wasted = 0

    def close(self, search: SlabSearch, goal: float, seconds: float) -> bool:
        """Take nodes off the top of the search's heap as long as they can be closed; whether any was."""
        deadline, closed = time.perf_counter() + seconds, False
        while search._heap and time.perf_counter() < deadline:
            node = search._heap[0][2]
            if search._key(node) <= goal:
                break
            form = search.forms[node.form]
            found = self.attempt(form, node, search.level(form, goal))
            if found is not None and found.atom is not None:
                search.offer(node.form, found.atom)
            if found is None or not found.closed:
                break
            heapq.heappop(search._heap)
            search.bytes -= node.size
            search._closed[node.form] = max(search._closed[node.form], goal)
            closed = True
        return closed

    def attempt(self, form: Form, node: Node, goal: float) -> Finish | None:
        """The outcome for a node (once), or None if it has too many undecided convex rows or no slab yet."""
        count = int(np.sum(form.weights[node.index] > 0))
        few = self.most if _compiled() else min(self.most, _FEW)  # in plain numpy it pays only for few parts
        if node.tried or count > few or not len(node.low) or self.wasted > _ALLOWED + self.parts - self.wasted:
            return None
        node.tried = True
        found = finish(form, node, goal, 3 * count + 100)
        self.attempts, self.parts, self.closed = self.attempts + 1, self.parts + found.parts, self.closed + found.closed
        if found.closed:
            self.most = max(self.most, 1.1 * count + 1)
        else:
            self.wasted += found.parts
        return found


def _compiled() -> bool:
    """Whether the bound of a part has been compiled (not: is about to be, by another thread)."""
    return bool(getattr(concave_bound, "signatures", ()))


def finish(form: Form, node: Node, goal: float, most: int) -> Finish:
    """Show that F is at most ``goal`` (scaled, slack excluded) on a node by bounding at most ``most`` parts of it."""
    bound = concave_bound if _compiled() else getattr(concave_bound, "py_func", concave_bound)
    rows, weights = form.rows[node.index], form.weights[node.index]
    concave = weights < 0
    curved, strength = np.ascontiguousarray(rows[concave]), -weights[concave]
    mean = node.mean / max(float(np.linalg.norm(node.mean)), 1e-300)
    sides = np.vstack([node.normals, -node.normals])
    parts = [_Part(node.base, np.flatnonzero(~concave), sides, np.concatenate([node.high, -node.low]), mean)]
    atom, count = None, 0
    while parts and count < most:
        part = parts.pop()
        count += 1
        lower, upper = node.lower[part.convex], node.upper[part.convex]
        slope, offset = (upper + lower) / (upper - lower), -2 * upper * lower / (upper - lower)
        charged = weights[part.convex]
        linear, constant = part.base + (charged * slope) @ rows[part.convex], float(charged @ offset)
        try:
            value, beta, u = bound(linear, constant, curved, strength, part.sides, part.ends, part.start, goal, _STEPS)
        except np.linalg.LinAlgError:  # not positive definite to working accuracy
            return Finish(False, count, atom)
        if value + _rounding(form, node, beta, part.ends) <= goal:
            continue
        atom = u / max(float(np.linalg.norm(u)), 1e-300)
        if not part.convex.size:
            return Finish(False, count, atom)
        t = rows[part.convex] @ u
        worst = int(np.argmax(charged * (slope * t + offset - np.abs(t))))
        row = int(part.convex[worst])
        rest = np.delete(part.convex, worst)
        ends = np.append(part.ends, 0.0)
        for side in (1.0, -1.0):  # side * row . u >= 0
            base = part.base + side * weights[row] * rows[row]
            parts.append(_Part(base, rest, np.vstack([part.sides, -side * rows[row]]), ends, u))
    return Finish(not parts, count, atom)


def _rounding(form: Form, node: Node, beta: np.ndarray, ends: np.ndarray) -> float:
    """What rounding may have taken from a computed bound: every sum has at most so many terms, of these sizes."""
    terms = len(node.index) + len(beta) + form.d + 40
    return terms * _EPS * (form.mass + float(beta @ (1.0 + np.sqrt(form.d) + np.abs(ends))))


def concave_bound(linear, constant, rows, weights, sides, ends, start, goal, most):  # type: ignore[no-untyped-def]
    """Interior point method for the smallest bound; returns the bound, beta and the maximiser of the relaxation.

    Stops as soon as the bound is below the goal, or is known to a share of what it exceeds the goal by. With rho near
    the norm of the maximiser's gradient, ``max_u linear . u - rho/2 ||u||^2 - sum weights |rows . u|`` over the sides
    has the same multipliers; each step bounds with the current ones, so that no step can go wrong.
    """
    count = len(ends)
    u, rho = start.copy(), max(goal, 1e-3)
    t = rows @ u
    size = np.abs(t) + 0.05
    above, below = size - t, size + t  # of the epigraph of |t|
    z_above = weights * below / (above + below)
    z_below = weights - z_above
    room = np.maximum(ends - sides @ u, 0.02)
    beta = 0.002 * rho / room
    best, best_beta, best_u = np.inf, beta.copy(), u.copy()
    for step in range(most):
        gradient = linear - rows.T @ (z_above - z_below) - sides.T @ beta
        norm = np.sqrt(gradient @ gradient)
        value = norm + ends @ beta + constant
        if value < best:
            best, best_beta, best_u = value, beta.copy(), u.copy()
        if best <= goal:
            break
        gap = (above * z_above).sum() + (below * z_below).sum() + (room * beta).sum()
        excess = sides @ u + room - ends
        if step > 2 and 0.2 * goal < norm < 5 * goal:
            rho = norm
        slope = rho * u - gradient
        scale = best - goal
        if gap < 1e-3 * scale and np.abs(excess).max() < 1e-9 and np.sqrt(slope @ slope) < 1e-3 * scale:
            break
        mu = (0.5 if step == 0 else 0.1) * gap / (2 * len(weights) + count)
        w_above, w_below = z_above / above, z_below / below
        both = w_above + w_below
        c_above, c_below = mu / above - z_above, mu / below - z_below
        tilt = (w_above - w_below) / both
        ratio = beta / room
        push = mu / room - beta + ratio * excess
        matrix = rho * np.eye(len(u)) + rows.T @ (rows * (4 * w_above * w_below / both).reshape(-1, 1))
        matrix = matrix + sides.T @ (sides * ratio.reshape(-1, 1))
        right = rows.T @ (c_above - c_below - tilt * (c_above + c_below)) + sides.T @ push
        d_u = np.linalg.solve(matrix, -slope - right)
        d_t = rows @ d_u
        d_size = (c_above + c_below) / both + tilt * d_t
        d_above, d_below = d_size - d_t, d_size + d_t
        d_z = c_above - w_above * d_above
        d_side = sides @ d_u
        d_room, d_beta = -excess - d_side, push + ratio * d_side
        length = 1.0
        for i in range(len(weights)):
            if d_above[i] < 0:
                length = min(length, -0.97 * above[i] / d_above[i])
            if d_below[i] < 0:
                length = min(length, -0.97 * below[i] / d_below[i])
            if d_z[i] < 0:
                length = min(length, -0.97 * z_above[i] / d_z[i])
            if d_z[i] > 0:
                length = min(length, 0.97 * z_below[i] / d_z[i])
        for i in range(count):
            if d_room[i] < 0:
                length = min(length, -0.97 * room[i] / d_room[i])
            if d_beta[i] < 0:
                length = min(length, -0.97 * beta[i] / d_beta[i])
        u = u + length * d_u
        above, below = above + length * d_above, below + length * d_below
        z_above = z_above + length * d_z
        z_below = weights - z_above
        room, beta = room + length * d_room, beta + length * d_beta
    return best, best_beta, best_u
