"""What an iteration reports: best networks so far, divergence, the clock, and the caller's callback."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .standard_form import StandardForm

__all__ = ["CHECK_EVERY", "Callback", "Progress"]

CHECK_EVERY = 50
"""Iterations between two measurements of the objective."""

Callback = Callable[[int, np.ndarray], object]


class Progress:
    """Best parameters of each start by the balanced objective, measured every ``CHECK_EVERY`` iterations.

    Parameters
    ----------
    form : StandardForm
    theta : array (S, size)
        The starting points.
    time_limit : float, optional
        Seconds from now.
    callback : callable, optional
        Called as ``callback(iteration, objectives)``; training ends when it returns True.
    """

    def __init__(
        self, form: StandardForm, theta: np.ndarray, time_limit: float | None, callback: Callback | None
    ) -> None:
        self.form = form
        self.best = theta.copy()
        self.objectives = np.full(theta.shape[0], math.inf)
        self.diverged = np.zeros(theta.shape[0], dtype=bool)
        self.deadline = math.inf if time_limit is None else time.perf_counter() + time_limit
        self.callback = callback
        self.ended = ""

    def stop(self, iteration: int, theta: np.ndarray) -> bool:
        """Record the iterates now and then; whether to end here (time, callback, or every start diverged)."""
        if time.perf_counter() >= self.deadline:
            self.ended = "time limit"
        elif iteration % CHECK_EVERY == 0:
            self.record(theta)
            self.report(iteration)
            if self.diverged.all():
                self.ended = "diverged"
        return bool(self.ended)

    def finish(self, iteration: int, theta: np.ndarray) -> None:
        """Measure the last iterates."""
        self.record(theta)
        self.report(iteration)
        if self.diverged.all():
            self.ended = "diverged"

    def share(self, remaining: int) -> float:
        """Deadline of the next of ``remaining`` starts trained one after the other: equal parts of the time left."""
        if self.deadline == math.inf:
            return math.inf
        now = time.perf_counter()
        return now + (self.deadline - now) / remaining

    def check_clock(self) -> None:
        """Note that the time is over, once starts trained one after the other have used it."""
        if not self.ended and time.perf_counter() >= self.deadline:
            self.ended = "time limit"

    def record(self, theta: np.ndarray, starts: slice = slice(None)) -> None:
        """Measure iterates of the given starts and keep those that improve; a non-finite one has diverged for good."""
        values = self.form.balanced_values(theta)
        self.diverged[starts] |= ~np.isfinite(values)
        better = values < self.objectives[starts]
        self.best[starts][better] = theta[better]
        self.objectives[starts] = np.where(better, values, self.objectives[starts])

    def report(self, iteration: int) -> None:
        """Call the callback; remember when it asks to end."""
        if self.callback is not None:
            shown = np.where(self.diverged, math.inf, self.objectives)
            if self.callback(iteration, shown) is True:
                self.ended = "callback"
