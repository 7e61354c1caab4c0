"""Networks as plain numpy arrays, and what can be done to them without a solver.

``ShallowNetwork`` is the one-hidden-layer network every program, solver and baseline returns; ``GatedNetwork`` is its
relaxation with fixed gates. ``as_shallow`` reads networks trained elsewhere: torch, ONNX, scikit-learn, files.
"""

from __future__ import annotations

from .activations import ACTIVATIONS, activate, activate_derivative, slope
from .convert import as_shallow, from_onnx, from_sklearn, from_state_dict, from_torch, to_onnx, to_torch
from .gated import GatedNetwork
from .shallow import ShallowNetwork

__all__ = [
    "ACTIVATIONS",
    "GatedNetwork",
    "ShallowNetwork",
    "activate",
    "activate_derivative",
    "as_shallow",
    "from_onnx",
    "from_sklearn",
    "from_state_dict",
    "from_torch",
    "slope",
    "to_onnx",
    "to_torch",
]
