"""Splines along decreasing alpha, each started from the one before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._printing import rounded_down, rounded_up
from .._validation import as_sample_weight, as_targets, check_count, check_flag, check_positive
from ..certificates.tolerances import check_tolerance
from ..errors import DataError, ProblemError
from ..losses import Loss
from ..networks.linear_spline import LinearSpline
from ._one_feature import check_total
from ._spline_fit import SplineFit, checked_loss, spline_fit, spline_problem

__all__ = ["SplinePath", "alpha_grid", "path_fits", "spline_path"]

_MOST = 10_000


@dataclass(frozen=True, eq=False, repr=False)
class SplinePath:
    """Fitted splines along decreasing alpha.

    Attributes
    ----------
    alphas : ndarray of shape (k,)
        Decreasing.
    fits : tuple of SplineFit
        One for each alpha.
    wall_time : float
        Seconds.

    Examples
    --------
    >>> path = spline_path([0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 1.0, 0.0], alphas=3, eps=0.01)
    >>> path.n_knots, bool(path.gaps.max() < 1e-12)
    (array([0, 2, 2]), True)
    """

    alphas: np.ndarray
    fits: tuple[SplineFit, ...]
    wall_time: float

    def __len__(self) -> int:
        return len(self.fits)

    @property
    def splines(self) -> tuple[LinearSpline, ...]:
        """The functions."""
        return tuple(fit.spline for fit in self.fits)

    @property
    def n_knots(self) -> np.ndarray:
        """Knots of each."""
        return np.array([fit.spline.n_knots for fit in self.fits])

    @property
    def gaps(self) -> np.ndarray:
        """Proven relative gap of each."""
        return np.array([fit.gap for fit in self.fits])

    def __repr__(self) -> str:
        knots = self.n_knots
        return (
            f"SplinePath(alphas={len(self)}, knots {knots.min()} to {knots.max()}, "
            f"largest gap={rounded_up(float(self.gaps.max()), 2)})"
        )

    def summary(self) -> str:
        """A table, one line for each alpha; the bounds are proven over networks of every width."""
        lines = [repr(self), f"{'alpha':>12}{'objective':>15}{'lower bound':>15}{'gap':>10}{'knots':>7}{'TV':>13}"]
        for alpha, fit in zip(self.alphas, self.fits, strict=True):
            lines.append(
                f"{alpha:>12.6g}{fit.objective:>15.9g}{rounded_down(fit.lower_bound):>15}"
                f"{rounded_up(fit.gap, 2):>10}{fit.spline.n_knots:>7d}{fit.spline.total_variation:>13.6g}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON."""
        points = [
            {"alpha": float(alpha), **fit.to_dict()} for alpha, fit in zip(self.alphas, self.fits, strict=True)
        ]
        return {"points": points, "wall_time": self.wall_time}


def spline_path(
    x: Any,
    y: Any,
    *,
    alphas: Any = 50,
    eps: float = 1e-4,
    loss: str | Loss = "squared",
    sample_weight: Any = None,
    sparsest: bool = True,
    tol: float = 1e-9,
    max_iter: int | None = None,
    time_limit: float = 600.0,
) -> SplinePath:
    r"""Fit sparse linear splines along decreasing alpha, each started from the one before.

    .. math:: \min_f \frac{1}{\sum_i w_i} \sum_i w_i\, \ell(f(x_i), y_i) + \alpha\, \mathrm{TV}(f')

    Parameters
    ----------
    x, y : array-like of shape (n,)
        ``x`` also as a table of one column.
    alphas : int or array-like
        So many values from the smallest alpha of a straight line down to ``eps`` times it, or the values themselves.
    eps : float in (0, 1)
    loss, sparsest, tol, max_iter : see SparseLinearSpline
    sample_weight : array-like of shape (n,), optional
    time_limit : float
        Seconds for all of them; when they are spent, the remaining fits return what they have.

    Returns
    -------
    SplinePath

    Raises
    ------
    DataError
        If the data are empty, not finite or of different lengths.
    ProblemError
        If an option is invalid.

    References
    ----------
    Friedman, Hastie and Tibshirani (2010), paths by warm starts.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0, 1, 50)
    >>> path = spline_path(x, np.abs(x - 0.4), alphas=[0.1, 0.001])
    >>> path.n_knots
    array([0, 1])
    """
    loss, start = checked_loss(loss), time.perf_counter()
    x = as_targets(x, np.size(x), "x")
    if x.ndim != 1 or not x.size:
        raise DataError(f"x must be a non-empty vector or a table of one column, got shape {np.shape(x)}.")
    y = as_targets(y, x.size)
    if y.ndim != 1:
        raise DataError(f"y must be a vector, got shape {y.shape}.")
    weight = as_sample_weight(sample_weight, x.size)
    weight = np.ones(x.size) if weight is None else weight
    check_total(weight)
    kept = weight > 0
    data = x[kept], y[kept], weight[kept]
    grid = alpha_grid(alphas, eps, *data, loss)
    options: dict[str, Any] = {
        "sparsest": check_flag(sparsest, "sparsest"), "tol": check_tolerance(tol), "max_iter": max_iter,
        "time_limit": check_positive(time_limit, "time_limit"),
    }  # fmt: skip
    fits = tuple(path_fits(grid, *data, loss, **options))
    return SplinePath(grid, fits, time.perf_counter() - start)


def path_fits(
    alphas: np.ndarray, x: np.ndarray, y: np.ndarray, weight: np.ndarray, loss: Loss, *, time_limit: float,
    sparsest: bool, **options: Any,
) -> Iterator[SplineFit]:  # fmt: skip
    """Fits for decreasing alphas; each but the first starts from the function before."""
    deadline, total, start = time.perf_counter() + time_limit, float(weight.sum()), None
    for alpha in alphas:
        problem = spline_problem(x, y, weight, loss, float(alpha))
        left = max(1e-3, deadline - time.perf_counter())
        fit = spline_fit(problem, total, sparsest=sparsest, start=start, time_limit=left, **options)
        start = fit.spline
        yield fit


def alpha_grid(alphas: Any, eps: float, x: np.ndarray, y: np.ndarray, weight: np.ndarray, loss: Loss) -> np.ndarray:
    """Decreasing alphas: those given, or a geometric grid below the smallest alpha whose fit is a straight line."""
    if np.ndim(alphas) == 0:
        count = check_count(alphas, "alphas")
        if count > _MOST:
            raise ProblemError(f"alphas asks for {count} fits; at most {_MOST} are made.")
        if not 0 < check_positive(eps, "eps") < 1:
            raise ProblemError(f"eps must lie between 0 and 1, got {eps!r}.")
        top = _alpha_max(x, y, weight, loss) or 1.0
        return np.geomspace(top, top * eps, count)
    try:
        grid = np.asarray(alphas, dtype=np.float64)
    except (TypeError, ValueError):
        raise ProblemError(f"alphas must be a count or a list of numbers, got {alphas!r}.") from None
    if grid.ndim != 1 or not grid.size or not np.isfinite(grid).all() or (grid < 0).any():
        raise ProblemError(f"alphas must be a count or a list of finite numbers >= 0, got {alphas!r}.")
    return np.sort(grid)[::-1]


def _alpha_max(x: np.ndarray, y: np.ndarray, weight: np.ndarray, loss: Loss) -> float:
    """The smallest alpha of a straight line; it does not depend on where x and y are centred and grows with x."""
    from ..pricing import reg_max

    middle, half = 0.5 * (x.max() + x.min()), 0.5 * (x.max() - x.min())
    if half == 0:
        return 0.0
    problem = spline_problem((x - middle) / half, y - np.median(y), weight, loss, 1.0)
    return half * reg_max(problem) / float(weight.sum())
