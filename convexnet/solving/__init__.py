"""From a problem to a certified network: the front door, cell generation, comparison with gradient training."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .cell_generation import Generated, generate_cells
    from .certification import certify
    from .comparison import Comparison, compare
    from .front import solve
    from .solution import Round, Solution

__all__ = ["Comparison", "Generated", "Round", "Solution", "certify", "compare", "generate_cells", "solve"]

_MODULES = {
    "certify": "certification",
    "Comparison": "comparison", "compare": "comparison", "Generated": "cell_generation",
    "generate_cells": "cell_generation", "solve": "front", "Round": "solution", "Solution": "solution",
}  # fmt: skip

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
