"""Gradients against finite differences; objectives against the problem's own yardstick."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from baselines.cases import small_problem

from convexnet import TrainingProblem
from convexnet.baselines import StandardForm
from convexnet.baselines.starts import INITIAL_PATH, random_starts
from convexnet.errors import ProblemError
from convexnet.networks import ShallowNetwork

LOSSES = ("squared", "huber", "absolute", "logistic", "hinge", "softmax")
SHAPES = [(loss, 3 if loss == "softmax" else 1) for loss in LOSSES] + [(loss, 3) for loss in LOSSES[:5]]


def assert_gradient(form: StandardForm, theta: np.ndarray, smoothing: float = 0.0, rounding: float = 0.0) -> None:
    """Central differences along random directions; values and gradient come from different code."""
    values, gradient = form.value_and_gradient(theta, smoothing, rounding)
    if smoothing == rounding == 0:
        np.testing.assert_allclose(values, form.values(theta), rtol=1e-12)
    rng = np.random.default_rng(1)
    for _ in range(3):
        D = rng.standard_normal(theta.shape)
        h = 1e-6
        up, down = (form.value_and_gradient(theta + t * D, smoothing, rounding)[0] for t in (h, -h))
        np.testing.assert_allclose((up - down) / (2 * h), (gradient * D).sum(1), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("loss", "outputs"), SHAPES)
@pytest.mark.parametrize("bias", ["penalized", "free", "none"])
def test_gradient_matches_finite_differences(loss: str, outputs: int, bias: str) -> None:
    for activation, norm, skip in itertools.product(("relu", "leaky", "absolute"), ("l2", "l1"), (False, True)):
        problem = small_problem(
            loss, outputs=outputs, bias=bias, activation=activation, norm=norm, skip=skip, weighted=True
        )
        form = StandardForm(problem, 4)
        assert_gradient(form, random_starts(form, 3, seed=0))


@pytest.mark.parametrize("loss", ["absolute", "hinge"])
def test_gradient_of_the_smoothed_loss(loss: str) -> None:
    form = StandardForm(small_problem(loss, weighted=True), 4)
    theta = random_starts(form, 2, seed=0)
    assert_gradient(form, theta, smoothing=0.5)
    exact, smoothed = form.value_and_gradient(theta)[0], form.value_and_gradient(theta, 1e-9)[0]
    np.testing.assert_allclose(smoothed, exact, rtol=1e-7)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("activation", ["relu", "leaky", "absolute"])
def test_gradient_of_the_rounded_activation(outputs: int, activation: str) -> None:
    form = StandardForm(small_problem(outputs=outputs, activation=activation, skip=True), 4)
    theta = random_starts(form, 2, seed=0)
    assert_gradient(form, theta, rounding=0.3)
    exact, rounded = form.value_and_gradient(theta)[0], form.value_and_gradient(theta, rounding=1e-9)[0]
    np.testing.assert_allclose(rounded, exact, rtol=1e-7)


@pytest.mark.parametrize("bias", ["penalized", "free", "none"])
@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize(("loss", "outputs"), [("squared", 1), ("squared", 3), ("softmax", 3), ("logistic", 1)])
def test_values_are_the_objective_of_the_network(bias: str, norm: str, loss: str, outputs: int) -> None:
    problem = small_problem(loss, outputs=outputs, bias=bias, norm=norm, skip=True, intercept=True, weighted=True)
    form = StandardForm(problem, 5)
    theta = random_starts(form, 2, seed=3) * np.random.default_rng(0).uniform(0.2, 2, (2, form.size))
    for row, balanced, decayed in zip(theta, form.balanced_values(theta), form.values(theta), strict=True):
        network = form.network(row)
        assert problem.objective(network) == pytest.approx(balanced, rel=1e-10)
        assert decayed >= balanced * (1 - 1e-12)
        loss_value = problem.loss_value(network.predict(problem.X))
        assert loss_value + problem.reg * network.weight_decay(bias, norm) == pytest.approx(balanced, rel=1e-10)


def test_weight_decay_is_that_of_the_original_weights() -> None:
    """One neuron written out by hand: no coordinate change may leak into the penalty."""
    problem = small_problem(bias="penalized", norm="l1")
    form = StandardForm(problem, 1)
    theta = random_starts(form, 1, seed=0)
    U, V, _ = form.split(theta)
    u, v = form.input_scale * form.A @ U[0, 0], form.output_scale * V[0, 0, 0]
    f = v * np.maximum(problem.extended @ u, 0)
    by_hand = 0.5 * np.sum((f - problem.y) ** 2) + 0.5 * problem.reg * (np.abs(u).sum() ** 2 + v**2)
    assert form.values(theta)[0] == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("outputs", [1, 3])
def test_mini_batch_gradients_average_to_the_full_gradient(outputs: int) -> None:
    form = StandardForm(small_problem(outputs=outputs, weighted=True, skip=True), 4)
    theta = random_starts(form, 2, seed=0)
    batches = np.arange(9).reshape(3, 3)
    mean = np.mean([form.gradient(theta, rows) for rows in batches], axis=0)
    np.testing.assert_allclose(mean, form.gradient(theta), atol=1e-12)


def test_starts_in_chunks_are_the_starts_alone() -> None:
    rng = np.random.default_rng(0)
    problem = TrainingProblem(rng.standard_normal((3000, 2)), rng.standard_normal(3000), reg=0.1)
    form = StandardForm(problem, 16)  # 48,000 hidden units a start: several chunks
    theta = random_starts(form, 3, seed=0)
    values, gradient = form.value_and_gradient(theta)
    for s in range(3):
        alone, slope = form.value_and_gradient(theta[s : s + 1])
        np.testing.assert_allclose(alone, values[s : s + 1], rtol=1e-12)
        np.testing.assert_allclose(slope[0], gradient[s], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("a", "b"), [(1e-4, 1e3), (1e5, 1e-3), (1.0, 1e8)])
def test_rescaled_data_is_the_same_training_problem(a: float, b: float) -> None:
    """X -> a X, y -> b y with reg -> a b reg scales every objective by b^2, from the first start on."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((9, 2)) + np.array([0.0, 2.0]), rng.standard_normal(9)
    base = StandardForm(TrainingProblem(X, y, reg=0.2, bias="none"), 6)
    scaled = StandardForm(TrainingProblem(a * X, b * y, reg=0.2 * a * b, bias="none"), 6)
    theta = random_starts(base, 2, seed=0)
    np.testing.assert_allclose(random_starts(scaled, 2, seed=0), theta, rtol=1e-9)
    np.testing.assert_allclose(scaled.values(theta), b**2 * base.values(theta), rtol=1e-9)


def test_starts_are_balanced_and_of_the_size_of_the_targets() -> None:
    problem = small_problem(reg=1e-3)
    form = StandardForm(problem, 50)
    theta = random_starts(form, 4, seed=0)
    inputs, outputs = form.norms(theta)
    np.testing.assert_allclose(inputs, outputs, rtol=1e-6)
    assert 0.01 < np.sqrt(np.mean(form.predict(theta) ** 2)) / form.scale < INITIAL_PATH


@pytest.mark.parametrize("bias", ["penalized", "free", "none"])
def test_constant_and_repeated_columns(bias: str) -> None:
    x = np.linspace(-1, 1, 7)
    X = np.column_stack([x, x, np.full(7, 1e4), np.zeros(7)])
    problem = TrainingProblem(X, np.abs(x), reg=0.1, bias=bias, skip=True)
    form = StandardForm(problem, 3)
    theta = random_starts(form, 2, seed=0)
    assert np.isfinite(theta).all()
    network = form.network(theta[0])
    assert isinstance(network, ShallowNetwork)
    assert problem.objective(network) == pytest.approx(form.balanced_values(theta)[0], rel=1e-6)


def test_interpolation_has_no_gradient_method() -> None:
    problem = TrainingProblem([[0.0], [1.0]], [0.0, 1.0], loss="interpolation")
    with pytest.raises(ProblemError, match=r"with_options\(loss='squared'"):
        StandardForm(problem, 3)
