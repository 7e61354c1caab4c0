"""Training on one variable: certified gaps on hard grids, agreement with CVXPY, invariances, limits, bad input."""

from __future__ import annotations

import itertools
import json
import math
import re
import textwrap
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.grids import latin

from convexnet import TrainingProblem
from convexnet.errors import DataError, InaccurateSolutionWarning, InfeasibleError, NetworkError, ProblemError
from convexnet.losses import HuberLoss
from convexnet.networks import LinearSpline
from convexnet.solvers import SplineResult, solve_spline
from convexnet.solvers._spline_dual import Samples, kink_values, lower_bound, samples_of
from convexnet.solvers._spline_nodes import Line, nodes_of

GRIDS = ("uniform", "irregular", "clustered")
SHARES = (1e-4, 1e-3, 1e-2, 0.1, 0.9)
LOSSES = ("squared", "huber", "logistic", "absolute", "hinge")


def abscissae(n: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Even; pairs 1e-9 apart; clusters of about twenty points within 1e-6."""
    if kind == "uniform":
        return np.arange(n) / n
    if kind == "irregular":
        x = np.sort(rng.random(n))
        x[1::2] = x[0::2][: x[1::2].size] + 1e-9
        return np.sort(x)
    centres = rng.random(max(n // 20, 2))
    return np.sort(centres[rng.integers(centres.size, size=n)] + 1e-6 * rng.standard_normal(n))


def curve(n: int, kind: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = abscissae(n, kind, rng)
    return x, np.sin(8 * np.pi * x**2) + 0.15 * rng.standard_normal(n)


def stated(x: np.ndarray, y: np.ndarray, **options: Any) -> TrainingProblem:
    options.setdefault("reg", 0.01)
    return TrainingProblem(np.asarray(x)[:, None], y, **{"bias": "free", "skip": True, **options})


def largest_reg(x: np.ndarray, y: np.ndarray) -> float:
    """``max |u|`` of the least-squares line's residual."""
    t = x - x.mean()
    r = y - y.mean() - t * ((t @ y) / (t @ t))
    return float(np.abs(np.cumsum(np.cumsum(r)[:-1] * np.diff(x))).max())


def small_problem(loss: str, seed: int, **options: Any) -> TrainingProblem:
    """Weights, repeated and unsorted abscissae; labels that no threshold separates."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.uniform(-2, 2, 25), 1)
    y = np.sin(3 * x) + 0.3 * rng.standard_normal(25)
    if loss in ("logistic", "hinge"):
        y = np.where(y > 0, 1.0, -1.0)
    weight = rng.uniform(0.2, 2.0, 25) * (rng.random(25) > 0.1)
    return stated(x, y, loss=HuberLoss(0.3) if loss == "huber" else loss, sample_weight=weight, **options)


def by_cvxpy(problem: TrainingProblem) -> float:
    """The program over values at the distinct abscissae."""
    import cvxpy as cp

    x, node = np.unique(problem.X[:, 0], return_inverse=True)
    theta = cp.Variable(x.size)
    loss, constraints = problem.loss.expression(theta[node], problem.y, problem.sample_weight)
    slopes = cp.multiply(cp.diff(theta), 1 / np.diff(x))
    price = problem.reg / (1 - problem.kappa)
    program = cp.Problem(cp.Minimize(loss + price * cp.norm1(cp.diff(slopes))), constraints)
    program.solve(solver=cp.CLARABEL)
    return float(program.value)


def check(result: SplineResult, tol: float = 1e-10) -> None:
    """Everything a result says, from its parts."""
    problem, spline = result.problem, result.spline
    assert spline is not None
    price = problem.reg / (1 - problem.kappa)
    f = spline(problem.X[:, 0])
    objective = problem.loss_value(f) + price * np.abs(spline.kinks).sum()
    assert result.objective == pytest.approx(objective, rel=1e-12, abs=1e-14)
    assert result.lower_bound <= result.objective * (1 + 1e-12) + 1e-14
    assert result.gap <= tol and result.status == "solved", result
    assert result.nu.shape == (problem.n,)
    if problem.n <= 2000 and np.abs(spline.kinks).sum() < 1e6:
        assert problem.objective(result.network) == pytest.approx(objective, rel=1e-9, abs=1e-12)
        assert result.network.path_norm("free") == pytest.approx(
            spline.total_variation / (1 - problem.kappa), rel=1e-12
        )


# ------------------------------------------------------------------------------------------------------ squared loss
@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("n", [6, 10, 100, 1000, 10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_gap_on_hard_grids(n: int, kind: str) -> None:
    x, y = curve(n, kind)
    top = largest_reg(x, y)
    for share in SHARES:
        check(solve_spline(stated(x, y, reg=share * top)))
    assert solve_spline(stated(x, y, reg=1.01 * top)).n_neurons == 0


@pytest.mark.parametrize("kind", ["irregular", *(pytest.param(k, marks=pytest.mark.slow) for k in GRIDS[::2])])
def test_a_hundred_thousand_samples(kind: str) -> None:
    x, y = curve(100_000, kind)
    check(solve_spline(stated(x, y, reg=1e-3 * largest_reg(x, y))))


@pytest.mark.parametrize(("kind", "share"), latin(GRIDS, (1e-6, 1e-4, 0.1), every=3))
def test_methods_agree_also_with_many_knots(kind: str, share: float) -> None:
    x, y = curve(2000, kind)
    problem = stated(x, y, reg=share * largest_reg(x, y))
    results = [solve_spline(problem, method=method) for method in ("active_set", "interior_point", "auto")]
    for result in results:
        check(result)
        assert result.objective == pytest.approx(results[0].objective, rel=1e-10)
    assert results[1].method == "interior_point"


def test_offset_and_scale_cost_no_accuracy() -> None:
    x, y = curve(300, "irregular")
    top = largest_reg(x, y)
    base = solve_spline(stated(x, y, reg=0.01 * top))
    for shift, tilt, factor in ((1e3, 0.0, 1.0), (0.0, 1e3, 1.0), (0.0, 0.0, 1e-6), (0.0, 0.0, 1e8)):
        moved = solve_spline(stated(x, factor * (y + shift + tilt * x), reg=0.01 * top * factor))
        assert moved.objective == pytest.approx(factor**2 * base.objective, rel=1e-9)
        assert moved.gap <= 1e-10


# -------------------------------------------------------------------------------------------------------- all losses
@pytest.mark.parametrize(
    ("loss", "seed", "reg"),
    latin(LOSSES, range(8), (1e-3, 0.01, 0.05, 0.5, 2.0), every=9),
)
def test_agreement_with_cvxpy(loss: str, seed: int, reg: float) -> None:
    problem = small_problem(loss, seed, reg=reg)
    result = solve_spline(problem)
    check(result)
    assert by_cvxpy(problem) == pytest.approx(result.objective, rel=2e-7)


@pytest.mark.parametrize(("loss", "activation"), latin(LOSSES, ("leaky", "absolute"), every=2))
def test_other_activations_change_the_price_of_a_kink(loss: str, activation: str) -> None:
    problem = small_problem(loss, 2, reg=0.05, activation=activation, negative_slope=0.3)
    result = solve_spline(problem)
    check(result)
    kappa = {"leaky": 0.3, "absolute": -1.0}[activation]
    relu = solve_spline(problem.with_options(activation="relu", reg=0.05 / (1 - kappa)))
    assert relu.objective == pytest.approx(result.objective, rel=1e-9)


@pytest.mark.parametrize(
    "loss", [pytest.param(loss, marks=() if loss in ("huber", "hinge") else pytest.mark.slow) for loss in LOSSES]
)
def test_invariances(loss: str) -> None:
    problem = small_problem(loss, 3, reg=0.03)
    x, y, weight = problem.X[:, 0], problem.y, problem.sample_weight
    assert weight is not None
    options = {"loss": problem.loss, "reg": 0.03}
    base = solve_spline(problem)
    order = np.random.default_rng(0).permutation(problem.n)
    changed = [
        stated(x[order], y[order], sample_weight=weight[order], **options),
        stated(-x, y, sample_weight=weight, **options),
        stated(x, -y, sample_weight=weight, **options),
        stated(x + 5, y, sample_weight=weight, **options),
        stated(4 * x, y, sample_weight=weight, **{**options, "reg": 4 * 0.03}),
        stated(np.tile(x, 2), np.tile(y, 2), sample_weight=np.tile(weight / 2, 2), **options),
        stated(x[weight > 0], y[weight > 0], sample_weight=weight[weight > 0], **options),
    ]
    for other in changed:
        result = solve_spline(other)
        assert result.objective == pytest.approx(base.objective, rel=1e-9)
        assert result.gap <= 1e-10
    assert np.all(base.nu[weight == 0] == 0)


def test_larger_problems_with_other_losses() -> None:
    rng = np.random.default_rng(5)
    x, y = curve(1000, "uniform")
    labels = np.where(rng.random(1000) < 1 / (1 + np.exp(-3 * y)), 1.0, -1.0)
    outliers = y + 5 * (rng.random(1000) < 0.1)
    check(solve_spline(stated(x, labels, loss="logistic", reg=0.05)))
    check(solve_spline(stated(x, outliers, loss=HuberLoss(0.2), reg=0.05)))
    check(solve_spline(stated(x, outliers, loss="absolute", reg=0.5)))
    check(solve_spline(stated(x, labels, loss="hinge", reg=0.5)))


# ------------------------------------------------------------------------------------------------------ interpolation
@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("n", [1, 2, 3, 30, 1000])
def test_interpolation_connects_the_dots(n: int, kind: str) -> None:
    x, y = curve(n, kind)
    result = solve_spline(stated(x, y, loss="interpolation", reg=None))
    assert result.spline is not None and result.gap <= 1e-10
    assert np.abs(result.spline(x) - y).max() <= 1e-8
    chords = np.diff(y) / np.diff(x)
    assert result.objective == pytest.approx(np.abs(np.diff(chords)).sum(), rel=1e-7)
    sparse = result.sparsest()
    assert sparse.n_neurons <= result.n_neurons and sparse.objective == pytest.approx(result.objective, rel=1e-9)


def test_interpolation_of_two_values_at_one_point_is_infeasible() -> None:
    problem = stated(np.array([0.0, 1.0, 0.0]), np.array([1.0, 2.0, 1.5]), loss="interpolation", reg=None)
    with pytest.raises(InfeasibleError, match="Samples 0 and 2") as caught:
        solve_spline(problem)
    nu = caught.value.certificate
    assert isinstance(nu, np.ndarray) and nu @ problem.y > 0 and nu.tolist() == [-1.0, 0.0, 1.0]
    weighted = problem.with_options(sample_weight=[1.0, 1.0, 0.0])
    assert solve_spline(weighted).objective == 0


def test_slopes_that_overflow_are_named() -> None:
    with pytest.raises(DataError, match="overflow"):
        solve_spline(stated(np.array([0.0, 1e-320, 1.0]), np.array([0.0, 1.0, 0.0]), loss="interpolation", reg=None))


def test_small_reg_approaches_interpolation() -> None:
    x, y = curve(20, "uniform")
    least = solve_spline(stated(x, y, loss="interpolation", reg=None)).objective
    assert solve_spline(stated(x, y, reg=1e-9)).objective == pytest.approx(1e-9 * least, rel=1e-4)


def test_targets_on_a_line_leave_no_gap() -> None:
    x = np.sort(np.random.default_rng(0).random(200))
    for y in (3 * x + 1, np.zeros(200), 1e6 - x / 3):
        for loss in ("squared", "huber", "absolute"):
            result = solve_spline(stated(x, y, loss=loss))
            assert (result.status, result.n_neurons, result.gap) == ("solved", 0, 0.0)
            assert result.sparsest() is result


# ------------------------------------------------------------------------------------------------- the bound is proven
def exact_bound(samples: Samples, nu: np.ndarray, pair: tuple[int, int]) -> Fraction:
    """The best dual value of the squared loss on ``s nu'``, nu' repaired at two samples, in rational arithmetic."""
    x = [Fraction(v) for v in samples.x.tolist()]
    r = [Fraction(v) for v in nu.tolist()]
    y = [Fraction(v) for v in samples.y.tolist()]
    w = [Fraction(v) for v in samples.weight.tolist()]
    i, j = pair
    total = sum(r)
    moment = sum(a * (b - x[i]) for a, b in zip(r, x, strict=True))
    r[j] -= moment / (x[j] - x[i])
    r[i] -= total - moment / (x[j] - x[i])
    assert sum(r) == 0 and sum(a * b for a, b in zip(r, x, strict=True)) == 0
    u = [sum((r[k] * (t - x[k]) for k in range(len(x)) if x[k] < t), Fraction(0)) for t in x]
    top = max(abs(v) for v in u)
    slope = sum(a * b for a, b in zip(r, y, strict=True))
    square = sum(a * a / b for a, b in zip(r, w, strict=True))
    limit = Fraction(samples.problem.reg) / top if top else Fraction(10**9)
    scale = max(Fraction(0), min(limit, slope / square))
    return scale * slope - scale * scale * square / 2


@pytest.mark.parametrize(("kind", "seed"), latin(GRIDS, range(6), every=1))
def test_bound_holds_in_exact_arithmetic(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = curve(int(rng.integers(3, 30)), kind, seed)
    problem = stated(x, y + 10.0 ** rng.integers(-2, 5), reg=float(10.0 ** rng.uniform(-6, 0)))
    samples = samples_of(problem, nodes_of(problem), Line(0.0, float(np.mean(problem.y)), 0.3))
    for _ in range(4):
        nu = rng.standard_normal(x.size)
        t = x - x.mean()
        nu = nu - nu.mean() - t * ((t @ nu) / (t @ t))
        bound, _ = lower_bound(samples, nu)
        exact = exact_bound(samples, nu, (0, x.size - 1))
        assert bound <= exact
        assert float(exact) - bound <= 1e-6 * max(float(exact), 1e-9)


def test_sums_err_by_no_more_than_they_say() -> None:
    x, _ = curve(60, "clustered")
    nu = np.random.default_rng(0).standard_normal(60) * 10.0 ** np.random.default_rng(1).uniform(-8, 8, 60)
    problem = stated(x, nu)
    u, error, total, moment = kink_values(samples_of(problem, nodes_of(problem), Line()), nu)
    points, r = [Fraction(v) for v in x.tolist()], [Fraction(v) for v in nu.tolist()]
    exact = [sum((r[k] * (t - points[k]) for k in range(60) if points[k] < t), Fraction(0)) for t in points]
    assert max(abs(float(e) - float(v)) for e, v in zip(exact, u, strict=True)) <= error + 1e-15 * float(abs(u).max())
    assert abs(sum(r)) <= Fraction(total) and abs(exact[-1]) <= Fraction(moment)


@pytest.mark.parametrize("loss", LOSSES)
def test_no_dual_vector_proves_too_much(loss: str) -> None:
    problem = small_problem(loss, 4, reg=0.05)
    least = solve_spline(problem).objective
    samples = samples_of(problem, nodes_of(problem), Line())
    rng = np.random.default_rng(0)
    for _ in range(50):
        nu = problem.loss.clip_dual(rng.standard_normal(samples.x.size), samples.y, samples.weight)
        assert lower_bound(samples, nu)[0] <= least
    for nothing in (np.zeros(samples.x.size), np.full(samples.x.size, np.nan)):
        assert lower_bound(samples, nothing) == (0.0, 0.0)


@pytest.mark.parametrize("seeds", [range(16), pytest.param(range(16, 1500), marks=pytest.mark.slow)])
def test_hostile_data_leave_consistent_results(seeds: range) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 50))
        x = [
            rng.integers(0, n // 2 + 2, n).astype(float), 10.0 ** rng.uniform(-9, 3, n) * rng.choice([-1, 1], n),
            np.round(rng.random(n), 1) + 1e-9 * rng.integers(0, 3, n), 1e6 + rng.random(n),
        ][seed % 4]  # fmt: skip
        y = [rng.standard_normal(n), np.abs(x - np.median(x)), 10.0 ** rng.uniform(-5, 5, n)][int(rng.integers(3))]
        loss = str(rng.choice(LOSSES))
        if loss in ("logistic", "hinge"):
            y = np.where(y > np.median(y), 1.0, -1.0)
        weight = [np.ones(n), rng.integers(0, 3, n) + np.eye(n)[0], 10.0 ** rng.uniform(-6, 2, n)][int(rng.integers(3))]
        problem = stated(x, y, loss=loss, reg=10.0 ** rng.uniform(-6, 2), sample_weight=weight)
        try:
            result = solve_spline(problem, max_iter=500)
        except ProblemError as error:
            assert loss == "logistic" and "attains the minimum" in str(error)
            continue
        assert 0 <= result.lower_bound <= result.objective * (1 + 1e-9) and result.gap <= 1.0
        assert result.objective <= problem.loss_value(np.zeros(n)) * (1 + 1e-6)
        sparse = result.sparsest()
        assert sparse.n_neurons <= result.n_neurons and sparse.objective <= result.objective * (1 + 1e-8)


# -------------------------------------------------------------------------------------------------- limits and starts
def test_limits_leave_the_best_bounds_so_far() -> None:
    x, y = curve(2000, "uniform")
    problem = stated(x, y, reg=1e-3 * largest_reg(x, y))
    best = solve_spline(problem)
    short = solve_spline(problem, max_iter=2)
    assert (short.status, short.iterations) == ("iteration_limit", 2)
    hurried = solve_spline(problem, time_limit=1e-9)
    assert hurried.status == "time_limit"
    seen: list[Any] = []
    stopped = solve_spline(problem, callback=lambda progress: seen.append(progress) or len(seen) == 3)
    assert stopped.status == "callback" and len(stopped.history) == 3
    for result in (short, hurried, stopped):
        assert result.lower_bound <= best.objective * (1 + 1e-12) <= result.objective * (1 + 1e-11)
        assert result.gap > 1e-10 and result.message
    assert all(a.objective >= b.objective for a, b in itertools.pairwise(seen))


@pytest.mark.parametrize("loss", ["logistic", "huber", "absolute", "hinge"])
def test_limits_of_the_other_losses(loss: str) -> None:
    problem = small_problem(loss, 1, reg=0.01)
    best = solve_spline(problem)
    short = solve_spline(problem, max_iter=1)
    assert short.status in ("iteration_limit", "solved") and short.iterations == 1
    assert short.lower_bound <= best.objective * (1 + 1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_start_nearby_saves_iterations(loss: str) -> None:
    problem = small_problem(loss, 0, reg=0.02)
    first = solve_spline(problem)
    for start in (first, first.spline):
        again = solve_spline(problem, start=start)
        check(again)
        assert again.iterations <= first.iterations
        assert again.objective == pytest.approx(first.objective, rel=1e-10)


def test_result_says_what_it_is() -> None:
    x, y = curve(30, "uniform")
    result = solve_spline(stated(x, y))
    assert repr(result).startswith("SplineResult(objective=") and "lower bound" in result.summary()
    json.dumps(result.to_dict())
    sparse = result.sparsest()
    assert sparse.n_neurons <= result.n_neurons and sparse.lower_bound == result.lower_bound
    np.testing.assert_allclose(sparse.spline(x), result.spline(x), atol=1e-12)  # type: ignore[union-attr,misc]
    assert math.isclose(sparse.objective, result.objective, rel_tol=1e-12)


# --------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias": "none"}, "kinks are at 0"),
        ({"norm": "label_noise", "bias": "none", "skip": False}, "label_noise|kinks"),
        ({"loss": "softmax"}, "one output"),
    ],
)  # fmt: skip
def test_problems_of_another_kind_are_refused(options: dict[str, Any], message: str) -> None:
    y = [0, 1, 1] if options.get("loss") == "softmax" else [0.0, 1.0, 0.5]
    problem = stated(np.arange(3.0), y, **options)  # type: ignore[arg-type]
    with pytest.raises(ProblemError, match=message):
        solve_spline(problem)


def test_wrong_arguments_are_named() -> None:
    problem = stated(np.arange(3.0), np.array([0.0, 1.0, 0.0]))
    plane = TrainingProblem(np.eye(3)[:, :2], [1.0, 2.0, 3.0], reg=1.0, bias="free", skip=True)
    for call, message in (
        (lambda: solve_spline(plane), "one feature"),
        (lambda: solve_spline(np.zeros(3)), "TrainingProblem"),  # type: ignore[arg-type]
        (lambda: solve_spline(problem, method="newton"), "method"),
        (lambda: solve_spline(problem, tol=0.0), "tol"),
        (lambda: solve_spline(problem, time_limit=-1.0), "time_limit"),
        (lambda: solve_spline(problem, max_iter=0), "max_iter"),
        (lambda: solve_spline(problem, start="zero"), "LinearSpline"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ProblemError, match=message):
            call()


def test_separated_labels_have_no_logistic_minimum() -> None:
    x = np.arange(6.0)
    for y in (np.sign(x - 2.5), -np.sign(x - 2.5), np.ones(6)):
        with pytest.raises(ProblemError, match="attains the minimum"):
            solve_spline(stated(x, y, loss="logistic"))
        assert solve_spline(stated(x, y, loss="hinge")).objective == pytest.approx(0.0, abs=1e-12)
    touching = stated(np.array([0.0, 1.0, 1.0, 2.0]), np.array([-1.0, -1.0, 1.0, 1.0]), loss="logistic")
    with pytest.raises(ProblemError, match="threshold"):
        solve_spline(touching)
    check(solve_spline(stated(np.ones(3), np.array([1.0, 1.0, -1.0]), loss="logistic")))


@pytest.mark.parametrize("loss", [*LOSSES, "interpolation"])
def test_one_and_two_samples(loss: str) -> None:
    for x, y in (([2.0], [1.0]), ([2.0, 3.0], [1.0, -1.0])):
        if loss == "logistic":
            continue
        options = {"reg": None} if loss == "interpolation" else {}
        result = solve_spline(stated(np.array(x), np.array(y), loss=loss, **options))
        assert result.objective == pytest.approx(0.0, abs=1e-14) and result.n_neurons == 0


def test_sparsest_needs_kinks_that_may_move() -> None:
    x, y = curve(10, "uniform")
    result = solve_spline(stated(x, y))
    import dataclasses

    other = dataclasses.replace(result, problem=result.problem.with_options(skip=False))
    with pytest.raises(ProblemError, match="skip"):
        other.sparsest()
    with pytest.raises(NetworkError):
        LinearSpline([0.0], [np.inf])


def test_theory_page_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).resolve().parents[2].joinpath("docs", "theory", "splines.rst").read_text(encoding="utf-8")
    blocks = re.findall(r"code-block:: (\w+)\n\n((?:   .*\n|\n)+)", page)
    code, shown = (textwrap.dedent(body).strip() for _, body in blocks)
    exec(compile(code, "splines.rst", "exec"), {})
    assert capsys.readouterr().out.strip() == shown


# -------------------------------------------------------------------------- what a network, JSON or the caller can do
def test_interpolation_of_nearly_straight_data_meets_them() -> None:
    x = np.linspace(0.0, 1.0, 10_000)
    problem = stated(x, x + 0.5e-8 * x**2, loss="interpolation", reg=None)
    result = solve_spline(problem)
    assert result.status == "solved" and result.objective == pytest.approx(1e-8, rel=1e-2)
    assert np.abs(result.spline.residuals(x, problem.y)).max() <= 1e-14  # type: ignore[union-attr]
    slopes = [Fraction(b) - Fraction(a) for a, b in itertools.pairwise(problem.y.tolist())]
    slopes = [s / (Fraction(b) - Fraction(a)) for s, (a, b) in zip(slopes, itertools.pairwise(x.tolist()), strict=True)]
    assert Fraction(result.lower_bound) <= sum(abs(b - a) for a, b in itertools.pairwise(slopes))


@pytest.mark.parametrize(
    "options",
    [{"skip": False}, {"bias": "penalized"}, {"bias": "penalized", "skip": False, "intercept": True}],
)
def test_free_terms_that_fit_all_labels_leave_no_logistic_minimum(options: dict[str, Any]) -> None:
    x = np.arange(1.0, 5.0)
    with pytest.raises(ProblemError, match="attains the minimum"):
        solve_spline(stated(x, np.ones(4), loss="logistic", **options))
    weight = np.array([1.0, 1.0, 1.0, 0.0])
    with pytest.raises(ProblemError, match="attains the minimum"):
        solve_spline(stated(x, np.array([1.0, 1, 1, -1]), loss="logistic", sample_weight=weight, **options))
    mixed = solve_spline(stated(x - 2.5, np.array([1.0, -1, 1, -1]), loss="logistic", **options))
    assert mixed.status == "solved"


@pytest.mark.parametrize("options", [{"bias": "penalized"}, {"skip": False}, {"loss": "huber"}])
def test_choices_that_do_nothing_are_refused(options: dict[str, Any]) -> None:
    x, y = curve(10, "uniform")
    for wrong in ({"method": "interior_point"}, {"start": "a"}, {"callback": 3}):
        with pytest.raises(ProblemError, match=next(iter(wrong))):
            solve_spline(stated(x, y, **options), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("loss", ["squared", "interpolation"])
def test_interrupts_leave_a_result(bias: str, loss: str) -> None:
    def interrupt(record: Any) -> None:
        raise KeyboardInterrupt

    x, y = curve(10, "uniform")
    problem = stated(x, y, bias=bias, loss=loss, reg=0.01 if loss == "squared" else None)
    result = solve_spline(problem, callback=interrupt)
    assert result.status == "interrupted" and result.lower_bound <= result.objective
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["status"] == "interrupted"


def test_networks_of_far_data_are_warned_of() -> None:
    x, y = curve(30, "uniform")
    with pytest.warns(InaccurateSolutionWarning, match="centre x"):
        result = solve_spline(stated(x + 1e10, y, loss="interpolation", reg=None))
    assert result.status == "solved" and not math.isfinite(result.problem.objective(result.network))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve_spline(stated(x + 1e3, y, loss="interpolation", reg=None))
        solve_spline(stated(x, 2 * x + 1))


@pytest.mark.parametrize("loss", ["squared", "interpolation", "absolute"])
def test_free_biases_do_not_feel_the_origin(loss: str) -> None:
    x, y = curve(15, "uniform")
    x = np.round(x * 2**20) / 2**20
    for skip in (True, False):
        options = {"loss": loss, "reg": None if loss == "interpolation" else 0.02, "skip": skip}
        near, far = (solve_spline(stated(x + move, y, **options), tol=1e-8) for move in (0.0, 2.0**24))
        assert far.objective == pytest.approx(near.objective, rel=1e-8) and far.gap <= 1e-8
        assert far.lower_bound <= far.objective
        np.testing.assert_allclose(far.spline(x + 2.0**24), near.spline(x), atol=1e-4)  # type: ignore[misc]
