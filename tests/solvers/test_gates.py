"""The gate operator against the expanded design it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from convexnet.solvers import _gates
from convexnet.solvers._cg import NewtonCG
from convexnet.solvers._gates import Gates

CASES = [(kappa, k, n) for kappa in (0.0, -1.0, 0.3) for k in (None, 1, 3) for n in (1, 37)]


def build(n=37, q=4, P=9, kappa=0.0, seed=0, **options):
    rng = np.random.default_rng(seed)
    rows, patterns = rng.standard_normal((n, q)), rng.integers(0, 2, (n, P)).astype(np.uint8)
    S = kappa + (1 - kappa) * patterns
    design = (S[:, None, :] * rows[:, :, None]).reshape(n, q * P)  # column (l, p) is S_p E_l
    return Gates(rows, patterns, kappa, **options), design, rng


@pytest.mark.parametrize(("kappa", "k", "n"), CASES)
def test_products_equal_those_of_the_expanded_design(kappa, k, n):
    gates, design, rng = build(n=n, kappa=kappa, chunk=8)
    outputs = () if k is None else (k,)
    W, r = rng.standard_normal((4, 9, *outputs)), rng.standard_normal((n, *outputs))
    np.testing.assert_allclose(gates.forward(W), design @ W.reshape(36, *outputs), atol=1e-12)
    np.testing.assert_allclose(gates.adjoint(r), (design.T @ r).reshape(W.shape), atol=1e-12)
    assert gates.forward(W).shape == r.shape


@pytest.mark.parametrize("kappa", [0.0, 0.2])
@pytest.mark.parametrize("k", [None, 2])
def test_groups_select_and_subset_agree(kappa, k):
    gates, _, rng = build(kappa=kappa)
    outputs = () if k is None else (k,)
    W, r = rng.standard_normal((4, 9, *outputs)), rng.standard_normal((37, *outputs))
    chosen, rows = np.array([7, 0, 3]), np.array([5, 1, 30])
    few = gates.select(chosen)
    np.testing.assert_allclose(gates.forward(W[:, chosen], chosen), few.forward(W[:, chosen]), atol=1e-12)
    np.testing.assert_allclose(gates.adjoint(r, chosen), gates.adjoint(r)[:, chosen], atol=1e-12)
    np.testing.assert_allclose(few.adjoint(r), gates.adjoint(r)[:, chosen], atol=1e-12)
    np.testing.assert_allclose(gates.subset(rows).forward(W), gates.forward(W)[rows], atol=1e-12)
    np.testing.assert_allclose(gates.block(chosen), kappa + (1 - kappa) * gates.patterns[:, chosen])
    assert gates.forward(W[:, :0], chosen[:0]).shape == r.shape and not gates.forward(W[:, :0], chosen[:0]).any()


def test_single_precision_shares_the_gates_and_stays_single():
    gates, design, rng = build(kappa=0.1)
    single = gates.single()
    W, r = rng.standard_normal((4, 9)), rng.standard_normal(37)
    assert single.patterns is gates.patterns and single.single() is single
    for product, exact in ((single.forward(W), design @ W.ravel()), (single.adjoint(r), design.T @ r)):
        assert product.dtype == np.float32
        np.testing.assert_allclose(product.ravel(), exact, rtol=2e-5, atol=2e-5)
    assert single.block(np.array([1])).dtype == np.float32


def test_patterns_are_not_copied_and_chunks_do_not_change_values(monkeypatch):
    gates, _, rng = build(n=500)
    assert Gates(gates.rows, gates.patterns, 0.0).patterns is gates.patterns
    r = rng.standard_normal(500)
    whole = gates.adjoint(r)
    monkeypatch.setattr(_gates, "_CHUNK_ENTRIES", 1)
    np.testing.assert_allclose(gates.adjoint(r), whole, atol=1e-11)


@pytest.mark.parametrize("l1", [False, True])
def test_newton_systems_in_weight_space_solve_the_sample_space_system(l1):
    gates, _, rng = build(n=60, q=5, P=7, kappa=0.2)
    free, z = rng.standard_normal((60, 2)), rng.standard_normal((5, 7))
    ridge = 3 * rng.random(7)
    pull = 3 - ridge
    if l1:
        z = z * (rng.random((5, 7)) < 0.6) + 1e-3
        ridge, pull = 3.0 * (z != 0), np.zeros(7)
    z /= np.linalg.norm(z, axis=0)
    curvature, gradient = rng.random(60) + 0.5, rng.standard_normal(60)
    curvature[3] = np.inf
    H = 2 * free @ free.T
    for j, factors in enumerate(gates.block(slice(None)).T):
        A = factors[:, None] * gates.rows
        H += A @ (np.diag(np.broadcast_to(ridge.T[j], 5)) + pull[j] * np.outer(z[:, j], z[:, j])) @ A.T
    p, steps = NewtonCG(gates, free).solve(
        curvature, np.arange(7), ridge, pull, z, gradient, tol=1e-4, free_weight=2.0
    )
    rest = np.delete(np.arange(60), 3)
    residual = (H @ p)[rest] + curvature[rest] * p[rest] + gradient[rest]
    assert p[3] == 0 and steps < 60
    assert np.linalg.norm(residual) <= 1e-3 * np.linalg.norm(gradient)
    short, _ = NewtonCG(gates, free).solve(curvature, np.arange(7), ridge, pull, z, gradient, tol=1e-4, max_iter=1)
    assert short @ gradient < 0  # a direction of descent however early it stops
