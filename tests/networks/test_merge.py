"""balanced, pruned and merged: what must not change and what must not grow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from networks.nets import degenerate_net, plain_path_norm, plain_predict, random_net, relative_difference

from convexnet.errors import DataError, ProblemError
from convexnet.networks import ACTIVATIONS, ShallowNetwork

CASES = [(a, k, b) for a in ACTIVATIONS for k in (None, 2) for b in ("penalized", "free", "none")]


def nets(activation: str, k: int | None, bias: str, count: int = 12):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng([len(activation), k or 0, len(bias)])
    for _ in range(count):
        X = rng.normal(size=(int(rng.integers(1, 7)), int(rng.integers(1, 4))))
        yield degenerate_net(rng, X, int(rng.integers(1, 15)), k, bias, activation), X, rng


@pytest.mark.parametrize(("activation", "k", "bias"), CASES)
@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_balanced_keeps_the_function_and_equalises(activation: str, k: int | None, bias: str, norm: str) -> None:
    for net, X, rng in nets(activation, k, bias):
        same = net.balanced(bias, norm)
        far = np.vstack([X, 100 * rng.normal(size=(20, X.shape[1]))])
        assert relative_difference(plain_predict(same, far), plain_predict(net, far)) < 1e-12
        live = net.pruned()  # a relu that is zero everywhere, w = 0 and b < 0, has a norm but no use
        assert same.path_norm(bias, norm) == pytest.approx(plain_path_norm(live, bias, norm), rel=1e-12, abs=1e-14)
        assert same.path_norm(bias, norm) <= plain_path_norm(net, bias, norm) * (1 + 1e-12)
        norms, out = same.neuron_norms(bias, norm), same.output_norms()
        paying = norms > 0
        np.testing.assert_allclose(norms[paying], out[paying], rtol=1e-12)
        assert (bias == "free") or paying.all()
        if paying.all():
            assert same.weight_decay(bias, norm) == pytest.approx(same.path_norm(bias, norm), rel=1e-12, abs=1e-14)


def test_balanced_minimises_the_weight_decay_over_rescalings() -> None:
    rng = np.random.default_rng(5)
    net = random_net(rng, 3, 4)
    for _ in range(50):
        c = np.exp(rng.normal(size=4))
        other = ShallowNetwork(net.weights * c[:, None], net.biases * c, net.output_weights / c)
        assert other.weight_decay() >= net.balanced().weight_decay() * (1 - 1e-14)


def test_balanced_survives_extreme_scales() -> None:
    net = ShallowNetwork([[3e-300, 4e-300], [1e300, 0.0], [5e-324, 0.0]], np.zeros(3), [2e300, 1e-300, 1e308])
    same = net.balanced()
    np.testing.assert_allclose(same.predict(np.eye(2)), [7.0, 8.0], rtol=1e-15)
    np.testing.assert_allclose(same.neuron_norms(), same.output_norms(), rtol=1e-12)


def test_constant_neuron_of_a_free_bias_is_kept_and_useless_neurons_go() -> None:
    net = ShallowNetwork([[0.0], [0.0], [1.0], [0.0]], [2.0, -2.0, 1.0, 0.0], [3.0, 3.0, 0.0, 1.0])
    same = net.balanced("free")
    assert (same.n_neurons, same.biases[0], same.output_weights[0]) == (1, 2.0, 3.0)
    leaky = ShallowNetwork([[0.0]], [-2.0], [3.0], activation="leaky").balanced("free")
    assert leaky.predict([[9.0]])[0] == pytest.approx(-0.06)


def test_pruned_without_tolerance_changes_nothing() -> None:
    for net, X, rng in nets("relu", 2, "penalized"):
        far = np.vstack([X, rng.normal(size=(10, X.shape[1]))])
        assert relative_difference(plain_predict(net.pruned(), far), plain_predict(net, far)) < 1e-13


@pytest.mark.parametrize("tol", [1e-3, 0.3, 1.0])
def test_pruned_moves_predictions_by_at_most_the_dropped_path_norm(tol: float) -> None:
    rng = np.random.default_rng(2)
    net = random_net(rng, 3, 20, 2)
    small, X = net.pruned(tol), rng.normal(size=(50, 3))
    dropped = net.path_norm() - small.path_norm()
    moved = np.linalg.norm(small.predict(X) - net.predict(X), axis=1)
    assert np.all(moved <= dropped * np.sqrt(1 + np.sum(X**2, axis=1)) + 1e-12)
    assert small.n_neurons == np.sum(
        net.neuron_norms() * net.output_norms() > tol * np.max(net.neuron_norms() * net.output_norms())
    )


def test_pruned_refuses_a_negative_tolerance() -> None:
    with pytest.raises(ProblemError, match="tol"):
        ShallowNetwork([[1.0]], [0.0], [1.0]).pruned(-1e-3)


@pytest.mark.parametrize(("activation", "k", "bias"), CASES)
def test_merged_without_data_keeps_the_function_everywhere(activation: str, k: int | None, bias: str) -> None:
    for net, X, rng in nets(activation, k, bias):
        small = net.merged(bias)
        far = np.vstack([X, 100 * rng.normal(size=(20, X.shape[1]))])
        assert relative_difference(plain_predict(small, far), plain_predict(net, far)) < 1e-12
        assert plain_path_norm(small, bias, "l2") <= plain_path_norm(net, bias, "l2") * (1 + 1e-12)
        assert small.merged(bias).n_neurons == small.n_neurons


@pytest.mark.parametrize(("activation", "k", "bias"), CASES)
@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_merged_with_data_keeps_the_outputs_and_leaves_one_neuron_per_cell_and_sign(
    activation: str, k: int | None, bias: str, norm: str
) -> None:
    for net, X, _ in nets(activation, k, bias):
        small = net.merged(bias, X, norm)
        assert relative_difference(plain_predict(small, X), plain_predict(net, X)) < 1e-11
        assert plain_path_norm(small, bias, norm) <= plain_path_norm(net, bias, norm) * (1 + 1e-12)
        if k is None and activation != "absolute":
            signs = np.sign(X @ small.weights.T + small.biases)
            inside = np.all(np.abs(X @ small.weights.T + small.biases) > 1e-9, axis=0)
            labels = [(*signs[:, j], np.sign(small.output_weights[j])) for j in np.flatnonzero(inside)]
            assert len(set(labels)) == len(labels)


def test_twins_merge_and_opposite_twins_cancel() -> None:
    W = [[1.0, 2.0, 3.0], [0.3, 0.6, 0.9], [7.0, 14.0, 21.0]]
    net = ShallowNetwork(W, [1.0, 0.3, 7.0], [1.0, 10.0, -3.0 / 7.0]).merged()
    assert net.n_neurons == 1 and net.path_norm() == pytest.approx(np.sqrt(15.0), rel=1e-12)
    assert ShallowNetwork(W, [1.0, 0.3, 7.0], [1.0, 10.0, -4.0 / 7.0]).merged().n_neurons == 0
    assert ShallowNetwork([[1.0], [2.0]], [1.0, 2.0], [2.0, -1.0]).merged().n_neurons == 0
    assert ShallowNetwork([[1.0], [-1.0]], [1.0, -1.0], [2.0, 1.0]).merged().n_neurons == 2
    assert ShallowNetwork([[1.0], [-1.0]], [1.0, -1.0], [2.0, 1.0], activation="absolute").merged().n_neurons == 1


def test_nearly_parallel_neurons_do_not_merge_without_data() -> None:
    assert ShallowNetwork([[1.0, 0.0], [1.0, 1e-12]], [0.0, 0.0], [1.0, 1.0]).merged().n_neurons == 2


def test_neurons_on_the_common_boundary_of_two_cells_merge_with_one_side_only() -> None:
    X = np.array([[1.0, 0.0], [0.0, 1.0]])
    left, right, wall = [1.0, -1.0], [1.0, 1.0], [1.0, 0.0]
    both = ShallowNetwork([left, right, wall], np.zeros(3), np.ones(3)).merged(X=X)
    assert both.n_neurons == 2
    np.testing.assert_allclose(both.predict(X), [3.0, 1.0], rtol=1e-14)
    signs = ShallowNetwork([right, wall], np.zeros(2), [1.0, -1.0]).merged(X=X)
    assert signs.n_neurons == 2


def test_neurons_on_walls_merge_only_if_one_cell_holds_them_all() -> None:
    net = ShallowNetwork([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]], np.zeros(3), np.ones(3))
    small = net.merged(X=np.eye(2))
    assert small.n_neurons == 2
    np.testing.assert_allclose(small.predict(np.eye(2)), [1.0, 1.0], rtol=1e-14)


def test_thin_cells_are_kept_apart() -> None:
    net = ShallowNetwork([[1.0, 1e-8], [1.0, -1e-8]], np.zeros(2), np.ones(2))
    small = net.merged(X=np.eye(2))
    assert small.n_neurons == 2
    np.testing.assert_allclose(small.predict(np.eye(2)), [2.0, 1e-8], rtol=1e-14)


def test_absolute_value_merges_opposite_cells() -> None:
    X = np.array([[1.0, 0.0], [0.0, 1.0]])
    net = ShallowNetwork([[1.0, 2.0], [-2.0, -1.0], [1.0, -1.0]], np.zeros(3), np.ones(3), activation="absolute")
    small = net.merged(X=X)
    assert small.n_neurons == 2
    np.testing.assert_allclose(small.predict(X), net.predict(X), rtol=1e-14)


def test_vector_outputs_merge_only_when_parallel() -> None:
    X = np.eye(2)
    W = [[1.0, 2.0], [2.0, 1.0], [1.0, 1.0]]
    net = ShallowNetwork(W, np.zeros(3), [[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0]])
    small = net.merged(X=X)
    assert small.n_neurons == 2
    np.testing.assert_allclose(small.predict(X), net.predict(X), rtol=1e-13)


def test_merging_is_independent_of_rescaled_and_reordered_neurons() -> None:
    rng = np.random.default_rng(8)
    X, net = rng.normal(size=(6, 2)), random_net(rng, 2, 40)
    order, c = rng.permutation(40), np.exp(rng.normal(size=40))
    other = ShallowNetwork((net.weights * c[:, None])[order], (net.biases * c)[order], (net.output_weights / c)[order])
    a, b = net.merged(X=X), other.merged(X=X)
    assert a.n_neurons == b.n_neurons < 40
    assert a.path_norm() == pytest.approx(b.path_norm(), rel=1e-12)


small_integers = st.integers(-2, 2).map(float)


@settings(max_examples=80)
@given(
    arrays(float, (5, 2), elements=small_integers),
    arrays(float, 5, elements=small_integers),
    arrays(float, 5, elements=small_integers),
    arrays(float, (4, 2), elements=small_integers),
    st.sampled_from(ACTIVATIONS),
)
def test_merged_on_integer_networks_full_of_ties(
    W: np.ndarray, b: np.ndarray, v: np.ndarray, X: np.ndarray, activation: str
) -> None:
    net = ShallowNetwork(W, b, v, activation=activation)
    for bias in ("penalized", "free"):
        for small in (net.merged(bias), net.merged(bias, X)):
            assert np.abs(small.predict(X) - net.predict(X)).max() <= 1e-12
            assert small.path_norm(bias) <= net.path_norm(bias) + 1e-12
            assert small.n_neurons <= net.n_neurons


def test_merged_names_wrong_data() -> None:
    with pytest.raises(DataError, match="feature"):
        ShallowNetwork([[1.0]], [0.0], [1.0]).merged(X=[[1.0, 2.0]])
