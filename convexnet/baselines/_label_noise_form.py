r"""The training objective with the label-noise penalty in its own parameters, for many networks at once.

.. math:: L\Big(\sum_j c_j \sigma(E w_j),\, y\Big)
          + \frac{\mathrm{reg}}{2} \sum_j \big( \|\sigma(E w_j)\|^2 + c_j^2 \kappa(w_j)^2 \big)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ProblemError
from ..networks.shallow import ShallowNetwork

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["LabelNoiseForm", "require_label_noise"]


def require_label_noise(problem: TrainingProblem, what: str) -> None:
    """Raise ProblemError unless the problem has the label-noise penalty and a loss with gradients."""
    if problem.norm != "label_noise":
        raise ProblemError(f"{what} needs norm='label_noise', got {problem.norm!r}.")
    if problem.loss.name == "interpolation":
        raise ProblemError(
            f"{what} cannot follow the constraint f(X) = y; state the problem with loss='squared' and a small reg."
        )


class LabelNoiseForm:
    """Objective and gradient of networks stored as W (S, m, q) and c (S, m).

    Parameters
    ----------
    problem : TrainingProblem
    width : int
        Number m of neurons.
    """

    def __init__(self, problem: TrainingProblem, width: int) -> None:
        self.problem, self.width = problem, width
        self.E = problem.extended
        self.squares = np.sum(self.E**2, axis=1)

    def starts(self, n_starts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Random networks with kinks among the data and outputs of the size of the targets.

        Start ``s`` depends on the seed and on ``s`` alone.
        """
        S, m, q = n_starts, self.width, self.E.shape[1]
        W, c = np.empty((S, m, q)), np.empty((S, m))
        size = float(np.sqrt(np.mean(np.square(self.problem.y)))) or 1.0
        spread = np.sqrt(np.mean(self.problem.X**2, axis=0))
        spread = np.where(spread > 0, spread, 1.0)
        for s, child in enumerate(np.random.SeedSequence(seed).spawn(S)):
            rng = np.random.default_rng(child)
            W[s, :, : len(spread)] = rng.standard_normal((m, len(spread))) / spread
            if self.problem.bias != "none":
                near = self.problem.X[rng.integers(self.problem.n, size=m)]
                near = near + 0.3 * spread * rng.standard_normal(near.shape)
                W[s, :, -1] = -np.sum(W[s, :, :-1] * near, axis=1)
            c[s] = rng.choice([-1.0, 1.0], size=m)
        scale = np.sqrt(size / np.sqrt(m))
        return W * scale, c * scale

    def hidden(self, W: np.ndarray, rounding: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Activations, slopes and derivatives of the slopes, each (S, m, n); a parabola replaces the kink."""
        T, kappa = W @ self.E.T, self.problem.kappa
        if rounding == 0:
            slopes = np.where(T > 0, 1.0, kappa)
            return slopes * T, slopes, np.zeros_like(T)
        ramp = np.clip((T + rounding) / (2 * rounding), 0.0, 1.0)
        bend = ((ramp > 0) & (ramp < 1)) * ((1 - kappa) / (2 * rounding))
        values = rounding * ramp**2 + np.maximum(T - rounding, 0.0)
        return kappa * T + (1 - kappa) * values, kappa + (1 - kappa) * ramp, bend

    def value_and_gradient(
        self, W: np.ndarray, c: np.ndarray, rounding: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Objective (S,) and its gradients in W and c; with ``rounding`` that of the rounded activation.

        Without it the jumps of kappa at the borders of cells have no part in the gradient.
        """
        H, slopes, bend = self.hidden(W, rounding)
        f = np.einsum("sm,smn->sn", c, H)
        losses = np.array([self.problem.loss_value(row) for row in f])
        residual = np.stack([self.problem.gradient(row) for row in f])[:, None, :]
        reg, weights = self.problem.reg, np.einsum("smn,n->sm", slopes**2, self.squares)
        values = losses + 0.5 * reg * (np.sum(H**2, axis=(1, 2)) + np.sum(c**2 * weights, axis=1))
        inner = slopes * (c[:, :, None] * residual + reg * H)
        inner += reg * (c**2)[:, :, None] * slopes * bend * self.squares
        outer = np.sum(H * residual, axis=2) + reg * c * weights
        return values, inner @ self.E, outer

    def penalties(self, W: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``1/2 sum_i ||grad f(x_i)||^2`` of every network, as it is and after balancing its neurons, each (S,)."""
        H, slopes, _ = self.hidden(W)
        weights = np.einsum("smn,n->sm", slopes**2, self.squares)
        lengths = np.sum(H**2, axis=2)
        plain = 0.5 * (np.sum(lengths, axis=1) + np.sum(c**2 * weights, axis=1))
        return plain, np.sum(np.abs(c) * np.sqrt(lengths * weights), axis=1)

    def predict(self, W: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Predictions (S, n)."""
        return np.einsum("sm,smn->sn", c, self.hidden(W)[0])

    def network(self, W: np.ndarray, c: np.ndarray) -> ShallowNetwork:
        """The network of W (m, q) and c (m,), without its neurons that are zero on all data."""
        live = np.any(self.hidden(W[None])[0][0] != 0, axis=1) & (c != 0)
        W, c, problem = W[live], c[live], self.problem
        biases = np.zeros(len(c)) if problem.bias == "none" else W[:, -1]
        return ShallowNetwork(
            W[:, : problem.d], biases, c, activation=problem.activation, negative_slope=problem.negative_slope
        )
