"""The l1 program over given neurons: the optimum, few atoms, honest bounds over the dictionary, awkward data."""

from __future__ import annotations

import json

import cvxpy as cp
import numpy as np
import pytest
from helpers.grids import latin
from helpers.verify import dual_value, network_objective
from hypothesis import given, settings
from hypothesis import strategies as st

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.arrangements import refined_rays
from convexnet.errors import DataError, InfeasibleError, ProblemError
from convexnet.pricing import cell_atoms
from convexnet.programs import build_dictionary
from convexnet.solvers import DictionaryResult, solve_dictionary

LOSSES = ("squared", "huber", "logistic", "absolute", "hinge", "interpolation")
CONVENTIONS: tuple[dict, ...] = (
    {},
    {"bias": "free"},
    {"bias": "none", "activation": "leaky"},
    {"norm": "l1", "activation": "absolute"},
    {"bias": "free", "skip": True},
    {"intercept": True, "skip": True},
)


def make(loss: str, seed: int, n: int = 8, count: int = 40, **options: object) -> tuple[TrainingProblem, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    y = np.where(np.arange(n) % 2, 1.0, -1.0) if loss in ("logistic", "hinge") else rng.standard_normal(n)
    problem = TrainingProblem(X, y, loss=loss, reg=None if loss == "interpolation" else 0.1, **options)
    return problem, rng.standard_normal((problem.extended.shape[1], count)) * np.exp(rng.standard_normal(count))


def check(result: DictionaryResult, directions: np.ndarray, signs: np.ndarray | None = None) -> None:
    """Recompute every claim of a result from the data."""
    problem = result.problem
    assert result.objective == pytest.approx(network_objective(problem, result.network), rel=1e-12)
    columns = problem.free_columns
    rank = np.linalg.matrix_rank(columns) if columns.size else 0
    assert result.n_atoms <= problem.n - rank
    pre = problem.extended @ result.directions
    hidden = np.maximum(pre, problem.kappa * pre)
    f = hidden @ result.amplitudes + columns @ result.free
    assert np.allclose(f, result.network.predict(problem.X), rtol=1e-9, atol=1e-9)
    assert np.abs(result.amplitudes).sum() == pytest.approx(
        result.network.path_norm(problem.bias, problem.norm), rel=1e-9, abs=1e-12
    )
    if result.coefficients is not None:
        table = np.maximum(problem.extended @ directions, problem.kappa * (problem.extended @ directions))
        assert np.allclose(table @ result.coefficients + columns @ result.free, f, rtol=1e-8, atol=1e-8)
        assert np.count_nonzero(result.coefficients) == result.n_atoms
        penalised = directions[:-1] if problem.bias == "free" else directions
        norms = np.linalg.norm(penalised, 1 if problem.norm == "l1" else 2, axis=0)
        scores = (result.nu @ table) / norms
        top = np.max(np.abs(scores) if signs is None else np.where(signs == 0, np.abs(scores), signs * scores))
        if top > 0 and problem.loss.name != "interpolation":
            scale = problem.loss.best_scale(result.nu, problem.y, problem.sample_weight, problem.reg / top)
            assert result.lower_bound <= dual_value(problem, result.nu, scale * (1 - 1e-15)) * (1 + 1e-9) + 1e-12
        elif top > 0:
            assert result.lower_bound <= problem.reg / top * float(result.nu @ problem.y) * (1 + 1e-12)
    assert result.lower_bound <= result.objective * (1 + 1e-9)
    json.dumps(result.to_dict())
    assert "\n" not in repr(result)
    assert "given dictionary" in result.summary() or result.scope != "dictionary"


@pytest.mark.parametrize(("loss", "options", "seed"), latin(LOSSES, CONVENTIONS, range(3), every=6))
def test_optimum_of_the_program(loss: str, options: dict, seed: int) -> None:
    problem, directions = make(loss, seed, **options)
    result = solve_dictionary(problem, directions)
    program = build_dictionary(problem, directions)
    program.solve(tol=1e-10)
    assert result.status == "solved"
    assert result.objective == pytest.approx(program.value, rel=1e-7, abs=1e-9)
    check(result, directions)


@pytest.mark.parametrize("loss", LOSSES)
def test_signs_hold(loss: str) -> None:
    problem, directions = make(loss, 4)
    signs = np.tile([1, -1, 0, 1], 10)
    result = solve_dictionary(problem, directions, signs=signs)
    assert np.all(result.coefficients[signs != 0] * signs[signs != 0] >= 0)
    program = build_dictionary(problem, directions, signs=signs)
    program.solve(tol=1e-10)
    assert result.objective == pytest.approx(program.value, rel=1e-7)
    assert result.objective >= solve_dictionary(problem, directions).objective * (1 - 1e-9)
    check(result, directions, signs)


def test_a_large_dictionary_needs_few_programs() -> None:
    problem, directions = make("squared", 5, n=30, count=4000)
    result = solve_dictionary(problem, directions, tol=1e-10)
    assert result.status == "solved"
    assert result.iterations < 30
    check(result, directions)


def test_atoms_and_rays_are_dictionaries() -> None:
    problem, _ = make("squared", 6)
    patterns = enumerate_patterns(problem.extended)
    atoms = cell_atoms(problem, problem.y, patterns)
    result = solve_dictionary(problem, atoms)
    signed = solve_dictionary(problem, atoms.directions, signs=atoms.signs)
    assert result.objective == pytest.approx(signed.objective, rel=1e-9)
    assert solve_dictionary(problem, refined_rays(problem.extended)).n_atoms <= problem.n


@pytest.mark.parametrize("scale", [1e-5, 1e5])
def test_scaling_targets_and_reg_scales_the_solution(scale: float) -> None:
    problem, directions = make("squared", 7)
    plain = solve_dictionary(problem, directions)
    scaled = solve_dictionary(problem.with_options(y=problem.y * scale, reg=problem.reg * scale), directions)
    assert scaled.objective == pytest.approx(plain.objective * scale**2, rel=1e-7)
    fit, _ = make("interpolation", 7)
    one = solve_dictionary(fit, directions)
    large = solve_dictionary(fit.with_options(y=fit.y * scale), directions)
    assert large.objective == pytest.approx(one.objective * scale, rel=1e-7)
    assert np.allclose(large.coefficients, one.coefficients * scale, rtol=1e-6, atol=1e-9 * scale)


@pytest.mark.parametrize("loss", ["squared", "interpolation"])
@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("length", [1e154, 1e155, 1e200, 1e-170])
def test_directions_may_have_any_length(loss: str, norm: str, length: float) -> None:
    problem, directions = make(loss, 7, norm=norm)
    plain = solve_dictionary(problem, directions)
    scaled = solve_dictionary(problem, directions * length)
    assert scaled.objective == pytest.approx(plain.objective, rel=1e-9)
    assert np.allclose(scaled.coefficients * length, plain.coefficients, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("length", [1e-305, 1e305])
def test_lengths_beyond_floating_point_are_refused(length: float) -> None:
    problem, directions = make("squared", 7)
    with pytest.raises(DataError, match="scale it to norm one"):
        solve_dictionary(problem, directions * length)


def test_a_result_without_a_fit_is_plain_json() -> None:
    problem, directions = make("interpolation", 7)
    result = solve_dictionary(problem, directions, time_limit=1e-9)
    document = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert result.objective == np.inf
    assert document["objective"] is None


def test_dual_vectors_on_the_boundary_of_their_box_still_bound() -> None:
    """Median regression on a grid: nearly all dual variables are at a bound, and rounding must not lose the rest."""
    X = np.array([-1.0, 1.0, 1.0, -1.0, 3.0, 2.0, 0.0])[:, None]
    y = [-0.26138236, -0.69983106, 0.4795405, -0.44894889, -0.34530637, 0.73892662, 0.25849677]
    problem = TrainingProblem(X, y, loss="absolute", reg=0.1, bias="free", skip=True)
    dictionary = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, -1.0, -2.0, 1.0]])  # all knots
    result = solve_dictionary(problem, dictionary)
    program = build_dictionary(problem, dictionary)
    program.solve(tol=1e-10)
    assert result.status == "solved"
    assert result.objective == pytest.approx(program.value, rel=1e-8)


def test_permuting_rows_and_repeating_atoms_changes_nothing() -> None:
    problem, directions = make("absolute", 8)
    order = np.random.default_rng(0).permutation(problem.n)
    value = solve_dictionary(problem, directions).objective
    turned = problem.with_options(X=problem.X[order], y=problem.y[order])
    twice = np.concatenate([directions, 3 * directions], axis=1)
    assert solve_dictionary(turned, twice).objective == pytest.approx(value, rel=1e-9)


def test_a_dictionary_that_cannot_fit_has_a_certificate() -> None:
    problem, directions = make("interpolation", 9)
    with pytest.raises(InfeasibleError, match="given neurons") as caught:
        solve_dictionary(problem, directions[:, :4])
    nu = np.asarray(caught.value.certificate)
    outputs = np.maximum(problem.extended @ directions[:, :4], 0)
    assert nu @ problem.y > 0
    assert np.max(np.abs(nu @ outputs)) < 1e-9 * float(nu @ problem.y)
    with pytest.raises(InfeasibleError, match="a sign that it may have"):
        solve_dictionary(problem, directions, signs=np.ones(40))
    with pytest.raises(InfeasibleError) as caught:
        solve_dictionary(problem.with_options(y=1e-30 * problem.y), directions, signs=np.ones(40))
    nu = np.asarray(caught.value.certificate)
    assert nu @ problem.y > 0
    assert np.max(nu @ np.maximum(problem.extended @ directions, 0)) < 1e-9 * float(nu @ problem.y)


def test_weights_of_zero_drop_samples() -> None:
    for loss in ("interpolation", "absolute", "squared"):
        problem, directions = make(loss, 10, sample_weight=np.arange(8) % 2)
        rest = TrainingProblem(problem.X[1::2], problem.y[1::2], loss=loss, reg=None if loss[0] == "i" else 0.1)
        value = solve_dictionary(rest, directions).objective
        assert solve_dictionary(problem, directions).objective == pytest.approx(value, rel=1e-8)


@settings(max_examples=8, deadline=None)
@given(
    st.integers(1, 4), st.integers(1, 8), st.integers(0, 10**6), st.sampled_from(("squared", "absolute", "hinge"))
)
def test_small_integer_data(n: int, count: int, seed: int, loss: str) -> None:
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, (n, 2)).astype(float)
    y = np.where(rng.integers(0, 2, n), 1.0, -1.0)
    problem = TrainingProblem(X, y, loss=loss, reg=0.5)
    directions = rng.integers(-2, 3, (3, count)).astype(float)
    directions[:, ~directions.any(axis=0)] = 1.0
    result = solve_dictionary(problem, directions)
    z = cp.Variable(count)
    f = np.maximum(problem.extended @ directions, 0) @ z
    terms = {"squared": cp.square(f - y) / 2, "absolute": cp.abs(f - y), "hinge": cp.pos(1 - cp.multiply(y, f))}
    cost = cp.sum(terms[loss]) + 0.5 * np.linalg.norm(directions, axis=0) @ cp.abs(z)
    value = cp.Problem(cp.Minimize(cost)).solve(solver="CLARABEL")
    assert result.objective == pytest.approx(value, rel=1e-6, abs=1e-7)
    check(result, directions)


def test_limits_and_callbacks_end_the_rounds() -> None:
    problem, directions = make("squared", 11, n=20, count=2000)
    result = solve_dictionary(problem, directions, max_iter=2)
    assert result.status == "iteration_limit"
    assert result.lower_bound <= result.objective
    seen = []
    assert solve_dictionary(problem, directions, callback=lambda p: seen.append(p) or True).status == "callback"
    assert len(seen) == 1
    assert solve_dictionary(problem, directions, time_limit=1e-9).status == "time_limit"


@pytest.mark.parametrize(
    ("directions", "error", "message"),
    [
        (np.zeros((3, 0)), DataError, "empty"),
        (np.ones((2, 4)), DataError, "must have 3 rows"),
        (np.full((3, 2), np.nan), DataError, "NaN"),
        (np.zeros((3, 2)), DataError, "norm zero"),
        ("abc", DataError, "directions"),
        (np.ones(3), DataError, "2-D"),
    ],
)
def test_bad_dictionaries_are_refused(directions: object, error: type, message: str) -> None:
    problem, _ = make("squared", 0)
    for call in (solve_dictionary, build_dictionary):
        with pytest.raises(error, match=message):
            call(problem, directions)


@pytest.mark.parametrize("signs", [[1, 1], ["a"] * 40, np.full(40, 2), np.full(40, np.nan), "no"])
def test_bad_signs_are_refused(signs: object) -> None:
    problem, directions = make("squared", 0)
    for call in (solve_dictionary, build_dictionary):
        with pytest.raises(ProblemError, match="signs must hold"):
            call(problem, directions, signs=signs)


def test_other_bad_input_is_refused() -> None:
    problem, directions = make("squared", 0)
    for call in (solve_dictionary, build_dictionary):
        with pytest.raises(ProblemError, match="Expected a TrainingProblem"):
            call(problem.X, directions)
        with pytest.raises(ProblemError, match="scalar output"):
            call(TrainingProblem(problem.X, problem.X, reg=1.0), directions)
    for bad in ({"tol": -1}, {"tol": 0}, {"time_limit": 0}, {"max_iter": 0}, {"tol": "x"}):
        with pytest.raises(ProblemError):
            solve_dictionary(problem, directions, **bad)
    free = problem.with_options(bias="free")
    constant = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    with pytest.raises(DataError, match="intercept"):
        solve_dictionary(free, constant)
