"""Accelerated proximal gradient: its bounds hold and close, for every loss and norm, and it stops when told to."""

from __future__ import annotations

import numpy as np
import pytest

from convexnet import TrainingProblem, reg_max, sample_patterns
from convexnet.pricing import feasible_dual, price_gated
from convexnet.solvers import _large, fista, solve_gated
from convexnet.solvers._gates import Gates
from convexnet.solvers._metric import Metric

CASES = [
    ("squared", 1, {}, "nuclear"),
    ("squared", 1, {"norm": "l1"}, "nuclear"),
    ("huber", 1, {"intercept": True}, "nuclear"),
    ("logistic", 1, {"bias": "none", "activation": "leaky"}, "nuclear"),
    ("squared", 1, {"activation": "absolute", "intercept": True, "skip": True}, "nuclear"),
    ("squared", 3, {}, "nuclear"),
    ("squared", 3, {}, "frobenius"),
    ("squared", 3, {"norm": "l1"}, "nuclear"),
    ("huber", 3, {}, "nuclear"),
    ("softmax", 3, {"intercept": True}, "frobenius"),
]


def case(loss="squared", k=1, group="nuclear", ratio=0.1, n=60, seed=0, **options):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    Y = np.maximum(X @ rng.standard_normal((4, 3)), 0) @ rng.standard_normal((3, 3))
    Y += 0.1 * rng.standard_normal(Y.shape)
    y = {"softmax": Y.argmax(axis=1), "logistic": np.where(Y[:, 0] > Y[:, 0].mean(), 1.0, -1.0)}.get(loss)
    y = y if y is not None else Y[:, 0] if k == 1 else Y
    problem = TrainingProblem(X, y, loss=loss, reg=1.0, **options)
    patterns = sample_patterns(problem.extended, 30, random_state=0)
    nu = feasible_dual(problem, -problem.gradient(np.zeros_like(problem.y))).nu
    top = price_gated(problem, nu, patterns, group=group).value
    return problem.with_options(reg=ratio * top), patterns


@pytest.mark.parametrize(("loss", "k", "options", "group"), CASES)
def test_certified_gap_closes_and_the_conditions_hold(loss, k, options, group):
    problem, patterns = case(loss, k, group, **options)
    result = solve_gated(problem, patterns, group=group, method="fista", tol=1e-6, time_limit=20)
    assert result.status == "solved" and result.method == "fista" and result.gap <= 1e-6
    assert result.objective == pytest.approx(problem.gated_objective(result.network, group), rel=1e-12)
    bounds = price_gated(problem, result.nu, patterns, group=group).value
    assert bounds <= problem.reg * (1 + 1e-2)  # near the optimum alpha is nearly feasible without scaling
    assert all(record.lower_bound <= result.objective for record in result.history)


@pytest.mark.parametrize(("loss", "k", "options", "group"), CASES[:7])
def test_agrees_with_the_newton_method(loss, k, options, group):
    problem, patterns = case(loss, k, group, **options)
    first = solve_gated(problem, patterns, group=group, method="fista", tol=1e-5, time_limit=20)
    newton = solve_gated(problem, patterns, group=group, method="ssnal", tol=1e-8, time_limit=20)
    assert first.lower_bound <= newton.objective * (1 + 1e-12) and newton.lower_bound <= first.objective * (1 + 1e-12)
    assert first.objective - newton.objective <= (first.gap + newton.gap) * first.objective * (1 + 1e-9)


def test_large_reg_gives_exactly_zero():
    problem, patterns = case(ratio=1.0)
    problem = problem.with_options(reg=1.01 * reg_max(problem, patterns))
    result = solve_gated(problem, patterns, method="fista")
    assert result.status == "solved" and not result.blocks.any()


def test_stops_with_valid_bounds():
    problem, patterns = case(ratio=1e-4)
    few = solve_gated(problem, patterns, method="fista", max_iter=15)
    assert few.status == "iteration_limit" and few.iterations == 15
    assert few.lower_bound <= few.objective and few.gap > 1e-6
    called = solve_gated(problem, patterns, method="fista", callback=lambda progress: progress.iteration >= 10)
    assert called.status == "callback"
    assert solve_gated(problem, patterns, method="fista", time_limit=1e-9).status == "time_limit"


def test_warm_start_costs_fewer_steps():
    problem, patterns = case(ratio=0.05)
    cold = solve_gated(problem, patterns, method="fista", tol=1e-5)
    warm = solve_gated(problem, patterns, method="fista", tol=1e-5, start=cold)
    assert warm.status == "solved" and warm.iterations <= max(60, cold.iterations // 2)


def test_weights_and_repeated_rows_are_the_same_problem():
    problem, _ = case()
    weight = np.r_[np.full(10, 2.0), np.zeros(5), np.ones(problem.n - 15)]
    rows = np.r_[np.arange(10), np.arange(10), np.arange(15, problem.n)]
    gates = sample_patterns(problem.extended, 20, random_state=1)
    weighted = problem.with_options(sample_weight=weight)
    repeated = TrainingProblem(problem.X[rows], problem.y[rows], reg=problem.reg)
    first = solve_gated(weighted, gates, method="fista", tol=1e-7)
    second = solve_gated(repeated, gates.patterns[rows], method="fista", tol=1e-7)
    assert first.objective == pytest.approx(second.objective, rel=2e-7) and second.network is None


def test_metric_bounds_the_design_and_its_proximal_step_is_exact():
    rng = np.random.default_rng(0)
    gates = Gates(rng.standard_normal((300, 4)), rng.integers(0, 2, (300, 12)), 0.0, dtype=np.float32)
    metric, Y, slope = Metric(gates, 1.0), *rng.standard_normal((2, 4, 12)).astype(np.float32)
    for D in rng.standard_normal((20, 4, 12)):
        assert metric.square(D) >= 0.98 * float(np.sum(gates.forward(D) ** 2))
    reg = 0.5 * float(np.linalg.norm(slope, axis=0).mean())
    W = metric.prox(Y, slope, reg)
    H = metric.rest * np.eye(48) + (metric.V * metric.extra) @ metric.V.T
    pull = -(slope + (H @ (W - Y).ravel()).reshape(4, 12))
    sizes = np.linalg.norm(W, axis=0)
    inside = sizes > 0
    np.testing.assert_allclose(pull[:, inside], reg * W[:, inside] / sizes[inside], atol=5e-3 * reg)
    assert np.all(np.linalg.norm(pull[:, ~inside], axis=0) <= reg * 1.005)


def test_metric_and_plain_steps_reach_the_same_objective(monkeypatch):
    problem, patterns = case(n=400, ratio=0.02)
    plain = solve_gated(problem, patterns, method="fista", tol=1e-6)
    monkeypatch.setattr(fista, "_METRIC_ENTRIES", 0)
    metric = solve_gated(problem, patterns, method="fista", tol=1e-6)
    assert metric.status == "solved" and metric.iterations < plain.iterations
    assert metric.objective == pytest.approx(plain.objective, rel=2e-6)


@pytest.fixture
def everything_is_large(monkeypatch):
    monkeypatch.setattr(fista, "_METRIC_ENTRIES", 0)
    monkeypatch.setattr(_large, "_ROWS", 0)


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("loss", ["squared", "huber", "logistic"])
def test_newton_takes_over_from_gradient_steps(loss):
    problem, patterns = case(loss, n=400, ratio=0.02)
    both = solve_gated(problem, patterns, tol=1e-8)
    newton = solve_gated(problem, patterns, tol=1e-8, method="ssnal")
    assert both.method == "fista+ssnal" and both.status == "solved" and both.work["outer"] >= 1
    assert abs(both.objective - newton.objective) <= 2e-8 * both.objective
    iterations = [record.iteration for record in both.history]
    assert iterations == sorted(iterations)
    assert solve_gated(problem, patterns, tol=1e-3).work.get("outer") is None
    warm = solve_gated(problem, patterns, tol=1e-8, start=both)
    assert warm.status == "solved" and warm.iterations < both.iterations // 2


@pytest.mark.usefixtures("everything_is_large")
def test_both_methods_share_their_limits():
    problem, patterns = case(n=400, ratio=0.02)
    whole = solve_gated(problem, patterns, tol=1e-8)
    for count in (5, whole.iterations - 1):
        few = solve_gated(problem, patterns, tol=1e-8, max_iter=count)
        assert few.status == "iteration_limit" and few.iterations == count and few.lower_bound <= few.objective
    assert solve_gated(problem, patterns, time_limit=1e-9).status == "time_limit"
    assert solve_gated(problem, patterns, callback=lambda progress: True).status == "callback"
    free = case(intercept=True)
    assert solve_gated(*free).method == "ssnal"


@pytest.mark.parametrize("seed", range(4))
def test_free_terms_that_do_nearly_everything_leave_no_gate_in_use(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, y, gates = rng.standard_normal((8, 2)), rng.standard_normal(8), (rng.random((8, 30)) < 0.5).astype(np.uint8)
    result = solve_gated(TrainingProblem(X, y, reg=5.0, intercept=True), gates, method="fista", tol=1e-9)
    assert result.status == "solved"
    assert result.lower_bound <= result.objective
