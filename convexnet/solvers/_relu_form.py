r"""The objective over balanced neurons in standardised coordinates, with or without smoothed kinks, and its gradient.

.. math:: L\Big(\sum_j a_j\, \sigma(Z w_j; \theta_j) + Q c\Big) + \tfrac{\mathrm{reg}}{2} \sum_j (\|P w_j\|^2 + a_j^2),
          \qquad Z = [X\; 1]\, A, \quad u_j = |a_j| A w_j ,

``P`` the penalised rows of ``A``: the penalty is that of the unscaled weights, whatever the scaling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._columns import column_basis
from ..networks._arrays import row_norms

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["Kinks", "ReluForm"]


@dataclass(frozen=True, eq=False)
class Kinks:
    """Shifted proximal smoothing: slopes ``theta`` (m, n) in [kappa, 1] and a width for each row, (n,)."""

    theta: np.ndarray
    widths: np.ndarray


class ReluForm:
    """Rows, maps and penalty of one problem; ``problem`` may be exchanged for one with another loss."""

    def __init__(self, problem: TrainingProblem) -> None:
        self.problem = problem
        self.Z, self.A = _standardised(problem)
        self.ZT = np.ascontiguousarray(self.Z.T)
        inner = self.A[: problem.d] if problem.bias == "free" else self.A
        self.metric = inner.T @ inner
        self.sizes = row_norms(self.Z)
        self.sizes[self.sizes == 0] = 1.0
        self.Q, self.back = (np.sqrt(problem.n) * part for part in column_basis(problem.free_columns, 1e-10))

    @property
    def q(self) -> int:
        """Input weights per neuron."""
        return int(self.Z.shape[1])

    def pack(self, w: np.ndarray, a: np.ndarray, c: np.ndarray) -> np.ndarray:
        """One vector of all parameters."""
        return np.concatenate([w.ravel(), a, c])

    def unpack(self, x: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Views of weights (m, q), amplitudes (m,) and free coefficients."""
        cut = m * self.q
        return x[:cut].reshape(m, self.q), x[cut : cut + m], x[cut + m :]

    def balanced(self, u: np.ndarray, signs: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Standardised, balanced parameters of neurons ``u`` (m, q) with output signs and free coefficients."""
        w = np.linalg.solve(self.A, u.T).T if self.A.size else u
        norms = np.sqrt(np.maximum(np.sum(w * (w @ self.metric), axis=1), 1e-300))
        root = np.sqrt(norms)
        return w / root[:, None], signs * root, np.linalg.lstsq(self.back, free, rcond=None)[0]

    def neurons(self, w: np.ndarray, a: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Neurons ``u`` (m, q) with amplitudes absorbed, output signs (m,) and free coefficients in original units."""
        return np.abs(a)[:, None] * (w @ self.A.T), np.where(a < 0, -1.0, 1.0), self.back @ c

    def value_and_gradient(self, x: np.ndarray, m: int, kinks: Kinks | None = None) -> tuple[float, np.ndarray]:
        """Weight-decay objective and gradient of ``m`` neurons; smoothed if ``kinks`` are given."""
        w, a, c = self.unpack(x, m)
        hidden, slopes, excess = self._hidden(w @ self.ZT, kinks)
        f = a @ hidden + self.Q @ c
        half = 0.5 * kinks.widths if kinks is not None else None
        if half is not None and excess is not None:
            f -= half * (a @ excess)
        residual = self.problem.gradient(f)
        weighted = w @ self.metric
        value = self.problem.loss_value(f) + 0.5 * self.problem.reg * float(np.vdot(weighted, w) + a @ a)
        slopes *= residual
        G = slopes @ self.Z
        ga = np.einsum("ij,ij->i", G, w) + self.problem.reg * a
        if half is not None and excess is not None:
            ga -= excess @ (half * residual)
        gw = G * a[:, None] + self.problem.reg * weighted
        return value, self.pack(gw, ga, self.Q.T @ residual)

    def _hidden(
        self, z: np.ndarray, kinks: Kinks | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """``t z`` and ``t`` with the maximising slopes ``t``, and ``(t - theta)^2`` where smoothed; ``z`` is reused."""
        kappa = self.problem.kappa
        if kinks is None:
            slopes = np.where(z > 0, 1.0, kappa)
            z *= slopes
            return z, slopes, None
        slopes = z / kinks.widths
        slopes += kinks.theta
        np.clip(slopes, kappa, 1.0, out=slopes)
        z *= slopes
        excess = slopes - kinks.theta
        excess *= excess
        return z, slopes, excess

    def fit(self, x: np.ndarray, m: int, kinks: Kinks) -> tuple[np.ndarray, np.ndarray]:
        """The maximising slopes (m, n), which are the next ``theta``, and the smoothed predictions (n,)."""
        w, a, c = self.unpack(x, m)
        hidden, slopes, excess = self._hidden(w @ self.ZT, kinks)
        f = a @ hidden + self.Q @ c
        return slopes, f if excess is None else f - 0.5 * kinks.widths * (a @ excess)

    def widths(self, w: np.ndarray, width: float) -> np.ndarray:
        """A width for each row, relative to the row and to the typical neuron ``w``."""
        return width * self.sizes * max(float(np.median(row_norms(w))) if len(w) else 1.0, 1e-300)


def _standardised(problem: TrainingProblem) -> tuple[np.ndarray, np.ndarray]:
    """Rows ``Z = [X 1] A`` of comparable columns and the map ``A`` of weights, u = A w."""
    X = problem.X
    mean = X.mean(axis=0) if problem.bias == "free" else np.zeros(problem.d)
    Z = X - mean
    top = np.abs(X).max(axis=0)
    size = np.sqrt(np.mean(Z**2, axis=0))
    constant = size <= 1e-12 * top
    Z[:, constant] = 0.0
    size[constant] = top[constant]
    # a column too small to be worth its penalty needs no scale of its own: its curvature is that of the penalty
    size = np.maximum(size, 1e-4 * float(size.max(initial=0.0)))
    size[size == 0] = 1.0
    Z /= size
    if problem.bias == "none":
        return np.ascontiguousarray(Z), np.diag(1 / size)
    unit = 1.0 if problem.bias == "penalized" else float(np.sqrt(problem.d))
    A = np.diag(np.append(1 / size, unit))
    A[-1, :-1] = -mean / size
    return np.column_stack([Z, np.full(problem.n, unit)]), A
