"""The finite program of the l1 norm: the optimum over all networks in every convention, honest bounds, awkward data."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.grids import latin
from helpers.reference import reference_optimum
from helpers.verify import exact_pricing, network_objective

from convexnet import TrainingProblem, certify
from convexnet.arrangements import refined_rays
from convexnet.errors import InfeasibleError, ProblemError, TooManyCellsError
from convexnet.solvers import generate_atoms, solve_polyhedral

LOSSES = ("squared", "huber", "logistic", "absolute", "hinge", "interpolation")
CONVENTIONS: tuple[dict, ...] = (
    {"bias": "penalized"},
    {"bias": "free", "activation": "leaky"},
    {"bias": "none", "activation": "absolute"},
    {"bias": "free", "skip": True},
    {"intercept": True, "skip": True},
)


def make(loss: str, options: dict, seed: int = 0, X: np.ndarray | None = None) -> TrainingProblem:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((6, 2)) if X is None else X
    y = rng.standard_normal(len(X))
    y = np.where(np.arange(len(X)) % 2, 1.0, -1.0) if loss in ("logistic", "hinge") else y
    return TrainingProblem(X, y, loss=loss, reg=None if loss == "interpolation" else 0.2, norm="l1", **options)


@pytest.mark.parametrize(("loss", "options"), latin(LOSSES, CONVENTIONS, every=5))
def test_optimum_over_all_networks(loss: str, options: dict) -> None:
    problem = make(loss, options, LOSSES.index(loss))
    result = solve_polyhedral(problem)
    value = reference_optimum(problem)
    assert result.objective == pytest.approx(value, rel=1e-7, abs=1e-8)
    assert result.objective == pytest.approx(network_objective(problem, result.network), rel=1e-12)
    assert result.lower_bound <= value * (1 + 1e-7)
    assert result.status == "solved"
    if np.any(result.nu):
        assert exact_pricing(problem, result.nu) * 0.999999 <= problem.reg * result.objective / result.lower_bound
    rays = refined_rays(
        problem.extended, penalized=np.array([True] * (problem.extended.shape[1] - 1) + [problem.bias != "free"])
    )
    assert np.allclose(rays.directions[:, result.support], result.directions)


@pytest.mark.parametrize(
    "X",
    [
        np.array([[1.0, 2.0]]),
        np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [-2.0, -2.0]]),
        np.random.default_rng(0).integers(-1, 2, (8, 2)).astype(float),
        np.random.default_rng(1).standard_normal((3, 4)),
        np.random.default_rng(2).standard_normal((6, 2)) * [1e-3, 1e3],
        np.random.default_rng(3).standard_normal((6, 1)) + 100,
    ],
)
@pytest.mark.parametrize(
    "bias", ["penalized", *(pytest.param(bias, marks=pytest.mark.slow) for bias in ("free", "none"))]
)
def test_awkward_data(X: np.ndarray, bias: str) -> None:
    problem = make("squared", {"bias": bias}, 1, X).with_options(reg=0.01)
    result = solve_polyhedral(problem)
    assert result.status == "solved"
    assert result.objective == pytest.approx(reference_optimum(problem), rel=1e-6, abs=1e-8)


def test_certify_agrees() -> None:
    problem = make("squared", {}, 3)
    result = solve_polyhedral(problem)
    assert certify(problem, result.network, nu=result.nu).verdict == "optimal"


def test_l1_balls_are_smaller() -> None:
    """||u||_2 <= ||u||_1: the l1 optimum is never below that of the l2 norm."""
    for loss in ("squared", "interpolation"):
        problem = make(loss, {}, 5)
        assert solve_polyhedral(problem).objective >= generate_atoms(problem.with_options(norm="l2")).lower_bound


@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_many_samples_are_solved_over_a_working_set(bias: str) -> None:
    rng = np.random.default_rng(6)
    X = rng.standard_normal((40, 2))
    problem = TrainingProblem(X, np.sin(3 * X[:, 0]) + X[:, 1] ** 2, loss="interpolation", norm="l1", bias=bias)
    result = solve_polyhedral(problem, tol=1e-6)
    assert result.status == "solved"
    assert result.n_atoms <= 40 - (bias == "free")
    assert np.allclose(result.network.predict(X), problem.y, atol=1e-8)


@pytest.mark.parametrize("bias", ["penalized", "free", "none"])
def test_contradictory_targets_are_infeasible(bias: str) -> None:
    X = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0], [3.0, 1.0]])
    problem = TrainingProblem(X, [1.0, 2.0, 0.0, 1.0], loss="interpolation", norm="l1", bias=bias)
    with pytest.raises(InfeasibleError) as caught:
        solve_polyhedral(problem)
    nu = np.asarray(caught.value.certificate)
    assert nu @ problem.y > 0.1 * np.linalg.norm(nu)
    u = np.random.default_rng(0).standard_normal((problem.extended.shape[1], 50))
    assert np.max(np.abs(nu @ np.maximum(problem.extended @ u, 0))) < 1e-9


def test_a_zero_row_without_bias_is_infeasible() -> None:
    problem = TrainingProblem([[0.0], [1.0]], [1.0, 1.0], loss="interpolation", norm="l1", bias="none")
    with pytest.raises(InfeasibleError):
        solve_polyhedral(problem)


@pytest.mark.parametrize(("loss", "skip"), [("squared", True), ("interpolation", False), ("absolute", True)])
def test_data_far_from_the_origin_lose_no_digits(loss: str, skip: bool) -> None:
    problem = make(loss, {"bias": "free", "skip": skip}, 5)
    moved = problem.with_options(X=problem.X + np.array([1e6, 0.0]))
    near, far = solve_polyhedral(problem), solve_polyhedral(moved, tol=1e-7)
    assert far.status == "solved"
    assert far.objective == pytest.approx(near.objective, rel=1e-7)
    assert far.objective == pytest.approx(network_objective(moved, far.network), rel=1e-12)
    outputs = np.maximum(moved.extended @ far.directions, 0) @ far.amplitudes + moved.free_columns @ far.free
    assert outputs == pytest.approx(far.network.predict(moved.X), abs=1e-7)


def test_median_regression_on_a_grid_leaves_the_free_terms() -> None:
    """The first dual vector is a vertex of its box; it was rounded away, and the solver stopped at 2.97."""
    X = np.array([-1.0, 1.0, 1.0, -1.0, 3.0, 2.0, 0.0])[:, None]
    y = [-0.26138236, -0.69983106, 0.4795405, -0.44894889, -0.34530637, 0.73892662, 0.25849677]
    problem = TrainingProblem(X, y, loss="absolute", reg=0.1, bias="free", skip=True, norm="l1")
    result = solve_polyhedral(problem)
    assert result.status == "solved"
    assert result.objective == pytest.approx(1.535017775, rel=1e-8)


def test_free_columns_may_be_dependent() -> None:
    """A skip connection from a constant feature repeats the intercept or nothing: one direction fewer is free."""
    y = [-0.925685, -0.545571, 1.004246, 0.3]
    for constant in (0.0, 2.0):
        X = np.array([[constant, -1.0], [constant, 1.0], [constant, 0.0], [constant, 0.5]])
        problem = TrainingProblem(X, y, reg=0.1, bias="free", skip=True, norm="l1")
        plain = solve_polyhedral(problem.with_options(X=X[:, 1:]))
        result = solve_polyhedral(problem)
        assert result.status == "solved"
        assert result.objective == pytest.approx(plain.objective, rel=1e-8)


def test_hinge_with_nearly_all_dual_variables_at_a_bound() -> None:
    X = [[0.0, 2.0], [-1.0, -2.0], [1.0, 3.0], [-1.0, -1.0], [-2.0, 0.0]]
    options = {"loss": "hinge", "reg": 0.1, "bias": "none", "skip": True, "intercept": True, "activation": "absolute"}
    result = solve_polyhedral(TrainingProblem(X, [1.0, -1, -1, -1, -1], norm="l1", **options))
    assert result.objective == pytest.approx(0.15, rel=1e-9)  # the solver stopped at 2
    assert result.lower_bound <= 0.15


@pytest.mark.parametrize("loss", ["logistic", "interpolation"])
def test_without_time_for_the_rays_the_free_terms_remain(loss: str) -> None:
    problem = make(loss, {}, 6)
    result = solve_polyhedral(problem, time_limit=1e-9)
    assert (result.status, result.scope, result.n_atoms) == ("time_limit", "all", 0)
    assert 0 < result.lower_bound <= solve_polyhedral(problem).objective <= result.objective
    json.dumps(result.to_dict(), allow_nan=False)


def test_limits() -> None:
    problem = make("squared", {}, 0, np.random.default_rng(0).standard_normal((20, 2))).with_options(reg=1e-2)
    short = solve_polyhedral(problem, max_iter=2)
    assert short.status == "iteration_limit"
    assert short.lower_bound <= solve_polyhedral(problem).objective <= short.objective
    assert "iteration limit" in short.message
    with pytest.raises(TooManyCellsError):
        solve_polyhedral(problem, max_rays=10)
    wide = make("squared", {}, 0, np.random.default_rng(0).standard_normal((500, 8)))
    with pytest.raises(TooManyCellsError, match="max_rays"):
        solve_polyhedral(wide)


def test_other_problems_are_refused() -> None:
    problem = make("squared", {})
    with pytest.raises(ProblemError, match="norm='l1'"):
        solve_polyhedral(problem.with_options(norm="l2"))
    with pytest.raises(ProblemError, match="scalar output"):
        solve_polyhedral(TrainingProblem(problem.X, problem.X, reg=1.0, norm="l1"))
    with pytest.raises(ProblemError, match="Expected a TrainingProblem"):
        solve_polyhedral(problem.X)
    for bad in ({"tol": -1}, {"tol": 0}, {"time_limit": 0}, {"max_iter": 1.5}, {"max_rays": 0}):
        with pytest.raises(ProblemError):
            solve_polyhedral(problem, **bad)
