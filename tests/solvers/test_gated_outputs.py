"""Gated programs with several outputs: agreement with the CVXPY program, proven gaps, limits, degenerate data."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace

import numpy as np
import pytest

from convexnet import TrainingProblem, sample_patterns
from convexnet.losses import HuberLoss
from convexnet.pricing import dual_bound, feasible_dual, price_gated
from convexnet.programs import build_gated
from convexnet.solvers import solve_gated
from convexnet.solvers._gates import Gates
from convexnet.solvers._outputs_groups import KERNEL_ROWS, Frobenius, Rows, _LongSlope
from convexnet.solvers._outputs_loss import curve_of
from convexnet.solvers._outputs_nuclear import Nuclear

LOSSES = ("squared", "softmax", "huber", "logistic")
NORMS = (("frobenius", "l2"), ("nuclear", "l2"), ("nuclear", "l1"))
RATIOS = (0.3, 0.05, 0.01)


def targets(loss, k, n, generator):
    """Random targets of a loss."""
    if loss == "softmax":
        return np.eye(k)[generator.integers(0, k, n)]
    values = generator.standard_normal((n, k))
    return np.where(values > 0, 1.0, -1.0) if loss == "logistic" else values


def case(loss, seed, group="nuclear", norm="l2", ratio=None, **options):
    """A small random problem with its patterns: every convention turns up in some seed."""
    generator = np.random.default_rng(seed)
    n, d, k = (int(generator.integers(low, high)) for low, high in ((6, 16), (1, 5), (2, 5)))
    X, y = generator.standard_normal((n, d)), targets(loss, k, n, generator)
    weight = generator.uniform(0.1, 2, n) * (generator.random(n) > 0.1) if seed % 3 == 0 else None
    conventions = {
        "bias": ("penalized", "none")[seed % 2], "activation": ("relu", "leaky", "absolute")[seed % 3],
        "negative_slope": 0.2, "norm": norm, "sample_weight": weight, "intercept": seed % 4 == 1,
        "skip": seed % 8 == 2 and loss == "squared",
    }  # fmt: skip
    problem = TrainingProblem(X, y, loss=loss, reg=1.0, **(conventions | options))
    patterns = sample_patterns(problem.extended, int(generator.integers(3, 12)), random_state=seed)
    ratio = RATIOS[(seed // 2) % 3] if ratio is None else ratio
    return problem.with_options(reg=ratio * largest_reg(problem, patterns, group)), patterns


def largest_reg(problem, patterns, group):
    """Dual norm at zero predictions."""
    return price_gated(problem, -problem.gradient(np.zeros_like(problem.y)), patterns, group=group).value


def verify(problem, patterns, result, group):
    """Every number of a result, computed again from its blocks and dual vector."""
    assert result.objective == pytest.approx(problem.gated_objective(result.network, group), rel=1e-12)
    point = feasible_dual(problem, result.nu)
    bound = price_gated(problem, point.nu, patterns, group=group).bound + point.pricing_slack(problem)
    lower, _ = dual_bound(problem, point, bound)
    assert result.lower_bound <= lower * (1 + 1e-12) + 1e-300
    assert result.gap == pytest.approx((result.objective - result.lower_bound) / result.objective, abs=1e-15)
    assert (result.status == "solved") == (result.gap <= 1e-7)


def agree(loss, seed, group, norm):
    """Our bounds enclose what CVXPY's network achieves."""
    problem, patterns = case(loss, seed, group, norm)
    result = solve_gated(problem, patterns, group=group, tol=1e-7, time_limit=20)
    verify(problem, patterns, result, group)
    program = build_gated(problem, patterns, group=group)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program.solve()
    value = problem.gated_objective(program.recover(), group)
    assert result.lower_bound <= value * (1 + 1e-9)
    point = feasible_dual(problem, program.nu())
    bound = price_gated(problem, point.nu, patterns, group=group).bound + point.pricing_slack(problem)
    theirs = value - dual_bound(problem, point, bound)[0]
    assert abs(result.objective - value) <= result.objective - result.lower_bound + theirs + 1e-12 * abs(value)
    return result


@pytest.mark.parametrize(("group", "norm"), NORMS)
@pytest.mark.parametrize("loss", LOSSES)
def test_agreement_with_the_program(loss, group, norm):
    assert agree(loss, 1, group, norm).status == "solved"


@pytest.mark.slow
@pytest.mark.parametrize(("group", "norm"), NORMS)
@pytest.mark.parametrize("loss", LOSSES)
def test_agreement_with_the_program_on_many(loss, group, norm):
    results = [agree(loss, seed, group, norm) for seed in range(100)]
    assert [seed for seed, result in enumerate(results) if result.status != "solved"] == []


def difference(groups, Z, t, sigma, N):
    """Central difference of ``sigma A prox(Z + A' N)`` in the direction N / sigma."""
    S, step = groups.gates.adjoint(N), 1e-6
    ends = []
    for sign in (1, -1):
        shrunk = groups.shrink(Z + sign * step * S, t)
        ends.append(groups.gates.forward(shrunk.blocks, shrunk.active))
    return sigma * (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize("shape", [(4, 3), (2, 4), (3, 3), (1, 3)])
@pytest.mark.parametrize("kind", [Frobenius, Rows, Nuclear, _LongSlope])
def test_the_derivative_of_the_shrinkage(kind, shape):
    generator = np.random.default_rng(0)
    (q, k), n, P = shape, 9, 6
    gates = Gates(generator.standard_normal((n, q)), generator.integers(0, 2, (n, P)).astype(np.uint8), 0.2)
    groups = Frobenius(gates) if kind is _LongSlope else kind(gates)
    Z, N = generator.standard_normal((q, P, k)), generator.standard_normal((n, k))
    shrunk = groups.shrink(Z, 0.8)
    make = kind if kind is _LongSlope else lambda *arguments: groups.slope(*arguments[1:])
    slope = make(groups, shrunk, 2.0, np.float64)
    assert shrunk.active.size > 0
    np.testing.assert_allclose(slope.apply(N), difference(groups, Z, 0.8, 2.0, N), rtol=0, atol=1e-6)
    assert groups.dual_norm(Z) >= 0.8
    assert n < KERNEL_ROWS


@pytest.mark.parametrize("loss", LOSSES)
def test_the_curves_of_the_losses(loss):
    generator = np.random.default_rng(1)
    y, weight = targets(loss, 3, 7, generator), generator.uniform(0.5, 2, 7)
    problem = TrainingProblem(np.ones((7, 1)), y, loss=loss, reg=1.0)
    curve = curve_of(problem.loss, problem.y, weight)
    theta, step = generator.standard_normal((7, 3)), 1e-6 * generator.standard_normal((7, 3))
    state = curve.at(theta)
    np.testing.assert_allclose(state.nu, -problem.loss.gradient(theta, problem.y, weight), rtol=1e-12, atol=1e-14)
    assert -curve.conjugate(state) == pytest.approx(problem.loss.dual_value(state.nu, problem.y, weight), rel=1e-12)
    root = curve.root(state)
    second = root.apply(root.transpose(step))
    np.testing.assert_allclose(curve.at(theta + step).nu - state.nu, -second, rtol=0, atol=1e-11)
    middle, other = curve.mix(state, curve.at(theta + 1), 0.3), curve.at(theta + 1)
    np.testing.assert_allclose(middle.nu, 0.7 * state.nu + 0.3 * other.nu, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("group", "norm"), NORMS)
@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_reg_near_its_largest_value_and_far_below(loss, group, norm):
    problem, patterns = case(loss, 8, group, norm, ratio=1.0, bias="penalized")
    zero = solve_gated(problem.with_options(reg=1.000001 * problem.reg), patterns, group=group)
    assert zero.status == "solved" and not zero.blocks.any()
    barely = solve_gated(problem.with_options(reg=0.9 * problem.reg), patterns, group=group)
    assert barely.status == "solved" and barely.blocks.any()
    tiny = solve_gated(problem.with_options(reg=1e-6 * problem.reg), patterns, group=group, time_limit=0.3)
    assert 0 <= tiny.lower_bound <= tiny.objective and (tiny.gap <= 1e-6) == (tiny.status == "solved")


@pytest.mark.parametrize("loss", LOSSES)
def test_duplicated_rows_count_like_weights(loss):
    generator = np.random.default_rng(4)
    X, y = generator.standard_normal((8, 2)), targets(loss, 3, 8, generator)
    weight = np.repeat([1.0, 2.0], 4)
    twice = np.r_[np.arange(8), np.arange(4, 8)]
    weighted = TrainingProblem(X, y, loss=loss, reg=0.3, sample_weight=weight)
    repeated = TrainingProblem(X[twice], y[twice], loss=loss, reg=0.3)
    patterns = sample_patterns(weighted.extended, 8, random_state=0)
    a, b = solve_gated(weighted, patterns), solve_gated(repeated, patterns.patterns[twice])
    assert a.status == b.status == "solved" and b.network is None
    assert a.objective == pytest.approx(b.objective, rel=2e-6)


@pytest.mark.parametrize("group", ["nuclear", "frobenius"])
def test_degenerate_and_raw_data(group):
    generator = np.random.default_rng(5)
    base = generator.standard_normal((20, 2))
    tables = {
        "raw": np.column_stack([1e4 * base[:, 0] + 3e4, 1e-3 * base[:, 1]]),
        "constant": np.column_stack([base, np.ones(20), np.zeros(20)]),
        "one row": base[:1],
        "wide": generator.standard_normal((3, 9)),
    }
    for name, X in tables.items():
        for loss in ("squared", "softmax"):
            y = np.eye(3)[np.arange(len(X)) % 3]
            problem = TrainingProblem(X, y, loss=loss, reg=1.0)
            patterns = sample_patterns(problem.extended, 10, random_state=0)
            problem = problem.with_options(reg=0.05 * largest_reg(problem, patterns, group))
            result = solve_gated(problem, patterns, group=group, time_limit=5)
            assert result.status == "solved", (name, loss, result)


def test_warm_starts_from_another_reg():
    problem, patterns = case("softmax", 0, ratio=0.1)
    cold = solve_gated(problem, patterns)
    next_problem = problem.with_options(reg=0.9 * problem.reg)
    warm = solve_gated(next_problem, patterns, start=cold)
    assert warm.status == "solved"
    assert warm.objective == pytest.approx(solve_gated(next_problem, patterns).objective, rel=2e-6)


def test_limits_are_kept_with_honest_bounds():
    generator = np.random.default_rng(6)
    X, y = generator.standard_normal((400, 10)), np.eye(5)[generator.integers(0, 5, 400)]
    problem = TrainingProblem(X, y, loss="softmax", reg=1.0)
    patterns = sample_patterns(problem.extended, 100, random_state=0)
    best = solve_gated(problem, patterns, time_limit=0.5, tol=1e-9)
    started = time.perf_counter()
    few = solve_gated(problem, patterns, max_iter=3)
    assert few.status == "iteration_limit" and few.iterations <= 3
    stopped = solve_gated(problem, patterns, callback=lambda record: record.iteration >= 2)
    assert stopped.status == "callback"
    assert time.perf_counter() - started < 10
    for result in (few, stopped):
        assert result.lower_bound <= best.objective and best.lower_bound <= result.objective
        assert result.objective == pytest.approx(problem.gated_objective(result.network), rel=1e-12)


def small_reg_with_duplicates():
    """Rows repeated three times, reg 1e-4 of its largest value: sigma must grow far before the objective falls."""
    generator = np.random.default_rng(155)
    X, y = generator.standard_normal((8, 2)), generator.standard_normal((8, 2))
    X[1] = X[2] = X[0]
    problem = TrainingProblem(X, y, reg=1.0, bias="none", activation="leaky", negative_slope=0.1)
    gates = (generator.random((8, 4)) < 0.5).astype(np.uint8)
    return problem.with_options(reg=1e-4 * largest_reg(problem, gates, "frobenius")), gates


def test_the_method_is_patient_while_sigma_grows():
    point = [0.1, 1.82]
    X = [point, point, point, [-0.92, -0.41], [-0.1, -1.6], [-0.64, 0.54], [0.77, -1.83], [-0.25, 0.19]]
    y = [[0.54, 2.29], [-1.1, -1.48], [-1.43, -0.77], [0.68, -0.92],
         [-1.45, -1.44], [0.13, -0.93], [1.12, -0.95], [-0.65, -0.79]]  # fmt: skip
    codes = ["1000", "0001", "1010", "1010", "0010", "1100", "0010", "1111"]
    gates = np.array([[int(gate) for gate in code] for code in codes])
    problem = TrainingProblem(X, y, reg=4e-4, bias="none", activation="leaky", negative_slope=0.01)
    assert solve_gated(problem, gates, group="frobenius", time_limit=10).status == "solved"


@pytest.mark.parametrize("loss", ["huber"])
def test_a_failed_newton_method_does_not_raise_sigma(loss):
    problem, patterns = case(loss, 4, ratio=1e-6)
    result = solve_gated(problem, patterns, tol=1e-15, time_limit=1)
    rows = float(np.sum(problem.extended**2))
    assert result.gap < 1e-3
    assert result.work["sigma"] <= 1e15 / rows


def test_an_unhelpful_warm_start_is_followed_by_a_cold_one():
    problem, gates = small_reg_with_duplicates()
    cold = solve_gated(problem, gates, group="frobenius")
    generator = np.random.default_rng(0)
    for size in (1e-3, 1e3, 1e9):
        blocks = size * generator.standard_normal(cold.blocks.shape)
        start = replace(cold, blocks=blocks, work={"sigma": 1e40})
        warm = solve_gated(problem, gates, group="frobenius", start=start, time_limit=10)
        assert warm.status == "solved"
        assert warm.work["sigma"] < 1e30


def test_a_path_from_the_zero_network():
    problem, patterns = case("softmax", 8, ratio=1.0, bias="penalized")
    last = None
    for ratio in (1.5, 0.6, 0.2, 0.05):
        last = solve_gated(problem.with_options(reg=ratio * problem.reg), patterns, start=last)
        assert last.status == "solved"


def test_an_objective_of_exactly_zero():
    generator = np.random.default_rng(0)
    X = np.vstack([generator.standard_normal((3, 2))] * 2)
    problem = TrainingProblem(X, np.zeros((6, 2)), reg=1.0)
    assert solve_gated(problem, np.ones((6, 1), dtype=np.uint8)).objective == 0.0
    X = [[-0.6523430693729013, 0.38698053698561385, -0.46510588131709546]]
    one = TrainingProblem(
        X, [[0.0, 1.0]], loss="softmax", reg=6.291378612833138e-05, bias="none", activation="absolute", skip=True
    )
    assert solve_gated(one, np.array([[0, 0, 0, 1, 0, 1]])).objective == pytest.approx(0, abs=1e-8)


def test_constants_without_any_inputs():
    problem = TrainingProblem(
        np.zeros((5, 1)), np.arange(10.0).reshape(5, 2), loss=HuberLoss(1.5), reg=1.0, bias="none", intercept=True
    )
    assert solve_gated(problem, np.ones((5, 1), dtype=np.uint8)).status == "solved"


def test_softmax_with_a_skip_connection_ends_by_its_residual():
    generator = np.random.default_rng(2)
    X, y = generator.standard_normal((20, 3)), np.eye(3)[generator.integers(0, 3, 20)]
    problem = TrainingProblem(X, y, loss="softmax", reg=1.0, skip=True)
    patterns = sample_patterns(problem.extended, 10, random_state=0)
    problem = problem.with_options(reg=0.05 * largest_reg(problem, patterns, "nuclear"))
    result = solve_gated(problem, patterns, tol=1e-7, time_limit=10)
    assert result.status == "stalled"
    assert result.lower_bound == 0
    assert 0 < result.work["residual"] <= 1e-7
    truth = solve_gated(problem, patterns, tol=1e-7, method="fista", time_limit=0.5)
    assert result.objective <= truth.objective * (1 + 1e-7)
