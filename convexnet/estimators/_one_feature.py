"""Reading one column: what estimators of a function of one variable share."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ..errors import DataError, ProblemError

__all__ = ["OneFeatureRegressor", "check_total"]


class OneFeatureRegressor(RegressorMixin, BaseEstimator):
    """A regressor that reads a vector, a table of one column, or the column ``feature`` of a table."""

    feature: int | str | None

    def predict(self, X: Any) -> np.ndarray:
        """Return f(x), shape (n,); beyond the outermost knots f is linear.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), or (n, n_features) with ``feature``
        """
        check_is_fitted(self, "spline_")
        return self.spline_.predict(self._column(X, reset=False))

    def _column(self, X: Any, *, reset: bool) -> np.ndarray:
        """The abscissae, float64 of shape (n,)."""
        return self._select(validate_data(self, self._as_table(X), reset=reset, dtype=np.float64), reset)

    def _rows(self, X: Any, y: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Abscissae, targets and weights of the rows of positive weight."""
        x, y, weight = self._all_rows(X, y, sample_weight)
        kept = weight > 0
        return x[kept], y[kept], weight[kept]

    def _all_rows(self, X: Any, y: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Abscissae, targets and weights (ones by default) of all rows; remembers what the input looked like."""
        _refuse_masked(y, "y")
        _refuse_masked(sample_weight, "sample_weight")
        X, y = validate_data(self, self._as_table(X), y, dtype=np.float64, y_numeric=True)
        x = self._select(X, reset=True)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not (weight > 0).any():
            raise DataError("sample_weight is zero everywhere; at least one sample needs a positive weight.")
        check_total(weight)
        return x, np.asarray(y, dtype=np.float64), weight

    def _as_table(self, X: Any) -> Any:
        """A vector as a table of one column, unless a column of a table is to be read."""
        _refuse_masked(X, "X")
        if self.feature is not None or isinstance(X, str) or not _is_vector(X):
            return X
        return np.asarray(X).reshape(-1, 1)

    def _select(self, X: np.ndarray, reset: bool) -> np.ndarray:
        """The column that is read."""
        if reset:
            self._column_index = self._find_column(X.shape[1])
        return np.ascontiguousarray(X[:, self._column_index])

    def _find_column(self, d: int) -> int:
        """Its index among ``d`` columns."""
        if self.feature is None:
            if d != 1:
                raise DataError(
                    f"{type(self).__name__} fits a function of one variable, but X has {d} features; choose one with "
                    "feature=, its number or name."
                )
            return 0
        if isinstance(self.feature, str):
            names = list(getattr(self, "feature_names_in_", ()))
            if self.feature not in names:
                known = ", ".join(names) if names else "no column names; pass a DataFrame or a column number"
                raise DataError(f"feature={self.feature!r} is no column of X, which has {known}.")
            return names.index(self.feature)
        if isinstance(self.feature, bool) or not isinstance(self.feature, numbers.Integral):
            raise ProblemError(f"feature must be None, a column number or a column name, got {self.feature!r}.")
        if not -d <= self.feature < d:
            raise DataError(f"feature={self.feature} is out of range: X has {d} feature(s).")
        return int(self.feature) % d

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        table = self.feature is not None
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = not table, table
        # By that tag's definition: the column that is read need not be the one that scikit-learn's check depends on.
        tags.regressor_tags.poor_score = table
        return tags


def check_total(weight: np.ndarray) -> None:
    """Refuse weights whose sum overflows."""
    with np.errstate(over="ignore"):
        if not np.isfinite(weight.sum()):
            raise DataError(f"sample_weight has entries of size {weight.max():.1e}, whose sum overflows; rescale it.")


def _refuse_masked(values: Any, name: str) -> None:
    """Refuse masked entries: conversion to an array would use them like any others."""
    if np.ma.is_masked(values):
        raise DataError(f"{name} has masked entries; drop or impute them.")


def _is_vector(X: Any) -> bool:
    """Whether X is one-dimensional; what numpy cannot read is left to scikit-learn's checks."""
    try:
        return np.ndim(X) == 1
    except ValueError:
        return False
