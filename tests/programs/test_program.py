"""What a program offers around its solve: statuses, limits, infeasibility, and the user's own constraints."""

from __future__ import annotations

import subprocess
import sys
import warnings

import cvxpy as cp
import numpy as np
import pytest
from programs.program_cases import patterns_of, small_problem

from convexnet.errors import InaccurateSolutionWarning, InfeasibleError, PatternError, ProblemError, SolverError
from convexnet.problem import TrainingProblem
from convexnet.programs import SOLVERS, ProgramStatus, build_gated, build_relu
from convexnet.programs.solver import solver_options


def relu_program(loss="squared", **options):
    problem = small_problem(loss, **options)
    return build_relu(problem, patterns_of(problem))


def test_importing_the_room_does_not_import_cvxpy():
    code = "import sys, convexnet.programs; print(any(m in sys.modules for m in ('cvxpy', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_values_before_a_solve_are_refused():
    program = relu_program()
    for call in (lambda: program.value, lambda: program.predictions, program.nu, program.recover):
        with pytest.raises(ProblemError, match="solve"):
            call()
    assert "unsolved" in repr(program)
    program.solve()
    assert repr(program).startswith("Program(f(7,), V(3,") and "optimal, value=" in repr(program)
    with pytest.raises(ProblemError, match="no variable 'U'"):
        program.block("U")


@pytest.mark.parametrize("solver", ["CLARABEL", "ECOS", "SCS"])
def test_an_iteration_limit_is_a_status_and_does_not_stick(solver):
    program = relu_program()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert program.solve(solver, max_iter=3) is ProgramStatus.ITERATION_LIMIT
        limited = program.value
        assert program.solve(solver, tol=1e-7) == "optimal"
    assert limited != pytest.approx(program.value, rel=1e-3)
    program.recover()


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
def test_a_time_limit_is_a_status_and_does_not_stick(solver):
    program = relu_program()
    assert program.solve(solver, time_limit=1e-6, tol=1e-9) is ProgramStatus.TIME_LIMIT
    assert program.solve(solver) == "optimal"


def test_an_unreachable_tolerance_warns_in_our_own_words():
    program = relu_program()
    program.solve()
    value = program.value
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert program.solve(tol=1e-17) is ProgramStatus.INACCURATE
    assert [w.category for w in caught] == [InaccurateSolutionWarning]
    assert program.value == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_setting_is_translated(solver):
    limit = None if solver == "ECOS" else 7.0
    options = solver_options(solver, tol=1e-5, max_iter=11, time_limit=limit)
    assert 11 in options.values() and 1e-5 in options.values()
    assert limit is None or limit in options.values()


def test_bad_settings_are_refused():
    program = relu_program()
    for options in ({"solver": "clarabel"}, {"solver": "MOSEK"}, {"tol": 0.0}, {"max_iter": 0}, {"time_limit": -1.0}):
        with pytest.raises(ProblemError):
            program.solve(**options)
    with pytest.raises(ProblemError, match="no time limit"):
        program.solve("ECOS", time_limit=1.0)
    with pytest.raises(SolverError, match="linear programs only"):
        program.solve("HIGHS")
    with pytest.raises(ProblemError, match="solve"):
        _ = program.value


@pytest.mark.parametrize(
    ("X", "y", "bias", "build"),
    [
        ([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]], [1.0, 2.0, 0.0], "penalized", build_relu),
        ([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]], [1.0, 2.0, 0.0], "penalized", build_gated),
        ([[1.0], [2.0]], [1.0, 3.0], "none", build_relu),
        ([[1.0], [2.0]], [1.0, 3.0], "none", build_gated),
        ([[1.0], [2.0], [2.0]], [1.0, 3.0, 4.0], "free", build_relu),
    ],
)
def test_interpolation_of_contradictory_data_is_infeasible_with_a_proof(X, y, bias, build):
    problem = TrainingProblem(X, y, loss="interpolation", bias=bias)
    program = build(problem, patterns_of(problem))
    with pytest.raises(InfeasibleError, match="repeated rows") as caught:
        program.solve()
    nu = caught.value.certificate
    assert nu @ problem.y == pytest.approx(1.0, abs=1e-9)
    T = problem.extended @ np.random.default_rng(0).standard_normal((problem.extended.shape[1], 1000))
    np.testing.assert_allclose(nu @ np.maximum(T, 0.0), 0.0, atol=1e-5)
    np.testing.assert_allclose(problem.free_columns.T @ nu, 0.0, atol=1e-6)
    with pytest.raises(ProblemError):
        _ = program.value


def test_a_false_farkas_vector_is_not_believed():
    problem = TrainingProblem([[1.0], [2.0]], [1.0, 3.0], loss="interpolation", bias="none")
    program = build_relu(problem, patterns_of(problem))
    assert program.farkas(np.array([-2.0, 1.0]))
    assert not program.farkas(np.array([-2.0, 1.01]))
    assert not build_relu(problem.with_options(intercept=True), patterns_of(problem)).farkas(np.array([-2.0, 1.0]))
    gated = build_gated(problem, patterns_of(problem))
    assert gated.farkas(np.array([-2.0, 1.0])) and not gated.farkas(np.array([-2.0, 1.01]))


def test_contradictory_constraints_are_named_as_the_cause():
    program = relu_program()
    f = program.variables["f"]
    with pytest.raises(InfeasibleError, match="added constraints") as caught:
        program.with_constraints([f[0] >= 1, f[0] <= 0]).solve()
    assert caught.value.certificate is None


def test_an_unbounded_penalty_is_an_error():
    program = relu_program()
    with pytest.raises(SolverError, match="bounded"):
        program.with_penalty(-1e3 * cp.sum(program.variables["f"])).with_penalty(
            -1e3 * cp.sum(cp.Variable(1, name="extra"))
        ).solve()


def test_non_negative_output_weights():
    program = relu_program()
    program.solve()
    free_value = program.value
    signed = program.with_constraints([program.variables["W"] == 0])
    signed.solve()
    network = signed.recover()
    assert np.all(network.output_weights > 0)
    assert signed.value > free_value * 1.01
    assert program.problem.objective(network) == pytest.approx(signed.value, rel=1e-7)
    alone = build_relu(program.problem, patterns_of(program.problem), negative=[])
    alone.solve()
    assert alone.value == pytest.approx(signed.value, rel=1e-7)


def test_a_prediction_that_is_monotone_in_a_feature():
    program = relu_program()
    V, W = program.variables["V"], program.variables["W"]
    grid = np.column_stack([np.linspace(-4, 4, 200), np.full(200, 0.3)])
    program.solve()
    assert np.max(np.diff(program.recover().predict(grid))) > 1e-2
    monotone = program.with_constraints([V[0] <= 0, W[0] >= 0])
    monotone.solve()
    network = monotone.recover()
    assert np.max(np.diff(network.predict(grid))) <= 1e-6
    assert program.problem.objective(network) == pytest.approx(monotone.value, rel=1e-6)


def test_a_penalty_on_the_predictions_enters_the_dual_vector():
    program = relu_program()
    program.solve()
    plain = program.value
    f = program.variables["f"]
    damped = program.with_penalty(0.5 * cp.sum_squares(f))
    damped.solve()
    assert damped.value > plain
    np.testing.assert_allclose(damped.nu(), -(2 * damped.predictions - program.problem.y), atol=1e-6)
    assert damped.model.is_dpp()


def test_raw_patterns_have_no_gates():
    problem = small_problem()
    program = build_gated(problem, patterns_of(problem).patterns)
    program.solve()
    with pytest.raises(PatternError, match="PatternSet"):
        program.recover()
