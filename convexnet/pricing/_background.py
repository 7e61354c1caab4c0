"""Compiling in the background, once per process, so that a search can go on (or give up) meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["FAST", "BackgroundCompiler"]

FAST = {"reassoc", "contract", "nsz"}
"""Sums in any order and fused products: the error bounds hold for both; NaN and infinities keep their meaning."""


class BackgroundCompiler:
    """Runs ``build`` in a thread of its own; ``error`` is what it raised, if anything."""

    def __init__(self, name: str, build: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._name, self._build = name, build
        self._lock, self._done = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start compiling unless that has been done."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()

    def ready(self, wait: float = 0.0) -> bool:
        """Whether compiled code is there, after waiting for it at most so many seconds."""
        return (self._done.wait(wait) if wait > 0 else self._done.is_set()) and self.error is None

    def _work(self) -> None:
        try:
            self._build()
        except BaseException as error:
            self.error = error
        finally:
            self._done.set()
