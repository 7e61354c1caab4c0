"""Regularization paths: what must hold along them, warm against cold, stops, folds, tables."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import numpy as np
import pytest

from convexnet import PatternSet, TrainingProblem, regularization_path, sample_patterns, solve
from convexnet._progress import progress_bar
from convexnet.certificates import certify_gated
from convexnet.errors import PatternError, ProblemError
from convexnet.networks import GatedNetwork
from convexnet.solving import RegularizationPath


def small(n: int = 30, d: int = 3, seed: int = 0, **options: Any) -> TrainingProblem:
    generator = np.random.default_rng(seed)
    X = generator.standard_normal((n, d))
    y = np.abs(X[:, 0]) - X[:, 1] + 0.1 * generator.standard_normal(n)
    if options.get("loss") == "logistic":
        y = np.where(y > np.median(y), 1.0, -1.0)
    return TrainingProblem(X, y, reg=1.0, **options)


def gates_of(problem: TrainingProblem, count: int = 40) -> PatternSet:
    return sample_patterns(problem.extended, count, random_state=0)


def gated_path(problem: TrainingProblem, **options: Any) -> RegularizationPath:
    defaults: dict[str, Any] = {"patterns": gates_of(problem), "n_regs": 6, "smallest": 0.01}
    return regularization_path(problem, model="gated", **defaults | options)


@pytest.fixture(scope="module")
def gated() -> RegularizationPath:
    return gated_path(small(), n_regs=12, smallest=1e-3)


@pytest.fixture(scope="module")
def relu() -> RegularizationPath:
    return regularization_path(small(d=2), n_regs=6, smallest=0.01, time_limit=60)


# --------------------------------------------------------------------------------------------------- along the path
@pytest.mark.parametrize("name", ["gated", "relu"])
def test_objective_and_loss_fall_with_reg_and_the_optimal_value_is_concave(
    name: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(name)
    regs, values = path.regs, path.objectives
    lower = np.array([point.lower_bound for point in path.points])
    loss = np.array([point.loss for point in path.points])
    assert (np.diff(regs) < 0).all()
    assert (lower <= values * (1 + 1e-12)).all()
    assert (lower[1:] <= values[:-1]).all()
    for i in range(1, len(regs) - 1):
        share = (regs[i] - regs[i + 1]) / (regs[i - 1] - regs[i + 1])
        assert values[i] >= share * lower[i - 1] + (1 - share) * lower[i + 1] - 1e-12 * values[i]
    error = (values - lower) / regs
    slack = (error[:-1] + error[1:]) / (1 / regs[1:] - 1 / regs[:-1])
    assert (loss[1:] <= loss[:-1] + slack + 1e-9 * values[:-1]).all()


@pytest.mark.parametrize("name", ["gated", "relu"])
def test_every_point_is_what_it_says(name: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(name)
    assert path.status == "done" and path.reg_max_kind == "exact"
    assert path.points[0].neurons == 0 and path.neurons[-1] > 0
    for point in path.points:
        problem = path.problem.with_options(reg=point.reg)
        if name == "gated":
            value = problem.gated_objective(point.network)
            certificate = certify_gated(problem, point.network, path.patterns, np.zeros(problem.n))
            assert certificate.lower_bound <= value
            assert point.gap <= path.tol and point.pricing_gap is None
        else:
            value = problem.objective(point.network)
            assert point.pricing_gap is not None
            assert point.gap <= 1e-4, "all cells are listed here"
        assert point.objective == pytest.approx(value, rel=1e-12)
        assert point.loss + point.reg * point.penalty == pytest.approx(point.objective, rel=1e-12)


def test_above_reg_max_nothing_below_something() -> None:
    problem = small()
    top = gated_path(problem, n_regs=1).reg_max
    path = gated_path(problem, regs=[0.99 * top, 1.01 * top])
    assert path.neurons[0] == 0 < path.neurons[1]


@pytest.mark.parametrize("loss", ["squared", "logistic", "huber"])
def test_warm_is_cold_to_the_sum_of_gaps(loss: str) -> None:
    problem = small(loss=loss)
    path = gated_path(problem)
    for point in path.points:
        cold = solve(problem.with_options(reg=point.reg), "gated", path.patterns)
        assert abs(cold.objective - point.objective) <= (point.gap + cold.certificate.gap + 1e-12) * point.objective


def test_relu_warm_is_cold_to_the_proven_gaps(relu: RegularizationPath) -> None:
    for point in relu.points[1::2]:
        cold = solve(relu.problem.with_options(reg=point.reg), "cells")
        assert cold.certificate.verdict == "optimal"
        assert abs(cold.objective - point.objective) <= (point.gap + cold.certificate.gap + 1e-12) * point.objective


def test_scaled_targets_scale_the_path(gated: RegularizationPath) -> None:
    problem = gated.problem.with_options(y=10 * gated.problem.y)
    scaled = regularization_path(problem, model="gated", patterns=gated.patterns, n_regs=12, smallest=1e-3)
    np.testing.assert_allclose(scaled.regs, 10 * gated.regs, rtol=1e-9)
    np.testing.assert_allclose(scaled.objectives, 100 * gated.objectives, rtol=3e-6)


def test_losses_without_a_fast_solver_go_to_the_conic_program() -> None:
    problem = small(n=12, loss="absolute")
    path = gated_path(problem, patterns=gates_of(problem, 8), regs=[3.0, 1.0])
    assert (path.gaps <= 1e-6).all() and isinstance(path.points[0].network, GatedNetwork)


def test_a_heuristic_reg_max_is_called_so() -> None:
    problem = small(n=60, d=6)
    path = regularization_path(problem, n_regs=3, smallest=0.1, time_limit=20, tol=1e-4)
    assert path.reg_max_kind == "heuristic" and "heuristic" in path.summary()
    assert path.patterns is None
    assert {point.bound_method for point in path.points} <= {"singular values", "moment relaxation"}
    for point in path.points:
        assert 0 <= point.lower_bound <= point.objective
    assert "pricing gap: heuristic" in path.summary() and "pricing gap (heuristic)" in repr(path.points[0])
    assert "optimal" not in path.summary().lower() and "certified" not in path.summary().lower()


# --------------------------------------------------------------------------------------------------------- stopping
def test_callback_ends_the_path() -> None:
    seen: list[float] = []
    path = gated_path(small(), callback=lambda point: seen.append(point.reg) or len(seen) == 2)
    assert (path.status, len(path), len(seen)) == ("callback", 2, 2)


def test_interrupt_returns_the_points_so_far() -> None:
    def interrupt(point: Any) -> None:
        if point.neurons:
            raise KeyboardInterrupt

    path = gated_path(small(), callback=interrupt)
    assert path.status == "interrupted" and 1 <= len(path) < 6


@pytest.mark.parametrize("model", ["gated", "relu"])
def test_time_limit_returns_bounds(model: str) -> None:
    path = regularization_path(small(n=60, d=5), model=model, n_regs=30, time_limit=0.05, folds=3)
    assert path.status == "time_limit" and len(path) >= 1
    for point in path.points:
        assert 0 <= point.lower_bound <= point.objective * (1 + 1e-12)
    assert np.isnan(path.fold_errors).any()
    json.dumps(path.to_dict(), allow_nan=False)


# ------------------------------------------------------------------------------------------------------------ folds
def test_folds_are_the_same_in_one_process_and_in_two() -> None:
    problem = small()
    one, two = (gated_path(problem, folds=3, n_jobs=jobs, random_state=4) for jobs in (1, 2))
    np.testing.assert_array_equal(one.fold_errors, two.fold_errors)
    assert one.best_reg == two.best_reg and one.best_reg in one.regs
    assert one.validation[one.best_index] == one.validation.min()


def test_held_out_error_is_that_of_a_network_trained_on_the_rest() -> None:
    problem = small(n=24)
    train, test = np.arange(16), np.arange(16, 24)
    regs = [8.0, 2.0]
    path = gated_path(problem, regs=regs, folds=[(train, test)], tol=1e-9)
    from convexnet.arrangements import patterns_at

    part = problem.with_options(X=problem.X[train], y=problem.y[train])
    patterns = patterns_at(part.extended, path.patterns.witnesses)
    for index, reg in enumerate(regs):
        network = solve(part.with_options(reg=reg * 16 / 24), "gated", patterns, tol=1e-9).network
        error = 0.5 * np.mean((network.predict(problem.X[test]) - problem.y[test]) ** 2)
        assert path.fold_errors[0, index] == pytest.approx(error, rel=1e-3)


def test_splitters_and_classes() -> None:
    from sklearn.model_selection import ShuffleSplit

    problem = small(loss="logistic")
    path = gated_path(problem, folds=ShuffleSplit(2, test_size=5, random_state=0), regs=[1.0])
    assert path.fold_errors.shape == (2, 1)
    assert gated_path(problem, folds=3, regs=[1.0]).fold_errors.shape == (3, 1)


# ---------------------------------------------------------------------------------------------------- what is printed
def test_table_and_plain_data(gated: RegularizationPath) -> None:
    text = gated.summary()
    assert text.count("\n") == 5 + len(gated)
    assert "pricing" not in text and f"{gated.objectives[-1]:.9g}" in text
    assert json.loads(json.dumps(gated.to_dict()))["points"][3]["reg"] == gated.regs[3]
    assert "largest gap" in repr(gated)


def test_progress_is_silent_unless_asked_for_and_seen(capfd: pytest.CaptureFixture[str]) -> None:
    for shown in (False, True):
        gated_path(small(), progress=shown, n_regs=2)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_progress_bar_draws_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(2, "path", shown=True) as advance:
        advance()
        advance()
    assert "path" in terminal.getvalue()


# ----------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    "options",
    [
        {"model": "magic"}, {"regs": []}, {"regs": [1.0, -1.0]}, {"regs": "abc"}, {"regs": [np.nan]}, {"n_regs": 0},
        {"smallest": 1.0}, {"smallest": 0}, {"tol": 2}, {"time_limit": 0}, {"folds": 1}, {"folds": 1000},
        {"folds": [([0], [0])]}, {"folds": [([0], [99])]}, {"folds": "k"}, {"folds": 2.5}, {"n_jobs": 0},
        {"n_jobs": -2}, {"progress": 1}, {"random_state": -1}, {"callback": 3}, {"group": "magic"},
    ],
)  # fmt: skip
def test_slips_get_a_named_error(options: dict[str, Any]) -> None:
    with pytest.raises(ProblemError):
        regularization_path(small(), **{"model": "gated"} | options)


def test_problems_without_a_path_are_refused() -> None:
    problem = small()
    with pytest.raises(ProblemError, match="TrainingProblem"):
        regularization_path((problem.X, problem.y))
    with pytest.raises(ProblemError, match="Interpolation"):
        regularization_path(TrainingProblem(problem.X, problem.y, loss="interpolation"))
    with pytest.raises(ProblemError, match="fits the targets"):
        gated_path(TrainingProblem(problem.X, np.zeros(30), reg=1.0))
    with pytest.raises(ProblemError, match="free"):
        gated_path(small(bias="free"))
    with pytest.raises(PatternError, match="all activation patterns"):
        regularization_path(problem, patterns=gates_of(problem))
    with pytest.raises(PatternError, match="other data"):
        gated_path(problem, patterns=gates_of(small(seed=1)))
