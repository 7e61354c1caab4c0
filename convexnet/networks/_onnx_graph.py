"""ONNX graphs read node by node: every name has a value, a constant array or an expression of the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import NetworkError
from ._expression import Expression
from .convert_torch import HEAD_ADVICE
from .shallow import ShallowNetwork

__all__ = ["graph_network"]

Value = Any  # an Expression or a constant array
_HEADS = ("Sigmoid", "Softmax", "LogSoftmax")


def graph_network(onnx: Any, model: Any) -> ShallowNetwork:
    """Return the network that the graph of an ONNX model computes, or raise NetworkError."""
    graph = model.graph
    values: dict[str, Value] = {"": None}
    for tensor in graph.initializer:
        values[tensor.name] = _array(onnx, tensor)
    inputs = [value.name for value in graph.input if value.name not in values]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise NetworkError(
            f"The ONNX graph has {len(inputs)} input(s) and {len(graph.output)} output(s); exactly one of each is read."
        )
    values[inputs[0]] = Expression()
    for node in graph.node:
        _step(onnx, node, values)
    result = values.get(graph.output[0].name)
    if not isinstance(result, Expression):
        raise NetworkError("The output of the ONNX graph does not depend on its input.")
    return result.network()


def _step(onnx: Any, node: Any, values: dict[str, Value]) -> None:
    """Read one node."""
    kind = node.op_type
    if node.domain not in ("", "ai.onnx") or kind not in _OPERATIONS:
        advice = HEAD_ADVICE.format(kind) if kind in _HEADS else ""
        raise NetworkError(
            f"The ONNX operator {node.domain + '.' if node.domain else ''}{kind} cannot be read: the graph must be "
            f"linear, one activation (Relu, LeakyRelu, Abs), linear.{advice}"
        )
    missing = [name for name in node.input if name not in values]
    if missing:
        raise NetworkError(f"The ONNX node {node.name or kind} needs {missing[0]!r}, which the graph does not hold.")
    options = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    if kind == "Constant":
        options = {"value": _constant(onnx, options)}
    arguments = [values[name] for name in node.input]
    if kind not in ("Constant", *_ON_CONSTANTS) and not any(isinstance(each, Expression) for each in arguments):
        raise NetworkError(f"The ONNX node {node.name or kind} computes weights from weights; fold constants first.")
    try:
        values[node.output[0]] = _OPERATIONS[kind](*arguments, **options)
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise NetworkError(f"The ONNX node {node.name or kind} cannot be read ({error}).") from None


def _array(onnx: Any, tensor: Any) -> np.ndarray:
    try:
        array = onnx.numpy_helper.to_array(tensor)
        return array.astype(np.float64) if array.dtype.kind not in "iub" else array
    except (ValueError, TypeError, OSError) as error:
        raise NetworkError(f"The weights {tensor.name!r} of the ONNX graph cannot be read ({error}).") from None


def _constant(onnx: Any, options: dict[str, Any]) -> np.ndarray:
    if "value" in options:
        return _array(onnx, options["value"])
    return np.asarray(next(iter(options.values())))


def _gemm(a: Value, b: Value, c: Value = None, alpha: float = 1.0, beta: float = 1.0, transA: int = 0,
          transB: int = 0) -> Expression:  # fmt: skip
    """alpha a b + beta c, with the rows of inputs in a."""
    if transA or not isinstance(a, Expression) or isinstance(b, Expression):
        raise NetworkError("A Gemm node must have the inputs as its first factor, not transposed, and weights second.")
    matrix = np.asarray(b, dtype=float).T if transB else np.asarray(b, dtype=float)
    after = a.times(np.ascontiguousarray(matrix if alpha == 1 else alpha * matrix))
    if c is None or beta == 0:
        return after
    if isinstance(c, Expression):
        return after.added(c if beta == 1 else c.scaled(np.asarray(beta)))
    return after.plus(c if beta == 1 else beta * np.asarray(c))


def _matmul(a: Value, b: Value) -> Expression:
    return _gemm(a, b)


def _add(a: Value, b: Value) -> Expression:
    if isinstance(a, Expression) and isinstance(b, Expression):
        return a.added(b)
    return a.plus(b) if isinstance(a, Expression) else b.plus(a)


def _sub(a: Value, b: Value) -> Expression:
    if isinstance(b, Expression):
        b = b.scaled(np.asarray(-1.0))
        return b.added(a) if isinstance(a, Expression) else b.plus(a)
    return a.plus(-np.asarray(b))


def _mul(a: Value, b: Value) -> Expression:
    if isinstance(a, Expression) and isinstance(b, Expression):
        raise NetworkError("The graph multiplies two values; it must be linear between its activations.")
    return a.scaled(b) if isinstance(a, Expression) else b.scaled(a)


def _div(a: Value, b: Value) -> Expression:
    if isinstance(b, Expression) or not np.all(b):
        raise NetworkError("The graph divides by its input or by zero.")
    return a.scaled(1.0 / np.asarray(b, dtype=float))


def _prelu(value: Expression, slope: Any) -> Expression:
    if np.unique(slope).size != 1:
        raise NetworkError("PRelu has several slopes; all neurons of a network share one activation.")
    return value.activated(float(np.ravel(slope)[0]))


def _leaky(value: Expression, alpha: float = 0.01) -> Expression:
    # Attributes are float32; the shortest decimal is what was meant (0.01, not 0.00999999977648).
    return value.activated(float(str(np.float32(alpha))))


def _dropout(value: Expression, ratio: Any = None, training: Any = None, **_: Any) -> Expression:
    if training is not None and np.any(training):
        raise NetworkError("The graph has Dropout in training mode; export the model in eval mode.")
    return value


def _flatten(value: Expression, axis: int = 1) -> Expression:
    if axis != 1:
        raise NetworkError("Flatten mixes the rows of the inputs; axis must be 1.")
    return value


def _reshape(value: Value, shape: Any = None, allowzero: int = 0, axes: Any = None) -> Value:
    """Reshape and Squeeze change nothing about a single output; weights are reshaped as asked."""
    if not isinstance(value, Expression):
        return np.reshape(value, [int(size) for size in shape])
    if shape is not None and tuple(np.ravel(shape)) == (-1, value.width):
        return value
    if value.width != 1 or (shape is not None and tuple(np.ravel(shape)) not in {(-1,), (-1, 1)}):
        raise NetworkError("The graph reshapes more than a single output; export a model of matrices (n, d) to (n, k).")
    return value


def _cast(value: Value, to: int = 1, **_: Any) -> Value:
    if to not in (1, 10, 11, 16):  # float32, float16, float64, bfloat16
        raise NetworkError("The graph casts its values to whole numbers.")
    return value


def _transpose(value: Value, perm: Any = None) -> Value:
    if isinstance(value, Expression):
        raise NetworkError("The graph transposes its values, which mixes the rows of the inputs.")
    return np.transpose(value, perm)


_ON_CONSTANTS = ("Identity", "Cast", "Transpose", "Reshape")
_OPERATIONS: dict[str, Callable[..., Value]] = {
    "Constant": lambda value: value,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _add,
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
    "Neg": lambda value: value.scaled(np.asarray(-1.0)),
    "Relu": lambda value: value.activated(0.0),
    "LeakyRelu": _leaky,
    "PRelu": _prelu,
    "Abs": lambda value: value.activated(-1.0),
    "Identity": lambda value: value,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": lambda value, axes=None: _reshape(value, axes=axes),
    "Cast": _cast,
    "Transpose": _transpose,
}
