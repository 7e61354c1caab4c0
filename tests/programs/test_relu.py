"""The ReLU program: value, dual vector and recovered network agree for every loss, activation, bias rule and norm."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.grids import latin
from programs.program_cases import SCALAR_LOSSES, dual_ratio, patterns_of, small_problem, vector_problem
from scipy.optimize import nnls

from convexnet.arrangements import cell_facets, sample_patterns
from convexnet.errors import PatternError, ProblemError
from convexnet.losses import InterpolationLoss
from convexnet.problem import TrainingProblem
from convexnet.programs import build_relu

ACTIVATIONS = ("relu", "leaky", "absolute")


def verify(problem, program, rel=1e-7):
    """Everything that must hold at a solution, from the data: returns the recovered network."""
    network, nu, f, value = program.recover(), program.nu(), program.predictions, program.value
    size = max(np.max(np.abs(f)), np.max(np.abs(problem.y)))
    assert problem.objective(network) == pytest.approx(value, rel=rel, abs=rel)
    np.testing.assert_allclose(network.predict(problem.X), f, rtol=0, atol=20 * rel * size)
    assert problem.loss.in_domain(nu, problem.y, problem.sample_weight)
    assert problem.loss.dual_value(nu, problem.y, problem.sample_weight) == pytest.approx(value, rel=10 * rel, abs=rel)
    np.testing.assert_allclose(nu, program.fit.dual_value, rtol=0, atol=1e-6 + 10 * rel)
    if problem.loss.smooth:
        np.testing.assert_allclose(nu, -problem.gradient(f), rtol=0, atol=1e-5 + 10 * rel)
    assert np.all(np.abs(problem.free_columns.T @ nu) <= 1e-7)
    assert dual_ratio(problem, nu) <= problem.reg * (1 + 1e-5)
    norms = network.neuron_norms(problem.bias, problem.norm)
    np.testing.assert_allclose(norms, np.abs(network.output_weights), rtol=1e-9)
    return network


@pytest.mark.parametrize(
    ("loss", "bias", "activation", "norm"),
    latin(SCALAR_LOSSES, ["penalized", "free", "none"], ACTIVATIONS, ["l2", "l1"], every=3),
)
def test_value_network_and_dual_vector_agree(loss, bias, activation, norm):
    problem = small_problem(loss, bias=bias, activation=activation, norm=norm)
    program = build_relu(problem, patterns_of(problem))
    assert program.model.is_dpp()
    assert program.solve() == "optimal"
    verify(problem, program)


@pytest.mark.parametrize("loss", SCALAR_LOSSES)
@pytest.mark.parametrize(
    "options",
    [
        {"intercept": True},
        {"skip": True},
        {"bias": "free", "skip": True},
        {"bias": "none", "skip": True, "intercept": True},
    ],
    ids=str,
)
def test_unpenalised_terms(loss, options):
    problem = small_problem(loss, **options)
    program = build_relu(problem, patterns_of(problem))
    program.solve()
    network = verify(problem, program)
    assert (network.skip is not None) == problem.skip


def test_a_coarse_dual_vector_is_still_orthogonal_to_the_free_columns():
    problem = small_problem(bias="free", skip=True)
    program = build_relu(problem, patterns_of(problem))
    program.solve()
    raw = program.fit.dual_value + 0.01 * np.arange(7)
    program.fit.dual_variables[0].save_value(raw)
    assert problem.dual_objective(raw) == -np.inf
    assert np.isfinite(problem.dual_objective(program.nu()))


@pytest.mark.parametrize("loss", SCALAR_LOSSES)
def test_sample_weights_also_zero_ones(loss):
    problem = small_problem(loss, sample_weight=[1.0, 2.0, 0.0, 0.5, 1.0, 3.0, 0.1])
    program = build_relu(problem, patterns_of(problem))
    program.solve()
    verify(problem, program)
    assert program.nu()[2] == 0


def test_known_optimum_of_two_points():
    """By hand: v = (w, 0) per point, 2 * (1/2 (1 - w)^2 + reg w), so w = 0.9 and the value is 2 (0.005 + 0.09)."""
    problem = TrainingProblem([[-1.0], [1.0]], [1.0, 1.0], reg=0.1, bias="none")
    program = build_relu(problem, np.array([[0, 1], [1, 0]]))
    program.solve()
    assert program.value == pytest.approx(0.19, abs=1e-8)
    np.testing.assert_allclose(program.nu(), [0.1, 0.1], atol=1e-7)
    network = program.recover()
    active = network.pruned(1e-6)
    np.testing.assert_allclose(sorted(active.weights[:, 0]), [-np.sqrt(0.9), np.sqrt(0.9)], atol=1e-6)
    np.testing.assert_allclose(active.output_weights, np.sqrt(0.9), atol=1e-6)


@pytest.mark.filterwarnings("ignore::convexnet.errors.InaccurateSolutionWarning")
@pytest.mark.parametrize("loss", ["squared", "absolute", "hinge", "huber"])
def test_ecos_agrees(loss):
    problem = small_problem(loss)
    program = build_relu(problem, patterns_of(problem))
    program.solve()
    value = program.value
    program.solve("ECOS", tol=1e-7)
    assert program.value == pytest.approx(value, rel=1e-6)
    verify(problem, program, rel=1e-6)


@pytest.mark.parametrize("loss", SCALAR_LOSSES)
def test_scs_agrees_within_its_own_gap(loss):
    problem = small_problem(InterpolationLoss(tol=1e-5) if loss == "interpolation" else loss, reg=1.0)
    if loss in ("logistic", "hinge"):
        problem = small_problem(loss, reg=1.0)
    program = build_relu(problem, patterns_of(problem))
    program.solve()
    value = program.value
    assert program.solve("SCS", tol=1e-8) == "optimal"
    nu = program.nu() * min(1.0, problem.reg / dual_ratio(problem, program.nu()))
    lower = problem.loss.dual_value(problem.loss.best_scale(nu, problem.y, s_max=1.0) * nu, problem.y)
    upper = problem.objective(program.recover())
    assert lower - 1e-6 <= value <= upper + 1e-6
    assert upper - lower <= 1e-4


@pytest.mark.parametrize("loss", ["absolute", "hinge", "interpolation"])
def test_highs_solves_the_linear_programs(loss):
    problem = small_problem(loss, norm="l1")
    program = build_relu(problem, patterns_of(problem))
    program.solve()
    value = program.value
    assert program.solve("HIGHS") == "optimal"
    assert program.value == pytest.approx(value, rel=1e-7)
    verify(problem, program)


def test_a_new_reg_reuses_the_model_and_equals_a_fresh_build():
    problem = small_problem()
    program = build_relu(problem, patterns_of(problem))
    program.solve()
    for reg in (0.5, 0.02):
        program.reg.value = reg
        program.solve()
        other = problem.with_options(reg=reg)
        fresh = build_relu(other, patterns_of(other))
        fresh.solve()
        assert program.value == pytest.approx(fresh.value, rel=1e-8)
        assert other.objective(program.recover()) == pytest.approx(program.value, rel=1e-7)


def test_a_large_reg_gives_the_empty_network():
    problem = small_problem(reg=100.0)
    program = build_relu(problem, patterns_of(problem))
    program.solve()
    assert program.recover(tol=1e-6).n_neurons == 0
    assert program.value == pytest.approx(0.5 * float(problem.y @ problem.y), rel=1e-8)


@pytest.mark.parametrize("options", [{}, {"bias": "free"}, {"bias": "none", "activation": "leaky"}], ids=str)
def test_facet_rows_are_enough(options):
    problem = small_problem(**options)
    patterns = patterns_of(problem)
    rows = [cell_facets(patterns, problem.extended, p) for p in range(len(patterns))]
    assert sum(map(len, rows)) < len(patterns) * problem.n
    values = []
    for cone_rows in (None, rows):
        program = build_relu(problem, patterns, cone_rows=cone_rows)
        program.solve()
        verify(problem, program)
        values.append(program.value)
    assert values[1] == pytest.approx(values[0], rel=1e-8)


def test_a_part_of_the_cells_gives_an_upper_bound_and_its_support_the_optimum():
    problem = small_problem()
    patterns = patterns_of(problem)
    program = build_relu(problem, patterns)
    program.solve()
    support = {name: np.flatnonzero(np.linalg.norm(program.block(name), axis=0) > 1e-5) for name in ("V", "W")}
    part = build_relu(problem, patterns, positive=support["V"], negative=support["W"])
    part.solve()
    assert part.variables["V"].shape == (3, len(support["V"]))
    assert part.value == pytest.approx(program.value, rel=1e-8)
    verify(problem, part)
    worse = build_relu(problem, patterns, positive=support["V"][:1], negative=[])
    worse.solve()
    assert "W" not in worse.variables
    assert worse.value > program.value * 1.01
    assert problem.objective(worse.recover()) == pytest.approx(worse.value, rel=1e-7)


@pytest.mark.parametrize("options", [{}, {"intercept": True}, {"bias": "free", "skip": True}], ids=str)
def test_no_cells_at_all_is_the_null_model(options):
    problem = small_problem(**options)
    program = build_relu(problem, patterns_of(problem), positive=[], negative=[])
    program.solve()
    columns = problem.free_columns
    residual = problem.y - (columns @ np.linalg.lstsq(columns, problem.y, rcond=None)[0] if columns.size else 0.0)
    assert program.value == pytest.approx(0.5 * float(residual @ residual), rel=1e-8)
    np.testing.assert_allclose(program.nu(), residual, atol=1e-7)
    assert program.recover().n_neurons == 0


def test_constant_neurons_of_a_free_bias_go_to_the_intercept():
    problem = TrainingProblem([[0.0], [1.0], [2.0]], [5.0, 5.0, 5.0], reg=0.1, bias="free")
    program = build_relu(problem, patterns_of(problem))
    program.solve()
    network = program.recover(tol=1e-6)
    assert network.n_neurons == 0
    assert network.intercept == pytest.approx(5.0, abs=1e-5)
    assert program.value == pytest.approx(0.0, abs=1e-6)


def test_a_zero_row_carries_no_constraint():
    problem = TrainingProblem([[0.0], [1.0], [-2.0]], [1.0, 1.0, -1.0], reg=0.1, bias="none")
    program = build_relu(problem, patterns_of(problem))
    program.solve()
    network = verify(problem, program)
    assert network.predict([[0.0]])[0] == 0


@pytest.mark.parametrize("reg", [1.0, 1e-3])
def test_badly_scaled_columns(reg):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((40, 4)) * np.array([1e-3, 1e2, 1.0, 1e-1])
    problem = TrainingProblem(X, np.sin(X[:, 1] / 50) + X[:, 2], reg=reg)
    program = build_relu(problem, sample_patterns(problem.extended, 15, random_state=0))
    program.solve()
    network = program.recover()
    assert problem.objective(network) == pytest.approx(program.value, rel=1e-7)
    size = np.max(np.abs(program.predictions))
    np.testing.assert_allclose(network.predict(X), program.predictions, rtol=0, atol=1e-8 * size)


def listed_reg_max(problem, patterns):
    """Largest gain ``+-y . sigma(E u)`` of a unit u in a listed cell: the distance of the gain to the polar cone."""
    E, gains = problem.extended, []
    for column in patterns.T:
        A, gain = E * (2.0 * column - 1.0)[:, None], E.T @ (column * problem.y)
        gains += [nnls(A.T, -gain)[1], nnls(A.T, gain)[1]]
    return max(gains)


@pytest.mark.filterwarnings("ignore::convexnet.errors.InaccurateSolutionWarning")
@pytest.mark.parametrize("count", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_raw_breast_cancer_data(count):
    """Column scales from 1e-3 to 1e3, untouched: the network predicts what the program says."""
    from sklearn.datasets import load_breast_cancer

    X, labels = load_breast_cancer(return_X_y=True)
    problem = TrainingProblem(X, 2.0 * labels - 1, reg=1.0)
    E = problem.extended
    directions = np.random.default_rng(0).standard_normal((E.shape[1], 2 * count))
    drawn = (E / np.linalg.norm(E, axis=0) @ directions >= 0).astype(np.uint8)
    patterns = np.unique(drawn, axis=1)[:, :count]
    assert patterns.shape[1] == count
    problem = problem.with_options(reg=0.05 * listed_reg_max(problem, patterns))
    program = build_relu(problem, patterns)
    program.solve()
    network = program.recover()
    size = np.max(np.abs(program.predictions))
    assert size > 0.1
    np.testing.assert_allclose(network.predict(X), program.predictions, rtol=0, atol=1e-9 * size)
    assert problem.objective(network) == pytest.approx(program.value, rel=1e-8)


def test_several_outputs_are_refused():
    problem = vector_problem()
    with pytest.raises(ProblemError, match="build_gated"):
        build_relu(problem, patterns_of(problem))


@pytest.mark.parametrize(
    "patterns",
    [
        np.ones((6, 2)),
        np.ones((7, 0)),
        np.full((7, 1), 2),
        np.full((7, 1), 0.5),
        np.ones(7),
        [[1], [0, 1]],
        [["a"]] * 7,
    ],
    ids=["other n", "empty", "two", "half", "one-dimensional", "ragged", "text"],
)
def test_wrong_patterns_are_refused(patterns):
    with pytest.raises(PatternError):
        build_relu(small_problem(), patterns)


def test_patterns_of_other_data_are_refused():
    problem = small_problem()
    with pytest.raises(PatternError):
        build_relu(problem, patterns_of(small_problem(seed=1)))
    with pytest.raises(PatternError):
        build_relu(problem, patterns_of(problem.with_options(bias="none")))


@pytest.mark.parametrize(
    "options",
    [
        {"positive": [7000]},
        {"positive": [-1]},
        {"negative": [1, 1]},
        {"negative": [[0]]},
        {"negative": [0.5]},
        {"cone_rows": [[0]]},
        {"cone_rows": [[0], [7]]},
        {"cone_rows": [[0], [-1]]},
        {"cone_rows": [[0], [0.5]]},
    ],
    ids=str,
)
def test_wrong_indices_are_refused(options):
    with pytest.raises(PatternError):
        build_relu(small_problem(), np.ones((7, 2)), **options)
