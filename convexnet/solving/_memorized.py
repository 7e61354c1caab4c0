"""What memorizing returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._printing import rounded_down
from ..certificates.certificate import Certificate
from ..networks.shallow import ShallowNetwork
from ..solvers.result import Progress
from .solution import STATUS, _finite

if TYPE_CHECKING:
    from ..arrangements import PatternSet
    from ..problem import TrainingProblem

__all__ = ["Memorization"]


@dataclass(frozen=True, eq=False)
class Memorization:
    """An interpolating network, its norm, and what is proven about the smallest norm.

    Attributes
    ----------
    network : ShallowNetwork
        Fits every target (of positive weight) to rounding.
    path_norm : float
        ``sum_j ||u_j|| |v_j|``, the objective of the network.
    lower_bound : float
        Proven: no interpolating network of any width has a smaller norm.
    gap : float
        ``(path_norm - lower_bound) / path_norm``, rounding included.
    certificate : Certificate
    status : str
        ``solved`` if the requested gap was proven, else why the search ended; see ``message``.
    method : str
        ``line`` (one feature: all cells in one small program), ``cells`` (all activation cells were listed), ``atoms``
        (neurons were searched for; the bound holds all the same), or the method of :func:`convexnet.solve` for other
        activations and norms.
    largest_residual : float
        ``max |f(x_i) - y_i|``.
    sparsity_bound : int
        As many neurons always suffice for the smallest norm: ``n`` minus the rank of the free columns.
    patterns : PatternSet or None
        Those listed; None for free biases and features far from zero, which are centred first.
    history : tuple of Progress
    problem : TrainingProblem
    random_state : int
    wall_time : float

    Examples
    --------
    >>> from convexnet import memorize
    >>> result = memorize([[-1.0], [0.0], [1.0]], [1.0, 0.0, 1.0])
    >>> round(result.path_norm, 6), result.n_neurons, result.status
    (2.0, 2, 'solved')
    """

    network: ShallowNetwork
    path_norm: float
    lower_bound: float
    gap: float
    certificate: Certificate
    status: str
    method: str
    largest_residual: float
    sparsity_bound: int
    patterns: PatternSet | None
    history: tuple[Progress, ...]
    problem: TrainingProblem
    random_state: int
    wall_time: float

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return STATUS[self.status]

    @property
    def n_neurons(self) -> int:
        """Neurons of the network."""
        return self.network.n_neurons

    @property
    def neurons_per_sample(self) -> float:
        """Neurons divided by samples n."""
        return self.n_neurons / self.problem.n

    @property
    def neurons_per_n_over_d(self) -> float:
        """Neurons divided by n/d, the number of neurons that have as many input weights as there are samples."""
        return self.n_neurons * self.problem.d / self.problem.n

    def predict(self, X: Any) -> np.ndarray:
        """Predictions of the network, shape (m,)."""
        return self.network.predict(X)

    def __repr__(self) -> str:
        return (
            f"Memorization(path_norm={self.path_norm:.9g}, lower_bound={rounded_down(self.lower_bound)}, "
            f"gap={self.gap:.3g}, neurons={self.n_neurons}, n={self.problem.n}, method={self.method!r}, "
            f"status={self.status!r})"
        )

    def summary(self) -> str:
        """Several lines for people."""
        n, d = self.problem.n, self.problem.d
        count = self.certificate.n_patterns
        listed = f"{count} activation patterns of the centred features" if count else "no activation patterns listed"
        listed = listed if self.patterns is None else self.patterns.summary()
        lines = [
            repr(self.problem),
            f"  method {self.method}: {self.status} ({self.message}), {self.wall_time:.1f} s",
            f"  {listed}",
            f"  neurons {self.n_neurons}: {self.neurons_per_sample:.3g} n, {self.neurons_per_n_over_d:.3g} n/d "
            f"(n = {n}, d = {d}); {self.sparsity_bound} always suffice",
            f"  largest residual {self.largest_residual:.2e}",
            self.certificate.summary(),
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON; None where nothing finite is known."""
        return {
            "path_norm": _finite(self.path_norm), "lower_bound": _finite(self.lower_bound), "gap": _finite(self.gap),
            "n_neurons": self.n_neurons, "n": self.problem.n, "d": self.problem.d,
            "neurons_per_sample": self.neurons_per_sample, "sparsity_bound": self.sparsity_bound,
            "neurons_per_n_over_d": self.neurons_per_n_over_d,
            "largest_residual": self.largest_residual, "status": self.status, "message": self.message,
            "method": self.method, "network": self.network.to_dict(), "certificate": self.certificate.to_dict(),
            "patterns": None if self.patterns is None else self.patterns.to_dict(),
            "history": [{name: _finite(value) for name, value in vars(record).items()} for record in self.history],
            "random_state": self.random_state, "wall_time": self.wall_time,
        }  # fmt: skip
