"""The label-noise program against the same model written out cell by cell, and its network against both penalties."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from helpers.grids import latin

from convexnet import TrainingProblem, enumerate_patterns
from convexnet.arrangements import face_patterns
from convexnet.errors import InfeasibleError, PatternError, ProblemError
from convexnet.networks import label_noise_penalty
from convexnet.pricing import dual_bound, feasible_dual, price_label_noise
from convexnet.programs import build_label_noise

LOSSES = ("squared", "huber", "absolute", "logistic", "hinge", "interpolation")
ACTIVATIONS = ("relu", "leaky", "absolute")


def draw(n: int, d: int, seed: int, loss: str = "squared", **options: Any) -> TrainingProblem:
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    y = np.where(y > 0, 1.0, -1.0) if loss in ("logistic", "hinge") else y
    reg = {} if loss == "interpolation" else {"reg": 0.05}
    return TrainingProblem(X, y, loss=loss, norm="label_noise", negative_slope=0.2, **reg, **options)


def written_out(problem: TrainingProblem, G: np.ndarray) -> float:
    """The optimal value of the program, one variable and one constraint a cell and sign, all rows."""
    E, f, penalty, cones = problem.extended, 0, 0, []
    for bits in G.T:
        gate = np.where(bits > 0, 1.0, problem.kappa)
        weight = np.sqrt(sum(g**2 * np.sum(row**2) for g, row in zip(gate, E, strict=True)))
        for sign in (1, -1):
            v = cp.Variable(E.shape[1])
            f = f + sign * cp.multiply(gate, E @ v)
            penalty = penalty + weight * cp.norm(cp.multiply(gate, E @ v))
            cones.append(cp.multiply(2.0 * bits - 1, E @ v) >= 0)
    loss, more = problem.loss.expression(f, problem.y, problem.sample_weight)
    model = cp.Problem(cp.Minimize(loss + problem.reg * penalty), cones + more)
    return float(model.solve(solver="CLARABEL", tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9))


def own_objective(problem: TrainingProblem, network: Any) -> float:
    """Loss and half the squared gradients of the network as it is, from the parameters."""
    X = problem.X if problem.bias == "none" else np.column_stack([problem.X, np.ones(problem.n)])
    w = network.weights if problem.bias == "none" else np.column_stack([network.weights, network.biases])
    slopes = np.where(X @ w.T > 0, 1.0, problem.kappa)
    total = 0.0
    for x, s in zip(X, slopes, strict=True):
        total += np.sum((s * (w @ x)) ** 2) + np.sum((network.output_weights * s) ** 2) * (x @ x)
    return problem.loss_value(network.predict(problem.X)) + problem.reg / 2 * total


@pytest.mark.parametrize(("loss", "activation"), latin(LOSSES, ACTIVATIONS, every=3))
def test_value_is_that_of_the_written_out_model_and_of_its_network(loss: str, activation: str) -> None:
    problem = draw(6, 2, 1, loss, activation=activation)
    patterns = enumerate_patterns(problem.extended)
    program = build_label_noise(problem, patterns)
    program.solve(tol=1e-10)
    assert program.value == pytest.approx(written_out(problem, patterns.patterns), rel=1e-6)
    network = program.recover()
    assert problem.objective(network) == pytest.approx(program.value, rel=1e-6)
    assert own_objective(problem, network) == pytest.approx(program.value, rel=1e-6)
    penalty = label_noise_penalty(network, problem.X)
    total = problem.loss_value(network.predict(problem.X)) + problem.reg * penalty
    assert total == pytest.approx(program.value, rel=1e-6)


@pytest.mark.parametrize(("d", "seed"), latin((1, 2), (0, 1, 2, 3), every=2))
def test_program_scaled_dual_and_network_agree(d: int, seed: int) -> None:
    problem = draw(7, d, seed)
    patterns = enumerate_patterns(problem.extended)
    program = build_label_noise(problem, patterns)
    program.solve(tol=1e-11)
    point = feasible_dual(problem, program.nu())
    bound, _ = dual_bound(problem, point, price_label_noise(problem, point.nu, patterns).bound)
    value = program.value
    assert bound == pytest.approx(value, abs=1e-8) and bound <= value + 1e-9
    assert own_objective(problem, program.recover()) == pytest.approx(value, abs=1e-8)


def test_border_points_stay_inactive() -> None:
    """At the optimum many neurons bend exactly at a point, which would cost its whole length if it were active."""
    problem = draw(15, 1, 3)
    program = build_label_noise(problem, enumerate_patterns(problem.extended))
    program.solve(tol=1e-10)
    network = program.recover()
    near = np.abs(network.preactivations(problem.X)) <= 1e-6 * np.abs(network.weights[:, 0])
    assert near.any()
    assert problem.objective(network) == pytest.approx(program.value, rel=1e-7)


def test_facet_rows_describe_the_same_program() -> None:
    from convexnet.arrangements import cell_facets

    problem = draw(8, 2, 5)
    patterns = enumerate_patterns(problem.extended)
    rows = [cell_facets(patterns, problem.extended, p) for p in range(len(patterns))]
    values = []
    for cone_rows in (None, rows):
        program = build_label_noise(problem, patterns, cone_rows=cone_rows)
        program.solve(tol=1e-10)
        values.append(program.value)
    assert values[0] == pytest.approx(values[1], rel=1e-8)


def test_faces_are_needed_without_a_bias_and_enough() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(-3, 4, (4, 2)).astype(float)
    problem = TrainingProblem(
        np.concatenate([base, -base[:3]]), rng.standard_normal(7), norm="label_noise", reg=0.02, bias="none"
    )
    values = []
    for patterns in (enumerate_patterns(problem.X), face_patterns(problem.X, closed=False).patterns):
        program = build_label_noise(problem, patterns)
        program.solve(tol=1e-10)
        values.append(program.value)
    assert values[1] < values[0] * (1 - 1e-3)
    faces = face_patterns(problem.X, closed=False)
    program = build_label_noise(problem, faces)
    program.solve(tol=1e-10)
    # Neurons on faces are zero exactly where the face is, in exact arithmetic.
    assert problem.objective(program.recover()) == pytest.approx(values[1], rel=1e-7)


def test_users_add_constraints() -> None:
    problem = draw(6, 1, 0)
    program = build_label_noise(problem, enumerate_patterns(problem.extended))
    program.solve()
    signed = program.with_constraints([program.variables["f"] >= 0])
    signed.solve()
    assert signed.value >= program.value - 1e-9
    assert signed.predictions.min() >= -1e-7


def test_infeasible_interpolation_is_named() -> None:
    problem = TrainingProblem([[1.0], [1.0], [2.0]], [1.0, 2.0, 0.0], loss="interpolation", norm="label_noise")
    program = build_label_noise(problem, enumerate_patterns(problem.extended))
    with pytest.raises(InfeasibleError, match="No network with these patterns fits"):
        program.solve()


def test_named_errors() -> None:
    problem = draw(5, 1, 0)
    patterns = enumerate_patterns(problem.extended)
    with pytest.raises(ProblemError, match="norm='label_noise'"):
        build_label_noise(problem.with_options(norm="l2"), patterns)
    with pytest.raises(PatternError, match="active at any point"):
        build_label_noise(problem, np.zeros((5, 1)))
    with pytest.raises(PatternError, match="active nowhere"):
        build_label_noise(problem, np.column_stack([np.zeros(5), np.ones(5)]), positive=[0])
    with pytest.raises(PatternError, match="other data"):
        build_label_noise(problem, enumerate_patterns(2 * problem.extended))
    with pytest.raises(PatternError, match="pattern indices"):
        build_label_noise(problem, patterns, positive=[99])
