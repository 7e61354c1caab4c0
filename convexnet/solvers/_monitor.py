"""Limits, callbacks and the best bounds so far, shared by the solvers that work in rounds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .._validation import check_count, check_flag, check_positive
from ..errors import ProblemError
from ..pricing import relative_gap
from .result import Progress

__all__ = ["Monitor", "started"]


@dataclass
class Monitor:
    """Keeps the clock, the history and the reason to stop.

    ``status`` is empty while the solver may go on. Loops inside an iteration ask
    :meth:`out_of_time` now and then, loops over iterations :meth:`expired`.
    """

    time_limit: float
    max_iter: float
    tol: float
    callback: Callable[[Progress], object] | None = None
    verbose: bool = False
    start: float = field(default_factory=time.perf_counter)
    status: str = ""
    iteration: int = 0
    objective: float = math.inf
    lower_bound: float = -math.inf
    history: list[Progress] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self.start

    @property
    def gap(self) -> float:
        """Relative gap of the best bounds so far."""
        return relative_gap(self.objective, self.lower_bound)

    def out_of_time(self) -> bool:
        """Whether to leave a loop inside an iteration."""
        if not self.status and self.seconds > self.time_limit:
            self.status = "time_limit"
        return bool(self.status)

    def expired(self) -> bool:
        """Whether a limit is passed or a reason to stop was met."""
        self.out_of_time()
        if not self.status and self.iteration >= self.max_iter:
            self.status = "iteration_limit"
        return bool(self.status)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let an interrupt from the keyboard end the block, with the status to say so."""
        try:
            yield
        except KeyboardInterrupt:
            self.status = self.status or "interrupted"

    def report(self, objective: float, lower_bound: float, size: int) -> None:
        """Record bounds (the best so far are kept), print them, ask the callback."""
        self.objective = min(self.objective, objective)
        self.lower_bound = max(self.lower_bound, lower_bound)
        record = Progress(self.seconds, self.iteration, self.objective, self.lower_bound, self.gap, size)
        self.history.append(record)
        if self.verbose:
            print(record.line(), flush=True)
        if self.callback is not None and self.callback(record) and not self.status:
            self.status = "callback"
        if self.gap <= self.tol:
            self.status = "solved"


def started(
    tol: Any, time_limit: Any, max_iter: Any = None, callback: Any = None, verbose: Any = False
) -> Monitor:
    """Check the limits and start the clock; without ``max_iter`` rounds are not counted.

    Raises
    ------
    ProblemError
        If an option is of another kind or out of range.
    """
    if callback is not None and not callable(callback):
        raise ProblemError(f"callback must be callable, got {type(callback).__name__}.")
    return Monitor(
        check_positive(time_limit, "time_limit"), math.inf if max_iter is None else check_count(max_iter, "max_iter"),
        check_positive(tol, "tol"), callback, check_flag(verbose, "verbose"),
    )  # fmt: skip
