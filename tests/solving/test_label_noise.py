"""Training under the label-noise penalty: certificates recomputed, nasty data, limits, gradient runs never below."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.grids import latin

from convexnet import ShallowNetwork, TrainingProblem, enumerate_patterns, sample_patterns, solve
from convexnet.baselines import train_label_noise
from convexnet.certificates import judge_label_noise
from convexnet.errors import (
    IncompletePatternsWarning,
    InfeasibleError,
    NetworkError,
    NotCertifiedWarning,
    PatternError,
    ProblemError,
)
from convexnet.networks import label_noise_penalty
from convexnet.pricing import LabelNoisePricer

LOSSES = ("squared", "huber", "absolute", "logistic", "hinge", "interpolation")
ACTIVATIONS = ("relu", "leaky", "absolute")


def draw(n: int, d: int, seed: int, loss: str = "squared", **options: Any) -> TrainingProblem:
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    y = np.where(y > 0, 1.0, -1.0) if loss in ("logistic", "hinge") else y
    reg = {} if loss == "interpolation" else {"reg": 0.05}
    return TrainingProblem(X, y, loss=loss, **{"norm": "label_noise", "negative_slope": 0.2, **reg, **options})


def check(problem: TrainingProblem, solution: Any, tol: float = 1e-6) -> None:
    """The verdict, the objective in the original parameters, and the bound against random neurons."""
    certificate, network = solution.certificate, solution.network
    assert (solution.status, certificate.verdict) == ("solved", "optimal")
    assert certificate.gap <= tol
    assert network.n_neurons <= problem.n
    penalty = label_noise_penalty(network, problem.X, problem.bias)
    own = problem.loss_value(network.predict(problem.X)) + problem.reg * penalty
    assert own == pytest.approx(solution.objective, rel=1e-6)
    assert certificate.lower_bound <= solution.objective * (1 + 1e-12)
    check_dual(problem, certificate)


def check_dual(problem: TrainingProblem, certificate: Any) -> None:
    """The scaled dual vector is feasible for 5,000 random neurons, and its dual value is the bound."""
    nu = certificate.scale * certificate.nu
    E = problem.extended
    pre = E @ np.random.default_rng(0).standard_normal((E.shape[1], 5000))
    slopes = np.where(pre > 0, 1.0, problem.kappa)
    outputs = slopes * pre
    costs = np.linalg.norm(outputs, axis=0) * np.sqrt(np.sum(E**2, axis=1) @ slopes**2)
    assert np.all(np.abs(nu @ outputs) <= problem.reg * costs * (1 + 1e-10) + 1e-300)
    value = problem.loss.dual_value(nu, problem.y, problem.sample_weight)
    slack = certificate.scale * certificate.misfit * np.abs(certificate.nu).sum()
    assert certificate.lower_bound == pytest.approx(value - slack, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("loss", "activation", "d"), latin(LOSSES, ACTIVATIONS, (1, 2), every=4))
def test_every_loss_is_solved_and_certified(loss: str, activation: str, d: int) -> None:
    problem = draw(8, d, 2, loss, activation=activation)
    check(problem, solve(problem))


KINDS = ["integers", "duplicates", "antipodal", "one line", "wide", "one sample", "offset", "large", "small"]


@pytest.mark.parametrize(("kind", "bias"), latin(KINDS, ("penalized", "none"), every=2))
def test_nasty_data(kind: str, bias: str) -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((7, 2))
    X = {
        "integers": lambda: rng.integers(-2, 3, (7, 2)).astype(float),
        "duplicates": lambda: X[[0, 1, 1, 2, 2, 2]],
        "antipodal": lambda: np.concatenate([X[:3], -X[:3]]),
        "one line": lambda: np.outer([-1.0, 2.0, 3.0, -0.5, 1.0], [1.0, 2.0]),
        "wide": lambda: rng.standard_normal((4, 9)),
        "one sample": lambda: X[:1],
        "offset": lambda: X + 100,
        "large": lambda: 1e4 * X,
        "small": lambda: 1e-4 * X,
    }[kind]()
    reg = 0.02 * (1e-8 if kind == "large" else 1.0)
    problem = TrainingProblem(X, rng.standard_normal(len(X)), norm="label_noise", reg=reg, bias=bias)
    solution = solve(problem)
    assert solution.certificate.verdict == "optimal"
    check_dual(problem, solution.certificate)


def test_many_cells_by_cell_generation() -> None:
    problem = draw(16, 2, 1)
    solution = solve(problem, tol=1e-8)
    check(problem, solution, tol=1e-8)
    assert len(solution.patterns) == 242 > solution.history[-1].size
    bounds = [record.lower_bound for record in solution.history]
    assert bounds == sorted(bounds)


def test_interpolation_by_cell_generation() -> None:
    problem = draw(14, 2, 1, "interpolation")
    solution = solve(problem)
    check(problem, solution)
    assert np.max(np.abs(solution.network.predict(problem.X) - problem.y)) <= 1e-7 * np.max(np.abs(problem.y))


def test_one_neuron_a_point_in_closed_form() -> None:
    """With more columns than points each neuron serves one point: soft thresholding of the targets."""
    problem = draw(20, 30, 0)
    solution = solve(problem)
    sizes = np.linalg.norm(problem.extended, axis=1)
    z = np.sign(problem.y) * np.maximum(np.abs(problem.y) - problem.reg * sizes, 0)
    expected = 0.5 * np.sum((z - problem.y) ** 2) + problem.reg * sizes @ np.abs(z)
    assert solution.objective == pytest.approx(expected, rel=1e-9)
    assert solution.certificate.method == "one point at a time"
    check(problem, solution)


def test_zero_targets_and_large_reg() -> None:
    zero = solve(TrainingProblem([[1.0], [2.0]], [0.0, 0.0], norm="label_noise", reg=0.1))
    assert (zero.objective, zero.size, zero.certificate.verdict) == (0.0, 0, "optimal")
    large = solve(draw(8, 1, 0, reg=1e3))
    assert (large.size, large.certificate.verdict) == (0, "optimal")


def test_infeasible_interpolation() -> None:
    problem = TrainingProblem([[1.0], [1.0], [2.0]], [1.0, 2.0, 0.0], loss="interpolation", norm="label_noise")
    with pytest.raises(InfeasibleError) as caught:
        solve(problem)
    nu = np.asarray(caught.value.certificate)
    assert nu @ problem.y == pytest.approx(1.0) and abs(nu[0] + nu[1]) < 1e-6 and abs(nu[2]) < 1e-6


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_targets_of_any_size(scale: float) -> None:
    problem = draw(8, 2, 1)
    scaled = problem.with_options(y=problem.y * scale, reg=problem.reg * scale)
    assert solve(scaled).objective == pytest.approx(scale**2 * solve(problem).objective, rel=1e-8)


def test_weights_count_like_repeated_losses() -> None:
    problem = draw(6, 1, 1, sample_weight=np.array([1.0, 2.0, 0.0, 1.0, 0.5, 3.0]))
    check(problem, solve(problem))


def test_given_patterns_give_a_listed_verdict() -> None:
    problem = draw(12, 2, 1)
    some = sample_patterns(problem.extended, 40, random_state=0)
    solution = solve(problem, patterns=some, tol=1e-5)
    assert solution.certificate.verdict == "listed"
    assert "listed activation patterns" in solution.certificate.scope
    best = solve(problem).objective
    assert solution.certificate.lower_bound <= best <= solution.objective * (1 + 1e-9)
    assert best <= solution.certificate.listed_lower_bound


def test_limits_and_callback() -> None:
    problem = draw(60, 2, 1)
    start = time.perf_counter()
    with pytest.warns(NotCertifiedWarning):
        solution = solve(problem, time_limit=0.1, tol=1e-15)
    assert time.perf_counter() - start < 5
    assert solution.status in ("time_limit", "stalled") and np.isfinite(solution.objective)
    seen: list[Any] = []
    with pytest.warns(NotCertifiedWarning):
        stopped = solve(draw(25, 2, 2), tol=1e-15, callback=lambda record: seen.append(record) or True)
    assert stopped.status == "callback" and len(seen) == 1
    with pytest.warns(NotCertifiedWarning):
        assert solve(draw(25, 2, 2), tol=1e-15, max_iter=1).status == "iteration_limit"


# ------------------------------------------------------------------------------------------------ judging any network
def test_judge_any_network() -> None:
    problem = draw(8, 1, 0)
    best = solve(problem)
    poor = ShallowNetwork([[1.0]], [0.5], [0.2])
    certificate = judge_label_noise(problem, poor, nu=best.certificate.nu)
    assert certificate.verdict == "bound" and certificate.upper_bound == problem.objective(poor)
    assert certificate.lower_bound == pytest.approx(best.objective, rel=1e-6)
    alone = judge_label_noise(problem, best.network)
    assert alone.verdict == "optimal"
    assert "OPTIMAL" in alone.summary() and alone.to_dict()["conventions"]["norm"] == "label_noise"


def test_judge_named_errors() -> None:
    problem = draw(8, 1, 0)
    net = ShallowNetwork([[1.0]], [0.5], [0.2])
    with pytest.raises(ProblemError, match="norm='label_noise'"):
        judge_label_noise(problem.with_options(norm="l2"), net)
    with pytest.raises(NetworkError, match="features"):
        judge_label_noise(problem, ShallowNetwork([[1.0, 1.0]], [0.5], [0.2]))
    with pytest.raises(PatternError, match="other data"):
        judge_label_noise(problem, net, patterns=enumerate_patterns(2 * problem.extended))
    other = draw(8, 1, 1)
    with pytest.raises(PatternError, match="other data"):
        judge_label_noise(problem, net, pricer=LabelNoisePricer(other, enumerate_patterns(other.extended)))
    for bad in (np.ones(3), np.full(8, np.nan), "nu"):
        with pytest.raises(ProblemError, match="nu"):
            judge_label_noise(problem, net, nu=bad)
    with pytest.raises(ProblemError, match="tol"):
        judge_label_noise(problem, net, tol=2.0)
    with pytest.raises(ProblemError):
        judge_label_noise("problem", net)  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------- gradient training
@pytest.mark.parametrize(
    ("d", "n_starts"), [(1, 3), *(pytest.param(d, 60, marks=pytest.mark.slow) for d in (1, 2))]
)
def test_gradient_runs_are_never_below_the_bound(d: int, n_starts: int) -> None:
    problem = draw(8, d, 0)
    certificate = solve(problem, tol=1e-9).certificate
    runs = train_label_noise(problem, width=25, n_starts=n_starts, max_iter=400)
    assert certificate.lower_bound <= runs.best_objective <= 1.05 * certificate.upper_bound
    assert certificate.lower_bound <= min(runs.objectives)


def test_chosen_patterns_are_said_to_be_chosen() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 5)), rng.standard_normal(30)
    with pytest.warns(IncompletePatternsWarning, match="were chosen") as caught:
        solution = solve(TrainingProblem(X, y, reg=0.1, norm="label_noise"))
    assert solution.certificate.verdict == "listed"
    assert [Path(record.filename).name for record in caught] == ["test_label_noise.py"]
    wide = rng.standard_normal((9, 12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # proven over all networks, whatever was listed
        assert solve(TrainingProblem(wide, y[:9], reg=0.1, norm="label_noise")).certificate.verdict == "optimal"
