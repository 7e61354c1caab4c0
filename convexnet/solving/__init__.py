"""From a problem to a certified network: the front door, cell generation, paths, comparison with training."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .cell_generation import Generated, generate_cells
    from .certification import certify
    from .comparison import Comparison, compare
    from .front import solve
    from .memorization import Memorization, memorize
    from .path import regularization_path
    from .path_result import PathPoint, RegularizationPath
    from .solution import Solution

__all__ = [
    "Comparison",
    "Generated",
    "Memorization",
    "PathPoint",
    "RegularizationPath",
    "Solution",
    "certify",
    "compare",
    "generate_cells",
    "memorize",
    "regularization_path",
    "solve",
]

_MODULES = {
    "certify": "certification",
    "Comparison": "comparison", "compare": "comparison", "Generated": "cell_generation",
    "generate_cells": "cell_generation", "solve": "front", "Solution": "solution",
    "memorize": "memorization", "Memorization": "memorization",
    "regularization_path": "path", "PathPoint": "path_result", "RegularizationPath": "path_result",
}  # fmt: skip

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
