"""Networks of one feature, however trained and however many samples, are certified by exact pricing."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from convexnet import TrainingProblem, certify, reg_max
from convexnet.arrangements import sample_patterns
from convexnet.baselines import train
from convexnet.certificates import judge
from convexnet.errors import PatternError, ProblemError
from convexnet.solvers import solve_spline
from convexnet.solving._certified import Options
from convexnet.solving._spline_method import solve_spline_method


def _problem(n: int, loss: str = "squared", ratio: float = 0.01, **options: Any) -> TrainingProblem:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 3, n)
    y = np.sin(3 * x) + np.abs(x - 0.5) + 0.15 * rng.standard_normal(n)
    y = np.sign(np.sin(3 * x) + 0.5 * rng.standard_normal(n)) if loss == "logistic" else y
    problem = TrainingProblem(x[:, None], y, loss=loss, reg=1.0, **options)
    return problem.with_options(reg=ratio * reg_max(problem))


@pytest.mark.parametrize(
    ("n", "options"),
    [pytest.param(n, options, marks=pytest.mark.slow if n > 300 or options else ()) for n in (300, 100_000)
     for options in ({}, {"bias": "free"}, {"bias": "free", "skip": True}, {"bias": "none"}, {"loss": "logistic"})]
)
def test_certified_without_cells(n: int, options: dict[str, Any]) -> None:
    problem = _problem(n, **options)
    best = certify(problem, time_limit=60)
    assert best.verdict == "optimal"
    assert best.n_patterns == 0
    network = train(problem, width=20, n_starts=1, max_iter=30).networks[0]
    found = certify(problem, network, time_limit=60)
    assert found.upper_bound == pytest.approx(problem.objective(network))
    assert best.lower_bound * (1 - 1e-6) <= found.lower_bound <= best.upper_bound * (1 + 1e-9)
    assert found.gap == pytest.approx(1 - found.lower_bound / found.upper_bound, abs=1e-6)


def test_several_outputs_of_one_feature_have_a_good_bound() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 3, 100)
    problem = TrainingProblem(x[:, None], np.column_stack([np.sin(3 * x), np.cos(4 * x)]), reg=1.0)
    problem = problem.with_options(reg=0.05 * reg_max(problem))
    assert certify(problem, time_limit=20).gap < 1e-2


def test_judging_takes_milliseconds_for_many_samples() -> None:
    problem = _problem(20_000, bias="free")
    result = solve_spline(problem)
    start = time.process_time()
    certificate = judge(problem, result.network, nu=result.nu)
    assert time.process_time() - start < 3
    assert certificate.verdict == "optimal"
    assert certificate.method == "exact in one dimension"


def _options(tol: float = 1e-8) -> Options:
    return Options(tol, 60.0, None, "CLARABEL", 0, None, "nuclear", time.perf_counter())


@pytest.mark.parametrize("options", [{}, {"bias": "free"}, {"bias": "free", "skip": True}, {"bias": "none"}])
def test_method_returns_a_certified_solution(options: dict[str, Any]) -> None:
    problem = _problem(60, **options)
    solution = solve_spline_method(problem, None, _options())
    assert solution.status == "solved"
    assert solution.certificate.verdict == "optimal"
    assert solution.certificate.gap <= 1e-8
    assert solution.objective == pytest.approx(problem.objective(solution.network))


def test_method_names_what_it_does_not_solve() -> None:
    with pytest.raises(ProblemError, match="one feature"):
        solve_spline_method(TrainingProblem(np.eye(2), [1.0, 2.0], reg=1.0), None, _options())
    problem = _problem(20)
    with pytest.raises(PatternError, match="all activation patterns"):
        solve_spline_method(problem, sample_patterns(problem.extended, 3), _options())


def test_proof_file_of_an_exactly_priced_certificate(tmp_path: Any) -> None:
    from convexnet.certificates import verify_file

    certificate = certify(_problem(15, ratio=0.05), time_limit=20, tol=1e-5)
    certificate.save(tmp_path / "proof.json")
    assert verify_file(tmp_path / "proof.json").verdict == "certified"


def test_rounding_of_far_data_is_measured() -> None:
    """Four-digit spacings at 2e7: the norms of the network alone would explain a gap of 4e-4."""
    x = 19638588.5 + np.array([0.00611334, 0.006223373, 0.006296597, 0.006442863, 0.006550945])
    y = np.array([-0.19085, -0.87497, 0.00458, 0.59293, 0.27219])
    problem = TrainingProblem(x[:, None], y, reg=1.215e-4, bias="free")
    result = solve_spline(problem)
    certificate = certify(problem, result.network, time_limit=5)
    assert certificate.verdict == "optimal"
    better = certificate.improved_objective
    assert better is None or better >= certificate.lower_bound * (1 - 1e-9)
    with_skip = problem.with_options(skip=True)
    certificate = certify(with_skip, result.network, time_limit=5)
    assert certificate.verdict == "refuted"
    assert 0 < certificate.lower_bound <= certificate.improved_objective  # type: ignore[operator]
    certificate = certify(with_skip, certificate.improved, time_limit=5)
    assert certificate.gap <= 2e-5 and "rounding of the objective included" in certificate.summary()
