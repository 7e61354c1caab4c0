"""Networks to and from torch modules. Torch is imported on use only."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np

from .._validation import require
from ..errors import NetworkError
from ._expression import named_slope
from .shallow import ShallowNetwork

__all__ = ["from_state_dict", "from_torch", "to_torch"]

HEAD_ADVICE = (
    " {} is the link of the loss, not part of the network: leave it out, and use the logistic (one output) or "
    "softmax (several) loss on what comes before it."
)
_LAZY_CLASSES = ("Absolute", "WithSkip")


def to_torch(network: ShallowNetwork) -> Any:
    """Return a float64 ``torch.nn.Module`` of the same function, mapping (n, d) to (n, k), also for k = 1.

    ``Sequential(Linear, ReLU | LeakyReLU | Absolute, Linear)``; with a skip connection that Sequential is the
    ``hidden`` part of a ``WithSkip`` module whose ``skip`` part is a ``Linear`` without bias.

    Parameters
    ----------
    network : ShallowNetwork

    Raises
    ------
    MissingExtraError
        If torch is not installed.

    Examples
    --------
    >>> import torch
    >>> module = to_torch(ShallowNetwork([[1.0]], [0.5], [2.0]))
    >>> module(torch.ones(1, 1, dtype=torch.float64)).item()
    3.0
    """
    torch = require("torch", "torch")
    V = network.output_weights.reshape(network.n_neurons, network.n_outputs)
    activations = {
        "relu": torch.nn.ReLU,
        "leaky": lambda: torch.nn.LeakyReLU(network.negative_slope),
        "absolute": _classes()["Absolute"],
    }
    hidden = torch.nn.Sequential(
        _linear(torch, network.weights, network.biases),
        activations[network.activation](),
        _linear(torch, V.T, np.atleast_1d(network.intercept)),
    )
    if network.skip is None:
        return hidden
    return _classes()["WithSkip"](hidden, _linear(torch, network.skip.reshape(network.n_features, -1).T, None))


def from_torch(module: Any) -> ShallowNetwork:
    """Return the network of a torch module with one hidden layer.

    Accepted: a (nested) ``Sequential`` of Linear, one of ReLU, LeakyReLU and ``Absolute``, Linear; the ``WithSkip``
    module of :func:`to_torch`; and a module class of your own, whose ``forward`` is traced (``torch.fx``), read step
    by step and compared with the network on random rows. Identity, Flatten and Dropout in eval mode do nothing to
    rows of features and are left out. One output becomes a scalar network, predicting shape (n,).

    Parameters
    ----------
    module : torch.nn.Module
        In any floating point type, on any device; its weights are copied to float64.

    Raises
    ------
    NetworkError
        For any other layer or order, more than one hidden layer, a sigmoid or softmax head (it belongs to the loss:
        pass the logits), Dropout in training mode, layers with hooks, NaN weights, a ``forward`` that cannot be read.
    MissingExtraError
        If torch is not installed.

    Examples
    --------
    >>> from torch import nn
    >>> from_torch(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)))
    ShallowNetwork(neurons=8, features=3, outputs=1, activation='relu')
    """
    torch = require("torch", "torch")
    module, skip = _unwrapped(module), None
    if type(module) is _classes()["WithSkip"]:
        _check_linear(torch, module.skip)
        check_hooks(module)
        if module.skip.bias is not None:
            raise NetworkError("The skip layer has a bias; put it into the last Linear layer.")
        skip, module = _numbers(module.skip.weight).T, module.hidden
    elif _custom(torch, module):
        from ._torch_trace import traced

        return traced(torch, module)
    layers = _layers(torch, module)
    if len(layers) != 3:
        names = ", ".join(type(layer).__name__ for layer in layers)
        raise NetworkError(
            f"Expected Linear, activation, Linear (one hidden layer), got: {names or 'no layer'}.{_head(layers)}"
        )
    first, middle, last = layers
    activation, negative_slope = _activation(torch, middle)
    _check_linear(torch, first)
    _check_linear(torch, last)
    return ShallowNetwork(
        weights=_numbers(first.weight),
        biases=_bias(first),
        output_weights=_numbers(last.weight).T,
        intercept=_bias(last),
        skip=skip,
        activation=activation,
        negative_slope=negative_slope,
    )


def from_state_dict(state: Any, activation: str = "relu") -> ShallowNetwork:
    """Return the network of a state dict of Linear, activation, Linear.

    Parameters
    ----------
    state : mapping of str to Tensor
        Two matrices, in this order, each with its bias (a vector of the same prefix) or without.
    activation : {"relu", "leaky", "absolute"}
        What stands between them (leaky: with the slope 0.01): a state dict does not say.

    Raises
    ------
    NetworkError
        For anything else, e.g. three matrices (two hidden layers) or the statistics of a batch normalisation.

    Examples
    --------
    >>> from torch import nn
    >>> from_state_dict(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)).state_dict())
    ShallowNetwork(neurons=8, features=3, outputs=1, activation='relu')
    """
    if not hasattr(state, "items") or not all(hasattr(value, "detach") for value in state.values()):
        raise NetworkError(f"Expected a state dict of tensors, got {type(state).__name__}; save module.state_dict().")
    matrices = {name: value for name, value in state.items() if name.endswith("weight") and value.ndim == 2}
    biases = {name: value for name, value in state.items() if name.endswith("bias") and value.ndim == 1}
    if len(matrices) != 2 or len(matrices) + len(biases) != len(state):
        names = ", ".join(state)
        raise NetworkError(f"Expected the weights and biases of two Linear layers (one hidden layer), got: {names}.")
    (first, one), (last, two) = matrices.items()
    found = [biases.pop(name.removesuffix("weight") + "bias", None) for name in (first, last)]
    if biases:
        raise NetworkError(f"The state dict has {', '.join(biases)} without a matrix of that name.")
    b, c = (np.zeros(len(m)) if bias is None else _numbers(bias) for m, bias in zip((one, two), found, strict=True))
    return ShallowNetwork(
        weights=_numbers(one), biases=b, output_weights=_numbers(two).T, intercept=c, activation=activation
    )


def __getattr__(name: str) -> Any:
    """Make ``Absolute`` and ``WithSkip`` attributes of this module, so that their instances can be pickled."""
    if name in _LAZY_CLASSES:
        return _classes()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@lru_cache(maxsize=1)
def _classes() -> dict[str, Any]:
    """The two torch modules that torch itself lacks."""
    torch = require("torch", "torch")

    class Absolute(torch.nn.Module):  # type: ignore[name-defined, misc]
        """|t|, elementwise."""

        def forward(self, t: Any) -> Any:
            return t.abs()

    class WithSkip(torch.nn.Module):  # type: ignore[name-defined, misc]
        """hidden(x) + skip(x)."""

        def __init__(self, hidden: Any, skip: Any) -> None:
            super().__init__()
            self.hidden = hidden
            self.skip = skip

        def forward(self, x: Any) -> Any:
            return self.hidden(x) + self.skip(x)

    for made in (Absolute, WithSkip):
        made.__qualname__ = made.__name__
    return {"Absolute": Absolute, "WithSkip": WithSkip}


def _unwrapped(module: Any) -> Any:
    """The module inside ``torch.compile`` or a data-parallel wrapper, which compute the same."""
    inner = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
    name = inner.get(type(module).__name__)
    return module if name is None or not hasattr(module, name) else getattr(module, name)


def _custom(torch: Any, module: Any) -> bool:
    """Whether this is a module class defined outside torch, so that its forward must be read."""
    known = type(module).__module__.split(".")[0] == "torch" or type(module).__module__ == __name__
    return isinstance(module, torch.nn.Module) and not known


def _head(layers: list[Any]) -> str:
    """Advice for a network that ends in the link of its loss."""
    last = type(layers[-1]).__name__ if layers else ""
    return HEAD_ADVICE.format(last) if last in ("Sigmoid", "Softmax", "LogSoftmax", "LogSigmoid") else ""


def _linear(torch: Any, weight: np.ndarray, bias: np.ndarray | None) -> Any:
    """A float64 Linear layer with the given weights; no random numbers are drawn for it."""
    rows, columns = weight.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch warns about layers without neurons
        layer = torch.nn.utils.skip_init(torch.nn.Linear, columns, rows, bias=bias is not None, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(np.array(weight)))
        if bias is not None:
            layer.bias.copy_(torch.tensor(np.array(bias)))
    return layer


def _layers(torch: Any, module: Any) -> list[Any]:
    """The layers of a nested Sequential without those that do nothing."""
    nn = torch.nn
    check_hooks(module)
    if type(module) is nn.Sequential:
        return [layer for child in module for layer in _layers(torch, child)]
    if type(module) is nn.Dropout and module.training and module.p > 0:
        raise NetworkError("The module has Dropout in training mode, so it is random; call module.eval() first.")
    flat = type(module) is nn.Flatten and module.start_dim == 1 and module.end_dim == -1
    if flat or type(module) in (nn.Identity, nn.Dropout):
        return []
    return [module]


def check_hooks(module: Any) -> None:
    """Refuse modules whose forward pass is changed by hooks (weight_norm, spectral_norm, user hooks)."""
    if getattr(module, "_forward_hooks", None) or getattr(module, "_forward_pre_hooks", None):
        raise NetworkError(f"{type(module).__name__} has forward hooks, which change its output; remove them first.")


def _check_linear(torch: Any, layer: Any) -> None:
    check_hooks(layer)
    if type(layer) is not torch.nn.Linear:
        raise NetworkError(f"Expected a plain Linear layer, got {type(layer).__name__}.")
    if not layer.weight.is_floating_point():
        raise NetworkError("A Linear layer has complex or integer weights; pass a real floating point module.")


def _activation(torch: Any, layer: Any) -> tuple[str, float]:
    """Name and negative slope of an activation layer."""
    if type(layer) is torch.nn.ReLU:
        return "relu", 0.01
    if type(layer) is _classes()["Absolute"]:
        return "absolute", 0.01
    if type(layer) is torch.nn.LeakyReLU:
        return named_slope(float(layer.negative_slope))
    raise NetworkError(f"{type(layer).__name__} is not an activation of this package: use ReLU, LeakyReLU or Absolute.")


def _numbers(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _bias(layer: Any) -> np.ndarray:
    return np.zeros(layer.out_features) if layer.bias is None else _numbers(layer.bias)
