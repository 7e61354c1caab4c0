"""The result of a translation: the problem, the words, and the two-way conversion of values."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..networks import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["ROLES", "TranslatedObjective"]

ROLES = ("hidden weights", "hidden biases", "output weights", "output biases", "skip weights")


@dataclass(frozen=True, eq=False)
class TranslatedObjective:
    r"""A trainer's objective as a :class:`~convexnet.problem.TrainingProblem`.

    The trainer minimises, over the parameters of one architecture,

    .. math:: J = \tfrac1c \Big( L(f(X), y) + \tfrac12 \sum_r p_r \|\theta_r\|^2 \Big) ,

    with the loss L of the problem, a factor c and one penalty p_r for each kind r of parameters. For every network

    .. math:: c \, J \ge L(f(X), y) + \mathrm{reg} \sum_j \|u_j\| \, \|v_j\| ,

    because a product is at most half the sum of the squares and because penalties that the problem lacks are dropped.
    So every lower bound of the problem, divided by c, is a lower bound of J, for every width and every training run;
    after balancing the neurons the two differ by the dropped penalties only.

    Attributes
    ----------
    problem : TrainingProblem
    statement : tuple of str
        What the trainer minimises, and which problem that is, in sentences.
    caveats : tuple of str
        Where the two differ, and what has been assumed.
    factor : float
        c: the problem's objective is ``factor`` times the trainer's.
    penalties : dict of str to float
        p_r, in the units of the problem, for the kinds of parameters in :data:`ROLES`.
    """

    problem: TrainingProblem
    statement: tuple[str, ...]
    caveats: tuple[str, ...]
    factor: float
    penalties: dict[str, float]

    def trainer_objective(self, network: Any) -> float:
        """Return J of a network with its weights as they are, what the trainer reports for all rows at once.

        The network is one that :func:`convexnet.networks.as_shallow` reads.

        Raises
        ------
        NetworkError
            If the network is outside the class of the problem.
        """
        from ..networks import as_shallow

        network = as_shallow(network)
        self.problem.check_network(network)
        return (self.problem.loss_value(network.predict(self.problem.X)) + self._penalty(network)) / self.factor

    def in_trainer_units(self, value: float) -> float:
        """Return an objective or a bound of the problem, divided by ``factor``."""
        return value / self.factor

    def summary(self) -> str:
        """The statement and the caveats as a paragraph each."""
        lines = [" ".join(self.statement), *(f"Note: {caveat}" for caveat in self.caveats)]
        return "\n".join(textwrap.fill(line, 100) for line in lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON."""
        return {
            "statement": list(self.statement), "caveats": list(self.caveats), "factor": self.factor,
            "penalties": dict(self.penalties), "conventions": self.problem.conventions(),
            "data_hash": self.problem.data_hash,
        }  # fmt: skip

    def _penalty(self, network: ShallowNetwork) -> float:
        arrays = parameters(network)
        return sum(0.5 * p * float(np.sum(np.square(arrays[role]))) for role, p in self.penalties.items())

    def __repr__(self) -> str:
        return f"TranslatedObjective({self.problem!r}, factor={self.factor:.6g}, caveats={len(self.caveats)})"


def parameters(network: ShallowNetwork) -> dict[str, np.ndarray]:
    """The parameters of a network by their roles."""
    skip = np.zeros(0) if network.skip is None else network.skip
    arrays = (network.weights, network.biases, network.output_weights, np.asarray(network.intercept), skip)
    return dict(zip(ROLES, arrays, strict=True))
