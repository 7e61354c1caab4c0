"""Threshold networks: the fast lasso, the conic program, the pricing and the certificate against each other."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from helpers.grids import latin
from hypothesis import given, settings
from hypothesis import strategies as st

from convexnet.arrangements import enumerate_patterns, face_patterns, sample_patterns
from convexnet.certificates import judge_threshold
from convexnet.errors import InfeasibleError, PatternError, ProblemError, TooManyCellsError
from convexnet.networks import ThresholdNetwork
from convexnet.pricing import dual_bound, feasible_dual, price_threshold, threshold_patterns
from convexnet.problem import TrainingProblem
from convexnet.programs import build_threshold
from convexnet.solvers import solve_threshold

LOSSES = ("squared", "huber", "logistic", "absolute", "hinge", "interpolation")
KINDS = ("normal", "gridded", "duplicates", "flat", "antipodal", "scaled", "one row", "wide")


def data(kind, rng):
    n = int(rng.integers(4, 11))
    X = rng.normal(size=(n, 2))
    if kind == "gridded":
        X = rng.integers(-2, 3, (n, 2)).astype(float)
    if kind == "duplicates":
        X = X[rng.integers(0, n, n + 2)]
    if kind == "flat":
        X = np.column_stack([X[:, 0], np.full(n, 3.0)])
    if kind == "antipodal":
        X = np.vstack([X[:4], -X[:4]])
    if kind == "scaled":
        X = X * [1e-6, 1e5]
    if kind == "one row":
        X = X[:1]
    if kind == "wide":
        X = rng.normal(size=(3, 5))
    return X


def case(kind, loss, bias, intercept, seed):
    rng = np.random.default_rng(seed)
    X = data(kind, rng)
    y = rng.normal(size=len(X))
    if loss in ("logistic", "hinge"):
        y = np.where(y > 0, 1.0, -1.0)
        intercept = intercept and len(set(y)) > 1  # a free constant fits one class at no cost, but only at infinity
    if loss == "interpolation":  # targets of a network, so that it can be fitted
        w, b = rng.normal(size=(3, X.shape[1])), rng.normal(size=3) * (bias == "penalized")
        y = ThresholdNetwork(w, b, rng.normal(size=3)).predict(X)
    options = {} if loss == "interpolation" else {"reg": float(rng.choice([0.02, 0.2, 0.7]))}
    weight = rng.uniform(0.5, 2, len(X)) if seed % 3 == 0 else None
    return TrainingProblem(
        X, y, loss=loss, activation="threshold", bias=bias, intercept=intercept, sample_weight=weight, **options
    )


def verify(result):
    """Recompute every claim of a result from the problem and the network alone."""
    problem, network = result.problem, result.network
    patterns = network.activation_patterns(problem.X)
    f = patterns @ network.output_weights + network.intercept
    objective = problem.loss_value(f) + problem.reg * np.sum(np.abs(network.output_weights))
    assert result.objective == pytest.approx(objective, rel=1e-13, abs=1e-300)
    point = feasible_dual(problem, result.nu)
    np.testing.assert_array_equal(point.nu, result.nu)
    every = threshold_patterns(problem)
    worst = np.max(np.abs(result.nu @ every.patterns.astype(float)), initial=0.0)
    misfit = np.max(np.abs(f - problem.y)) if problem.loss.name == "interpolation" else 0.0
    bound, _ = dual_bound(problem, point, worst * (1 - 1e-12), misfit=misfit)
    assert result.scope == "all" and result.lower_bound <= bound * (1 + 1e-12) + 1e-300
    assert result.lower_bound <= result.objective * (1 + 1e-12)
    assert network.n_neurons <= problem.n and len(result.cells) == network.n_neurons


@pytest.mark.parametrize(
    ("kind", "loss", "bias", "intercept"), latin(KINDS, LOSSES, ("penalized", "none"), (False, True), every=8)
)
def test_lasso_equals_the_program_and_proves_it(kind, loss, bias, intercept):
    problem = case(kind, loss, bias, intercept, seed=KINDS.index(kind) + 10 * LOSSES.index(loss))
    result = solve_threshold(problem)
    verify(result)
    assert result.status == "solved" and result.gap <= 1e-8
    program = build_threshold(problem, threshold_patterns(problem))
    program.solve()
    assert result.objective == pytest.approx(program.value, rel=1e-6, abs=1e-7)
    assert problem.objective(program.recover()) >= result.lower_bound * (1 - 1e-9) or loss == "interpolation"
    certificate = judge_threshold(problem, result.network, nu=result.nu, tol=1e-7)
    assert certificate.verdict == "optimal" and certificate.scope == "all networks of any width"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(240))
def test_lasso_equals_the_program_on_many_cases(seed):
    rng = np.random.default_rng(seed)
    names = [str(rng.choice(options)) for options in (KINDS, LOSSES, ("penalized", "none"))]
    problem = case(*names, bool(rng.integers(2)), seed)
    result = solve_threshold(problem)
    verify(result)
    program = build_threshold(problem, threshold_patterns(problem))
    program.solve()
    assert result.status == "solved" and result.objective == pytest.approx(program.value, rel=1e-6, abs=1e-7)


def test_cells_alone_are_wrong_without_a_positive_direction():
    problem = TrainingProblem([[1.0], [-1.0]], [1.0, 1.0], reg=0.1, activation="threshold", bias="none")
    every, cells = solve_threshold(problem), solve_threshold(problem, enumerate_patterns(problem.extended))
    # one neuron u = 0, active on both rows, against one for each row: reg - reg^2 / 4 and 2 (reg - reg^2 / 2)
    assert every.objective == pytest.approx(0.0975, rel=1e-12) and every.scope == "all"
    assert cells.objective == pytest.approx(0.19, rel=1e-12) and cells.scope == "listed"
    assert np.array_equal(every.network.weights, [[0.0]])
    judged = judge_threshold(problem, cells.network, patterns=enumerate_patterns(problem.extended), nu=cells.nu)
    assert judged.verdict == "listed" and judged.lower_bound <= 0.0975 < judged.listed_lower_bound
    assert judge_threshold(problem, cells.network, nu=every.nu).verdict == "bound"


def test_no_random_network_is_better():
    rng = np.random.default_rng(2)
    problem = case("normal", "squared", "penalized", False, 4)
    best = solve_threshold(problem).lower_bound
    for _ in range(500):
        m = int(rng.integers(1, 6))
        net = ThresholdNetwork(rng.normal(size=(m, 2)), rng.normal(size=m), rng.normal(size=m))
        assert problem.objective(net) >= best


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.booleans())
def test_pricing_is_the_maximum_over_brute_force_directions(seed, bias):
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, (int(rng.integers(1, 6)), 2 - bias)).astype(float)
    problem = TrainingProblem(X, np.ones(len(X)), reg=1.0, activation="threshold", bias="penalized" if bias else "none")
    nu = rng.normal(size=len(X))
    axis = np.arange(-9, 10)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    brute = np.max(np.abs(nu @ (problem.extended @ grid.T >= 0)))
    priced = price_threshold(problem, nu, threshold_patterns(problem), max_violators=3)
    assert priced.scope == "all" and priced.value <= brute <= priced.bound <= brute * (1 + 1e-12) + 1e-300
    assert priced.violators[0].value == pytest.approx(brute) and len(priced.violators) <= 3
    assert price_threshold(problem, nu).bound >= brute


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_objective_follows_permutations_scales_and_signs(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.integers(-3, 4, (6, 2)).astype(float), rng.normal(size=6)
    problem = TrainingProblem(X, y, reg=0.2, activation="threshold")
    base = solve_threshold(problem).objective
    order = rng.permutation(6)
    moved = {"X": X * 8 - 24}
    same = [problem.with_options(**change) for change in ({"X": X[order], "y": y[order]}, {"y": -y}, moved)]
    for other in same:
        assert solve_threshold(other).objective == pytest.approx(base, rel=1e-9)
    tripled = solve_threshold(problem.with_options(y=3 * y, reg=0.6)).objective
    assert tripled == pytest.approx(9 * base, rel=1e-9)
    doubled = problem.with_options(X=np.repeat(X, 2, axis=0), y=np.repeat(y, 2), reg=0.4)
    assert solve_threshold(doubled).objective == pytest.approx(2 * base, rel=1e-9)


# -------------------------------------------------------------------------------------------- what cannot be fitted
def test_contradictory_targets_are_refuted_by_a_checked_vector():
    problem = TrainingProblem([[0.0], [1.0], [1.0]], [0.0, 1.0, 2.0], loss="interpolation", activation="threshold")
    with pytest.raises(InfeasibleError, match="repeated rows") as caught:
        solve_threshold(problem)
    nu = caught.value.certificate
    G = threshold_patterns(problem).patterns.astype(float)
    assert nu @ problem.y == pytest.approx(1.0) and np.max(np.abs(nu @ G)) < 1e-12
    parallel = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], loss="interpolation", activation="threshold", bias="none")
    with pytest.raises(InfeasibleError):
        solve_threshold(parallel)
    ignored = problem.with_options(sample_weight=[1.0, 1.0, 0.0])
    assert solve_threshold(ignored).objective == pytest.approx(1.0)


# ------------------------------------------------------------------------------------------------------ listed only
def test_a_sample_of_patterns_is_judged_as_listed():
    problem = case("normal", "squared", "penalized", False, 9)
    some = sample_patterns(problem.extended, 6, random_state=0)
    result = solve_threshold(problem, some)
    assert result.scope == "listed" and result.status == "solved"
    certificate = judge_threshold(problem, result.network, patterns=some, nu=result.nu)
    assert certificate.verdict in ("listed", "bound") and certificate.n_patterns == len(some)
    assert certificate.lower_bound <= solve_threshold(problem).objective
    assert "listed" in certificate.summary() or certificate.verdict == "bound"


def test_an_edited_list_proves_nothing():
    problem = case("normal", "squared", "penalized", False, 9)
    every = enumerate_patterns(problem.extended)
    forged = replace(every, patterns=every.patterns[:, :5], witnesses=every.witnesses[:, :5], rays=None)
    assert price_threshold(problem, problem.y, forged).scope == "listed"
    assert solve_threshold(problem, forged).scope == "listed"


# ----------------------------------------------------------------------------------------------- limits and bad input
def test_limits_leave_the_best_so_far():
    problem = TrainingProblem(
        np.random.default_rng(0).normal(size=(40, 2)), np.random.default_rng(1).normal(size=40), reg=0.01,
        activation="threshold",
    )  # fmt: skip
    patterns = threshold_patterns(problem)
    for options, status in (({"max_iter": 1}, "iteration_limit"), ({"time_limit": 1e-9}, "time_limit"),
                            ({"callback": lambda record: True}, "callback")):  # fmt: skip
        result = solve_threshold(problem, patterns, **options)
        assert result.status == status and result.lower_bound <= result.objective < np.inf
    seen = []
    result = solve_threshold(problem, patterns, callback=seen.append)
    assert result.status == "solved" and len(seen) == result.iterations == len(result.history)
    json.dumps(result.to_dict())
    assert "all networks of any width" in result.summary() and "solved" in repr(result)


def test_zero_and_null_optima():
    zero = TrainingProblem([[1.0], [2.0]], [0.0, 0.0], reg=0.1, activation="threshold")
    assert solve_threshold(zero).objective == 0.0
    null = TrainingProblem([[1.0], [2.0]], [1.0, -1.0], reg=5.0, activation="threshold")
    result = solve_threshold(null)
    assert result.network.n_neurons == 0 and result.status == "solved" and result.objective == 1.0
    constant = TrainingProblem([[1.0], [2.0]], [3.0, 3.0], reg=5.0, activation="threshold", intercept=True)
    assert solve_threshold(constant).network.intercept == pytest.approx(3.0)
    assert judge_threshold(constant, solve_threshold(constant).network).verdict == "optimal"


@pytest.mark.parametrize(
    ("options", "error"),
    [({"tol": 0.0}, ProblemError), ({"tol": "x"}, ProblemError), ({"time_limit": -1}, ProblemError),
     ({"max_iter": 0}, ProblemError), ({"callback": 3}, ProblemError), ({"verbose": 1}, ProblemError),
     ({"patterns": np.ones((4, 1))}, PatternError), ({"patterns": "all"}, PatternError)],
)  # fmt: skip
def test_bad_options_are_named_at_once(options, error):
    problem = TrainingProblem(np.eye(4), np.ones(4), reg=0.1, activation="threshold")
    start = time.perf_counter()
    with pytest.raises(error):
        solve_threshold(problem, **options)
    assert time.perf_counter() - start < 2


def test_foreign_patterns_and_open_faces_are_refused():
    problem = TrainingProblem([[1.0], [-1.0]], [1.0, 1.0], reg=0.1, activation="threshold", bias="none")
    for patterns in (enumerate_patterns([[1.0], [2.0]]), face_patterns([[1.0], [2.0]])):
        for call in (solve_threshold, build_threshold):
            with pytest.raises(PatternError):
                call(problem, patterns)
        with pytest.raises(PatternError):
            price_threshold(problem, problem.y, patterns)
    with pytest.raises(PatternError, match="closed=True"):
        solve_threshold(problem, face_patterns(problem.extended, closed=False))
    for nu in (np.ones(3), np.array([np.nan, 1.0])):
        with pytest.raises(ProblemError):
            price_threshold(problem, nu)
    with pytest.raises(TooManyCellsError):
        solve_threshold(TrainingProblem(np.random.default_rng(0).normal(size=(300, 9)), np.ones(300), reg=1.0,
                                        activation="threshold"))  # fmt: skip


def test_bare_patterns_have_a_value_but_no_directions():
    problem = TrainingProblem([[1.0], [-1.0]], [1.0, 1.0], reg=0.1, activation="threshold", bias="none")
    program = build_threshold(problem, np.array([[1, 0, 1], [0, 1, 1]]))
    program.solve()
    assert program.value == pytest.approx(0.0975, rel=1e-7)
    with pytest.raises(PatternError, match="no directions"):
        program.recover()


def test_judging_refuses_nonsense():
    problem = TrainingProblem([[1.0], [-1.0]], [1.0, 1.0], reg=0.1, activation="threshold")
    net = solve_threshold(problem).network
    with pytest.raises(ProblemError, match="shape"):
        judge_threshold(problem, net, nu=np.ones(3))
    with pytest.raises(ProblemError, match="tol"):
        judge_threshold(problem, net, tol=1.0)
    worse = ThresholdNetwork(net.weights, net.biases, 2 * net.output_weights)
    assert judge_threshold(problem, worse, nu=solve_threshold(problem).nu).verdict == "bound"
