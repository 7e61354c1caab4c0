"""The same objective in PyTorch: automatic differentiation and PyTorch's own optimizers, in float64 on the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import require
from ..errors import ProblemError
from .first_order import MOMENTUM, batches, cosine

if TYPE_CHECKING:
    from .progress import Progress
    from .standard_form import StandardForm

__all__ = ["TORCH_RUNNERS", "TorchForm"]


def _losses(torch: Any) -> dict[str, Callable[[Any, Any, Any], Any]]:
    """Terms of each loss, of the shape of the predictions or one per sample; ``loss`` carries the parameters."""
    softplus = torch.nn.functional.softplus

    def huber(r: Any, delta: float) -> Any:
        return torch.where(r <= delta, 0.5 * r**2, delta * (r - 0.5 * delta))

    return {
        "squared": lambda f, y, loss: 0.5 * (f - y) ** 2,
        "huber": lambda f, y, loss: huber((f - y).abs(), loss.delta),
        "absolute": lambda f, y, loss: (f - y).abs(),
        "logistic": lambda f, y, loss: softplus(-y * f),
        "hinge": lambda f, y, loss: torch.relu(1 - y * f),
        "softmax": lambda f, y, loss: (torch.logsumexp(f, -1) - (y * f).sum(-1))[..., None],
    }


class TorchForm:
    """The weight-decay objective of a :class:`~convexnet.baselines.StandardForm` as a differentiable torch function.

    Raises
    ------
    ProblemError
        If the loss has no counterpart in torch (a loss of the user's own).
    MissingExtraError
        If PyTorch is not installed.

    Examples
    --------
    >>> import torch
    >>> from convexnet import TrainingProblem
    >>> from convexnet.baselines import StandardForm
    >>> form = StandardForm(TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], reg=0.1), width=5)
    >>> float(TorchForm(form).values(torch.zeros(1, form.size, dtype=torch.float64))[0])
    0.5
    """

    def __init__(self, form: StandardForm) -> None:
        self.torch = torch = require("torch", "torch")
        self.form = form
        problem = form.problem
        table = _losses(torch)
        if problem.loss.name not in table:
            raise ProblemError(f"The torch backend has no {problem.loss.name!r} loss; use backend='numpy'.")
        self.terms = table[problem.loss.name]
        weight = np.ones(problem.n) if problem.sample_weight is None else problem.sample_weight
        arrays = (form.Z, form.Q, form.A, problem.y.reshape(problem.n, -1), weight[:, None])
        self.Z, self.Q, self.A, self.y, self.weight = (torch.tensor(np.array(a), dtype=torch.float64) for a in arrays)

    def values(self, theta: Any, rows: np.ndarray | None = None) -> Any:
        """Weight-decay objective of every row of ``theta``, shape (S,), estimated from ``rows`` if given."""
        torch, form = self.torch, self.form
        index = slice(None) if rows is None else torch.as_tensor(rows)
        U, V, z = form.split(theta)
        T = self.Z[index] @ U.transpose(1, 2)
        kappa = form.problem.kappa
        hidden = torch.where(T > 0, T, kappa * T)
        f = form.scale * (hidden @ V + self.Q[index] @ z)
        terms = self.weight[index] * self.terms(f, self.y[index], form.problem.loss)
        factor = form.problem.n / f.shape[1]
        return factor * terms.sum((1, 2)) + self._penalty(U, V)

    def _penalty(self, U: Any, V: Any) -> Any:
        form, problem = self.form, self.form.problem
        rows = problem.d if problem.bias == "free" else form.q
        U = form.input_scale * (U @ self.A[:rows].T)
        squares = U.abs().sum(2) ** 2 if problem.norm == "l1" else (U**2).sum(2)
        return 0.5 * problem.reg * (squares.sum(1) + form.output_scale**2 * (V**2).sum((1, 2)))


def _run_stepwise(make: Callable[[Any, Any], Any], factor: float) -> Callable[..., np.ndarray]:
    """A runner for a torch optimizer (step size ``factor`` times ours) with one step per mini-batch for all starts."""

    def run(
        form: StandardForm, theta: np.ndarray, progress: Progress, *, rng: np.random.Generator, max_iter: int,
        learning_rate: float, batch_size: int,
    ) -> np.ndarray:  # fmt: skip
        model = TorchForm(form)
        parameters = model.torch.from_numpy(theta).requires_grad_()
        optimizer = make(model.torch, parameters)
        for t, rows in enumerate(batches(form.problem.n, batch_size, max_iter, rng)):
            if progress.stop(t, theta):
                return np.full(theta.shape[0], t)
            optimizer.param_groups[0]["lr"] = factor * learning_rate * cosine(t, max_iter)
            optimizer.zero_grad()
            (model.values(parameters, rows).sum() / form.objective_scale).backward()
            optimizer.step()
        progress.finish(max_iter, theta)
        return np.full(theta.shape[0], max_iter)

    return run


def _run_lbfgs(
    form: StandardForm, theta: np.ndarray, progress: Progress, *, rng: np.random.Generator, max_iter: int
) -> np.ndarray:
    """torch.optim.LBFGS, one start after the other, with its strong Wolfe line search."""
    from .progress import CHECK_EVERY

    model = TorchForm(form)
    iterations = np.zeros(theta.shape[0], dtype=np.int64)
    progress.record(theta)
    for s in range(theta.shape[0]):
        row = theta[s : s + 1]
        deadline = progress.share(theta.shape[0] - s)
        parameters = model.torch.from_numpy(row).requires_grad_()
        optimizer = model.torch.optim.LBFGS(
            [parameters], max_iter=CHECK_EVERY, history_size=20, tolerance_grad=1e-9, tolerance_change=1e-13,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure(optimizer: Any = optimizer, parameters: Any = parameters) -> Any:
            optimizer.zero_grad()
            value = model.values(parameters)[0] / form.objective_scale
            value.backward()
            return value

        while iterations[s] < max_iter and not progress.ended and time.perf_counter() < deadline:
            before = row.copy()
            optimizer.step(closure)
            iterations[s] += CHECK_EVERY
            progress.record(row, slice(s, s + 1))
            progress.report(int(iterations[s]))
            if np.array_equal(before, row) or not np.all(np.isfinite(row)):
                break
    progress.check_clock()
    return np.minimum(iterations, max_iter)


TORCH_RUNNERS: dict[str, Callable[..., np.ndarray]] = {
    "adam": _run_stepwise(lambda torch, p: torch.optim.Adam([p], eps=1e-12), 1.0),
    "sgd": _run_stepwise(lambda torch, p: torch.optim.SGD([p], lr=1.0, momentum=MOMENTUM), 1 - MOMENTUM),
    "lbfgs": _run_lbfgs,
}
"""Runners by method, with the signature of the numpy ones."""
