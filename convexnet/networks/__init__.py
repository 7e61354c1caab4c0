"""Networks as plain numpy arrays, and what can be done to them without a solver.

``ShallowNetwork`` is the one-hidden-layer network every program, solver and baseline returns; ``GatedNetwork`` is its
relaxation with fixed gates.
"""

from __future__ import annotations

from .activations import ACTIVATIONS, activate, activate_derivative, slope
from .gated import GatedNetwork
from .shallow import ShallowNetwork

__all__ = ["ACTIVATIONS", "GatedNetwork", "ShallowNetwork", "activate", "activate_derivative", "slope"]
