"""Refined extreme rays against all null directions, and the two properties that make them a dictionary."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from convexnet.arrangements import RefinedRays, refined_rays
from convexnet.errors import DataError, ProblemError, TooManyCellsError


def by_hand(X: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Every null direction of q - 1 independent rows, by singular values, of either sign."""
    q = X.shape[1]
    rows = np.concatenate([X, np.eye(q)[mask]])
    found: list[np.ndarray] = []
    for S in itertools.combinations(range(len(rows)), q - 1):
        _, values, right = np.linalg.svd(rows[list(S)].reshape(len(S), q), full_matrices=True)
        if np.sum(values > 1e-10) < q - 1:
            continue
        size = np.abs(right[-1][mask]).sum()
        for v in (right[-1] / size, -right[-1] / size) if size > 1e-10 else ():
            if not any(np.max(np.abs(v - w)) < 1e-8 for w in found):
                found.append(v)
    return np.array(found).reshape(-1, q).T


def data(kind: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((6, 2))
    return {
        "plain": X,
        "integers": rng.integers(-2, 3, (7, 3)).astype(float),
        "repeated and antipodal": np.concatenate([X[:3], -2 * X[:3], X[:2]]),
        "zero rows": np.concatenate([X[:2], np.zeros((2, 2))]),
        "one sample": X[:1],
        "one column": X[:, :1],
        "rows on the axes": np.array([[1.0, 0.0, 0.0], [0.0, -2.0, 0.0], [1.0, 1.0, 1.0]]),
    }[kind]


@pytest.mark.parametrize("free_bias", [False, True])
@pytest.mark.parametrize(
    "kind",
    ["plain", "integers", "repeated and antipodal", "zero rows", "one sample", "one column", "rows on the axes"],
)
def test_rays_are_the_null_directions_of_the_refined_rows(kind: str, free_bias: bool) -> None:
    X = np.column_stack([data(kind), np.ones(len(data(kind)))])
    mask = np.array([True] * (X.shape[1] - 1) + [not free_bias])
    rays, expected = refined_rays(X, penalized=mask), by_hand(X, mask)
    assert rays.directions.shape == expected.shape
    apart = np.abs(rays.directions[:, :, None] - expected[:, None, :]).max(axis=0)
    assert apart.min(axis=0).max() < 1e-9
    assert apart.min(axis=1).max() < 1e-9
    assert np.allclose(np.abs(rays.directions[mask]).sum(axis=0), 1)
    assert rays.free.shape[1] == (2 if free_bias else 0)
    assert not np.any(rays.free[mask])


def test_every_direction_splits_into_rays_at_equal_cost() -> None:
    """Norm and outputs are linear on a refined cone: w = sum t_v v with t >= 0 has sum t = ||w||_1."""
    from scipy.optimize import linprog

    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((5, 2)), np.ones(5)])
    rays = refined_rays(X).directions
    outputs = np.maximum(X @ rays, 0)
    for _ in range(20):
        u = rng.standard_normal(3)
        target = np.concatenate([u, np.maximum(X @ u, 0)])
        split = linprog(np.ones(rays.shape[1]), A_eq=np.concatenate([rays, outputs]), b_eq=target)
        assert split.status == 0
        assert split.fun == pytest.approx(np.abs(u).sum(), rel=1e-9)


def test_coordinates_on_a_hyperplane_are_exactly_zero() -> None:
    rng = np.random.default_rng(1)
    rays = refined_rays(rng.standard_normal((12, 3)) * [1e-3, 1.0, 1e4])
    smallest = np.abs(rays.directions)[rays.directions != 0].min()
    assert np.sum(rays.directions == 0) >= 2 * 3 * 12
    assert smallest > 1e-12


def test_directions_are_accurate_for_columns_of_any_size() -> None:
    rng = np.random.default_rng(2)
    X, scale = rng.standard_normal((9, 3)), np.array([1e-6, 1.0, 1e6])
    plain, scaled = refined_rays(X).directions, refined_rays(X * scale).directions * scale[:, None]
    scaled /= np.abs(scaled).sum(axis=0)
    apart = np.abs(plain[:, :, None] - scaled[:, None, :]).max(axis=0)
    assert apart.min(axis=0).max() < 1e-10


@pytest.mark.parametrize("penalized", [[True], "yes", [1, 0], np.ones((2, 1), bool), [[True], [True, False]]])
def test_a_mask_that_is_none_is_refused(penalized: object) -> None:
    with pytest.raises(ProblemError, match="mask of 2 booleans"):
        refined_rays([[1.0, 2.0]], penalized=penalized)


@pytest.mark.parametrize("X", [[], [[np.nan, 1.0]], [[np.inf]], "abc", [1.0, 2.0]])
def test_bad_data_is_refused(X: object) -> None:
    with pytest.raises(DataError):
        refined_rays(X)


def test_too_many_rays_are_refused_at_once() -> None:
    X = np.random.default_rng(0).standard_normal((2000, 5))
    with pytest.raises(TooManyCellsError, match="max_rays"):
        refined_rays(X)
    with pytest.raises(ProblemError, match="max_rays"):
        refined_rays(X, max_rays=0)


def test_result_is_read_only_and_prints_in_one_line() -> None:
    rays = refined_rays([[1.0, 1.0], [2.0, 1.0]])
    assert isinstance(rays, RefinedRays)
    assert "\n" not in repr(rays)
    assert "8 extreme rays" in rays.summary()
    assert rays.to_dict()["n_rays"] == len(rays) == 8
    with pytest.raises(ValueError, match="read-only"):
        rays.directions[0, 0] = 1.0
