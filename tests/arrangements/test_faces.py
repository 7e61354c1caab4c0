"""Patterns of all faces against brute force over integer directions, and directions with exact signs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexnet.arrangements import enumerate_patterns, face_patterns, has_positive_direction
from convexnet.errors import DataError, PatternError, ProblemError, TooManyCellsError

GENERATOR = np.random.default_rng(0)
CASES = {
    "x and -x": [[1, 0], [-1, 0], [0, 1]],
    "one line": [[1], [-2], [3]],
    "parallel": [[1, 2], [2, 4], [-1, 1], [3, -1]],
    "gridded": GENERATOR.integers(-2, 3, (5, 2)).tolist(),
    "space": GENERATOR.integers(-2, 3, (6, 3)).tolist(),
    "flat": [[1, 0, 1], [0, 1, 1], [1, 1, 2], [-1, 0, -1]],
    "independent": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "zero rows": [[0, 0], [1, 0], [0, 0]],
    "all zero": [[0, 0], [0, 0]],
    "bias": [[-1, 1], [0, 1], [2, 1]],
}


def brute_force(X):
    """Distinct sign vectors over a grid of integer directions fine enough for small integer data."""
    X = np.array(X, dtype=float)
    reach = {1: 2, 2: 30, 3: 13}[X.shape[1]]
    grid = np.array(list(itertools.product(range(-reach, reach + 1), repeat=X.shape[1])), dtype=float)
    return np.unique(np.sign(X @ grid.T).T, axis=0)


def as_set(patterns):
    return {tuple(column) for column in np.asarray(patterns).T.tolist()}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("closed", [True, False])
def test_faces_equal_brute_force(name, closed):
    signs = brute_force(CASES[name])
    faces = face_patterns(CASES[name], closed=closed)
    expected = signs >= 0 if closed else signs > 0
    assert faces.n_faces == len(signs) and faces.proven
    assert as_set(faces.patterns) == as_set(expected.T.astype(int))
    assert len(as_set(faces.patterns)) == len(faces)
    assert as_set(faces.signs) <= as_set(signs.T.astype(int))


@pytest.mark.parametrize("name", CASES)
def test_directions_have_exactly_the_signs(name):
    X = np.array(CASES[name], dtype=float)
    for closed in (True, False):
        faces = face_patterns(X, closed=closed)
        for p in range(len(faces)):
            u = faces.direction(p)
            assert u is not None
            np.testing.assert_array_equal(np.sign(X @ u), faces.signs[:, p])  # small integers: no rounding


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_with_a_positive_direction_cells_have_every_pattern(seed):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 7)), int(rng.integers(1, 3))
    X = np.column_stack([rng.integers(-2, 3, (n, d)), np.ones(n)]).astype(float)
    assert has_positive_direction(X)
    assert as_set(face_patterns(X).patterns) == as_set(enumerate_patterns(X).patterns)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_patterns_follow_permutation_scaling_and_sign_of_rows(seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, (int(rng.integers(2, 6)), 2)).astype(float)
    order, size = rng.permutation(len(X)), 2.0 ** rng.integers(-3, 4, len(X))
    base = face_patterns(X)
    assert as_set(base.patterns[order]) == as_set(face_patterns((X * size[:, None])[order]).patterns)
    assert as_set(base.patterns) == as_set(face_patterns(-X).patterns)
    assert as_set(1 - base.patterns) == as_set(face_patterns(-X, closed=False).patterns)


def test_general_floats_and_faces_of_equal_rows():
    X = np.random.default_rng(1).normal(size=(6, 3))
    X = np.vstack([X, -X[:1]])
    faces = face_patterns(X)
    both = np.flatnonzero((faces.patterns[0] == 1) & (faces.patterns[6] == 1))
    assert both.size and np.all(faces.signs[0, both] == 0)
    cells = enumerate_patterns(X)
    assert not np.any((cells.patterns[0] == 1) & (cells.patterns[6] == 1))
    assert as_set(cells.patterns) < as_set(faces.patterns)


@pytest.mark.parametrize(
    ("X", "expected"),
    [([[1.0], [-1.0]], False), ([[1.0, 2.0], [-3.0, 2.0]], True), ([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], False),
     ([[0.0, 0.0]], True), ([[0.0, 0.0], [1.0, -1.0]], True), ([[1.0, 1e-9], [-1.0, 1e-9]], True),
     ([[1e8, 1.0], [-1e8, 1.0], [3.0, 1.0]], True)],
)  # fmt: skip
def test_has_positive_direction(X, expected):
    assert has_positive_direction(X) is expected


def test_foreign_data_and_bad_input_are_named():
    faces = face_patterns([[1.0, 0.0], [-1.0, 0.0]])
    with pytest.raises(PatternError, match="other data"):
        faces.check([[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(PatternError, match="other data"):
        faces.check([[1.0, 0.0]])
    with pytest.raises(DataError):
        face_patterns([[np.nan]])
    with pytest.raises(ProblemError):
        face_patterns([[1.0]], closed="yes")
    with pytest.raises(ProblemError):
        face_patterns([[1.0]], max_faces=0)
    with pytest.raises(TooManyCellsError):
        face_patterns(np.random.default_rng(0).normal(size=(20, 3)), max_faces=500)
    assert "faces" in faces.summary() and faces.to_dict()["P"] == len(faces)


def test_edited_faces_lose_their_seal():
    from dataclasses import replace

    faces = face_patterns([[1.0, 0.0], [-1.0, 0.0]])
    assert not replace(faces, patterns=faces.patterns[:, :1], signs=faces.signs[:, :1]).proven
    with pytest.raises(ValueError, match="read-only"):
        faces.patterns[0, 0] = 0
