"""Facets of a cell: bit flips on complete sets, proven redundancy on samples."""

from __future__ import annotations

import numpy as np
import pytest

from convexnet.arrangements import PatternSet, cell_facets, enumerate_patterns, sample_patterns
from convexnet.errors import PatternError, ProblemError


def listed(cells: PatternSet) -> set[bytes]:
    return {column.tobytes() for column in np.ascontiguousarray(cells.patterns.T)}


def facets_by_flipping(X: np.ndarray, cells: PatternSet, p: int) -> list[int]:
    """Flip each row together with the rows parallel to it (small integers: exact in floats)."""
    present, out = listed(cells), []
    for i in range(len(X)):
        if not X[i].any():
            continue
        parallel = [j for j in range(len(X)) if X[j].any() and np.linalg.matrix_rank(X[[i, j]]) == 1]
        flipped = cells.patterns[:, p].copy()
        flipped[parallel] ^= 1
        if min(parallel) == i and flipped.tobytes() in present:
            out.append(i)
    return out


@pytest.mark.parametrize("seed", range(6))
def test_complete_sets(seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, size=(9, 3)).astype(float)
    X[4] = -2 * X[0]
    X[5] = 0.0
    cells = enumerate_patterns(X)
    for p in range(len(cells)):
        assert cell_facets(cells, X, p).tolist() == facets_by_flipping(X, cells, p)


@pytest.mark.parametrize("seed", range(4))
def test_incomplete_sets_keep_all_facets_of_nearly_degenerate_data(seed):
    rng = np.random.default_rng(seed)
    X = np.hstack([rng.integers(-3, 4, size=(12, 2)), np.ones((12, 1))]) * 0.1
    X[3] = -X[1]
    cells = enumerate_patterns(X)
    part = cells.subset(range(len(cells)))
    kept = 0
    for p in range(len(cells)):
        proven = set(cell_facets(part, X, p).tolist())
        assert proven >= set(cell_facets(cells, X, p).tolist())
        kept += len(proven)
    assert kept < 6 * len(cells)


@pytest.mark.parametrize("seed", range(4))
def test_incomplete_sets_agree_with_complete_ones_on_integers(seed):
    rng = np.random.default_rng(seed)
    X = np.hstack([rng.integers(-3, 4, size=(12, 2)), np.ones((12, 1))])
    X[3] = -X[1]
    cells = enumerate_patterns(X)
    part = cells.subset(np.arange(0, len(cells), 5))
    for k in range(len(part)):
        assert cell_facets(part, X, k).tolist() == cell_facets(cells, X, 5 * k).tolist()


def test_average_number_of_facets_in_rank_three_is_just_below_four():
    X = np.hstack([np.random.default_rng(1).standard_normal((40, 2)), np.ones((40, 1))])
    cells = enumerate_patterns(X)
    mean = np.mean([len(cell_facets(cells, X, p)) for p in range(len(cells))])
    assert 3.8 < mean < 4.0


def test_rank_deficient_columns():
    rng = np.random.default_rng(2)
    X = rng.integers(-2, 3, size=(8, 2)).astype(float)
    X = np.hstack([X, X[:, :1] + X[:, 1:]])
    cells = enumerate_patterns(X)
    part = cells.subset(range(len(cells)))
    for p in range(len(cells)):
        assert cell_facets(part, X, p).tolist() == cell_facets(cells, X, p).tolist()
        assert len(cell_facets(cells, X, p)) == 2


def test_sampled_patterns_keep_every_true_facet():
    X = np.random.default_rng(3).standard_normal((20, 3))
    sample = sample_patterns(X, 30, random_state=0)
    cells = enumerate_patterns(X)
    number = {column.tobytes(): p for p, column in enumerate(np.ascontiguousarray(cells.patterns.T))}
    for k in range(len(sample)):
        full = number[np.ascontiguousarray(sample.patterns[:, k]).tobytes()]
        assert cell_facets(sample, X, k).tolist() == cell_facets(cells, X, full).tolist()


def test_zero_matrix_has_no_facets():
    cells = enumerate_patterns(np.zeros((3, 2)))
    assert cell_facets(cells, np.zeros((3, 2)), 0).tolist() == []
    assert cell_facets(cells.subset([0]), np.zeros((3, 2)), 0).tolist() == []


def test_errors():
    X = np.random.default_rng(0).standard_normal((6, 2))
    cells = enumerate_patterns(X)
    with pytest.raises(PatternError, match="index"):
        cell_facets(cells, X, len(cells))
    with pytest.raises(ProblemError):
        cell_facets(cells, X, -1)
    with pytest.raises(PatternError, match="other data"):
        cell_facets(cells, X + 1.0, 0)
    assert len(cell_facets(cells, X, 0)) == 2
    with pytest.raises(PatternError, match="other data"):
        cell_facets(cells, X + 1.0, 0)
