"""Fast solvers: iterations written for the structure of these problems, for what the programs state readably."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from ._relu_result import ReluResult
    from .gated import solve_gated
    from .relu import solve_relu
    from .result import GatedResult, Progress

__all__ = [
    "GatedResult",
    "Progress",
    "ReluResult",
    "solve_gated",
    "solve_relu",
]

_MODULES = {
    "solve_gated": "gated",
    "solve_relu": "relu", "ReluResult": "_relu_result",
    "GatedResult": "result", "Progress": "result",
}  # fmt: skip

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
