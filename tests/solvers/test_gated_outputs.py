"""Gated programs with several outputs: agreement with the CVXPY program, proven gaps, limits, degenerate data."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest

from convexnet import TrainingProblem, sample_patterns
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
    tiny = solve_gated(problem.with_options(reg=1e-6 * problem.reg), patterns, group=group, time_limit=2)
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
