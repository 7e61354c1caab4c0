"""Training on one feature for every bias rule: certified, equal to the cone program, never beaten by gradient runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers.grids import latin

from convexnet import ShallowNetwork, TrainingProblem, enumerate_patterns, reg_max
from convexnet.baselines import train
from convexnet.errors import InfeasibleError, ProblemError
from convexnet.networks.no_skip import no_skip_network, no_skip_norm
from convexnet.pricing import dual_bound, feasible_dual, price_cells
from convexnet.programs import build_relu
from convexnet.solvers import solve_spline
from convexnet.solvers._spline_penalized import solve_penalized

LOSSES = ("squared", "huber", "logistic", "absolute", "hinge")
ACTIVATIONS = ("relu", "leaky", "absolute")
FREE = ({}, {"skip": True}, {"intercept": True}, {"skip": True, "intercept": True})


def _problem(seed: int, n: int, loss: str = "squared", ratio: float = 0.03, **options: Any) -> TrainingProblem:
    """Irregular, or gridded with repeated abscissae; half of the draws have weights."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n) * 2
    x = np.round(x * 2) / 2 if seed % 3 == 0 else x
    y = np.sin(3 * x) + 0.3 * rng.standard_normal(n) + (seed % 2) * 3 * x
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0) if loss in ("logistic", "hinge") else y
    weight = rng.random(n) + 0.1 if seed % 2 else None
    problem = TrainingProblem(x[:, None], y, loss=loss, reg=1.0, sample_weight=weight, **options)
    return problem.with_options(reg=ratio * reg_max(problem))


def _check(problem: TrainingProblem, result: Any, tol: float) -> None:
    """Recompute objective and bound from the data, and compare with the program over all cells."""
    objective = problem.objective(result.network)
    assert objective == pytest.approx(result.objective, rel=1e-9)
    patterns = enumerate_patterns(problem.extended)
    point = feasible_dual(problem, result.nu)
    lower = dual_bound(problem, point, price_cells(problem, point.nu, patterns).bound + point.pricing_slack(problem))[0]
    assert lower >= objective * (1 - 2 * tol - 1e-9)
    assert lower <= objective * (1 + 1e-12)
    program = build_relu(problem, patterns)
    program.solve()
    assert objective == pytest.approx(program.value, rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "activation", "bias", "free"),
    latin(LOSSES[:3], ACTIVATIONS, ("penalized", "free", "none"), range(4), every=7),
)
def test_smooth_losses_are_solved_to_rounding(loss: str, activation: str, bias: str, free: int) -> None:
    options = {**FREE[free], **({"intercept": True} if bias == "free" else {})}
    for seed, norm in ((1, "l2"), (3, "l1")):
        problem = _problem(seed, 10, loss, activation=activation, bias=bias, norm=norm, **options)
        result = solve_penalized(problem)
        assert result.status == "solved", result
        assert result.gap <= 1e-10
        _check(problem, result, 1e-10)


@pytest.mark.parametrize(("loss", "bias", "free"), latin(LOSSES[3:], ("penalized", "none"), range(4), every=3))
def test_losses_with_kinks_are_certified(loss: str, bias: str, free: int) -> None:
    problem = _problem(1, 9, loss, 0.1, bias=bias, **FREE[free])
    result = solve_penalized(problem, tol=1e-6)
    assert result.gap <= 1e-6
    _check(problem, result, 1e-6)


@pytest.mark.parametrize("n", [1000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("options", [{}, {"bias": "free"}, {"skip": True, "intercept": True}])
def test_many_samples_with_tiny_spacings(n: int, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 3, n)
    x[1::2] = x[::2] + 1e-9
    y = np.sin(3 * x) + np.abs(x - 0.5) + 0.15 * rng.standard_normal(n)
    problem = TrainingProblem(x[:, None], y, reg=1.0, **options)
    problem = problem.with_options(reg=1e-3 * reg_max(problem))
    result = solve_spline(problem)
    assert result.gap <= 1e-10, result
    assert problem.objective(result.network) == pytest.approx(result.objective, rel=1e-10)
    assert result.network.n_neurons < 100
    grid = np.linspace(-2, 4, 50)
    np.testing.assert_allclose(result.spline(grid), result.network.predict(grid[:, None]), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("starts", "options"),
    [(4, {}), *(pytest.param(60, options, marks=pytest.mark.slow)
                for options in ({}, {"bias": "free"}, {"skip": True, "intercept": True}))],
)
def test_no_gradient_run_is_better(starts: int, options: dict[str, Any]) -> None:
    problem = _problem(2, 20, ratio=0.05, **options)
    result = solve_spline(problem)
    runs = train(problem, width=30, n_starts=starts, max_iter=300)
    best = min(problem.objective(network) for network in runs.networks if network is not None)
    assert best >= result.lower_bound
    assert best >= result.objective * (1 - 1e-9)


@pytest.mark.parametrize("options", [{}, {"bias": "free"}])
def test_the_callback_is_asked_whatever_the_bias_rule(options: dict[str, Any]) -> None:
    seen: list[Any] = []
    result = solve_spline(_problem(2, 20, **options), callback=lambda record: seen.append(record) or True)
    assert len(seen) == 1 and result.status == "callback" and result.lower_bound <= result.objective
    with pytest.raises(ProblemError, match="callback"):
        solve_spline(_problem(2, 20, **options), callback=1)  # type: ignore[arg-type]


def test_knots_leave_the_data_and_pay_for_their_place() -> None:
    """The network's norm is the kinks weighted by ``sqrt(1 + t^2)`` where lines are free."""
    off = 0
    for seed in (1, 2, 4, 5):
        problem = _problem(seed, 15, ratio=0.01, skip=True, intercept=True)
        result = solve_spline(problem)
        spline = result.spline
        cost = float(np.sum(np.abs(spline.kinks) * np.hypot(1, spline.knots)))
        assert problem.loss_value(spline(problem.X)) + problem.reg * cost == pytest.approx(result.objective)
        off += int(np.sum(~np.isin(spline.knots, problem.X[:, 0])))
    assert off > 0


def test_symmetry_and_scaling() -> None:
    problem = _problem(2, 12)
    value = solve_spline(problem).objective
    order = np.random.default_rng(0).permutation(12)
    weight = problem.sample_weight
    options = {"reg": problem.reg, "sample_weight": weight}
    assert solve_spline(TrainingProblem(-problem.X, problem.y, **options)).objective == pytest.approx(value)
    mixed = TrainingProblem(
        problem.X[order], problem.y[order], reg=problem.reg, sample_weight=None if weight is None else weight[order]
    )
    assert solve_spline(mixed).objective == pytest.approx(value)
    scaled = TrainingProblem(problem.X, 1e3 * problem.y, reg=1e3 * problem.reg, sample_weight=weight)
    assert solve_spline(scaled).objective == pytest.approx(1e6 * value)


def test_limits_and_callbacks_end_with_valid_bounds() -> None:
    problem = _problem(2, 40, ratio=1e-3)
    best = solve_spline(problem).objective
    short = solve_penalized(problem, max_iter=2)
    assert short.status == "iteration_limit"
    assert short.lower_bound <= best * (1 + 1e-12) <= short.objective * (1 + 1e-9)
    assert solve_penalized(problem, time_limit=1e-9).status == "time_limit"
    assert solve_penalized(problem, callback=lambda record: True).status == "callback"


# ------------------------------------------------------------------------------------------------- no skip connection
@pytest.mark.parametrize("seed", range(12))
def test_no_skip_network_fits_at_its_norm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.sort(rng.standard_normal(int(rng.integers(1, 9))))
    theta = rng.standard_normal(x.size) + (0, 3, -20)[seed % 3] * x
    network = no_skip_network(x, theta)
    np.testing.assert_allclose(network.predict(x[:, None]), theta, rtol=1e-9, atol=1e-9)
    assert network.path_norm("free") == pytest.approx(no_skip_norm(x, theta))
    problem = TrainingProblem(x[:, None], theta, loss="interpolation", bias="free")
    result = solve_spline(problem)
    assert result.status == "solved"
    assert problem.objective(result.network) == pytest.approx(no_skip_norm(x, theta), rel=1e-9)


def test_the_three_regimes_of_the_missing_skip_connection() -> None:
    """Steep data pay for their line: the objective is loss plus reg times max(TV, (TV + |S|) / 2)."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 30))
    ratios = []
    for slope in (0.0, 1.0, 4.0, 30.0):
        y = np.abs(x) + slope * x + 0.1 * rng.standard_normal(30)
        problem = TrainingProblem(x[:, None], y, reg=0.3, bias="free")
        result = solve_spline(problem)
        theta = result.network.predict(x[:, None])
        norm = no_skip_norm(x, theta)
        assert problem.loss_value(theta) + 0.3 * norm == pytest.approx(result.objective, rel=1e-8)
        assert result.gap <= 1e-10
        variation = float(np.sum(np.abs(np.diff(np.diff(theta) / np.diff(x)))))
        ratios.append(norm / variation if variation > 1e-9 else math.inf)
    assert ratios[0] == pytest.approx(1)
    assert ratios[-1] > 1.5


def test_repeated_abscissae_with_different_targets_cannot_be_interpolated() -> None:
    for bias in ("free", "penalized"):
        problem = TrainingProblem([[0.0], [0.0], [1.0]], [0.0, 1.0, 2.0], loss="interpolation", bias=bias)
        with pytest.raises(InfeasibleError, match="same x") as caught:
            solve_spline(problem)
        nu = caught.value.certificate
        assert nu @ problem.y > 0 and nu[0] == -nu[1]  # type: ignore[operator,index]


def test_empty_network_is_the_answer_above_reg_max() -> None:
    problem = _problem(2, 12)
    problem = problem.with_options(reg=1.01 * reg_max(problem))
    result = solve_spline(problem)
    assert result.n_neurons == 0
    assert result.objective == pytest.approx(problem.objective(ShallowNetwork(np.zeros((0, 1)), [], [])))


@pytest.mark.parametrize(("seed", "loss"), latin(range(6), LOSSES[3:], every=2))
def test_losses_with_kinks_reach_their_tolerance(seed: int, loss: str) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 26))
    x = np.round(1.5 * rng.standard_normal(n), 3)
    y = rng.standard_normal(n) if loss == "absolute" else np.where(rng.random(n) < 0.5, 1.0, -1.0)
    options = ({"bias": "free"}, {"skip": True}, {"intercept": True})[seed % 3]
    result = solve_spline(TrainingProblem(x[:, None], y, loss=loss, reg=0.01, **options), tol=1e-8)
    assert result.status == "solved" and result.lower_bound <= result.objective


def test_a_hinge_problem_whose_neurons_join_over_many_rounds() -> None:
    x = np.array([-1.705, 0.642, -1.983, 0.687, 0.997, 0.414, -1.049, -0.28, -2.667, -0.722])
    y = np.array([-1.0, 1, 1, 1, 1, 1, 1, -1, -1, 1])
    result = solve_spline(TrainingProblem(x[:, None], y, loss="hinge", reg=0.005569501464079181, skip=True))
    assert result.gap <= 1e-8 and result.objective == pytest.approx(0.336216, rel=1e-5)


# --------------------------------------------------------------------------------- no line needed, no skip connection
@pytest.mark.parametrize("seed", range(8))
def test_without_a_skip_connection_both_routes_agree(seed: int) -> None:
    """Where the ends' slopes are small the best function with a line needs none; odd seeds are steep."""
    problem = _problem(seed, 14, ("squared", "huber", "logistic")[seed % 3], bias="free")
    fast, general = solve_spline(problem), solve_penalized(problem)
    assert fast.objective == pytest.approx(general.objective, rel=1e-9)
    assert fast.lower_bound <= general.objective * (1 + 1e-12)
    _check(problem, fast, 1e-9)


def test_without_a_skip_connection_many_samples_are_no_harder() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(20_000)
    problem = TrainingProblem(x[:, None], np.sin(30 * x) + 0.1 * rng.standard_normal(x.size), bias="free", reg=0.01)
    result = solve_spline(problem)
    assert result.status == "solved" and result.method == "active_set"
    assert problem.objective(result.network) == pytest.approx(result.objective, rel=1e-10)
    steep = problem.with_options(X=problem.X[:50], y=problem.y[:50] + 1000 * x[:50])
    assert solve_spline(steep).method != "active_set"
