"""Label-noise pricing against projections by a conic solver, exact fractions, sampling, and garbage multipliers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from helpers.grids import latin
from helpers.nasty_data import KINDS, nasty_data

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.arrangements import face_patterns, sample_patterns
from convexnet.errors import PatternError, ProblemError
from convexnet.pricing import LabelNoisePricer, _label_noise_cells, price_label_noise, price_points
from convexnet.pricing.label_noise import label_noise_patterns

ACTIVATIONS = ("relu", "leaky", "absolute")
BIASES = ("penalized", "none")


def make(X: Any, **options: Any) -> TrainingProblem:
    X = np.asarray(X, dtype=float)
    options = {"reg": 1.0, "negative_slope": 0.3, "norm": "label_noise", **options}
    return TrainingProblem(X, np.linspace(-1, 1, len(X)), **options)


def data(kind: str, seed: int = 0) -> np.ndarray:
    return nasty_data(kind, seed, tiny=1e-90)  # squares of sizes must not underflow


TIGHT = ("plain", "integers", "antipodal", "duplicates", "zero row", "one line", "wide", "one sample")


def sampled(problem: TrainingProblem, nu: np.ndarray, seed: int, count: int = 20_000) -> float:
    """The largest value over random directions, by the definition; points at rounding distance count as active."""
    E, kappa = problem.extended, problem.kappa
    columns = np.abs(E).max(axis=0)
    U = np.random.default_rng(seed).standard_normal((E.shape[1], count)) / np.where(columns > 0, columns, 1.0)[:, None]
    sizes = np.abs(E).max(axis=1)
    pre = np.divide(E @ U, sizes[:, None], out=np.zeros((len(E), count)), where=sizes[:, None] > 0)
    top = float(sizes.max()) or 1.0
    slopes = np.where(pre > -1e-12, 1.0, kappa)
    outputs = np.where(pre > 0, 1.0, kappa) * pre * (sizes / top)[:, None]
    costs = np.linalg.norm(outputs, axis=0) * np.sqrt(np.sum((E / top) ** 2, axis=1) @ slopes**2)
    live = costs > 1e-12 * costs.max()
    return float(np.max(np.abs(nu @ outputs)[live] / costs[live], initial=0.0)) / top


@pytest.mark.parametrize(("kind", "bias", "activation"), latin(KINDS, BIASES, ACTIVATIONS, every=2))
def test_bound_holds_and_is_attained(kind: str, bias: str, activation: str) -> None:
    problem = make(data(kind), bias=bias, activation=activation)
    pricer = LabelNoisePricer(problem, label_noise_patterns(problem))
    assert pricer.complete
    for seed in range(3):
        nu = np.random.default_rng(seed).standard_normal(problem.n)
        result = pricer.price(nu)
        assert result.scope == "all"
        assert sampled(problem, nu, seed) <= result.bound * (1 + 1e-11)  # sampled values are rounded, too
        assert 0 <= result.value <= result.bound <= price_points(problem, nu).bound * (1 + 1e-9) or kind not in TIGHT
        if kind in TIGHT:
            assert result.value >= result.bound * (1 - 1e-9)
            check_atom(problem, nu, result)


def check_atom(problem: TrainingProblem, nu: np.ndarray, result: Any) -> None:
    """The atom has unit cost and the value that was said, points within 1e-9 of its border inactive."""
    E, kappa = problem.extended, problem.kappa
    pre = E @ result.atom
    border = np.abs(pre) <= 1e-8 * np.linalg.norm(E, axis=1) * np.linalg.norm(result.atom)
    slopes = np.where((pre > 0) & ~border, 1.0, kappa)
    outputs = np.where(pre > 0, 1.0, kappa) * pre
    cost = np.linalg.norm(outputs) * np.linalg.norm(slopes[:, None] * E)
    if result.value > 0:
        assert result.sign * (nu @ outputs) / cost == pytest.approx(result.value, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_bound_of_a_cell_is_the_projection_by_a_conic_solver(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = make(rng.standard_normal((7, 2)), activation=ACTIVATIONS[seed])
    patterns = enumerate_patterns(problem.extended)
    pricer, E = LabelNoisePricer(problem, patterns), problem.extended
    nu = rng.standard_normal(7)
    for cell in range(0, len(patterns), 5):
        gate = np.where(patterns.patterns[:, cell] > 0, 1.0, problem.kappa)
        u = cp.Variable(3)
        cone = [cp.multiply(2.0 * patterns.patterns[:, cell] - 1, E @ u) >= 0, cp.norm(cp.multiply(gate, E @ u)) <= 1]
        model = cp.Problem(cp.Maximize(nu @ cp.multiply(gate, E @ u)), cone)
        weight = np.linalg.norm(gate[:, None] * E)
        value = model.solve(solver="CLARABEL") / weight if weight > 0 and np.any(gate) else 0.0
        assert pricer.cells.price(cell, nu)[0] == pytest.approx(max(value, 0.0), abs=1e-6)


def test_bound_is_above_the_exact_value_in_fractions() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        X = rng.integers(-3, 4, (5, 2)).astype(float)
        problem = make(X)
        nu = rng.integers(-4, 5, 5).astype(float)
        bound = Fraction(price_label_noise(problem, nu, enumerate_patterns(problem.extended)).bound)
        for w in rng.integers(-5, 6, (60, 3)):
            pre = [sum(Fraction(int(a)) * int(b) for a, b in zip(row, w, strict=True)) for row in problem.extended]
            outputs = [max(t, Fraction(0)) for t in pre]
            squares = [sum(Fraction(int(a)) ** 2 for a in row) for row in problem.extended]
            weight = sum((square for square, t in zip(squares, pre, strict=True) if t > 0), Fraction(0))
            gain = sum((Fraction(int(a)) * z for a, z in zip(nu, outputs, strict=True)), Fraction(0))
            assert gain**2 <= bound**2 * weight * sum(z * z for z in outputs)


@pytest.mark.parametrize("garbage", ["random", "huge", "nan", "tiny"])
def test_multipliers_are_not_trusted(garbage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)

    def forged(g: np.ndarray, A: np.ndarray, level: np.ndarray) -> list[np.ndarray]:
        m = np.abs(rng.standard_normal(len(A))) * {"random": 1.0, "huge": 1e12, "nan": np.nan, "tiny": 1e-9}[garbage]
        return [m]

    for kind in TIGHT:
        for activation in ACTIVATIONS:
            problem = make(data(kind), activation=activation)
            patterns = label_noise_patterns(problem)
            nu = rng.standard_normal(problem.n)
            true = LabelNoisePricer(problem, patterns).price(nu).value
            with monkeypatch.context() as patch:
                patch.setattr(_label_noise_cells, "_multipliers", forged)
                assert LabelNoisePricer(problem, patterns).price(nu).bound >= true * (1 - 1e-12)


def test_points_are_exact_where_each_can_be_reached_alone() -> None:
    rng = np.random.default_rng(0)
    problem = make(rng.standard_normal((12, 20)))
    nu = rng.standard_normal(12)
    result = price_points(problem, nu)
    assert result.value == pytest.approx(np.max(np.abs(nu) / np.linalg.norm(problem.extended, axis=1)), rel=1e-14)
    assert result.value <= result.bound <= result.value * (1 + 1e-12)
    check_atom(problem, nu, result)
    inside = make([[-1.0], [0.0], [1.0]])
    assert price_points(inside, np.array([0.0, 1.0, 0.0])).value == 0  # no neuron reaches the middle alone


def test_scalings_permutations_and_signs() -> None:
    rng = np.random.default_rng(3)
    X, nu = rng.standard_normal((6, 2)), rng.standard_normal(6)
    problem = make(X, bias="none")
    value = price_label_noise(problem, nu, label_noise_patterns(problem)).value
    order = rng.permutation(6)
    for other, vector, factor in (
        (make(X[order], bias="none"), nu[order], 1.0),
        (make(-X, bias="none"), nu, 1.0),
        (make(4 * X, bias="none"), -8 * nu, 2.0),
        (make(X @ [[0.0, -1.0], [1.0, 0.0]], bias="none"), nu, 1.0),
    ):
        result = price_label_noise(other, vector, label_noise_patterns(other))
        assert result.value == pytest.approx(factor * value, rel=1e-10)


def test_zero_nu_and_thresholds() -> None:
    problem = make(data("plain"))
    patterns = enumerate_patterns(problem.extended)
    assert price_label_noise(problem, np.zeros(6), patterns).bound == 0
    nu = np.arange(6.0)
    exact = price_label_noise(problem, nu, patterns)
    rough = price_label_noise(problem, nu, patterns, threshold=0.5 * exact.value, max_violators=3)
    assert len(rough.violators) == 3
    assert [v.value for v in rough.violators] == sorted((v.value for v in rough.violators), reverse=True)
    assert price_label_noise(problem, nu, patterns, threshold=2 * exact.value).bound >= exact.bound


def test_scope_is_all_only_for_proven_lists_that_cover_the_borders() -> None:
    problem = make(data("antipodal"), bias="none")
    cells, faces = enumerate_patterns(problem.extended), face_patterns(problem.extended, closed=False)
    nu = np.arange(6.0)
    listed, covered = (price_label_noise(problem, nu, patterns) for patterns in (cells, faces))
    assert (listed.scope, covered.scope) == ("listed", "all")
    assert covered.bound >= listed.bound
    biased = make(data("plain"))
    some = sample_patterns(biased.extended, 5, random_state=0)
    assert price_label_noise(biased, nu, some).scope == "listed"
    assert price_label_noise(biased, nu, enumerate_patterns(biased.extended).patterns).scope == "listed"
    absolute = make(data("antipodal"), bias="none", activation="absolute")
    assert price_label_noise(absolute, nu, enumerate_patterns(absolute.extended)).scope == "all"


def test_faces_matter_without_a_direction_that_is_active_everywhere() -> None:
    problem = make([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], bias="none")
    nu = np.array([0.0, 0.0, 1.0])
    cells = price_label_noise(problem, nu, enumerate_patterns(problem.extended))
    faces = price_label_noise(problem, nu, face_patterns(problem.extended, closed=False))
    # (0, 1) is active at the third point alone; every cell beside it is active at a second one.
    assert faces.value == pytest.approx(1.0)
    assert cells.value < 0.75


def test_named_errors() -> None:
    problem = make(data("plain"))
    patterns, nu = enumerate_patterns(problem.extended), np.ones(6)
    with pytest.raises(ProblemError, match="norm='label_noise'"):
        price_label_noise(problem.with_options(norm="l2"), nu, patterns)
    with pytest.raises(ProblemError, match="norm='label_noise'"):
        price_points(problem.with_options(norm="l1"), nu)
    for bad in (np.ones(5), np.full(6, np.nan), np.ones((6, 1))):
        with pytest.raises(ProblemError, match="nu must be finite"):
            price_label_noise(problem, bad, patterns)
        with pytest.raises(ProblemError, match="nu must be finite"):
            price_points(problem, bad)
    with pytest.raises(PatternError, match="other data"):
        price_label_noise(problem, nu, enumerate_patterns(problem.extended * 2))
    with pytest.raises(PatternError, match="no patterns"):
        price_label_noise(problem, nu, np.zeros((6, 0)))
    with pytest.raises(PatternError, match="closed=False"):
        price_label_noise(problem, nu, face_patterns(problem.extended))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bounds_from_rays_hold_for_every_cell_and_are_tight_for_most(activation: str) -> None:
    rng = np.random.default_rng(6)
    problem = make(rng.standard_normal((20, 2)), activation=activation)
    cells = LabelNoisePricer(problem, enumerate_patterns(problem.extended)).cells
    nu = rng.standard_normal(20)
    upper = cells.screen(nu)
    exact = np.array([[cells.price(cell, sign * nu)[0] for sign in (1, -1)] for cell in range(len(cells))])
    assert np.all(exact <= upper * (1 + 1e-9) + 1e-9)  # where the value is zero both are rounding
    top = exact.max()
    assert np.mean(upper > 0.9 * top) < 3 * np.mean(exact > 0.9 * top)


def exact_value(problem: TrainingProblem, nu: np.ndarray, u: np.ndarray) -> tuple[float, list[int]]:
    """Value of a direction per unit of cost, and its pattern, in fractions up to the final square root."""
    outputs, weight, pattern = [], Fraction(0), []
    for row in problem.extended.tolist():
        t = sum((Fraction(a) * Fraction(b) for a, b in zip(row, u.tolist(), strict=True)), Fraction(0))
        slope = Fraction(1) if t > 0 else Fraction(problem.kappa)
        pattern.append(int(t > 0))
        outputs.append(slope * t)
        weight += slope**2 * sum(Fraction(a) ** 2 for a in row)
    gain = sum((Fraction(a) * z for a, z in zip(nu.tolist(), outputs, strict=True)), Fraction(0))
    cost = weight * sum(z * z for z in outputs)
    return (float(abs(gain) ** 2 / cost) ** 0.5 * (1 if gain > 0 else -1) if cost else 0.0), pattern


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(s, marks=pytest.mark.slow) for s in range(6, 60))])
def test_no_direction_exceeds_the_bound_of_its_cell_in_exact_arithmetic(seed: int) -> None:
    """Directions that the projections return on grids and duplicates, whose active rows are often dependent."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((6, 3))
    X = (rng.integers(-2, 3, (6, 3)).astype(float), np.repeat(X[:4], 2, axis=0), np.round(X, 1))[seed % 3]
    problem = make(X, activation=ACTIVATIONS[seed // 3 % 3] if seed >= 6 else "relu")
    pricer, nu = LabelNoisePricer(problem, enumerate_patterns(problem.extended)), rng.standard_normal(len(X))
    cells, total = pricer.cells, pricer.price(nu).bound
    upper = cells.screen(nu)
    for cell in rng.choice(len(cells), min(len(cells), 25), replace=False).tolist():
        for sign in (1, -1):
            u = cells.price(cell, sign * nu)[1]
            value, pattern = exact_value(problem, nu, u)
            assert abs(value) <= total
            for home in np.flatnonzero((np.array(pattern)[:, None] == cells.G).all(axis=0)).tolist():
                assert abs(value) <= upper[home, 0 if value > 0 else 1]
                assert abs(value) <= cells.price(home, np.sign(value) * nu)[0]
