"""SparseLinearSpline: the optimum of the stated problem with its proof, what it reads, what it refuses."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from convexnet import certify
from convexnet.errors import DataError, NotCertifiedWarning, ProblemError
from convexnet.estimators import SparseLinearSpline, spline_path
from convexnet.losses import HuberLoss


def noisy(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Irregular, unsorted abscissae, some of them repeated."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, n)
    x[: n // 6] = x[n // 6 : 2 * (n // 6)]
    return x, np.abs(x) - 0.5 * x + 0.1 * generator.standard_normal(n)


def mean_objective(model: SparseLinearSpline, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Squared loss and TV from the raw data and the knots."""
    loss = np.average(0.5 * (model.predict(x) - y) ** 2, weights=weight)
    return float(loss + model.alpha * np.abs(model.kinks_).sum())


# ----------------------------------------------------------------------------------------------------- the optimum
@pytest.mark.parametrize("sparsest", [True, False])
@pytest.mark.parametrize("alpha", [1e-4, 1e-3, 0.01, 0.1])
def test_objective_and_bound_are_those_of_the_stated_problem(alpha: float, sparsest: bool) -> None:
    x, y = noisy()
    weight = np.random.default_rng(1).integers(0, 4, x.size).astype(float)
    model = SparseLinearSpline(alpha, sparsest=sparsest).fit(x, y, weight)
    assert model.objective_ == pytest.approx(mean_objective(model, x, y, weight), rel=1e-9)
    assert model.lower_bound_ <= model.objective_ <= model.lower_bound_ * (1 + 1e-9)
    assert model.dual_gap_ <= 1e-9
    assert np.allclose(model.network_.predict(x[:, None]), model.predict(x), atol=1e-12)
    problem = model.training_problem(x, y, weight)
    assert problem.reg == pytest.approx(alpha * weight.sum())
    assert problem.objective(model.network_) == pytest.approx(model.objective_ * weight.sum(), rel=1e-9)


def test_certificate_of_the_network_by_the_package() -> None:
    x, y = noisy(25)
    model = SparseLinearSpline(0.01).fit(x, y)
    assert certify(model.training_problem(x, y), model.network_, time_limit=20).verdict == "optimal"


@pytest.mark.parametrize("loss", ["squared", "huber", "absolute"])
def test_agreement_with_a_generic_solver(loss: str) -> None:
    import cvxpy as cp

    x, y = noisy(40, seed=3)
    weight, alpha = np.random.default_rng(2).uniform(0.2, 2, x.size), 0.01
    nodes, index = np.unique(x, return_inverse=True)
    theta = cp.Variable(nodes.size)
    residual = theta[index] - y
    terms = {"squared": 0.5 * cp.square(residual), "huber": 0.5 * cp.huber(residual, 1.0), "absolute": cp.abs(residual)}
    tv = cp.norm1(cp.diff(cp.multiply(cp.diff(theta), 1 / np.diff(nodes))))
    value = cp.Problem(cp.Minimize(weight @ terms[loss] / weight.sum() + alpha * tv)).solve(solver=cp.CLARABEL)
    model = SparseLinearSpline(alpha, loss=loss).fit(x, y, weight)
    assert model.objective_ == pytest.approx(value, rel=1e-6)
    assert model.lower_bound_ == pytest.approx(value, rel=1e-6)


def test_strong_regularisation_gives_the_line_of_least_squares() -> None:
    x, y = noisy()
    weight = np.random.default_rng(4).uniform(0, 1, x.size)
    model = SparseLinearSpline(10.0).fit(x, y, weight)
    assert model.n_knots_ == 0
    line = np.polynomial.Polynomial.fit(x, y, 1, w=np.sqrt(weight))
    assert np.allclose(model.predict([-3.0, 0.0, 3.0]), line(np.array([-3.0, 0.0, 3.0])), atol=1e-9)


def test_alpha_zero_interpolates_the_means_of_ties() -> None:
    x, y = np.array([2.0, 0.0, 1.0, 3.0, 1.0]), np.array([1.0, 0.0, 0.0, 3.0, 3.0])
    model = SparseLinearSpline(alpha=0).fit(x, y, [1, 1, 2, 1, 1])
    assert np.allclose(model.predict([0, 1, 2, 3]), [0, 1, 1, 3])
    assert model.objective_ == pytest.approx(np.abs(model.kinks_).sum()) and model.objective_ == pytest.approx(3.0)
    same = SparseLinearSpline(alpha=0).fit([0.1, 0.1, 0.1, 1.0], [0.3, 0.3, 0.3, 0.7])
    assert np.allclose(same.predict([0.1, 1.0]), [0.3, 0.7], atol=1e-15)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(3, 9), st.sampled_from([0.001, 0.01, 0.1]))
def test_sparsest_keeps_the_values_and_the_variation(seed: int, n: int, alpha: float) -> None:
    generator = np.random.default_rng(seed)
    x, y = generator.uniform(size=n), generator.standard_normal(n)
    sparse, plain = SparseLinearSpline(alpha).fit(x, y), SparseLinearSpline(alpha, sparsest=False).fit(x, y)
    assert sparse.n_knots_ <= plain.n_knots_
    assert np.allclose(sparse.predict(x), plain.predict(x), atol=1e-8)
    assert np.isin(plain.knots_, x).all()
    assert sparse.spline_.total_variation == pytest.approx(plain.spline_.total_variation, abs=1e-8)


# --------------------------------------------------------------------------------------------------- metamorphic
def test_the_fit_follows_its_data() -> None:
    x, y = noisy()
    points = np.linspace(-1.2, 1.2, 50)
    base = SparseLinearSpline(0.01).fit(x, y).predict(points)
    order = np.random.default_rng(5).permutation(x.size)

    def again(alpha: float, x: np.ndarray, y: np.ndarray, points: np.ndarray = points, **options: Any) -> np.ndarray:
        return SparseLinearSpline(alpha).fit(x, y, **options).predict(points)

    assert np.allclose(again(0.01, x[order], y[order]), base, atol=1e-9)
    assert np.allclose(again(0.01, np.tile(x, 3), np.tile(y, 3)), base, atol=1e-9)  # a mean, not a sum
    assert np.allclose(again(0.01, x, y, sample_weight=np.full(x.size, 7.0)), base, atol=1e-9)
    assert np.allclose(again(0.01, x, -y), -base, atol=1e-9)
    assert np.allclose(again(0.01, -x, y, -points), base, atol=1e-9)
    assert np.allclose(again(10.0, 100 * x, 10 * y, 100 * points), 10 * base, atol=1e-8)  # alpha has units of x y
    assert np.allclose(again(0.01, x, y + 5 - 2 * x), base + 5 - 2 * points, atol=1e-8)


@pytest.mark.parametrize(
    ("x", "y"), [([1.0], [2.0]), ([1.0, 1.0], [2.0, 4.0]), ([1.0, 2.0], [2.0, 4.0]), ([3.0] * 5, [1.0] * 5)]
)
def test_data_without_room_for_a_knot(x: list[float], y: list[float]) -> None:
    for alpha in (0.0, 0.01):
        model = SparseLinearSpline(alpha).fit(x, y)
        assert model.n_knots_ == 0 and model.network_.n_neurons == 0
        means = [np.mean([b for a, b in zip(x, y, strict=True) if a == point]) for point in x]
        assert np.allclose(model.predict(x), means) and model.dual_gap_ <= 1e-9


# --------------------------------------------------------------------------------------------------- what is read
def test_vectors_columns_tables_and_names_are_the_same_data() -> None:
    pd = pytest.importorskip("pandas")
    x, y = noisy(30)
    base = SparseLinearSpline().fit(x, y)
    frame = pd.DataFrame({"other": y[::-1], "age": x})
    for X in (list(x), x[:, None], x.astype(object), pd.Series(x, name="age"), frame[["age"]]):
        model = SparseLinearSpline().fit(X, y)
        assert np.array_equal(model.knots_, base.knots_) and model.n_features_in_ == 1
        assert np.array_equal(model.predict(X), base.predict(x))
    for feature in (1, -1, "age", np.int64(1)):
        model = SparseLinearSpline(feature=feature).fit(frame, y)
        assert np.array_equal(model.predict(frame), base.predict(x))
        assert model.n_features_in_ == 2 and list(model.feature_names_in_) == ["other", "age"]
    assert list(SparseLinearSpline().fit(frame[["age"]], y).feature_names_in_) == ["age"]
    assert base.score(x, y) > 0.8 and model.score(frame, y) == base.score(x, y)


def test_copies_pipelines_and_searches() -> None:
    x, y = noisy()
    model = SparseLinearSpline(0.02, loss=HuberLoss(0.3))
    assert clone(model).get_params() == model.get_params()
    fitted = pickle.loads(pickle.dumps(SparseLinearSpline(0.02).fit(x, y)))
    assert np.array_equal(fitted.predict(x), SparseLinearSpline(0.02).fit(x, y).predict(x))
    folds = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(SparseLinearSpline(), {"alpha": [0.001, 0.01, 1.0]}, cv=folds)
    assert search.fit(x, y).best_params_["alpha"] < 1
    assert make_pipeline(StandardScaler(), SparseLinearSpline()).fit(x[:, None], y).score(x[:, None], y) > 0.8


def test_the_gap_is_relative_and_follows_no_units() -> None:
    x, y = noisy(200)
    with pytest.warns(NotCertifiedWarning):
        gap = SparseLinearSpline(1e-4, max_iter=3).fit(x, y).dual_gap_
        assert SparseLinearSpline(2.0**-8 * 1e-4, max_iter=3).fit(x / 2**20, y * 2**12).dual_gap_ == pytest.approx(gap)
    assert SparseLinearSpline(1e14).fit(x * 1e8, y * 1e8).dual_gap_ <= 1e-9


# ------------------------------------------------------------------------------------------------ what is refused
def test_masked_entries_and_weights_that_overflow_are_refused() -> None:
    x, y = noisy(20)
    for arguments in ((np.ma.masked_less(x, 0), y), (x, np.ma.masked_less(y, 0)), (x, y, np.ma.masked_less(x, 0))):
        with pytest.raises(DataError, match="masked"):
            SparseLinearSpline().fit(*arguments)
    with pytest.raises(DataError, match="sum overflows"):
        SparseLinearSpline().fit(x, y, np.full(20, 1e308))
    with pytest.raises(DataError, match="sum overflows"):
        spline_path(x, y, sample_weight=np.full(20, 1e308))
    for alpha in (1e308, 5e-324):
        with pytest.raises(ProblemError, match="times the total weight"):
            SparseLinearSpline(alpha).fit(x, y, np.full(20, 1e-3 if alpha < 1 else 1.0))


def test_several_features_need_a_choice() -> None:
    X, y = np.zeros((4, 3)), np.zeros(4)
    with pytest.raises(DataError, match="has 3 features; choose one with feature="):
        SparseLinearSpline().fit(X, y)
    with pytest.raises(DataError, match="out of range: X has 3"):
        SparseLinearSpline(feature=3).fit(X, y)
    with pytest.raises(DataError, match="no column names; pass a DataFrame"):
        SparseLinearSpline(feature="age").fit(X, y)
    with pytest.raises(ProblemError, match="column number or a column name"):
        SparseLinearSpline(feature=1.5).fit(X, y)
    with pytest.raises(ValueError, match="2 features"):
        SparseLinearSpline(feature=0).fit(X, y).predict(X[:, :2])


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("alpha", -1.0, "alpha must be finite"),
        ("alpha", "big", "alpha must be a number"),
        ("alpha", np.nan, "alpha must be finite"),
        ("loss", "logistic", "loss must be one of"),
        ("loss", "cubic", "cubic"),
        ("sparsest", 1, "sparsest must be True or False"),
        ("tol", 0.0, "tol"),
        ("tol", 2.0, "tol"),
        ("max_iter", 0, "max_iter"),
        ("time_limit", -1.0, "time_limit"),
    ],
)
def test_options_out_of_range_are_named(option: str, value: Any, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        SparseLinearSpline(**{option: value}).fit([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])


def test_interpolation_is_for_the_squared_loss() -> None:
    with pytest.raises(ProblemError, match="alpha=0 interpolates"):
        SparseLinearSpline(0.0, loss="absolute").fit([0.0, 1.0], [0.0, 1.0])


@pytest.mark.parametrize(
    ("X", "y", "weight"),
    [
        ([], [], None),
        ([0.0, np.nan], [0.0, 1.0], None),
        ([0.0, 1.0], [0.0, np.inf], None),
        (["a", "b"], [0.0, 1.0], None),
        ([0.0, 1.0], [0.0], None),
        ([[0.0], [1.0, 2.0]], [0.0, 1.0], None),
        (3.0, 1.0, None),
        ("text", [0.0, 1.0], None),
        ([0.0, 1.0], [0.0, 1.0], [0.0, 0.0]),
        ([0.0, 1.0], [0.0, 1.0], [1.0, -1.0]),
        ([0.0, 1.0], [0.0, 1.0], [1.0]),
    ],
)
def test_bad_data_are_value_errors(X: Any, y: Any, weight: Any) -> None:
    with pytest.raises(ValueError):
        SparseLinearSpline().fit(X, y, weight)


def test_a_fit_that_is_cut_short_says_so_and_keeps_valid_bounds() -> None:
    x, y = noisy(200)
    best = SparseLinearSpline(1e-4).fit(x, y)
    with pytest.warns(NotCertifiedWarning, match="raise max_iter"):
        model = SparseLinearSpline(1e-4, max_iter=1).fit(x, y)
    assert model.n_iter_ == 1 and model.dual_gap_ > 1e-9
    assert model.dual_gap_ == pytest.approx((model.objective_ - model.lower_bound_) / model.objective_)
    assert model.lower_bound_ <= best.objective_ <= model.objective_


@pytest.mark.filterwarnings("error::convexnet.errors.NotCertifiedWarning")
@pytest.mark.parametrize(
    ("x", "y"), [([0.0, 0.3, 0.7, 2.0], [1e6, 1e6 + 0.9, 1e6 + 2.1, 1e6 + 6.0]), ([0.0, 1.0, 2.0], [0.1, 0.1, 0.1])]
)
def test_rounding_of_targets_on_a_line_is_no_reason_to_warn(x: list[float], y: list[float]) -> None:
    model = SparseLinearSpline().fit(x, y)
    assert model.n_knots_ == 0 and np.allclose(model.predict(x), y, rtol=1e-14)
