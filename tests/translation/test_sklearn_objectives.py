"""The objectives of scikit-learn's perceptrons: equal to what scikit-learn computes, and what is refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import convexnet
from convexnet.errors import DataError, NetworkError, NoObjectiveError, ProblemError
from convexnet.networks import as_shallow, from_sklearn
from convexnet.translation import objective_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
TARGETS = {
    "regression": np.abs(X[:, 0]) - X[:, 1],
    "two classes": np.where(X[:, 0] + X[:, 1] ** 2 > 0.5, "yes", "no"),
    "three classes": np.digitize(X[:, 0], [-0.5, 0.5]) * 10,
}


def fitted(kind: str, y: Any = None, **options: Any) -> Any:
    options = {"solver": "lbfgs", "alpha": 0.3, "max_iter": 60, "random_state": 0, **options}
    cls = MLPRegressor if kind == "regression" else MLPClassifier
    return cls(hidden_layer_sizes=[12], **options).fit(X, TARGETS[kind] if y is None else y)


def reported(model: Any, y: np.ndarray) -> float:
    """The objective of the weights as they are, evaluated by scikit-learn: one full batch through ``_backprop``."""
    code = getattr(model, "_label_binarizer", None)
    coded = y.reshape(len(y), -1) if code is None else code.transform(y).astype(float)
    layers = [X, *(np.empty((len(X), size)) for size in (12, model.n_outputs_))]
    deltas = [None] * 2
    gradients = [np.empty_like(c) for c in model.coefs_], [np.empty_like(b) for b in model.intercepts_]
    return float(model._backprop(X, coded, None, layers, deltas, *gradients)[0])


@pytest.mark.parametrize("kind", TARGETS)
def test_full_batches_minimise_the_translated_objective(kind: str) -> None:
    model, y = fitted(kind), TARGETS[kind]
    ours, net = objective_of(model, X, y), from_sklearn(model)
    assert (ours.problem.reg, ours.problem.bias, ours.problem.intercept) == (0.3, "free", True)
    assert ours.factor == 60 and not ours.caveats
    assert ours.trainer_objective(net) == pytest.approx(model.loss_, rel=1e-9)
    assert ours.trainer_objective(net) == pytest.approx(reported(model, y), rel=1e-9)
    assert ours.in_trainer_units(ours.problem.objective(net)) <= ours.trainer_objective(net)
    balanced = ours.problem.objective(net.balanced("free"))
    assert ours.factor * ours.trainer_objective(net.balanced("free")) == pytest.approx(balanced, rel=1e-9)


@pytest.mark.parametrize("kind", TARGETS)
def test_logits_and_predictions_agree(kind: str) -> None:
    model = fitted(kind)
    values = as_shallow(model).predict(X)
    if kind == "regression":
        np.testing.assert_allclose(values, model.predict(X), rtol=1e-12)
    elif kind == "two classes":
        np.testing.assert_array_equal(model.classes_[(values > 0).astype(int)], model.predict(X))
        np.testing.assert_allclose(1 / (1 + np.exp(-values)), model.predict_proba(X)[:, 1], rtol=1e-9)
    else:
        np.testing.assert_array_equal(model.classes_[values.argmax(axis=1)], model.predict(X))


@pytest.mark.parametrize("batch_size", [16, 20, 60])
def test_minibatches_multiply_the_penalty(batch_size: int) -> None:
    """The mean gradient over the batches of one epoch is that of the translated objective, whatever the shuffle."""
    y = TARGETS["regression"]
    model = fitted("regression", solver="sgd", batch_size=batch_size, max_iter=3)
    ours = objective_of(model, X, y)
    sizes = np.diff([*range(0, 60, batch_size), 60])
    assert ours.problem.reg == pytest.approx(0.3 * 60 * np.mean(1 / sizes))
    assert len(ours.caveats) == (batch_size < 60)
    assert ("not n" in ours.summary()) == (batch_size < 60)
    if batch_size == 20:
        gradient = np.mean([batch_gradient(model, X[i : i + 20], y[i : i + 20]) for i in range(0, 60, 20)], axis=0)
        assert gradient == pytest.approx(slope(ours, model), rel=1e-5)


def batch_gradient(model: Any, rows: np.ndarray, y: np.ndarray) -> float:
    """scikit-learn's derivative by the first output weight, on one batch."""
    layers = [rows, np.empty((len(rows), 12)), np.empty((len(rows), 1))]
    weights, biases = [np.empty_like(c) for c in model.coefs_], [np.empty_like(b) for b in model.intercepts_]
    return float(model._backprop(rows, y[:, None], None, layers, [None] * 2, weights, biases)[1][1][0, 0])


def slope(ours: Any, model: Any, step: float = 1e-6) -> float:
    """The derivative of the translated objective by the first output weight, by differences."""
    first = model.coefs_[1][0, 0]
    values = []
    for sign in (1, -1):
        model.coefs_[1][0, 0] = first + sign * step
        values.append(ours.trainer_objective(from_sklearn(model)))
    model.coefs_[1][0, 0] = first
    return (values[0] - values[1]) / (2 * step)


def test_several_outputs_are_summed_and_said() -> None:
    y = np.column_stack([TARGETS["regression"], X[:, 2]])
    ours = objective_of(fitted("regression", y), X, y)
    assert ours.problem.n_outputs == 2
    assert any("averaged over them" in caveat for caveat in ours.caveats)


@pytest.mark.skipif(not hasattr(MLPRegressor, "set_fit_request"), reason="this scikit-learn weighs no samples")
def test_sample_weights_are_kept() -> None:
    y, weight = TARGETS["regression"], np.random.default_rng(1).uniform(0.5, 2.0, 60)
    model = MLPRegressor(hidden_layer_sizes=[12], solver="lbfgs", alpha=0.3, max_iter=50, random_state=0)
    model.fit(X, y, sample_weight=weight)
    ours = objective_of(model, X, y, sample_weight=weight)
    assert ours.factor == pytest.approx(weight.sum()) and ours.problem.reg == 0.3
    assert ours.trainer_objective(from_sklearn(model)) == pytest.approx(model.loss_, rel=1e-9)
    with pytest.raises(ProblemError, match="batches"):
        objective_of(fitted("regression", solver="adam", batch_size=20), X, y, sample_weight=weight)


def test_other_rows_are_noticed() -> None:
    ours = objective_of(fitted("regression"), 2 * X, TARGETS["regression"])
    assert any("do not seem to be the rows" in caveat for caveat in ours.caveats)


def test_a_lower_bound_of_the_problem_bounds_what_scikit_learn_reaches() -> None:
    x = np.linspace(-2, 2, 15)[:, None]
    y = np.abs(x[:, 0]) + 0.1 * np.random.default_rng(0).normal(size=15)
    model = MLPRegressor(hidden_layer_sizes=[40], solver="lbfgs", alpha=0.3, max_iter=20_000, random_state=0, tol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = objective_of(model.fit(x, y), x, y)
        solution = convexnet.solve(ours.problem)
    bound = ours.in_trainer_units(solution.certificate.lower_bound)
    assert bound <= model.loss_ <= bound * 1.05


# --------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (lambda: fitted("regression", alpha=0.0), NoObjectiveError, "alpha=0.0"),
        (lambda: fitted("regression", solver="adam", early_stopping=True), NoObjectiveError, "held out"),
        (lambda: fitted("regression", activation="tanh"), NetworkError, "activation='tanh'"),
        (lambda:
         MLPRegressor(hidden_layer_sizes=[5, 5], max_iter=2).fit(X, X[:, 0]), NetworkError, "2 hidden layers"),
        (lambda: MLPRegressor(), NetworkError, "not fitted"),
        (lambda: make_pipeline(StandardScaler(), fitted("regression")), NetworkError, "last step"),
        (lambda: StandardScaler().fit(X), NetworkError, "got StandardScaler"),
        (lambda: MLPClassifier(hidden_layer_sizes=[5], max_iter=2).fit(X, X[:, :2] > 0), NetworkError, "2 labels"),
        (lambda: as_shallow(fitted("regression")), ProblemError, "from ShallowNetwork"),
        (lambda: "model", ProblemError, "from str"),
    ],
)  # fmt: skip
def test_what_has_no_such_objective_is_named(model: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        objective_of(model(), X, TARGETS["regression"])


def test_poisson_loss_is_refused() -> None:
    try:
        model = MLPRegressor(loss="poisson", hidden_layer_sizes=[5], max_iter=2)
    except TypeError:
        pytest.skip("this scikit-learn has the squared loss only")
    with pytest.raises(NetworkError, match="Poisson"):
        objective_of(model.fit(X, np.abs(X[:, 0])), X, np.abs(X[:, 0]))


def test_the_trainers_value_of_the_model_itself() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 2)), rng.standard_normal(20)
    model = MLPRegressor(hidden_layer_sizes=[8], alpha=1.0, solver="lbfgs", max_iter=200, random_state=0).fit(X, y)
    assert objective_of(model, X, y).trainer_objective(model) == pytest.approx(model.loss_, rel=1e-9)


def test_unknown_classes_are_named() -> None:
    with pytest.raises(DataError, match="no, yes"):
        objective_of(fitted("two classes"), X, np.full(60, "maybe"))
    with pytest.raises(DataError, match="0, 10, 20"):
        objective_of(fitted("three classes"), X, np.full(60, 99))


def test_the_result_says_itself_and_is_plain_data() -> None:
    ours = objective_of(fitted("two classes"), X, TARGETS["two classes"])
    assert "belongs to the loss" in ours.summary()
    assert ours.to_dict()["factor"] == 60 and ours.to_dict()["penalties"]["hidden weights"] == 0.3
    assert repr(ours).startswith("TranslatedObjective(TrainingProblem(")
    assert max(map(len, ours.summary().splitlines())) <= 100
