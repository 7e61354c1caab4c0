r"""L-BFGS on the non-convex objective with the label-noise penalty, from random starts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from .._validation import check_count, check_flag, check_positive
from .._versions import versions
from ._label_noise_form import LabelNoiseForm, require_label_noise
from .runs import TrainingRuns

if TYPE_CHECKING:
    from ..networks.shallow import ShallowNetwork
    from ..problem import TrainingProblem

__all__ = ["train_label_noise"]

_ROUNDINGS = (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-6, 0.0)
"""Widths, in units of a starting weight, of the parabola in place of the kink."""


class _Ended(Exception):
    """Raised inside the objective to leave scipy's loop at the deadline."""


def train_label_noise(
    problem: TrainingProblem,
    *,
    width: int = 60,
    n_starts: int = 8,
    max_iter: int = 2000,
    rounding: bool = True,
    random_state: int = 0,
    time_limit: float | None = None,
) -> TrainingRuns:
    r"""Train networks of a fixed width by L-BFGS on the loss plus the label-noise penalty.

    .. math:: \min_{w_j, c_j}\; L\Big(\sum_{j=1}^m c_j\, \sigma(E w_j),\, y\Big)
              + \tfrac{\mathrm{reg}}{2} \sum_{i=1}^n \|\nabla_{(w, c)} f(x_i)\|^2

    The penalty jumps where a neuron becomes active at a further point, which gradients do not see. So the kink of the
    activation is rounded off less and less, which makes the jump a slope; and of every stage a copy is measured whose
    neurons are shifted until the points in the rounded part are inactive.

    Parameters
    ----------
    problem : TrainingProblem
        With ``norm="label_noise"``.
    width, n_starts : int
    max_iter : int
        Iterations per start, shared by the stages.
    rounding : bool
        False: the kink as it is from the beginning, the usual practice.
    random_state : int
    time_limit : float, optional
        Seconds for all starts together.

    Returns
    -------
    TrainingRuns
        Every network measured by ``problem.objective``: upper bounds, with no statement about better networks.

    Raises
    ------
    ProblemError
        If the problem has another norm, the interpolation loss, or an option is invalid.

    References
    ----------
    Liu and Nocedal (1989) for L-BFGS; de Dios and Bruna (2020) for the penalty.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[-1.0], [0.0], [1.0]], [1.0, 0.0, 1.0], reg=0.1, norm="label_noise")
    >>> runs = train_label_noise(problem, width=10, n_starts=3)
    >>> 0.2 < runs.best_objective <= runs.median_objective
    True
    """
    require_label_noise(problem, "train_label_noise")
    form = LabelNoiseForm(problem, check_count(width, "width"))
    S, steps = check_count(n_starts, "n_starts"), check_count(max_iter, "max_iter")
    seed = check_count(random_state, "random_state", minimum=0)
    limit = np.inf if time_limit is None else check_positive(time_limit, "time_limit")
    begin = time.perf_counter()
    W, c = form.starts(S, seed)
    stages = _ROUNDINGS if check_flag(rounding, "rounding") else (0.0,)
    starts = [_Start(form, W[s], c[s], begin + limit * (s + 1) / S) for s in range(S)]
    for start in starts:
        start.run(steps, stages)
    options = {"max_iter": steps, "rounding": rounding}
    late = time.perf_counter() >= begin + limit
    objectives = np.array([start.objective for start in starts])
    objectives.setflags(write=False)
    return TrainingRuns(
        "lbfgs", "numpy", width, tuple(start.network for start in starts), objectives,
        np.array([start.iterations for start in starts]), time.perf_counter() - begin, seed,
        ended="time limit" if late else "finished", options=options, versions=versions(),
    )  # fmt: skip


class _Start:
    """One start: its parameters, and the best network so far."""

    def __init__(self, form: LabelNoiseForm, W: np.ndarray, c: np.ndarray, deadline: float) -> None:
        self.form, self.deadline, self.shape = form, deadline, W.shape
        self.x = np.concatenate([W.ravel(), c])
        self.unit = float(np.median(np.linalg.norm(W, axis=1)))
        self.iterations, self.rounding = 0, 0.0
        self.network: ShallowNetwork | None = None
        self.objective = np.inf
        self._offer(self.x)

    def run(self, max_iter: int, stages: tuple[float, ...]) -> None:
        """All stages of rounding."""
        from scipy.optimize import minimize

        stage = max(max_iter // len(stages), 1)
        try:
            for share in stages:
                self.rounding = share * self.unit
                result = minimize(
                    self._objective, self.x, jac=True, method="L-BFGS-B",
                    options={"maxiter": stage, "maxcor": 20, "ftol": 1e-13, "gtol": 1e-10},
                )  # fmt: skip
                self.iterations += int(result.nit)
                if not np.isfinite(result.x).all():
                    break
                self.x = result.x
                for push in (0.0, self.rounding, 1e-9 * self.unit):
                    self._offer(self._pushed(push))
        except _Ended:
            self._offer(self.x)

    def _split(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = self.shape[0] * self.shape[1]
        return x[:size].reshape(self.shape), x[size:]

    def _objective(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        if time.perf_counter() >= self.deadline:
            raise _Ended
        self.x = x
        W, c = self._split(x)
        values, inner, outer = self.form.value_and_gradient(W[None], c[None], self.rounding)
        return float(values[0]), np.concatenate([inner[0].ravel(), outer[0]])

    def _pushed(self, amount: float) -> np.ndarray:
        """Biases lowered: points just above a kink become inactive, at the loss of a little of the output."""
        W, c = self._split(self.x.copy())
        if amount > 0 and self.form.problem.bias != "none":
            W[:, -1] -= amount
        return np.concatenate([W.ravel(), c])

    def _offer(self, x: np.ndarray) -> None:
        network = self.form.network(*self._split(x))
        value = self.form.problem.objective(network)
        if value < self.objective:
            self.network, self.objective = network, value
