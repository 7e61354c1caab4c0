"""Activation patterns and cells of the hyperplane arrangement of the data: enumerate, sample, count, project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from ._rank import exact_rank
    from .counting import cover_count
    from .enumeration import enumerate_patterns
    from .extreme_rays import RefinedRays, refined_rays
    from .faces import FacePatterns, face_patterns, has_positive_direction
    from .facets import cell_facets
    from .patterns import CellRays, PatternSet, data_hash, pattern_matrix
    from .projection import CellProjection, project_onto_cell
    from .sampling import patterns_at, sample_patterns

_MODULES = {
    "CellProjection": "projection",
    "CellRays": "patterns",
    "FacePatterns": "faces",
    "PatternSet": "patterns",
    "RefinedRays": "extreme_rays",
    "cell_facets": "facets",
    "cover_count": "counting",
    "data_hash": "patterns",
    "enumerate_patterns": "enumeration",
    "exact_rank": "_rank",
    "face_patterns": "faces",
    "has_positive_direction": "faces",
    "pattern_matrix": "patterns",
    "patterns_at": "sampling",
    "project_onto_cell": "projection",
    "refined_rays": "extreme_rays",
    "sample_patterns": "sampling",
}

__all__ = [
    "CellProjection",
    "CellRays",
    "FacePatterns",
    "PatternSet",
    "RefinedRays",
    "cell_facets",
    "cover_count",
    "data_hash",
    "enumerate_patterns",
    "exact_rank",
    "face_patterns",
    "has_positive_direction",
    "pattern_matrix",
    "patterns_at",
    "project_onto_cell",
    "refined_rays",
    "sample_patterns",
]

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
