"""Torch modules with a forward of their own: traced, read step by step, and checked on random rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import NetworkError
from ._expression import Expression
from .convert_torch import HEAD_ADVICE, check_hooks
from .shallow import ShallowNetwork

__all__ = ["traced"]

_IDENTITIES = {
    "contiguous", "clone", "float", "double", "half", "bfloat16", "to", "detach", "identity", "squeeze", "flatten",
}  # fmt: skip
_HEADS = {"sigmoid", "softmax", "log_softmax", "logsigmoid", "sigmoid_", "expit"}


def traced(torch: Any, module: Any) -> ShallowNetwork:
    """Return the network that the forward of ``module`` computes, or raise NetworkError."""
    for name, child in module.named_modules():
        check_hooks(child)
        if type(child) is torch.nn.Dropout and child.training and child.p > 0:
            raise NetworkError(f"The module has Dropout ({name}) in training mode; call module.eval() first.")
    try:
        graph = torch.fx.symbolic_trace(module).graph
    except Exception as error:  # whatever a forward can raise on symbols
        raise NetworkError(
            f"The forward of {type(module).__name__} cannot be read ({type(error).__name__}: {error}); pass "
            "nn.Sequential(Linear, ReLU, Linear), or export the module to ONNX."
        ) from None
    try:
        network = _interpreted(torch, module, graph)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise NetworkError(f"The forward of {type(module).__name__} cannot be read ({error}).") from None
    _check_by_example(torch, module, network)
    return network


def _interpreted(torch: Any, module: Any, graph: Any) -> ShallowNetwork:
    """Go through the graph once; every node has a value: an Expression, an array, or a plain argument."""
    values: dict[Any, Any] = {}
    for node in graph.nodes:
        args = torch.fx.node.map_arg(node.args, lambda n: values[n])
        kwargs = torch.fx.node.map_arg(node.kwargs, lambda n: values[n])
        if node.op == "placeholder":
            if any(isinstance(value, Expression) for value in values.values()):
                raise NetworkError(f"{type(module).__name__} takes several inputs; it must map one matrix to outputs.")
            values[node] = Expression()
        elif node.op == "get_attr":
            values[node] = _array(_attribute(module, node.target))
        elif node.op == "call_module":
            values[node] = _layer(torch, module.get_submodule(node.target), args[0])
        elif node.op == "output":
            return _output(module, args[0])
        else:
            name = node.target if node.op == "call_method" else getattr(node.target, "__name__", str(node.target))
            values[node] = _called(str(name), args, kwargs)
    raise NetworkError(f"{type(module).__name__} returns nothing.")


def _output(module: Any, value: Any) -> ShallowNetwork:
    if not isinstance(value, Expression):
        raise NetworkError(f"{type(module).__name__} returns {type(value).__name__}; it must return the outputs alone.")
    return value.network()


def _layer(torch: Any, layer: Any, value: Any) -> Any:
    """The value after a layer of torch."""
    nn, kind = torch.nn, type(layer)
    if kind is nn.Linear:
        bias = None if layer.bias is None else _array(layer.bias)
        return _linear(value, _array(layer.weight), bias)
    if kind is nn.ReLU:
        return value.activated(0.0)
    if kind is nn.LeakyReLU:
        return value.activated(float(layer.negative_slope))
    if kind.__name__ == "Absolute":
        return value.activated(-1.0)
    flat = kind is nn.Flatten and layer.start_dim == 1 and layer.end_dim == -1
    if flat or kind in (nn.Identity, nn.Dropout):
        return value
    raise _unreadable(kind.__name__)


def _called(name: str, args: Any, kwargs: Any) -> Any:
    """The value of a function or method call."""
    if name in _SIMPLE and len(args) >= 1:
        return _SIMPLE[name](*args, **kwargs)
    if name in _IDENTITIES and isinstance(args[0], Expression):
        return args[0]
    if name in ("view", "reshape") and isinstance(args[0], Expression):
        if args[0].width == 1 and args[1:] in ((-1,), ((-1,),), (-1, 1), ((-1, 1),)):
            return args[0]
        raise NetworkError(f"{name}{args[1:]} changes the rows of the inputs; pass matrices of shape (n, d).")
    raise _unreadable(name)


def _unreadable(name: str) -> NetworkError:
    advice = HEAD_ADVICE.format(name) if name.lower() in _HEADS | {"logsoftmax"} else ""
    return NetworkError(
        f"{name} cannot be read: the network must be Linear, one activation (ReLU, LeakyReLU, abs), Linear.{advice}"
    )


def _linear(value: Expression, weight: np.ndarray, bias: np.ndarray | None = None) -> Expression:
    after = value.times(np.ascontiguousarray(weight.T))
    return after if bias is None else after.plus(bias)


def _sum(one: Any, two: Any, alpha: float = 1.0, sign: float = 1.0) -> Any:
    """one + sign alpha two, for expressions, arrays and numbers."""
    factor = sign * alpha
    if isinstance(two, Expression):
        two = two if factor == 1 else two.scaled(np.asarray(factor))
        return two.added(one) if isinstance(one, Expression) else two.plus(np.asarray(one))
    return one.plus(factor * np.asarray(two, dtype=float)) if isinstance(one, Expression) else one + factor * two


def _product(one: Any, two: Any) -> Any:
    if isinstance(one, Expression) and isinstance(two, Expression):
        raise NetworkError("The forward multiplies two values; the network must be linear between its activations.")
    if isinstance(two, Expression):
        return two.scaled(np.asarray(one))
    return one.scaled(np.asarray(two)) if isinstance(one, Expression) else one * two


def _matmul(one: Any, two: Any) -> Any:
    if not isinstance(one, Expression) or isinstance(two, Expression):
        raise NetworkError("A matrix product must have the inputs on its left and weights on its right.")
    return one.times(np.asarray(two))


def _dropout(value: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    if training and p > 0:
        raise NetworkError("The forward calls dropout in training mode; pass training=self.training and call eval().")
    return value


def _clamped(value: Any, min: Any = None, max: Any = None) -> Any:
    if min != 0 or max is not None:
        raise NetworkError("clamp cannot be read except as ReLU, clamp(min=0).")
    return value.activated(0.0)


def _transposed(value: Any, name: str = "T") -> Any:
    if isinstance(value, Expression) or name not in ("T", "mT"):
        raise NetworkError(f"The forward uses .{name} of its input, which cannot be read.")
    return np.transpose(value)


_SIMPLE: dict[str, Callable[..., Any]] = {
    "relu": lambda value, inplace=False: value.activated(0.0),
    "relu_": lambda value: value.activated(0.0),
    "leaky_relu": lambda value, negative_slope=0.01, inplace=False: value.activated(float(negative_slope)),
    "abs": lambda value: value.activated(-1.0),
    "absolute": lambda value: value.activated(-1.0),
    "dropout": _dropout,
    "linear": _linear,
    "add": _sum,
    "iadd": _sum,
    "sub": lambda one, two, alpha=1.0: _sum(one, two, alpha, -1.0),
    "mul": _product,
    "truediv": lambda one, two: _product(one, 1.0 / np.asarray(two)),
    "neg": lambda value: _product(value, -1.0),
    "matmul": _matmul,
    "mm": _matmul,
    "t": _transposed,
    "getattr": _transposed,
    "clamp": _clamped,
    "clamp_min": _clamped,
}


def _attribute(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module


def _array(tensor: Any) -> np.ndarray:
    if not tensor.is_floating_point():
        raise NetworkError("A layer has complex or integer weights; pass a real floating point module.")
    return tensor.detach().cpu().double().numpy()


def _check_by_example(torch: Any, module: Any, network: ShallowNetwork) -> None:
    """The module itself and what was read must agree on random rows, up to the rounding of the module's type."""
    rows = np.random.default_rng(0).standard_normal((12, network.n_features))
    rows *= np.repeat([1.0, 10.0, 0.1], 4)[:, None]
    sample = next(module.parameters())
    given = torch.tensor(rows, dtype=sample.dtype, device=sample.device)
    with torch.no_grad():
        answer = np.asarray(module(given).double().cpu())
    rows = np.asarray(given.double().cpu())
    expected = network.predict(rows).reshape(len(rows), -1)
    sizes = np.abs(network.hidden(rows)) @ np.abs(network.output_weights.reshape(network.n_neurons, -1))
    allowed = 1e3 * torch.finfo(sample.dtype).eps * (1 + np.abs(expected) + sizes)
    fits = answer.shape == expected.shape or (network.n_outputs == 1 and answer.shape == (len(rows),))
    answer = answer.reshape(expected.shape) if fits else answer
    if not fits or not (np.abs(answer - expected) <= allowed).all():
        raise NetworkError(
            f"The forward of {type(module).__name__} computes something else than its layers say; pass "
            "nn.Sequential(Linear, ReLU, Linear), or export the module to ONNX."
        )
