"""Gradient training: how near it comes to known optima, and what it does when told to stop or when it diverges."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from baselines.cases import DIABETES_OPTIMA, diabetes, small_problem

from convexnet import TrainingProblem
from convexnet.baselines import StandardForm, TrainingRuns, train
from convexnet.baselines.first_order import batches
from convexnet.baselines.starts import random_starts
from convexnet.errors import ProblemError, SolverError

METHODS = ("lbfgs", "adam", "sgd")
SELDOM = [pytest.param(name, marks=pytest.mark.slow) for name in ("absolute", "huber", "logistic")]
QUICK = {"lbfgs": 200, "adam": 600, "sgd": 800}


def quick(problem: TrainingProblem, method: str, **options: object) -> TrainingRuns:
    return train(problem, method=method, **{"width": 20, "n_starts": 3, "max_iter": QUICK[method], **options})


# ------------------------------------------------------------------------------------------------------- accuracy
@pytest.mark.parametrize(
    ("method", "n_starts", "max_iter", "excess"),
    [("lbfgs", 2, 800, 1e-4), ("adam", 2, 1500, 3e-4), ("sgd", 2, 3000, 1e-3)],
)
def test_comes_near_the_known_optimum(method: str, n_starts: int, max_iter: int, excess: float) -> None:
    runs = train(diabetes(0.1), method=method, n_starts=n_starts, max_iter=max_iter)
    assert runs.best_objective / DIABETES_OPTIMA[0.1] - 1 > -1e-6
    assert runs.median_objective / DIABETES_OPTIMA[0.1] - 1 < excess


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.3, 0.1, 0.03, 0.01])
@pytest.mark.parametrize(("method", "excess"), [("lbfgs", 1e-4), ("adam", 3e-4), ("sgd", 3e-4)])
def test_defaults_come_near_the_known_optima(ratio: float, method: str, excess: float) -> None:
    runs = train(diabetes(ratio), method=method)
    assert runs.best_objective / DIABETES_OPTIMA[ratio] - 1 > -1e-6
    assert runs.median_objective / DIABETES_OPTIMA[ratio] - 1 < excess


@pytest.mark.parametrize("method", METHODS)
def test_one_neuron_optimum_in_closed_form(method: str) -> None:
    """One sample x = y = 1 without bias: min 1/2 (a - 1)^2 + reg a is at a = 1 - reg."""
    problem = TrainingProblem([[1.0]], [1.0], reg=0.25, bias="none")
    runs = quick(problem, method)
    assert runs.best_objective == pytest.approx(0.5 * 0.25**2 + 0.25 * 0.75, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("options", [{}, {"norm": "l1"}, {"bias": "free", "skip": True}, {"outputs": 3}])
def test_above_the_largest_useful_reg_the_network_vanishes(method: str, options: dict[str, object]) -> None:
    problem = small_problem(**options)
    sizes = np.linalg.norm(problem.extended, axis=1), np.linalg.norm(problem.y.reshape(problem.n, -1), axis=1)
    problem = problem.with_options(reg=1.1 * float(sizes[0] @ sizes[1]))  # |nu . sigma(X u)| <= sum ||x_i|| |nu_i|
    free = problem.free_columns
    fit = free @ np.linalg.lstsq(free, problem.y, rcond=None)[0] if free.size else np.zeros_like(problem.y)
    runs = quick(problem, method, max_iter=2000)
    assert runs.best_objective == pytest.approx(problem.loss_value(fit), rel=2e-2 if method == "sgd" else 1e-3)
    assert runs.best.path_norm(problem.bias, problem.norm) < 1e-3


@pytest.mark.parametrize("loss", ["hinge", "softmax", *SELDOM])
def test_methods_agree_on_other_losses(loss: str) -> None:
    problem = small_problem(loss, reg=0.5, intercept=True)
    values = {method: quick(problem, method, n_starts=2, max_iter=1500).best_objective for method in METHODS}
    assert max(values["lbfgs"], values["adam"]) <= min(values.values()) * 1.01, values
    assert values["sgd"] <= min(values.values()) * 1.05, values


@pytest.mark.parametrize("method", METHODS)
def test_badly_scaled_data_trains_like_standardised_data(method: str) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 2)), rng.standard_normal(30)
    base = quick(TrainingProblem(X, y, reg=1.0, bias="none"), method)
    scaled = quick(TrainingProblem(1e-4 * X, 1e3 * y, reg=0.1, bias="none"), method)
    np.testing.assert_allclose(scaled.objectives, 1e6 * base.objectives, rtol=1e-3)


def test_l1_networks_are_sparse_and_better_than_by_subgradients() -> None:
    problem = small_problem(reg=1.0, norm="l1")
    lbfgs, adam = quick(problem, "lbfgs", max_iter=1000), quick(problem, "adam", max_iter=1000)
    assert lbfgs.median_objective <= adam.median_objective * (1 + 1e-6)
    weights = lbfgs.best.weights[lbfgs.best.neuron_norms("penalized", "l1") > 1e-6]
    assert np.sum(weights == 0) > 0


# -------------------------------------------------------------------------------------------------------- results
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("options", [{}, {"bias": "free", "skip": True}, {"bias": "none", "activation": "leaky"}])
def test_objectives_are_measured_on_balanced_networks(method: str, options: dict[str, object]) -> None:
    problem = small_problem(**options)
    runs = quick(problem, method)
    for network, objective in zip(runs.networks, runs.objectives, strict=True):
        assert network is not None
        assert objective == problem.objective(network)
        norms = network.neuron_norms(problem.bias, problem.norm)
        np.testing.assert_allclose(norms, np.abs(network.output_weights), rtol=1e-6, atol=1e-12)
    assert runs.best_objective == problem.objective(runs.best) == runs.objectives.min()
    assert runs.median_objective == np.median(runs.objectives)
    starts = random_starts(StandardForm(problem, 20), 3, seed=0)
    assert np.all(runs.objectives < StandardForm(problem, 20).balanced_values(starts))


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_networks(method: str) -> None:
    problem = small_problem()
    first, again, other = (quick(problem, method, random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.objectives, again.objectives)
    np.testing.assert_array_equal(first.networks[2].weights, again.networks[2].weights)
    assert not np.array_equal(first.objectives, other.objectives)
    assert (first.seed, other.seed) == (1, 2)


def test_drawn_seed_is_recorded_and_repeats_the_runs() -> None:
    problem = small_problem()
    drawn = quick(problem, "adam", random_state=None, max_iter=50)
    again = quick(problem, "adam", random_state=drawn.seed, max_iter=50)
    np.testing.assert_array_equal(drawn.objectives, again.objectives)


def test_words_and_numbers_of_the_result() -> None:
    runs = quick(small_problem(), "adam", max_iter=20)
    assert json.loads(json.dumps(runs.to_dict()))["objectives"] == runs.objectives.tolist()
    assert "\n" not in repr(runs)
    assert "median objective" in runs.summary()
    assert not {"optimal", "global"} & set(runs.summary().lower().split())
    assert {"convexnet", "numpy"} <= set(runs.versions)
    assert runs.options["batch_size"] == 9
    assert runs.iterations.tolist() == [20, 20, 20]


# ---------------------------------------------------------------------------------------- stopping and divergence
@pytest.mark.parametrize("method", METHODS)
def test_time_limit_returns_the_best_so_far(method: str) -> None:
    problem = diabetes(0.001)
    start = time.perf_counter()
    runs = train(problem, method=method, max_iter=1_000_000, time_limit=0.4, n_starts=3)
    assert time.perf_counter() - start < 60.0  # a million iterations take minutes
    assert runs.ended == "time limit"
    assert runs.iterations.max() < 1_000_000
    form = StandardForm(problem, 100)
    starts = form.balanced_values(random_starts(form, 3, seed=0))
    assert np.all(runs.objectives <= starts * (1 + 1e-9))


@pytest.mark.parametrize("method", METHODS)
def test_no_time_at_all_returns_the_starting_networks(method: str) -> None:
    problem = small_problem()
    form = StandardForm(problem, 20)
    runs = quick(problem, method, time_limit=1e-9)
    assert runs.ended == "time limit"
    assert runs.iterations.tolist() == [0, 0, 0]
    np.testing.assert_allclose(runs.objectives, form.balanced_values(random_starts(form, 3, seed=0)), rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_callback_sees_falling_objectives_and_can_end_the_training(method: str) -> None:
    seen: list[tuple[int, np.ndarray]] = []

    def watch(iteration: int, objectives: np.ndarray) -> bool:
        seen.append((iteration, objectives.copy()))
        return len(seen) == 3

    runs = train(diabetes(0.01), method=method, width=20, n_starts=2, max_iter=5000, callback=watch)
    assert runs.ended == "callback"
    assert len(seen) == 3
    assert all(iteration % 50 == 0 and objectives.shape == (2,) for iteration, objectives in seen)
    assert np.all(seen[2][1] <= seen[0][1])
    assert runs.best_objective <= seen[-1][1].min() * (1 + 1e-9)


def test_divergence_is_reported_not_dropped() -> None:
    runs = train(diabetes(0.1), method="sgd", width=10, n_starts=3, max_iter=400, learning_rate=1e6)
    assert len(runs.networks) == 3
    assert runs.networks == (None, None, None)
    assert np.all(np.isinf(runs.objectives))
    assert runs.median_objective == runs.best_objective == np.inf
    assert runs.n_diverged == 3
    assert runs.ended == "diverged"
    assert "3 diverged" in runs.summary()
    assert runs.to_dict()["objectives"] == [None, None, None]
    with pytest.raises(SolverError, match="smaller learning_rate"):
        _ = runs.best


def test_one_diverged_start_keeps_its_place_beside_the_others() -> None:
    from convexnet.baselines.progress import Progress
    from convexnet.baselines.training import _result

    form = StandardForm(small_problem(), 4)
    theta = random_starts(form, 3, seed=0)
    progress = Progress(form, theta, None, None)
    progress.record(theta)
    theta[1] = np.nan
    progress.record(theta)
    runs = _result(form, progress, np.array([1, 1, 1]), "adam", "numpy", 0, {}, 0.0)
    assert np.isinf(runs.objectives).tolist() == [False, True, False]
    assert runs.networks[1] is None
    assert runs.best is not None
    assert runs.median_objective == np.sort(runs.objectives)[1] < np.inf


def test_mini_batch_descent_decreases_the_objective() -> None:
    problem = diabetes(0.1)
    short, long = (train(problem, method="sgd", batch_size=16, width=30, n_starts=2, max_iter=k) for k in (20, 2000))
    assert np.all(long.objectives < short.objectives)
    adam = train(problem, method="adam", batch_size=64, width=30, n_starts=2, max_iter=2000)
    assert adam.median_objective < DIABETES_OPTIMA[0.1] * 1.01


def test_batches_cover_every_row_once_an_epoch() -> None:
    rows = list(batches(10, 3, 6, np.random.default_rng(0)))
    for epoch in (rows[:3], rows[3:]):
        assert all(len(batch) == 3 for batch in epoch)
        assert len(np.unique(np.concatenate(epoch))) == 9
    assert list(batches(10, 10, 2, np.random.default_rng(0))) == [None, None]


@pytest.mark.parametrize(
    "X,y,options",
    [
        ([[2.0]], [3.0], {}),
        ([[0.0], [0.0]], [1.0, 2.0], {}),
        ([[1.0], [2.0]], [0.0, 0.0], {}),
        ([[1.0], [2.0]], [5.0, 5.0], {"bias": "free"}),
        ([[1.0], [2.0], [3.0]], [1.0, 2.0, 3.0], {"bias": "free", "skip": True}),
        ([[1.0, 1.0], [2.0, 2.0]], [1.0, -1.0], {"sample_weight": [0.0, 1.0]}),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_degenerate_data(X: list, y: list, options: dict, method: str) -> None:
    problem = TrainingProblem(X, y, reg=0.1, **options)
    runs = quick(problem, method, width=5)
    assert runs.n_diverged == 0
    null = problem.loss_value(np.zeros(len(y)))
    assert runs.best_objective <= null + 1e-3


# ---------------------------------------------------------------------------------------------------- bad options
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "newton"}, "method must be one of"),
        ({"backend": "jax"}, "backend must be one of"),
        ({"width": 0}, "width must be an integer >= 1"),
        ({"width": 2.5}, "width"),
        ({"n_starts": 0}, "n_starts"),
        ({"max_iter": 0}, "max_iter"),
        ({"learning_rate": 0.1}, "no learning_rate"),
        ({"batch_size": 2}, "no batch_size"),
        ({"method": "adam", "learning_rate": -1.0}, "learning_rate"),
        ({"method": "sgd", "batch_size": 10}, "has 9 samples"),
        ({"method": "sgd", "batch_size": 0}, "batch_size"),
        ({"time_limit": 0}, "time_limit"),
        ({"random_state": -1}, "random_state"),
        ({"random_state": "zero"}, "random_state"),
        ({"callback": 3}, "callback"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        train(small_problem(), **options)


def test_interpolation_is_refused_with_the_way_out() -> None:
    with pytest.raises(ProblemError, match=r"convexnet\.solve"):
        train(TrainingProblem([[0.0], [1.0]], [0.0, 1.0], loss="interpolation"))
