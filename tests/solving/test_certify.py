"""certify: verdicts on small problems against exact enumeration, judged networks, degenerate data, options, clocks."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.grids import latin
from helpers.random_problems import CONVENTIONS, LOSSES, random_problem
from helpers.verify import verify_certificate

from convexnet import ShallowNetwork, TrainingProblem, certify, enumerate_patterns, reg_max, sample_patterns, solve
from convexnet.certificates import Certificate, ProofFileError, judge
from convexnet.errors import NetworkError, PatternError, ProblemError
from convexnet.pricing import feasible_dual, price_cells, price_spectral


def name_of(value: Any) -> str:
    return "-".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def larger_problem(n: int = 80, d: int = 7, ratio: float = 0.1) -> TrainingProblem:
    """Too many cells to list, too many dimensions to close in a second."""
    generator = np.random.default_rng(3)
    X = generator.standard_normal((n, d))
    y = np.maximum(X[:, 0] + X[:, 1], 0) - np.abs(X[:, 2]) + 0.5 * generator.standard_normal(n)
    problem = TrainingProblem(X, y, reg=1.0)
    return problem.with_options(reg=ratio * float(np.linalg.norm(problem.extended.T @ y)))


# ------------------------------------------------------------------------------------- against the exact optimum
@pytest.mark.parametrize(("loss", "conventions"), latin(LOSSES, CONVENTIONS, every=6), ids=name_of)
def test_every_kind_of_problem_is_certified_at_the_enumerated_optimum(loss: str, conventions: dict[str, Any]) -> None:
    seed = len(CONVENTIONS) * LOSSES.index(loss) + CONVENTIONS.index(conventions)
    problem, patterns = random_problem(loss, seed, **conventions)
    certificate = certify(problem, time_limit=30)
    assert certificate.verdict == "optimal"
    assert certificate.network is not None
    verify_certificate(problem, certificate.network, certificate)
    best = solve(problem, patterns=patterns).certificate
    assert certificate.lower_bound <= best.upper_bound * (1 + 1e-12) + best.misfit
    assert certificate.upper_bound == pytest.approx(best.upper_bound, rel=2e-6)


@pytest.mark.parametrize(
    ("bias", "loss", "method"),
    latin(["penalized", "free", "none"], ["squared", "hinge"], ["cones", "moment"], every=3),
)
def test_bounds_without_a_list_of_cells(loss: str, bias: str, method: str) -> None:
    problem, patterns = random_problem(loss, 5, bias=bias)
    best = solve(problem, patterns=patterns).objective
    certificate = certify(problem, method=method, time_limit=20)
    assert certificate.lower_bound <= best * (1 + 1e-12)
    assert certificate.lower_bound > 0.5 * best
    if method == "cones":
        assert certificate.verdict == "optimal"
        assert certificate.method == "cones"
    assert certificate.network is not None
    verify_certificate(problem, certificate.network, certificate)


# ---------------------------------------------------------------------------------------------- judged networks
@pytest.mark.parametrize("loss", ["squared", "logistic", "absolute"])
def test_a_bad_network_is_refuted_by_the_best_one(loss: str) -> None:
    problem, patterns = random_problem(loss, 2)
    bad = ShallowNetwork([[1.0, -0.5]], [0.2], [0.7])
    certificate = certify(problem, bad, time_limit=20)
    verify_certificate(problem, bad, certificate)
    assert certificate.verdict == "refuted"
    assert certificate.improved is not None
    best = solve(problem, patterns=patterns).objective
    assert problem.objective(certificate.improved) == pytest.approx(best, rel=1e-6)
    assert certificate.lower_bound == pytest.approx(best, rel=1e-6)


def test_the_gap_of_a_perturbed_network_is_its_excess_and_not_that_of_its_residual() -> None:
    problem, _ = random_problem("squared", 7, bias="penalized")
    best = certify(problem, time_limit=20).network
    assert best is not None
    noise = np.random.default_rng(0)
    rough = replace(best, weights=best.weights + 3e-3 * noise.standard_normal(best.weights.shape))
    excess = problem.objective(rough) / problem.objective(best) - 1
    certificate = certify(problem, rough, time_limit=20)
    verify_certificate(problem, rough, certificate)
    assert certificate.gap == pytest.approx(excess, rel=0.05)
    residual = feasible_dual(problem, -problem.gradient(rough.predict(problem.X))).nu
    own = judge(problem, rough, pricings=[(residual, price_spectral(problem, residual))])
    assert own.gap > 3 * certificate.gap
    lenient = certify(problem, rough, tol=2 * excess, time_limit=20)
    assert lenient.verdict == "optimal"


def test_given_dual_vectors_and_patterns_are_used() -> None:
    problem, patterns = random_problem("squared", 4)
    solution = solve(problem, patterns=patterns)
    certificate = certify(problem, solution.network, nu=solution.certificate.nu, patterns=patterns, time_limit=20)
    assert certificate.verdict == "optimal"
    assert certificate.method == f"{len(patterns)} cells"
    part = patterns.subset(range(5))
    listed = certify(problem, solution.network, patterns=part, time_limit=20)
    assert listed.verdict == "optimal"
    assert listed.listed_lower_bound is not None


# ------------------------------------------------------------------------------------------------ degenerate data
def degenerate() -> dict[str, TrainingProblem]:
    generator = np.random.default_rng(11)
    X, y = generator.standard_normal((12, 2)), generator.standard_normal(12)
    ones = np.column_stack([X, np.full(12, 3.0)])
    return {
        "one sample": TrainingProblem([[2.0]], [3.0], reg=0.5),
        "one sample, free": TrainingProblem([[2.0, 1.0]], [3.0], reg=0.5, bias="free"),
        "duplicates": TrainingProblem(np.vstack([X, X]), np.append(y, -y + 1), reg=0.5),
        "constant column": TrainingProblem(ones, y, reg=0.3),
        "constant column, free": TrainingProblem(ones, y, reg=0.3, bias="free"),
        "zero column": TrainingProblem(np.column_stack([X, np.zeros(12)]), y, reg=0.3),
        "more features than samples": TrainingProblem(generator.standard_normal((4, 9)), y[:4], reg=0.5),
        "grid": TrainingProblem([[i, j] for i in range(3) for j in range(3)], np.arange(9.0) % 4, reg=0.2),
        "zero targets": TrainingProblem(X, np.zeros(12), reg=0.1),
        "huge reg": TrainingProblem(X, y, reg=1e6),
        "tiny reg": TrainingProblem(X[:4], y[:4], reg=1e-9),
        "badly scaled": TrainingProblem(X * [1e-4, 1e5], 1e7 * y, reg=3e6, bias="none"),
        "weights": TrainingProblem(X, y, reg=0.3, sample_weight=np.arange(12.0)),
        "logistic, separable": TrainingProblem(X, np.sign(X[:, 0]), loss="logistic", reg=0.1),
        "huber, outlier": TrainingProblem(X, np.append(y[:-1], 1e4), loss="huber", reg=0.3),
    }


@pytest.mark.parametrize("name", degenerate())
def test_degenerate_data(name: str) -> None:
    problem = degenerate()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        certificate = certify(problem, time_limit=20)
    assert certificate.network is not None
    verify_certificate(problem, certificate.network, certificate)
    assert certificate.verdict == "optimal"


# ---------------------------------------------------------------------------------------------------- clocks
@pytest.mark.parametrize("limit", [0.05, 1.0, pytest.param(2.0, marks=pytest.mark.slow)])
def test_time_limit_and_valid_bounds_when_it_runs_out(limit: float) -> None:
    problem = larger_problem()
    certify(problem.with_options(reg=1.0), time_limit=0.05)  # imports and compiled code are not part of the limit
    start = time.perf_counter()
    certificate = certify(problem, time_limit=limit)
    assert time.perf_counter() - start < 3 * limit + 1
    assert certificate.verdict in ("bound", "optimal")
    assert certificate.network is not None
    verify_certificate(problem, certificate.network, certificate)
    assert certificate.upper_bound <= problem.objective(ShallowNetwork(np.zeros((0, 7)), [], []))


def test_more_time_gives_no_worse_bound_and_history_is_monotone() -> None:
    problem = larger_problem(n=60, d=4)
    seen: list[tuple[float, float, float]] = []
    certificate = certify(problem, time_limit=3, callback=lambda *entry: seen.append(entry))
    assert tuple(seen) == certificate.history
    seconds, objectives, bounds = zip(*certificate.history, strict=True)
    assert list(seconds) == sorted(seconds)
    assert list(objectives) == sorted(objectives, reverse=True)
    assert list(bounds) == sorted(bounds)
    assert certificate.lower_bound >= bounds[-1]


def test_same_seed_same_certificate() -> None:
    problem, _ = random_problem("logistic", 9)
    one, two = (certify(problem, random_state=4, time_limit=20) for _ in range(2))
    assert one.upper_bound == two.upper_bound
    assert one.lower_bound == two.lower_bound


def test_verbose_prints_and_dictionary_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    problem, _ = random_problem("squared", 1)
    certificate = certify(problem, time_limit=20, verbose=True)
    assert "lower bound" in capsys.readouterr().out
    plain = certificate.to_dict()
    assert plain["status"] == "target"
    assert plain["network"]["weights"] == certificate.network.weights.tolist()  # type: ignore[union-attr]
    assert "problem" not in plain
    assert isinstance(certificate, Certificate)


# ------------------------------------------------------------------------------------------------- bad input
def test_bad_input_is_named_at_once() -> None:
    problem, patterns = random_problem("squared", 1)
    other, foreign = random_problem("squared", 2)
    start = time.perf_counter()
    for options in ({"tol": 2.0}, {"time_limit": 0}, {"method": "luck"}, {"callback": 3}, {"nu": "abc"}, {"proof": 1}):
        with pytest.raises(ProblemError):
            certify(problem, **options)
    with pytest.raises(ProblemError, match="TrainingProblem"):
        certify("problem")  # type: ignore[arg-type]
    with pytest.raises(PatternError):
        certify(problem, patterns=foreign)
    with pytest.raises(PatternError):
        certify(problem, patterns=patterns.patterns)  # type: ignore[arg-type]
    with pytest.raises(NetworkError):
        certify(problem, ShallowNetwork([[1.0]], [0.0], [1.0]))
    assert time.perf_counter() - start < 2
    assert other is not problem


# ------------------------------------------------------------------------------------------- judging by bounds
def test_judge_uses_given_pricings_and_refuses_what_proves_nothing() -> None:
    problem, patterns = random_problem("squared", 3)
    solution = solve(problem, patterns=patterns)
    nu = solution.certificate.nu
    exact = price_cells(problem, nu, patterns)
    certificate = judge(problem, solution.network, pricings=[(nu, exact)])
    assert certificate.lower_bound == pytest.approx(solution.certificate.lower_bound, rel=1e-9)
    loose = judge(problem, solution.network, pricings=[(nu, price_spectral(problem, nu))])
    assert loose.lower_bound < certificate.lower_bound
    with pytest.raises(ProblemError, match="every direction"):
        judge(problem, solution.network, pricings=[(nu, replace(exact, scope="listed"))])
    free = problem.with_options(bias="free")
    with pytest.raises(ProblemError, match="feasible"):
        judge(free, solution.network, pricings=[(np.abs(nu) + 1, exact)])


def test_a_rival_is_reported_only_if_it_is_better() -> None:
    problem, patterns = random_problem("squared", 3)
    best = solve(problem, patterns=patterns).network
    bad = ShallowNetwork([[1.0, -0.5]], [0.2], [0.7])
    refuted = judge(problem, bad, patterns=patterns, rival=best)
    assert refuted.verdict == "refuted"
    assert refuted.improved_objective == problem.objective(best)
    kept = judge(problem, best, patterns=patterns, rival=bad)
    assert kept.improved is not bad


# -------------------------------------------------------------------------------------------- solve, partial lists
def test_solve_over_some_patterns_bounds_all_networks_well() -> None:
    problem, patterns = random_problem("squared", 3)
    best = solve(problem, patterns=patterns).objective
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = solve(problem, patterns=sample_patterns(problem.extended, 10, random_state=0))
    assert best * (1 - 1e-3) <= solution.certificate.lower_bound <= best * (1 + 1e-9)


def test_reg_above_its_largest_value_leaves_the_empty_network() -> None:
    problem, patterns = random_problem("squared", 3)
    certificate = certify(problem.with_options(reg=1.01 * reg_max(problem, patterns)), time_limit=20)
    assert certificate.verdict == "optimal"
    assert certificate.network is not None
    assert certificate.network.n_neurons == 0
    assert len(enumerate_patterns(problem.extended)) == len(patterns)


# --------------------------------------------------------------------------------- files and several outputs
@pytest.mark.parametrize("options", [{}, {"method": "cones"}, {"method": "cones", "proof": True}], ids=str)
def test_a_saved_certificate_is_loaded_as_verified(options: dict[str, Any], tmp_path: Path) -> None:
    problem, _ = random_problem("logistic", 2, bias="penalized")
    certificate = certify(problem, time_limit=20, **options)
    certificate.save(tmp_path / "proof.json")
    loaded = Certificate.load(tmp_path / "proof.json")
    assert loaded.verdict == "optimal"
    assert certificate.lower_bound * (1 - 1e-8) <= loaded.lower_bound <= certificate.upper_bound
    assert loaded.upper_bound == pytest.approx(certificate.upper_bound, rel=1e-9)
    (tmp_path / "proof.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ProofFileError):
        Certificate.load(tmp_path / "proof.json")


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_several_outputs(loss: str) -> None:
    generator = np.random.default_rng(0)
    X = generator.standard_normal((12, 2))
    Y = np.abs(X @ generator.standard_normal((2, 2)))
    y = Y if loss == "squared" else (Y[:, 0] > Y[:, 1]).astype(int)
    problem = TrainingProblem(X, y, loss=loss, reg=1.0)
    certificate = certify(problem, time_limit=10, tol=1e-2)
    assert certificate.network is not None
    verify_certificate(problem, certificate.network, certificate)
    assert certificate.gap < 0.05


@pytest.mark.parametrize("options", [{"bias": "free"}, {"intercept": True}])
def test_classes_with_a_free_output_bias_have_a_bound(options: dict[str, Any]) -> None:
    generator = np.random.default_rng(0)
    X = generator.standard_normal((40, 2))
    problem = TrainingProblem(X, np.digitize(X[:, 0], [-0.5, 0.5]), loss="softmax", reg=2.0, **options)
    certificate = certify(problem, time_limit=10, tol=1e-2)
    assert certificate.network is not None
    verify_certificate(problem, certificate.network, certificate)
    assert certificate.gap < 0.1


def test_free_biases_of_many_rows_keep_the_limits() -> None:
    generator = np.random.default_rng(0)
    X = generator.standard_normal((3000, 12))
    problem = TrainingProblem(X, np.abs(X[:, 0]), reg=300.0, bias="free")
    start = time.perf_counter()
    certificate = certify(problem, time_limit=1.5)
    assert time.perf_counter() - start < 6
    assert 0 < certificate.lower_bound <= certificate.upper_bound
    assert certificate.status in ("memory_limit", "time_limit")


def test_no_weight_is_left_near_underflow() -> None:
    generator = np.random.default_rng(0)
    X = np.column_stack([generator.standard_normal((30, 3)), np.zeros(30)])
    problem = TrainingProblem(X, np.abs(X[:, 0]) - X[:, 1], reg=1.0)
    network = certify(problem, time_limit=8, tol=1e-4).network
    assert network is not None
    sizes = np.abs(network.weights)
    assert np.all((sizes == 0) | (sizes > 1e-60))


def test_an_interrupt_inside_compiled_code_keeps_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from convexnet.solving._loop import Run

    def interrupted(self: Run) -> str:
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()

    monkeypatch.setattr(Run, "_bound", interrupted)
    problem = larger_problem()
    start = ShallowNetwork(np.ones((1, 7)), [0.0], [1.0])
    assert certify(problem, start, time_limit=3).status == "interrupted"
