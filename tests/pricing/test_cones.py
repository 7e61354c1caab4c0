"""Branch and bound over cones: sound against complete enumeration, exact proofs, limits that hold."""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.errors import MissingExtraError, ProblemError
from convexnet.pricing import ConeSearch, PricingResult, price_cells, price_cones, pricing_forms
from convexnet.pricing import _cone_loops as loops
from convexnet.pricing._cone_compile import LoopStep

ACTIVATIONS = ("relu", "leaky", "absolute")
BIASES = ("penalized", "free", "none")


def instance(seed: int) -> tuple[TrainingProblem, np.ndarray]:
    """Small problems with ties, duplicates, zero rows, gridded data and few samples; nu with zeros."""
    rng = np.random.default_rng(seed)
    bias, kind = BIASES[seed % 3], seed % 5
    q = int(rng.integers(1, 5))
    n = int(rng.integers(3, 14 if q < 4 else 10))
    X = rng.standard_normal((n, max(1, q - (bias != "none"))))
    if kind == 1:
        X = np.round(X)
    elif kind == 2:
        X[rng.integers(n)] = X[0]
        X[rng.integers(n)] = 0
        X[rng.integers(n)] = -2 * X[1]
    elif kind == 3:
        X = X[: max(2, X.shape[1] - 1)]
    nu = rng.standard_normal(len(X))
    if kind == 4:
        nu[rng.random(len(X)) < 0.4] = 0
    if bias == "free":
        nu = np.round(nu * 1024) / 1024
        nu[-1] -= nu.sum()
    activation = ACTIVATIONS[seed // 3 % 3]
    return TrainingProblem(X, np.ones(len(X)), reg=1.0, bias=bias, activation=activation), nu


def reference(problem: TrainingProblem, nu: np.ndarray) -> PricingResult:
    return price_cells(problem, nu, enumerate_patterns(problem.extended))


def attained(problem: TrainingProblem, nu: np.ndarray, result: PricingResult) -> float:
    """What the result's atom attains, computed anew."""
    z = problem.extended @ result.atom
    return float(result.sign * nu @ np.maximum(z, problem.kappa * z))


# ------------------------------------------------------------------------------------------------------- soundness
@pytest.mark.parametrize("seed", [pytest.param(s, marks=pytest.mark.slow if s % 2 else ()) for s in range(150)])
def test_bound_is_the_maximum_over_all_cells(seed: int) -> None:
    problem, nu = instance(seed)
    truth = reference(problem, nu)
    result = price_cones(problem, nu, backend="numpy", time_limit=20)
    assert result.status == "done" and result.scope == "all"
    assert result.value <= result.bound
    assert result.bound >= truth.value * (1 - 1e-13)
    assert result.bound <= truth.bound * (1 + 3e-9) + 1e-200
    assert result.value >= truth.value * (1 - 3e-9)
    assert attained(problem, nu, result) == pytest.approx(result.value, rel=1e-12, abs=1e-300)
    w = result.atom[:-1] if problem.bias == "free" else result.atom
    assert np.linalg.norm(w) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("seed", range(0, 150, 10))
@pytest.mark.parametrize("limit", [1, 9, 40])
def test_bound_of_an_unfinished_search_is_valid(seed: int, limit: int) -> None:
    problem, nu = instance(seed)
    truth = reference(problem, nu)
    result = price_cones(problem, nu, backend="numpy", node_limit=limit)
    assert result.bound >= truth.value * (1 - 1e-13) and result.value <= result.bound


@pytest.mark.parametrize("scale", [1e-120, 1e-30, 1e30, 1e90])
def test_data_and_nu_of_any_size(scale: float) -> None:
    problem, nu = instance(21)
    plain = price_cones(problem, nu, backend="numpy")
    scaled = problem.with_options(reg=1.0)
    scaled = TrainingProblem(scaled.X * scale, scaled.y, reg=1.0, bias="none", activation=problem.activation)
    plain = price_cones(problem.with_options(bias="none"), nu, backend="numpy")
    for data, weights in ((scaled, nu), (problem.with_options(bias="none"), nu * scale)):
        result = price_cones(data, weights, backend="numpy")
        assert result.status == "done"
        assert result.bound / scale == pytest.approx(plain.bound, rel=1e-8)


def test_the_l1_ball_lies_inside() -> None:
    problem = instance(2)[0].with_options(norm="l1")
    nu = instance(2)[1]
    truth = reference(problem, nu)
    result = price_cones(problem, nu, backend="numpy")
    assert result.bound >= truth.value * (1 - 1e-12)
    assert result.value <= truth.bound * (1 + 1e-12)
    assert np.abs(result.atom).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("bias", BIASES)
def test_zero_nu_and_zero_rows(bias: str) -> None:
    problem = TrainingProblem(np.zeros((3, 2)), np.ones(3), reg=1.0, bias=bias)
    assert price_cones(problem, np.zeros(3), backend="numpy").bound <= 1e-250
    nu = np.array([1.0, -2.0, 1.0])
    expected = 0.0 if bias != "penalized" else price_cells(problem, nu, enumerate_patterns(problem.extended)).bound
    assert price_cones(problem, nu, backend="numpy").bound == pytest.approx(expected, abs=1e-12)


# ---------------------------------------------------------------------------------------------------------- proofs
def exact_leaf_bounds(problem: TrainingProblem, nu: np.ndarray, proof: dict[str, Any]) -> list[float]:
    """Per form the largest ||g|| over its leaves, every inequality and the cover checked in rational arithmetic."""
    bounds = []
    for form, part in zip(pricing_forms(problem, nu), proof["forms"], strict=True):
        fan = [[int(v) for v in row] for row in part["simplex"].tolist()]
        assert all(fan[0][c] == -sum(row[c] for row in fan[1:]) for c in range(len(fan[0])))
        assert abs(np.linalg.det(np.array(fan[1:], dtype=float))) > 0.5
        rows = [[Fraction(v) for v in row] for row in form.rows.tolist()]
        weights, linear = [Fraction(v) for v in form.weights.tolist()], [Fraction(v) for v in form.linear.tolist()]
        changed: dict[int, dict[int, Fraction]] = {}
        for leaf, row, value in part["leaves"]["alpha"].tolist():
            changed.setdefault(int(leaf), {})[int(row)] = Fraction(value)
        stack = [[v for k, v in enumerate(fan) if k != omitted] for omitted in range(len(fan) - 1, -1, -1)]
        worst = 0.0
        for a, b, i, j in part["tree"].tolist():
            V = stack.pop()
            if a >= 0:
                new = [2**i * x + 2**j * y for x, y in zip(V[a], V[b], strict=True)]
                assert max(map(abs, new)) < 2**53
                stack += [[*V[:b], new, *V[b + 1 :]], [*V[:a], new, *V[a + 1 :]]]
            else:
                g = [Fraction(x) for x in part["leaves"]["g"][b].tolist()]
                worst = max(worst, leaf_bound(rows, weights, linear, V, g, changed.get(b, {})))
        assert not stack
        bounds.append(worst)
    return bounds


def leaf_bound(
    rows: list[Any], weights: list[Any], linear: list[Any], V: list[Any], g: list[Any], changed: dict[int, Fraction]
) -> float:
    """``||g||`` after the repair of violations by rounding along the mean direction of the cone."""
    dot = lambda x, y: sum(p * q for p, q in zip(x, y, strict=True))  # noqa: E731
    default = [abs(w) * (1 if dot(x, g) >= 0 else -1) for w, x in zip(weights, rows, strict=True)]
    alpha = [changed.get(k, value) for k, value in enumerate(default)]
    assert all(abs(a) <= abs(w) for a, w in zip(alpha, weights, strict=True))
    missing = 0.0
    for v in V:
        size = float(dot(v, v)) ** 0.5
        right = dot(linear, v) + sum(
            w * abs(dot(x, v)) if w > 0 else -a * dot(x, v) for w, x, a in zip(weights, rows, alpha, strict=True)
        )
        missing = max(missing, float(right - dot(g, v)) / size)
    assert missing <= 1e-11 * float(sum(abs(w) for w in weights) + 1)
    return float(dot(g, g)) ** 0.5 + 20 * missing


@pytest.mark.parametrize("seed", [0, 1, 2, 5, 8, 11, 16, 33, 51, 64])
@pytest.mark.parametrize("compiled_code", [False, True])
def test_every_leaf_verifies_in_rational_arithmetic(seed: int, compiled_code: bool) -> None:
    problem, nu = instance(seed)
    search = ConeSearch(problem, nu, proof=True, backend="numpy", tol=1e-6)
    if compiled_code:
        in_plain_loops(search)
    result = search.run()
    assert result.proof["kind"] == "cones"
    forms = pricing_forms(problem, nu)
    bounds = exact_leaf_bounds(problem, nu, result.proof)
    slack = max((form.slack for form in forms), default=0.0)
    assert max(bounds, default=0.0) <= result.bound * (1 + 1e-9)
    assert result.bound <= max(bounds, default=0.0) * (1 + 1e-9) + slack + 1e-11 * (1 + result.bound)


def test_no_proof_unless_asked_for_and_none_before_every_form_is_bounded() -> None:
    problem, nu = instance(3)
    assert price_cones(problem, nu, backend="numpy").proof is None


# ------------------------------------------------------------------------- the loops that the compiled path compiles
def in_plain_loops(search: ConeSearch) -> None:
    """Run a search by the functions of the compiled path, as plain Python."""
    search._loops = LoopStep(search.forms, search.store)
    search._loops.search = loops.search_loop  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", range(0, 60, 4))
def test_loops_and_batches_agree(seed: int) -> None:
    problem, nu = instance(seed)
    truth = reference(problem, nu)
    search = ConeSearch(problem, nu, backend="numpy", tol=1e-7)
    in_plain_loops(search)
    result = search.run()
    assert result.status == "done"
    assert truth.value * (1 - 1e-13) <= result.bound <= truth.bound * (1 + 3e-7) + 1e-200


# ------------------------------------------------------------------------------------------- limits, goals, resuming
def larger(n: int = 60, q: int = 5, seed: int = 0) -> tuple[TrainingProblem, np.ndarray]:
    rng = np.random.default_rng(seed)
    problem = TrainingProblem(rng.standard_normal((n, q - 1)), np.ones(n), reg=1.0)
    return problem, rng.standard_normal(n)


def test_target_stops_early_and_holds() -> None:
    problem, nu = larger()
    full = price_cones(problem, nu, backend="numpy", tol=1e-6)
    result = price_cones(problem, nu, target=1.2 * full.bound, backend="numpy")
    assert result.status == "target" and full.value <= result.bound <= 1.2 * full.bound
    assert result.work["nodes"] < full.work["nodes"]


def test_stops_at_a_violation() -> None:
    problem, nu = larger()
    full = price_cones(problem, nu, backend="numpy", tol=1e-6)
    result = price_cones(problem, nu, target=0.8 * full.value, stop_at_violation=True, backend="numpy")
    assert result.status == "violated" and result.value > 0.8 * full.value and result.bound >= full.value
    assert attained(problem, nu, result) == pytest.approx(result.value)


def test_goes_on_where_it_stopped() -> None:
    problem, nu = larger()
    search = ConeSearch(problem, nu, backend="numpy", tol=1e-6)
    bounds = []
    for _ in range(200):
        result = search.run(node_limit=100)
        bounds.append(result.bound)
        if result.status == "done":
            break
    assert result.status == "done" and len(bounds) > 2
    assert all(later <= earlier for earlier, later in pairwise(bounds))
    whole = price_cones(problem, nu, backend="numpy", tol=1e-6)
    assert result.bound == pytest.approx(whole.bound, rel=2e-6)


def test_node_limit_counts_cones() -> None:
    problem, nu = larger()
    result = price_cones(problem, nu, node_limit=50, backend="numpy")
    assert result.status == "node_limit" and result.work["nodes"] <= 50 + 12
    assert result.bound < np.inf


def test_time_limit_is_kept() -> None:
    problem, nu = larger(n=300, q=9)
    began = time.perf_counter()
    result = price_cones(problem, nu, time_limit=0.5, backend="numpy")
    assert result.status == "time_limit" and time.perf_counter() - began < 1.5
    assert result.value <= result.bound < np.inf


def test_memory_limit_is_kept() -> None:
    problem, nu = larger(n=60, q=9)
    result = price_cones(problem, nu, memory_limit=150_000, backend="numpy", time_limit=20)
    assert result.status == "memory_limit" and result.work["bytes"] <= 150_000
    assert result.value <= result.bound < np.inf


def test_a_form_of_rank_one_in_many_dimensions() -> None:
    problem = TrainingProblem(np.outer([1.0, -2.0, 3.0], np.ones(6)), np.ones(3), reg=1.0, bias="none")
    nu = np.array([1.0, 1.0, -0.2])
    result = price_cones(problem, nu, backend="numpy", time_limit=20)
    assert result.bound == pytest.approx(reference(problem, nu).bound, rel=1e-6)


# ------------------------------------------------------------------------------------------------------- bad options
def test_named_errors() -> None:
    problem, nu = instance(0)
    for options in ({"backend": "fortran"}, {"time_limit": 0}, {"node_limit": 0}, {"tol": -1}, {"target": np.nan}):
        with pytest.raises(ProblemError):
            price_cones(problem, nu, **options)  # type: ignore[arg-type]
    with pytest.raises(ProblemError):
        price_cones(problem, nu[:-1])
    vector = TrainingProblem(np.ones((3, 1)), np.ones((3, 2)), reg=1.0)
    with pytest.raises(ProblemError, match="scalar"):
        price_cones(vector, np.ones((3, 2)))


def test_compiled_path_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "numba", None)
    with pytest.raises(MissingExtraError, match="fast"):
        price_cones(*instance(0), backend="numba")
    assert price_cones(*instance(0), backend="auto").status == "done"
