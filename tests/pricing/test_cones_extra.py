"""The compiled cone search: the same bounds as the numpy path, its limits, its cache, its start in the background."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest
from pricing.test_cones import exact_leaf_bounds, instance, larger, reference

from convexnet.pricing import ConeSearch, price_cones, pricing_forms
from convexnet.pricing._cone_compile import Compiler

pytestmark = [
    pytest.mark.extra,
    pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="needs numba"),
]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    Compiler.begin()
    assert Compiler.ready(300)


@pytest.mark.parametrize("seed", range(300))
def test_bound_is_the_maximum_over_all_cells(seed: int) -> None:
    problem, nu = instance(seed)
    truth = reference(problem, nu)
    result = price_cones(problem, nu, backend="numba", time_limit=20)
    assert result.status == "done"
    assert result.bound >= truth.value * (1 - 1e-13) and result.value <= result.bound
    assert result.bound <= truth.bound * (1 + 3e-9) + 1e-200


@pytest.mark.parametrize("seed", [0, 4, 11, 33])
def test_proofs_of_compiled_code_verify(seed: int) -> None:
    problem, nu = instance(seed)
    result = price_cones(problem, nu, backend="numba", proof=True, tol=1e-6)
    slack = max((form.slack for form in pricing_forms(problem, nu)), default=0.0)
    worst = max(exact_leaf_bounds(problem, nu, result.proof), default=0.0)
    assert result.bound <= worst * (1 + 1e-9) + slack + 1e-11 * (1 + result.bound)


def test_both_paths_agree_and_may_alternate() -> None:
    problem, nu = larger(n=200, q=5)
    whole = price_cones(problem, nu, backend="numpy", tol=1e-6, time_limit=100)
    search = ConeSearch(problem, nu, backend="numpy", tol=1e-6)
    search.run(node_limit=100)
    search.backend = "numba"
    result = search.run()
    assert result.status == "done"
    assert result.bound == pytest.approx(whole.bound, rel=2e-6)
    assert 0.5 < result.work["nodes"] / whole.work["nodes"] < 2


def test_limits() -> None:
    problem, nu = larger(n=300, q=10)
    search = ConeSearch(problem, nu, backend="numba", memory_limit=3_000_000)
    began = time.perf_counter()
    first = search.run(time_limit=0.3)
    assert first.status in ("time_limit", "memory_limit") and time.perf_counter() - began < 1.0
    last = search.run(time_limit=60)
    assert last.status == "memory_limit" and last.work["bytes"] <= 3_000_000
    assert last.value <= last.bound <= first.bound < np.inf
    assert price_cones(problem, nu, backend="numba", node_limit=500).work["nodes"] <= 520


def test_violation_stops_the_compiled_search() -> None:
    problem, nu = larger()
    full = price_cones(problem, nu, backend="numba", tol=1e-6)
    result = price_cones(problem, nu, target=0.9 * full.value, stop_at_violation=True, backend="numba")
    assert result.status == "violated" and full.value <= result.bound
    assert result.work["nodes"] < full.work["nodes"]


def test_automatic_choice_moves_to_compiled_code() -> None:
    problem, nu = larger(n=300, q=9)
    search = ConeSearch(problem, nu, backend="auto")
    search.run(time_limit=1.0)
    assert search._loops is not None


def test_without_a_place_for_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    from convexnet.pricing import _cone_compile

    real = numba.njit

    def no_cache(*args: object, **options: object) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(*args, **options)

    monkeypatch.setattr(numba, "njit", no_cache)
    assert callable(_cone_compile._cached(numba))
