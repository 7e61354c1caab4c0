"""GatedNetwork: predictions and group norms recomputed gate by gate."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from convexnet.errors import DataError, NetworkError, ProblemError
from convexnet.networks import ACTIVATIONS, GatedNetwork, ShallowNetwork, slope


def random_gated(rng: np.random.Generator, k: int | None, gate_bias: bool, activation: str = "relu") -> GatedNetwork:
    d, P, outputs = 3, 6, () if k is None else (k,)
    return GatedNetwork(
        rng.normal(size=(d + gate_bias, P)),
        rng.normal(size=(d, P, *outputs)),
        rng.normal(size=(P, *outputs)),
        intercept=rng.normal(size=outputs),
        skip=rng.normal(size=(d, *outputs)),
        activation=activation,
        negative_slope=0.2,
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("k", [None, 2])
@pytest.mark.parametrize("gate_bias", [False, True])
def test_prediction_is_the_sum_over_gates(activation: str, k: int | None, gate_bias: bool) -> None:
    rng = np.random.default_rng(0)
    net, X = random_gated(rng, k, gate_bias, activation), rng.normal(size=(9, 3))
    expected = np.zeros((9, k or 1)) + net.intercept + X @ net.skip.reshape(3, -1)
    for p in range(6):
        value = X @ net.gates[:3, p] + (net.gates[3, p] if gate_bias else 0.0)
        factor = np.where(value >= 0, 1.0, slope(activation, 0.2))
        expected += factor[:, None] * (X @ net.weights[:, p].reshape(3, -1) + np.reshape(net.biases[p], -1))
        np.testing.assert_array_equal(net.gate_patterns(X)[:, p], value >= 0)
    assert net.predict(X).shape == ((9,) if k is None else (9, k))
    np.testing.assert_allclose(net.predict(X).reshape(9, -1), expected, atol=1e-13)
    assert net.gate_patterns(X).dtype == np.uint8


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gates_equal_to_the_neurons_give_the_shallow_network(activation: str) -> None:
    rng = np.random.default_rng(1)
    W, b, v = rng.normal(size=(5, 2)), rng.normal(size=5), rng.normal(size=5)
    shallow = ShallowNetwork(W, b, v, 0.5, activation=activation, negative_slope=0.2)
    gated = GatedNetwork(np.vstack([W.T, b]), W.T * v, b * v, 0.5, activation=activation, negative_slope=0.2)
    X = rng.normal(size=(30, 2))
    np.testing.assert_allclose(gated.predict(X), shallow.predict(X), atol=1e-13)
    for bias in ("penalized", "free"):
        for norm in ("l2", "l1"):
            assert gated.group_norm(bias, norm) == pytest.approx(shallow.path_norm(bias, norm), rel=1e-13)


@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("k", [None, 2, 4])
def test_group_norms_gate_by_gate(bias: str, k: int | None) -> None:
    net = random_gated(np.random.default_rng(2), k, True)
    blocks = [np.vstack([net.weights[:, p].reshape(3, -1), np.reshape(net.biases[p], (1, -1))]) for p in range(6)]
    blocks = [B if bias == "penalized" else B[:3] for B in blocks]
    assert net.group_norm(bias) == pytest.approx(sum(np.linalg.norm(B, "nuc") for B in blocks), rel=1e-12)
    frobenius = net.group_norm(bias, group="frobenius")
    assert frobenius == pytest.approx(sum(np.linalg.norm(B) for B in blocks), rel=1e-12)
    assert net.group_norm(bias, "l1") == pytest.approx(sum(np.linalg.norm(B, axis=1).sum() for B in blocks), rel=1e-12)
    assert frobenius <= net.group_norm(bias) * (1 + 1e-14) <= net.group_norm(bias, "l1") * (1 + 1e-13)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_group_norm_is_a_lower_bound_of_every_split_into_neurons_and_attained(norm: str) -> None:
    rng = np.random.default_rng(3)
    order = {"l2": 2, "l1": 1}[norm]
    U, V = rng.normal(size=(3, 5)), rng.normal(size=(5, 2))
    net = GatedNetwork(np.ones((3, 1)), (U @ V)[:, None, :])
    split = sum(np.linalg.norm(U[:, j], order) * np.linalg.norm(V[j]) for j in range(5))
    assert net.group_norm("none", norm) <= split
    W = U @ V
    if norm == "l2":
        A, s, B = np.linalg.svd(W, full_matrices=False)
        attained = sum(np.linalg.norm(A[:, i] * s[i]) * np.linalg.norm(B[i]) for i in range(2))
    else:
        attained = sum(np.linalg.norm(row) for row in W)
    assert net.group_norm("none", norm) == pytest.approx(attained, rel=1e-12)


def test_no_gates_is_an_affine_model() -> None:
    net = GatedNetwork(np.zeros((2, 0)), np.zeros((2, 0)), intercept=3.0)
    assert net.n_gates == 0 and net.group_norm() == 0.0
    np.testing.assert_array_equal(net.predict([[1.0, 2.0]]), [3.0])


def test_copies_dict_repr_and_summary() -> None:
    net = random_gated(np.random.default_rng(4), 2, True)
    X = np.random.default_rng(5).normal(size=(4, 3))
    np.testing.assert_array_equal(copy.deepcopy(net).predict(X), net.predict(X))
    np.testing.assert_array_equal(GatedNetwork(**json.loads(json.dumps(net.to_dict()))).predict(X), net.predict(X))
    assert repr(net) == "GatedNetwork(gates=6, features=3, outputs=2, activation='relu')"
    assert f"{net.group_norm():.6g}" in net.summary() and net.has_gate_bias
    assert not net.gates.flags.writeable


@pytest.mark.parametrize(
    "changes",
    [
        {"gates": np.ones((4, 2))},
        {"gates": np.ones((2, 3))},
        {"gates": [[np.nan, 1.0], [1.0, 1.0]]},
        {"weights": np.ones(2)},
        {"weights": np.ones((0, 2))},
        {"biases": np.ones(3)},
        {"biases": np.ones((2, 2))},
        {"weights": np.ones((2, 2, 3)), "biases": np.ones(2)},
        {"skip": np.ones(3)},
        {"intercept": [1.0, 2.0]},
        {"activation": "step"},
        {"activation": "leaky", "negative_slope": 2.0},
    ],
)
def test_bad_networks_are_named(changes: dict) -> None:
    with pytest.raises(NetworkError):
        GatedNetwork(**{"gates": np.ones((2, 2)), "weights": np.ones((2, 2)), **changes})


def test_bad_options_are_named() -> None:
    net = GatedNetwork(np.ones((1, 1)), np.ones((1, 1, 2)), np.ones((1, 2)))
    with pytest.raises(ProblemError, match="frobenius"):
        net.group_norm(norm="l1", group="frobenius")
    with pytest.raises(ProblemError, match="group"):
        net.group_norm(group="trace")
    with pytest.raises(NetworkError, match="bias='none'"):
        net.group_norm("none")
    with pytest.raises(DataError):
        net.predict([[1.0, 2.0]])
