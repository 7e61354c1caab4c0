"""Paths and cross-validation: each fit is the one of its own alpha, folds interleave, the choice can be recomputed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.model_selection import KFold

from convexnet.errors import DataError, ProblemError
from convexnet.estimators import SparseLinearSpline, SparseLinearSplineCV, SplinePath, spline_path
from convexnet.estimators.spline_cv import interleaved_folds


def bent(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = np.sort(generator.uniform(-1, 1, n))
    return x, np.abs(x) + 0.1 * generator.standard_normal(n)


# --------------------------------------------------------------------------------------------------------- the path
@pytest.fixture(scope="module")
def path() -> SplinePath:
    return spline_path(*bent(), alphas=20)


def test_every_point_is_the_fit_at_its_alpha(path: SplinePath) -> None:
    x, y = bent()
    assert len(path) == 20 and path.alphas[-1] == pytest.approx(1e-4 * path.alphas[0])
    for alpha, fit in list(zip(path.alphas, path.fits, strict=True))[::4]:
        alone = SparseLinearSpline(alpha).fit(x, y)
        assert fit.objective == pytest.approx(alone.objective_, rel=1e-9)
        assert fit.lower_bound <= alone.objective_
        assert np.allclose(fit.spline(x), alone.predict(x), atol=1e-6)
    assert (path.gaps <= 1e-9).all()


def test_along_the_path_fits_get_closer_and_longer(path: SplinePath) -> None:
    x, y = bent()
    losses = [np.sum((spline(x) - y) ** 2) for spline in path.splines]
    assert (np.diff(path.alphas) < 0).all() and (np.diff(losses) < 1e-9).all()
    assert (np.diff([spline.total_variation for spline in path.splines]) > -1e-9).all()
    assert path.n_knots[0] == 0 < path.n_knots[1]  # the grid starts exactly where the line stops being optimal
    assert spline_path(x, y, alphas=[0.999 * path.alphas[0]]).n_knots[0] > 0


def test_path_in_print_and_as_data(path: SplinePath) -> None:
    assert len(path.summary().splitlines()) == 22
    assert repr(path.fits[3]).startswith("SplineFit(objective=") and repr(path.fits[3]) in path.fits[3].summary()
    data = json.loads(json.dumps(path.to_dict(), allow_nan=False))
    assert [point["alpha"] for point in data["points"]] == list(path.alphas)
    assert data["points"][5]["lower_bound"] <= data["points"][5]["objective"]


def test_given_alphas_weights_and_columns() -> None:
    x, y = bent(40)
    weight = np.arange(40.0) % 3
    path = spline_path(x[:, None], y, alphas=[0.001, 0.1, 0.01], sample_weight=weight)
    assert list(path.alphas) == [0.1, 0.01, 0.001]
    repeated = spline_path(np.repeat(x, weight.astype(int)), np.repeat(y, weight.astype(int)), alphas=path.alphas)
    assert np.allclose([fit.objective for fit in path.fits], [fit.objective for fit in repeated.fits], rtol=1e-9)
    assert spline_path(x, 2 * x + 1, alphas=3).n_knots.max() == 0  # nothing to bend


def test_a_path_out_of_time_is_complete_and_its_bounds_hold(path: SplinePath) -> None:
    short = spline_path(*bent(), alphas=path.alphas, time_limit=1e-9)
    assert len(short) == len(path) and json.dumps(short.to_dict(), allow_nan=False)
    for quick, full in zip(short.fits, path.fits, strict=True):
        assert quick.lower_bound <= full.objective * (1 + 1e-9) and full.lower_bound <= quick.objective * (1 + 1e-9)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"alphas": 0}, ProblemError),
        ({"alphas": 10**12}, ProblemError),
        ({"alphas": []}, ProblemError),
        ({"alphas": [-1.0]}, ProblemError),
        ({"alphas": "many"}, ProblemError),
        ({"alphas": [[1.0]]}, ProblemError),
        ({"eps": 1.5}, ProblemError),
        ({"tol": 3.0}, ProblemError),
        ({"loss": "hinge"}, ProblemError),
        ({"time_limit": 0}, ProblemError),
        ({"sample_weight": [1.0]}, DataError),
        ({"x": np.zeros((3, 2))}, DataError),
        ({"x": []}, DataError),
        ({"x": [0.0, np.nan, 1.0]}, DataError),
        ({"y": np.zeros((3, 2))}, DataError),
        ({"y": [1.0]}, DataError),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        spline_path(**{"x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 0.0], **arguments})


@pytest.mark.parametrize(("shift", "scale", "lift"), [(1e6, 1.0, 0.0), (0.0, 1e-12, 0.0), (0.0, 1e12, 1e6)])
def test_the_grid_follows_shifts_and_scales_of_the_data(
    path: SplinePath, shift: float, scale: float, lift: float
) -> None:
    x, y = bent()
    moved = spline_path(shift + scale * x, y + lift, alphas=20)
    assert np.allclose(moved.alphas, scale * path.alphas, rtol=1e-6, atol=0)
    assert moved.gaps.max() < 1e-8 and abs(int(moved.n_knots[10]) - int(path.n_knots[10])) <= 1


# ------------------------------------------------------------------------------------------------- cross-validation
def test_folds_interleave_and_every_row_is_held_out_once() -> None:
    x = np.array([5.0, 1.0, 4.0, 2.0, 3.0, 0.0])
    folds = interleaved_folds(x, np.array([1.0, 1.0, 1.0, 1.0, 0.0, 1.0]), 2)
    assert [list(x[test]) for _, test in folds] == [[5.0, 2.0, 0.0], [1.0, 4.0]]
    assert all(sorted([*train, *test]) == [0, 1, 2, 3, 5] for train, test in folds)


def test_the_choice_can_be_recomputed() -> None:
    x, y = bent()
    model = SparseLinearSplineCV(alphas=12, cv=3).fit(x, y)
    errors = np.zeros((12, 3))
    for fold in range(3):
        out = np.arange(x.size) % 3 == fold
        for row, alpha in enumerate(model.alphas_):
            guess = SparseLinearSpline(alpha).fit(x[~out], y[~out]).predict(x[out])
            errors[row, fold] = np.mean((guess - y[out]) ** 2) / 2
    assert np.allclose(model.loss_path_, errors, rtol=1e-5)
    assert model.alpha_ == model.alphas_[np.argmin(errors.mean(axis=1))]
    again = SparseLinearSpline(model.alpha_).fit(x, y)
    assert np.array_equal(model.predict(x), again.predict(x)) and model.objective_ == again.objective_
    assert model.training_problem(x, y).reg == again.training_problem(x, y).reg


def test_order_of_rows_and_number_of_jobs_do_not_matter() -> None:
    x, y = bent()
    order = np.random.default_rng(1).permutation(x.size)
    base = SparseLinearSplineCV(alphas=10).fit(x, y)
    with parallel_config("threading"):
        mixed = SparseLinearSplineCV(alphas=10, n_jobs=2).fit(x[order], y[order])
    assert mixed.alpha_ == pytest.approx(base.alpha_)
    assert np.allclose(mixed.loss_path_, base.loss_path_, rtol=1e-6)


def test_sorted_rows_are_no_trap() -> None:
    """Blocks of consecutive rows judge extrapolation when x is sorted; the default folds do not."""
    x, noise = np.sort(np.random.default_rng(0).uniform(0, 1, 100)), np.random.default_rng(1).standard_normal(100)
    y = np.sin(12 * x) + 0.1 * noise
    default, blocks = (SparseLinearSplineCV(alphas=10, cv=cv).fit(x, y) for cv in (None, KFold(5)))
    assert default.loss_path_.mean(axis=1).min() < 0.2 * blocks.loss_path_.mean(axis=1).min()
    assert np.mean((default.predict(x) - np.sin(12 * x)) ** 2) < 0.01


def test_one_standard_error_rule_and_given_folds() -> None:
    x, y = bent()
    smallest = SparseLinearSplineCV(alphas=8).fit(x, y)
    rule = SparseLinearSplineCV(alphas=8, rule="one_se").fit(x, y)
    assert rule.alpha_ >= smallest.alpha_ and rule.n_knots_ <= smallest.n_knots_
    splits = interleaved_folds(x, np.ones(x.size), 5)
    for cv in (splits, iter(splits), 5):
        assert SparseLinearSplineCV(alphas=8, cv=cv).fit(x, y).alpha_ == smallest.alpha_


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"cv": 1}, ProblemError, "cv must be an integer >= 2"),
        ({"cv": "five"}, ProblemError, "cv must be"),
        ({"cv": 2.5}, ProblemError, "cv must be"),
        ({"cv": [(np.arange(5), np.array([], dtype=int))]}, DataError, "no held-out row"),
        ({"cv": []}, DataError, "no folds"),
        ({"cv": [([], [1])]}, DataError, "no training row"),
        ({"cv": [(range(100), [1])]}, DataError, "row numbers below 6"),
        ({"cv": [(["a"], [1])]}, DataError, "row numbers"),
        ({"cv": [(1, 2)]}, DataError, "row numbers"),
        ({"cv": [([0, 1], [[2], [3]])]}, DataError, "row numbers"),
        ({"cv": [1]}, DataError, "row numbers"),
        ({"n_jobs": 0}, ProblemError, "n_jobs"),
        ({"n_jobs": "a"}, ProblemError, "n_jobs"),
        ({"rule": "max"}, ProblemError, "rule must be one of"),
        ({"alphas": -3}, ProblemError, "alphas"),
        ({"loss": "softmax"}, ProblemError, "loss must be one of"),
    ],
)
def test_bad_options_of_the_search_are_named(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SparseLinearSplineCV(**arguments).fit(np.arange(6.0), np.arange(6.0))
