"""Coherence and null-space constants against enumeration, closed forms and brute force."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy.optimize import linprog

from convexnet.errors import DataError, ProblemError
from convexnet.sparse import NullSpaceBounds, certify_support, juditsky_nemirovski, mutual_coherence


def gaussian(m: int, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((m, count))


def exact_constant(A: np.ndarray, s: int) -> float:
    """The null-space constant of order s: one program for every support and signs."""
    count, best = A.shape[1], 0.0
    for support, signs in product(combinations(range(count), s), product((-1.0, 1.0), repeat=s)):
        cost = np.zeros(count)
        cost[list(support)] = signs
        done = linprog(
            np.concatenate([-cost, cost]), A_ub=np.ones((1, 2 * count)), b_ub=[1.0], A_eq=np.hstack([A, -A]),
            b_eq=np.zeros(len(A)), bounds=(0, None), method="highs-ipm",
        )  # fmt: skip
        best = max(best, -done.fun)
    return best


def check_claims(A: np.ndarray, found: NullSpaceBounds) -> None:
    """Recompute every claim from the raw matrix."""
    rest = np.abs(np.eye(A.shape[1]) - found.weights.T @ A)
    columns = -np.sort(-rest, axis=0)
    assert columns[: found.s].sum(axis=0).max() == pytest.approx(found.upper, abs=1e-9) or found.upper == 1.0
    assert found.certified_sparsity == 0 or columns[: found.certified_sparsity].sum(axis=0).max() < 0.5
    if found.lower > 0:
        z = found.null_vector
        assert np.abs(A @ z).max() <= 1e-9 * np.abs(A).max() * np.abs(z).sum()
        assert np.sort(np.abs(z))[::-1][: found.s].sum() / np.abs(z).sum() == pytest.approx(found.lower, abs=1e-9)
    if found.refuted_sparsity is not None:
        z = found.counterexample
        assert np.abs(A @ z).max() <= 1e-9 * np.abs(A).max() * np.abs(z).sum()
        heavy = np.argsort(-np.abs(z))[: found.refuted_sparsity]
        assert np.abs(z[heavy]).sum() >= np.abs(z).sum() / 2
        assert certify_support(A, heavy, np.sign(z[heavy])).verdict != "unique"
        assert found.certified_sparsity < found.refuted_sparsity


# --------------------------------------------------------------------------------------------------------- coherence
def test_coherence_of_known_matrices() -> None:
    assert mutual_coherence(np.eye(5)).upper <= 1e-12 and mutual_coherence(np.eye(5)).certified_sparsity == 5
    hadamard = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    two = mutual_coherence(np.hstack([np.eye(4), hadamard]))
    assert two.lower <= 0.5 <= two.upper and two.upper - two.lower < 1e-13 and two.certified_sparsity == 1
    assert mutual_coherence([[3.0]]).pair is None and mutual_coherence([[3.0]]).certified_sparsity == 1


@pytest.mark.parametrize("seed", range(4))
def test_coherence_is_that_of_all_pairs_whatever_the_scale(seed: int) -> None:
    A = gaussian(6, 9, seed)
    pairs = {(i, j): abs(A[:, i] @ A[:, j]) / np.linalg.norm(A[:, i]) / np.linalg.norm(A[:, j])
             for i, j in combinations(range(9), 2)}  # fmt: skip
    rng = np.random.default_rng(seed)
    for scale in (1.0, 1e-300, 1e300, 10.0 ** rng.uniform(-150, 150, 9)):
        found = mutual_coherence(A * scale)
        assert found.lower <= max(pairs.values()) <= found.upper <= found.lower + 1e-12
        assert found.pair == max(pairs, key=lambda pair: pairs[pair])
        assert found.nearest.max() == pytest.approx(max(pairs.values()), rel=1e-12)


def test_parallel_columns_have_coherence_one() -> None:
    A = np.column_stack([gaussian(5, 3, 0), 2.5 * gaussian(5, 3, 0)[:, 1]])
    found = mutual_coherence(A)
    assert found.upper == 1.0 and found.certified_sparsity == 0 and found.pair == (1, 3)
    assert juditsky_nemirovski(A).certified_sparsity == 0


def test_many_columns_go_in_blocks() -> None:
    A = gaussian(4, 1500, 0)
    unit = A / np.linalg.norm(A, axis=0)
    gram = np.abs(unit.T @ unit) - 2 * np.eye(1500)
    found = mutual_coherence(A)
    assert found.lower <= gram.max() <= found.upper
    np.testing.assert_allclose(found.nearest, gram.max(axis=1), rtol=1e-12)


# ------------------------------------------------------------------------------------------------ null-space constant
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_bounds_enclose_the_exact_constant(seed: int) -> None:
    A = gaussian(4, 7, seed)
    for s in (1, 2) if seed < 2 else (1, 2, 3):
        found, exact = juditsky_nemirovski(A, s), exact_constant(A, s)
        check_claims(A, found)
        assert found.lower <= exact + 1e-7 and exact <= found.upper + 1e-7
        if s == 1:
            assert found.lower == pytest.approx(exact, abs=1e-7) and found.upper == pytest.approx(exact, abs=1e-7)
        if exact < 0.5 - 1e-6:
            assert found.refuted_sparsity is None or found.refuted_sparsity > s


def test_known_constants() -> None:
    hadamard = np.array([[1.0]])
    for _ in range(5):
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    found = juditsky_nemirovski(np.hstack([np.eye(32), hadamard / np.sqrt(32)]))
    assert found.upper == pytest.approx(1 / (2 * 3.3284), rel=1e-4) and found.certified_sparsity == 3
    check_claims(np.hstack([np.eye(32), hadamard / np.sqrt(32)]), found)


@pytest.mark.parametrize("seed", range(3))
def test_constant_is_generalised_coherence_in_disguise(seed: int) -> None:
    """``alpha = mu / (1 + mu)`` of every column, mu the smallest ``max |w . a_j|`` over ``w . a_i = 1``."""
    A = gaussian(8, 14, seed)
    found = juditsky_nemirovski(A)
    for index in range(14):
        weights = found.weights[:, index] / (found.weights[:, index] @ A[:, index])
        mu = np.abs(np.delete(weights @ A, index)).max()
        assert found.column_upper[index] == pytest.approx(mu / (1 + mu), rel=1e-9)


def test_rows_may_be_mixed_by_any_invertible_matrix() -> None:
    A = gaussian(6, 12, 7)
    first = juditsky_nemirovski(A, 2)
    mixed = juditsky_nemirovski(gaussian(6, 6, 8) @ A, 2)
    scaled = juditsky_nemirovski(A * 10.0 ** np.array([-150, 150, 0, 3, -7, 20])[:, None], 2)
    for other in (mixed, scaled):
        assert other.upper == pytest.approx(first.upper, rel=1e-8)
        assert other.lower == pytest.approx(first.lower, rel=1e-8)
    assert mutual_coherence(scaled.weights).upper <= 1


def test_without_programs_the_coherence_is_the_bound() -> None:
    A = gaussian(30, 300, 0)
    found, coherence = juditsky_nemirovski(A, time_limit=1e-6), mutual_coherence(A)
    assert found.status == "time_limit" and found.n_solved == 0 and found.lower == 0 and found.wall_time < 2
    mu = coherence.upper
    spread = (np.linalg.norm(A, axis=0).max() / np.linalg.norm(A, axis=0).min()) * mu
    assert found.upper <= spread / (1 + spread) + 1e-9
    unit = juditsky_nemirovski(A / np.linalg.norm(A, axis=0), time_limit=1e-6)
    assert unit.upper == pytest.approx(mu / (1 + mu), rel=1e-9)
    assert unit.certified_sparsity == coherence.certified_sparsity
    check_claims(A / np.linalg.norm(A, axis=0), unit)


@pytest.mark.slow
def test_processes_change_nothing() -> None:
    A = gaussian(6, 12, 3)
    one, two = juditsky_nemirovski(A, 2), juditsky_nemirovski(A, 2, n_jobs=2)
    assert one.lower == two.lower and one.upper == two.upper and np.array_equal(one.weights, two.weights)


# -------------------------------------------------------------------------------------------------------- degenerate
def test_injective_zero_repeated_and_single_columns() -> None:
    tall = juditsky_nemirovski(gaussian(6, 4, 0))
    assert tall.upper < 1e-12 and tall.certified_sparsity == 4 and tall.refuted_sparsity is None
    with_zero = gaussian(3, 4, 0)
    with_zero[:, 2] = 0
    found = juditsky_nemirovski(with_zero)
    assert found.refuted_sparsity == 1 and found.upper == 1 and found.certified_sparsity == 0
    check_claims(with_zero, found)
    twins = gaussian(3, 3, 0)[:, [0, 1, 2, 1]]
    found = juditsky_nemirovski(twins)
    assert found.lower == pytest.approx(0.5) and found.certified_sparsity == 0 and (found.refuted_sparsity or 9) <= 2
    assert juditsky_nemirovski([[2.0]]).certified_sparsity == 1
    assert juditsky_nemirovski([[0.0, 0.0]]).refuted_sparsity == 1


def test_repeated_and_dependent_rows_do_not_hide_the_lower_bound() -> None:
    A = gaussian(4, 9, 2)
    plain = juditsky_nemirovski(A)
    repeated = juditsky_nemirovski(np.vstack([A, A[1], 4 * A[2], np.zeros(9)]))
    assert repeated.lower == pytest.approx(plain.lower, rel=1e-6) and plain.lower > 0
    integers = np.random.default_rng(0).integers(-3, 4, (4, 9)).astype(float)
    dependent = np.vstack([integers, integers[0] + 2 * integers[1] - integers[3]])
    found, base = juditsky_nemirovski(dependent), juditsky_nemirovski(integers)
    assert found.lower == pytest.approx(base.lower, rel=1e-6) and base.lower > 0


@pytest.mark.parametrize("A", [[], [[]], [1.0], [[np.nan, 1.0]], [["a", "b"]]])
def test_bad_matrices(A: object) -> None:
    for function in (juditsky_nemirovski, mutual_coherence):
        with pytest.raises(DataError):
            function(A)


def test_bad_options() -> None:
    with pytest.raises(DataError, match="column 1 of A is zero"):
        mutual_coherence([[1.0, 0.0]])
    for s in (0, 4, 1.0, "1", True):
        with pytest.raises(ProblemError):
            juditsky_nemirovski(np.eye(3), s)
    with pytest.raises(ProblemError):
        juditsky_nemirovski(np.eye(3), time_limit=np.nan)
    for jobs in (0, "a", 1.5, True):
        with pytest.raises(ProblemError, match="n_jobs"):
            juditsky_nemirovski(np.eye(3), n_jobs=jobs)
