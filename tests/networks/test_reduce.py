"""Caratheodory reduction: same outputs on X, no larger path norm, at most rank many neurons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from networks.nets import KAPPAS, degenerate_net, plain_path_norm, plain_predict, random_net, relative_difference

from convexnet.errors import DataError, NetworkError, ProblemError
from convexnet.networks import ACTIVATIONS, ShallowNetwork

FREE = (None, "intercept", "skip", "linear")


def free_matrix(X: np.ndarray, free: str | None) -> np.ndarray:
    ones = np.ones((X.shape[0], 1))
    return {None: ones[:, :0], "intercept": ones, "skip": np.hstack([X, ones]), "linear": X}[free]


def column_rank(net: ShallowNetwork, X: np.ndarray) -> int:
    """rank of the unit columns vec(sigma(X u_j) v_j^T), recomputed from the raw arrays."""
    t = X @ net.weights.T + net.biases
    kappa = KAPPAS[net.activation]
    hidden = np.maximum(t, kappa * t)
    V = net.output_weights.reshape(net.n_neurons, -1)
    columns = np.array([np.outer(hidden[:, j], V[j]).ravel() for j in range(net.n_neurons)]).T
    lengths = np.linalg.norm(columns, axis=0)
    columns = columns[:, lengths > 0] / lengths[lengths > 0]
    return int(np.linalg.matrix_rank(columns)) if columns.size else 0


def free_rank(F: np.ndarray) -> int:
    """Rank of the unit columns of F, nearly dependent directions (1e-7) not counted."""
    unit = F / np.linalg.norm(F, axis=0)
    return int(np.linalg.matrix_rank(unit, tol=1e-7 * np.linalg.norm(unit, 2))) if F.shape[1] else 0


def check(net: ShallowNetwork, X: np.ndarray, bias: str, norm: str, free: str | None) -> ShallowNetwork:
    small = net.reduced(X, bias, norm, free)
    F = free_matrix(X, free)
    assert relative_difference(plain_predict(small, X), plain_predict(net, X)) <= 1e-10
    assert plain_path_norm(small, bias, norm) <= plain_path_norm(net, bias, norm) * (1 + 1e-12)
    assert small.n_neurons <= column_rank(net, X)
    assert small.n_neurons <= net.n_outputs * (len(X) - free_rank(F))
    np.testing.assert_allclose(small.neuron_norms(bias, norm), small.output_norms(), rtol=1e-10)
    if free in (None, "intercept"):
        assert (small.skip is None) == (net.skip is None)
        assert net.skip is None or np.array_equal(small.skip, net.skip)
    if free in (None, "linear") and not (bias == "free" and np.any(~net.weights.any(axis=1))):
        np.testing.assert_array_equal(small.intercept, net.intercept)
    return small


@pytest.mark.parametrize("block", range(10))
def test_five_hundred_degenerate_networks(block: int) -> None:
    rng = np.random.default_rng([2024, block])
    for _ in range(50):
        n, d, m = (int(rng.integers(1, high)) for high in (12, 5, 40))
        X = rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-2, 2, size=d)
        if n > 2 and rng.integers(3) == 0:
            X[1] = X[0] * rng.choice([1.0, -1.0, 0.0])
        bias, norm = rng.choice(["penalized", "free", "none"]), rng.choice(["l2", "l1"])
        activation, free = rng.choice(ACTIVATIONS), FREE[rng.integers(4)]
        k = [None, None, 2, 3][rng.integers(4)]
        check(degenerate_net(rng, X, m, k, str(bias), str(activation)), X, str(bias), str(norm), free)


small_integers = st.integers(-2, 2).map(float)


@settings(max_examples=80)
@given(
    arrays(float, (6, 2), elements=small_integers),
    arrays(float, 6, elements=small_integers),
    arrays(float, (6, 2), elements=small_integers),
    arrays(float, (4, 2), elements=small_integers),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from(FREE),
)
def test_integer_networks_full_of_ties(
    W: np.ndarray, b: np.ndarray, V: np.ndarray, X: np.ndarray, activation: str, free: str | None
) -> None:
    net = ShallowNetwork(W, b, V, activation=activation)
    for bias in ("penalized", "free"):
        small = net.reduced(X, bias, free=free)
        assert np.abs(small.predict(X) - net.predict(X)).max() <= 1e-11
        assert small.path_norm(bias) <= net.path_norm(bias) + 1e-11
        assert small.n_neurons <= min(net.n_neurons, 8)


@pytest.mark.parametrize("free", FREE)
@pytest.mark.parametrize("k", [None, 2])
def test_many_windows_of_columns(free: str | None, k: int | None) -> None:
    rng = np.random.default_rng(6)
    X, net = rng.normal(size=(20, 3)), random_net(rng, 3, 700, k)
    small = check(net, X, "penalized", "l2", free)
    assert small.n_neurons == (k or 1) * (20 - np.linalg.matrix_rank(free_matrix(X, free)))
    assert small.path_norm() < 0.5 * net.path_norm()


def test_a_few_hundred_neurons() -> None:
    rng = np.random.default_rng(7)
    X = rng.normal(size=(200, 5))
    assert check(random_net(rng, 5, 300), X, "penalized", "l2", None).n_neurons <= 200


def test_independent_columns_only_get_balanced() -> None:
    rng = np.random.default_rng(9)
    X, net = rng.normal(size=(30, 3)), random_net(rng, 3, 8, 2)
    small = net.reduced(X)
    assert small.n_neurons == 8
    far = 10 * rng.normal(size=(50, 3))
    assert relative_difference(small.predict(far), net.predict(far)) < 1e-12


def test_the_cheaper_of_two_proportional_columns_survives() -> None:
    X = np.array([[1.0, 0.0]])
    net = ShallowNetwork([[1.0, 0.0], [1.0, 7.0], [1.0, -3.0]], np.zeros(3), [1.0, 1.0, 2.0])
    small = net.reduced(X)
    assert small.n_neurons == 1 and small.path_norm() == pytest.approx(4.0, rel=1e-12)


def test_opposite_columns_cancel() -> None:
    X = np.array([[1.0, 2.0], [3.0, 1.0]])
    net = ShallowNetwork([[1.0, 1.0], [2.0, 2.0]], [0.0, 0.0], [4.0, -2.0])
    small = net.reduced(X)
    assert small.path_norm() == pytest.approx(0.0, abs=1e-12) and np.abs(small.predict(X)).max() < 1e-12


def test_dead_neurons_vanish() -> None:
    net = ShallowNetwork([[1.0], [1.0]], [0.0, -100.0], [2.0, 50.0])
    small = net.reduced([[1.0], [2.0]])
    assert small.n_neurons == 1 and small.path_norm() == pytest.approx(2.0)
    assert ShallowNetwork([[1.0]], [-100.0], [3.0], intercept=4.0).reduced([[1.0]]).n_neurons == 0


def test_constants_of_a_free_bias_move_to_the_intercept() -> None:
    rng = np.random.default_rng(1)
    W, b = rng.normal(size=(4, 2)), np.array([2.0, -1.0, 0.3, 3.0])
    W[[0, 3]] = 0.0
    net = ShallowNetwork(W, b, rng.normal(size=(4, 2)), intercept=[1.0, 2.0])
    small, far = net.reduced(rng.normal(size=(9, 2)), "free"), rng.normal(size=(20, 2))
    assert small.n_neurons == 2
    np.testing.assert_allclose(small.predict(far), net.predict(far), atol=1e-13)
    np.testing.assert_allclose(small.intercept, net.intercept + b[[0, 3]] @ net.output_weights[[0, 3]], atol=1e-15)


@pytest.mark.parametrize("k", [None, 2])
def test_neurons_active_everywhere_become_the_skip_connection(k: int | None) -> None:
    rng = np.random.default_rng(2)
    X, net = rng.uniform(size=(12, 2)), random_net(rng, 2, 4, k)
    net = ShallowNetwork(np.abs(net.weights), np.abs(net.biases), net.output_weights)
    small = check(net, X, "penalized", "l2", "skip")
    assert small.n_neurons == 0 and small.path_norm() == 0.0
    np.testing.assert_allclose(small.skip, net.weights.T @ net.output_weights, atol=1e-12)


def test_nearly_dependent_free_columns_get_no_huge_coefficients() -> None:
    rng = np.random.default_rng(12)
    X = np.column_stack([np.full(8, 1e4) + 1e-6 * rng.normal(size=8), rng.normal(size=8)])
    net = random_net(rng, 2, 20)
    small = net.reduced(X, free="skip")
    assert small.n_neurons <= 8 - 2
    assert relative_difference(small.predict(X), net.predict(X)) < 1e-10
    assert np.abs(small.skip).max() < 1e3 * net.path_norm()


def test_reducing_twice_changes_nothing_more() -> None:
    rng = np.random.default_rng(3)
    X, net = rng.normal(size=(6, 2)), random_net(rng, 2, 50)
    once = net.reduced(X)
    twice = once.reduced(X)
    assert twice.n_neurons == once.n_neurons
    np.testing.assert_allclose(twice.weights, once.weights, rtol=1e-9)


def test_path_norm_is_the_same_after_scaling_data_and_weights_together() -> None:
    rng = np.random.default_rng(4)
    X, net = rng.normal(size=(8, 3)), random_net(rng, 3, 30, unbiased=True)
    scaled = ShallowNetwork(net.weights / 64.0, net.biases, net.output_weights)
    a, b = net.reduced(X, "none"), scaled.reduced(64.0 * X, "none")
    assert a.n_neurons == b.n_neurons
    assert a.path_norm("none") == pytest.approx(64.0 * b.path_norm("none"), rel=1e-8)


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1e8, 1e150])
def test_extreme_units(scale: float) -> None:
    rng = np.random.default_rng(5)
    X, net = rng.normal(size=(6, 2)), random_net(rng, 2, 20)
    big = ShallowNetwork(net.weights * scale, net.biases * scale, net.output_weights)
    small = big.reduced(X)
    assert small.n_neurons <= 6
    assert relative_difference(small.predict(X), big.predict(X)) < 1e-10


def test_bad_options_are_named() -> None:
    net = ShallowNetwork([[1.0]], [1.0], [1.0])
    with pytest.raises(ProblemError, match="free"):
        net.reduced([[1.0]], free="everything")
    with pytest.raises(ProblemError, match="free"):
        net.reduced([[1.0]], free=np.ones((1, 1)))  # type: ignore[arg-type]
    with pytest.raises(DataError):
        net.reduced([[1.0, 2.0]])
    with pytest.raises(NetworkError):
        net.reduced([[1.0]], bias="none")
