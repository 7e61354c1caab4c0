"""Networks with several outputs: a local method whose gap is called heuristic, and bounds that never contradict it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.verify import network_objective

from convexnet import TrainingProblem, enumerate_patterns, solve
from convexnet.certificates.verdict import judge
from convexnet.errors import ProblemError
from convexnet.losses import HuberLoss
from convexnet.pricing.dual import dual_bound, feasible_dual
from convexnet.pricing.outputs import price_outputs
from convexnet.solvers._relu_outputs import solve_relu_outputs
from convexnet.solvers._relu_outputs_units import Units
from convexnet.solvers.result import Progress


def random_problem(
    seed: int = 0, loss: str = "squared", reg: float = 0.6, k: int = 3, **options: Any
) -> TrainingProblem:
    generator = np.random.default_rng(seed)
    X = generator.standard_normal((9, 2))
    Y = generator.integers(0, k, 9) if loss == "softmax" else generator.standard_normal((9, k))
    if loss == "softmax":
        Y[:k] = np.arange(k)
    return TrainingProblem(X, Y, loss=loss, reg=reg, **options)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": "none", "loss": "huber"},
    {"bias": "free", "k": 2},
    {"loss": "softmax", "reg": 0.2},
    {"loss": "softmax", "reg": 0.2, "bias": "free", "k": 2},
    {"skip": True, "intercept": True, "reg": 0.3},
    {"activation": "leaky", "negative_slope": 0.1},
    {"activation": "absolute", "bias": "none"},
    {"sample_weight": [0.0, 2.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0]},
]


SLOW = (1, 2, 3, 4, 6, 7, 8)


@pytest.mark.parametrize("options", [pytest.param(o, marks=pytest.mark.slow) if i in SLOW else o
                                     for i, o in enumerate(OPTIONS)])  # fmt: skip
def test_networks_are_measured_honestly_and_no_bound_exceeds_them(options: dict[str, Any]) -> None:
    problem = random_problem(**options)
    result = solve_relu_outputs(problem, tol=5e-3, time_limit=30, n_restarts=0)
    assert result.objective == pytest.approx(network_objective(problem, result.network), rel=1e-10)
    assert result.pricing_gap <= 1e-2
    assert "heuristic" in result.summary()
    assert "heuristic" in result.message
    point = feasible_dual(problem, result.nu)
    priced = price_outputs(problem, point.nu, time_limit=0.5, node_limit=20)
    assert dual_bound(problem, point, priced.bound)[0] <= result.objective


@pytest.mark.parametrize(
    "options", [pytest.param({}, marks=pytest.mark.slow), {"bias": "none", "loss": "softmax", "reg": 0.2}]
)
def test_judged_bounds_stay_below_the_objective(options: dict[str, Any]) -> None:
    problem = random_problem(1, **options)
    result = solve_relu_outputs(problem, tol=5e-3, time_limit=30, n_restarts=0)
    certificate = judge(problem, result.network, nu=result.nu, time_limit=1.0)
    assert certificate.lower_bound <= result.objective * (1 + 1e-12)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_one_output_agrees_with_the_enumerated_optimum(seed: int) -> None:
    generator = np.random.default_rng(seed)
    X, y = generator.standard_normal((10, 2)), generator.standard_normal((10, 1))
    problem = TrainingProblem(X, y, reg=0.3, bias="none")
    scalar = TrainingProblem(X, y[:, 0], reg=0.3, bias="none")
    best = solve(scalar, method="program", patterns=enumerate_patterns(scalar.extended)).objective
    result = solve_relu_outputs(problem, tol=1e-9, time_limit=4.0, n_restarts=1)
    assert result.objective == pytest.approx(best, rel=1e-7)


def test_repeated_outputs_are_the_scalar_problem_in_disguise() -> None:
    generator = np.random.default_rng(3)
    X, y = generator.standard_normal((10, 2)), generator.standard_normal(10)
    scalar = TrainingProblem(X, y, reg=0.3, bias="none")
    best = solve(scalar, method="program", patterns=enumerate_patterns(scalar.extended)).objective
    direction = np.array([0.6, -0.8])
    problem = TrainingProblem(X, np.outer(y, direction), reg=0.3, bias="none")
    result = solve_relu_outputs(problem, tol=1e-9, time_limit=4.0, n_restarts=1)
    assert result.objective == pytest.approx(best, rel=1e-7)


@pytest.mark.slow
def test_rotated_outputs_have_the_same_optimum() -> None:
    problem = random_problem(5, bias="none")
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    rotated = TrainingProblem(problem.X, problem.y @ rotation, reg=problem.reg, bias="none")
    values = [solve_relu_outputs(p, tol=1e-8, time_limit=3.0, n_restarts=1).objective for p in (problem, rotated)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_a_large_reg_gives_no_neurons() -> None:
    result = solve_relu_outputs(random_problem(reg=1e4), n_restarts=0)
    assert result.network.n_neurons == 0
    assert result.status == "solved"


def test_limits_and_callbacks_stop_with_the_best_network() -> None:
    problem = random_problem(2)
    assert solve_relu_outputs(problem, max_iter=1, tol=1e-14).status == "iteration_limit"
    stopped = solve_relu_outputs(problem, callback=lambda progress: True, n_restarts=0)
    assert stopped.status == "callback"
    assert np.isfinite(stopped.objective)
    late = solve_relu_outputs(problem, time_limit=0.01, tol=1e-14)
    assert late.status == "time_limit"
    assert late.wall_time < 2
    again = solve_relu_outputs(problem, start=stopped.network, n_restarts=0)
    assert again.objective <= stopped.objective * (1 + 1e-12)


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(ProblemError, match="norm"):
        solve_relu_outputs(random_problem(norm="l1"))
    with pytest.raises(ProblemError, match="absolute"):
        solve_relu_outputs(random_problem(loss="absolute"))


UNITS = [
    (1e8, 1.0, "none", "huber"),
    (1.0, 1e8, "none", "squared"),
    *(pytest.param(*case, marks=pytest.mark.slow) for case in (
        (1e-8, 1.0, "none", "squared"), (1.0, 1e-8, "none", "huber"), (1.0, 1e-8, "penalized", "squared"),
        (1e6, 1e-6, "none", "squared"),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("x", "t", "bias", "loss"), UNITS)
def test_the_units_of_the_data_do_not_matter(x: float, t: float, bias: str, loss: str) -> None:
    problem = random_problem(10, bias=bias, intercept=True)
    other = TrainingProblem(
        problem.X * x, problem.y * t, loss=HuberLoss(t) if loss == "huber" else loss, reg=problem.reg * x * t,
        bias=bias, intercept=True,
    )  # fmt: skip
    problem = problem.with_options(loss=loss)
    one, two = (solve_relu_outputs(p, tol=1e-5, time_limit=10, n_restarts=0) for p in (problem, other))
    assert one.status == two.status == "solved"
    assert two.objective / t**2 == pytest.approx(one.objective, rel=2e-5)
    assert two.objective == pytest.approx(other.objective(two.network), rel=1e-12)
    assert two.history[-1].objective == pytest.approx(two.objective, rel=1e-9)
    residual = -other.gradient(two.network.predict(other.X))
    assert np.max(np.abs(two.nu - residual)) <= 1e-3 * np.max(np.abs(residual))


def test_units_go_there_and_back_without_rounding() -> None:
    problem = random_problem(3, bias="free", skip=True).with_options(reg=0.37)
    problem = problem.with_options(X=1e5 * problem.X, y=1e-5 * problem.y)
    network = solve_relu_outputs(problem, max_iter=1).network
    units = Units(problem)
    inside = units.inside(network)
    assert units.problem.objective(inside) * units.objective == pytest.approx(problem.objective(network), rel=1e-13)
    again = units.outside(inside)
    assert problem.objective(again) == pytest.approx(problem.objective(network), rel=1e-13)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("options", [{}, {"skip": True}])
def test_nothing_to_learn(options: dict[str, Any]) -> None:
    for X, y in ((np.zeros((6, 2)), np.zeros((6, 2))), (np.eye(6), np.zeros((6, 2))), (np.zeros((6, 2)), np.eye(6, 2))):
        problem = TrainingProblem(X, y, reg=0.1, bias="none", **options)
        result = solve_relu_outputs(problem, n_restarts=1, time_limit=5)
        assert result.network.n_neurons == 0
        assert result.objective == pytest.approx(0.5 * np.sum(y**2))


def test_softmax_with_a_skip_connection_grows_and_says_that_nothing_is_bounded() -> None:
    generator = np.random.default_rng(0)
    X = generator.standard_normal((20, 2))
    y = (np.sum(X**2, axis=1) > 1.5).astype(int)
    plain = TrainingProblem(X, y, loss="softmax", reg=0.2, bias="penalized")
    problem = plain.with_options(skip=True)
    result = solve_relu_outputs(problem, time_limit=10, n_restarts=0, tol=1e-3)
    assert result.status == "stalled"
    assert result.pricing_gap == 1
    assert "no lower bound" in result.message
    assert "no better neuron" in result.message
    without = solve_relu_outputs(plain, time_limit=10, n_restarts=0, tol=1e-3)
    assert result.objective <= without.objective * (1 + 1e-3)


def test_messages_say_whether_the_restarts_were_done() -> None:
    problem = random_problem(2)

    def first_round(progress: Progress) -> None:
        raise KeyboardInterrupt

    interrupted = solve_relu_outputs(problem, callback=first_round)
    assert interrupted.status == "interrupted"
    done = solve_relu_outputs(problem, n_restarts=1, tol=5e-2)
    assert done.status == "solved"
    assert done.n_starts == 2
    few = solve_relu_outputs(problem, max_iter=1, tol=1e3)
    assert few.status == "iteration_limit"
    assert few.n_starts == 1
    again = solve_relu_outputs(problem, start=done.network, n_restarts=0, tol=5e-2)
    assert again.n_starts == 0
    for result in (interrupted, few):
        assert "all restarts done" not in result.message
        assert result.nu.any()
    assert "all restarts done" in done.message
