"""Pieces of the ReLU solver: gradients, smoothed losses, descent, merging, pricing."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.random_problems import CONVENTIONS, random_problem

from convexnet import TrainingProblem
from convexnet.losses import get_loss
from convexnet.networks.activations import activate
from convexnet.pricing.spectral import direction_norms
from convexnet.solvers._relu_descent import descend
from convexnet.solvers._relu_form import Kinks, ReluForm
from convexnet.solvers._relu_loss import shifted_problem
from convexnet.solvers._relu_pricing import Pricer
from convexnet.solvers._relu_state import merged, network_of, predictions, resized, state_of, with_slopes

EUCLIDEAN = [c for c in CONVENTIONS if c.get("norm") != "l1"]


def some_state(problem: TrainingProblem, m: int = 4, seed: int = 0):
    generator = np.random.default_rng(seed)
    u = generator.standard_normal((m, problem.extended.shape[1]))
    signs = np.where(np.arange(m) % 2, -1.0, 1.0)
    return with_slopes(problem, u, signs, generator.standard_normal(problem.free_columns.shape[1]))


@pytest.mark.parametrize("conventions", EUCLIDEAN)
@pytest.mark.parametrize("smoothed", [False, True])
def test_gradient_is_that_of_finite_differences(conventions: dict, smoothed: bool) -> None:
    problem, _ = random_problem("logistic", 3, **conventions)
    form, state = ReluForm(problem), some_state(problem)
    x = form.pack(*form.balanced(state.u, state.signs, state.free))
    kinks = None
    if smoothed:
        theta = np.random.default_rng(1).uniform(problem.kappa, 1, (4, problem.n))
        kinks = Kinks(theta, np.random.default_rng(2).uniform(0.1, 1, problem.n))
    gradient = form.value_and_gradient(x, 4, kinks)[1]
    step = 1e-6
    for i in range(len(x)):
        moved = np.eye(len(x))[i] * step
        up, down = (form.value_and_gradient(x + s * moved, 4, kinks)[0] for s in (1, -1))
        assert gradient[i] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("conventions", EUCLIDEAN)
def test_the_form_at_balanced_neurons_is_the_objective(conventions: dict) -> None:
    problem, _ = random_problem("squared", 5, **conventions)
    form, state = ReluForm(problem), some_state(problem)
    parameters = form.balanced(state.u, state.signs, state.free)
    value = form.value_and_gradient(form.pack(*parameters), 4)[0]
    assert value == pytest.approx(problem.objective(network_of(problem, state)), rel=1e-10)
    u, signs, free = form.neurons(*parameters)
    assert np.allclose(u, state.u) and np.array_equal(signs, state.signs) and np.allclose(free, state.free)


@pytest.mark.parametrize("loss", ["absolute", "hinge"])
def test_shifted_loss_touches_the_loss_at_its_own_dual_vector(loss: str) -> None:
    generator = np.random.default_rng(0)
    y = np.where(generator.random(20) < 0.5, -1.0, 1.0)
    weight = generator.uniform(0.5, 2, 20)
    problem = TrainingProblem(generator.standard_normal((20, 2)), y, loss=loss, reg=1.0, sample_weight=weight)
    f = generator.standard_normal(20)
    f[:5] = y[:5]  # on the kink, where any subgradient serves
    centre = get_loss(loss).gradient(f, y, weight)
    centre[:5] = 0.4 * weight[:5] * (-y[:5] if loss == "hinge" else 1)
    smooth = shifted_problem(problem, centre, 0.3)
    assert smooth.loss_value(f) == pytest.approx(problem.loss_value(f), rel=1e-12)
    assert np.allclose(smooth.gradient(f), centre)
    elsewhere = f + generator.standard_normal(20)
    assert smooth.loss_value(elsewhere) <= problem.loss_value(elsewhere)
    step = 1e-6 * generator.standard_normal(20)
    change = smooth.loss_value(elsewhere + step) - smooth.loss_value(elsewhere - step)
    assert change == pytest.approx(2 * float(step @ smooth.gradient(elsewhere)), rel=1e-4)


def test_descent_minimises_a_quadratic() -> None:
    generator = np.random.default_rng(0)
    scales = 10.0 ** generator.uniform(-2, 2, 30)
    target = generator.standard_normal(30)
    x, value, _ = descend(
        lambda x: (0.5 * float(scales @ (x - target) ** 2) + 1, scales * (x - target)), np.zeros(30), 500
    )
    assert value == pytest.approx(1.0, abs=1e-9)
    assert np.allclose(x, target, atol=1e-3)


def test_descent_stops_at_a_stationary_start_and_at_the_clock() -> None:
    assert descend(lambda x: (1.0, 0 * x), np.ones(3), 100)[2] == 1
    assert descend(lambda x: (float(x @ x), 2 * x), np.ones(3), 100, deadline=0.0)[2] == 1


@pytest.mark.parametrize("conventions", EUCLIDEAN)
def test_resizing_and_merging_never_cost_more_than_the_slack(conventions: dict) -> None:
    problem, _ = random_problem("huber", 7, **conventions)
    state = some_state(problem, 12)
    twins = with_slopes(problem, np.repeat(state.u, 2, axis=0), np.repeat(state.signs, 2), state.free)
    before = problem.objective(network_of(problem, twins))
    once = merged(problem, twins, 0.0)
    assert len(once.u) <= 12
    assert problem.objective(network_of(problem, once)) <= before * (1 + 1e-12)
    resized_once = resized(problem, once)
    value = problem.objective(network_of(problem, resized_once))
    assert value <= before
    slack = 0.01 * value
    assert problem.objective(network_of(problem, merged(problem, resized_once, slack, 0.3))) <= value + 1.001 * slack


@pytest.mark.parametrize("conventions", EUCLIDEAN)
def test_states_are_networks(conventions: dict) -> None:
    problem, _ = random_problem("squared", 9, **conventions)
    state = some_state(problem)
    network = network_of(problem, state)
    assert np.allclose(network.predict(problem.X), predictions(problem, state))
    again = state_of(problem, network)
    assert np.allclose(predictions(problem, again), predictions(problem, state))


@pytest.mark.parametrize("conventions", EUCLIDEAN)
def test_pricing_returns_attained_values_and_finds_the_best_cell(conventions: dict) -> None:
    problem, patterns = random_problem("squared", 11, **conventions)
    from convexnet.pricing import feasible_dual, price_cells

    nu = feasible_dual(problem, problem.y).nu
    pricer = Pricer(problem, np.random.default_rng(0))
    atoms, signs, values = pricer.search(nu, np.zeros((0, problem.extended.shape[1])), 256, 8)
    assert np.allclose(direction_norms(problem, atoms.T), 1)
    scores = nu @ activate(problem.extended @ atoms.T, problem.kappa)
    assert np.allclose(signs * scores, values, rtol=1e-6) or np.allclose(np.abs(scores), values)
    best = price_cells(problem, nu, patterns).value
    assert values[0] <= best * (1 + 1e-9)
    assert values[0] >= best * (1 - 1e-3)
