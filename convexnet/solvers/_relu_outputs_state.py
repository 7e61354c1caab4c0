r"""Neurons with vector outputs: descent on balanced weights with smoothed kinks, merging, from and to networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..networks._arrays import row_norms
from ..networks.activations import activate
from ..networks.shallow import ShallowNetwork
from ._relu_descent import descend
from ._relu_form import ReluForm

if TYPE_CHECKING:
    from ..problem import TrainingProblem

__all__ = ["OutputForm", "Shared"]

_SAME_RESPONSE = 0.9
_MOST_PAIRS = 60
_VANISHING = 1e-200
_Function = Callable[[np.ndarray], tuple[float, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Shared:
    """Neurons ``u`` (m, q), output weights ``v`` (m, k), free coefficients (r, k), slopes ``theta`` (m, n)."""

    u: np.ndarray
    v: np.ndarray
    free: np.ndarray
    theta: np.ndarray

    def taken(self, keep: np.ndarray) -> Shared:
        """Some of the neurons."""
        return Shared(self.u[keep], self.v[keep], self.free, self.theta[keep])


class OutputForm:
    r"""One problem with outputs (n, k); scalar problems are read as k = 1."""

    def __init__(self, problem: TrainingProblem) -> None:
        self.problem, self.k = problem, problem.n_outputs
        self.rows, self.columns = problem.extended, problem.free_columns
        self.form = ReluForm(problem)
        self.inner = problem.d if problem.bias == "free" else self.rows.shape[1]

    # -------------------------------------------------------------------------------------------- values and networks
    def loss(self, f: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient (n, k) at predictions (n, k)."""
        shaped = f[:, 0] if self.problem.scalar else f
        return self.problem.loss_value(shaped), self.problem.gradient(shaped).reshape(f.shape)

    def start(self) -> Shared:
        """No neurons."""
        free = np.zeros((self.columns.shape[1], self.k))
        return Shared(np.zeros((0, self.rows.shape[1])), np.zeros((0, self.k)), free, np.zeros((0, self.problem.n)))

    def slopes(self, u: np.ndarray) -> np.ndarray:
        """The slopes of the true activation, (m, n)."""
        return np.where(u @ self.rows.T > 0, 1.0, self.problem.kappa)

    def predictions(self, state: Shared) -> np.ndarray:
        """Predictions (n, k)."""
        return activate(self.rows @ state.u.T, self.problem.kappa) @ state.v + self.columns @ state.free

    def sizes(self, u: np.ndarray) -> np.ndarray:
        """Penalised norms (m,)."""
        return row_norms(u[:, : self.inner])

    def objective(self, state: Shared) -> float:
        """Loss plus reg times the path norm."""
        path = float(self.sizes(state.u) @ row_norms(state.v))
        return self.loss(self.predictions(state))[0] + self.problem.reg * path

    def network(self, state: Shared) -> ShallowNetwork:
        """The balanced network."""
        problem, free = self.problem, state.free[:, 0] if self.k == 1 else state.free
        return ShallowNetwork(
            state.u[:, : problem.d],
            np.zeros(len(state.u)) if problem.bias == "none" else state.u[:, -1],
            state.v,
            intercept=free[-1] if problem.intercept else 0.0,
            skip=free[: problem.d] if problem.skip else None,
            activation=problem.activation,
            negative_slope=problem.negative_slope,
        ).balanced(problem.bias, problem.norm)

    def state(self, network: ShallowNetwork) -> Shared:
        """The neurons of a network; constants go to the intercept."""
        u = np.column_stack([network.weights, network.biases])[:, : self.rows.shape[1]]
        parts = []
        if self.problem.skip:
            skip = np.zeros((self.problem.d, self.k)) if network.skip is None else network.skip
            parts.append(np.reshape(skip, (self.problem.d, self.k)))
        if self.problem.intercept:
            parts.append(np.broadcast_to(np.asarray(network.intercept), (self.k,))[None, :])
        free = np.concatenate(parts) if parts else np.zeros((0, self.k))
        v = network.output_weights.reshape(len(u), self.k)
        return self.cleaned(Shared(u, v, free, self.slopes(u)))

    def cleaned(self, state: Shared, smallest: float = 1e-9) -> Shared:
        """Drop negligible neurons; constants (free bias) go to the intercept."""
        norms = self.sizes(state.u)
        sizes = norms * row_norms(state.v)
        lost = ~(sizes > smallest * float(sizes.max(initial=0.0)))
        free = state.free
        if self.problem.bias == "free" and lost.any():
            free = free.copy()
            free[-1] += activate(state.u[lost, -1], self.problem.kappa) @ state.v[lost]
        return replace(state.taken(~lost), free=free)

    # -------------------------------------------------------------------------------------------------------- descent
    def descend(
        self, state: Shared, width: float | None, max_iter: int, deadline: float, tol: float = 1e-12
    ) -> Shared:
        """Descent on the true objective, or with kinks smoothed around ``theta``; then ``theta`` moves."""
        m = len(state.u)
        if not m and not state.free.size:
            return state
        x = self._parameters(state)
        widths = None if width is None else self.form.widths(self._split(x, m)[0], width)
        x = descend(_settled(lambda x: self._value(x, m, state.theta, widths)[:2]), x, max_iter, deadline, tol=tol)[0]
        theta = None if widths is None else self._value(x, m, state.theta, widths)[2]
        return self._state(x, m, theta)

    def polished(self, state: Shared, threshold: float, max_iter: int, deadline: float) -> Shared:
        """Descent with the samples near a neuron's kink held on it; those keep their ``theta``."""
        m, x = len(state.u), self._parameters(state)
        if not m:
            return state
        w, v, c = self._split(x, m)
        near = np.abs(w @ self.form.ZT) <= threshold * self.form.sizes * row_norms(w)[:, None]
        if not near.any():
            return self.descend(state, None, max_iter, deadline, tol=1e-14)
        P = np.stack([_projector(self.form.Z[rows]) for rows in near])

        def function(x: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient, _ = self._value(x, m, state.theta, None)
            gw = gradient[: m * self.form.q].reshape(m, -1)
            gw[:] = np.einsum("jab,jb->ja", P, gw)
            return value, gradient

        x = np.concatenate([np.einsum("jab,jb->ja", P, w).ravel(), v.ravel(), c.ravel()])
        x = descend(_settled(function), x, max_iter, deadline, tol=1e-14)[0]
        w = self._split(x, m)[0]
        return self._state(x, m, np.where(near, state.theta, np.where(w @ self.form.ZT > 0, 1.0, self.problem.kappa)))

    def _parameters(self, state: Shared) -> np.ndarray:
        """Standardised balanced weights in one vector."""
        w = np.linalg.solve(self.form.A, state.u.T).T
        root = np.sqrt(row_norms(state.v) / np.maximum(self.sizes(state.u), 1e-300))[:, None]
        c = np.linalg.lstsq(self.form.back, state.free, rcond=None)[0]
        return np.concatenate([(w * root).ravel(), (state.v / np.maximum(root, 1e-300)).ravel(), c.ravel()])

    def _state(self, x: np.ndarray, m: int, theta: np.ndarray | None) -> Shared:
        w, v, c = self._split(x, m)
        u = w @ self.form.A.T
        return self.cleaned(Shared(u, v.copy(), self.form.back @ c, self.slopes(u) if theta is None else theta))

    def _split(self, x: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a, b = m * self.form.q, m * (self.form.q + self.k)
        return x[:a].reshape(m, -1) if m else np.zeros((0, self.form.q)), x[a:b].reshape(m, self.k), x[b:].reshape(
            -1, self.k
        )

    def _value(
        self, x: np.ndarray, m: int, theta: np.ndarray, widths: np.ndarray | None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Weight-decay objective, its gradient and the slopes."""
        w, v, c = self._split(x, m)
        kappa, reg = self.problem.kappa, self.problem.reg
        z = w @ self.form.ZT
        if widths is None:
            slopes = np.where(z > 0, 1.0, kappa)
            hidden = slopes * z
        else:
            slopes = np.clip(theta + z / widths, kappa, 1.0)
            hidden = slopes * z - 0.5 * widths * (slopes - theta) ** 2
        value, residual = self.loss(hidden.T @ v + self.form.Q @ c)
        weighted = w @ self.form.metric
        value += 0.5 * reg * float(np.vdot(weighted, w) + np.vdot(v, v))
        gw = (slopes * (v @ residual.T)) @ self.form.Z + reg * weighted
        gv = hidden @ residual + reg * v
        return value, np.concatenate([gw.ravel(), gv.ravel(), (self.form.Q.T @ residual).ravel()]), slopes

    # ------------------------------------------------------------------------------------------------------- merging
    def merged(self, state: Shared, slack: float) -> Shared:
        """Replace pairs by the best rank-one sum, and drop neurons, while the objective rises by at most ``slack``."""
        value = self.objective(state)
        limit = value + slack
        for _ in range(_MOST_PAIRS):
            found = None
            for trial in self._simpler(state):
                cost = self.objective(trial)
                if cost <= limit and (found is None or cost < found[0]):
                    found = cost, trial
                    if cost <= value:
                        break
            if found is None:
                return state
            value, state = found
        return state

    def _simpler(self, state: Shared) -> list[Shared]:
        """Candidates with one neuron less: the most similar pairs, the smallest neurons."""
        m = len(state.u)
        if not m:
            return []
        sizes = self.sizes(state.u) * row_norms(state.v)
        tiny = np.flatnonzero(sizes < 1e-2 * np.median(sizes))
        candidates = [state.taken(np.arange(m) != j) for j in tiny[np.argsort(sizes[tiny])][:3]]
        hidden = activate(self.rows @ state.u.T, self.problem.kappa)
        hidden /= np.maximum(np.linalg.norm(hidden, axis=0), 1e-300)
        outputs = state.v / np.maximum(row_norms(state.v), 1e-300)[:, None]
        similar = np.triu((hidden.T @ hidden) * (outputs @ outputs.T), 1)
        pairs = np.argwhere(similar > _SAME_RESPONSE)
        for i, j in pairs[np.argsort(-similar[pairs[:, 0], pairs[:, 1]])][:8].tolist():
            candidates.append(self._joined(state, i, j))
        return candidates

    def _joined(self, state: Shared, i: int, j: int) -> Shared:
        """Neurons i and j as one: leading singular pair of the sum of their products."""
        both = np.outer(state.u[i], state.v[i]) + np.outer(state.u[j], state.v[j])
        left, singular, right = np.linalg.svd(both, full_matrices=False)
        sign = 1.0 if right[0] @ (state.v[i] + state.v[j]) >= 0 else -1.0
        u, v = state.u.copy(), state.v.copy()
        u[i], v[i] = sign * singular[0] * left[:, 0], sign * right[0]
        return replace(state, u=u, v=v).taken(np.arange(len(u)) != j)


def _settled(function: _Function) -> _Function:
    """The function with gradients whose squares would vanish in floating point set to zero, where descent ends."""

    def settled(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = function(x)
        return value, gradient if float(gradient @ gradient) > _VANISHING else np.zeros_like(gradient)

    return settled


def _projector(rows: np.ndarray) -> np.ndarray:
    """Onto the null space of some rows (s, q)."""
    q = rows.shape[1]
    if not len(rows):
        return np.eye(q)
    _, singular, right = np.linalg.svd(rows, full_matrices=False)
    span = right[singular > 1e-10 * singular[0]] if singular[0] > 0 else right[:0]
    return np.eye(q) - span.T @ span
