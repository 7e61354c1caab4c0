"""Fast solvers: iterations written for the structure of these problems, for what the programs state readably."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from ._dictionary_result import DictionaryResult
    from ._relu_result import ReluResult
    from ._spline_result import SplineResult
    from ._threshold_result import ThresholdResult
    from .atom_generation import generate_atoms
    from .dictionary import solve_dictionary
    from .dual_newton import refine_dual
    from .gated import solve_gated
    from .polyhedral import solve_polyhedral
    from .relu import solve_relu
    from .result import GatedResult, Progress
    from .spline import solve_spline
    from .threshold import solve_threshold

__all__ = [
    "DictionaryResult",
    "GatedResult",
    "Progress",
    "ReluResult",
    "SplineResult",
    "ThresholdResult",
    "generate_atoms",
    "refine_dual",
    "solve_dictionary",
    "solve_gated",
    "solve_polyhedral",
    "solve_relu",
    "solve_spline",
    "solve_threshold",
]

_MODULES = {
    "solve_dictionary": "dictionary", "DictionaryResult": "_dictionary_result", "generate_atoms": "atom_generation",
    "solve_polyhedral": "polyhedral", "refine_dual": "dual_newton",
    "solve_gated": "gated",
    "solve_relu": "relu", "ReluResult": "_relu_result",
    "GatedResult": "result", "Progress": "result",
    "solve_threshold": "threshold", "ThresholdResult": "_threshold_result",
    "solve_spline": "spline", "SplineResult": "_spline_result",
}  # fmt: skip

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
