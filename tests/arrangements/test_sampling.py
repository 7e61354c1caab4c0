"""Sampled patterns: true cells, distinct, deterministic, and complete only when the count proves it."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.arrangement_bruteforce import cells_bruteforce, exact_pattern

from convexnet.arrangements import cover_count, enumerate_patterns, sample_patterns
from convexnet.errors import DataError, PatternError, ProblemError

METHODS = ("gaussian", "differences", "sparse")


def columns(cells):
    return {tuple(int(bit) for bit in column) for column in cells.patterns.T}


@pytest.mark.parametrize("method", METHODS)
def test_every_pattern_is_a_cell_with_its_witness(method):
    rng = np.random.default_rng(0)
    X = np.hstack([rng.integers(-3, 4, size=(7, 2)), np.ones((7, 1))]).astype(float)
    X[3] = -2 * X[1]
    X[5] = 0.0
    sample = sample_patterns(X, 25, method=method, random_state=1)
    assert not sample.complete and sample.proof == ""
    assert len(columns(sample)) == len(sample) > 5
    assert columns(sample) <= cells_bruteforce(X)
    for p in range(len(sample)):
        signs = np.array(exact_pattern(X, sample.witnesses[:, p]))
        assert np.array_equal(signs, np.where(X.any(axis=1), 2 * sample.patterns[:, p].astype(int) - 1, 0))
    assert np.allclose(np.linalg.norm(sample.witnesses, axis=0), 1.0)


@pytest.mark.parametrize("method", METHODS)
def test_deterministic(method):
    X = np.random.default_rng(0).standard_normal((30, 4))
    first = sample_patterns(X, 50, method=method, random_state=7)
    again = sample_patterns(X, 50, method=method, random_state=np.random.default_rng(7))
    other = sample_patterns(X, 50, method=method, random_state=8)
    assert np.array_equal(first.patterns, again.patterns) and np.array_equal(first.witnesses, again.witnesses)
    assert not np.array_equal(first.patterns, other.patterns)


def test_count_reaching_the_bound_is_complete():
    X = np.random.default_rng(1).standard_normal((6, 2))
    sample = sample_patterns(X, 100, random_state=0, max_draws=100_000)
    assert (len(sample), sample.complete, sample.proof) == (12, True, "cover-count")
    assert columns(sample) == columns(enumerate_patterns(X))


def test_independent_rows_reach_all_sign_vectors():
    sample = sample_patterns(np.eye(4), 16, random_state=0)
    assert len(sample) == 16 and sample.complete


def test_degenerate_data_never_claims_completeness():
    X = np.array([[a, b, 1.0] for a in range(3) for b in range(3)])
    true = len(enumerate_patterns(X))
    sample = sample_patterns(X, 10_000, random_state=0, max_draws=50_000)
    assert len(sample) <= true < cover_count(9, 3)
    assert not sample.complete


def test_whitening_finds_patterns_of_raw_badly_scaled_data():
    datasets = pytest.importorskip("sklearn.datasets")
    X = datasets.load_breast_cancer().data
    X = np.hstack([X, np.ones((len(X), 1))])
    plain = np.random.default_rng(0).standard_normal((X.shape[1], 100))
    assert len(np.unique(X @ plain >= 0, axis=1).T) < 60
    sample = sample_patterns(X, 100, random_state=0, max_draws=150)
    assert len(sample) == 100
    assert np.array_equal(X @ sample.witnesses >= 0, sample.patterns)


def test_sparse_gates_use_at_most_two_features_and_the_constant():
    X = np.hstack([np.random.default_rng(0).standard_normal((20, 6)), np.ones((20, 1))])
    sample = sample_patterns(X, 40, method="sparse", random_state=0)
    assert ((sample.witnesses[:-1] != 0).sum(axis=0) <= 2).all()
    balance = sample.patterns.mean(axis=0)
    assert ((balance > 0) & (balance < 1)).mean() > 0.9


def test_stops_at_max_draws():
    X = np.random.default_rng(0).standard_normal((40, 5))
    assert len(sample_patterns(X, 1000, random_state=0, max_draws=10)) <= 10
    assert len(sample_patterns(X, 3, random_state=0)) == 3


def test_rank_deficient_and_one_sample():
    X = np.random.default_rng(0).standard_normal((10, 2)) @ np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 1.0]])
    assert len(sample_patterns(X, 5, random_state=0)) == 5
    single = sample_patterns([[2.0, 1.0]], 10, random_state=0)
    assert len(single) == 2 and single.complete


def test_all_zero_data_has_one_cell():
    sample = sample_patterns(np.zeros((3, 2)), 5, random_state=0)
    assert sample.patterns.tolist() == [[1], [1], [1]] and sample.complete


def test_extreme_entries_are_refused_with_advice():
    with pytest.raises(PatternError, match="enumerate_patterns"):
        sample_patterns([[1e300, 1.0], [1.0, 1.0]], 2, random_state=0)


@pytest.mark.parametrize(
    "options",
    [
        {"n_patterns": 0},
        {"n_patterns": 2.5},
        {"n_patterns": 5, "method": "uniform"},
        {"n_patterns": 5, "max_draws": 0},
        {"n_patterns": 5, "random_state": -1},
        {"n_patterns": 5, "random_state": "seed"},
    ],
)
def test_invalid_options(options):
    with pytest.raises(ProblemError):
        sample_patterns(np.eye(2), **options)


def test_invalid_data():
    with pytest.raises(DataError):
        sample_patterns([[np.nan, 1.0]], 2)
