"""Convex programs as CVXPY models, each built from a problem and its patterns and mapped back to a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convexnet._lazy import lazy_attributes

if TYPE_CHECKING:
    from convexnet.programs.decomposition import ConeDecomposition, decompose_gated
    from convexnet.programs.gated import build_gated
    from convexnet.programs.program import Program
    from convexnet.programs.relu import build_relu
    from convexnet.programs.solver import SOLVERS, ProgramStatus

__all__ = [
    "SOLVERS",
    "ConeDecomposition",
    "Program",
    "ProgramStatus",
    "build_gated",
    "build_relu",
    "decompose_gated",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "ConeDecomposition": "convexnet.programs.decomposition",
        "decompose_gated": "convexnet.programs.decomposition",
        "build_gated": "convexnet.programs.gated",
        "Program": "convexnet.programs.program",
        "build_relu": "convexnet.programs.relu",
        "SOLVERS": "convexnet.programs.solver",
        "ProgramStatus": "convexnet.programs.solver",
    },
)
