"""What the gated solvers return, and what every solver reports while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._printing import rounded_down, rounded_up
from ..networks.gated import GatedNetwork

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["STATUS", "GatedResult", "Progress"]

STATUS = {
    "solved": "the requested relative gap was reached",
    "time_limit": "stopped at the time limit with the best bounds so far",
    "iteration_limit": "stopped at the iteration limit with the best bounds so far",
    "callback": "stopped by the callback with the best bounds so far",
    "interrupted": "interrupted; the best bounds so far",
    "stalled": "no further progress in floating point; the bounds hold",
}
"""What the statuses of the solvers mean."""


@dataclass(frozen=True)
class Progress:
    """One report of a running solver; a callback that returns True stops it.

    Attributes
    ----------
    seconds : float
        Since the start.
    iteration : int
    objective : float
        Best so far.
    lower_bound : float
        Best so far, proven; ``-inf`` before the first one, and always in a ReLU solver, which proves none.
    gap : float
        ``(objective - lower_bound) / objective``; the pricing gap in a ReLU solver.
    size : int
        Gates with non-zero weights, or neurons.
    heuristic : bool
        Whether ``gap`` is a heuristic pricing gap, which proves nothing.
    """

    seconds: float
    iteration: int
    objective: float
    lower_bound: float
    gap: float
    size: int
    heuristic: bool = False

    def line(self) -> str:
        """One line for a terminal."""
        known = "" if self.heuristic else f"lower bound {rounded_down(self.lower_bound)}  "
        gap = f"{'pricing gap (heuristic)' if self.heuristic else 'gap'} {rounded_up(self.gap, 3)}"
        return (
            f"{self.seconds:8.2f} s  iteration {self.iteration:4d}  objective {self.objective:.9g}  {known}{gap}  "
            f"size {self.size}"
        )


@dataclass(frozen=True, eq=False)
class GatedResult:
    r"""A gated network, its objective and a proven lower bound over the same gates.

    ``gap`` is the relative duality gap of the gated program over the given gates. It says nothing about other gates,
    nor about ReLU networks.

    Attributes
    ----------
    network : GatedNetwork or None
        None if the patterns were a raw 0/1 array: gates are known only for a PatternSet.
    blocks : ndarray of shape (q, P) or (q, P, k)
        ``W_p``, the weights of gate p (bias last with ``bias="penalized"``).
    free : ndarray of shape (r,) or (r, k)
        Coefficients of ``problem.free_columns`` (skip, then intercept).
    objective : float
        ``problem.gated_objective(network, group)``.
    lower_bound : float
        Rounded down; from ``nu``, by ``price_gated`` and ``dual_bound``.
    gap : float
        ``(objective - lower_bound) / objective``.
    nu : ndarray of shape (n,) or (n, k)
        Dual vector behind the lower bound: in the domain of the loss and orthogonal to the free columns.
    status : {"solved", "time_limit", "iteration_limit", "callback", "interrupted", "stalled"}
    method : str
    iterations : int
        Newton steps (``ssnal``) or gradient steps (``fista``).
    history : tuple of Progress
    wall_time : float
        Seconds.
    problem : TrainingProblem
    group : {"nuclear", "frobenius"}
    work : mapping
        Counts of what was done (e.g. ``outer``, ``cg``, ``factorizations``) and the last ``sigma``, which a warm
        start takes up.

    Examples
    --------
    >>> from convexnet import TrainingProblem, enumerate_patterns
    >>> from convexnet.solvers import solve_gated
    >>> problem = TrainingProblem([[-1.0], [1.0]], [1.0, 1.0], reg=0.1, bias="none")
    >>> solve_gated(problem, enumerate_patterns(problem.extended)).status
    'solved'
    """

    network: GatedNetwork | None
    blocks: np.ndarray
    free: np.ndarray
    objective: float
    lower_bound: float
    gap: float
    nu: np.ndarray
    status: str
    method: str
    iterations: int
    history: tuple[Progress, ...]
    wall_time: float
    problem: TrainingProblem
    group: str
    work: Mapping[str, float] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The status as a sentence."""
        if self.status == "stalled" and "residual" in self.work:
            residual = self.work["residual"]
            return f"no lower bound is known for softmax with a skip connection; optimality residual {residual:.1e}"
        return STATUS[self.status]

    @property
    def n_gates(self) -> int:
        """The number P of gates."""
        return int(self.blocks.shape[1])

    @property
    def size(self) -> int:
        """Gates with non-zero weights."""
        axes = (0,) if self.blocks.ndim == 2 else (0, 2)
        return int(np.sum(np.any(self.blocks != 0, axis=axes)))

    def __repr__(self) -> str:
        return (
            f"GatedResult(objective={self.objective:.9g}, gap={rounded_up(self.gap, 3)}, gates={self.size} of "
            f"{self.n_gates}, status={self.status!r}, method={self.method!r})"
        )

    def summary(self) -> str:
        """Several lines for people."""
        norm = "" if self.problem.scalar else f", {self.group} norms"
        return "\n".join(
            [
                repr(self.problem),
                f"  gated program over {self.n_gates} given gates{norm}, method {self.method}",
                f"  {self.status}: {self.message}",
                f"  objective    {rounded_up(self.objective)}",
                f"  lower bound  {rounded_down(self.lower_bound)}  (relative gap {rounded_up(self.gap, 3)})",
                f"  gates in use {self.size}, iterations {self.iterations}, {self.wall_time:.2f} s",
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON."""
        return {
            "objective": self.objective, "lower_bound": self.lower_bound, "gap": self.gap, "status": self.status,
            "message": self.message, "method": self.method, "group": self.group, "iterations": self.iterations,
            "blocks": self.blocks.tolist(), "free": self.free.tolist(), "nu": self.nu.tolist(),
            "network": None if self.network is None else self.network.to_dict(),
            "history": [vars(record) for record in self.history], "work": dict(self.work),
            "wall_time": self.wall_time,
        }  # fmt: skip
