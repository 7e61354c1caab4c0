"""Memorization: every claim recomputed, against the full program, on data of all kinds, and what it refuses."""

from __future__ import annotations

import json
import math
import time
import warnings
from typing import Any

import numpy as np
import pytest
from helpers.grids import latin
from helpers.verify import network_objective, path_norm, predictions, verify_bound, verify_certificate

import convexnet
from convexnet import Memorization, TrainingProblem, memorize
from convexnet.errors import DataError, InfeasibleError, NotCertifiedWarning, ProblemError, SolverError
from convexnet.networks import LinearSpline, no_skip_norm
from convexnet.programs import build_relu


def verify(result: Memorization, tol: float = 1e-6) -> None:
    """Fit, norm, bound, number of neurons, and the certificate from the raw data."""
    problem = result.problem
    counted = np.ones(problem.n, bool) if problem.sample_weight is None else problem.sample_weight > 0
    residual = np.abs(predictions(problem, result.network) - problem.y)[counted]
    assert float(residual.max()) <= 1e-8 * max(float(np.abs(problem.y).max()), 1e-300)
    assert math.isclose(result.path_norm, path_norm(problem, result.network), rel_tol=1e-10, abs_tol=1e-300)
    assert result.lower_bound <= result.path_norm * (1 + 1e-9)
    assert result.n_neurons == len(result.network.weights) <= result.sparsity_bound
    if result.status == "solved":
        assert result.gap <= tol
    verify_certificate(problem, result.network, result.certificate)


def case(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed + 100 * n + d)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


OPTIONS: list[dict[str, Any]] = [
    {}, {"bias": "free"}, {"bias": "free", "skip": True}, {"bias": "none"}, {"skip": True},
    {"skip": True, "intercept": True}, {"norm": "l1"}, {"norm": "l1", "bias": "free"},
    {"activation": "absolute"}, {"activation": "leaky", "negative_slope": 0.3}, {"activation": "leaky", "bias": "free"},
    {"activation": "absolute", "bias": "free", "skip": True},
]  # fmt: skip
SHAPES = ((1, 1), (2, 1), (9, 1), (9, 2), (6, 3), (3, 5))


def id_of(value: Any) -> str:
    return str(value)


@pytest.mark.parametrize(("options", "shape"), latin(OPTIONS, SHAPES, every=6), ids=id_of)
def test_every_claim(options: dict[str, Any], shape: tuple[int, int]) -> None:
    check_case(options, shape)


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=id_of)
@pytest.mark.parametrize("shape", [*SHAPES, (40, 1), (25, 2), (12, 3)], ids=id_of)
def test_every_claim_in_full(options: dict[str, Any], shape: tuple[int, int]) -> None:
    check_case(options, shape)


def check_case(options: dict[str, Any], shape: tuple[int, int]) -> None:
    X, y = case(*shape)
    if options.get("bias") == "none" and shape[1] == 1:  # two rays, on which outputs are linear
        y = np.where(X[:, 0] > 0, 2.0, -3.0) * X[:, 0]
    result = memorize(X, y, **options)
    verify(result)
    assert result.status == "solved"
    program = build_relu(result.problem, convexnet.enumerate_patterns(result.problem.extended))
    program.solve(tol=1e-10)
    assert program.value == pytest.approx(result.path_norm, rel=3e-6, abs=1e-7)


def diabetes(kind: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(scaled=kind == "scaled")
    X, y = bunch.data[:, [2, 8]], bunch.target
    return ((X - X.mean(axis=0)) / X.std(axis=0) if kind == "standardised" else X), y


def distinct_rows(X: np.ndarray, y: np.ndarray, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    index = np.unique(X, axis=0, return_index=True)[1]
    index = np.random.default_rng(seed).permutation(index)[:n]
    return X[index], y[index]


def test_a_hundred_rows_of_diabetes() -> None:
    result = memorize(*distinct_rows(*diabetes("standardised"), 100))
    verify(result)
    assert result.status == "solved"
    assert result.path_norm == pytest.approx(33702.869, rel=1e-6)
    assert result.method == "cells"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", ["standardised", "scaled", "raw"])
def test_a_hundred_rows_of_diabetes_in_every_scaling(kind: str, seed: int) -> None:
    result = memorize(*distinct_rows(*diabetes(kind), 100, seed))
    verify(result)
    assert result.status == "solved"


@pytest.mark.parametrize("kind", ["standardised", "scaled", "raw"])
def test_all_rows_of_diabetes_contradict_each_other(kind: str) -> None:
    X, y = diabetes(kind)
    start = time.process_time()
    with pytest.raises(InfeasibleError, match="repeated with different targets") as caught:
        memorize(X, y)
    assert time.process_time() - start < 2
    proof, problem = caught.value.proof, TrainingProblem(X, y, loss="interpolation")
    assert proof.check(problem)
    first, second = proof.rows
    assert np.array_equal(X[first], X[second])
    assert y[first] != y[second]


def test_on_the_line_the_skip_connection_leaves_the_kinks_of_connecting_the_dots() -> None:
    X, y = case(200, 1)
    result = memorize(X, y, bias="free", skip=True)
    order = np.argsort(X[:, 0])
    slopes = np.diff(y[order]) / np.diff(X[order, 0])
    assert result.method == "line"
    assert result.gap <= 1e-8
    assert result.path_norm == pytest.approx(float(np.abs(np.diff(slopes)).sum()), rel=1e-9)
    assert result.n_neurons <= 198


def test_penalised_biases_on_the_line() -> None:
    """Two hundred samples, some 1e-6 apart: certified, and never below the free biases' norm."""
    rng = np.random.default_rng(3)
    X = np.sort(rng.uniform(-1, 2, 200))
    X[1::40] = X[::40] + 1e-6
    y = rng.standard_normal(200)
    penalised = memorize(X[:, None], y)
    free = memorize(X[:, None], y, bias="free")
    assert penalised.gap <= 1e-7
    assert free.gap <= 1e-6
    assert penalised.path_norm >= free.path_norm
    assert float(np.abs(predictions(penalised.problem, penalised.network) - y).max()) <= 1e-7


def test_the_line_agrees_with_a_spline() -> None:
    X, y = case(12, 1)
    spline = LinearSpline.from_values(np.sort(X[:, 0]), y[np.argsort(X[:, 0])])
    result = memorize(X, y, bias="free", skip=True)
    assert result.path_norm == pytest.approx(spline.total_variation, rel=1e-9)


@pytest.mark.parametrize(("options", "d"), latin(({}, {"bias": "free", "skip": True}), (1, 2), every=2), ids=id_of)
def test_order_sign_scale_and_repetition_change_nothing(options: dict[str, Any], d: int) -> None:
    X, y = case(12, d)
    norm = memorize(X, y, **options).path_norm
    turned = memorize(X[::-1], y[::-1], **options).path_norm
    assert turned == pytest.approx(norm, rel=2e-6)
    assert memorize(X, -1e5 * y, **options).path_norm == pytest.approx(1e5 * norm, rel=2e-6)
    repeated = memorize(np.vstack([X, X[:4]]), np.append(y, y[:4]), **options)
    assert repeated.path_norm == pytest.approx(norm, rel=2e-6)
    weighted = memorize(np.vstack([X, X[:4]]), np.append(y, -y[:4]), sample_weight=[1.0] * 12 + [0.0] * 4, **options)
    assert weighted.path_norm == pytest.approx(norm, rel=2e-6)
    if options:
        shifted = memorize(X + 3.0, y + X @ np.ones(d) - 2.0, **options)
        assert shifted.path_norm == pytest.approx(norm, rel=2e-6)


@pytest.mark.parametrize("d", [2, 3])
def test_fewer_neurons_than_samples_with_free_terms(d: int) -> None:
    """The representer theorem: K <= N minus the rank of the free columns."""
    X, y = case(16, d)
    result = memorize(X, y, bias="free", skip=True)
    verify(result)
    assert result.sparsity_bound == 16 - (d + 1)
    assert result.n_neurons < 16


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("place", [(1.0, 1e4), (1.0, -1e6), (1e4, 1.7e9)], ids=id_of)
def test_free_biases_do_not_feel_the_origin(d: int, skip: bool, place: tuple[float, float]) -> None:
    X, y = case(12 if d == 1 else 8, d)
    unit, shift = place
    near = memorize(X, y, bias="free", skip=skip)
    far = memorize(X * unit + shift, y, bias="free", skip=skip)
    assert far.status == "solved"
    assert far.path_norm == pytest.approx(near.path_norm / unit, rel=1e-6)
    assert far.n_neurons <= far.sparsity_bound
    assert far.problem.objective(far.network) == far.path_norm
    assert far.certificate.problem is far.problem and far.certificate.network is far.network
    assert far.largest_residual == float(np.abs(far.predict(far.problem.X) - y).max()) * (1 + 1e-12)
    verify_bound(far.problem, far.certificate, exhaustive=False)
    assert "activation patterns" in far.summary()


def test_one_far_column_and_one_constant_column() -> None:
    X, y = case(8, 2)
    norm = memorize(X, y, bias="free", skip=True).path_norm
    for moved in (X + np.array([1e6, 0.0]), np.column_stack([X, np.full(8, 1e6)])):
        result = memorize(moved, y, bias="free", skip=True)
        assert (result.status, result.path_norm) == ("solved", pytest.approx(norm, rel=1e-6))


@pytest.mark.parametrize(
    ("unit", "options"),
    [(1e-8, {}), (1.0, {"time_limit": 1e-9}), (1.0, {"time_limit": 1e-9, "norm": "l1"})],
    ids=id_of,
)
def test_no_more_neurons_than_suffice_whatever_ends_the_search(unit: float, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((6, 2)), rng.standard_normal(6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotCertifiedWarning)
        verify(memorize(unit * X, y, **options))


def test_degenerate_data() -> None:
    rng = np.random.default_rng(5)
    grid = np.array([[i, j] for i in range(4) for j in range(4)], dtype=float)
    constant = np.column_stack([rng.standard_normal(9), np.ones(9)])
    for X in (grid, constant, rng.standard_normal((3, 7))):
        result = memorize(X, rng.standard_normal(len(X)))
        verify(result)
        assert result.status == "solved"


def test_what_free_terms_fit_takes_no_neuron() -> None:
    X, _ = case(10, 2)
    result = memorize(X, X @ [1.0, 2.0] + 3.0, bias="free", skip=True)
    assert (result.path_norm, result.n_neurons) == (0.0, 0)
    assert memorize(X, np.zeros(10)).n_neurons == 0


def test_many_features_end_in_a_network_and_an_honest_bound() -> None:
    X, y = case(24, 9)
    start = time.perf_counter()
    with pytest.warns(NotCertifiedWarning):
        result = memorize(X, y, time_limit=1.5)
    assert time.perf_counter() - start < 9
    verify(result)
    assert result.method == "atoms"
    assert 0 < result.lower_bound < result.path_norm
    text = repr(result) + result.summary()
    assert "optim" not in text.lower()


@pytest.mark.parametrize("d", [2, 9])
def test_an_interrupt_returns_the_best_fit_so_far(d: int) -> None:
    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    X, y = case(24, d)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotCertifiedWarning)
        start = time.perf_counter()
        result = memorize(X, y, callback=interrupt)
        assert time.perf_counter() - start < 20
    assert result.status in ("interrupted", "solved")
    verify(result)


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_one_feature_of_any_scale(unit: float) -> None:
    X, y = case(20, 1)
    X[:4] = np.linspace(0.0, 1e-3, 4)[:, None]
    result = memorize(unit * X, y)
    assert (result.status, result.method) == ("solved", "line")
    verify(result)


def test_a_bias_that_is_paid_for_and_weights_of_zero() -> None:
    """The first sample that counts is not the first one."""
    X, y = case(12, 1)
    weight = np.where(np.arange(12) == np.argmin(X[:, 0]), 0.0, 1.0)
    result = memorize(X, y, skip=True, sample_weight=weight)
    verify(result)
    fewer = memorize(X[weight > 0], y[weight > 0], skip=True)
    assert (result.status, result.path_norm) == ("solved", pytest.approx(fewer.path_norm, rel=1e-6))


@pytest.mark.parametrize("n", [40, 510])
def test_no_skip_connection_on_the_line(n: int) -> None:
    """Savarese et al.: the larger of TV and half of TV plus the sum of the end slopes."""
    rng = np.random.default_rng(n)
    x, y = np.arange(n) + rng.uniform(0.0, 0.5, n), rng.standard_normal(n)
    result = memorize(x[:, None], y, bias="free")
    assert result.status == "solved"
    assert result.path_norm == pytest.approx(no_skip_norm(x, y), rel=1e-7)
    assert result.n_neurons <= n - 1


@pytest.mark.parametrize("options", [{"activation": "threshold"}, {"norm": "label_noise"}], ids=id_of)
def test_problems_with_programs_of_their_own(options: dict[str, Any]) -> None:
    X, y = case(8, 2)
    result = memorize(X, y, **options)
    assert result.status == "solved"
    assert result.path_norm == pytest.approx(result.problem.objective(result.network), rel=1e-9)
    assert result.predict(X) == pytest.approx(y, abs=1e-6)
    with pytest.raises(InfeasibleError):
        memorize(np.vstack([X, X[0]]), np.append(y, y[0] + 1), **options)


def test_rows_that_nearly_coincide_are_named() -> None:
    X = np.repeat(np.arange(6.0), 2)[:, None] + np.tile([0.0, 1e-13], 6)[:, None]
    with pytest.raises(SolverError, match="nearly coincide"):
        memorize(X, np.tile([0.0, 1.0], 6))


def test_records_and_limits() -> None:
    X, y = case(20, 2)
    seen: list[Any] = []
    result = memorize(X, y, callback=seen.append)
    assert [record.iteration for record in seen] == list(range(1, len(seen) + 1))
    assert result.history == tuple(seen)
    plain = json.loads(json.dumps(result.to_dict(), default=str))
    assert plain["n_neurons"] == result.n_neurons
    assert str(result.n_neurons) in result.summary()
    assert result.predict(X[:3]) == pytest.approx(y[:3], abs=1e-9)
    assert result.neurons_per_n_over_d == pytest.approx(2 * result.neurons_per_sample)
    assert network_objective(result.problem, result.network) == pytest.approx(result.path_norm)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotCertifiedWarning)
        start = time.perf_counter()
        hasty = memorize(*distinct_rows(*diabetes("raw"), 100), time_limit=0.5)
        assert time.perf_counter() - start < 6
    assert hasty.lower_bound <= hasty.path_norm


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([[0.0], [np.nan]], [0.0, 1.0]), DataError, "X"),
        (([[0.0], [1.0]], [0.0, np.inf]), DataError, "y"),
        (([], []), DataError, "X"),
        (([[0.0], [1.0]], [1.0]), DataError, "y"),
        (([["a"], ["b"]], [0.0, 1.0]), DataError, "X"),
        (([[0.0], [1.0]], [[1.0, 2.0], [3.0, 4.0]]), ProblemError, "each column"),
    ],
)
def test_bad_data(arguments: tuple[Any, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        memorize(*arguments)


@pytest.mark.parametrize(
    "options",
    [
        {"tol": 0}, {"tol": 2.0}, {"time_limit": -1}, {"random_state": -1}, {"callback": 3}, {"norm": "l7"},
        {"bias": "maybe"}, {"activation": "tanh"}, {"skip": "yes"},
    ],
    ids=id_of,
)  # fmt: skip
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ProblemError):
        memorize([[0.0], [1.0]], [0.0, 1.0], **options)
