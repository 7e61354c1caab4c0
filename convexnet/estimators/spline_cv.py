"""Sparse linear splines with alpha chosen by cross-validation."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._validation import check_choice, check_count, check_flag, check_jobs, check_positive
from ..certificates.tolerances import check_tolerance
from ..errors import DataError, ProblemError
from ..losses import Loss
from ..problem import TrainingProblem
from ._one_feature import OneFeatureRegressor
from ._spline_fit import checked_loss, spline_fit, spline_problem, warn_if_open
from ._spline_path import alpha_grid, path_fits
from .spline import set_fitted

__all__ = ["SparseLinearSplineCV"]

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


class SparseLinearSplineCV(OneFeatureRegressor):
    r"""SparseLinearSpline with alpha chosen by cross-validation along a warm-started path.

    For each alpha, the held-out loss of the minimisers over the training folds of

    .. math:: \frac{1}{\sum_i w_i} \sum_i w_i\, \ell(f(x_i), y_i) + \alpha\, \mathrm{TV}(f')

    is averaged; the fit to all rows uses the chosen alpha.

    Parameters
    ----------
    alphas : int or array-like
        So many values from the smallest alpha of a straight line down to ``eps`` times it, or the values themselves.
    eps : float in (0, 1)
    cv : int, splitter or iterable of (train, test), optional
        An integer k (default 5): fold j holds every k-th value in the order of x, so that held-out points lie between
        training points. Blocks of consecutive rows, the habit elsewhere, would judge extrapolation where x is sorted.
    rule : {"min", "one_se"}
        The alpha of the smallest held-out loss, or the largest alpha within one standard error of it: fewer knots.
    loss, sparsest, feature, tol, max_iter : see SparseLinearSpline
    time_limit : float
        Seconds for each path.
    n_jobs : int, optional
        Folds at a time, by joblib.

    Attributes
    ----------
    alpha_ : float
        The chosen one.
    alphas_ : ndarray of shape (k,)
        Decreasing.
    loss_path_ : ndarray of shape (k, folds)
        Mean held-out loss (squared loss: half the mean squared error). Its mean over the folds, weighted by their
        rows, is what ``rule`` looks at.
    spline_ : LinearSpline
        The fit to all rows; its other attributes are those of :class:`SparseLinearSpline`.

    Raises
    ------
    DataError
        If X has several features and ``feature`` does not choose one, or a fold is empty.
    ProblemError
        If an option is invalid.

    Warns
    -----
    NotCertifiedWarning
        If the proven relative gap of the final fit is larger than ``tol``.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = np.sort(rng.uniform(-1, 1, 100))
    >>> y = np.abs(x) + 0.1 * rng.standard_normal(100)
    >>> model = SparseLinearSplineCV(alphas=20, rule="one_se").fit(x, y)
    >>> model.n_knots_ <= 3, bool(np.mean((model.predict(x) - np.abs(x)) ** 2) < 0.003)
    (True, True)
    """

    def __init__(
        self,
        *,
        alphas: Any = 50,
        eps: float = 1e-4,
        cv: Any = None,
        rule: str = "min",
        loss: str | Loss = "squared",
        sparsest: bool = True,
        feature: int | str | None = None,
        tol: float = 1e-9,
        max_iter: int | None = None,
        time_limit: float = 600.0,
        n_jobs: int | None = None,
    ) -> None:
        self.alphas = alphas
        self.eps = eps
        self.cv = cv
        self.rule = rule
        self.loss = loss
        self.sparsest = sparsest
        self.feature = feature
        self.tol = tol
        self.max_iter = max_iter
        self.time_limit = time_limit
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SparseLinearSplineCV:
        """Choose alpha and fit the function to all rows.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), or (n, n_features) with ``feature``
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), optional
            Weights of the rows in training and in the held-out loss.
        """
        loss, options = checked_loss(self.loss), self._options()
        check_choice(self.rule, "rule", ("min", "one_se"))
        jobs = check_jobs(self.n_jobs)
        x, y, weight = self._all_rows(X, y, sample_weight)
        kept = weight > 0
        self.alphas_ = alpha_grid(self.alphas, self.eps, x[kept], y[kept], weight[kept], loss)
        folds = self._folds(X, x, y, weight)
        self.loss_path_, share = self._held_out((x, y, weight), folds, loss, options, jobs)
        self.alpha_ = float(self.alphas_[self._best(share)])
        problem = spline_problem(x[kept], y[kept], weight[kept], loss, self.alpha_)
        fit = spline_fit(problem, float(weight.sum()), **options)
        warn_if_open(fit, options["tol"])
        set_fitted(self, fit)
        return self

    def training_problem(self, X: Any, y: Any, sample_weight: Any = None) -> TrainingProblem:
        """Return the problem of the final fit, in sums: ``reg = alpha_ * sum(sample_weight)``."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "alpha_")
        x, y, weight = type(self)(**self.get_params())._rows(X, y, sample_weight)
        return spline_problem(x, y, weight, checked_loss(self.loss), self.alpha_)

    def _options(self) -> dict[str, Any]:
        """Checked options of each path."""
        return {
            "sparsest": check_flag(self.sparsest, "sparsest"), "tol": check_tolerance(self.tol),
            "max_iter": self.max_iter, "time_limit": check_positive(self.time_limit, "time_limit"),
        }  # fmt: skip

    def _folds(self, X: Any, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Training and held-out rows of each fold, as row numbers."""
        if self.cv is None or isinstance(self.cv, numbers.Integral):
            return interleaved_folds(x, weight, 5 if self.cv is None else check_count(self.cv, "cv", minimum=2))
        is_splitter = hasattr(self.cv, "split") and not isinstance(self.cv, str)
        splits = self.cv.split(X, y) if is_splitter else self.cv
        if isinstance(splits, str) or not isinstance(splits, Iterable):
            raise ProblemError(f"cv must be an integer, a splitter or a list of (train, test), got {self.cv!r}.")
        folds = [_fold(pair, x.size) for pair in splits]
        if not folds:
            raise DataError("cv has no folds; pass an integer >= 2, a splitter or a list of (train, test).")
        return folds

    def _held_out(
        self, rows: Rows, folds: list[tuple[np.ndarray, np.ndarray]], loss: Loss, options: dict[str, Any],
        jobs: int | None,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Mean held-out losses (alphas, folds), and the held-out weight of each fold."""
        from joblib import Parallel, delayed

        columns = Parallel(n_jobs=jobs)(
            delayed(_fold_losses)(self.alphas_, rows, train, test, loss, options) for train, test in folds
        )
        share = np.array([rows[2][test].sum() for _, test in folds])
        return np.column_stack(columns), share

    def _best(self, share: np.ndarray) -> int:
        """Index of the chosen alpha; the larger alpha in a tie."""
        mean = self.loss_path_ @ (share / share.sum())
        best = int(np.argmin(mean))
        if self.rule == "min" or share.size < 2:
            return best
        error = float(np.std(self.loss_path_[best], ddof=1)) / np.sqrt(share.size)
        return int(np.argmax(mean <= mean[best] + error))


def _fold(pair: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and held-out rows of a fold given by row numbers or masks."""
    rows = np.arange(n)
    try:
        train, test = (rows[np.asarray(part, dtype=None if np.size(part) else int)] for part in pair)
        if train.ndim != 1 or test.ndim != 1:
            raise ValueError("each a vector")
    except (IndexError, TypeError, ValueError) as error:
        raise DataError(f"cv must give pairs (train, test) of row numbers below {n} ({error}).") from None
    return train, test


def interleaved_folds(x: np.ndarray, weight: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fold j holds the rows j, j + k, j + 2k, ... in the order of x (rows of weight zero are in none)."""
    order = np.argsort(x, kind="stable")
    order = order[weight[order] > 0]
    if order.size < 2:
        raise DataError("Cross-validation needs at least 2 samples of positive weight, got n_samples=1; choose alpha.")
    k = min(k, order.size)
    place = np.arange(order.size) % k
    return [(np.sort(order[place != j]), np.sort(order[place == j])) for j in range(k)]


def _fold_losses(
    alphas: np.ndarray, rows: Rows, train: np.ndarray, test: np.ndarray, loss: Loss, options: dict[str, Any]
) -> np.ndarray:
    """Mean held-out loss along the path of one fold."""
    train, test = train[rows[2][train] > 0], test[rows[2][test] > 0]
    if not train.size or not test.size:
        raise DataError("A fold has no training row or no held-out row of positive weight; use fewer folds.")
    x, y, weight = (column[train] for column in rows)
    x_out, y_out, w_out = (column[test] for column in rows)
    fits = path_fits(alphas, x, y, weight, loss, **options)
    return np.array([loss.value(fit.spline.predict(x_out), y_out, w_out) for fit in fits]) / float(w_out.sum())
