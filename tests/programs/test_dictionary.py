"""The l1 program as a CVXPY model: its value is the objective of its network; facet rows change no program."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.grids import latin
from helpers.verify import network_objective

from convexnet import TrainingProblem, enumerate_patterns, sample_patterns
from convexnet.errors import InfeasibleError, PatternError, ProblemError
from convexnet.pricing import cell_atoms
from convexnet.programs import build_dictionary, build_relu
from convexnet.solvers import solve_dictionary

LOSSES = ("squared", "huber", "logistic", "absolute", "hinge", "interpolation")


def make(loss: str, seed: int = 0, **options: object) -> tuple[TrainingProblem, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((7, 2))
    y = np.where(np.arange(7) % 2, 1.0, -1.0) if loss in ("logistic", "hinge") else rng.standard_normal(7)
    problem = TrainingProblem(X, y, loss=loss, reg=None if loss == "interpolation" else 0.1, **options)
    return problem, rng.standard_normal((problem.extended.shape[1], 30))


@pytest.mark.parametrize(
    ("loss", "options"), latin(LOSSES, ({}, {"bias": "free", "skip": True}, {"bias": "none", "norm": "l1"}), every=3)
)
def test_value_is_the_objective_of_the_recovered_network(loss: str, options: dict) -> None:
    problem, directions = make(loss, 1, **options)
    program = build_dictionary(problem, directions)
    program.solve()
    network = program.recover()
    assert network_objective(problem, network) == pytest.approx(program.value, rel=1e-6)
    assert network.n_neurons <= 30
    assert program.value == pytest.approx(solve_dictionary(problem, directions).objective, rel=1e-6)
    assert np.allclose(program.predictions, network.predict(problem.X), atol=1e-6)


def test_linear_programs_are_solved_by_the_simplex_method() -> None:
    problem, directions = make("interpolation", 2)
    program = build_dictionary(problem, directions)
    program.solve("HIGHS")
    assert program.recover().n_neurons <= 7
    nu = program.nu()
    assert nu @ problem.y == pytest.approx(program.value, rel=1e-9)
    outputs = np.maximum(problem.extended @ directions, 0) / np.linalg.norm(directions, axis=0)
    assert np.max(np.abs(nu @ outputs)) <= 1 + 1e-9


def test_reg_is_a_parameter_and_constraints_can_be_added() -> None:
    problem, directions = make("squared", 3)
    program = build_dictionary(problem, directions)
    program.solve()
    program.reg.value = 0.5
    program.solve()
    again = solve_dictionary(problem.with_options(reg=0.5), directions)
    assert program.value == pytest.approx(again.objective, rel=1e-6)
    positive = program.with_constraints([program.variables["z"] >= 0])
    positive.solve()
    assert positive.value >= program.value * (1 - 1e-7)
    assert np.all(positive.recover().output_weights > 0)


def test_atoms_bring_their_signs() -> None:
    problem, _ = make("squared", 4)
    atoms = cell_atoms(problem, problem.y, enumerate_patterns(problem.extended))
    program = build_dictionary(problem, atoms)
    program.solve()
    assert np.min(program.block("z") * atoms.signs) > -1e-7


def test_a_dictionary_that_cannot_fit_is_infeasible_with_a_certificate() -> None:
    problem, directions = make("interpolation", 5)
    program = build_dictionary(problem, directions[:, :3])
    with pytest.raises(InfeasibleError) as caught:
        program.solve()
    nu = np.asarray(caught.value.certificate)
    assert nu @ problem.y == pytest.approx(1)
    assert np.max(np.abs(nu @ np.maximum(problem.extended @ directions[:, :3], 0))) < 1e-5


# ------------------------------------------------------------------------------------------------- facet-only cone rows
@pytest.mark.parametrize("bias", ["penalized", "free", "none"])
def test_facet_rows_give_the_program_of_all_rows(bias: str) -> None:
    problem, _ = make("squared", 6, bias=bias)
    patterns = enumerate_patterns(problem.extended)
    whole, facets = build_relu(problem, patterns), build_relu(problem, patterns, cone_rows="facets")
    for program in (whole, facets):
        program.solve(tol=1e-10)
    assert facets.value == pytest.approx(whole.value, rel=1e-8)
    rows = [sum(c.size for c in program.model.constraints) for program in (whole, facets)]
    assert rows[1] < 0.8 * rows[0]


def test_facet_rows_of_a_partial_list() -> None:
    problem, _ = make("squared", 7)
    patterns = sample_patterns(problem.extended, 8, random_state=0)
    values = []
    for rows in (None, "facets"):
        program = build_relu(problem, patterns, cone_rows=rows)
        program.solve(tol=1e-10)
        values.append(program.value)
    assert values[0] == pytest.approx(values[1], rel=1e-8)


def test_facet_rows_need_a_pattern_set() -> None:
    problem, _ = make("squared", 8)
    patterns = enumerate_patterns(problem.extended)
    with pytest.raises(PatternError, match="PatternSet"):
        build_relu(problem, patterns.patterns, cone_rows="facets")
    with pytest.raises(ProblemError, match="cone_rows"):
        build_relu(problem, patterns, cone_rows="all")
