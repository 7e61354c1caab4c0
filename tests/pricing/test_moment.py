"""The moment bound: never below the maximum over all cells, exact for orthogonal rows, provable by its numbers."""

from __future__ import annotations

import re
import textwrap
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.random_problems import every_problem

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.errors import ProblemError
from convexnet.pricing import (
    certified_moment,
    dual_bound,
    feasible_dual,
    joint_dual,
    price_cells,
    price_moment,
    pricing_forms,
    pseudo_lasso,
)
from convexnet.pricing.moment import relaxed_response

ACTIVATIONS = ("relu", "leaky", "absolute")


def random_dual(seed: int) -> tuple[TrainingProblem, np.ndarray]:
    """A problem with ties, repeated and zero rows, and a feasible nu with zero entries."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(3, 13)), int(rng.integers(1, 4))
    X = rng.standard_normal((n, d))
    if seed % 3 == 1:
        X = np.round(X)
    if seed % 3 == 2:
        X[1], X[-1] = -2 * X[0], 0.0
    X[0, 0] += 0.5
    bias = ("none", "penalized", "free")[seed // 3 % 3]
    problem = TrainingProblem(
        X, np.zeros(n), reg=1.0, bias=bias, activation=ACTIVATIONS[seed // 9 % 3], negative_slope=0.4
    )
    nu = rng.standard_normal(n)
    nu[rng.random(n) < 0.2] = 0.0
    return problem, feasible_dual(problem, nu).nu


@pytest.mark.parametrize("chunk", range(3))
def test_never_below_the_maximum_over_all_cells(chunk: int) -> None:
    for seed in range(chunk * 27, chunk * 27 + 27):
        problem, nu = random_dual(seed)
        exact = price_cells(problem, nu, enumerate_patterns(problem.extended))
        for options in ({"iterations": 1, "refine": False}, {"iterations": 15, "refine": False}, {}):
            result = price_moment(problem, nu, **options)
            assert result.scope == "all"
            assert result.bound >= exact.value
            assert result.value <= exact.bound * (1 + 1e-9) + 1e-300


def test_any_multipliers_give_a_valid_bound() -> None:
    rng = np.random.default_rng(0)
    for seed in range(0, 54, 2):
        problem, nu = random_dual(seed)
        for form in pricing_forms(problem, nu)[:4]:
            convex = int(np.sum(form.weights > 0))
            other = len(form.weights) - convex
            U = rng.standard_normal((form.rows.shape[1], 4000))
            highest = float(np.max(form.values(U / np.linalg.norm(U, axis=0))))
            for mu in (-1.0, 0.0, 1.0):
                numbers = {
                    "tau": rng.uniform(0.01, 2, convex),
                    "a": rng.uniform(-1.5, 1.5, other),
                    "theta": rng.uniform(-0.5, 1.5, other),
                    "mu": mu,
                }
                assert certified_moment(form, numbers) >= highest


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_exact_for_orthogonal_rows(activation: str) -> None:
    rng = np.random.default_rng(3)
    rows = np.linalg.qr(rng.standard_normal((5, 5)))[0][:4] * rng.uniform(0.5, 2, (4, 1))
    for _ in range(5):
        nu = rng.standard_normal(4)
        problem = TrainingProblem(rows, nu, reg=1.0, bias="none", activation=activation, negative_slope=0.3)
        exact = price_cells(problem, nu, enumerate_patterns(rows)).value
        result = price_moment(problem, nu, iterations=200, tol=1e-7)
        assert exact <= result.bound <= exact * (1 + 1e-4)
        assert result.value == pytest.approx(exact, rel=1e-9)


def exactly_positive(matrix: list[list[Fraction]]) -> bool:
    """Whether a symmetric rational matrix is positive definite, by elimination."""
    M = [row[:] for row in matrix]
    for k in range(len(M)):
        if M[k][k] <= 0:
            return False
        for i in range(k + 1, len(M)):
            factor = M[i][k] / M[k][k]
            M[i] = [x - factor * y for x, y in zip(M[i], M[k], strict=True)]
    return True


@pytest.mark.parametrize("bias", ["none", "penalized", "free"])
def test_payload_proves_the_bound_in_exact_arithmetic(bias: str) -> None:
    rng = np.random.default_rng(5)
    problem = TrainingProblem(rng.standard_normal((7, 2)), np.zeros(7), reg=1.0, bias=bias)
    nu = feasible_dual(problem, rng.standard_normal(7)).nu
    result = price_moment(problem, nu, proof=True)
    forms = pricing_forms(problem, nu)
    assert result.proof["kind"] == "moment"
    assert len(result.proof["forms"]) == len(forms)
    for form, entry in zip(forms, result.proof["forms"], strict=True):
        assert entry["bound"] <= result.bound
        rows = [[Fraction(x) for x in row] for row in form.rows.tolist()]
        d = form.rows.shape[1]
        A = [[Fraction(0)] * d for _ in range(d)]
        b, b0 = [Fraction(x) for x in form.linear.tolist()], Fraction(0)
        tau, a, theta = (list(map(Fraction, entry[name].tolist())) for name in ("tau", "a", "theta"))
        for row, w in zip(rows, map(Fraction, form.weights.tolist()), strict=True):
            if w > 0:
                t = tau.pop(0)
                slope, tilt = w / (2 * t), Fraction(0)
                b0 += w * t / 2
            else:
                share, lean = theta.pop(0), a.pop(0)
                # At least the exact length; the sum of the shares may exceed one by a rounding error.
                size = Fraction(float(np.linalg.norm([float(x) for x in row]))) * (1 + Fraction(1, 10**14))
                total = max(Fraction(1), share + abs(lean))
                slope, tilt = w * share / total / size, -w * lean / total
            A = [[A[i][j] + slope * row[i] * row[j] for j in range(d)] for i in range(d)]
            b = [b[i] - tilt * row[i] for i in range(d)]
        mu, bound = Fraction(entry["mu"]), Fraction(entry["bound"]) + Fraction(1, 10**10)
        tiny = Fraction(1, 10**12)
        border = [[(mu + tiny) * (i == j) - A[i][j] for j in range(d)] + [-b[i] / 2] for i in range(d)]
        border.append([-x / 2 for x in b] + [bound - b0 - mu - tiny])
        assert exactly_positive(border)


def test_states_make_a_warm_start() -> None:
    rng = np.random.default_rng(7)
    X, nu = rng.standard_normal((60, 4)), rng.standard_normal(60)
    problem = TrainingProblem(X, nu, reg=1.0)
    cold = price_moment(problem, nu)
    warm = price_moment(problem, nu, states=cold.states, iterations=1, refine=False, smoothing=1e-3)
    once = price_moment(problem, nu, iterations=1, refine=False)
    assert cold.bound <= warm.bound * (1 + 1e-3)
    assert warm.bound < 0.5 * cold.bound + 0.5 * once.bound
    for u, U in cold.states.values():
        assert np.trace(U) == pytest.approx(1)
        assert np.linalg.eigvalsh(U - np.outer(u, u))[0] >= -1e-9


def test_limits_and_targets() -> None:
    rng = np.random.default_rng(2)
    X, nu = rng.standard_normal((30, 5)), rng.standard_normal(30)
    for bias in ("penalized", "free"):
        problem = TrainingProblem(X, nu, reg=1.0, bias=bias)
        nu = feasible_dual(problem, nu).nu
        full = price_moment(problem, nu)
        assert full.status == "done"
        late = price_moment(problem, nu, time_limit=0.0)
        assert late.status == "time_limit"
        assert full.value <= late.bound < np.inf
        reached = price_moment(problem, nu, target=2 * full.bound)
        assert reached.status == "target"
        assert reached.bound <= 2 * full.bound
        assert price_moment(problem, nu, target=0.5 * full.value, stop_at_violation=True).status == "violated"
    assert price_moment(problem, np.zeros(30)).bound <= 1e-200
    with pytest.raises(ProblemError):
        price_moment(problem, np.ones(30))


def test_relaxed_response_prices_like_the_relaxation() -> None:
    rng = np.random.default_rng(9)
    X, nu = rng.standard_normal((30, 3)), rng.standard_normal(30)
    for activation in ACTIVATIONS:
        problem = TrainingProblem(X, nu, reg=1.0, activation=activation)
        result = price_moment(problem, nu, tol=1e-5)
        earned = max(sign * nu @ relaxed_response(problem, sign, nu, result.states[sign]) for sign in (1, -1))
        assert result.value * (1 - 1e-9) <= earned * (1 + 1e-3) <= result.bound * (1 + 2e-3)


# ----------------------------------------------------------------------------------------- the relaxed training problem
PROBLEMS = list(every_problem())


@pytest.mark.parametrize("chunk", [0, *(pytest.param(chunk, marks=pytest.mark.slow) for chunk in range(1, 7))])
def test_joint_bound_is_below_every_network(chunk: int) -> None:
    for _, problem, patterns in PROBLEMS[chunk::7]:
        joint = joint_dual(problem, tol=1e-3, time_limit=0.6)
        exact = price_cells(problem, joint.nu, patterns)
        assert joint.pricing.bound >= exact.value
        best, _ = dual_bound(problem, joint.point, exact.bound + joint.point.pricing_slack(problem))
        assert joint.bound <= best * (1 + 1e-9) + 1e-12
        if problem.loss.name != "interpolation":
            assert joint.bound <= problem.loss_value(np.zeros(problem.n)) * (1 + 1e-9)


def test_joint_dual_keeps_to_its_time_limit() -> None:
    rng = np.random.default_rng(4)
    problem = TrainingProblem(rng.standard_normal((300, 12)), rng.standard_normal(300), reg=0.5)
    started = time.perf_counter()
    joint = joint_dual(problem, time_limit=0.05)
    assert time.perf_counter() - started < 1.0
    assert joint.status == "time_limit"
    assert 0 <= joint.bound <= problem.loss_value(np.zeros(300))
    with pytest.raises(ProblemError):
        joint_dual(TrainingProblem([[1.0], [2.0]], [[1.0, 0.0], [0.0, 1.0]], reg=1.0))


@pytest.mark.parametrize("loss", ["squared", "logistic", "huber", "absolute", "hinge"])
@pytest.mark.parametrize("intercept", [False, True])
def test_pseudo_lasso_satisfies_its_optimality_conditions(loss: str, intercept: bool) -> None:
    rng = np.random.default_rng(6)
    y = rng.standard_normal(20)
    y = np.where(y > 0, 1.0, -1.0) if loss in ("logistic", "hinge") else y
    problem = TrainingProblem(rng.standard_normal((20, 2)), y, loss=loss, reg=0.8, intercept=intercept)
    Z = rng.standard_normal((20, 12))
    lasso = pseudo_lasso(problem, Z)
    slopes = Z.T @ lasso.nu
    assert np.all(lasso.amplitudes >= 0)
    assert np.all(slopes <= problem.reg + 1e-4)
    assert slopes[lasso.amplitudes > 1e-4] == pytest.approx(problem.reg, abs=1e-4)
    if not intercept:
        value = problem.loss_value(Z @ lasso.amplitudes) + problem.reg * lasso.amplitudes.sum()
        assert lasso.value == pytest.approx(value, rel=1e-5)
    again = pseudo_lasso(problem, Z, start=lasso.amplitudes)
    assert again.value == pytest.approx(lasso.value, rel=1e-6)


def test_pseudo_lasso_refuses_other_shapes() -> None:
    problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=1.0)
    assert pseudo_lasso(problem, np.zeros((2, 0))).amplitudes.shape == (0,)
    with pytest.raises(ProblemError):
        pseudo_lasso(problem, np.zeros((3, 2)))


def test_theory_page_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "theory" / "pricing_bounds.rst").read_text(encoding="utf-8")
    code, shown = (
        textwrap.dedent(re.findall(rf"code-block:: {language}\n\n((?:   .*\n|\n)+)", page)[0])
        for language in ("python", "text")
    )
    exec(compile(code, "pricing_bounds.rst", "exec"), {})
    pairs = zip(re.findall(r"\d+\.\d+", shown), re.findall(r"\d+\.\d+", capsys.readouterr().out), strict=True)
    for said, printed in pairs:
        assert float(printed) == pytest.approx(float(said), rel=1e-3)
