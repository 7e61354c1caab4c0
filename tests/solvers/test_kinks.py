"""Newton's method on the neurons: its linear systems, and the same stationary points by every way of solving them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from convexnet import TrainingProblem
from convexnet.solvers import _kinks, _newton_system
from convexnet.solvers._kinks import Neurons, newton
from convexnet.solvers._newton_system import NewtonSolver, NewtonSystem
from convexnet.solvers._relu_state import network_of, resized, with_slopes


def random_system(seed: int, *, free: bool = True) -> NewtonSystem:
    generator = np.random.default_rng(seed)
    n, q, m = 40, 4, 5
    p = q - 1 if seed % 2 else q
    units = generator.standard_normal((m, p))
    units /= np.linalg.norm(units, axis=1)[:, None]
    units[0] = 0  # a neuron that the norm holds at zero
    slopes = generator.choice([-1.0, 0.0, 0.3, 1.0], (n, m))
    bend = np.where(generator.random((n, m)) < 0.2, generator.random((n, m)) * 10, 0.0)
    columns = generator.standard_normal((n, 2 if free else 0))
    return NewtonSystem(
        generator.standard_normal((n, q)), slopes, generator.random(n), bend, units, generator.random(m) + 0.1, columns
    )


def reference(system: NewtonSystem) -> np.ndarray:
    """The Hessian, row by row from its formula."""
    q, m = system.rows.shape[1], system.slopes.shape[1]
    A = np.hstack([system.slopes[:, [j]] * system.rows for j in range(m)] + [system.columns])
    H = A.T @ np.diag(system.curvature) @ A
    p = system.units.shape[1]
    for j in range(m):
        block = system.rows.T @ np.diag(system.bend[:, j]) @ system.rows
        block[:p, :p] += system.pull[j] * (np.eye(p) - np.outer(system.units[j], system.units[j]))
        H[j * q : (j + 1) * q, j * q : (j + 1) * q] += block
    return H


@pytest.mark.parametrize("seed", range(4))
def test_products_diagonal_blocks_and_the_assembled_matrix_agree(seed: int) -> None:
    system = random_system(seed, free=seed < 2)
    H = reference(system)
    x = np.random.default_rng(9).standard_normal(system.size)
    np.testing.assert_allclose(system.apply(x), H @ x, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(system.diagonal(), np.diag(H), rtol=1e-12)
    dense = system.dense(np.float64)
    assert dense is not None
    np.testing.assert_allclose(np.tril(dense), np.tril(H), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(system.block(1), H[4:8, 4:8], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("limits", [(400, 6000, 1500), (1, 6000, 1500), (1, 6000, 1), (1, 1, 1)])
def test_every_way_of_solving_finds_the_newton_step(limits: tuple[int, int, int], monkeypatch: Any) -> None:
    for name, value in zip(("_DIRECT", "_DENSE", "_SINGLE"), limits, strict=True):
        monkeypatch.setattr(_newton_system, name, value)
    solver = NewtonSolver()
    for seed in (0, 2, 2):  # the last one meets its own factor
        system = random_system(seed)
        gradient = np.random.default_rng(seed).standard_normal(system.size)
        x = solver.solve(system, gradient, 0.0, 1e-12)
        assert np.linalg.norm(system.apply(x) + gradient) <= 1e-7 * np.linalg.norm(gradient)


def test_a_stopped_system_still_gives_a_descent_direction(monkeypatch: Any) -> None:
    monkeypatch.setattr(_newton_system, "_DENSE", 1)
    system = random_system(2)
    gradient = np.random.default_rng(0).standard_normal(system.size)
    late = time.perf_counter() - 1
    assert NewtonSolver().solve(system, gradient, 0.0, 1e-12, late) @ gradient < 0
    assert system.dense(np.float64, late) is None


CASES: list[tuple[str, dict[str, Any]]] = [
    ("squared", {}),
    ("squared", {"bias": "free"}),
    ("squared", {"skip": True, "activation": "leaky", "negative_slope": 0.2}),
    ("logistic", {"bias": "none"}),
    ("logistic", {"activation": "absolute"}),
    ("huber", {"intercept": True}),
    ("huber", {"weights": True}),
]


def started(loss: str, options: dict[str, Any], seed: int = 0) -> tuple[TrainingProblem, Neurons]:
    """A problem and neurons of random directions with their best amplitudes."""
    options = dict(options)
    generator = np.random.default_rng(seed)
    n, d = 50, 3
    X = generator.standard_normal((n, d))
    y = np.maximum(X @ generator.standard_normal((d, 2)), 0) @ [1.0, -1.0] + 0.1 * generator.standard_normal(n)
    weight = generator.uniform(0, 2, n) if options.pop("weights", False) else None
    target = np.where(y > np.median(y), 1.0, -1.0) if loss == "logistic" else y
    problem = TrainingProblem(X, target, loss=loss, reg=1.0, sample_weight=weight, **options)
    u = generator.standard_normal((12, problem.extended.shape[1]))
    signs = np.where(np.arange(12) % 2, 1.0, -1.0)
    return problem, resized(problem, with_slopes(problem, u, signs, np.zeros(problem.free_columns.shape[1])))


def violation(problem: TrainingProblem, state: Neurons) -> float:
    """Largest entry of the true gradient over the neurons, kinked samples at their multiplier, relative to reg."""
    z = problem.extended @ state.u.T
    size = np.linalg.norm(problem.extended, axis=1)[:, None] * np.linalg.norm(state.u, axis=1)
    slopes = np.where(np.abs(z) <= 1e-7 * size, state.theta, np.where(z > 0, 1.0, problem.kappa))
    residual = problem.gradient((slopes * z) @ state.signs + problem.free_columns @ state.free)
    gradient = (slopes * residual[:, None]).T @ problem.extended * state.signs[:, None]
    p = problem.d if problem.bias == "free" else problem.extended.shape[1]
    gradient[:, :p] += problem.reg * state.u[:, :p] / np.linalg.norm(state.u[:, :p], axis=1)[:, None]
    return max(np.abs(gradient).max(initial=0.0), np.abs(problem.free_columns.T @ residual).max(initial=0.0))


@pytest.mark.parametrize(("loss", "options"), CASES)
@pytest.mark.parametrize("iterative", [False, True])
def test_newton_reaches_stationary_points(
    loss: str, options: dict[str, Any], iterative: bool, monkeypatch: Any
) -> None:
    if iterative and loss != "huber":  # where Huber's loss is linear only a factor gives useful steps
        monkeypatch.setattr(_newton_system, "_DIRECT", 1)
        monkeypatch.setattr(_newton_system, "_DENSE", 1)
    problem, start = started(loss, options)
    state, error = newton(problem, start)
    assert error <= 1e-9
    assert violation(problem, state) <= 1e-6 * problem.reg
    assert problem.objective(network_of(problem, state)) <= problem.objective(network_of(problem, start)) + 1e-9


def test_the_clock_is_kept() -> None:
    problem, start = started("squared", {})
    state, error = newton(problem, start, deadline=time.perf_counter() - 1)
    assert state is start
    assert error == np.inf


def test_neurons_of_no_use_are_removed() -> None:
    problem, start = started("squared", {})
    heavy = problem.with_options(reg=20.0)
    state, error = newton(heavy, start)
    assert len(state.u) < len(start.u)
    assert error <= 1e-9
    assert violation(heavy, state) <= 1e-5


def test_columns_in_other_units_do_not_spoil_the_finish() -> None:
    problem, start = started("squared", {"bias": "none"})
    scale = np.array([1e3, 1.0, 1e-2])
    scaled = TrainingProblem(problem.X * scale, problem.y, reg=1.0, bias="none")
    _, error = newton(scaled, resized(scaled, with_slopes(scaled, start.u / scale, start.signs, start.free)))
    assert error <= 1e-8
    assert _kinks.has_curvature(scaled)


def test_a_loss_may_bring_its_own_curvature() -> None:
    class Bent:
        name = "bent"

        def curvature(self, f: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
            return 3 * np.ones_like(f)

    problem = started("squared", {})[0]
    object.__setattr__(problem, "loss", Bent())
    assert _kinks.curvature(problem, problem.y).tolist() == [3.0] * problem.n
    assert _kinks.has_curvature(problem)
