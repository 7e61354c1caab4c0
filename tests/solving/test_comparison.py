"""The comparison table: figures recomputed, words that claim no more than was proven."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from convexnet import TrainingProblem, solve
from convexnet.errors import ProblemError
from convexnet.solving import Comparison, Solution, compare
from convexnet.solving.comparison import relative_excess


@pytest.fixture(scope="module")
def problem() -> TrainingProblem:
    x = np.linspace(-1, 1, 12)
    return TrainingProblem(x[:, None], np.abs(x) + 0.1 * np.sin(9 * x), reg=0.05)


@pytest.fixture(scope="module")
def solution(problem: TrainingProblem) -> Solution:
    return solve(problem)


@pytest.fixture(scope="module")
def comparison(problem: TrainingProblem, solution: Solution) -> Comparison:
    return compare(problem, solution, width=20, n_starts=3, max_iter=400)


def with_verdict(solution: Solution, verdict: str, **changes: object) -> Solution:
    certificate = dataclasses.replace(solution.certificate, verdict=verdict, **changes)
    return dataclasses.replace(solution, certificate=certificate)


def test_rows_are_recomputed_from_the_networks(problem: TrainingProblem, comparison: Comparison) -> None:
    assert [row.method for row in comparison.rows] == ["convex", "sgd", "adam", "lbfgs"]
    bound = comparison.solution.certificate.lower_bound
    convex = comparison.rows[0]
    assert convex.best == problem.objective(comparison.solution.network)
    for row in comparison.rows[1:]:
        objectives = sorted(problem.objective(network) for network in comparison.runs[row.method].networks)
        assert (row.best, row.median) == (objectives[0], objectives[1])
        assert row.excess_best == pytest.approx(objectives[0] / bound - 1, abs=1e-12)
        assert row.excess_median >= row.excess_best >= -1e-12
        assert (row.width, row.n_starts, row.n_diverged) == (20, 3, 0)


def test_no_trained_network_is_below_the_proven_bound(comparison: Comparison) -> None:
    assert all(row.best >= comparison.lower_bound * (1 - 1e-12) for row in comparison.rows)


def test_table_is_aligned_and_fits(comparison: Comparison) -> None:
    lines = comparison.summary().splitlines()
    assert max(map(len, lines)) <= 100
    table = lines[-5:]
    assert len({len(line) for line in table}) == 1
    assert "e-" in table[-1]
    assert "optimum" in lines[0]
    assert "\n" not in repr(comparison)


@pytest.mark.parametrize("verdict", ["bound", "listed", "refuted"])
def test_words_without_a_proof(problem: TrainingProblem, solution: Solution, verdict: str) -> None:
    short = compare(problem, with_verdict(solution, verdict), methods=("adam",), width=5, n_starts=2, max_iter=20)
    text = short.summary().lower()
    assert "excess over the proven lower bound" in text
    assert "optim" not in text
    assert "global" not in text
    assert max(map(len, short.summary().splitlines())) <= 100
    assert "optim" not in repr(short).lower()


def test_a_bound_of_zero_gives_no_ratio(problem: TrainingProblem, solution: Solution) -> None:
    weak = with_verdict(solution, "bound", lower_bound=0.0)
    result = compare(problem, weak, methods=("adam",), width=5, n_starts=2, max_iter=20)
    assert math.isinf(result.rows[1].excess_best)
    assert "inf" in result.summary()
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["rows"][1]["excess_best"] is None


def test_excess() -> None:
    assert relative_excess(1.5, 1.0) == 0.5
    assert relative_excess(0.0, 0.0) == 0.0
    assert relative_excess(math.inf, 1.0) == math.inf


def test_divergence_is_shown(problem: TrainingProblem, solution: Solution) -> None:
    result = compare(problem, solution, methods="sgd", width=5, n_starts=2, max_iter=300, learning_rate=1e7)
    assert result.rows[1].n_diverged == 2
    assert "2 of 2 diverged" in result.summary()
    assert max(map(len, result.summary().splitlines())) <= 110


def test_learning_rate_is_kept_from_lbfgs(problem: TrainingProblem, solution: Solution) -> None:
    result = compare(problem, solution, methods=("lbfgs", "adam"), width=5, n_starts=2, max_iter=20, learning_rate=0.01)
    assert result.runs["adam"].options["learning_rate"] == 0.01
    assert "learning_rate" not in result.runs["lbfgs"].options


def test_solves_when_no_solution_is_given(problem: TrainingProblem, solution: Solution) -> None:
    result = compare(problem, methods=("adam",), width=5, n_starts=2, max_iter=20, time_limit=60.0)
    assert result.rows[0].best == pytest.approx(solution.objective, rel=1e-6)


def test_foreign_solutions_and_bad_options_are_refused(problem: TrainingProblem, solution: Solution) -> None:
    with pytest.raises(ProblemError, match="another problem"):
        compare(problem.with_options(reg=0.1), solution)
    with pytest.raises(ProblemError, match="methods must be one of"):
        compare(problem, solution, methods=("newton",))
    with pytest.raises(ProblemError, match="methods is empty"):
        compare(problem, solution, methods=())


def test_gated_solutions_are_refused(problem: TrainingProblem) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gated = solve(problem, method="gated")
    with pytest.raises(ProblemError, match="gated network"):
        compare(problem, gated)
