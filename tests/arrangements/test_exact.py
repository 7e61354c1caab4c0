"""Exact linear algebra on floats: ranks, parallel rows, null directions, packed words."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexnet.arrangements import _integers as integers
from convexnet.arrangements import cover_count, exact_rank
from convexnet.arrangements._directions import _null_vector, cross, cross_bounds, direction_error
from convexnet.arrangements._rank import rank_bounds
from convexnet.arrangements._reduction import merge_parallel
from convexnet.arrangements._words import group_equal, pack, spread, unpack
from convexnet.errors import DataError, ProblemError


def rank_by_fractions(X: np.ndarray) -> int:
    rows, rank = [[Fraction(v) for v in row] for row in X], 0
    for c in range(X.shape[1]):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][c] != 0), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for i in range(rank + 1, len(rows)):
            factor = rows[i][c] / rows[rank][c]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[rank], strict=True)]
        rank += 1
    return rank


@pytest.mark.parametrize("seed", range(30))
def test_rank_equals_fraction_elimination(seed):
    rng = np.random.default_rng(seed)
    n, d, r = rng.integers(1, 7, size=3)
    X = (rng.integers(-3, 4, size=(n, r)) @ rng.integers(-3, 4, size=(r, d))) * rng.choice([1.0, 0.1])
    if seed % 3 == 0:
        X[0, 0] = np.nextafter(X[0, 0], 1.0)
    assert exact_rank(X) == rank_by_fractions(X)


def test_rank_is_not_fooled_by_the_prime():
    prime = float(2**31 - 1)
    assert exact_rank([[prime, 1.0], [prime, 2.0]]) == 2
    assert exact_rank([[prime, 0.0, 1.0], [0.0, prime, 1.0], [1.0, 1.0, prime]]) == 3
    assert exact_rank([[1.0, 1.0], [1.0, 1.0 + prime]]) == 2
    assert exact_rank([[1.0, 1.0, 0.0], [1.0, 1.0 + prime, 0.0]]) == 2


@pytest.mark.parametrize("seed", range(12))
def test_bounds_of_the_rank_enclose_it_and_small_fractions_close_them(seed):
    rng = np.random.default_rng(seed)
    n, r, d = 90, int(rng.integers(1, 4)), int(rng.integers(4, 7))
    basis = rng.integers(-3, 4, size=(n, r)) * rng.choice([1.0, 0.1, 2.0**-40])
    X = basis @ rng.integers(-3, 4, size=(r, d)) / rng.choice([1, 2, 4])
    late = seed % 3 == 0  # a row that the sampled rows do not show
    X[n // 2 + 1, -1] += 1.0 if late else 0.0
    lower, upper = rank_bounds(X)
    assert lower <= rank_by_fractions(X) <= upper
    few = rank_bounds(X, most_work=0.0)
    assert few[0] <= rank_by_fractions(X) <= few[1]
    assert exact_rank(X) == rank_by_fractions(X)


def test_rank_of_wide_tables_with_dependent_columns_takes_no_elimination_of_integers(monkeypatch):
    """Repeated, zero and one-hot columns and small fractions of others: fraction-free elimination takes minutes."""
    rng = np.random.default_rng(0)
    G = rng.standard_normal((400, 60))
    halves = np.trunc(G * 2.0**20)
    combined = halves[:, :3] @ [1.5, -2.0, 0.25]
    X = np.column_stack([halves, halves[:, 0], np.zeros(400), combined, np.eye(5)[np.arange(400) % 5]])
    monkeypatch.setattr("convexnet.arrangements._rank.pivots", None)
    assert exact_rank(np.column_stack([X, np.ones(400)])) == 65


def test_rank_of_zero_wide_and_extreme():
    assert exact_rank(np.zeros((3, 2))) == 0
    assert exact_rank(np.random.default_rng(0).standard_normal((4, 50))) == 4
    assert exact_rank([[1e300, 1e-300], [1e-300, 1e300]]) == 2
    assert exact_rank([[1e300, 1e-300], [2e300, 2e-300]]) == 1
    with pytest.raises(DataError):
        exact_rank([[np.inf]])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2), min_size=1, max_size=4)
)
def test_integer_rows_are_positive_multiples(rows):
    X = np.array(rows)
    whole, exponent = integers.integer_rows(X)
    for i in range(len(X)):
        values = [Fraction(int(whole[i, k])) * Fraction(2) ** int(exponent[k]) for k in range(2)]
        given_values = [Fraction(v) for v in X[i]]
        assert values[0] * given_values[1] == values[1] * given_values[0]
        assert all(a * b >= 0 and (a == 0) == (b == 0) for a, b in zip(values, given_values, strict=True))


def test_solve_scaled():
    rng = np.random.default_rng(0)
    for size in range(1, 6):
        M = rng.integers(-4, 5, size=(size, size)).astype(object)
        M[0, 0] = 0 if size > 1 else -3
        determinant = round(np.linalg.det(M.astype(float)))
        if determinant:
            B = rng.integers(-3, 4, size=(size, 2)).astype(object)
            found, Y = integers.solve_scaled(M, B)
            assert found == determinant and (M.dot(Y) == determinant * B).all()


def test_to_mantissa_of_huge_integers():
    mantissa, exponent = integers.to_mantissa(np.array([3 << 5000, -1, 0], dtype=object))
    assert mantissa.tolist() == [0.75, -0.5, 0.0] and exponent[0] == 5002 and exponent[1] == 1


def test_merge_is_exact():
    up = np.nextafter(0.3, 1.0)
    X = np.array([[0.1, 0.3], [0.2, 0.6], [-0.1, -0.3], [0.1, up], [0.0, 0.0], [0.0, 2.0], [0.0, -5.0]])
    rows, group, orient = merge_parallel(X)
    assert rows.tolist() == [0, 3, 5]
    assert group.tolist() == [0, 0, 0, 1, -1, 2, 2]
    assert orient[[1, 2, 6]].tolist() == [1, -1, -1]


def test_equal_float_keys_of_different_directions_are_separated():
    rng = np.random.default_rng(0)
    x, y = rng.random(200), rng.random(200)
    found = 0
    for a, b in zip(x, y, strict=True):
        X = np.array([[1.0, a], [b, a * b]])
        parallel = Fraction(a) * Fraction(b) == Fraction(a * b)
        found += not parallel and X[1, 1] / X[1, 0] == a
        assert (len(merge_parallel(X)[0]) == 1) == parallel
    assert found > 20


@pytest.mark.parametrize("r", range(2, 7))
def test_cross_products(r):
    rng = np.random.default_rng(r)
    rows = rng.integers(-3, 4, size=(30, r - 1, r))
    rows[0, -1] = rows[0, 0]
    v = cross(rows)
    assert (np.einsum("bkr,br->bk", rows, v) == 0).all()
    dependent = np.array([np.linalg.matrix_rank(block) < r - 1 for block in rows])
    assert np.array_equal(dependent, ~v.any(axis=1))
    assert (np.array([_null_vector(block.astype(object)) for block in rows]) == v).all()


@pytest.mark.parametrize("r", range(2, 7))
def test_error_bound_holds(r):
    rng = np.random.default_rng(r)
    rows = rng.standard_normal((20, r - 1, r)) * 10.0 ** rng.integers(-3, 3, r)
    value, bound = cross_bounds(rows)
    exact = cross(np.vectorize(Fraction, otypes=[object])(rows))
    error = np.abs(exact - np.vectorize(Fraction, otypes=[object])(value)).astype(float)
    assert (error <= direction_error(r) * bound).all()
    assert (error > 0).any() or r == 2


@pytest.mark.parametrize("n", [1, 63, 64, 65, 130])
def test_words_round_trip(n):
    bits = np.random.default_rng(n).random((20, n)) < 0.5
    words = pack(bits)
    assert words.shape == (20, -(-n // 64))
    assert np.array_equal(unpack(words, n).astype(bool), bits)


def test_group_equal_and_collisions(monkeypatch):
    from convexnet.arrangements import _words as module

    words = np.random.default_rng(0).integers(0, 3, size=(200, 2)).astype("<u8")
    expected = len(np.unique(words, axis=0))
    assert len(group_equal(words)[1]) == expected
    monkeypatch.setattr(module, "hash_words", lambda w: w[:, 0] & np.uint64(1))
    order, starts = group_equal(words)
    assert len(starts) == expected
    assert len(np.unique(words[order[starts]], axis=0)) == expected


def test_spread_writes_bits():
    base = pack(np.zeros((2, 70), dtype=bool))
    out = spread(base, np.array([[0, 69], [63, 64]]), np.array([[True, True], [False, True]]))
    assert np.flatnonzero(unpack(out, 70)[0]).tolist() == [0, 69]
    assert np.flatnonzero(unpack(out, 70)[1]).tolist() == [64]


@pytest.mark.parametrize("n, r, count", [(8, 3, 58), (15, 3, 212), (20, 3, 382), (30, 3, 872), (6, 2, 12)])
def test_cover_count(n, r, count):
    assert cover_count(n, r) == count


def test_cover_count_edges():
    assert [cover_count(n, 4) for n in range(5)] == [1, 2, 4, 8, 16]
    assert cover_count(5, 0) == 1 and cover_count(5, 1) == 2
    with pytest.raises(ProblemError):
        cover_count(-1, 2)
    with pytest.raises(ProblemError):
        cover_count(3, 1.5)
