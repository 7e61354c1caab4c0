"""Losses as functions: values, gradients, CVXPY expressions, proximal operators, targets, overflow."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from losses.loss_cases import CASES, WEIGHTS, make_case, make_weight

from convexnet.errors import ClassLabelsWarning, DataError, LabelsMappedWarning, ProblemError
from convexnet.losses import LOSSES, HuberLoss, Loss, SquaredLoss, get_loss

FINITE = [name for name in CASES if not name.startswith("interpolation")]
PROX = [name for name in CASES if name.split("-")[0] not in ("logistic", "softmax")]
ALL_NAMES = ["squared", "logistic", "huber", "absolute", "hinge", "softmax", "interpolation"]


def direct_value(name: str, f: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
    """The loss written out sample by sample with the math module."""
    w = np.ones(len(y)) if weight is None else weight
    total = 0.0
    for i in range(len(y)):
        fs, ys = np.atleast_1d(f[i]).tolist(), np.atleast_1d(y[i]).tolist()
        pairs = list(zip(fs, ys, strict=True))
        if name == "softmax":
            term = math.log(sum(map(math.exp, fs))) - sum(a * b for a, b in pairs)
        else:
            rule = {
                "squared": lambda a, b: 0.5 * (a - b) ** 2,
                "huber": lambda a, b: 0.5 * (a - b) ** 2 if abs(a - b) <= 0.7 else 0.7 * abs(a - b) - 0.245,
                "absolute": lambda a, b: abs(a - b),
                "logistic": lambda a, b: math.log(1 + math.exp(-a * b)),
                "hinge": lambda a, b: max(0.0, 1 - a * b),
            }[name]
            term = sum(rule(a, b) for a, b in pairs)
        total += w[i] * term
    return total


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", FINITE)
def test_value_equals_the_formula(case, weights):
    for seed in range(3):
        loss, y = make_case(case, seed)
        weight = make_weight(weights, seed)
        f = 2 * np.random.default_rng(seed).normal(size=y.shape)
        assert loss.value(f, y, weight) == pytest.approx(direct_value(loss.name, f, y, weight), rel=1e-12)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", FINITE)
def test_gradient_equals_finite_differences(case, weights):
    loss, y = make_case(case, 5)
    weight = make_weight(weights, 5)
    f = 2 * np.random.default_rng(6).normal(size=y.shape)  # away from the kinks, for this seed
    gradient = loss.gradient(f, y, weight)
    assert gradient.shape == y.shape
    step = 1e-6
    for index in np.ndindex(*y.shape):
        up, down = f.copy(), f.copy()
        up[index] += step
        down[index] -= step
        slope = (loss.value(up, y, weight) - loss.value(down, y, weight)) / (2 * step)
        assert gradient[index] == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", FINITE)
def test_cvxpy_expression_has_the_same_value(case, weights):
    cp = pytest.importorskip("cvxpy")
    loss, y = make_case(case, 8)
    weight = make_weight(weights, 8)
    f = 2 * np.random.default_rng(9).normal(size=y.shape)
    variable = cp.Variable(y.shape)
    expression, constraints = loss.expression(variable, y, weight)
    assert constraints == [] and expression.is_convex() and expression.is_dcp()
    variable.value = f
    assert float(np.sum(expression.value)) == pytest.approx(loss.value(f, y, weight), rel=1e-9)


@pytest.mark.parametrize("case", ["squared", "huber-outputs", "absolute", "hinge", "logistic", "softmax"])
def test_cvxpy_minimisation_agrees_with_a_gradient_of_zero(case):
    cp = pytest.importorskip("cvxpy")
    loss, y = make_case(case, 8)
    weight = make_weight("random", 8)
    variable = cp.Variable(y.shape)
    expression, _ = loss.expression(variable, y, weight)
    objective = expression + 0.5 * cp.sum_squares(variable)
    cp.Problem(cp.Minimize(objective)).solve(solver="CLARABEL")
    f = variable.value
    value = loss.value(f, y, weight) + 0.5 * np.sum(f**2)
    # The dual point nu = f proves it: min L(f) + ||f||^2 / 2 = max -L*(-nu) - ||nu||^2 / 2.
    nu = loss.clip_dual(f, y, weight)
    bound = loss.dual_value(nu, y, weight) - 0.5 * np.sum(nu**2)
    assert bound <= value + 1e-12
    assert value - bound <= 1e-5 * (1 + value)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_interpolation_expression_is_a_constraint_on_the_weighted_samples(weights):
    cp = pytest.importorskip("cvxpy")
    for case in ("interpolation", "interpolation-outputs"):
        loss, y = make_case(case, 3)
        weight = make_weight(weights, 3)
        f = cp.Variable(y.shape)
        expression, constraints = loss.expression(f, y, weight)
        problem = cp.Problem(cp.Minimize(expression + cp.sum_squares(f)), constraints)
        problem.solve(solver="CLARABEL")
        target = y if weight is None else np.where((weight > 0).reshape((-1,) + (1,) * (y.ndim - 1)), y, 0.0)
        assert f.value == pytest.approx(target, abs=1e-7)
        assert loss.value(target, y, weight) == 0.0


def test_interpolation_value_is_zero_or_infinite():
    loss = get_loss("interpolation", tol=1e-6)
    y = np.array([1.0, -2.0])
    assert loss.value(y + np.array([1e-6, -1e-6]), y) == 0.0
    assert loss.value(y + np.array([0.0, 3e-6]), y) == math.inf
    assert loss.value(y + np.array([0.0, 1.0]), y, np.array([1.0, 0.0])) == 0.0
    assert loss.value(np.zeros(2), np.zeros(2)) == 0.0
    with pytest.raises(ProblemError, match="no gradient"):
        loss.gradient(y, y)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", PROX)
def test_prox_minimises_its_objective(case, weights):
    """Every entry against a scalar minimisation by scipy, and the optimality of the joint point."""
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(11)
    for seed, step in ((0, 0.3), (1, 2.5)):
        loss, y = make_case(case, seed)
        weight = make_weight(weights, seed)
        v = 2 * rng.normal(size=y.shape)
        point = loss.prox(v, y, step, weight)
        if loss.name == "interpolation":
            assert loss.value(point, y, weight) == 0.0
            free = np.zeros(len(y), bool) if weight is None else weight == 0
            assert np.array_equal(point[free], v[free])
            continue
        for index in np.ndindex(*y.shape):
            w = 1.0 if weight is None else weight[index[0]]

            def objective(t, i=index, w=w, loss=loss, y=y, v=v, step=step):
                return step * w * loss.value(np.array([t]), y[i].reshape(1)) + 0.5 * (t - v[i]) ** 2

            found = optimize.minimize_scalar(objective, bounds=(-20, 20), method="bounded", options={"xatol": 1e-9})
            assert objective(point[index]) <= found.fun + 1e-12
            assert point[index] == pytest.approx(found.x, abs=1e-5)


@pytest.mark.parametrize("name", ["logistic", "softmax"])
def test_prox_without_closed_form_says_so(name):
    loss, y = make_case(name, 0)
    with pytest.raises(ProblemError, match=name):
        loss.prox(np.zeros(y.shape), y, 1.0)


# --- overflow, precision, shapes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e4, 1e15, 1e300])
def test_logistic_and_softmax_survive_huge_predictions(size):
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        logistic, labels = get_loss("logistic"), np.array([1.0, -1.0, 1.0, -1.0])
        f = size * np.array([1.0, 1.0, -1.0, -1.0])
        assert logistic.value(f, labels) == pytest.approx(2 * size)
        assert np.array_equal(logistic.gradient(f, labels), [0.0, 1.0, -1.0, 0.0])
        softmax, codes = get_loss("softmax"), np.eye(3)[[0, 1]]
        logits = size * np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
        assert softmax.value(logits, codes) == pytest.approx(size)
        assert np.array_equal(softmax.gradient(logits, codes), [[0, 0, 0], [1, -1, 0]])


def test_small_losses_keep_their_digits():
    """log(1 + exp(-40)) is 4e-18 and not 0, also as a two-class softmax with a large common shift."""
    tiny = math.log1p(math.exp(-40.0))
    assert get_loss("logistic").value(np.array([40.0]), np.array([1.0])) == pytest.approx(tiny, rel=1e-12)
    slope = get_loss("logistic").gradient(np.array([40.0]), np.array([1.0]))[0]
    assert slope == pytest.approx(-1 / (1 + math.exp(40.0)), rel=1e-12)
    loss, y = get_loss("softmax"), np.eye(2)[[0]]
    shifted = loss.value(np.array([[1e15 + 1.0, 1e15]]), y)
    assert shifted == pytest.approx(math.log1p(math.exp(-1.0)), rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_float32_and_lists_are_computed_in_double_precision(case):
    loss, y = make_case(case, 2)
    weight = make_weight("random", 2)
    f32 = (y + np.random.default_rng(3).normal(size=y.shape)).astype(np.float32)
    nu32 = (0.3 * np.sign(y) * np.abs(f32)).astype(np.float32)
    f, nu = f32.astype(float), nu32.astype(float)
    for method, single, double in ((loss.value, f32, f), (loss.dual_value, nu32, nu), (loss.best_scale, nu32, nu)):
        assert method(single, y, weight) == method(double, y, weight) == method(double.tolist(), y, weight)
    assert loss.clip_dual(nu32, y, weight).dtype == np.float64
    if loss.name != "interpolation":
        assert loss.gradient(f32, y, weight).dtype == np.float64


def test_shapes_must_agree_instead_of_being_broadcast():
    y = np.zeros(3)
    loss = get_loss("squared")
    for call in (loss.value, loss.gradient, loss.dual_value, loss.clip_dual, loss.in_domain, loss.best_scale):
        with pytest.raises(ProblemError, match="shape"):
            call(np.zeros((3, 1)), y)
    with pytest.raises(ProblemError, match="shape"):
        loss.prox(np.zeros(2), y, 1.0)


# --- targets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["logistic", "hinge"])
def test_labels_zero_one_are_mapped_with_a_warning(name):
    loss = get_loss(name)
    for labels in ([0, 1, 1], [0.0, 1.0, 1.0], np.array([False, True, True])):
        with pytest.warns(LabelsMappedWarning, match=r"-1/\+1"):
            prepared = loss.prepare_targets(labels, 3)
        assert np.array_equal(prepared, [-1.0, 1.0, 1.0]) and not prepared.flags.writeable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(loss.prepare_targets([-1, 1, 1], 3), [-1.0, 1.0, 1.0])
        assert loss.prepare_targets([[-1, 1], [1, 1]], 2).shape == (2, 2)


@pytest.mark.parametrize("name", ["logistic", "hinge"])
@pytest.mark.parametrize("labels", [[0, 1, 2], [1, 2, 2], [-1, 0, 1], [0.5, 1.0, 1.0], np.arange(12)])
def test_wrong_labels_are_refused_with_a_way_out(name, labels):
    with pytest.raises(DataError, match=r"labels -1/\+1.*softmax"):
        get_loss(name).prepare_targets(labels, len(labels))


@pytest.mark.parametrize("name", ["squared", "huber", "absolute", "interpolation"])
def test_integer_class_codes_in_a_regression_warn(name):
    loss = get_loss(name)
    with pytest.warns(ClassLabelsWarning, match="softmax"):
        prepared = loss.prepare_targets([0, 1, 2] * 4, 12)
    assert np.array_equal(prepared, [0.0, 1.0, 2.0] * 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss.prepare_targets([0.0, 1.0, 2.0] * 4, 12)  # floats are amounts
        loss.prepare_targets([0, 1] * 6, 12)  # two levels are an indicator
        loss.prepare_targets([3, 5, 8] * 4, 12)
        loss.prepare_targets([0, 1, 2], 3)  # too few to tell


def test_softmax_codes_become_one_hot_rows():
    loss = get_loss("softmax")
    expected = np.eye(3)[[2, 0, 1, 0]]
    for codes in ([2, 0, 1, 0], [2.0, 0.0, 1.0, 0.0], np.array([[2], [0], [1], [0]]), expected, expected.astype(bool)):
        prepared = loss.prepare_targets(codes, 4)
        assert np.array_equal(prepared, expected) and not prepared.flags.writeable
    assert loss.prepare_targets([0, 2, 2], 3).shape == (3, 3)  # a class without samples keeps its column


@pytest.mark.parametrize(
    "targets",
    [
        [0.5, 1.0, 0.0],
        [-1, 0, 1],
        [0, 0, 0],
        [0, 1, 10**6],
        [[0.5, 0.5], [1, 0], [0, 1]],
        [[1, 1], [1, 0], [0, 1]],
        [[0, 0], [1, 0], [0, 1]],
        [[2, -1], [1, 0], [0, 1]],
    ],
)
def test_softmax_refuses_other_targets(targets):
    with pytest.raises(DataError, match=r"lass|one-hot"):
        get_loss("softmax").prepare_targets(targets, 3)


# --- registry ----------------------------------------------------------------------------------------------------


def test_every_loss_is_registered_under_its_name():
    assert list(LOSSES) == ALL_NAMES
    for name in ALL_NAMES:
        loss = get_loss(name)
        assert loss.name == name and loss.to_dict()["name"] == name and get_loss(loss) is loss


def test_parameters_are_checked_and_frozen():
    loss = get_loss("huber", delta=2)
    assert loss.delta == 2.0 and repr(loss) == "HuberLoss(delta=2.0)"
    assert loss.to_dict() == {"name": "huber", "delta": 2.0}
    assert loss == HuberLoss(2.0) and loss != HuberLoss(1.0) and HuberLoss(1.0) != SquaredLoss()
    with pytest.raises(AttributeError):
        loss.delta = 3.0
    for wrong in ({"delta": 0.0}, {"delta": -1}, {"delta": math.nan}, {"delta": "1"}, {"gamma": 1.0}):
        with pytest.raises(ProblemError, match="delta"):
            get_loss("huber", **wrong)
    with pytest.raises(ProblemError, match="takes none"):
        get_loss("squared", delta=1.0)
    with pytest.raises(ProblemError, match="already"):
        get_loss(loss, delta=1.0)


@pytest.mark.parametrize("wrong", ["mse", "", None, 3, SquaredLoss])
def test_unknown_losses_are_refused(wrong):
    with pytest.raises(ProblemError, match="squared, logistic"):
        get_loss(wrong)


def test_a_new_loss_needs_only_four_methods():
    """The quartic loss, its conjugate known: the base class supplies domain, bound and best scale."""

    class Quartic(Loss):
        name = "quartic"

        def _terms(self, f, y):
            return 0.25 * (f - y) ** 4

        def _slopes(self, f, y):
            return (f - y) ** 3

        def _dual_terms(self, nu, y, weight):
            power = 0.75 * weight * np.abs(nu / weight) ** (4 / 3)
            return nu * y - power, np.abs(nu * y) + power

        def expression(self, f, y, weight=None):
            raise ProblemError("not needed here")

    loss, y, f = Quartic(), np.array([1.0, -2.0]), np.array([0.0, 0.5])
    z = loss.gradient(f, y)
    assert loss.value(f, y) + loss.conjugate(z, y) == pytest.approx(float(z @ f), rel=1e-12)
    scale = loss.best_scale(y, y)
    assert scale == pytest.approx((np.sum(y * y) / np.sum(np.abs(y) ** (4 / 3))) ** 3, rel=1e-6)
