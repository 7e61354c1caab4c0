"""What the solvers of the l1 program return."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._printing import rounded_down, rounded_up
from ..networks.shallow import ShallowNetwork
from .result import STATUS, Progress

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["DictionaryResult"]

_SCOPE = {
    "dictionary": "networks whose neurons are in the given dictionary",
    "listed": "networks whose neurons lie in the listed cells",
    "all": "all networks of any width",
}


@dataclass(frozen=True, eq=False)
class DictionaryResult:
    r"""A network of few atoms, its objective and a proven lower bound.

    Attributes
    ----------
    network : ShallowNetwork
        Balanced; one neuron for each atom.
    directions : ndarray of shape (q, m)
        The atoms in use, of norm one: at most ``n - rank F`` for n samples and free columns F.
    amplitudes : ndarray of shape (m,)
        Signed: the output on the data is ``sigma(X directions) @ amplitudes`` plus the free terms, and the sum of
        their absolute values is the path norm.
    support : ndarray of int, shape (m,)
        Columns of the given dictionary (of the rays) that the atoms are; -1 for atoms that were generated.
    coefficients : ndarray of shape (S,) or None
        The solution ``z`` in the units of a given dictionary, zero off the support.
    free : ndarray of shape (r,)
        Coefficients of ``problem.free_columns`` (skip, then intercept).
    objective : float
        ``problem.objective(network)``.
    lower_bound : float
        Rounded down, from ``nu`` by the pricing of this package; holds for ``scope``.
    gap : float
        ``(objective - lower_bound) / objective``.
    scope : {"all", "listed", "dictionary"}
        Networks that the bound is about: of every width and with any neurons, with neurons in the listed cells, or with
        neurons of the given dictionary only.
    nu : ndarray of shape (n,)
        Dual vector of the bound, in the domain of the loss and orthogonal to the free columns.
    status : {"solved", "time_limit", "iteration_limit", "callback", "interrupted", "stalled"}
    method : str
    iterations : int
        Programs solved.
    history : tuple of Progress
    wall_time : float
        Seconds.
    problem : TrainingProblem
    """

    network: ShallowNetwork
    directions: np.ndarray
    amplitudes: np.ndarray
    support: np.ndarray
    coefficients: np.ndarray | None
    free: np.ndarray
    objective: float
    lower_bound: float
    gap: float
    scope: str
    nu: np.ndarray
    status: str
    method: str
    iterations: int
    history: tuple[Progress, ...]
    wall_time: float
    problem: TrainingProblem

    @property
    def n_atoms(self) -> int:
        """The number of atoms in use."""
        return len(self.amplitudes)

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return STATUS[self.status]

    def __repr__(self) -> str:
        return (
            f"DictionaryResult(objective={self.objective:.9g}, gap={rounded_up(self.gap, 3)}, scope={self.scope!r}, "
            f"atoms={self.n_atoms}, status={self.status!r})"
        )

    def summary(self) -> str:
        """Several lines for people."""
        return "\n".join(
            [
                repr(self.problem),
                f"  {self.method}",
                f"  {self.status}: {self.message}",
                f"  objective    {rounded_up(self.objective)}",
                f"  lower bound  {rounded_down(self.lower_bound)}  (relative gap {rounded_up(self.gap, 3)})",
                f"  bound over   {_SCOPE[self.scope]}",
                f"  atoms {self.n_atoms} for {self.problem.n} samples, programs {self.iterations}, "
                f"{self.wall_time:.2f} s",
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON; None for an infinite number."""
        return {
            "objective": _finite(self.objective), "lower_bound": _finite(self.lower_bound), "gap": _finite(self.gap),
            "scope": self.scope,
            "status": self.status, "message": self.message, "method": self.method, "iterations": self.iterations,
            "n_atoms": self.n_atoms, "directions": self.directions.tolist(), "amplitudes": self.amplitudes.tolist(),
            "support": self.support.tolist(), "free": self.free.tolist(), "nu": self.nu.tolist(),
            "coefficients": None if self.coefficients is None else self.coefficients.tolist(),
            "network": self.network.to_dict(), "history": [_plain(record) for record in self.history],
            "wall_time": self.wall_time,
        }  # fmt: skip


def _plain(record: Progress) -> dict[str, Any]:
    """A record of the history with None for its infinite numbers."""
    return {name: _finite(value) if isinstance(value, float) else value for name, value in vars(record).items()}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
