"""The gated program: value, dual vector and network agree for one and for several outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from programs.program_cases import SCALAR_LOSSES, patterns_of, small_problem, vector_problem

from convexnet.errors import PatternError, ProblemError
from convexnet.programs import build_gated, build_relu


def group_dual_norms(problem, patterns, nu, group):
    """Dual norms of ``E^T S_p nu``: at most reg at a dual feasible nu, for every p."""
    S = np.where(patterns.patterns == 1, 1.0, problem.kappa)
    N = nu.reshape(problem.n, -1)
    blocks = [problem.extended.T @ (S[:, [p]] * N) for p in range(S.shape[1])]
    if problem.norm == "l1":
        return np.array([np.max(np.linalg.norm(B, axis=1)) for B in blocks])
    return np.array([np.linalg.norm(B, 2 if group == "nuclear" else "fro") for B in blocks])


def verify(problem, patterns, group="nuclear"):
    program = build_gated(problem, patterns, group=group)
    assert program.model.is_dpp()
    program.solve(tol=1e-8 if problem.loss.name == "squared" else None)
    network, nu, f = program.recover(), program.nu(), program.predictions
    assert problem.gated_objective(network, group) == pytest.approx(program.value, rel=1e-7)
    np.testing.assert_allclose(network.predict(problem.X), f, rtol=0, atol=1e-8 * np.max(np.abs(problem.y)))
    assert problem.loss.in_domain(nu, problem.y)
    assert problem.loss.dual_value(nu, problem.y) == pytest.approx(program.value, rel=1e-7)
    assert np.max(group_dual_norms(problem, patterns, nu, group)) <= problem.reg * (1 + 1e-5)
    assert np.all(np.abs(problem.free_columns.T @ nu) <= 1e-7)
    if problem.loss.smooth:
        np.testing.assert_allclose(nu, -problem.gradient(f), rtol=0, atol=2e-5)
    return program


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("activation", ["relu", "leaky", "absolute"])
@pytest.mark.parametrize("bias", ["penalized", "none"])
@pytest.mark.parametrize("loss", SCALAR_LOSSES)
def test_one_output(loss, bias, activation, norm):
    problem = small_problem(loss, bias=bias, activation=activation, norm=norm)
    verify(problem, patterns_of(problem))


@pytest.mark.parametrize("group", ["nuclear", "frobenius"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("loss", ["squared", "huber", "absolute", "interpolation", "softmax"])
def test_several_outputs(loss, intercept, group):
    problem = vector_problem(loss, intercept=intercept)
    patterns = patterns_of(problem)
    verify(problem, patterns.subset(np.arange(0, len(patterns), 4)), group)


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_several_outputs_with_the_l1_norm_skip_and_leaky(loss):
    problem = vector_problem(loss, norm="l1", activation="leaky", reg=0.6)
    verify(problem, patterns_of(problem))
    problem = vector_problem(loss, bias="none", skip=True, reg=0.6)
    verify(problem, patterns_of(problem))


def test_it_is_a_relaxation_over_complete_patterns():
    problem = small_problem()
    gated, relu = (build(problem, patterns_of(problem)) for build in (build_gated, build_relu))
    gated.solve()
    relu.solve()
    assert gated.value < relu.value * 0.99


def test_frobenius_groups_are_smaller_than_nuclear_ones():
    problem = vector_problem()
    patterns = patterns_of(problem).subset(np.arange(6))
    assert verify(problem, patterns, "frobenius").value < verify(problem, patterns, "nuclear").value * 0.999


def test_a_new_reg_equals_a_fresh_build():
    problem = vector_problem()
    patterns = patterns_of(problem).subset(np.arange(5))
    program = build_gated(problem, patterns)
    program.solve()
    program.reg.value = 0.05
    program.solve()
    assert program.value == pytest.approx(verify(problem.with_options(reg=0.05), patterns).value, rel=1e-8)


def test_options_that_make_no_sense_are_refused():
    problem = small_problem(bias="free")
    with pytest.raises(ProblemError, match="fit any targets"):
        build_gated(problem, patterns_of(problem))
    problem = vector_problem(norm="l1")
    with pytest.raises(ProblemError, match="frobenius"):
        build_gated(problem, patterns_of(problem), group="frobenius")
    with pytest.raises(ProblemError, match="group"):
        build_gated(problem, patterns_of(problem), group="trace")


def test_a_witness_outside_its_cell_is_refused():
    problem = small_problem()
    patterns = patterns_of(problem)
    with pytest.raises(PatternError, match="too thin"):
        build_gated(problem, replace(patterns, witnesses=np.roll(patterns.witnesses, 1, axis=1)))
    with pytest.raises(PatternError):
        build_gated(problem, patterns.patterns[:, :0])
