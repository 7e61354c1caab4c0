"""The compiled slab search: same soundness, and about the same bounds as numpy."""

import numpy as np
import pytest

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.pricing import SlabSearch, price_cells, price_slabs
from tests.pricing.test_slabs import random_problem, verify_payload

pytestmark = pytest.mark.extra


@pytest.fixture(autouse=True)
def compiled():
    pytest.importorskip("numba")
    from convexnet.pricing._slab_compile import Compiler

    Compiler.begin()
    assert Compiler.ready(120.0), Compiler.error


@pytest.mark.parametrize("seed", range(60))
def test_bounds_against_exact_cells(seed):
    problem, nu = random_problem(seed, kappa=(None, -1.0, 0.3)[seed // 3 % 3])
    truth = price_cells(problem, nu, enumerate_patterns(problem.extended))
    result = price_slabs(problem, nu, node_limit=100, backend="numba", proof=True)
    assert truth.value * (1 - 1e-12) <= result.bound
    assert result.value <= truth.bound * (1 + 1e-12) and result.value <= result.bound
    verified = verify_payload(problem, nu, result.proof)
    assert truth.value * (1 - 1e-12) <= verified <= max(result.bound, 0) * (1 + 1e-8) + 1e-12


def test_every_open_node_bounds_its_sampled_directions():
    rng = np.random.default_rng(0)
    for d, n in ((3, 30), (6, 50), (9, 80)):
        problem = TrainingProblem(rng.standard_normal((n, d)), rng.standard_normal(n), reg=1.0)
        search = SlabSearch(problem, problem.y, backend="numba")
        search.run(node_limit=200)
        u = rng.standard_normal((search.forms[0].d, 200_000))
        u /= np.linalg.norm(u, axis=0)
        values = [form.form.values(u) for form in search.forms]
        for _, _, node in search._heap:
            inside = np.all((node.normals @ u >= node.low[:, None]) & (node.normals @ u <= node.high[:, None]), axis=0)
            assert np.max(values[node.form][inside], initial=-np.inf) <= search._key(node)


def test_backends_agree():
    rng = np.random.default_rng(1)
    problem = TrainingProblem(rng.standard_normal((60, 5)), rng.standard_normal(60), reg=1.0)
    compiled = price_slabs(problem, problem.y, node_limit=80, backend="numba")
    plain = price_slabs(problem, problem.y, node_limit=80, backend="numpy")
    assert abs(compiled.bound - plain.bound) < 0.05 * plain.bound


def test_memory_limit_is_kept():
    rng = np.random.default_rng(2)
    problem = TrainingProblem(rng.standard_normal((200, 10)), rng.standard_normal(200), reg=1.0)
    result = price_slabs(problem, problem.y, memory_limit=2_000_000, backend="numba", time_limit=30, proof=True)
    assert result.status == "memory_limit" and result.work["bytes"] <= 2_200_000
