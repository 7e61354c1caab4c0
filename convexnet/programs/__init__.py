"""Convex programs as CVXPY models, each built from a problem and its patterns and mapped back to a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convexnet._lazy import lazy_attributes

if TYPE_CHECKING:
    from convexnet.programs.decomposition import ConeDecomposition, decompose_gated
    from convexnet.programs.dictionary import build_dictionary
    from convexnet.programs.gated import build_gated
    from convexnet.programs.label_noise import build_label_noise
    from convexnet.programs.moment import (
        JointMoment,
        JointMomentSolution,
        MomentProgram,
        build_joint_moment,
        build_moment,
    )
    from convexnet.programs.program import Program
    from convexnet.programs.relu import build_relu
    from convexnet.programs.solver import SOLVERS, ProgramStatus
    from convexnet.programs.threshold import build_threshold
    from convexnet.programs.univariate import build_univariate

__all__ = [
    "SOLVERS",
    "ConeDecomposition",
    "JointMoment",
    "JointMomentSolution",
    "MomentProgram",
    "Program",
    "ProgramStatus",
    "build_dictionary",
    "build_gated",
    "build_joint_moment",
    "build_label_noise",
    "build_moment",
    "build_relu",
    "build_threshold",
    "build_univariate",
    "decompose_gated",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "ConeDecomposition": "convexnet.programs.decomposition",
        "decompose_gated": "convexnet.programs.decomposition",
        "build_dictionary": "convexnet.programs.dictionary",
        "build_gated": "convexnet.programs.gated",
        "build_label_noise": "convexnet.programs.label_noise",
        "JointMoment": "convexnet.programs.moment",
        "JointMomentSolution": "convexnet.programs.moment",
        "MomentProgram": "convexnet.programs.moment",
        "build_joint_moment": "convexnet.programs.moment",
        "build_moment": "convexnet.programs.moment",
        "Program": "convexnet.programs.program",
        "build_relu": "convexnet.programs.relu",
        "build_threshold": "convexnet.programs.threshold",
        "build_univariate": "convexnet.programs.univariate",
        "SOLVERS": "convexnet.programs.solver",
        "ProgramStatus": "convexnet.programs.solver",
    },
)
