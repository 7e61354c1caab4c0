"""ShallowNetwork: every number recomputed from the raw arrays, every bad input named."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from networks.nets import plain_path_norm, plain_predict, random_net

from convexnet.errors import DataError, NetworkError, ProblemError
from convexnet.networks import ACTIVATIONS, ShallowNetwork

finite = st.floats(-1e3, 1e3, allow_nan=False, width=64)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("k", [None, 2, 3])
@pytest.mark.parametrize("skip", [False, True])
def test_prediction_is_the_sum_over_neurons(activation: str, k: int | None, skip: bool) -> None:
    rng = np.random.default_rng(3)
    X, outputs = rng.normal(size=(7, 4)), () if k is None else (k,)
    net = random_net(
        rng,
        4,
        5,
        k,
        activation=activation,
        intercept=rng.normal(size=outputs),
        skip=rng.normal(size=(4, *outputs)) if skip else None,
    )
    expected = plain_predict(net, X)
    assert net.predict(X).shape == (7, *outputs)
    np.testing.assert_allclose(net.predict(X).reshape(7, -1), expected, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(net.activation_patterns(X), (X @ net.weights.T + net.biases >= 0).astype(int))
    assert net.activation_patterns(X).dtype == np.uint8


@settings(max_examples=60)
@given(
    st.integers(1, 3).flatmap(
        lambda d: st.tuples(arrays(float, (3, d), elements=finite), arrays(float, (2, d), elements=finite))
    ),
    arrays(float, 3, elements=finite),
    arrays(float, 3, elements=finite),
    st.sampled_from(ACTIVATIONS),
)
def test_prediction_and_norms_on_arbitrary_small_networks(
    weights_X: tuple, b: np.ndarray, v: np.ndarray, activation: str
) -> None:
    W, X = weights_X
    net = ShallowNetwork(W, b, v, activation=activation)
    scale = 1 + np.abs(v) @ (np.abs(W).sum(axis=1) * 1e3 + np.abs(b))
    assert np.abs(net.predict(X) - plain_predict(net, X)[:, 0]).max() <= 1e-14 * scale
    for bias in ("penalized", "free"):
        for norm in ("l2", "l1"):
            assert net.path_norm(bias, norm) == pytest.approx(plain_path_norm(net, bias, norm), rel=1e-12, abs=1e-140)
            assert net.path_norm(bias, norm) <= net.weight_decay(bias, norm) * (1 + 1e-12)


def test_a_neuron_is_active_on_its_own_hyperplane() -> None:
    net = ShallowNetwork([[1.0], [-1.0]], [0.0, 2.0], [1.0, 1.0])
    np.testing.assert_array_equal(
        net.activation_patterns([[0.0], [-1.0], [2.0], [2.5]]), [[1, 1], [0, 1], [1, 1], [1, 0]]
    )


def test_one_output_column_is_a_scalar_network() -> None:
    net = ShallowNetwork([[1.0, 2.0]], [0.0], [[3.0]], intercept=[1.0], skip=[[1.0], [0.0]])
    assert net.n_outputs == 1 and net.intercept == 1.0 and isinstance(net.intercept, float)
    np.testing.assert_array_equal(net.predict([[1.0, 1.0], [-1.0, 0.0]]), [11.0, 0.0])


def test_intercept_number_is_repeated_for_every_output() -> None:
    net = ShallowNetwork(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 3)), intercept=2.0)
    np.testing.assert_array_equal(net.predict([[5.0, 6.0]]), [[2.0, 2.0, 2.0]])
    assert (net.n_neurons, net.n_features, net.n_outputs, net.path_norm()) == (0, 2, 3, 0.0)
    for other in (net.balanced(), net.merged(), net.merged(X=[[1.0, 2.0]]), net.reduced([[1.0, 2.0]]), net.pruned(0.5)):
        np.testing.assert_array_equal(other.predict([[5.0, 6.0]]), [[2.0, 2.0, 2.0]])


def test_arrays_are_read_only_copies() -> None:
    W = np.ones((2, 2))
    net = ShallowNetwork(W, [0.0, 0.0], [1.0, 1.0], skip=np.ones(2))
    W[:] = 7
    assert net.weights.max() == 1.0
    for array in (net.weights, net.biases, net.output_weights, net.skip):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 3.0  # type: ignore[index]
    with pytest.raises(AttributeError):
        net.weights = W  # type: ignore[misc]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_and_pickles_are_the_same_and_stay_read_only(duplicate) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    net = random_net(rng, 3, 4, 2, activation="leaky", intercept=[1.0, 2.0], skip=rng.normal(size=(3, 2)))
    twin = duplicate(net)
    X = rng.normal(size=(5, 3))
    np.testing.assert_array_equal(twin.predict(X), net.predict(X))
    assert not twin.weights.flags.writeable and twin.activation == "leaky"


def test_dict_is_json_and_rebuilds_the_network() -> None:
    rng = np.random.default_rng(1)
    net = random_net(rng, 2, 3, activation="absolute", intercept=0.1, skip=[1.0, 2.0])
    again = ShallowNetwork(**json.loads(json.dumps(net.to_dict())))
    X = rng.normal(size=(4, 2))
    np.testing.assert_array_equal(again.predict(X), net.predict(X))


def test_repr_is_one_line_and_summary_has_the_norms() -> None:
    net = ShallowNetwork(np.ones((9, 2)), np.zeros(9), np.ones(9))
    assert repr(net) == "ShallowNetwork(neurons=9, features=2, outputs=1, activation='relu')"
    assert f"{9 * np.sqrt(2):.6g}" in net.summary()


def test_norms_neither_overflow_nor_underflow() -> None:
    net = ShallowNetwork([[3e-200, 4e-200], [3e200, 4e200]], [0.0, 0.0], [1e200, 1e-200])
    np.testing.assert_allclose(net.neuron_norms(), [5e-200, 5e200], rtol=1e-15)
    assert net.path_norm() == pytest.approx(10.0, rel=1e-14)


def test_bias_none_refuses_a_network_with_biases() -> None:
    net = ShallowNetwork([[1.0]], [0.5], [1.0])
    for call in (net.neuron_norms, net.path_norm, net.weight_decay, net.balanced, net.merged):
        with pytest.raises(NetworkError, match="bias='none'"):
            call(bias="none")  # type: ignore[operator]


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": [1.0, 2.0]},
        {"weights": [[1.0, np.nan]]},
        {"weights": [[1.0, 2.0], [3.0]]},
        {"weights": [["a", "b"]]},
        {"weights": np.ones((1, 2)) * 1j},
        {"weights": np.zeros((1, 0))},
        {"biases": [1.0, 2.0]},
        {"biases": 1.0},
        {"biases": [np.inf]},
        {"output_weights": [1.0, 2.0]},
        {"output_weights": 1.0},
        {"output_weights": np.ones((1, 1, 1))},
        {"intercept": [1.0, 2.0]},
        {"intercept": np.nan},
        {"intercept": None},
        {"output_weights": [[1.0, 2.0]], "intercept": [1.0, 2.0, 3.0]},
        {"skip": [1.0]},
        {"skip": [[1.0, 2.0], [1.0, 2.0]]},
        {"output_weights": [[1.0, 2.0]], "skip": [1.0, 2.0]},
        {"activation": "tanh"},
        {"activation": None},
        {"activation": "leaky", "negative_slope": 1.5},
        {"activation": "leaky", "negative_slope": np.nan},
        {"negative_slope": "steep"},
        {"negative_slope": np.nan},
    ],
)
def test_bad_networks_are_named(changes: dict) -> None:
    fields = {"weights": [[1.0, 2.0]], "biases": [0.0], "output_weights": [1.0], **changes}
    with pytest.raises(NetworkError):
        ShallowNetwork(**fields)


def test_bad_data_and_options_are_named() -> None:
    net = ShallowNetwork([[1.0, 2.0]], [0.0], [1.0])
    with pytest.raises(DataError, match="built for 2"):
        net.predict([[1.0]])
    with pytest.raises(DataError):
        net.hidden([[np.nan, 1.0]])
    with pytest.raises(ProblemError, match="bias"):
        net.path_norm("sometimes")
    with pytest.raises(ProblemError, match="norm"):
        net.path_norm(norm="l3")
