r"""The weight-decay objective of a training problem and its gradient, for many networks at once.

Parameters live in standardised coordinates, so that one learning rate fits data of any scale:

.. math::

    f = s \Big( \sum_j \sigma(Z u'_j)\, v_j'^\top + Q z \Big), \qquad Z = [X\; 1]\, A, \qquad
    u_j = c_u A u'_j, \quad v_j = c_v v'_j, \quad c_u c_v = s .

The objective is the problem's own, in the original weights: ``loss(f) + reg/2 sum_j (||u_j||^2 + ||v_j||^2)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._columns import column_basis
from ..errors import ProblemError
from ..networks.activations import activate, activate_derivative
from ..problem import require_path_norm

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["StandardForm"]

# Hidden units of this many starts are computed at a time: the working arrays then stay in the processor's cache.
_CHUNK_ENTRIES = 65_536
RESIDUAL_LOSSES = ("squared", "huber", "absolute")


class StandardForm:
    """Objective and gradient of ``S`` networks of ``width`` neurons, stored as the rows of one (S, size) array.

    A row holds ``u'`` (width, q), ``v'`` (width, k) and ``z`` (r, k), flattened in this order.

    Parameters
    ----------
    problem : TrainingProblem
    width : int
        Number m of neurons.

    Raises
    ------
    ProblemError
        For the interpolation loss, which is a constraint and has no gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from convexnet import TrainingProblem
    >>> form = StandardForm(TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], reg=0.1), width=5)
    >>> form.values(np.zeros((2, form.size)))
    array([0.5, 0.5])
    """

    def __init__(self, problem: TrainingProblem, width: int) -> None:
        require_path_norm(problem, "StandardForm")
        if problem.loss.name == "interpolation":
            raise ProblemError(
                "The interpolation loss is a constraint, f(X) = y, that gradient methods cannot follow. Train "
                "problem.with_options(loss='squared', reg=...) with a small reg, or call convexnet.solve(problem)."
            )
        self.problem = problem
        self.width = width
        self.n_outputs = problem.n_outputs
        self.Z, self.A = _standardised_rows(problem)
        # Columns of mean square one that span the free ones, and the map back.
        self.Q, self.free_map = (np.sqrt(problem.n) * part for part in column_basis(problem.free_columns, 1e-10))
        self.scale = _output_scale(problem)
        typical = np.sqrt(np.mean(np.sum(self.A**2, axis=0)))
        self.input_scale = float(np.sqrt(self.scale / typical))
        self.output_scale = self.scale / self.input_scale
        null = self.problem.loss_value(np.zeros(problem.y.shape))
        self.objective_scale = null if 0 < null < np.inf else 1.0
        self._sizes = np.cumsum([width * self.q, width * self.n_outputs, self.Q.shape[1] * self.n_outputs])

    @property
    def q(self) -> int:
        """Number of input weights per neuron, the bias included."""
        return int(self.Z.shape[1])

    @property
    def size(self) -> int:
        """Number of parameters of one network."""
        return int(self._sizes[-1])

    def split(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Views of a (S, size) array: ``u'`` (S, m, q), ``v'`` (S, m, k) and ``z`` (S, r, k)."""
        S, (a, b, _) = theta.shape[0], self._sizes
        return (
            theta[:, :a].reshape(S, self.width, self.q),
            theta[:, a:b].reshape(S, self.width, self.n_outputs),
            theta[:, b:].reshape(S, -1, self.n_outputs),
        )

    def values(self, theta: np.ndarray) -> np.ndarray:
        """Weight-decay objective of every network, shape (S,)."""
        return self._losses(self.predict(theta)) + self.penalty(theta)

    def balanced_values(self, theta: np.ndarray) -> np.ndarray:
        """Objective of every network after balancing its neurons, shape (S,): what ``problem.objective`` returns."""
        inputs, outputs = self.norms(theta)
        return self._losses(self.predict(theta)) + self.problem.reg * np.sum(inputs * outputs, axis=1)

    def predict(self, theta: np.ndarray) -> np.ndarray:
        """Predictions f(X) of every network, shape (S, n, k)."""
        U, V, z = self.split(theta)
        hidden = (activate(U[part] @ self.Z.T, self.problem.kappa) for part in self._chunks(theta))
        f = [np.matmul(V[part].transpose(0, 2, 1), h) for part, h in zip(self._chunks(theta), hidden, strict=True)]
        return self.scale * (np.concatenate(f).transpose(0, 2, 1) + self.Q @ z)

    def penalty(self, theta: np.ndarray) -> np.ndarray:
        """``reg/2 sum_j (||u_j||^2 + ||v_j||^2)`` of every network, shape (S,)."""
        inputs, outputs = self.norms(theta)
        return 0.5 * self.problem.reg * (np.sum(inputs**2, axis=1) + np.sum(outputs**2, axis=1))

    def penalty_gradient(self, theta: np.ndarray) -> np.ndarray:
        """Gradient of :meth:`penalty` (a subgradient for ``norm="l1"``), shape (S, size)."""
        gradient = np.zeros_like(theta)
        gU, gV, _ = self.split(gradient)
        U = self._penalised(theta)
        if self.problem.norm == "l1":
            U = np.sign(U) * np.sum(np.abs(U), axis=2, keepdims=True)
        gU[:] = self.problem.reg * self.input_scale * (U @ self.A[: U.shape[2]])
        gV[:] = self.problem.reg * self.output_scale**2 * self.split(theta)[1]
        return gradient

    def loss_gradient(
        self,
        theta: np.ndarray,
        rows: np.ndarray | None = None,
        smoothing: float = 0.0,
        rounding: float = 0.0,
        want_values: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Loss of every network, shape (S,), and its gradient, shape (S, size).

        Parameters
        ----------
        theta : array (S, size)
        rows : integer array, optional
            A mini-batch: the sum over these samples is scaled up to all n.
        smoothing : float
            When positive, the loss is replaced by its Moreau envelope with this parameter.
        rounding : float
            When positive, the kink of the activation is rounded off on [-rounding, rounding] in units of ``Z u'``.
        want_values : bool
            False saves the evaluation of the losses; zeros are returned in their place.
        """
        Z = self.Z if rows is None else self.Z[rows]
        Q = self.Q if rows is None else self.Q[rows]
        losses, gradient = np.empty(theta.shape[0]), np.empty_like(theta)
        for part in self._chunks(theta):
            U, V, z = self.split(theta[part])
            gU, gV, gz = self.split(gradient[part])
            T = np.matmul(U, Z.T)
            T, slopes = _rounded(T, self.problem.kappa, rounding)
            f = self.scale * (np.matmul(V.transpose(0, 2, 1), T).transpose(0, 2, 1) + Q @ z)
            losses[part], residual = self._loss_slopes(f, rows, smoothing, want_values)
            residual *= self.scale
            if self.n_outputs == 1 and rounding == 0:
                # sigma(Z u) = D Z u: one product with D serves both the input and the output weights.
                G = np.matmul(slopes, residual * Z)
                gV[:] = np.sum(G * U, axis=2, keepdims=True)
                gU[:] = G * V
            else:
                gV[:] = np.matmul(T, residual)
                slopes *= np.matmul(V, residual.transpose(0, 2, 1))
                gU[:] = np.matmul(slopes, Z)
            gz[:] = np.matmul(Q.T, residual)
        return losses, gradient

    def value_and_gradient(
        self, theta: np.ndarray, smoothing: float = 0.0, rounding: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weight-decay objective (S,) and its gradient (S, size), kinks smoothed as in :meth:`loss_gradient`."""
        losses, gradient = self.loss_gradient(theta, smoothing=smoothing, rounding=rounding)
        return losses + self.penalty(theta), gradient + self.penalty_gradient(theta)

    def gradient(self, theta: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Gradient of the objective (S, size), estimated from the samples ``rows`` when given."""
        return self.loss_gradient(theta, rows, want_values=False)[1] + self.penalty_gradient(theta)

    def network(self, theta: np.ndarray) -> ShallowNetwork:
        """The balanced network of one parameter row, shape (size,)."""
        from ..networks.shallow import ShallowNetwork

        problem = self.problem
        U, V, z = (part[0] for part in self.split(theta[None, :]))
        U = self.input_scale * U @ self.A.T
        biased = problem.bias != "none"
        free = self.scale * self.free_map @ z
        free, V = (free[:, 0], V[:, 0]) if problem.scalar else (free, V)
        return ShallowNetwork(
            U[:, : problem.d],
            U[:, -1] if biased else np.zeros(self.width),
            self.output_scale * V,
            intercept=free[-1] if problem.intercept else 0.0,
            skip=free[: problem.d] if problem.skip else None,
            activation=problem.activation,
            negative_slope=problem.negative_slope,
        ).balanced(problem.bias, problem.norm)

    def _chunks(self, theta: np.ndarray) -> list[slice]:
        step = max(1, _CHUNK_ENTRIES // (self.width * self.problem.n))
        return [slice(i, i + step) for i in range(0, theta.shape[0], step)]

    def _penalised(self, theta: np.ndarray) -> np.ndarray:
        """Entries of ``u_j`` that the norm counts, shape (S, m, q) or, for a free bias, (S, m, d)."""
        rows = self.problem.d if self.problem.bias == "free" else self.q
        return self.input_scale * self.split(theta)[0] @ self.A[:rows].T

    def norms(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Norms of ``u_j`` and ``v_j``, each of shape (S, m)."""
        U = self._penalised(theta)
        inputs = np.sum(np.abs(U), axis=2) if self.problem.norm == "l1" else np.sqrt(np.sum(U**2, axis=2))
        return inputs, self.output_scale * np.sqrt(np.sum(self.split(theta)[1] ** 2, axis=2))

    def _losses(self, f: np.ndarray) -> np.ndarray:
        problem = self.problem
        return np.array([problem.loss_value(fs.reshape(problem.y.shape)) for fs in f])

    def _loss_slopes(
        self, f: np.ndarray, rows: np.ndarray | None, smoothing: float, want_values: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Losses (S,) and slopes (S, n, k): the starts are stacked as samples, since a loss is a sum over samples."""
        loss, (S, count, _) = self.problem.loss, f.shape
        y, weight = self.problem.y, self.problem.sample_weight
        if rows is not None:
            y, weight = y[rows], None if weight is None else weight[rows]
        targets = np.concatenate([y] * S)
        weights = None if weight is None else np.concatenate([weight] * S)
        points = f.reshape(targets.shape)
        near = loss.prox(points, targets, smoothing, weights) if smoothing > 0 else points
        slopes = (points - near) / smoothing if smoothing > 0 else loss.gradient(points, targets, weights)
        values = np.zeros(S)
        if want_values:
            values = np.array([loss.value(part, y, weight) for part in near.reshape(S, *y.shape)])
            if smoothing > 0:
                values += np.sum((f - near.reshape(f.shape)) ** 2, axis=(1, 2)) / (2 * smoothing)
        factor = self.problem.n / count
        return factor * values, factor * slopes.reshape(f.shape)


def _rounded(T: np.ndarray, kappa: float, rounding: float) -> tuple[np.ndarray, np.ndarray]:
    """Activation (in the place of ``T``) and its derivative; with ``rounding`` a parabola replaces the kink."""
    if rounding == 0:
        slopes = activate_derivative(T, kappa)
        T *= slopes
        return T, slopes
    ramp = np.clip((T + rounding) / (2 * rounding), 0.0, 1.0)
    positive = rounding * ramp**2 + np.maximum(T - rounding, 0.0)
    return kappa * T + (1 - kappa) * positive, kappa + (1 - kappa) * ramp


def _standardised_rows(problem: TrainingProblem) -> tuple[np.ndarray, np.ndarray]:
    """Rows ``Z = [X 1] A`` of unit size and the map ``A`` of weights, u = A u'."""
    X = problem.X
    # Centring costs nothing when the bias is free; a penalised bias would make the penalty ill-conditioned instead.
    centred = problem.bias == "free" and problem.norm == "l2"
    mean = X.mean(axis=0) if centred else np.zeros(problem.d)
    Z = X - mean
    size = np.sqrt(np.mean(Z**2, axis=0))
    top = np.max(np.abs(X), axis=0)
    constant = size <= 1e-12 * top
    Z[:, constant] = 0.0
    size[constant] = np.where(top[constant] > 0, top[constant], 1.0)
    Z /= size
    if problem.bias == "none":
        return Z, np.diag(1 / size)
    A = np.diag(np.append(1 / size, 1.0))
    A[-1, :-1] = -mean / size
    return np.column_stack([Z, np.ones(problem.n)]), A


def _output_scale(problem: TrainingProblem) -> float:
    """Size of the predictions to be learned: that of the targets for losses of the residual, else one."""
    if problem.loss.name not in RESIDUAL_LOSSES:
        return 1.0
    y = problem.y - problem.y.mean(axis=0) if problem.intercept else problem.y
    size = float(np.sqrt(np.mean(y**2)))
    return size if size > 1e-12 * float(np.max(np.abs(problem.y), initial=0.0)) else 1.0
