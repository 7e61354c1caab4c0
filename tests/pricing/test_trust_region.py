"""The trust-region problem against sampling, in the hard case too, and its rigorous bound."""

from __future__ import annotations

import numpy as np
import pytest

from convexnet.errors import ProblemError
from convexnet.pricing import certified_value, solve_trust_region, trust_region_batch


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A symmetric matrix and a vector; among them hard cases, zero vectors and negative definite matrices."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 7))
    A = rng.standard_normal((d, d))
    A = A + A.T - (20 * np.eye(d) if seed % 5 == 0 else 0)
    b = rng.standard_normal(d) * rng.choice([0.0, 1e-9, 1e-3, 1.0, 10.0])
    if seed % 3 == 0:
        top = np.linalg.eigh(A)[1][:, -1]
        b = b - top * (top @ b)
    return A, b


def largest_sample(A: np.ndarray, b: np.ndarray, sphere: bool) -> float:
    rng = np.random.default_rng(0)
    U = rng.standard_normal((len(b), 3000))
    U /= np.linalg.norm(U, axis=0)
    if not sphere:
        U = np.column_stack([U, U * rng.random(3000), np.zeros(len(b))])
    return float(np.max(b @ U + np.sum(U * (A @ U), axis=0)))


@pytest.mark.parametrize("sphere", [False, True])
def test_value_is_attained_and_is_the_largest(sphere: bool) -> None:
    for seed in range(120):
        A, b = random_case(seed)
        point = solve_trust_region(A, b, sphere=sphere)
        u, size = point.maximiser, 1 + np.abs(point.value)
        assert np.linalg.norm(u) <= 1 + 1e-12
        assert not sphere or np.linalg.norm(u) == pytest.approx(1)
        assert b @ u + u @ A @ u == pytest.approx(point.value, abs=1e-7 * size)
        assert largest_sample(A, b, sphere) <= point.value + 1e-12 * size
        assert point.mu >= np.linalg.eigvalsh(A)[-1] - 1e-12 * size
        assert sphere or point.mu >= 0


@pytest.mark.parametrize("sphere", [False, True])
def test_batch_agrees_with_single_problems(sphere: bool) -> None:
    rng = np.random.default_rng(1)
    A = rng.standard_normal((50, 4, 4))
    A = A + A.transpose(0, 2, 1)
    b = rng.standard_normal((50, 4)) * np.array([0.0, 1e-12, 1.0, 1e3, 1.0])[np.arange(50) % 5, None]
    values, maximisers, mu = trust_region_batch(A, b, sphere=sphere)
    for index in range(50):
        point = solve_trust_region(A[index], b[index], sphere=sphere)
        u = maximisers[index]
        assert values[index] == pytest.approx(point.value, rel=1e-9, abs=1e-9)
        assert mu[index] == pytest.approx(point.mu, rel=1e-6, abs=1e-6)
        assert b[index] @ u + u @ A[index] @ u == pytest.approx(point.value, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("sphere", [False, True])
@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_certified_value_is_above_and_close(sphere: bool, scale: float) -> None:
    for seed in range(80):
        A, b = random_case(seed)
        point = solve_trust_region(A, b, sphere=sphere)
        size = float(np.linalg.norm(A) + np.linalg.norm(b))
        bound = certified_value(scale * A, scale * b, scale * point.mu, sphere=sphere)
        assert scale * point.value <= bound <= scale * (point.value + 1e-11 * size) + 1e-300


def test_certified_value_holds_for_every_mu() -> None:
    for seed in range(40):
        A, b = random_case(seed)
        for sphere in (False, True):
            value = solve_trust_region(A, b, sphere=sphere).value
            for mu in (-1e3, -1.0, 0.0, 1.0, 1e3):
                assert certified_value(A, b, mu, sphere=sphere) >= value - 1e-13 * (1 + abs(value))


def test_zero_and_invalid_input() -> None:
    assert solve_trust_region(np.zeros((2, 2)), np.zeros(2)).value == 0
    assert certified_value(np.zeros((2, 2)), np.zeros(2), 0.0) == 0
    for A, b in ((np.full((1, 1), np.nan), np.zeros(1)), (np.zeros((1, 1)), np.array([np.inf]))):
        with pytest.raises(ProblemError):
            certified_value(A, b, 1.0)
