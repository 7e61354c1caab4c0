"""L-BFGS from every start, restarted when it stalls; kinks are rounded off first, or reformulated (l1 norm)."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from .progress import CHECK_EVERY
from .starts import INITIAL_PATH

if TYPE_CHECKING:
    from .progress import Progress
    from .standard_form import StandardForm

__all__ = ["run_lbfgs"]

MAX_RESTARTS = 8
STALL = 1e-8
"""A fresh memory is tried until it improves the objective by less than this fraction."""
SMOOTHINGS = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Widths, in units of the predictions and of a starting weight, at which kinks are rounded off before they are met."""


class _Ended(Exception):
    """Raised inside the objective to leave scipy's loop at the deadline."""


def run_lbfgs(
    form: StandardForm, theta: np.ndarray, progress: Progress, *, rng: np.random.Generator, max_iter: int
) -> np.ndarray:
    """Minimise from every row of ``theta`` by L-BFGS; return the iterations of each start.

    L-BFGS stalls at kinks, where the best networks like to be. So the kink of the activation is rounded off, and a loss
    with kinks replaced by its Moreau envelope, with widths that decrease; the last rounds minimise the objective
    itself, and only its values decide which network is kept. For ``norm="l1"`` the weights are split into positive and
    negative parts, ``||u||_1 = sum(u+ + u-)``, with bounds.
    """
    iterations = np.zeros(theta.shape[0], dtype=np.int64)
    progress.record(theta)
    for s in range(theta.shape[0]):
        if progress.ended:
            break
        iterations[s] = _Start(form, theta[s], progress, s, progress.share(theta.shape[0] - s)).run(max_iter)
    progress.check_clock()
    return iterations


class _Start:
    """One start: coordinates, the objective handed to scipy, and the loop over smoothings and restarts."""

    def __init__(self, form: StandardForm, row: np.ndarray, progress: Progress, index: int, deadline: float) -> None:
        self.form, self.progress, self.index, self.deadline = form, progress, index, deadline
        self.split = form.problem.norm == "l1"
        self.x = self._encode(row)
        self.iterations = 0
        self.smoothing = self.rounding = 0.0

    def run(self, max_iter: int) -> int:
        smooth, unit = self.form.problem.loss.smooth, np.sqrt(INITIAL_PATH / self.form.width)
        try:
            for step in SMOOTHINGS:
                self.smoothing = 0.0 if smooth else step * self.form.scale
                self.rounding = step * unit
                self._minimise(max_iter // (len(SMOOTHINGS) + 2), restarts=1)
            self.smoothing = self.rounding = 0.0
            self._minimise(max_iter - self.iterations, restarts=MAX_RESTARTS)
        except _Ended:
            pass
        self._record(self.x)
        return self.iterations

    def _minimise(self, max_iter: int, restarts: int) -> None:
        """Call scipy with a fresh memory until that no longer helps; ``max_iter`` counts over these calls."""
        from scipy.optimize import minimize

        value, last = math.inf, self.iterations + max_iter
        for _ in range(restarts):
            budget = last - self.iterations
            if budget <= 0 or not np.all(np.isfinite(self.x)):
                return
            result = minimize(
                self._objective, self.x, jac=True, method="L-BFGS-B", bounds=self._bounds(), callback=self._iterated,
                options={"maxiter": budget, "maxfun": 20 * budget, "maxcor": 20, "ftol": 1e-12, "gtol": 1e-9},
            )  # fmt: skip
            improved = value - result.fun > STALL * abs(result.fun)
            sound = np.all(np.isfinite(result.x)) and np.isfinite(result.fun)
            self.x = result.x if sound else np.full_like(self.x, np.nan)
            value = result.fun
            self._record(self.x)
            if not improved:
                return

    def _objective(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        if time.perf_counter() >= self.deadline or self.progress.ended:
            raise _Ended
        form, row = self.form, self._decode(x)[None, :]
        if not self.split:
            values, gradient = form.value_and_gradient(row, self.smoothing, self.rounding)
            return values[0] / form.objective_scale, gradient[0] / form.objective_scale
        losses, gradient = form.loss_gradient(row, smoothing=self.smoothing, rounding=self.rounding)
        penalty, slopes = self._split_penalty(x)
        head = self._head
        full = np.concatenate([gradient[0, :head], -gradient[0, :head], gradient[0, head:]]) + slopes
        return (losses[0] + penalty) / form.objective_scale, full / form.objective_scale

    def _split_penalty(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Penalty and gradient in the split weights: ``||u_j||_1`` is linear in them."""
        form, head = self.form, self._head
        column = form.input_scale * np.abs(np.diag(form.A))
        if form.problem.bias == "free":
            column[-1] = 0.0
        parts = x[: 2 * head].reshape(2, form.width, form.q)
        norms = parts.sum(axis=0) @ column
        V = form.output_scale**2 * x[2 * head : 2 * head + form.width * form.n_outputs]
        slopes = np.zeros_like(x)
        slopes[: 2 * head].reshape(parts.shape)[:] = form.problem.reg * norms[:, None] * column
        slopes[2 * head : 2 * head + V.size] = form.problem.reg * V
        squares = np.sum(norms**2) + np.sum(V**2) / form.output_scale**2
        return 0.5 * form.problem.reg * float(squares), slopes

    @property
    def _head(self) -> int:
        return self.form.width * self.form.q

    def _bounds(self) -> list[tuple[float | None, float | None]] | None:
        """Split weights are non-negative; the rest is free."""
        if not self.split:
            return None
        return [(0.0, None)] * (2 * self._head) + [(None, None)] * (self.x.size - 2 * self._head)

    def _encode(self, row: np.ndarray) -> np.ndarray:
        if not self.split:
            return row.copy()
        head = self._head
        return np.concatenate([np.maximum(row[:head], 0), np.maximum(-row[:head], 0), row[head:]])

    def _decode(self, x: np.ndarray) -> np.ndarray:
        if not self.split:
            return x
        head = self._head
        return np.concatenate([x[:head] - x[head : 2 * head], x[2 * head :]])

    def _iterated(self, x: np.ndarray) -> None:
        self.x = x.copy()
        self.iterations += 1
        if self.iterations % CHECK_EVERY == 0:
            self._record(x)
            self.progress.report(self.iterations)

    def _record(self, x: np.ndarray) -> None:
        self.progress.record(self._decode(x)[None, :], slice(self.index, self.index + 1))
