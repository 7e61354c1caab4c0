"""What every picture checks first: the object to draw, and the axes to draw it on."""

from __future__ import annotations

from typing import Any

from .._validation import require
from ..errors import ProblemError

__all__ = ["axes_for", "expect"]


def axes_for(ax: Any, width: float, height: float) -> Any:
    """The given axes, or those of a new figure of that size in inches."""
    plt = require("matplotlib.pyplot", "plot")
    if ax is None:
        return plt.subplots(figsize=(width, height), layout="constrained")[1]
    if not isinstance(ax, require("matplotlib.axes", "plot").Axes):
        raise ProblemError(f"ax must be matplotlib Axes, e.g. plt.subplots()[1] (axes[0] of several), got {ax!r}.")
    return ax


def expect(value: Any, kind: type, source: str) -> None:
    """Refuse anything but an instance of a class of the package; ``source`` says where one comes from."""
    if not isinstance(value, kind):
        raise ProblemError(f"A {kind.__name__} is needed, {source}; got {value!r}.")
