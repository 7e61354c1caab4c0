"""A clock that can be held, and what a run showed while it went."""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def memory_now() -> float:
    """Resident megabytes of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory_peak() -> float:
    """Largest resident megabytes of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


class Stopwatch:
    """CPU and wall seconds of a run, without those of measuring it, and the objectives that it passed.

    Parameters
    ----------
    seconds : float
        CPU seconds after which a run should end.
    target : float
        Objective at which a run may end: nothing better needs to be timed.
    """

    def __init__(self, seconds: float, target: float = -math.inf) -> None:
        self.seconds, self.target = seconds, target
        self.cpu = self.wall = 0.0
        self.points: list[list[float | None]] = []
        self.note: dict[str, Any] = {}
        self._since: tuple[float, float] | None = None

    def start(self) -> None:
        self._since = (time.process_time(), time.perf_counter())

    def stop(self) -> None:
        if self._since is not None:
            self.cpu += time.process_time() - self._since[0]
            self.wall += time.perf_counter() - self._since[1]
            self._since = None

    def reset(self) -> None:
        """A run of its own: back to zero."""
        self.stop()
        self.cpu = self.wall = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Measure something that the run itself would not do."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def point(self, objective: float, gap: float | None = None) -> bool:
        """Record an objective (and the gap that the run itself proved) at this moment; whether to end the run."""
        running = self._since is not None
        self.stop()
        if math.isfinite(objective):
            self.points.append([round(self.cpu, 5), round(self.wall, 5), float(objective), gap])
        if running:
            self.start()
        return self.cpu > self.seconds or objective <= self.target
