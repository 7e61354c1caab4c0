"""TrainingProblem: its formulas, the networks it measures, its dual and hash, and that nothing changes it afterwards.

What it accepts and refuses is tested in test_validation.py.
"""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convexnet._hashing import hash_arrays
from convexnet.errors import NetworkError, ProblemError
from convexnet.losses import HuberLoss, get_loss
from convexnet.networks import GatedNetwork, ShallowNetwork
from convexnet.problem import TrainingProblem

X3 = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.0]])
Y3 = np.array([1.0, -1.0, 0.5])


def problem(X=X3, y=Y3, **options):
    return TrainingProblem(X, y, **{"reg": 0.1, **options})


# --- immutability ------------------------------------------------------------------------------------------------


def test_changing_the_arrays_afterwards_changes_nothing():
    X, y, weight = X3.copy(), Y3.copy(), np.array([1.0, 2.0, 0.0])
    made = TrainingProblem(X, y, reg=0.1, sample_weight=weight, skip=True)
    extended, before = made.extended.copy(), made.data_hash
    X[:], y[:], weight[:] = 9.0, 9.0, 9.0
    assert np.array_equal(made.X, X3) and np.array_equal(made.y, Y3) and made.data_hash == before
    assert np.array_equal(made.sample_weight, [1.0, 2.0, 0.0]) and np.array_equal(made.extended, extended)
    made.free_columns[:] = 9.0
    assert np.array_equal(made.free_columns, X3)


@pytest.mark.parametrize("duplicate", [lambda p: p, copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
@pytest.mark.parametrize("loss", ["squared", "softmax", "logistic"])
def test_arrays_are_read_only_also_in_copies(duplicate, loss):
    y = {"squared": Y3, "softmax": [0, 1, 2], "logistic": [1, -1, 1]}[loss]
    options = {"bias": "none", "activation": "leaky", "negative_slope": 0.2}
    original = problem(y=y, loss=loss, sample_weight=[1.0, 2.0, 3.0], **options)
    made = duplicate(original)
    for array in (made.X, made.y, made.sample_weight, made.extended):
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    assert made.data_hash == original.data_hash and made.conventions() == original.conventions()
    assert repr(made) == repr(original)


@pytest.mark.parametrize("name", ["reg", "X", "y", "loss", "n", "anything"])
def test_attributes_cannot_be_set_or_deleted(name):
    made = problem()
    with pytest.raises(AttributeError, match="with_options"):
        setattr(made, name, 1.0)
    with pytest.raises(AttributeError, match="with_options"):
        delattr(made, name)


# --- with_options ------------------------------------------------------------------------------------------------


def test_with_options_changes_what_is_named_and_keeps_the_rest():
    made = problem(loss=HuberLoss(0.3), activation="leaky", negative_slope=0.2, bias="free", skip=True, norm="l1")
    other = made.with_options(reg=0.5)
    assert other.reg == 0.5 and made.reg == 0.1
    assert {**other.conventions(), "reg": 0.1} == made.conventions() and other.data_hash == made.data_hash
    assert made.with_options(sample_weight=[1, 2, 3]).data_hash != made.data_hash
    assert made.with_options(X=X3 + 1).d == 2
    with pytest.raises(ProblemError, match="reg"):
        made.with_options(reg=-1)
    with pytest.raises(TypeError, match="regularisation"):
        made.with_options(regularisation=1)


def test_with_options_follows_the_intercept_of_the_new_bias():
    assert problem().with_options(bias="free").intercept is True
    assert problem(bias="free").with_options(bias="penalized").intercept is False
    assert problem(intercept=True).with_options(bias="none").intercept is True
    assert problem(intercept=True).with_options(bias="free").intercept is True
    assert problem(bias="free").with_options(bias="none", intercept=True).intercept is True


def test_with_options_to_interpolation_and_back():
    exact = problem(reg=0.3).with_options(loss="interpolation")
    assert exact.reg == 1.0
    assert exact.with_options(loss="squared", reg=0.3).reg == 0.3


# --- objective ---------------------------------------------------------------------------------------------------


def by_hand(made, weights, biases, outputs, intercept, skip):
    """The objective neuron by neuron and sample by sample."""
    predictions = np.zeros((made.n, made.n_outputs))
    for i, x in enumerate(made.X.tolist()):
        for w, b, v in zip(weights, biases, outputs, strict=True):
            t = sum(a * c for a, c in zip(w, x, strict=True)) + b
            predictions[i] += max(t, made.kappa * t) * np.asarray(v)
        predictions[i] += intercept
        if skip is not None:
            predictions[i] += np.asarray(x) @ skip
    penalty = 0.0
    for w, b, v in zip(weights, biases, outputs, strict=True):
        entries = [*w, b] if made.bias == "penalized" else [*w]
        size = sum(map(abs, entries)) if made.norm == "l1" else math.sqrt(sum(e * e for e in entries))
        penalty += size * math.sqrt(sum(e * e for e in np.atleast_1d(v)))
    row_weights = np.ones(made.n) if made.sample_weight is None else made.sample_weight
    residuals = np.sum((predictions - made.y.reshape(made.n, -1)) ** 2, axis=1)
    return 0.5 * float(row_weights @ residuals) + made.reg * penalty


@pytest.mark.parametrize("activation", ["relu", "leaky", "absolute"])
@pytest.mark.parametrize("bias", ["penalized", "free", "none"])
@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("extras", [False, True])
def test_objective_equals_the_formula(activation, bias, norm, k, extras):
    rng = np.random.default_rng(4)
    weights, outputs = rng.normal(size=(5, 2)), rng.normal(size=(5, k))
    biases = np.zeros(5) if bias == "none" else rng.normal(size=5)
    y = rng.normal(size=(3, k))
    made = problem(
        y=y, activation=activation, negative_slope=0.2, bias=bias, norm=norm, skip=extras,
        intercept=True if extras else None, sample_weight=[1.0, 0.0, 2.5] if extras else None,
    )  # fmt: skip
    intercept = rng.normal(size=k) if made.intercept else np.zeros(k)
    skip = rng.normal(size=(2, k)) if extras else None
    net = ShallowNetwork(
        weights, biases, outputs if k > 1 else outputs[:, 0], intercept if k > 1 else intercept[0],
        None if skip is None else skip if k > 1 else skip[:, 0], activation, 0.2,
    )  # fmt: skip
    expected = by_hand(made, weights.tolist(), biases.tolist(), outputs.tolist(), intercept, skip)
    assert made.objective(net) == pytest.approx(expected, rel=1e-12)


def test_objective_counts_weight_decay_after_balancing():
    net = ShallowNetwork([[3.0, 4.0]], [0.0], [0.1])
    made = problem(y=[0.0, 0.0, 0.0], reg=2.0)
    assert made.objective(net) == pytest.approx(made.loss_value(net.predict(X3)) + 2.0 * 0.5, rel=1e-14)
    stretched = ShallowNetwork([[300.0, 400.0]], [0.0], [0.001])
    assert made.objective(stretched) == pytest.approx(made.objective(net), rel=1e-12)


def network(**changes):
    fields = {"weights": [[1.0, 2.0]], "biases": [0.0], "output_weights": [1.0], **changes}
    return ShallowNetwork(**fields)


@pytest.mark.parametrize(
    ("net", "options", "message"),
    [
        (network(weights=[[1.0]]), {}, "1 features.*has 2"),
        (network(output_weights=[[1.0, 2.0]]), {}, r"2 output\(s\), the problem 1"),
        (network(), {"y": np.zeros((3, 2))}, r"1 output\(s\), the problem 2"),
        (network(activation="absolute"), {}, "'absolute'.*'relu'"),
        (network(activation="leaky", negative_slope=0.1), {"activation": "leaky"}, "kappa=0.1.*kappa=0.01"),
        (network(biases=[0.5]), {"bias": "none"}, "neuron biases"),
        (network(intercept=0.5), {}, "intercept=True"),
        (network(skip=[1.0, 0.0]), {}, "skip=True"),
    ],
)
def test_networks_outside_of_the_class_are_refused(net, options, message):
    with pytest.raises(NetworkError, match=message):
        problem(**options).objective(net)


def test_zero_extras_are_inside_the_class():
    net = network(intercept=0.0, skip=[0.0, 0.0])
    assert problem(bias="none").objective(net) == problem(bias="none").objective(network())


@pytest.mark.parametrize("net", [None, lambda X: X, "net", GatedNetwork([[1.0], [0.0]], [[1.0], [0.0]])])
def test_only_shallow_networks_have_an_objective(net):
    with pytest.raises(NetworkError, match=r"ShallowNetwork.*gated_objective"):
        problem().objective(net)


def test_gated_objective_and_its_class():
    gates, weights = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, -1.0], [2.0, 0.0]])
    made = problem(bias="none")
    open_gates = np.array([[1, 0], [1, 1], [0, 1]])
    predictions = np.sum(open_gates * (X3 @ weights), axis=1)
    expected = 0.5 * np.sum((predictions - Y3) ** 2) + 0.1 * (math.sqrt(5) + 1)
    assert made.gated_objective(GatedNetwork(gates, weights)) == pytest.approx(expected, rel=1e-12)
    for net, options, message in (
        (network(), {}, "GatedNetwork"),
        (GatedNetwork([[1.0]], [[1.0]]), {}, "features"),
        (GatedNetwork(gates, weights, [1.0, 0.0]), {}, "neuron biases"),
        (GatedNetwork(gates, weights, intercept=1.0), {}, "intercept=True"),
        (GatedNetwork(gates, weights), {"activation": "absolute"}, "activation"),
        (GatedNetwork(gates, weights), {"y": np.zeros((3, 2))}, "output"),
    ):
        with pytest.raises(NetworkError, match=message):
            problem(bias="none", **options).gated_objective(net)


def test_loss_value_and_gradient_are_those_of_the_loss():
    made = problem(sample_weight=[1.0, 2.0, 0.0])
    f = np.array([1.0, 1.0, 5.0])
    assert made.loss_value(f) == 4.0
    assert np.array_equal(made.gradient(f), [0.0, 4.0, 0.0])
    with pytest.raises(ProblemError, match="shape"):
        made.loss_value(f[:, None])


# --- dual --------------------------------------------------------------------------------------------------------


def test_dual_objective_formula_and_domain():
    made = problem()
    nu = np.array([0.5, -0.25, 1.0])
    assert made.dual_objective(nu) == pytest.approx(float(nu @ Y3 - 0.5 * nu @ nu), rel=1e-14)
    assert made.dual_objective(np.zeros(3)) == 0.0
    assert made.dual_objective([math.nan, 0.0, 0.0]) == -math.inf
    assert problem(loss="absolute").dual_objective([1.5, 0.0, 0.0]) == -math.inf
    for wrong in (np.zeros(2), np.zeros((3, 1)), 1.0):
        with pytest.raises(ProblemError, match=r"shape \(3,\)"):
            made.dual_objective(wrong)


@pytest.mark.parametrize(
    "options", [{"bias": "free"}, {"intercept": True}, {"skip": True}, {"bias": "free", "skip": True}]
)
def test_free_columns_make_other_dual_vectors_infeasible(options):
    X = np.random.default_rng(0).normal(size=(6, 2))
    made = problem(X, np.arange(6.0), **options)
    columns = made.free_columns
    assert columns.shape == (6, 2 * made.skip + made.intercept)
    nu = np.random.default_rng(1).normal(size=6)
    assert made.dual_objective(nu) == -math.inf
    nu -= columns @ np.linalg.lstsq(columns, nu, rcond=None)[0]
    assert made.dual_objective(nu) == pytest.approx(float(nu @ made.y - 0.5 * nu @ nu))


def random_network(rng, made):
    m, shape = int(rng.integers(0, 6)), () if made.scalar else (made.n_outputs,)
    skip = rng.normal(size=(made.d, *shape)) if made.skip else None
    intercept = rng.normal(size=shape) if made.intercept else 0.0
    biases = np.zeros(m) if made.bias == "none" else rng.normal(size=m)
    return ShallowNetwork(
        rng.normal(size=(m, made.d)), biases, rng.normal(size=(m, *shape)), intercept, skip, made.activation, 0.01
    )


@pytest.mark.parametrize("loss", ["squared", "huber", "absolute", "logistic", "hinge", "softmax"])
@pytest.mark.parametrize(
    "options", [{}, {"bias": "none", "activation": "absolute"}, {"norm": "l1", "activation": "leaky"}]
)
def test_weak_duality(loss, options):
    """|<nu, sigma(X u)>| <= sum_i ||nu_i|| ||x_i|| for ||u|| <= 1 (also in l1), so nu / that sum is feasible."""
    rng = np.random.default_rng(12)
    for trial in range(10):
        X = rng.normal(size=(6, 2))
        y = rng.integers(0, 3, 6) if loss == "softmax" else rng.choice([-1.0, 1.0], 6)
        y = np.concatenate([[2.0], y[1:]]) if loss == "softmax" else y
        made = problem(X, y, loss=loss, reg=float(rng.uniform(0.05, 3)), sample_weight=rng.uniform(0, 2, 6), **options)
        nu = made.loss.clip_dual(rng.normal(size=made.y.shape), made.y, made.sample_weight)
        size = float(np.linalg.norm(nu.reshape(6, -1), axis=1) @ np.linalg.norm(made.extended, axis=1))
        nu = made.loss.clip_dual(nu * min(1.0, 0.999 * made.reg / size), made.y, made.sample_weight)
        bound = made.dual_objective(nu)
        assert math.isfinite(bound), trial
        for _ in range(10):
            assert bound <= made.objective(random_network(rng, made)) + 1e-12


# --- hash and representation -------------------------------------------------------------------------------------


def test_data_hash_is_fixed():
    tiny = TrainingProblem([[0.0], [1.0]], [1.0, -1.0], reg=1.0)
    assert tiny.data_hash == "058fe253230c84cc7dfca3adc7b7c6e38eccf096ca2a1e919a9c5ca5f75dfe48"
    assert tiny.with_options(reg=2.0, bias="none", loss="absolute").data_hash == tiny.data_hash


@given(st.integers(0, 2), st.integers(0, 2), st.integers(0, 63))
def test_data_hash_sees_every_bit(array, row, bit):
    """Flip one bit of X, y or the weights; flips that make no valid data are skipped."""
    arrays = [X3.copy(), Y3.copy(), np.array([1.0, 2.0, 3.0])]
    flat = arrays[array].reshape(-1)
    flat.view(np.uint64)[row] ^= np.uint64(1 << bit)
    if not np.isfinite(flat).all() or np.abs(flat).max() > 1e100 or (array == 2 and flat.min() < 0):
        return
    changed = problem(arrays[0], arrays[1], sample_weight=arrays[2])
    assert changed.data_hash != problem(sample_weight=[1.0, 2.0, 3.0]).data_hash


def test_hash_depends_on_shape_and_order():
    a, b = np.arange(6.0), np.zeros(6)
    groups = [(a,), (a.reshape(2, 3),), (a.reshape(3, 2),), (a, b), (b, a)]
    hashes = {hash_arrays(*group) for group in groups}
    assert len(hashes) == 5
    assert hash_arrays(np.asfortranarray(a.reshape(2, 3))) == hash_arrays(a.reshape(2, 3))
    assert problem(sample_weight=[1.0, 1.0, 1.0]).data_hash != problem().data_hash


def test_conventions_and_repr():
    made = problem(loss=get_loss("huber", delta=2.0), bias="free", skip=True, norm="l1")
    assert made.conventions() == {
        "loss": {"name": "huber", "delta": 2.0}, "reg": 0.1, "activation": "relu", "kappa": 0.0, "bias": "free",
        "intercept": True, "skip": True, "norm": "l1",
    }  # fmt: skip
    assert repr(made) == (
        "TrainingProblem(n=3, d=2, outputs=1, loss='huber', reg=0.1, activation='relu', bias='free', "
        "intercept=True, skip=True, norm='l1')"
    )
