"""All cells: against exact brute force, theory's counts, and transformations that leave the patterns unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.arrangement_bruteforce import cells_bruteforce, exact_pattern
from hypothesis import given, settings
from hypothesis import strategies as st

from convexnet.arrangements import PatternSet, cover_count, enumerate_patterns, exact_rank
from convexnet.arrangements import _local as local
from convexnet.errors import DataError, ProblemError, TooManyCellsError


def pattern_set(cells: PatternSet) -> set[tuple[int, ...]]:
    return {tuple(int(bit) for bit in column) for column in cells.patterns.T}


def witness(cells: PatternSet, p: int) -> tuple:
    return cells.exact_witnesses.get(p, tuple(cells.witnesses[:, p]))


def verify(X: np.ndarray, cells: PatternSet) -> None:
    """Every witness is strictly interior to its cell, exactly; no pattern is listed twice."""
    assert cells.complete
    assert len(pattern_set(cells)) == len(cells)
    zero = ~(X != 0).any(axis=1)
    for p in range(len(cells)):
        signs = np.array(exact_pattern(X, witness(cells, p)))
        expected = np.where(zero, 0, 2 * cells.patterns[:, p].astype(int) - 1)
        assert np.array_equal(signs, expected)
        if p not in cells.exact_witnesses:
            assert np.array_equal(X @ cells.witnesses[:, p] >= 0, cells.patterns[:, p].astype(bool))


def verify_rays(X: np.ndarray, cells: PatternSet) -> None:
    """Rays are unit vectors in the closed cell (to their stated accuracy) and span it up to the null space of X."""
    signs = 2.0 * cells.patterns - 1.0
    rows = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-300)
    for p in range(len(cells)):
        rays = cells.rays.of(p)
        assert np.allclose(np.linalg.norm(rays, axis=0), 1.0, rtol=0, atol=1e-14)
        assert (signs[:, p, None] * (rows @ rays) >= -1e-12).all()
        assert rays.shape[1] >= cells.rank
        assert np.linalg.matrix_rank(X @ rays) == cells.rank


def random_instance(rng: np.random.Generator, d: int | None = None, n: int | None = None) -> np.ndarray:
    d = int(rng.integers(1, 4)) if d is None else d
    n = int(rng.integers(1, 7)) if n is None else n
    X = rng.integers(-2, 3, size=(n, d)).astype(float)
    if n > 2 and rng.random() < 0.4:
        X[1] = X[0] * rng.choice([-2.0, -1.0, 1.0, 3.0])
    if n > 3 and rng.random() < 0.3:
        X[2] = 0.0
    if d > 1 and rng.random() < 0.3:
        X[:, 0] = X[:, 1] * rng.choice([0.0, 1.0, 2.0])
    return X


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_bruteforce_on_small_integers(seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        X = random_instance(rng)
        cells = enumerate_patterns(X)
        assert pattern_set(cells) == cells_bruteforce(X), X
        verify(X, cells)
        if cells.rank:
            verify_rays(X, cells)


@pytest.mark.parametrize("seed", range(10))
def test_equal_to_bruteforce_after_moving_one_entry_by_one_ulp(seed):
    rng = np.random.default_rng(1000 + seed)
    for _ in range(6):
        X = random_instance(rng, d=int(rng.integers(2, 4)), n=6)
        X = X * rng.choice([0.1, 1 / 3, 0.7], size=(6, 1))
        i, k = np.argwhere(X != 0)[rng.integers(0, np.count_nonzero(X))]
        X[i, k] = np.nextafter(X[i, k], rng.choice([-np.inf, np.inf]))
        cells = enumerate_patterns(X)
        assert pattern_set(cells) == cells_bruteforce(X), X.tolist()
        verify(X, cells)


def degenerate_rank_four(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.hstack([rng.integers(-1, 2, size=(7, 3)), np.ones((7, 1))]).astype(float)


@pytest.mark.parametrize("scale", [1.0, 0.1])
@pytest.mark.parametrize("work", [0, 2**18], ids=["recursion", "circuits"])
def test_degenerate_rank_four_equals_bruteforce(monkeypatch, work, scale):
    monkeypatch.setattr(local, "_CIRCUIT_WORK", work)
    for seed in range(6):
        rows = 1.0 if scale == 1 else np.arange(1, 8)[:, None] / 7
        X = degenerate_rank_four(seed) * np.array([scale, 1, 1, 1]) * rows
        cells = enumerate_patterns(X)
        assert pattern_set(cells) == cells_bruteforce(X)
        verify(X, cells)


def test_circuits_and_recursion_agree_on_a_grid(monkeypatch):
    axis = np.arange(3.0)
    X = np.array([[a, b, c, 1.0] for a in axis for b in axis for c in axis])
    by_circuits = pattern_set(enumerate_patterns(X))
    monkeypatch.setattr(local, "_CIRCUIT_WORK", 0)
    assert pattern_set(enumerate_patterns(X)) == by_circuits


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.integers(1, 3).flatmap(
        lambda d: st.lists(st.lists(st.integers(-3, 3), min_size=d, max_size=d), min_size=1, max_size=5)
    )
)
def test_hypothesis_integers_equal_bruteforce(rows):
    X = np.array(rows, dtype=float)
    cells = enumerate_patterns(X)
    assert pattern_set(cells) == cells_bruteforce(X)
    verify(X, cells)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(
        st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=3, max_size=3), min_size=1, max_size=5
    )
)
def test_hypothesis_floats_equal_bruteforce(rows):
    X = np.array(rows)
    cells = enumerate_patterns(X)
    assert pattern_set(cells) == cells_bruteforce(X)
    verify(X, cells)


@pytest.mark.parametrize("n, count", [(8, 58), (15, 212), (20, 382), (30, 872), (40, 1562)])
def test_generic_count_in_rank_three(n, count):
    X = np.hstack([np.random.default_rng(n).standard_normal((n, 2)), np.ones((n, 1))])
    cells = enumerate_patterns(X)
    assert len(cells) == count == cover_count(n, 3)
    assert np.array_equal(X @ cells.witnesses >= 0, cells.patterns)


@pytest.mark.parametrize("n, count", [(6, 12), (20, 40), (40, 80)])
def test_generic_count_in_rank_two(n, count):
    X = np.hstack([np.random.default_rng(n).standard_normal((n, 1)), np.ones((n, 1))])
    assert len(enumerate_patterns(X)) == count


def test_average_number_of_rays_in_rank_three():
    X = np.random.default_rng(3).standard_normal((30, 3))
    cells = enumerate_patterns(X)
    assert len(cells.rays.ray_index) == 2 * 4 * 30 * 29 // 2


def test_opposite_cells_are_half_the_list_apart():
    cells = enumerate_patterns(np.random.default_rng(0).standard_normal((12, 3)))
    half = len(cells) // 2
    assert np.array_equal(cells.patterns[:, :half], 1 - cells.patterns[:, half:])
    assert np.array_equal(cells.witnesses[:, :half], -cells.witnesses[:, half:])


def test_row_permutation_permutes_the_bits():
    rng = np.random.default_rng(5)
    X = rng.integers(-2, 3, size=(12, 3)).astype(float)
    order = rng.permutation(12)
    moved = enumerate_patterns(X[order])
    assert {tuple(np.array(p)[order]) for p in pattern_set(enumerate_patterns(X))} == pattern_set(moved)


def test_invertible_integer_map_leaves_the_patterns():
    rng = np.random.default_rng(6)
    X = rng.integers(-3, 4, size=(12, 3)).astype(float)
    T = np.array([[1.0, 4.0, 2.0], [0.0, 1.0, -3.0], [2.0, 0.0, 1.0]])
    assert pattern_set(enumerate_patterns(X @ T)) == pattern_set(enumerate_patterns(X))


def test_positive_row_scaling_leaves_the_patterns():
    rng = np.random.default_rng(7)
    X = rng.integers(-3, 4, size=(12, 3)).astype(float)
    scale = rng.integers(1, 9, size=(12, 1)) * 2.0 ** rng.integers(-40, 40, size=(12, 1))
    assert pattern_set(enumerate_patterns(X * scale)) == pattern_set(enumerate_patterns(X))


def test_column_scaling_by_powers_of_two_leaves_the_patterns():
    X = np.random.default_rng(8).standard_normal((12, 3))
    scaled = X * np.array([2.0**300, 1.0, 2.0**-300])
    cells = enumerate_patterns(scaled)
    assert pattern_set(cells) == pattern_set(enumerate_patterns(X))
    assert np.array_equal(scaled @ cells.witnesses >= 0, cells.patterns)


def test_rotation_leaves_the_patterns_of_generic_data():
    rng = np.random.default_rng(9)
    X = rng.standard_normal((15, 3))
    Q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    assert pattern_set(enumerate_patterns(X @ Q)) == pattern_set(enumerate_patterns(X))


@pytest.mark.parametrize(
    "X",
    [
        [[0.0, 0.0]],
        [[0.0], [0.0]],
        [[3.0]],
        [[1.0], [-2.0], [0.0]],
        [[1.0, 2.0, 3.0, 4.0]],
        [[1.0, 0.0, 2.0], [1.0, 0.0, 2.0], [-1.0, 0.0, -2.0]],
        [[0.0, 5.0, 5.0], [0.0, 1.0, 1.0], [0.0, 2.0, -1.0]],
        [[0.1, 0.2, 0.3], [0.2, 0.4, 0.6], [-0.3, -0.6, -0.9], [1.0, 1.0, 1.0], [1.1, 1.2, 1.3]],
    ],
)
def test_small_shapes(X):
    X = np.array(X)
    cells = enumerate_patterns(X)
    assert pattern_set(cells) == cells_bruteforce(X)
    verify(X, cells)


def test_entries_of_extreme_size_together():
    X = np.array([[1e-300, 1e300, 1.0], [1e300, 1e-300, 0.0], [1.0, 1.0, 1.0], [2.0, -1.0, 1e-300], [1e300, 1.0, 2.0]])
    cells = enumerate_patterns(X)
    assert pattern_set(cells) == cells_bruteforce(X)
    verify(X, cells)


def test_subnormal_entries():
    X = np.array([[5e-324, 1.0], [1.0, 5e-324], [5e-324, 5e-324], [0.0, 1.0]])
    cells = enumerate_patterns(X)
    assert pattern_set(cells) == cells_bruteforce(X)
    verify(X, cells)


def test_more_columns_than_rows_gives_all_sign_vectors():
    X = np.random.default_rng(0).standard_normal((5, 9))
    cells = enumerate_patterns(X)
    assert (len(cells), cells.proof, cells.rank) == (32, "cover-count", 5)
    verify(X, cells)
    verify_rays(X, cells)


def test_thin_cells_of_standardised_grid_have_integer_witnesses():
    grid = np.array([[a, b] for a in range(4) for b in range(4)], dtype=float)
    exact = enumerate_patterns(np.hstack([grid, np.ones((16, 1))]))
    rounded = np.hstack([(grid - grid.mean(axis=0)) / grid.std(axis=0) / 3.0, np.ones((16, 1))])
    cells = enumerate_patterns(rounded)
    assert pattern_set(exact) <= pattern_set(cells)
    verify(rounded, cells)
    assert len(cells) == len(exact) or cells.exact_witnesses


def test_nearly_parallel_rows_are_two_hyperplanes():
    X = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, np.nextafter(1.0, 2.0)], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    cells = enumerate_patterns(X)
    assert pattern_set(cells) == cells_bruteforce(X)
    assert exact_rank(X) == 3
    verify(X, cells)


@pytest.mark.parametrize("seed", range(6))
def test_nearly_parallel_rows_through_one_vertex(seed):
    rng = np.random.default_rng(seed)
    near = np.array([0.7, 0.3]) + 2.0**-53 * rng.integers(-2, 3, size=(4, 2)) * [1.0, 0.5]
    X = np.vstack([np.hstack([near, np.zeros((4, 1))]), [[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]]])
    cells = enumerate_patterns(X)
    assert pattern_set(cells) == cells_bruteforce(X)
    verify(X, cells)


def test_rays_are_exact_on_small_integers():
    rng = np.random.default_rng(11)
    X = np.hstack([rng.integers(0, 4, size=(14, 2)), np.ones((14, 1))]).astype(float)
    cells = enumerate_patterns(X)
    lines = cells.rays.directions
    for line in lines.T:
        rows = np.abs(X @ line) < 1e-12
        assert np.linalg.matrix_rank(X[rows]) == 2
    assert len(np.unique(np.round(np.abs(lines.T @ lines) - np.eye(lines.shape[1]), 12) == 1.0)) == 1
    verify_rays(X, cells)


def test_ray_directions_are_accurate_where_floats_cancel():
    from fractions import Fraction

    rng = np.random.default_rng(12)
    X = np.hstack([2e6 + rng.random((12, 2)), np.full((12, 1), 2e6)])
    cells = enumerate_patterns(X)
    Z = [[Fraction(v) for v in row] for row in X]
    lines = []
    for i in range(12):
        for j in range(i):
            a, b = Z[i], Z[j]
            v = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
            top = max(abs(value) for value in v)
            w = np.array([float(value / top) for value in v])
            lines.append(w / np.linalg.norm(w))
    exact = np.array(lines).T
    stored = cells.rays.directions * np.sign(cells.rays.directions[2])
    exact = exact * np.sign(exact[2])
    distance = np.abs(stored[:, :, None] - exact[:, None, :]).max(axis=0)
    assert np.array_equal(np.sort(distance.argmin(axis=0)), np.arange(exact.shape[1]))
    assert distance.min(axis=0).max() < 2e-13


def test_refuses_too_many_cells_at_once():
    X = np.random.default_rng(0).standard_normal((200, 20))
    with pytest.raises(TooManyCellsError, match="sample_patterns"):
        enumerate_patterns(X)
    with pytest.raises(TooManyCellsError, match="max_cells=100"):
        enumerate_patterns(X[:20, :3], max_cells=100)
    with pytest.raises(TooManyCellsError, match="extreme ray"):
        enumerate_patterns(np.random.default_rng(0).standard_normal((24, 10)), max_cells=10**8)


def test_time_limit_claims_nothing():
    X = np.random.default_rng(0).standard_normal((60, 4))
    with pytest.raises(TooManyCellsError, match="time ran out"):
        enumerate_patterns(X, time_limit=1e-9)


def test_invalid_arguments():
    with pytest.raises(ProblemError):
        enumerate_patterns([[1.0]], max_cells=0)
    with pytest.raises(ProblemError):
        enumerate_patterns([[1.0]], time_limit=-1.0)
    with pytest.raises(DataError):
        enumerate_patterns([[np.nan]])
    with pytest.raises(DataError):
        enumerate_patterns([1.0, 2.0])


def diabetes(kind: str) -> np.ndarray:
    datasets = pytest.importorskip("sklearn.datasets")
    data = datasets.load_diabetes(scaled=kind != "decimals")
    X = data.data[:, [data.feature_names.index("bmi"), data.feature_names.index("s5")]]
    if kind == "decimals":
        X = np.round(X * [10.0, 1e4])
    elif kind == "standardised":
        X = (X - X.mean(axis=0)) / X.std(axis=0)
    return np.hstack([X, np.ones((len(X), 1))])


@pytest.mark.parametrize(
    "kind, count", [pytest.param("scaled", 184_988, marks=pytest.mark.slow), ("decimals", 184_920)]
)
def test_diabetes(kind, count):
    X = diabetes(kind)
    cells = enumerate_patterns(X)
    assert len(cells) == count
    fine = np.ones(len(cells), dtype=bool)
    fine[list(cells.exact_witnesses)] = False
    for start in range(0, count, 20_000):
        part = slice(start, start + 20_000)
        same = ((X @ cells.witnesses[:, part] >= 0) == cells.patterns[:, part]).all(axis=0)
        assert same[fine[part]].all()
    assert len(cells.exact_witnesses) < 200
    for p in list(cells.exact_witnesses)[:10]:
        assert exact_pattern(X, cells.exact_witnesses[p]) == tuple(2 * cells.patterns[:, p].astype(int) - 1)


@pytest.mark.parametrize("n, r", [(60, 4), (30, 5)])
def test_generic_count_in_higher_rank(n, r):
    X = np.random.default_rng(n).standard_normal((n, r))
    cells = enumerate_patterns(X)
    assert len(cells) == cover_count(n, r)
    assert np.array_equal(X @ cells.witnesses >= 0, cells.patterns)


@pytest.mark.slow
@pytest.mark.parametrize("n, r", [(12, 9), (14, 10)])
def test_high_rank(n, r):
    X = np.random.default_rng(n).standard_normal((n, r))
    cells = enumerate_patterns(X)
    assert len(cells) == cover_count(n, r)
    assert np.array_equal(X @ cells.witnesses >= 0, cells.patterns)
