"""Networks to and from ONNX. The onnx package is imported on use only."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .._validation import check_choice, require
from ..errors import NetworkError
from .shallow import ShallowNetwork

__all__ = ["from_onnx", "to_onnx"]

_OPSET = 17
_IR_VERSION = 8
_ACTIVATIONS = {"relu": "Relu", "leaky": "PRelu", "absolute": "Abs"}  # the slope of LeakyRelu is float32 always


def to_onnx(network: ShallowNetwork, path: str | os.PathLike[str] | None = None, dtype: str = "float64") -> Any:
    """Return the network as an ONNX model, mapping (n, d) to (n, k), also for k = 1; and write it to ``path``.

    The graph is Gemm, Relu (or PRelu, Abs), Gemm; a skip connection adds MatMul and Add.

    Parameters
    ----------
    network : ShallowNetwork
    path : str or path, optional
    dtype : {"float64", "float32"}
        Float64 keeps every bit and is run by onnxruntime; some accelerators want float32.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    MissingExtraError
        If onnx is not installed.
    ProblemError
        For another dtype.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> model = to_onnx(ShallowNetwork([[1.0]], [0.5], [2.0]))
    >>> [node.op_type for node in model.graph.node]
    ['Gemm', 'Relu', 'Gemm']
    """
    onnx = require("onnx", "onnx")
    check_choice(dtype, "dtype", ("float64", "float32"))
    outputs = network.output_weights.reshape(network.n_neurons, -1)
    arrays = {
        "W": network.weights, "b": network.biases,
        "V": outputs.reshape(network.n_neurons, network.n_outputs), "c": np.atleast_1d(network.intercept),
    }  # fmt: skip
    activation = _ACTIVATIONS[network.activation]
    if network.activation == "leaky":
        arrays["kappa"] = np.array([network.negative_slope])
    make = onnx.helper.make_node
    nodes = [
        make("Gemm", ["X", "W", "b"], ["t"], transB=1),
        make(activation, ["t", "kappa"] if network.activation == "leaky" else ["t"], ["s"]),
        make("Gemm", ["s", "V", "c"], ["f"]),
    ]
    if network.skip is not None:
        arrays["C"] = network.skip.reshape(network.n_features, -1)
        nodes[2].output[0] = "g"
        nodes += [make("MatMul", ["X", "C"], ["l"]), make("Add", ["g", "l"], ["f"])]
    kind = onnx.TensorProto.DOUBLE if dtype == "float64" else onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "ShallowNetwork",
        [onnx.helper.make_tensor_value_info("X", kind, ["n", network.n_features])],
        [onnx.helper.make_tensor_value_info("f", kind, ["n", network.n_outputs])],
        [onnx.numpy_helper.from_array(np.array(array, dtype=dtype), name) for name, array in arrays.items()],
    )
    opset = [onnx.helper.make_opsetid("", _OPSET)]
    model = onnx.helper.make_model(graph, opset_imports=opset, producer_name="convexnet")
    model.ir_version = _IR_VERSION  # what the oldest runtimes of this opset read
    if path is not None:
        with open(path, "wb") as file:
            file.write(model.SerializeToString())
    return model


def from_onnx(model: Any) -> ShallowNetwork:
    """Return the network of an ONNX model with one hidden layer.

    Read are graphs of Gemm, MatMul, Add, Sub, Mul, Div by constants, one layer of Relu, LeakyRelu, PRelu (one slope)
    or Abs, and Identity, Cast, Dropout, Flatten, Squeeze and Reshape where they leave rows of numbers alone; with a
    linear skip connection or without. Weights in any floating point type are taken as the numbers they are: a float32
    model computes the same function up to its own rounding.

    Parameters
    ----------
    model : str, path or onnx.ModelProto
        With its weights in the model or in files beside it.

    Raises
    ------
    NetworkError
        For a file that is no ONNX model, more than one hidden layer, another activation, a sigmoid or softmax head
        (it belongs to the loss: export the logits), several inputs or outputs, weights that are missing or NaN.
    MissingExtraError
        If onnx is not installed.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> net = ShallowNetwork([[1.0, 2.0]], [0.5], [2.0])
    >>> from_onnx(to_onnx(net))
    ShallowNetwork(neurons=1, features=2, outputs=1, activation='relu')
    """
    onnx = require("onnx", "onnx")
    if isinstance(model, (str, os.PathLike)):
        model = _opened(onnx, model)
    if not isinstance(model, onnx.ModelProto):
        raise NetworkError(f"Expected an ONNX file or ModelProto, got {type(model).__name__}.")
    from ._onnx_graph import graph_network

    return graph_network(onnx, model)


def _opened(onnx: Any, path: str | os.PathLike[str]) -> Any:
    """The model in a file, with weights stored beside it; nothing in it is executed."""
    with open(path, "rb"):
        pass  # a missing file is an OSError that names it
    try:
        model = onnx.load(os.fspath(path))
    except Exception as error:  # protobuf and onnx raise several kinds on damaged bytes
        why = f"{type(error).__name__}: {error}"
        raise NetworkError(f"{os.fspath(path)} is not a readable ONNX model ({why}).") from None
    if not model.graph.node:
        raise NetworkError(f"{os.fspath(path)} is not an ONNX model with a graph.")
    return model
