"""Threshold networks behind the front door: what is solved, what is proven, what cannot be listed."""

from __future__ import annotations

import doctest
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from convexnet.errors import IncompletePatternsWarning, InfeasibleError, ProblemError
from convexnet.networks import ThresholdNetwork
from convexnet.problem import TrainingProblem
from convexnet.solving._certified import Options
from convexnet.solving._threshold_method import solve_threshold_network

X = np.random.default_rng(0).normal(size=(12, 2))
Y = np.random.default_rng(1).normal(size=12)


def solve(problem, patterns=None, tol=1e-6, time_limit=60.0, max_iter=None, callback=None):
    options = Options(tol, time_limit, max_iter, "CLARABEL", 0, callback, "nuclear", time.perf_counter())
    return solve_threshold_network(problem, patterns, options)


@pytest.mark.parametrize("options", [{}, {"bias": "none"}, {"intercept": True}, {"loss": "absolute"}])
def test_solution_is_proven_over_all_networks(options):
    problem = TrainingProblem(X, Y, **{"reg": 0.3, "activation": "threshold", **options})
    solution = solve(problem)
    assert isinstance(solution.network, ThresholdNetwork) and solution.method == "threshold"
    assert solution.status == "solved" and solution.certificate.verdict == "optimal"
    assert solution.objective == problem.objective(solution.network) and solution.size <= problem.n
    assert "neurons" in solution.summary() and "OPTIMAL" in solution.summary()
    json.dumps(solution.to_dict())


def test_too_many_patterns_are_sampled_and_judged_as_listed():
    rng = np.random.default_rng(0)
    problem = TrainingProblem(rng.normal(size=(60, 8)), rng.normal(size=60), reg=2.0, activation="threshold")
    with pytest.warns(IncompletePatternsWarning, match="drawn"):
        solution = solve(problem)
    assert solution.certificate.verdict in ("listed", "bound")
    assert solution.certificate.lower_bound <= solution.objective


def test_contradictory_targets_carry_an_exact_proof():
    rows = np.vstack([X[:3], X[:1]])
    problem = TrainingProblem(rows, [1.0, 2.0, 3.0, 4.0], loss="interpolation", activation="threshold")
    with pytest.raises(InfeasibleError) as caught:
        solve(problem)
    assert caught.value.certificate @ problem.y > 0


def test_limits_and_other_problems():
    problem = TrainingProblem(X, Y, reg=0.01, activation="threshold")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stopped = solve(problem, callback=lambda record: True)
    assert stopped.status in ("callback", "solved") and stopped.certificate.lower_bound <= stopped.objective
    with pytest.raises(ProblemError, match="threshold"):
        solve(problem.with_options(activation="relu"))


def test_theory_page_prints_what_it_shows():
    page = Path(__file__).resolve().parents[2] / "docs" / "theory" / "thresholds.rst"
    assert doctest.testfile(str(page), module_relative=False) == (0, 11)
