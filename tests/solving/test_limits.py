"""Time limits and interrupts of the front door and of paths, optima of zero, data whose rank is below its columns."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pytest

from convexnet import TrainingProblem, regularization_path, sample_patterns, solve
from convexnet.certificates import judge
from convexnet.errors import ConvexNetWarning, NotCertifiedWarning, ProblemError
from convexnet.pricing import dual_bound, enumerable, feasible_dual
from convexnet.solving import Solution
from convexnet.solving._loop import Run
from convexnet.solving._path_models import _Gated
from convexnet.solving.dual_sources import target_value
from convexnet.solving.master import Master


def problem_of(n: int = 60, d: int = 6, seed: int = 0, **options: Any) -> TrainingProblem:
    generator = np.random.default_rng(seed)
    X = generator.standard_normal((n, d))
    y = np.maximum(X[:, 0], 0) - 0.5 * np.abs(X[:, 1]) + 0.1 * generator.standard_normal(n)
    if options.get("loss") in ("logistic", "hinge"):
        y = np.where(y > np.median(y), 1.0, -1.0)
    return TrainingProblem(X, y, **{"reg": 2.0} | options)


def quiet(problem: TrainingProblem, *arguments: Any, **options: Any) -> Solution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvexNetWarning)
        return solve(problem, *arguments, **options)


# ------------------------------------------------------------------------------------------------------------- clocks
@pytest.mark.parametrize("method", ["auto", *(pytest.param(m, marks=pytest.mark.slow) for m in ("cells", "program"))])
def test_little_time_is_kept_to(method: str) -> None:
    problem = problem_of(400, 20, loss="logistic", reg=0.5)
    quiet(problem_of(), method, time_limit=0.5)  # imports
    for limit in (0.01, 0.6):
        start = time.process_time()
        solution = quiet(problem, method, time_limit=limit)
        assert time.process_time() - start < 3 * limit + 1.5
        assert 0 <= solution.certificate.lower_bound <= solution.objective
        assert solution.status in ("time_limit", "not_proven")
        assert solution.objective == problem.objective(solution.network)


def test_a_list_of_many_patterns_too() -> None:
    problem = problem_of(300, 8)
    patterns = sample_patterns(problem.extended, 300, random_state=0)
    start = time.process_time()
    solution = quiet(problem, "cells", patterns, time_limit=0.6)
    assert time.process_time() - start < 3.3
    assert 0 <= solution.certificate.lower_bound <= solution.objective


def test_thinning_takes_no_more_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(20, 2, reg=0.1)
    patterns = sample_patterns(problem.extended, 40, random_state=0)
    master = Master(problem, patterns, "CLARABEL")
    whole = master.solve([(cell, sign) for cell in range(len(patterns)) for sign in (1, -1)], 1e-9, 20.0)
    solved: list[int] = []
    monkeypatch.setattr(Master, "solve", lambda *arguments: solved.append(1))
    assert master.thinned(whole, problem.objective(whole.network), 1e-9, 0.0) is None and not solved


@pytest.mark.parametrize("options", [
    {}, {"loss": "logistic"}, {"loss": "hinge"}, {"loss": "huber"}, {"loss": "absolute"},
    {"skip": True, "intercept": True}, {"sample_weight": np.linspace(0.0, 2.0, 60)},
], ids=str)  # fmt: skip
def test_the_target_is_the_largest_pricing_bound_that_proves_the_goal(options: dict[str, Any]) -> None:
    problem = problem_of(**options)
    point = feasible_dual(problem, -problem.gradient(np.full(problem.n, 0.1)))
    slack = point.pricing_slack(problem)
    top = dual_bound(problem, point, 1e-3 * problem.reg)[0]
    for share in (0.3, 0.9, 0.999999):
        target = target_value(problem, point, share * top)
        assert target is not None
        assert dual_bound(problem, point, target + slack)[0] >= share * top
        assert dual_bound(problem, point, (target + slack) * (1 + 1e-5))[0] < share * top
    assert target_value(problem, point, 1.001 * top) is None


# --------------------------------------------------------------------------------------------------------- interrupts
def interrupt(*arguments: Any, **options: Any) -> Any:
    raise KeyboardInterrupt


def test_an_interrupt_in_the_relu_solver_keeps_its_network() -> None:
    problem = problem_of()

    def late(record: Any) -> None:
        if record.size:
            raise KeyboardInterrupt

    solution = quiet(problem, "relu", callback=late, time_limit=20)
    assert solution.status == "interrupted" and solution.size > 0
    assert 0 <= solution.certificate.lower_bound <= solution.objective < problem.loss_value(np.zeros(problem.n))


@pytest.mark.parametrize("method", ["relu", "cells", "program"])
def test_an_interrupt_in_the_search_for_bounds_keeps_the_network(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(40, 5)
    patterns = None if method == "relu" else sample_patterns(problem.extended, 20, random_state=0)
    monkeypatch.setattr(Run, "_bound", interrupt)
    solution = quiet(problem, method, patterns, time_limit=20, tol=1e-9)
    assert solution.size > 0 and solution.status in ("interrupted", "solved")
    assert method != "relu" or solution.status == "interrupted"
    assert 0 < solution.certificate.lower_bound <= solution.objective


def test_an_interrupt_in_the_first_program_keeps_the_trained_network(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(20, 2)
    monkeypatch.setattr(Master, "solve", interrupt)
    solution = quiet(problem, "cells", time_limit=20, tol=1e-12)
    assert solution.status in ("interrupted", "solved") and solution.size > 0
    with pytest.raises(KeyboardInterrupt):  # nothing to return
        quiet(problem, "program", time_limit=20)


def test_an_interrupted_path_has_no_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(30, 3)
    monkeypatch.setattr("convexnet.solving.path.fold_errors", lambda *arguments: pytest.fail("folds after Ctrl-C"))
    path = regularization_path(problem, model="gated", n_regs=4, folds=3, callback=interrupt)
    assert path.status == "interrupted" and path.fold_errors is None and len(path) == 1


def test_an_interrupt_in_a_fold_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(30, 3)
    point, calls = _Gated.point, []

    def counted(self: _Gated, reg: float, time_limit: float) -> Any:
        calls.append(reg)
        return interrupt() if len(calls) == 6 else point(self, reg, time_limit)

    monkeypatch.setattr(_Gated, "point", counted)
    path = regularization_path(problem, model="gated", n_regs=4, folds=3)
    assert path.status == "interrupted" and len(path) == 4 and len(calls) == 6
    assert np.isfinite(path.fold_errors).sum() == 1


# ---------------------------------------------------------------------------------------------------- rank, zero, words
def test_constant_and_zero_columns_cut_no_cells() -> None:
    X = np.random.default_rng(1).standard_normal((30, 2))
    y = np.abs(X[:, 0])
    plain, padded = (
        TrainingProblem(data, y, reg=0.1) for data in (X, np.c_[X, np.full(30, 7.0), np.zeros(30), X[:, 0]])
    )
    assert enumerable(plain, 5000) and enumerable(padded, 5000)
    assert enumerable(TrainingProblem(np.zeros((3, 2)), y[:3], reg=0.1, bias="none"))
    solution = solve(padded, "relu")
    assert solution.status == "solved" and solution.certificate.verdict == "optimal"


@pytest.mark.parametrize("method", ["auto", "cells", "relu", "program"])
def test_an_optimum_of_zero_is_proven(method: str) -> None:
    X = np.random.default_rng(5).standard_normal((30, 2))
    for size in (1.0, 1e3):
        solution = solve(TrainingProblem(X, np.full(30, size), intercept=True, reg=0.1), method)
        assert (solution.status, solution.certificate.gap, solution.size) == ("solved", 0.0, 0)
        assert solution.pricing_gap in (None, 0.0)


def test_a_network_outside_the_list_is_called_so() -> None:
    problem = problem_of()
    network = quiet(problem, "relu", time_limit=0.5).network
    found = judge(problem, network, patterns=sample_patterns(problem.extended, 2, random_state=0))
    said = found.summary()
    assert found.listed_gap == np.inf and "the network is outside the list" in said and "gap inf" not in said


def test_what_is_not_proven_names_the_longer_search() -> None:
    with pytest.warns(NotCertifiedWarning, match="certify"):
        solution = solve(problem_of(150, 15, reg=0.1), tol=1e-9, time_limit=1.0)
    assert "convexnet.certify(problem, network, time_limit=...)" in solution.summary()


@pytest.mark.parametrize("options", [{"folds": []}, {"n_jobs": True}, {"n_jobs": 0}, {"n_jobs": 1.5}], ids=str)
def test_paths_refuse(options: dict[str, Any]) -> None:
    with pytest.raises(ProblemError, match="folds" if "folds" in options else "-1"):
        regularization_path(problem_of(), model="gated", **options)
