"""Piecewise linear regression in one variable with few knots, certified against networks of every width."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._validation import check_flag, check_positive
from ..certificates.tolerances import check_tolerance
from ..losses import Loss
from ..problem import TrainingProblem
from ._one_feature import OneFeatureRegressor
from ._spline_fit import SplineFit, checked_loss, spline_fit, spline_problem, warn_if_open

__all__ = ["SparseLinearSpline"]


class SparseLinearSpline(OneFeatureRegressor):
    r"""Regression by a continuous piecewise linear function with few knots.

    Minimise, over all functions of one variable whose slope has bounded variation,

    .. math:: \frac{1}{\sum_i w_i} \sum_i w_i\, \ell(f(x_i), y_i) + \alpha\, \mathrm{TV}(f') ,
              \qquad \ell = \tfrac12 (f - y)^2 \text{ by default},

    which is weight decay of a ReLU network of any width with free biases and a skip connection. The minimum is attained
    by a linear spline, and the fit carries a proof of how far it can be from the best one.

    Parameters
    ----------
    alpha : float >= 0
        Weight of the total variation of the slope, in units of x times those of y (squared loss). Larger values give
        fewer knots, and a straight line from ``convexnet.reg_max`` on; 0 gives the interpolant of least total variation
        (targets of equal x are averaged).
    loss : {"squared", "huber", "absolute"} or Loss
    sparsest : bool
        Among the minimisers with the same values on the data, return one with the fewest knots: these then lie off the
        data too. False: knots at data only.
    feature : int or str, optional
        The column to read from a table X of several. By default X is a vector or a table of one column.
    tol : float
        Proven relative gap asked for.
    max_iter : int, optional
        Of the solver.
    time_limit : float
        Seconds.

    Attributes
    ----------
    spline_ : LinearSpline
        The function: knots, kinks, slopes.
    network_ : ShallowNetwork
        The same function as a network of one input (the column that is read), path norm TV(f').
    knots_, kinks_ : ndarray of shape (n_knots_,)
        Where the slope jumps, and by how much.
    n_knots_ : int
    objective_ : float
        Mean loss plus alpha TV(f'); TV(f') where ``alpha=0``.
    lower_bound_ : float
        Proven: no function and no network of any width has a smaller objective.
    dual_gap_ : float
        Proven relative gap ``(objective_ - lower_bound_) / objective_``, as everywhere in this package (the attribute
        of this name of scikit-learn's linear models is the difference); zero where the objective is rounding.
    status_ : str
        Of the solver, e.g. ``solved``.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray
        If X has column names.

    Raises
    ------
    DataError
        If X has several features and ``feature`` does not choose one, or the weights are all zero.
    ProblemError
        If an option is invalid.

    Warns
    -----
    NotCertifiedWarning
        If the proven relative gap is larger than ``tol``.

    References
    ----------
    Savarese, Evron, Soudry and Srebro (2019), "How do infinite width bounded norm networks look in function space?";
    Parhi and Nowak (2021), "Banach space representer theorems for neural networks and ridge splines"; Debarre,
    Denoyelle, Unser and Fageot (2022), "Sparsest piecewise-linear regression of one-dimensional data".

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 41)
    >>> model = SparseLinearSpline(alpha=0.001).fit(x, np.abs(x))
    >>> model.knots_.round(3), model.predict([0.5]).round(2)
    (array([0.]), array([0.5]))
    >>> model.dual_gap_ < 1e-10
    True
    """

    def __init__(
        self,
        alpha: float = 0.01,
        *,
        loss: str | Loss = "squared",
        sparsest: bool = True,
        feature: int | str | None = None,
        tol: float = 1e-9,
        max_iter: int | None = None,
        time_limit: float = 600.0,
    ) -> None:
        self.alpha = alpha
        self.loss = loss
        self.sparsest = sparsest
        self.feature = feature
        self.tol = tol
        self.max_iter = max_iter
        self.time_limit = time_limit

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SparseLinearSpline:
        """Fit the function.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), or (n, n_features) with ``feature``
            Distinct or repeated abscissae in any order.
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), optional
            Rows of weight zero are left out.
        """
        tol = check_tolerance(self.tol)
        problem, total = self._problem(X, y, sample_weight)
        fit = spline_fit(
            problem, total, sparsest=check_flag(self.sparsest, "sparsest"), tol=tol, max_iter=self.max_iter,
            time_limit=self.time_limit,
        )  # fmt: skip
        warn_if_open(fit, tol)
        set_fitted(self, fit)
        return self

    def training_problem(self, X: Any, y: Any, sample_weight: Any = None) -> TrainingProblem:
        """Return the problem that :meth:`fit` solves, in sums: ``reg = alpha * sum(sample_weight)``.

        ``network_`` can be judged on it by :func:`convexnet.certify`.

        Examples
        --------
        >>> from convexnet import certify
        >>> x, y = [0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 1.0, 0.0]
        >>> model = SparseLinearSpline(alpha=0.1).fit(x, y)
        >>> certify(model.training_problem(x, y), model.network_).verdict
        'optimal'
        """
        return type(self)(**self.get_params())._problem(X, y, sample_weight)[0]

    def _problem(self, X: Any, y: Any, sample_weight: Any) -> tuple[TrainingProblem, float]:
        """The problem in sums, and the total weight."""
        alpha, loss = check_positive(self.alpha, "alpha", allow_zero=True), checked_loss(self.loss)
        x, y, weight = self._rows(X, y, sample_weight)
        return spline_problem(x, y, weight, loss, alpha), float(weight.sum())


def set_fitted(model: Any, fit: SplineFit) -> None:
    """The attributes that describe a fitted function and its proof."""
    model.spline_ = fit.spline
    model.network_ = fit.result.network
    model.knots_ = np.array(fit.spline.knots)
    model.kinks_ = np.array(fit.spline.kinks)
    model.n_knots_ = fit.spline.n_knots
    model.objective_ = fit.objective
    model.lower_bound_ = fit.lower_bound
    model.dual_gap_ = fit.gap
    model.status_ = fit.result.status
    model.n_iter_ = max(1, fit.result.iterations)
