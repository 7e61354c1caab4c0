"""Recovery certificates against an independent solver of the l1 program, and on data made to fool them."""

from __future__ import annotations

import json
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from convexnet.errors import DataError, ProblemError
from convexnet.sparse import SupportCertificate, certify_support, juditsky_nemirovski, recovery_rate


def gaussian(m: int, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((m, count))


def smallest_norm(A: np.ndarray, b: np.ndarray, cost: np.ndarray | None = None) -> np.ndarray:
    """A solution of ``min cost . |x|`` s.t. ``Ax = b`` by another form of the program and another algorithm."""
    weight = np.ones(A.shape[1]) if cost is None else cost
    done = linprog(np.tile(weight, 2), A_eq=np.hstack([A, -A]), b_eq=b, bounds=(0, None), method="highs-ipm")
    assert done.status == 0
    return done.x[: A.shape[1]] - done.x[A.shape[1] :]


def check_claim(A: np.ndarray, found: SupportCertificate) -> None:
    """Recompute from the raw matrix what the certificate says."""
    support, signs = found.support, found.signs
    outside = np.setdiff1d(np.arange(A.shape[1]), support)
    if found.verdict == "unique" and len(support):
        assert found.slack > 0 and np.linalg.matrix_rank(A[:, support]) == len(support)
        np.testing.assert_allclose(A[:, support].T @ found.nu, signs, atol=1e-8)
        assert np.abs(A[:, outside].T @ found.nu).max(initial=0) <= 1 - found.slack + 1e-8
    if found.verdict == "refuted":
        h = found.direction
        assert np.abs(h).max() > 0 and np.abs(A @ h).max() <= 1e-9 * np.abs(A).max() * np.abs(h).sum()
        assert signs @ h[support] + np.abs(h[outside]).sum() <= 1e-9 * np.abs(h).sum()


# -------------------------------------------------------------------------------------- against another solver
@pytest.mark.parametrize("seed", range(6))
def test_verdicts_agree_with_the_solution_of_the_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = gaussian(8, 16, seed)
    for s in (1, 2, 3, 4, 5, 8):
        support, signs = rng.choice(16, s, replace=False), rng.choice([-1.0, 1.0], s)
        found = certify_support(A, support, signs)
        check_claim(A, found)
        z = np.zeros(16)
        z[support] = signs * rng.uniform(0.5, 2, s)
        recovered = np.abs(smallest_norm(A, A @ z) - z).max() < 1e-6
        assert found.verdict == ("unique" if recovered else "refuted")


def test_all_supports_and_signs_of_a_small_matrix() -> None:
    A = gaussian(3, 5, 1)
    for s in (1, 2, 3):
        for support, signs in product(combinations(range(5), s), product((-1.0, 1.0), repeat=s)):
            found = certify_support(A, support, signs)
            check_claim(A, found)
            z = np.zeros(5)
            z[list(support)] = signs
            cheaper = np.abs(smallest_norm(A, A @ z)).sum() < s - 1e-7
            assert found.verdict == ("refuted" if cheaper else "unique")


def test_largest_slack_is_at_least_that_of_least_norm() -> None:
    A = gaussian(20, 40, 2)
    plain = certify_support(A, [0, 9], [1, 1])
    best = certify_support(A, [0, 9], [1, 1], largest_slack=True)
    assert plain.method == "least_norm" and best.method == "program" and best.slack > plain.slack > 0
    check_claim(A, best)


# ------------------------------------------------------------------------------------------- metamorphic, degenerate
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.lists(st.integers(-200, 200), min_size=6, max_size=6))
def test_rows_of_any_scale_and_signs_of_columns_change_nothing(seed: int, s: int, exponents: list[int]) -> None:
    rng = np.random.default_rng(seed)
    A, flips = rng.standard_normal((6, 10)), rng.choice([-1.0, 1.0], 10)
    support, signs = rng.choice(10, s, replace=False), rng.choice([-1.0, 1.0], s)
    first = certify_support(A, support, signs)
    scaled = np.ldexp(A[rng.permutation(6)], np.array(exponents)[:, None])
    assert certify_support(scaled, support, signs).verdict == first.verdict
    assert certify_support(A * flips, support, signs * flips[support]).verdict == first.verdict
    assert certify_support(A * 3.7, support, signs).verdict == first.verdict


def test_repeated_opposite_and_zero_columns_are_refuted_exactly() -> None:
    A = gaussian(5, 4, 3)
    for extra in (A[:, [1]], -A[:, [1]]):
        B = np.hstack([A, extra])
        for sign in (1.0, -1.0):
            found = certify_support(B, [1], [sign])
            assert found.verdict == "refuted"
            check_claim(B, found)
    assert certify_support(np.hstack([A, A[:, [1]]]), [0], [1]).verdict == "unique"
    zero = certify_support(np.hstack([A, np.zeros((5, 1))]), [0, 4], [1, -1])
    assert zero.verdict == "refuted" and zero.direction[4] == 1.0
    assert certify_support(np.hstack([A, np.zeros((5, 1))]), [0], [1]).verdict == "unique"


def test_dependent_columns_are_refuted() -> None:
    A = np.array([[1.0, 0.0, 1.0, 3.0], [0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 2.0]])
    for signs in product((-1.0, 1.0), repeat=3):
        found = certify_support(A, [0, 1, 2], signs)
        assert found.verdict == "refuted" and found.method == "columns"
        check_claim(A, found)
    wide = certify_support(gaussian(2, 5, 0), [0, 1, 2], [1, 1, 1])
    assert wide.verdict == "refuted" and wide.smallest_singular == 0


def test_a_tie_is_never_called_unique() -> None:
    A = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
    assert certify_support(A, [0, 1], [1, 1]).verdict != "unique"  # e_1 + e_2 and 2 e_3 have the same norm
    assert certify_support(A, [2], [1]).verdict != "unique"
    A[:, 2] *= 1 - 1e-7
    assert certify_support(A, [0, 1], [1, 1]).verdict == "unique"
    A[:, 2] *= 1 + 3e-7
    assert certify_support(A, [0, 1], [1, 1]).verdict == "refuted"


def test_nearly_dependent_columns_are_left_open_rather_than_guessed() -> None:
    A = np.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-52]])
    found = certify_support(A, [0, 1], [1, 1])
    assert found.verdict == "undecided" and "not decided" in found.summary()


def test_injective_matrices_recover_everything_and_nothing_is_recovered_trivially() -> None:
    A = gaussian(6, 4, 5)
    assert certify_support(A, [0, 1, 2, 3], [1, -1, 1, -1]).verdict == "unique"
    empty = certify_support(A, [], [])
    assert (empty.verdict, empty.method, empty.slack) == ("unique", "empty", 1.0)
    assert certify_support([[2.0]], [0], [-1]).verdict == "unique"


# ------------------------------------------------------------------------------------------------------------ curves
@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_rates_do_not_depend_on_processes_or_on_the_other_sparsities(n_jobs: int) -> None:
    A = gaussian(10, 20, 0)
    one, two = recovery_rate(A, [2, 4], n_trials=12), recovery_rate(A, [4, 2], n_trials=12, n_jobs=n_jobs)
    assert one.unique.tolist() == two.unique.tolist()[::-1]
    assert recovery_rate(A, [4], n_trials=12).unique[0] == one.unique[1]
    assert recovery_rate(A, [4], n_trials=12, random_state=None).n_trials[0] == 12


def test_curve_falls_and_its_interval_contains_the_rate() -> None:
    curve = recovery_rate(gaussian(12, 24, 1), [1, 4, 12], n_trials=30)
    low, high = curve.interval().T
    assert curve.rate[0] == 1 and curve.rate[-1] == 0 and (np.diff(curve.rate) <= 0).all()
    assert ((low <= curve.rate) & (curve.rate <= high)).all() and low[0] == pytest.approx(0.025 ** (1 / 30))
    assert curve.summary().count("\n") == 3 and curve.to_dict()["status"] == "done"


def test_positive_signs_and_own_supports() -> None:
    A = gaussian(10, 30, 4)
    seen: list[np.ndarray] = []

    def neighbours(generator: np.random.Generator, s: int) -> np.ndarray:
        seen.append((generator.integers(30) + np.arange(s)) % 30)
        return seen[-1]

    recovery_rate(A, [3], n_trials=5, draw=neighbours, signs="positive")
    assert len(seen) == 5 and len({int(support[0]) for support in seen}) > 1


def test_time_limit_of_a_curve() -> None:
    curve = recovery_rate(gaussian(60, 200, 0), [20, 25], n_trials=10_000, time_limit=0.2)
    assert curve.status == "time_limit" and curve.wall_time < 5 and 0 < curve.n_trials.sum() < 20_000


def test_any_number_of_trials_begins_at_once_and_every_result_is_json() -> None:
    curve = recovery_rate(gaussian(5, 9, 0), [2, 3], n_trials=10**12, time_limit=0.05)
    assert curve.status == "time_limit" and curve.wall_time < 2 and curve.n_trials[1] == 0
    assert json.loads(json.dumps(curve.to_dict(), allow_nan=False))["rate"][1] is None
    assert curve.summary().count("\n") == 2 and curve.interval()[1].tolist() == [0, 1]
    for found in (certify_support(np.eye(3), [], []), certify_support(np.zeros((2, 2)), [0], [1])):
        json.dumps(found.to_dict(), allow_nan=False)


def test_rows_too_small_for_dual_vectors_are_named() -> None:
    A = gaussian(3, 5, 0) * np.array([1.0, 1e-310, 0.0])[:, None]
    for function in (juditsky_nemirovski, lambda A: certify_support(A, [0], [1]), lambda A: recovery_rate(A, [1])):
        with pytest.raises(DataError, match="row 1 of A"):
            function(A)


# --------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("support", "signs"),
    [([0, 0], [1, 1]), ([3], [1]), ([-1], [1]), ([0.5], [1]), ([0], [2]), ([0], [1, 1]), ([0], [np.nan]), (["a"], [1]),
     ([[0]], [1]), ([0], ["x"]), ([0], [0])],
)  # fmt: skip
def test_bad_supports(support: object, signs: object) -> None:
    with pytest.raises(DataError):
        certify_support(np.eye(3), support, signs)


@pytest.mark.parametrize("A", [[], [[]], [1.0], [[np.nan]], [["a"]], [[np.inf, 1.0]]])
def test_bad_matrices(A: object) -> None:
    with pytest.raises(DataError):
        certify_support(A, [0], [1])
    with pytest.raises(DataError):
        recovery_rate(A, [1])


@pytest.mark.parametrize(
    "options",
    [{"sparsities": []}, {"sparsities": [0]}, {"sparsities": [4]}, {"sparsities": 2}, {"sparsities": [1.5]},
     {"n_trials": 0}, {"signs": "no"}, {"draw": 3}, {"random_state": -1}, {"time_limit": 0}, {"n_jobs": 0},
     {"n_jobs": "a"}, {"n_jobs": True}, {"sparsities": "12"}, {"random_state": "a"}],
)  # fmt: skip
def test_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ProblemError):
        recovery_rate(np.eye(3), **{"sparsities": [1], **options})
    with pytest.raises(ProblemError):
        certify_support(np.eye(3), [0], [1], time_limit=-1)
    with pytest.raises(ProblemError):
        certify_support(np.eye(3), [0], [1], largest_slack=1)


def test_bad_draws_and_confidence() -> None:
    with pytest.raises(DataError, match="twice"):
        recovery_rate(np.eye(3), [2], draw=lambda generator, s: [0, 0])
    with pytest.raises(DataError, match="2 column numbers"):
        recovery_rate(np.eye(3), [2], draw=lambda generator, s: [0])
    with pytest.raises(DataError, match="signs has 2 entries, but the support has 1"):
        certify_support(np.eye(3), [0], [1, 1])
    with pytest.raises(ProblemError, match="confidence"):
        recovery_rate(np.eye(3), [1], n_trials=1).interval(1.5)
