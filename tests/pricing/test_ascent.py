"""Heuristic pricing: what it returns is attained, and it is nearly always the maximum."""

from __future__ import annotations

import time

import numpy as np
import pytest

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.errors import ProblemError
from convexnet.networks.activations import activate
from convexnet.pricing import feasible_dual, local_maxima, price_ascent, price_cells, pricing_forms
from convexnet.pricing.ascent import climb
from convexnet.pricing.spectral import direction_norms


def random_dual(seed: int) -> tuple[TrainingProblem, np.ndarray]:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(4, 14)), int(rng.integers(1, 4))
    X = rng.standard_normal((n, d))
    X = np.round(X) if seed % 4 == 1 else X
    X[-1] = X[0]
    problem = TrainingProblem(
        X, np.zeros(n), reg=1.0, bias=("none", "penalized", "free")[seed % 3], negative_slope=0.3,
        activation=("relu", "leaky", "absolute")[seed // 3 % 3],
    )  # fmt: skip
    return problem, feasible_dual(problem, rng.standard_normal(n)).nu


@pytest.mark.parametrize("chunk", range(3))
def test_finds_the_maximum_in_nearly_all_cases(chunk: int) -> None:
    missed = 0
    for seed in range(18 * chunk, 18 * chunk + 18):
        problem, nu = random_dual(seed)
        result = price_ascent(problem, nu)
        exact = price_cells(problem, nu, enumerate_patterns(problem.extended))
        assert result.value <= exact.bound * (1 + 1e-9) + 1e-12
        missed += result.value < exact.value * (1 - 1e-7)
        assert np.all(np.diff(result.values) <= 0)
        attained = nu @ activate(problem.extended @ result.atoms, problem.kappa)
        assert np.abs(attained) == pytest.approx(result.values, rel=1e-9, abs=1e-12)
        assert np.all(np.sign(attained) == result.signs)
        assert direction_norms(problem, result.atoms) == pytest.approx(1)
    assert missed <= 1


def test_climbing_never_loses_and_ends_at_a_local_maximum() -> None:
    rng = np.random.default_rng(0)
    for seed in range(0, 30, 3):
        problem, nu = random_dual(seed)
        for form in pricing_forms(problem, nu)[:2]:
            for _ in range(4):
                start = rng.standard_normal(form.rows.shape[1])
                start /= np.linalg.norm(start)
                end = climb(form, start)
                before, after = form.values(np.column_stack([start, end]))
                assert after >= before - 1e-12
                near = end[:, None] + 1e-4 * rng.standard_normal((len(end), 300))
                near /= np.linalg.norm(near, axis=0)
                if after > 1e-9:
                    assert np.max(form.values(near)) <= after + 1e-9 * (1 + after)


def test_starts_are_used_and_atoms_are_distinct() -> None:
    rng = np.random.default_rng(1)
    X, nu = rng.standard_normal((200, 8)), rng.standard_normal(200)
    problem = TrainingProblem(X, nu, reg=1.0, bias="none")
    best = price_ascent(problem, nu, n_starts=512)
    again = price_ascent(problem, nu, n_starts=4, starts=best.atom[:, None], random_state=3)
    assert again.value >= best.value * (1 - 1e-9)
    cosines = best.atoms.T @ best.atoms - np.eye(best.atoms.shape[1])
    assert np.all(cosines[np.equal.outer(best.signs, best.signs)] < 1 - 1e-6)


def test_target_lists_the_violators_only() -> None:
    rng = np.random.default_rng(2)
    X, nu = rng.standard_normal((60, 4)), rng.standard_normal(60)
    problem = TrainingProblem(X, nu, reg=1.0, bias="free")
    nu = feasible_dual(problem, nu).nu
    every = price_ascent(problem, nu)
    assert every.bound == np.inf
    atoms, signs, values = local_maxima(problem, nu, threshold=0.9 * every.value)
    assert np.all(values > 0.9 * every.value)
    assert atoms.shape == (3 + 2, len(values)) and signs.shape == values.shape
    assert price_ascent(problem, nu, target=2 * every.value).status == "done"
    assert price_ascent(problem, nu, target=2 * every.value).atoms.shape[1] == 0
    assert price_ascent(problem, nu, target=0.5 * every.value).status == "violated"


def test_limits_and_bad_input() -> None:
    rng = np.random.default_rng(3)
    X, nu = rng.standard_normal((3000, 20)), rng.standard_normal(3000)
    problem = TrainingProblem(X, nu, reg=1.0)
    started = time.perf_counter()
    result = price_ascent(problem, nu, time_limit=0.05)
    assert time.perf_counter() - started < 2.0
    assert result.status in ("time_limit", "done")
    assert price_ascent(problem, np.zeros(3000), n_starts=8).value == 0
    two = TrainingProblem([[1.0], [2.0]], [[1.0, 0.0], [0.0, 1.0]], reg=1.0)
    for bad, vector in ((problem, np.ones(2)), (problem, np.full(3000, np.nan)), (two, two.y)):
        with pytest.raises(ProblemError):
            price_ascent(bad, vector)
