"""The cone decomposition: same predictions on the data, blocks in their cells, smallest norms."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from programs.program_cases import patterns_of, small_problem, vector_problem

from convexnet.arrangements import cell_facets, sample_patterns
from convexnet.errors import NetworkError, PatternError, ProblemError
from convexnet.networks import GatedNetwork
from convexnet.problem import TrainingProblem
from convexnet.programs import build_gated, build_relu, decompose_gated


def gated_solution(problem, patterns):
    program = build_gated(problem, patterns)
    program.solve()
    return program.recover()


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("activation", ["relu", "leaky", "absolute"])
@pytest.mark.parametrize("options", [{}, {"bias": "none", "skip": True}, {"intercept": True}], ids=str)
def test_same_predictions_and_an_upper_bound(options, activation, norm):
    problem = small_problem(activation=activation, norm=norm, **options)
    patterns = patterns_of(problem)
    gated = gated_solution(problem, patterns)
    result = decompose_gated(problem, gated, patterns)
    np.testing.assert_allclose(result.network.predict(problem.X), gated.predict(problem.X), rtol=0, atol=1e-11)
    assert result.norm_before == pytest.approx(gated.group_norm(problem.bias, norm))
    assert result.norm_after == pytest.approx(result.network.path_norm(problem.bias, norm))
    assert result.factor == pytest.approx(result.norm_after / result.norm_before) and result.factor >= 1
    program = build_relu(problem, patterns)
    program.solve()
    assert problem.objective(result.network) >= program.value * (1 - 1e-8)


@pytest.mark.parametrize("p", [0, 3, 11, 30])
def test_the_norm_is_the_smallest_possible(p):
    """One gate against the same problem written out entry by entry."""
    problem = small_problem()
    patterns = patterns_of(problem)
    weights = np.zeros((3, len(patterns)))
    weights[:, p] = [1.0, -2.0, 0.5]
    gated = GatedNetwork(patterns.witnesses, weights[:2], weights[2])
    v, w = cp.Variable(3), cp.Variable(3)
    cones = []
    for i in range(problem.n):
        sign = 1 if patterns.patterns[i, p] else -1
        cones += [sign * (problem.extended[i] @ v) >= 0, sign * (problem.extended[i] @ w) >= 0]
    model = cp.Problem(cp.Minimize(cp.norm(v) + cp.norm(w)), [v - w == weights[:, p], *cones])
    model.solve(solver="CLARABEL", tol_gap_rel=1e-10)
    result = decompose_gated(problem, gated, patterns)
    assert result.norm_after == pytest.approx(model.value, rel=1e-6)
    assert result.network.n_neurons <= 2


def test_a_block_already_in_its_cell_costs_nothing_extra():
    problem = small_problem()
    patterns = patterns_of(problem)
    weights = np.zeros((3, len(patterns)))
    weights[:, 5] = 2 * patterns.witnesses[:, 5]
    result = decompose_gated(problem, GatedNetwork(patterns.witnesses, weights[:2], weights[2]), patterns)
    assert result.factor == pytest.approx(1.0, abs=1e-7)


def test_facet_rows_and_chunks_of_blocks_give_the_same():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    problem = TrainingProblem(X, np.sin(2 * X[:, 0]), reg=0.5)
    patterns = sample_patterns(problem.extended, 60, random_state=0)
    gated = gated_solution(problem, patterns)
    rows = [cell_facets(patterns, problem.extended, p) for p in range(len(patterns))]
    plain, faceted = (decompose_gated(problem, gated, patterns, cone_rows=r) for r in (None, rows))
    assert faceted.norm_after == pytest.approx(plain.norm_after, rel=1e-6)
    np.testing.assert_allclose(plain.network.predict(X), gated.predict(X), rtol=0, atol=1e-9)


def test_an_empty_network_and_the_printout():
    problem = small_problem()
    patterns = patterns_of(problem)
    P = len(patterns)
    result = decompose_gated(problem, GatedNetwork(patterns.witnesses, np.zeros((2, P)), np.zeros(P)), patterns)
    assert (result.network.n_neurons, result.norm_after, result.factor) == (0, 0.0, 1.0)
    assert repr(result) == "ConeDecomposition(neurons=0, norm 0 -> 0, factor=1)"
    assert "path norm of the ReLU network" in result.summary()
    assert set(result.to_dict()) == {"network", "norm_before", "norm_after", "factor"}


def test_networks_and_patterns_that_do_not_belong_together_are_refused():
    problem = small_problem()
    patterns = patterns_of(problem)
    gated = gated_solution(problem, patterns)
    with pytest.raises(PatternError):
        decompose_gated(problem, gated, patterns.patterns)
    with pytest.raises(PatternError, match="gates"):
        decompose_gated(problem, gated, patterns.subset(np.arange(3)))
    with pytest.raises(PatternError, match="gates"):
        decompose_gated(problem, replace(gated, gates=np.roll(gated.gates, 1, axis=1)), patterns)
    with pytest.raises(NetworkError):
        decompose_gated(problem, replace(gated, activation="leaky"), patterns)
    with pytest.raises(NetworkError):
        decompose_gated(problem, "network", patterns)
    for other in (vector_problem(), small_problem(bias="free")):
        with pytest.raises(ProblemError):
            decompose_gated(other, gated, patterns)
