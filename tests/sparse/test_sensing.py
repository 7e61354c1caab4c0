"""The sensing matrix of an arrangement: its atoms, its guarantees, and networks that come out of it."""

from __future__ import annotations

import numpy as np
import pytest

from convexnet import TrainingProblem, enumerate_patterns, solve
from convexnet.arrangements import PatternSet, sample_patterns
from convexnet.errors import DataError, NetworkError, PatternError, ProblemError
from convexnet.sparse import (
    arrangement_dictionary,
    certify_support,
    coherence_floor,
    juditsky_nemirovski,
    mutual_coherence,
    recovery_rate,
)
from convexnet.sparse._column_space import column_space


def extended(n: int, d: int, seed: int) -> np.ndarray:
    return np.column_stack([np.random.default_rng(seed).standard_normal((n, d)), np.ones(n)])


@pytest.mark.parametrize(("n", "d"), [(6, 1), (12, 1), (8, 2)])
def test_one_centre_for_every_cell_with_an_active_sample(n: int, d: int) -> None:
    X = extended(n, d, n)
    patterns = enumerate_patterns(X)
    found = arrangement_dictionary(X, patterns)
    assert len(patterns) == found.N + 1 and len(set(found.cells.tolist())) == found.N
    inside = (2.0 * patterns.patterns[:, found.cells] - 1) * (X @ found.directions)
    assert inside.min() > 0
    np.testing.assert_allclose(np.linalg.norm(found.directions, axis=0), 1)
    np.testing.assert_allclose(np.linalg.norm(found.matrix, axis=0), 1)
    np.testing.assert_allclose(found.outputs, np.maximum(X @ found.directions, 0), atol=1e-15)


def test_columns_of_the_table_in_the_design_note() -> None:
    assert [arrangement_dictionary(extended(n, d, 0)).N for n, d in ((20, 1), (15, 2), (20, 2))] == [39, 211, 381]


def test_atoms_of_a_dual_vector_are_the_heaviest_of_their_cells() -> None:
    X, rng = extended(9, 2, 1), np.random.default_rng(2)
    patterns, nu = enumerate_patterns(X), rng.standard_normal(9)
    found = arrangement_dictionary(X, patterns, nu=nu)
    value = np.abs(nu @ found.outputs)
    candidates = rng.standard_normal((3, 20_000))
    candidates /= np.linalg.norm(candidates, axis=0)
    rival = np.abs(nu @ np.maximum(X @ candidates, 0))
    signs = (X @ candidates >= 0).astype(np.uint8)
    for column, cell in enumerate(found.cells):
        same = (signs == patterns.patterns[:, [cell]]).all(axis=0)
        assert rival[same].max(initial=0) <= value[column] * (1 + 1e-9) + 1e-12
        closed = (2.0 * patterns.patterns[:, cell] - 1) * (X @ found.directions[:, column])
        assert closed.min() >= -1e-9


def test_no_two_columns_are_the_same() -> None:
    X = extended(8, 2, 3)
    for nu in (None, np.ones(8), np.eye(8)[0], np.zeros(8)):
        found = arrangement_dictionary(X, nu=nu)
        distance = np.linalg.norm(found.matrix[:, :, None] - found.matrix[:, None, :], axis=0)
        assert distance[~np.eye(found.N, dtype=bool)].min() > 1e-9


def test_the_optimal_network_lies_in_the_dictionary_of_its_dual_vector() -> None:
    x = np.random.default_rng(5).standard_normal((12, 1))
    problem = TrainingProblem(x, np.sin(2 * x[:, 0]), reg=0.1)
    solution = solve(problem)
    found = arrangement_dictionary(problem.extended, nu=solution.certificate.nu)
    neurons = np.column_stack([solution.network.weights, solution.network.biases])
    neurons /= np.linalg.norm(neurons, axis=1, keepdims=True)
    assert (neurons @ found.directions).max(axis=1).min() > 1 - 1e-6


@pytest.mark.parametrize("d", [1, 2])
def test_networks_predict_what_the_columns_say(d: int) -> None:
    X = extended(7, d, 0)
    found, rng = arrangement_dictionary(X), np.random.default_rng(0)
    z = np.where(rng.random(found.N) < 0.2, rng.standard_normal(found.N), 0.0)
    network = found.network(z)
    assert network.n_neurons == np.count_nonzero(z)
    np.testing.assert_allclose(network.predict(X[:, :-1]), found.matrix @ z, atol=1e-12)
    np.testing.assert_allclose(found.network(z, bias=False).predict(X), found.matrix @ z, atol=1e-12)
    problem = TrainingProblem(X[:, :-1], np.zeros(7), reg=1.0)
    cost = problem.objective(network) - problem.loss_value(network.predict(X[:, :-1]))
    assert cost == pytest.approx(np.abs(z / found.norms).sum())


def test_a_planted_network_is_proven_to_be_found() -> None:
    """Amplitudes over outputs of unit neurons: the l1 norm is the path norm."""
    found = arrangement_dictionary(extended(12, 1, 3))
    far = [int(np.argmax(found.directions[0])), int(np.argmin(found.directions[0]))]
    assert certify_support(found.matrix, far, [1, 1]).verdict == "unique"
    near = [10, int(np.argsort(-(found.matrix[:, 10] @ found.matrix))[1])]
    outcomes = {certify_support(found.matrix, near, signs).verdict for signs in ((1, 1), (1, -1))}
    assert "refuted" in outcomes


@pytest.mark.parametrize(("n", "d"), [pytest.param(20, 1, marks=pytest.mark.slow), (10, 2)])
def test_no_uniform_guarantee_beyond_one_neuron(n: int, d: int) -> None:
    for seed in range(3 if d == 1 else 1):
        matrix = arrangement_dictionary(extended(n, d, seed)).matrix
        bounds, coherence = juditsky_nemirovski(matrix), mutual_coherence(matrix)
        assert coherence.lower > 0.99 and 0.45 < bounds.lower <= bounds.upper < 0.5
        assert bounds.certified_sparsity == 1 and bounds.refuted_sparsity == 2
        assert recovery_rate(matrix, [1], n_trials=20).rate[0] == 1


# ------------------------------------------------------------------------------------------------------ coherence floor
@pytest.mark.parametrize(("n", "d"), [(20, 1), (40, 1), (15, 2)])
def test_floor_holds_for_every_choice_of_atoms(n: int, d: int) -> None:
    X, rng = extended(n, d, 4), np.random.default_rng(0)
    patterns = enumerate_patterns(X)
    floor = coherence_floor(X, patterns)
    assert 0 < floor < 1
    for _ in range(20):
        # A random neuron of every cell: a positive combination of its rays.
        atoms = np.column_stack([patterns.rays.of(p) @ rng.exponential(size=patterns.rays.of(p).shape[1])
                                 for p in range(len(patterns))])  # fmt: skip
        outputs = np.maximum(X @ atoms, 0)
        assert mutual_coherence(outputs[:, outputs.any(axis=0)]).upper >= floor


def test_floor_rises_like_one_minus_a_constant_over_n_squared() -> None:
    loss = [1 - coherence_floor(extended(n, 1, 0)) for n in (50, 100, 200, 400)]
    ratios = np.array(loss[:-1]) / loss[1:]
    assert (ratios > 2.5).all() and (ratios < 6).all()


def test_floor_does_not_depend_on_the_scale_of_columns() -> None:
    X = extended(30, 1, 1)
    assert coherence_floor(X * [1e6, 1e-3]) == pytest.approx(coherence_floor(X), rel=1e-6)
    assert coherence_floor(X[:1]) == 0.0 and 0 <= coherence_floor(X[:2]) < 1
    assert coherence_floor(X, sample_patterns(X, 5, random_state=0)) <= coherence_floor(X)


def test_floor_takes_the_exact_rank_and_not_the_numerical_one() -> None:
    """Nearly dependent columns span as many dimensions as others, and the sphere has as much room for their cells."""
    rng = np.random.default_rng(0)
    x, z, ones = rng.standard_normal(14), rng.standard_normal(14), np.ones(14)
    near = x + 1e-13 * z
    flat, wide = np.column_stack([ones, x, near]), np.column_stack([ones, x, (near - x) / 1e-13])
    assert coherence_floor(flat) == pytest.approx(coherence_floor(wide), rel=1e-9)
    assert coherence_floor(flat) < 0.4 and np.linalg.matrix_rank(flat, tol=1e-12) == 2
    repeated = np.column_stack([x, ones, x, 2 * x])
    assert coherence_floor(repeated) == pytest.approx(coherence_floor(repeated[:, :2]), rel=1e-9)


@pytest.mark.parametrize("spread", [1.0, 1e-7, 1e-13])
def test_column_space_is_that_of_exact_arithmetic(spread: float) -> None:
    rng = np.random.default_rng(1)
    table = rng.integers(-9, 10, (8, 3)).astype(float)
    X = np.column_stack([table[:, 0], table[:, 0] + np.ldexp(table[:, 1], round(np.log2(spread))), table[:, 2] * 1e200])
    basis, error = column_space(X)
    assert basis is not None and basis.shape == (8, 3) and error < 1e-9
    exact = np.linalg.qr(table)[0]
    assert np.linalg.norm(exact - basis @ (basis.T @ exact), 2) <= error + 1e-14


def test_column_space_of_dependent_zero_and_unproven_columns() -> None:
    x = np.arange(1.0, 9.0)
    basis, error = column_space(np.column_stack([x, 0 * x, x, 3 * x]))
    assert basis is not None and basis.shape == (8, 1) and error < 1e-12
    np.testing.assert_allclose(np.abs(x @ basis), np.linalg.norm(x))
    assert column_space(np.zeros((3, 2)))[0].shape == (3, 0)
    tall = np.linspace(-1, 1, 40_000)
    assert column_space(np.column_stack([tall, tall / 3, np.ones(40_000)])) == (None, np.inf)  # too long to eliminate


# ---------------------------------------------------------------------------------------------------------- degenerate
@pytest.mark.parametrize("scale", [1e-300, 1e-162, 1e150, 1e300])
def test_extreme_scales_of_data_and_dual_vector_change_nothing(scale: float) -> None:
    X, nu = extended(6, 1, 0), np.arange(6.0)
    for dual in (None, nu):
        base, found = arrangement_dictionary(X, nu=dual), arrangement_dictionary(X * scale, nu=dual)
        np.testing.assert_allclose(found.matrix, base.matrix, atol=1e-9)
        np.testing.assert_allclose(found.norms / scale, base.norms)
    scaled = arrangement_dictionary(X, nu=nu * scale).matrix
    np.testing.assert_allclose(scaled, arrangement_dictionary(X, nu=nu).matrix, atol=1e-9)


@pytest.mark.parametrize(
    "X",
    [[[1.0]], [[-2.0]], [[1.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [1.0, 2.0]],
     np.column_stack([[0.0, 0, 1, 1, 2, 2], np.ones(6)]), np.array([[1.0, 2], [-1, -2], [2, 4]]),
     np.column_stack([np.arange(5) * 1e8, np.ones(5)]), np.column_stack([np.arange(5) * 1e-8, np.ones(5)])],
)  # fmt: skip
def test_degenerate_data(X: object) -> None:
    data = np.asarray(X)
    for nu in (None, np.arange(1.0, len(data) + 1), -np.ones(len(data))):
        found = arrangement_dictionary(data, nu=nu)
        np.testing.assert_allclose(np.linalg.norm(found.matrix, axis=0), 1)
        assert 0 <= juditsky_nemirovski(found.matrix).lower <= 1 and "atoms" in found.summary()
    assert 0 <= coherence_floor(data) < 1


def test_bad_input() -> None:
    X = extended(5, 1, 0)
    with pytest.raises(PatternError, match="PatternSet"):
        arrangement_dictionary(X, np.ones((5, 3)))
    with pytest.raises(PatternError, match="other data"):
        arrangement_dictionary(X, enumerate_patterns(X + 1))
    with pytest.raises(PatternError):
        arrangement_dictionary(X, enumerate_patterns(X).subset([]))
    with pytest.raises(PatternError):
        coherence_floor(X, np.ones((5, 3)))
    for nu in (np.ones(4), np.full(5, np.nan), np.ones((5, 2)), "nu"):
        with pytest.raises(DataError):
            arrangement_dictionary(X, nu=nu)
    with pytest.raises(DataError):
        arrangement_dictionary(np.zeros((2, 2)))
    for bad in ([[np.nan, 1.0]], [], "X", [[1.0], [2.0, 3.0]]):
        with pytest.raises(DataError):
            arrangement_dictionary(bad)
        with pytest.raises(DataError):
            coherence_floor(bad)
    found = arrangement_dictionary(X)
    for z in (np.ones(3), np.full(found.N, np.inf), np.ones((found.N, 2))):
        with pytest.raises((DataError, NetworkError)):
            found.network(z)
    with pytest.raises(DataError, match="one entry for every atom"):
        found.network(np.ones(3))
    with pytest.raises(ProblemError, match="bias"):
        found.network(np.ones(found.N), bias="yes")
    with pytest.raises(DataError, match="bias=False"):
        arrangement_dictionary([[1.0], [2.0]]).network([1.0])
    assert isinstance(enumerate_patterns(X), PatternSet)
