"""The ReLU solver: enumerated optima, edge cases, limits, what it says of itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.random_problems import CONVENTIONS, random_problem
from helpers.verify import network_objective

from convexnet import ShallowNetwork, TrainingProblem, enumerate_patterns, reg_max, solve
from convexnet.errors import NetworkError, ProblemError
from convexnet.solvers import ReluResult, solve_relu

pytestmark = pytest.mark.filterwarnings("ignore::convexnet.errors.NotCertifiedWarning")
EUCLIDEAN = [c for c in CONVENTIONS if c.get("norm") != "l1"]
SAMPLE = [
    ("squared", 1), ("logistic", 2), ("huber", 4), ("absolute", 0), ("hinge", 2), ("squared", 5),
]  # fmt: skip


def difference(problem: TrainingProblem, patterns, **options) -> tuple[float, ReluResult]:
    """Relative difference to the enumerated optimum, and the result."""
    truth = solve(problem, "program", patterns, tol=1e-10).objective
    result = solve_relu(problem, **{"tol": 1e-9, "time_limit": 60, **options})
    assert result.objective == pytest.approx(network_objective(problem, result.network), rel=1e-10)
    return (result.objective - truth) / truth, result


@pytest.mark.parametrize(("loss", "convention"), SAMPLE)
def test_enumerated_optimum(loss: str, convention: int) -> None:
    problem, patterns = random_problem(loss, 20 + convention, **EUCLIDEAN[convention])
    gap, result = difference(problem, patterns, n_restarts=0)
    assert abs(gap) <= 1e-8
    assert result.status == "solved"


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.2, 0.03])
@pytest.mark.parametrize("convention", range(len(EUCLIDEAN)))
@pytest.mark.parametrize("loss", ["squared", "logistic", "huber", "absolute", "hinge"])
def test_enumerated_optimum_of_every_loss_and_convention(loss: str, convention: int, ratio: float) -> None:
    problem, patterns = random_problem(loss, 40 + convention, ratio, **EUCLIDEAN[convention])
    gap, _ = difference(problem, patterns, n_restarts=5)
    assert gap <= 1e-8


def small(seed: int = 0, n: int = 12, d: int = 2, **options) -> TrainingProblem:
    generator = np.random.default_rng(seed)
    return TrainingProblem(
        generator.standard_normal((n, d)), generator.standard_normal(n), **{"reg": 0.3, **options}
    )


def test_no_neuron_is_worth_its_cost_from_reg_max_on() -> None:
    problem = small()
    for factor in (1 + 1e-9, 1.5, 100):
        result = solve_relu(problem.with_options(reg=factor * reg_max(problem)))
        assert (result.n_neurons, result.status) == (0, "solved")
        assert result.objective == pytest.approx(0.5 * float(problem.y @ problem.y))
    assert solve_relu(problem.with_options(reg=0.99 * reg_max(problem))).n_neurons > 0


def test_free_terms_are_fitted_without_neurons() -> None:
    problem = small(1, bias="free", skip=True, loss="absolute", reg=1e3)
    result = solve_relu(problem)
    truth = solve(problem, "program", enumerate_patterns(problem.extended), tol=1e-10).objective
    assert result.n_neurons == 0
    assert result.objective == pytest.approx(truth, rel=1e-7)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_one_sample(loss: str) -> None:
    problem = TrainingProblem([[2.0, -1.0]], [1.0], loss=loss, reg=0.01)
    result = solve_relu(problem)
    assert result.status == "solved" and result.n_neurons == 1
    assert np.allclose(result.network.weights[0] / result.network.weights[0, 0], [1, -0.5], atol=1e-5)


def test_duplicate_rows_are_weights() -> None:
    problem = small(2)
    twice = TrainingProblem(np.vstack([problem.X, problem.X[:4]]), np.append(problem.y, problem.y[:4]), reg=0.3)
    weight = np.where(np.arange(12) < 4, 2.0, 1.0)
    a, b = (solve_relu(p, tol=1e-9, n_restarts=0) for p in (twice, problem.with_options(sample_weight=weight)))
    assert a.objective == pytest.approx(b.objective, rel=1e-8)


def test_badly_scaled_and_constant_columns() -> None:
    generator = np.random.default_rng(3)
    X = generator.standard_normal((15, 4)) * [1e4, 1.0, 1e-3, 0.0] + [0, 50, 0, 7]
    problem = TrainingProblem(X, X[:, 0] / 1e4 + generator.standard_normal(15), reg=1.0)
    problem = problem.with_options(reg=0.05 * reg_max(problem))
    result = solve_relu(problem, time_limit=20, n_restarts=0)
    truth = solve(problem, tol=1e-7)
    assert result.objective <= truth.objective * (1 + 1e-6)


@pytest.mark.parametrize("factor", [1e-3, 1e4])
def test_scaling_targets_and_reg_scales_the_objective(factor: float) -> None:
    problem = small(4)
    scaled = TrainingProblem(problem.X, factor * problem.y, reg=0.3 * factor)
    a, b = (solve_relu(p, tol=1e-9, n_restarts=0) for p in (problem, scaled))
    assert b.objective == pytest.approx(factor**2 * a.objective, rel=1e-8)


def test_row_order_and_column_signs_do_not_matter() -> None:
    problem = small(5)
    order = np.random.default_rng(0).permutation(12)
    turned = TrainingProblem(problem.X[order] * [-1, 1], problem.y[order], reg=0.3)
    a, b = (solve_relu(p, tol=1e-9, n_restarts=0) for p in (problem, turned))
    assert b.objective == pytest.approx(a.objective, rel=1e-8)


def test_separable_labels_and_a_tiny_penalty_end_with_a_status() -> None:
    X = np.random.default_rng(6).standard_normal((20, 2))
    problem = TrainingProblem(X, np.sign(X[:, 0]), loss="logistic", reg=1.0)
    result = solve_relu(problem.with_options(reg=1e-6 * reg_max(problem)), time_limit=1)
    assert np.isfinite(result.objective) and result.objective < 0.1
    assert result.status in ("solved", "time_limit", "stalled")


def test_limits_callback_and_start() -> None:
    problem = small(7, n=40, d=3)
    seen = []
    stopped = solve_relu(problem, callback=lambda progress: seen.append(progress) or len(seen) >= 3)
    assert stopped.status == "callback" and len(seen) == 3
    assert solve_relu(problem, max_iter=1).status == "iteration_limit"
    short = solve_relu(problem, time_limit=1e-4)
    assert short.status == "time_limit" and short.objective <= 0.5000001 * float(problem.y @ problem.y)
    full = solve_relu(problem, n_restarts=0)
    again = solve_relu(problem, start=full.network, n_restarts=0)
    assert again.objective <= full.objective
    objectives = [progress.objective for progress in full.history]
    assert objectives == sorted(objectives, reverse=True)


def test_an_interrupt_returns_the_best_network() -> None:
    seen = []

    def interrupt(progress) -> None:
        seen.append(progress.objective)
        if len(seen) == 4:
            raise KeyboardInterrupt

    result = solve_relu(small(7, n=40, d=3), callback=interrupt)
    assert result.status == "interrupted"
    assert result.objective <= seen[-1] * (1 + 1e-12)


def test_same_seed_same_result() -> None:
    problem = small(8, n=30)
    a, b = solve_relu(problem, random_state=3, n_restarts=0), solve_relu(problem, random_state=3, n_restarts=0)
    assert a.objective == b.objective
    assert np.array_equal(a.network.weights, b.network.weights)


def test_the_gap_is_called_heuristic_everywhere() -> None:
    result = solve_relu(small(9), n_restarts=0)
    for text in (repr(result), result.summary()):
        assert "heuristic" in text
    for word in ("certified", "global", "optimal"):
        assert word not in result.summary().lower()
    document = json.loads(json.dumps(result.to_dict()))
    assert document["pricing_gap_heuristic"] == result.pricing_gap


def test_what_it_cannot_do_is_named() -> None:
    with pytest.raises(ProblemError, match="l1"):
        solve_relu(small(norm="l1"))
    with pytest.raises(ProblemError, match="interpolation"):
        solve_relu(TrainingProblem([[0.0], [1.0]], [0.0, 1.0], loss="interpolation"))
    for option in ({"tol": 0}, {"time_limit": -1}, {"max_iter": 0}, {"width": 1.5}, {"n_restarts": -1}):
        with pytest.raises(ProblemError):
            solve_relu(small(), **option)
    with pytest.raises(ProblemError):
        solve_relu("data")  # type: ignore[arg-type]
    with pytest.raises(NetworkError):
        solve_relu(small(), start=ShallowNetwork([[1.0]], [0.0], [1.0]))
