"""Projection onto a cell: against enumeration of faces, Moreau's conditions, and badly scaled rows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.optimize

from convexnet.arrangements import enumerate_patterns, project_onto_cell
from convexnet.errors import DataError, PatternError


def project_by_faces(A: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The closest feasible point among the projections onto the spans of all faces."""
    best = np.zeros_like(g)
    for size in range(A.shape[1]):
        for rows in combinations(range(len(A)), size):
            face = A[list(rows)]
            point = g - np.linalg.pinv(face) @ (face @ g) if size else g
            if (A @ point >= -1e-10).all() and np.linalg.norm(g - point) < np.linalg.norm(g - best):
                best = point
    return best


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_best_face(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((7, 3))
    cells = enumerate_patterns(X)
    for p in rng.choice(len(cells), 8, replace=False):
        bits = cells.patterns[:, p]
        A = (2.0 * bits - 1)[:, None] * X
        g = rng.standard_normal(3)
        result = project_onto_cell(X, bits, g)
        assert np.allclose(result.point, project_by_faces(A, g), atol=1e-9)
        assert np.allclose(result.point, g + A.T @ result.multipliers, atol=1e-12)
        assert (result.multipliers >= 0).all() and (A @ result.point >= -1e-12).all()
        assert abs(result.multipliers @ (A @ result.point)) < 1e-12
        assert result.value == pytest.approx(np.linalg.norm(result.point), abs=1e-15)


def test_value_is_the_largest_linear_value_on_the_cell():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((8, 3))
    cells = enumerate_patterns(X)
    g = rng.standard_normal(3)
    for p in range(len(cells)):
        weights = rng.random((cells.rays.of(p).shape[1], 200)) ** 4
        points = cells.rays.of(p) @ weights
        points /= np.linalg.norm(points, axis=0)
        assert (g @ points).max() <= project_onto_cell(X, cells.patterns[:, p], g).value + 1e-12


def test_rows_of_very_different_size():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((7, 3))
    scale = 10.0 ** np.array([-150, 150, 0, -8, 8, 3, -3])
    bits = (X @ [1.0, 0.2, -0.3] >= 0).astype(int)
    g = np.array([-1.0, 2.0, 0.5])
    plain, scaled = project_onto_cell(X, bits, g), project_onto_cell(X * scale[:, None], bits, g)
    assert np.allclose(plain.point, scaled.point, atol=1e-11)
    assert np.allclose(plain.multipliers, scaled.multipliers * scale, atol=1e-10)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_scaling_of_g(size):
    X = np.random.default_rng(2).standard_normal((6, 3))
    bits = (X @ [1.0, 0.0, 0.0] >= 0).astype(int)
    g = np.array([-1.0, 1.0, 2.0])
    assert project_onto_cell(X, bits, g * size).value == pytest.approx(size * project_onto_cell(X, bits, g).value)


def test_zero_rows_zero_vector_and_interior_point():
    X = np.array([[0.0, 0.0], [1.0, 0.0]])
    inside = project_onto_cell(X, [1, 1], [2.0, -3.0])
    assert inside.point.tolist() == [2.0, -3.0] and inside.multipliers.tolist() == [0.0, 0.0]
    assert project_onto_cell(X, [0, 1], [0.0, 0.0]).value == 0.0
    assert project_onto_cell(np.zeros((2, 2)), [1, 1], [3.0, 4.0]).value == 5.0


def test_second_solver_steps_in(monkeypatch):
    X = np.random.default_rng(3).standard_normal((8, 3))
    bits = (X @ [0.5, 1.0, 0.1] >= 0).astype(int)
    g = np.array([-1.0, -1.0, 2.0])
    expected = project_onto_cell(X, bits, g)

    def fail(*args, **kwargs):
        raise RuntimeError("too many iterations")

    monkeypatch.setattr(scipy.optimize, "nnls", fail)
    assert project_onto_cell(X, bits, g).point == pytest.approx(expected.point, abs=1e-9)


def test_wrong_answer_of_the_first_solver_is_noticed(monkeypatch):
    X, bits, g = np.eye(2), [1, 1], [-1.0, 2.0]
    monkeypatch.setattr(scipy.optimize, "nnls", lambda A, b: (np.zeros(A.shape[1]), 0.0))
    assert project_onto_cell(X, bits, g).point == pytest.approx([0.0, 2.0], abs=1e-12)


def test_errors():
    X = np.eye(2)
    for pattern in ([1], [1, 2], [[1, 1]], [0.5, 1], "ab", [1, [2]]):
        with pytest.raises(PatternError):
            project_onto_cell(X, pattern, [1.0, 1.0])
    for g in ([1.0], [np.nan, 1.0], ["a", "b"], [[1.0, 2.0]]):
        with pytest.raises(DataError):
            project_onto_cell(X, [1, 1], g)
    with pytest.raises(DataError):
        project_onto_cell([[np.inf]], [1], [1.0])
