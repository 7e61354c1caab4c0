"""Networks to and from ONNX: exact round trips, what onnxruntime computes, every other graph refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks.nets import random_net, relative_difference

from convexnet.errors import NetworkError, ProblemError
from convexnet.networks import ACTIVATIONS, ShallowNetwork, as_shallow, from_onnx, to_onnx

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
pytestmark = pytest.mark.extra

RNG = np.random.default_rng(0)
W, B, V, C = RNG.normal(size=(3, 5)), RNG.normal(size=5), RNG.normal(size=(5, 1)), RNG.normal(size=1)
ARRAYS = {"W": W, "b": B, "V": V, "c": C, "WT": W.T, "VT": V.T, "half": np.array(0.5), "s": np.array([2.0, 3.0, 4.0])}


def model(nodes: list[Any], arrays: dict[str, np.ndarray] | None = None, outputs: int = 1, kind: Any = None) -> Any:
    """A model over three features with the given nodes; the last node's output is its own."""
    kind = kind or onnx.TensorProto.DOUBLE
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [info("X", kind, ["n", 3])],
        [info(nodes[-1].output[0], kind, ["n", outputs])],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in {**ARRAYS, **(arrays or {})}.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    return made


def node(kind: str, inputs: str, output: str, **options: Any) -> Any:
    return helper.make_node(kind, inputs.split(), [output], **options)


def executed(made: Any, X: np.ndarray) -> np.ndarray:
    """What onnxruntime computes, shape (n, k)."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: X})[0]).reshape(len(X), -1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("skip", [False, True])
def test_onnx_computes_the_same_and_comes_back_exactly(
    activation: str, k: int | None, skip: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    outputs = () if k is None else (k,)
    skips = rng.normal(size=(4, *outputs)) if skip else None
    net = random_net(rng, 4, 6, k, activation=activation, intercept=rng.normal(size=outputs), skip=skips)
    made, X = net.to_onnx(tmp_path / "net.onnx"), rng.normal(size=(11, 4))
    onnx.checker.check_model(made)
    assert relative_difference(executed(made, X), net.predict(X).reshape(11, -1)) < 1e-12
    for again in (ShallowNetwork.from_onnx(made), as_shallow(tmp_path / "net.onnx")):
        for name in ("weights", "biases", "output_weights", "intercept", "skip", "activation", "kappa"):
            assert np.array_equal(getattr(again, name), getattr(net, name)), name


def test_float32_export_rounds_weights_only() -> None:
    net = random_net(np.random.default_rng(2), 3, 4)
    again = from_onnx(to_onnx(net, dtype="float32"))
    np.testing.assert_array_equal(again.weights, net.weights.astype(np.float32))
    with pytest.raises(ProblemError, match="dtype"):
        to_onnx(net, dtype="float16")


GRAPHS = {
    "Gemm, transB": [node("Gemm", "X WT b", "t", transB=1), node("Relu", "t", "s1"), node("Gemm", "s1 V c", "f")],
    "alpha and beta": [
        node("Gemm", "X W b", "t", alpha=0.5, beta=2.0), node("Relu", "t", "s1"),
        node("Gemm", "s1 VT c", "f", transB=1, alpha=-1.5, beta=0.0),
    ],
    "MatMul and Add": [
        node("MatMul", "X W", "t0"), node("Add", "b t0", "t"), node("LeakyRelu", "t", "s1", alpha=0.25),
        node("MatMul", "s1 V", "f0"), node("Add", "f0 c", "f"),
    ],
    "no bias": [node("MatMul", "X W", "t"), node("Abs", "t", "s1"), node("MatMul", "s1 V", "f")],
    "nothing happens": [
        node("Flatten", "X", "x"), node("Identity", "x", "x1"), node("Gemm", "x1 W b", "t"), node("Relu", "t", "s1"),
        node("Dropout", "s1", "s2"), node("Gemm", "s2 V c", "f"),
    ],
    "standardised inside": [
        node("Sub", "X s", "x0"), node("Div", "x0 s", "x"), node("Gemm", "x W b", "t"), node("Relu", "t", "s1"),
        node("Mul", "s1 half", "s2"), node("Gemm", "s2 V c", "f0"), node("Neg", "f0", "f"),
    ],
    "two linear layers in front": [
        node("MatMul", "X Q", "t0"), node("Gemm", "t0 W b", "t"),
        node("Relu", "t", "s1"), node("Gemm", "s1 V c", "f"),
    ],
    "skip": [
        node("Gemm", "X W b", "t"), node("Relu", "t", "s1"), node("Gemm", "s1 V c", "g"), node("MatMul", "X L", "l"),
        node("Sub", "g l", "f"),
    ],
    "two branches": [
        node("Gemm", "X W b", "t"), node("Relu", "t", "s1"), node("Gemm", "s1 V c", "g"),
        node("MatMul", "X Q", "q"), node("Relu", "q", "s2"), node("MatMul", "s2 L", "h"), node("Add", "g h", "f"),
    ],
    "PRelu with one slope": [
        node("Gemm", "X W b", "t"), node("PRelu", "t half", "s1"), node("Gemm", "s1 V c", "f"),
    ],
}  # fmt: skip
MORE = {"Q": np.random.default_rng(3).normal(size=(3, 3)), "L": np.random.default_rng(4).normal(size=(3, 1))}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_of_many_shapes_are_read_as_onnxruntime_runs_them(name: str) -> None:
    made, X = model(GRAPHS[name], MORE), np.random.default_rng(5).normal(size=(20, 3))
    onnx.checker.check_model(made)
    assert relative_difference(from_onnx(made).predict(X)[:, None], executed(made, X)) < 1e-7


@pytest.mark.parametrize("kind", ["squeeze", "reshape"])
def test_a_scalar_output_may_be_squeezed(kind: str) -> None:
    nodes = GRAPHS["Gemm, transB"] + [node("Squeeze" if kind == "squeeze" else "Reshape", "f shape", "y")]
    axes = {"shape": np.array([1 if kind == "squeeze" else -1])}
    assert from_onnx(model(nodes, axes)).n_neurons == 5


def test_weights_in_constant_nodes_and_beside_the_model_are_read(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["K"], value=numpy_helper.from_array(W))
    nodes = [constant, node("MatMul", "X K", "t"), node("Relu", "t", "s1"), node("MatMul", "s1 V", "f")]
    made = model(nodes)
    np.testing.assert_array_equal(from_onnx(made).weights, W.T)
    onnx.save(made, tmp_path / "net.onnx", save_as_external_data=True, size_threshold=0, location="weights.bin")
    np.testing.assert_array_equal(from_onnx(str(tmp_path / "net.onnx")).output_weights, V[:, 0])
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(NetworkError, match="not a readable ONNX model"):
        from_onnx(tmp_path / "net.onnx")


def one_layer(*last: Any) -> list[Any]:
    return [node("Gemm", "X W b", "t"), node("Relu", "t", "s1"), node("Gemm", "s1 V c", "f"), *last]


BAD = {
    "more than one hidden layer": [node("Gemm", "X Q", "t"), node("Relu", "t", "t1"), node("Gemm", "t1 W b", "t2"),
                                   node("Relu", "t2", "s1"), node("Gemm", "s1 V c", "f")],
    "Tanh cannot be read": [node("Gemm", "X W b", "t"), node("Tanh", "t", "s1"), node("Gemm", "s1 V c", "f")],
    "Sigmoid is the link of the loss": one_layer(node("Sigmoid", "f", "p")),
    "Softmax is the link of the loss": one_layer(node("Softmax", "f", "p")),
    "no hidden layer": [node("Gemm", "X W b", "t"), node("Gemm", "t V c", "f")],
    "ends with its activation": [node("Gemm", "X W b", "t"), node("Relu", "t", "f")],
    "before it": [node("Relu", "X", "t"), node("Gemm", "t W b", "t2"), node("Gemm", "t2 V c", "f")],
    "not transposed": [node("Gemm", "X W b", "t", transA=1), node("Relu", "t", "s1"), node("Gemm", "s1 V c", "f")],
    "does not fit": [node("Gemm", "X V c", "t"), node("Relu", "t", "s1"), node("Gemm", "s1 V c", "f")],
    "several slopes": [node("Gemm", "X W b", "t"), node("PRelu", "t b", "s1"), node("Gemm", "s1 V c", "f")],
    "training mode": [node("Gemm", "X W b", "t"), node("Relu", "t", "s0"), node("Dropout", "s0 half yes", "s1"),
                      node("Gemm", "s1 V c", "f")],
    "axis must be 1": [node("Flatten", "X", "x", axis=0), node("Gemm", "x W b", "t"),
                       node("Relu", "t", "s1"), node("Gemm", "s1 V c", "f")],
    "nowhere": [node("Gemm", "X nowhere", "t"), node("Relu", "t", "f")],
    "multiplies two values": one_layer(node("Mul", "f f", "y")),
    "NaN": [node("Gemm", "X W nan", "t"), node("Relu", "t", "s1"), node("Gemm", "s1 V c", "f")],
    "reshapes more": [node("Gemm", "X W b", "t"), node("Reshape", "t wide", "t1"), node("Relu", "t1", "s1"),
                      node("Gemm", "s1 V c", "f")],
}  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_other_graphs_are_named(message: str) -> None:
    arrays = {**MORE, "yes": np.array(True), "nan": np.full(5, np.nan), "wide": np.array([5, -1])}
    with pytest.raises(NetworkError, match=message):
        from_onnx(model(BAD[message], arrays))


def test_what_is_no_onnx_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\xff\xfe not a model")
    (tmp_path / "empty.onnx").write_bytes(b"")
    for name in ("net.onnx", "empty.onnx"):
        with pytest.raises(NetworkError, match="ONNX model"):
            from_onnx(tmp_path / name)
    with pytest.raises(NetworkError, match="got int"):
        from_onnx(3)
    with pytest.raises(FileNotFoundError):
        from_onnx(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize("layers", ["relu", "leaky"])
def test_what_torch_exports_is_read(tmp_path: Path, layers: str) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    middle = torch.nn.ReLU() if layers == "relu" else torch.nn.LeakyReLU(0.2)
    module = torch.nn.Sequential(torch.nn.Linear(3, 5), middle, torch.nn.Linear(5, 1)).eval()
    path = tmp_path / "net.onnx"
    try:
        torch.onnx.export(module, (torch.zeros(1, 3),), str(path), dynamo=False)
    except Exception as error:  # the exporter needs packages of its own in some versions
        pytest.skip(f"torch cannot export here: {error}")
    ours, theirs = from_onnx(path), ShallowNetwork.from_torch(module)
    np.testing.assert_array_equal(ours.weights, theirs.weights)
    assert (ours.activation, ours.kappa) == (theirs.activation, theirs.kappa)
