"""One door for networks trained elsewhere: torch modules, ONNX models, scikit-learn perceptrons, saved networks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._validation import check_choice, require
from ..errors import NetworkError
from .activations import ACTIVATIONS
from .convert_onnx import from_onnx, to_onnx
from .convert_sklearn import from_sklearn
from .convert_torch import from_state_dict, from_torch, to_torch
from .gated import GatedNetwork
from .io import load
from .shallow import ShallowNetwork

__all__ = ["as_shallow", "from_onnx", "from_sklearn", "from_state_dict", "from_torch", "to_onnx", "to_torch"]

_TORCH_SUFFIXES = (".pt", ".pth")
_ACCEPTED = (
    "a ShallowNetwork, a torch module or state dict, an ONNX model, a fitted scikit-learn MLPRegressor or "
    "MLPClassifier, or the path of an .npz, .onnx or .pt file"
)


def as_shallow(network: Any, *, activation: str = "relu") -> ShallowNetwork:
    """Return any supported network as a ShallowNetwork of the same function.

    Parameters
    ----------
    network : ShallowNetwork, torch module, state dict, ONNX model, scikit-learn perceptron, str or path
        A path may end in ``.npz`` (``ShallowNetwork.save``), ``.onnx``, or ``.pt``/``.pth`` (a state dict, read
        without executing anything in the file). See :func:`from_torch`, :func:`from_onnx`, :func:`from_sklearn`.
    activation : {"relu", "leaky", "absolute"}
        Of state dicts, which hold weights only (leaky: with the slope 0.01); all else knows its own.

    Raises
    ------
    NetworkError
        For anything else, and for networks outside the class: several hidden layers, other activations.
    MissingExtraError
        If the package to read it with is not installed.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> as_shallow(ShallowNetwork([[1.0]], [0.5], [2.0]))
    ShallowNetwork(neurons=1, features=1, outputs=1, activation='relu')
    """
    check_choice(activation, "activation", ACTIVATIONS)
    if isinstance(network, ShallowNetwork):
        return network
    if isinstance(network, (str, os.PathLike)):
        return _from_file(Path(network), activation)
    if isinstance(network, GatedNetwork):
        raise NetworkError("A GatedNetwork is no ReLU network: its gates are fixed. Certify it by certify_gated.")
    kind = _kind(network)
    if kind == "state dict":
        return from_state_dict(network, activation)
    if kind is None:
        raise NetworkError(f"Cannot read a network from {type(network).__name__}; pass {_ACCEPTED}.")
    return {"torch": from_torch, "onnx": from_onnx, "sklearn": from_sklearn}[kind](network)


def _kind(network: Any) -> str | None:
    """Which reader takes this object; packages that are not loaded cannot have made it."""
    torch, onnx = sys.modules.get("torch"), sys.modules.get("onnx")
    if torch is not None and isinstance(network, torch.nn.Module):
        return "torch"
    if onnx is not None and isinstance(network, onnx.ModelProto):
        return "onnx"
    if isinstance(network, Mapping) and network and all(hasattr(value, "detach") for value in network.values()):
        return "state dict"
    return "sklearn" if hasattr(network, "get_params") and hasattr(network, "fit") else None


def _from_file(path: Path, activation: str) -> ShallowNetwork:
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return from_onnx(path)
    if suffix in _TORCH_SUFFIXES:
        return _from_torch_file(path, activation)
    if suffix == ".npz" or path.is_file():
        return load(path)
    raise NetworkError(f"There is no network file {str(path)!r}; pass {_ACCEPTED}.")


def _from_torch_file(path: Path, activation: str) -> ShallowNetwork:
    """A state dict in a file; pickled modules are refused, because loading them would run their code."""
    with open(path, "rb"):
        pass  # a missing file is an OSError that names it
    torch = require("torch", "torch")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on what it refuses
        raise NetworkError(
            f"{path} is not a file of plain tensors ({type(error).__name__}); save module.state_dict(), or export "
            "the module to ONNX."
        ) from None
    return from_state_dict(stored, activation)
