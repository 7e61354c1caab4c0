"""Networks with several outputs: a local method whose gap is called heuristic, and bounds that never contradict it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.verify import network_objective

from convexnet import TrainingProblem, enumerate_patterns, solve
from convexnet.certificates.verdict import judge
from convexnet.errors import ProblemError
from convexnet.pricing.dual import dual_bound, feasible_dual
from convexnet.pricing.outputs import price_outputs
from convexnet.solvers._relu_outputs import solve_relu_outputs


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


@pytest.mark.parametrize("options", OPTIONS)
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


@pytest.mark.parametrize("options", [{}, {"bias": "none", "loss": "softmax", "reg": 0.2}])
def test_judged_bounds_stay_below_the_objective(options: dict[str, Any]) -> None:
    problem = random_problem(1, **options)
    result = solve_relu_outputs(problem, tol=5e-3, time_limit=30, n_restarts=0)
    certificate = judge(problem, result.network, nu=result.nu, time_limit=1.0)
    assert certificate.lower_bound <= result.objective * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(3))
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
