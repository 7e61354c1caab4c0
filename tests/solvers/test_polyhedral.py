"""The finite program of the l1 norm: the optimum over all networks in every convention, honest bounds, awkward data."""

from __future__ import annotations

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
    for bad in ({"tol": -1}, {"time_limit": 0}, {"max_iter": 1.5}, {"max_rays": 0}):
        with pytest.raises(ProblemError):
            solve_polyhedral(problem, **bad)
