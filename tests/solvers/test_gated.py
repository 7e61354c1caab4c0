"""The gated solver for one output: the same optimum as the conic program, honest bounds, awkward data."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from convexnet import GatedNetwork, PatternSet, TrainingProblem, sample_patterns
from convexnet.certificates import certify_gated
from convexnet.errors import PatternError, ProblemError
from convexnet.pricing import price_gated
from convexnet.programs import build_gated
from convexnet.solvers import GatedResult, Progress, solve_gated
from convexnet.solvers._gated_bounds import GatedCase
from convexnet.solvers._monitor import Monitor
from convexnet.solvers._ssnal_system import NewtonSystem
from convexnet.solvers.gated import solve_case

LOSSES = ("squared", "huber", "logistic")
CONVENTIONS = [
    {"bias": bias, "norm": norm, "activation": activation, "intercept": intercept, "negative_slope": 0.2}
    for bias in ("penalized", "none")
    for norm in ("l2", "l1")
    for activation in ("relu", "leaky", "absolute")
    for intercept in (False, True)
]


def random_case(loss: str, seed: int, ratio: float | None = None, **options) -> tuple[TrainingProblem, PatternSet]:
    """Up to 39 samples of up to 5 features of unequal scale, up to 30 gates, every convention in turn."""
    generator = np.random.default_rng(seed)
    n, d = int(generator.integers(6, 40)), int(generator.integers(1, 6))
    X = generator.standard_normal((n, d)) * np.exp(generator.uniform(-1, 1, d))
    y = 2 * generator.standard_normal(n)
    if loss == "logistic":
        y = np.where(generator.permutation(n) < n // 2, -1.0, 1.0)
    chosen = dict(CONVENTIONS[seed % len(CONVENTIONS)])
    if seed % 5 == 0:
        chosen["sample_weight"] = generator.uniform(0.2, 2, n) * (np.arange(n) != 1)
    problem = TrainingProblem(X, y, loss=loss, reg=1.0, **(chosen | options))
    patterns = sample_patterns(problem.extended, int(generator.integers(1, 30)), random_state=seed)
    ratio = 10 ** generator.uniform(-3, 0) if ratio is None else ratio
    return problem.with_options(reg=ratio * largest_reg(problem, patterns)), patterns


def largest_reg(problem: TrainingProblem, patterns: PatternSet) -> float:
    """The reg from which on zero is optimal, where there are no free columns."""
    return price_gated(problem, -problem.gradient(np.zeros(problem.n)), patterns).value


def check_result(result: GatedResult, patterns: PatternSet) -> None:
    """Recompute every claim of a result."""
    problem = result.problem
    assert isinstance(result.network, GatedNetwork)
    assert result.objective == pytest.approx(problem.gated_objective(result.network), rel=1e-12)
    certificate = certify_gated(problem, result.network, patterns, result.nu)
    assert result.lower_bound <= certificate.lower_bound * (1 + 1e-12)
    assert result.gap == pytest.approx(certificate.gap, rel=1e-6, abs=1e-14)
    assert result.lower_bound <= result.objective * (1 + 1e-12)
    assert problem.loss.in_domain(result.nu, problem.y, problem.sample_weight)
    assert result.blocks.shape == (problem.extended.shape[1], len(patterns))
    assert result.free.shape == (problem.free_columns.shape[1],)


def check_against_program(loss: str, seed: int) -> None:
    problem, patterns = random_case(loss, seed)
    result = solve_gated(problem, patterns, tol=1e-8)
    assert result.status == "solved"
    assert result.gap <= 1e-8
    check_result(result, patterns)
    program = build_gated(problem, patterns)
    program.solve(tol=1e-9)
    network = program.recover()
    other = certify_gated(problem, network, patterns, program.nu())
    difference = result.objective - problem.gated_objective(network)
    assert abs(difference) <= (result.gap + other.gap + 1e-12) * result.objective


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("loss", LOSSES)
def test_agrees_with_the_program(loss, seed):
    check_against_program(loss, 3 * seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 220))
@pytest.mark.parametrize("loss", LOSSES)
def test_agrees_with_the_program_on_many(loss, seed):
    check_against_program(loss, seed)


@pytest.mark.parametrize("loss", LOSSES)
def test_skip_and_intercept(loss):
    problem, patterns = random_case(loss, 41, bias="none", intercept=True, skip=True)
    if loss == "logistic":  # not separable by the free columns
        both = np.concatenate([problem.y, -problem.y])
        X = np.vstack([problem.X, problem.X])
        problem = TrainingProblem(X, both, loss=loss, reg=0.01, bias="none", intercept=True, skip=True)
        patterns = sample_patterns(problem.extended, 10, random_state=0)
    result = solve_gated(problem, patterns)
    assert result.status == "solved"
    check_result(result, patterns)
    assert np.max(np.abs(problem.free_columns.T @ result.nu)) <= 1e-9 * np.abs(problem.free_columns).T.max() * problem.n


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("ratio", [1.0, 1.5, 1e6])
def test_no_gate_is_used_from_the_largest_reg_on(loss, norm, ratio):
    problem, patterns = random_case(loss, 2, ratio, bias="penalized", norm=norm, intercept=False)
    result = solve_gated(problem, patterns)
    assert result.status == "solved"
    assert result.gap <= 1e-12
    assert result.objective == pytest.approx(problem.loss_value(np.zeros(problem.n)), rel=1e-12)
    if ratio > 1:
        assert result.size == 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("ratio", [1e-4, 1e-6])
def test_tiny_reg(loss, ratio):
    problem, patterns = random_case(loss, 6, ratio, intercept=False)
    result = solve_gated(problem, patterns)
    assert result.status == "solved"
    check_result(result, patterns)


# ------------------------------------------------------------------------------------------------- awkward data
def raw(name: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    if name == "diabetes":
        return datasets.load_diabetes(return_X_y=True, scaled=False)
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return X, 2.0 * y - 1


@pytest.mark.parametrize(
    ("name", "loss", "ratio"),
    [
        ("diabetes", "squared", 1e-2),
        ("diabetes", "squared", 1e-6),
        ("diabetes", "huber", 0.05),
        ("breast_cancer", "squared", 1e-3),
        ("breast_cancer", "logistic", 1e-3),
        pytest.param("breast_cancer", "logistic", 1e-6, marks=pytest.mark.slow),
    ],
)
def test_raw_data(name, loss, ratio):
    X, y = raw(name)
    problem = TrainingProblem(X, y, loss=loss, reg=1.0)
    patterns = sample_patterns(problem.extended, 60, random_state=0)
    problem = problem.with_options(reg=ratio * largest_reg(problem, patterns))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        result = solve_gated(problem, patterns, time_limit=60)
    assert result.status == "solved"
    check_result(result, patterns)


def test_separable_labels_overflow_nowhere():
    X = np.random.default_rng(0).standard_normal((80, 3))
    problem = TrainingProblem(X, np.sign(X[:, 0]), loss="logistic", reg=1.0)
    patterns = sample_patterns(problem.extended, 50, random_state=0)
    for ratio in (1e-2, 1e-4, 1e-6):
        case = problem.with_options(reg=ratio * largest_reg(problem, patterns))
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            result = solve_gated(case, patterns)
        assert result.status == "solved"
        check_result(result, patterns)


def test_labels_separable_by_the_free_columns_have_no_optimum():
    X = np.random.default_rng(0).standard_normal((30, 3))
    problem = TrainingProblem(X, np.sign(X[:, 0]), loss="logistic", reg=1.0, bias="none", skip=True)
    patterns = sample_patterns(X, 10, random_state=0)
    result = solve_gated(problem, patterns, time_limit=10)
    assert result.status != "solved"
    assert result.objective < 0.1
    assert 0 <= result.lower_bound <= result.objective
    check_result(result, patterns)


@pytest.mark.parametrize(
    "X",
    [
        np.ones((1, 1)),
        np.array([[1.0, 2.0, -1.0, 0.5]]),
        np.random.default_rng(0).standard_normal((4, 9)),
        np.column_stack([np.random.default_rng(1).standard_normal((20, 2)), np.ones(20), np.zeros(20)]),
        np.repeat(np.random.default_rng(2).standard_normal((7, 2)), 4, axis=0),
        1e8 * np.random.default_rng(3).standard_normal((15, 2)),
        1e-8 * np.random.default_rng(3).standard_normal((15, 2)),
        np.random.default_rng(4).standard_normal((15, 3)) * [1e-5, 1.0, 1e5],
    ],
    ids=["one", "one-row", "wide", "constant", "repeated", "large", "small", "unequal"],
)
@pytest.mark.parametrize("loss", LOSSES)
def test_odd_shapes_and_scales(X, loss):
    generator = np.random.default_rng(5)
    y = np.where(np.arange(len(X)) % 3 == 0, 1.0, -1.0) * (1 if loss == "logistic" else generator.uniform(1, 2, len(X)))
    problem = TrainingProblem(X, y, loss=loss, reg=1.0, bias="none")
    patterns = sample_patterns(X, 12, random_state=0)
    problem = problem.with_options(reg=0.02 * largest_reg(problem, patterns))
    result = solve_gated(problem, patterns)
    assert result.status == "solved"
    check_result(result, patterns)


# ------------------------------------------------------------------------------------------------- metamorphic
@pytest.mark.parametrize("loss", LOSSES)
def test_order_of_the_rows_does_not_matter(loss):
    problem, patterns = random_case(loss, 7)
    order = np.random.default_rng(0).permutation(problem.n)
    weight = None if problem.sample_weight is None else problem.sample_weight[order]
    moved = TrainingProblem(
        problem.X[order], problem.y[order],
        **{k: v for k, v in problem._options().items() if k not in ("X", "y", "sample_weight")}, sample_weight=weight,
    )  # fmt: skip
    a = solve_gated(problem, patterns, tol=1e-9)
    b = solve_gated(moved, patterns.patterns[order], tol=1e-9)
    assert a.objective == pytest.approx(b.objective, rel=2e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_repeated_rows_are_weights(loss):
    problem, patterns = random_case(loss, 8, sample_weight=None)
    twice = TrainingProblem(
        np.repeat(problem.X, 2, axis=0), np.repeat(problem.y, 2), **{
            k: v for k, v in problem._options().items() if k not in ("X", "y")
        }
    )  # fmt: skip
    weighted = problem.with_options(sample_weight=np.full(problem.n, 2.0))
    a = solve_gated(twice, np.repeat(patterns.patterns, 2, axis=0), tol=1e-9)
    b = solve_gated(weighted, patterns, tol=1e-9)
    assert a.network is None
    assert a.objective == pytest.approx(b.objective, rel=2e-9)


def test_scaling_targets_and_reg():
    problem, patterns = random_case("squared", 9, sample_weight=None)
    larger = problem.with_options(reg=1e3 * problem.reg)
    larger = TrainingProblem(
        problem.X, 1e3 * problem.y, **{k: v for k, v in larger._options().items() if k not in ("X", "y")}
    )
    a, b = solve_gated(problem, patterns, tol=1e-9), solve_gated(larger, patterns, tol=1e-9)
    assert 1e6 * a.objective == pytest.approx(b.objective, rel=2e-9)


def test_flipping_labels_flips_the_network():
    problem, patterns = random_case("logistic", 10, sample_weight=None)
    flipped = TrainingProblem(
        problem.X, -problem.y, **{k: v for k, v in problem._options().items() if k not in ("X", "y")}
    )
    a, b = solve_gated(problem, patterns, tol=1e-9), solve_gated(flipped, patterns, tol=1e-9)
    assert a.objective == pytest.approx(b.objective, rel=2e-9)


# ------------------------------------------------------------------------------------------- limits, starts, errors
def case() -> tuple[TrainingProblem, PatternSet]:
    X = np.random.default_rng(1).standard_normal((120, 4))
    problem = TrainingProblem(X, np.abs(X[:, 0]) - X[:, 1], reg=0.05)
    return problem, sample_patterns(problem.extended, 80, random_state=0)


def test_stopped_at_once_or_soon_the_bounds_hold():
    problem, patterns = case()
    full = solve_gated(problem, patterns, tol=1e-9)
    for options, status in (
        ({"time_limit": 1e-9}, "time_limit"),
        ({"max_iter": 1}, "iteration_limit"),
        ({"max_iter": 5}, "iteration_limit"),
        ({"callback": lambda progress: True}, "callback"),
    ):
        result = solve_gated(problem, patterns, tol=1e-9, **options)
        assert result.status == status, options
        assert result.lower_bound <= full.objective <= result.objective * (1 + 1e-9)
        assert result.iterations <= options.get("max_iter", math.inf)
        check_result(result, patterns)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("when", [0, 2, 5])
def test_interrupted_the_bounds_hold(monkeypatch, loss, when):
    problem, patterns = random_case(loss, 7, ratio=0.01)
    steps, original = iter(range(1000)), NewtonSystem.direction

    def interrupted(self, *arguments):
        if next(steps) == when:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(NewtonSystem, "direction", interrupted)
    result = solve_gated(problem, patterns, tol=1e-12)
    assert result.status == "interrupted" and "interrupted" in result.summary()
    check_result(result, patterns)


def test_products_are_kept_for_the_next_reg():
    """Warm starts over one prepared case find what cold solutions find."""
    generator = np.random.default_rng(3)
    X = generator.standard_normal((120, 3))
    problem = TrainingProblem(X, np.abs(X[:, 0]) + 0.1 * generator.standard_normal(120), reg=1.0)
    patterns = sample_patterns(problem.extended, 40, random_state=0)
    case, last, largest = GatedCase(problem, patterns), None, largest_reg(problem, patterns)
    for ratio in (0.5, 0.1, 0.02, 0.004):
        here = problem.with_options(reg=ratio * largest)
        last = solve_case(case.at(here), Monitor(60.0, 0, 1e-9), start=last)
        cold = solve_gated(here, patterns, tol=1e-9)
        assert last.status == cold.status == "solved"
        assert last.objective == pytest.approx(cold.objective, rel=2e-9)
        check_result(last, patterns)


def test_more_accuracy_than_floating_point_has_is_said():
    problem, patterns = case()
    result = solve_gated(problem, patterns, tol=1e-17)
    assert result.status == "stalled"
    assert result.gap < 1e-9


def test_progress_is_reported(capsys):
    problem, patterns = case()
    records: list[Progress] = []
    result = solve_gated(problem, patterns, callback=records.append, verbose=True)
    assert result.history == tuple(records)
    assert all(b.gap <= a.gap and b.objective <= a.objective for a, b in pairwise(records))
    assert all(record.lower_bound <= result.objective for record in records)
    assert len(capsys.readouterr().out.splitlines()) == len(records)


@pytest.mark.parametrize("loss", LOSSES)
def test_warm_start_needs_fewer_steps(loss):
    problem, patterns = random_case(loss, 12, 0.01, intercept=True, sample_weight=None)
    cold = solve_gated(problem, patterns)
    again = solve_gated(problem, patterns, start=cold)
    assert again.status == "solved"
    assert again.iterations <= cold.iterations / 2
    near = solve_gated(problem.with_options(reg=1.1 * problem.reg), patterns, start=cold)
    assert near.status == "solved"
    check_result(near, patterns)


def test_warm_start_from_other_labels():
    problem, patterns = random_case("logistic", 14, 0.01)
    other = TrainingProblem(
        problem.X, -problem.y, **{k: v for k, v in problem._options().items() if k not in ("X", "y")}
    )
    result = solve_gated(other, patterns, start=solve_gated(problem, patterns))
    assert result.status == "solved"
    check_result(result, patterns)


def test_result_prints_and_converts():
    problem, patterns = case()
    result = solve_gated(problem, patterns)
    assert "gap" in repr(result) and "solved" in result.summary()
    assert result.to_dict()["status"] == "solved"
    assert result.size == int(np.sum(np.any(result.blocks != 0, axis=0)))


def test_errors():
    problem, patterns = case()
    with pytest.raises(ProblemError, match="bias"):
        solve_gated(problem.with_options(bias="free"), patterns)
    with pytest.raises(PatternError):
        solve_gated(problem, np.full((problem.n, 2), 2))
    with pytest.raises(PatternError, match="other data"):
        solve_gated(problem.with_options(bias="none"), sample_patterns(problem.X + 1, 3, random_state=0))
    with pytest.raises(ProblemError, match="program"):
        solve_gated(TrainingProblem(problem.X, problem.y, loss="absolute", reg=1.0), patterns)
    with pytest.raises(ProblemError, match="warm start"):
        solve_gated(problem, patterns, start=solve_gated(problem, patterns.subset([0, 1])))
    for options in ({"tol": 0}, {"time_limit": -1}, {"max_iter": 0}, {"method": "adam"}, {"callback": 3}, {"start": 3}):
        with pytest.raises(ProblemError):
            solve_gated(problem, patterns, **options)


def test_a_dual_vector_at_the_end_of_its_domain_makes_no_nan() -> None:
    """One sample far out pushes its logistic share to the last float below one."""
    X, y = np.ones((301, 1)), np.ones(301)
    X[-1], y[-1] = 20.0, -1.0
    problem = TrainingProblem(X, y, loss="logistic", reg=1.0, bias="none")
    with np.errstate(all="raise", under="ignore"):
        result = solve_gated(problem, np.ones((301, 1), dtype=np.uint8))
    assert result.status == "solved"
