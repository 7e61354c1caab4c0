"""Activation patterns and cells of the hyperplane arrangement of the data: enumerate, sample, count, project."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._reduction import exact_rank
    from .counting import cover_count
    from .enumeration import enumerate_patterns
    from .facets import cell_facets
    from .patterns import CellRays, PatternSet, data_hash
    from .projection import CellProjection, project_onto_cell
    from .sampling import sample_patterns

_MODULES = {
    "CellProjection": "projection",
    "CellRays": "patterns",
    "PatternSet": "patterns",
    "cell_facets": "facets",
    "cover_count": "counting",
    "data_hash": "patterns",
    "enumerate_patterns": "enumeration",
    "exact_rank": "_reduction",
    "project_onto_cell": "projection",
    "sample_patterns": "sampling",
}

__all__ = [
    "CellProjection",
    "CellRays",
    "PatternSet",
    "cell_facets",
    "cover_count",
    "data_hash",
    "enumerate_patterns",
    "exact_rank",
    "project_onto_cell",
    "sample_patterns",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return list(__all__)
