"""Networks as plain numpy arrays, and what can be done to them without a solver.

``ShallowNetwork`` is the one-hidden-layer network every program, solver and baseline returns; ``GatedNetwork`` is its
relaxation with fixed gates. ``as_shallow`` reads networks trained elsewhere: torch, ONNX, scikit-learn, files.
"""

from __future__ import annotations

from .activations import ACTIVATIONS, activate, activate_derivative, slope
from .convert import as_shallow, from_onnx, from_sklearn, from_state_dict, from_torch, to_onnx, to_torch
from .gated import GatedNetwork
from .label_noise import label_noise_norms, label_noise_penalty
from .linear_spline import LinearSpline
from .no_skip import no_skip_network, no_skip_norm
from .shallow import ShallowNetwork
from .threshold import ThresholdNetwork

__all__ = [
    "ACTIVATIONS",
    "GatedNetwork",
    "LinearSpline",
    "ShallowNetwork",
    "ThresholdNetwork",
    "activate",
    "activate_derivative",
    "as_shallow",
    "from_onnx",
    "from_sklearn",
    "from_state_dict",
    "from_torch",
    "label_noise_norms",
    "label_noise_penalty",
    "no_skip_network",
    "no_skip_norm",
    "slope",
    "to_onnx",
    "to_torch",
]
