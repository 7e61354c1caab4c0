"""scikit-learn's own estimator checks, all of them, on estimators that read one column of the tables of the checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_regression
from sklearn.exceptions import SkipTestWarning
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from convexnet.estimators import SparseLinearSpline, SparseLinearSplineCV

ESTIMATORS = [
    SparseLinearSpline(feature=0),
    SparseLinearSplineCV(feature=0, alphas=3, eps=0.01, cv=2),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_check(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("estimator", [SparseLinearSpline(), SparseLinearSplineCV()])
def test_without_a_chosen_column_the_tags_ask_for_vectors(estimator: Any) -> None:
    """As for IsotonicRegression: the checks, all on tables, step aside and say so."""
    tags = get_tags(estimator)
    assert tags.input_tags.one_d_array and not tags.input_tags.two_d_array
    assert not tags.regressor_tags.poor_score
    with pytest.warns(SkipTestWarning, match="requires input"):
        check_estimator(estimator)


@pytest.mark.parametrize(
    "estimator", [SparseLinearSpline(0.01, feature=4), SparseLinearSplineCV(feature=4, alphas=4, eps=0.01)]
)
def test_the_score_that_the_tag_waives_is_reached_on_the_informative_column(estimator: Any) -> None:
    X, y = make_regression(200, 10, n_informative=1, bias=5.0, noise=20, random_state=42)
    X, y = (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()
    assert estimator.fit(X, y).score(X, y) > 0.5
    vector = type(estimator)(**{**estimator.get_params(), "feature": None})
    assert np.array_equal(vector.fit(X[:, 4], y).predict(X[:, 4]), estimator.predict(X))
