"""What a solve returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..certificates.certificate import Certificate
from ..networks.gated import GatedNetwork
from ..networks.shallow import ShallowNetwork

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["Round", "Solution"]

STATUS = {
    "solved": "the requested relative gap was reached",
    "time_limit": "stopped at the time limit with the best bounds so far",
    "iteration_limit": "stopped at the round limit with the best bounds so far",
    "stalled": "no pattern is violated and the master program cannot be solved more accurately",
    "not_proven": "solved over the listed patterns as accurately as asked for, or as the solver could",
}


@dataclass(frozen=True)
class Round:
    """One round of cell generation; both bounds hold at every round.

    Attributes
    ----------
    objective : float
        Best objective of a network so far.
    lower_bound : float
        Best lower bound so far, over all networks if the patterns are complete, else over the listed ones.
    n_cells : int
        (cell, sign) pairs in the master program.
    n_violators : int
        Violated (cell, sign) pairs that were added.
    seconds : float
        Since the start.
    """

    objective: float
    lower_bound: float
    n_cells: int
    n_violators: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Solution:
    """A network, its objective, and what is proven about it.

    Attributes
    ----------
    network : ShallowNetwork or GatedNetwork
    objective : float
        ``problem.objective(network)`` (``gated_objective`` for a gated network).
    certificate : Certificate
    status : str
        ``solved``, ``time_limit``, ``iteration_limit``, ``stalled`` or ``not_proven``; see ``message``.
    patterns : PatternSet
        The activation patterns used and whether they are complete.
    history : tuple of Round
    method : str
    problem : TrainingProblem
    random_state : int
    wall_time : float
        Seconds, enumeration included.

    Examples
    --------
    >>> from convexnet import TrainingProblem, solve
    >>> solution = solve(TrainingProblem([[-1.0], [0.0], [2.0]], [1.0, 0.0, 1.0], reg=0.1))
    >>> solution.status, solution.size
    ('solved', 2)
    """

    network: ShallowNetwork | GatedNetwork
    objective: float
    certificate: Certificate
    status: str
    patterns: PatternSet
    history: tuple[Round, ...]
    method: str
    problem: TrainingProblem
    random_state: int
    wall_time: float

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return STATUS[self.status]

    def __repr__(self) -> str:
        return (
            f"Solution(objective={self.objective:.9g}, neurons={self.size}, verdict={self.certificate.verdict!r}, "
            f"gap={self.certificate.gap:.3g}, status={self.status!r})"
        )

    @property
    def size(self) -> int:
        """Number of neurons (of gates, for a gated network)."""
        return self.network.n_neurons if isinstance(self.network, ShallowNetwork) else self.network.n_gates

    def summary(self) -> str:
        """Several lines for people."""
        kind = "neurons" if isinstance(self.network, ShallowNetwork) else "gates"
        lines = [
            repr(self.problem),
            f"  method {self.method}: {self.status} ({self.message})",
            f"  {self.patterns.summary()}",
            f"  {kind} {self.size}, rounds {len(self.history)}, {self.wall_time:.1f} s",
            self.certificate.summary(),
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON."""
        return {
            "objective": self.objective, "status": self.status, "message": self.message, "method": self.method,
            "network": self.network.to_dict(), "certificate": self.certificate.to_dict(),
            "patterns": self.patterns.to_dict(), "history": [vars(record) for record in self.history],
            "random_state": self.random_state, "wall_time": self.wall_time,
        }  # fmt: skip
