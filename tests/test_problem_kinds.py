"""The label-noise norm and the threshold activation: what they mean, what excludes them, and who refuses them."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import itertools
import json
import pickle
import pkgutil
import time
from fractions import Fraction

import numpy as np
import pytest

import convexnet
from convexnet.arrangements import enumerate_patterns, face_patterns
from convexnet.errors import ConvexNetError, NetworkError, ProblemError
from convexnet.networks import (
    GatedNetwork,
    ShallowNetwork,
    ThresholdNetwork,
    label_noise_norms,
    label_noise_penalty,
)
from convexnet.pricing import DualPoint
from convexnet.problem import TrainingProblem, require_path_norm
from convexnet.programs import build_label_noise
from convexnet.solving.front import METHODS

X = np.array([[1.0, 0.5], [0.0, -1.0], [2.0, 1.5], [-1.0, 0.25]])
Y = np.array([1.0, -0.5, 0.25, 2.0])


def made(kind, X=X, y=Y, **options):
    chosen = {"label_noise": {"norm": "label_noise"}, "threshold": {"activation": "threshold"}, "relu": {}}[kind]
    return TrainingProblem(X, y, **{"reg": 0.1, **chosen, **options})


# ------------------------------------------------------------------------------------------------------- who refuses
EITHER = {  # neither activation nor norm matters to these
    "pricing.dual_bound", "pricing.enumerable", "pricing.feasible_dual", "pricing.null_prediction",
    "problem.require_path_norm",
}  # fmt: skip
OWN = {  # what treats one of the two; it must refuse everything else
    "label_noise": {
        "solve", "certify", "memorize", "reg_max", "pricing.price_null", "baselines.label_noise_sgd",
        "baselines.train_label_noise", "certificates.judge_label_noise", "certificates.check_interpolable",
        "certificates.find_contradiction", "pricing.LabelNoisePricer", "pricing.price_label_noise",
        "pricing.price_points", "programs.build_label_noise",
    },
    "threshold": {
        "solve", "certify", "memorize", "reg_max", "pricing.price_null", "certificates.check_interpolable",
        "certificates.find_contradiction", "pricing.price_threshold", "pricing.threshold_patterns",
        "programs.build_threshold", "solvers.solve_threshold", "certificates.judge_threshold",
    },
}  # fmt: skip


def entries():
    """Every public function and class that takes a problem, by name; result objects are only containers."""
    rooms = ["", *(m.name for m in pkgutil.iter_modules(convexnet.__path__) if not m.name.startswith("_"))]
    seen = {}
    for room in rooms:
        module = importlib.import_module(f"convexnet.{room}" if room else "convexnet")
        for name in getattr(module, "__all__", []):
            item = getattr(module, name)
            if not callable(item) or dataclasses.is_dataclass(item) or item is TrainingProblem:
                continue
            if isinstance(item, type) and issubclass(item, Exception):
                continue
            parameters = inspect.signature(item).parameters
            if "problem" in parameters and id(item) not in seen:
                seen[id(item)] = (f"{room}.{name}".lstrip("."), item)
    return dict(seen.values())


ENTRIES = entries()


def arguments(item, problem):
    """Arguments that a problem with ReLU neurons would accept."""
    patterns = enumerate_patterns(problem.extended)
    net = ShallowNetwork([[1.0, 0.0]], [0.0], [1.0])
    gated = GatedNetwork(patterns.witnesses, np.zeros((2, len(patterns))))
    nu = np.array([0.1, 0.2, -0.2, -0.1])
    known = {
        "problem": problem, "network": net, "nu": nu, "patterns": patterns, "path": "unused.json", "proof": {},
        "pattern": patterns.patterns[:, 0], "directions": patterns.witnesses, "width": 3, "responses": X, "N": nu,
        "certificate": None, "what": "this", "point": DualPoint(nu, np.zeros(0, dtype=int), 0.0), "pricing_bound": 1.0,
    }  # fmt: skip
    if item.__name__ in ("certify_gated", "decompose_gated"):
        known["network"] = gated
    required = [p.name for p in inspect.signature(item).parameters.values() if p.default is p.empty and p.kind < 4]
    return {name: known[name] for name in {*required, "problem"}}


def test_the_walk_meets_the_main_entries():
    names = ("solve", "certify", "train", "compare", "regularization_path", "programs.build_relu", "solvers.solve_relu",
             "solvers.solve_gated", "certificates.judge", "pricing.price_cells", "pricing.price_slabs")  # fmt: skip
    assert set(names) <= set(ENTRIES) and len(ENTRIES) > 50


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for kind in OWN for name in ENTRIES if name not in EITHER and name not in OWN[kind]]
)
def test_every_public_entry_refuses_what_it_does_not_treat(name, kind):
    problem, item = made(kind), ENTRIES[name]
    given = arguments(item, problem)
    start = time.perf_counter()
    with pytest.raises(ProblemError, match=r"norm='label_noise'|activation='threshold'|label-noise|threshold neurons"):
        item(**given)
    assert time.perf_counter() - start < 2.0


@pytest.mark.parametrize("kind", ["label_noise", "threshold"])
def test_the_refusal_names_the_way_out(kind):
    with pytest.raises(ProblemError, match="convexnet.solve and judged by convexnet.certificates.judge_" + kind):
        require_path_norm(made(kind), "this")
    with pytest.raises(ProblemError, match="gated_objective"):
        made(kind).gated_objective(GatedNetwork(np.zeros((2, 0)), np.zeros((2, 0))))


@pytest.mark.parametrize("options", [{}, {"norm": "l1"}, {"activation": "absolute"}, {"bias": "free", "skip": True}])
def test_other_problems_pass(options):
    require_path_norm(made("relu", **options), "this")


# ------------------------------------------------------------------------------------------- what goes with what
@pytest.mark.parametrize(
    ("kind", "options", "word"),
    [
        ("label_noise", {"skip": True}, "linear term"),
        ("label_noise", {"intercept": True}, "intercept"),
        ("label_noise", {"bias": "free"}, "free biases"),
        ("label_noise", {"y": np.column_stack([Y, Y])}, "one output"),
        ("label_noise", {"activation": "threshold"}, "leave norm out"),
        ("threshold", {"norm": "l1"}, "leave norm out"),
        ("threshold", {"bias": "free"}, "free biases"),
        ("threshold", {"skip": True}, "linear term"),
        ("threshold", {"y": np.column_stack([Y, Y])}, "one output"),
        ("threshold", {"y": [0, 1, 2, 0], "loss": "softmax"}, "one output"),
    ],
)
def test_options_that_contradict_are_named(kind, options, word):
    with pytest.raises(ProblemError, match=word):
        made(kind, **options)


@pytest.mark.parametrize("kind", ["label_noise", "threshold"])
def test_problems_of_the_new_kinds_copy_hash_and_change_like_others(kind):
    problem = made(kind)
    twin = pickle.loads(pickle.dumps(problem))
    assert twin.conventions() == problem.conventions() and twin.data_hash == problem.data_hash
    json.dumps(problem.conventions(), allow_nan=False)
    back = problem.with_options(activation="relu", norm="l2")
    assert back.conventions() == made("relu").conventions() and problem.reg == 0.1
    assert kind in repr(problem)


def test_threshold_takes_an_intercept_and_no_slope():
    problem = made("threshold", intercept=True)
    assert problem.free_columns.shape == (4, 1) and np.isnan(problem.kappa)
    assert problem.conventions()["kappa"] is None


# ------------------------------------------------------------------------------------------------- label-noise cost
def penalty_by_hand(net, problem):
    """Half the sum over samples and neurons of the squared gradient, in rational signs, for scaled neurons."""
    total = []
    for w, b, c in zip(net.weights.tolist(), net.biases.tolist(), net.output_weights.tolist(), strict=True):
        forward = slopes = 0.0
        for x in problem.X.tolist():
            t = sum(Fraction(p) * Fraction(q) for p, q in zip(x, w, strict=True)) + Fraction(b)
            slope = 1.0 if t > 0 else problem.kappa
            forward += (slope * float(t)) ** 2
            slopes += slope**2 * (sum(v * v for v in x) + (problem.bias == "penalized"))
        total.append(abs(c) * np.sqrt(forward * slopes))
    return float(sum(total))


@pytest.mark.parametrize("activation", ["relu", "leaky", "absolute"])
@pytest.mark.parametrize("bias", ["penalized", "none"])
def test_label_noise_objective_equals_the_formula_and_the_balanced_gradient(activation, bias):
    rng = np.random.default_rng(3)
    biases = rng.normal(size=5) * (bias == "penalized")
    net = ShallowNetwork(rng.normal(size=(5, 2)), biases, rng.normal(size=5), 0.0, None, activation, 0.2)
    problem = made("label_noise", activation=activation, negative_slope=0.2, bias=bias)
    cost = penalty_by_hand(net, problem)
    assert problem.objective(net) == pytest.approx(problem.loss_value(net.predict(X)) + 0.1 * cost, rel=1e-13)
    norms = label_noise_norms(net, X, bias)
    assert np.abs(net.output_weights) @ norms == pytest.approx(cost, rel=1e-13)
    assert label_noise_penalty(net, X, bias) >= cost * (1 - 1e-14)
    slopes = label_noise_norms(ShallowNetwork(net.weights, biases, np.ones(5), 0.0, None, activation, 0.2), X, bias)
    sizes = np.linalg.norm(net.hidden(X), axis=0)
    alive = np.where(sizes > 0, sizes, 1.0)
    g = np.where(sizes > 0, np.sqrt(np.abs(net.output_weights) * slopes) / alive, 1.0)  # both halves become equal
    balanced = ShallowNetwork(
        net.weights * g[:, None], biases * g, net.output_weights / g, 0.0, None, activation, 0.2
    )
    assert label_noise_penalty(balanced, X, bias) == pytest.approx(cost, rel=1e-12)
    assert problem.objective(balanced) == pytest.approx(problem.objective(net), rel=1e-12)


def test_points_on_the_border_are_inactive_in_exact_arithmetic():
    rows = np.array([[0.1, 0.3], [-0.1, -0.3], [1.0, 1.0]])
    on = ShallowNetwork([[0.3, -0.1]], [0.0], [1.0])  # 0.1 * 0.3 - 0.3 * 0.1 = 0 exactly, whatever rounding says
    off = ShallowNetwork([[0.3, -np.nextafter(0.1, 0)]], [0.0], [1.0])
    assert label_noise_norms(on, rows, "none")[0] == pytest.approx(0.2 * np.sqrt(2), rel=1e-14)
    assert label_noise_norms(off, rows, "none")[0] == pytest.approx(0.2 * np.sqrt(2.1), rel=1e-14)


def test_label_noise_refuses_foreign_networks():
    problem = made("label_noise", bias="none")
    with pytest.raises(NetworkError, match="biases"):
        problem.objective(ShallowNetwork([[1.0, 0.0]], [1.0], [1.0]))
    with pytest.raises(NetworkError, match="one output"):
        label_noise_norms(ShallowNetwork([[1.0, 0.0]], [0.0], [[1.0, 2.0]]), X)
    with pytest.raises(NetworkError, match="bias='none'"):
        label_noise_norms(ShallowNetwork([[1.0, 0.0]], [1.0], [1.0]), X, "none")
    with pytest.raises(ConvexNetError):
        label_noise_norms(ShallowNetwork([[1.0, 0.0]], [1.0], [1.0]), X, "free")


@pytest.mark.parametrize("size", [1e-150, 1e120])
def test_label_noise_cost_survives_extreme_scales(size):
    net = ShallowNetwork([[1.0 * size, 0.0]], [0.0], [1.0 / size])
    plain = ShallowNetwork([[1.0, 0.0]], [0.0], [1.0])
    problem = made("label_noise", bias="none")
    assert problem.objective(net) == pytest.approx(problem.objective(plain), rel=1e-12)


# ------------------------------------------------------------------------------------------------ threshold networks
def test_threshold_objective_by_hand():
    net = ThresholdNetwork([[1.0, 0.0], [0.0, 0.0]], [-1.0, 0.0], [2.0, -0.5], 0.25)
    problem = made("threshold", intercept=True)
    f = np.array([2.0 - 0.5, -0.5, 2.0 - 0.5, -0.5]) + 0.25
    np.testing.assert_array_equal(net.predict(X), f)
    assert problem.objective(net) == pytest.approx(0.5 * np.sum((f - Y) ** 2) + 0.1 * 2.5, rel=1e-14)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e150])
def test_threshold_network_ignores_the_size_of_its_weights(scale):
    rng = np.random.default_rng(5)
    w, b = rng.normal(size=(6, 2)), rng.normal(size=6)
    plain, scaled = (ThresholdNetwork(w * s, b * s, np.ones(6)) for s in (1.0, scale))
    np.testing.assert_array_equal(plain.activation_patterns(X), scaled.activation_patterns(X))
    np.testing.assert_array_equal(plain.activation_patterns(X), X @ w.T + b >= 0)


def test_threshold_signs_are_those_of_exact_arithmetic():
    rows = np.array([[0.1, 0.3], [-0.1, -0.3]])
    assert ThresholdNetwork([[0.3, -0.1]], [0.0], [1.0]).activation_patterns(rows).ravel().tolist() == [1, 1]
    tiny = ThresholdNetwork([[1e-300, 0.0]], [0.0], [1.0])
    assert tiny.activation_patterns(1e-100 * rows).ravel().tolist() == [1, 0]  # the products underflow


def test_threshold_network_is_immutable_and_copies():
    net = ThresholdNetwork([[1.0, 0.0]], [0.5], [[2.0]], 1.0)
    twin = pickle.loads(pickle.dumps(net))
    assert twin.to_dict() == net.to_dict() and net.output_weights.shape == (1,)
    json.dumps(net.to_dict())
    with pytest.raises(ValueError, match="read-only"):
        twin.weights[0] = 1.0
    assert ThresholdNetwork([[1.0], [2.0]], [0.0, 0.0], [0.0, 1.0]).pruned().n_neurons == 1
    assert ThresholdNetwork(np.zeros((0, 2)), [], []).predict(X).tolist() == [0.0] * 4
    assert "zero amplitudes" in net.summary() and repr(net) == "ThresholdNetwork(neurons=1, features=2)"


@pytest.mark.parametrize(
    "arrays",
    [([1.0], [0.0], [1.0]), ([[1.0]], [0.0, 1.0], [1.0]), ([[1.0]], [0.0], [[1.0, 2.0]]), ([[np.nan]], [0.0], [1.0]),
     ([["a"]], [0.0], [1.0]), (np.zeros((1, 0)), [0.0], [1.0]), ([[1.0]], [0.0], [1.0], [1.0, 2.0])],
)  # fmt: skip
def test_threshold_network_names_bad_arrays(arrays):
    with pytest.raises(NetworkError):
        ThresholdNetwork(*arrays)


def test_networks_and_problems_must_match():
    relu, threshold = ShallowNetwork([[1.0, 0.0]], [0.0], [1.0]), ThresholdNetwork([[1.0, 0.0]], [0.0], [1.0])
    with pytest.raises(NetworkError, match="Expected a ThresholdNetwork"):
        made("threshold").objective(relu)
    with pytest.raises(NetworkError, match="Expected a ShallowNetwork"):
        made("relu").objective(threshold)
    for changes, word in (({"X": X[:, :1]}, "features"), ({"bias": "none"}, None)):
        problem = made("threshold", **changes)
        net = ThresholdNetwork([[1.0, 0.0]], [0.5], [1.0])
        with pytest.raises(NetworkError, match=word):
            problem.objective(net)
    with pytest.raises(NetworkError, match="intercept"):
        made("threshold").objective(ThresholdNetwork([[1.0, 0.0]], [0.0], [1.0], 0.5))


def test_reg_max_is_where_the_null_model_starts_to_lose():
    for kind, bias in itertools.product(["label_noise", "threshold"], ["penalized", "none"]):
        problem = made(kind, bias=bias)
        top = convexnet.reg_max(problem)
        null = problem.loss_value(np.zeros(4))
        assert top > 0 and top == pytest.approx(convexnet.reg_max(problem.with_options(reg=7.0)))
        rng = np.random.default_rng(0)
        best = np.inf
        for _ in range(300):
            w, b, a = rng.normal(size=(1, 2)), rng.normal(size=1) * (bias == "penalized"), rng.normal() * 1e-3
            net = ThresholdNetwork(w, b, [a]) if kind == "threshold" else ShallowNetwork(w, b, [a])
            assert problem.with_options(reg=1.001 * top).objective(net) >= null
            best = min(best, problem.with_options(reg=0.5 * top).objective(net))
        assert best < null


# ---------------------------------------------------------------------------------------------------- the front door
@pytest.mark.parametrize("kind", ["label_noise", "threshold"])
# "memorize" trains problems of every kind, by their own methods
@pytest.mark.parametrize("method", sorted(set(METHODS) - {"label_noise", "threshold", "memorize"}))
def test_solve_refuses_methods_of_other_problems(kind, method):
    with pytest.raises(ProblemError, match="judge_" + kind):
        convexnet.solve(made(kind), method=method)


@pytest.mark.parametrize("kind", ["label_noise", "threshold"])
def test_solve_picks_the_method_of_the_problem(kind):
    solution = convexnet.solve(made(kind))
    assert solution.method == kind and solution.certificate.verdict == "optimal"
    with pytest.raises(ProblemError):
        convexnet.solve(made("relu"), method=kind)


def test_label_noise_without_a_positive_direction_needs_faces():
    rows = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]
    problem = made("label_noise", X=rows, y=[0.0, 0.0, 1.0], reg=0.2, bias="none")
    values = []
    for patterns in (enumerate_patterns(rows), face_patterns(rows, closed=False)):
        program = build_label_noise(problem, patterns)
        program.solve()
        values.append(program.value)
    # a neuron on the face sees the last row alone: kappa = 1; every cell has one of the others too: sqrt(2)
    cells, faces = (0.2 * k - 0.02 * k**2 for k in (np.sqrt(2), 1.0))
    assert values == [pytest.approx(cells, rel=1e-7), pytest.approx(faces, rel=1e-7)]
    assert problem.objective(ShallowNetwork([[0.0, 0.8]], [0.0], [1.0])) == pytest.approx(faces, rel=1e-12)
