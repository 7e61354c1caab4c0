"""Continuous piecewise linear functions of one variable, kept by their knots and kinks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, NetworkError
from ._arrays import as_parameter, check_activation
from ._knots import barycentres, kinks_at_nodes, kinks_through, needed_knots

if TYPE_CHECKING:
    from .shallow import ShallowNetwork

__all__ = ["LinearSpline"]


@dataclass(frozen=True, eq=False, repr=False)
class LinearSpline:
    r"""A continuous piecewise linear function of one variable.

    .. math:: f(x) = \mathrm{value} + \mathrm{slope}\,(x - \mathrm{anchor})
              + \sum_{t_k \ge \mathrm{anchor}} a_k (x - t_k)_+ + \sum_{t_k < \mathrm{anchor}} a_k (t_k - x)_+

    The kinks are kept as numbers, never as differences of values: with knots 1e-9 apart such differences lose half of
    their digits.

    Parameters
    ----------
    knots : array (K,)
        ``t_k``, strictly increasing.
    kinks : array (K,)
        ``a_k``, the jump of the slope at each knot; knots whose kink is zero are left out.
    anchor, value, slope : float
        A point, the value there and the slope there (to its right before the knots from ``anchor`` on count).

    Raises
    ------
    NetworkError
        If the shapes differ, a number is NaN or infinite, or the knots do not increase.

    References
    ----------
    Savarese, Evron, Soudry and Srebro (2019), "How do infinite width bounded norm networks look in function space?";
    Parhi and Nowak (2021), "Banach space representer theorems for neural networks and ridge splines".

    Examples
    --------
    >>> spline = LinearSpline([0.0, 1.0], [2.0, -3.0], value=1.0)
    >>> spline([-1.0, 0.5, 2.0])
    array([1., 2., 2.])
    >>> spline.total_variation, spline.slopes
    (5.0, array([ 0.,  2., -1.]))
    """

    knots: np.ndarray
    kinks: np.ndarray
    anchor: float = 0.0
    value: float = 0.0
    slope: float = 0.0

    def __post_init__(self) -> None:
        knots = as_parameter(self.knots, "knots", (1,))
        kinks = as_parameter(self.kinks, "kinks", (1,))
        if knots.shape != kinks.shape:
            raise NetworkError(f"knots and kinks must have the same length, got {knots.size} and {kinks.size}.")
        if np.any(np.diff(knots) <= 0):
            raise NetworkError("knots must increase strictly; add the kinks of equal knots and sort them.")
        kept = kinks != 0
        for name, array in (("knots", knots[kept]), ("kinks", kinks[kept])):
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        for name in ("anchor", "value", "slope"):
            object.__setattr__(self, name, float(as_parameter(getattr(self, name), name, (0,))))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and unpickle through the constructor, so that the arrays stay read-only."""
        return LinearSpline, (self.knots, self.kinks, self.anchor, self.value, self.slope)

    @classmethod
    def from_values(cls, x: Any, theta: Any) -> LinearSpline:
        """Return the function that connects the points ``(x_i, theta_i)`` and goes on straight outside of them.

        Points that lie on a line up to the rounding of their values get no knots.

        Parameters
        ----------
        x : array (n,)
            In any order; points given twice must agree.
        theta : array (n,)

        Raises
        ------
        NetworkError
            If nothing is given, a number is not finite, or one point has two values.

        Examples
        --------
        >>> LinearSpline.from_values([0.0, 1.0, 2.0], [0.0, 1.0, 1.0]).kinks
        array([-1.])
        """
        x, theta = as_parameter(x, "x", (1,)), as_parameter(theta, "theta", (1,))
        if x.shape != theta.shape or not x.size:
            raise NetworkError(f"x and theta must have the same length of at least 1, got {x.size} and {theta.size}.")
        nodes, first, node_of = np.unique(x, return_index=True, return_inverse=True)
        if np.any(theta[first][node_of] != theta):
            raise NetworkError("One abscissa has two values; a function has only one.")
        values = theta[first]
        if nodes.size == 1:
            return cls(np.zeros(0), np.zeros(0), nodes[0], values[0], 0.0)
        return cls.through(nodes, values, needed_knots(nodes, values))

    @classmethod
    def through(cls, x: np.ndarray, values: np.ndarray, places: np.ndarray) -> LinearSpline:
        """Return the function with knots ``x[places]`` (inner points) that takes their and the outer ``values``.

        ``x`` increases strictly; ``values`` may be in extended precision; there are at least two points.

        Examples
        --------
        >>> import numpy as np
        >>> LinearSpline.through(np.arange(4.0), np.array([0.0, 1.0, 0.0, 5.0]), np.array([1])).kinks
        array([1.])
        """
        chosen = np.concatenate([[0], places, [x.size - 1]])
        return cls(x[places], *kinks_through(x[chosen], values[chosen]))

    @property
    def n_knots(self) -> int:
        """The number K of knots."""
        return int(self.knots.size)

    @property
    def total_variation(self) -> float:
        """``TV(f') = sum_k |a_k|``, the path norm of :meth:`to_network`."""
        return math.fsum(np.abs(self.kinks).tolist())

    @property
    def slopes(self) -> np.ndarray:
        """Slopes of the K + 1 pieces, from left to right."""
        return np.concatenate([self._left[1][::-1], self._right[1][1:]]).astype(np.float64)

    @cached_property
    def _right(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Starts, slopes and starting values of the pieces right of the anchor."""
        right = self.knots >= self.anchor
        return _pieces(self.anchor, self.value, self.slope, self.knots[right], self.kinks[right])

    @cached_property
    def _left(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same to the left, walking away from the anchor; slopes are still those in x."""
        left = self.knots < self.anchor
        knots, kinks = self.knots[left][::-1], self.kinks[left][::-1]
        return _pieces(self.anchor, self.value, self.slope, knots, -kinks)

    def predict(self, x: Any) -> np.ndarray:
        """Return f(x), shape (n,), for ``x`` of shape (n,) or (n, 1).

        Raises
        ------
        DataError
            If x is not a finite array of one of these shapes.
        """
        return self._evaluate(_as_abscissae(x), np.float64)

    def _evaluate(self, x: np.ndarray, dtype: type) -> np.ndarray:
        """Values in double or extended precision."""
        values: np.ndarray = np.empty(x.shape, dtype=dtype)
        right = x >= self.anchor
        for chosen, flip, pieces in ((right, 1.0, self._right), (~right, -1.0, self._left)):
            starts, slopes, heights = pieces
            place = np.searchsorted(flip * starts, flip * x[chosen], side="right") - 1
            steps = x[chosen].astype(dtype) - starts[place]
            values[chosen] = heights.astype(dtype)[place] + slopes.astype(dtype)[place] * steps
        return values

    def residuals(self, x: Any, y: np.ndarray) -> np.ndarray:
        """Return ``f(x) - y`` without the rounding of f(x), which a large offset of y would make felt.

        Examples
        --------
        >>> spline = LinearSpline([0.0], [1.0], value=2.0**53)
        >>> spline([1.0]) - 2.0**53, spline.residuals([1.0], 2.0**53)
        (array([0.]), array([1.]))
        """
        exact = self._evaluate(_as_abscissae(x), np.longdouble) - np.asarray(y, dtype=np.float64)
        return exact.astype(np.float64)

    def __call__(self, x: Any) -> np.ndarray:
        """The same as :meth:`predict`."""
        return self.predict(x)

    def shifted(self, anchor: float, value: float, slope: float) -> LinearSpline:
        """Return ``f(x) + value + slope (x - anchor)``.

        Examples
        --------
        >>> LinearSpline([0.0], [1.0]).shifted(0.0, 2.0, 1.0)([-1.0, 1.0])
        array([1., 4.])
        """
        lifted = self.value + value + slope * (self.anchor - anchor)
        return LinearSpline(self.knots, self.kinks, self.anchor, lifted, self.slope + slope)

    def to_network(self, activation: str = "relu", negative_slope: float = 0.01) -> ShallowNetwork:
        """Return the same function as a network with unit weights, a skip connection and an output intercept.

        Its path norm with free biases is ``total_variation / (1 - kappa)``: equal to the total variation for ReLU.

        Parameters
        ----------
        activation : {"relu", "leaky", "absolute"}
        negative_slope : float
            kappa of the leaky activation.

        Raises
        ------
        NetworkError
            If the activation is unknown.

        Examples
        --------
        >>> network = LinearSpline([0.0, 1.0], [2.0, -3.0], value=1.0).to_network()
        >>> network.predict([[-1.0], [0.5], [2.0]]), network.path_norm("free")
        (array([1., 2., 2.]), 5.0)
        """
        from .shallow import ShallowNetwork

        kappa = check_activation(activation, negative_slope)
        sign = np.where(self.knots >= self.anchor, 1.0, -1.0)
        output = self.kinks / (1 - kappa)
        # sigma(t) = (1 - kappa) t_+ + kappa t: the linear parts go to the skip connection.
        skip = self.slope - kappa * float(sign @ output)
        height = self.value - self.slope * self.anchor + kappa * float((sign * output) @ self.knots)
        return ShallowNetwork(
            sign[:, None], -sign * self.knots, output, height, np.array([skip]), activation, negative_slope
        )

    def sparsest(self, nodes: Any) -> LinearSpline:
        r"""Return the function with the fewest knots among those of least total variation through its values at nodes.

        On the nodes the function stays the same and its total variation does not grow. In each maximal run of ``m``
        neighbouring nodes with kinks of one sign, ``ceil(m / 2)`` knots are kept: two neighbours become one knot at
        their barycentre, which lies off the data. (Neighbours so close that the rounding of this place would change
        the values by more than 1e-10 of their range stay as they are.)

        Parameters
        ----------
        nodes : array (n,) or (n, 1)
            The data abscissae, in any order, repeated or not.

        Raises
        ------
        DataError
            If nodes is not a finite array of one of these shapes.

        References
        ----------
        Debarre, Denoyelle, Unser and Fageot (2022), "Sparsest piecewise-linear regression of one-dimensional data".

        Examples
        --------
        >>> spline = LinearSpline([1.0, 2.0, 3.0], [1.0, 1.0, -1.0])
        >>> sparse = spline.sparsest([0.0, 1.0, 2.0, 3.0, 4.0])
        >>> sparse.knots, sparse.kinks, sparse([2.0, 4.0]) - spline([2.0, 4.0])
        (array([1.5, 3. ]), array([ 2., -1.]), array([0., 0.]))
        """
        x = np.unique(_as_abscissae(nodes))
        moved = self.on_nodes(x)
        size = float(np.ptp(moved(x)))
        knots, _, last = barycentres(x, moved.knots, moved.kinks, size)
        if knots.size == moved.n_knots:
            return moved
        slopes = moved.slopes[np.concatenate([[0], last + 1])]
        # Left of a merged knot the function goes on as left of the pair.
        base = moved.knots[np.concatenate([[0], last[:-1] + 1])]
        heights = moved(base) + slopes[:-1] * (knots - base)
        chosen, ends = np.concatenate([x[:1], knots, x[-1:]]), moved(x[[0, -1]])
        values = np.concatenate([ends[:1], heights, ends[1:]])
        return LinearSpline(knots, *kinks_through(chosen, values, slopes))

    def on_nodes(self, nodes: Any) -> LinearSpline:
        """Return the function with the same values at the nodes that is straight between them and outside.

        Its knots are inner nodes and its total variation is not larger. A knot between two nodes is split into kinks at
        both, which is exact where second differences of the values would lose digits.

        Parameters
        ----------
        nodes : array (n,) or (n, 1)

        Examples
        --------
        >>> LinearSpline([1.5], [2.0]).on_nodes([0.0, 1.0, 2.0, 3.0]).kinks
        array([1., 1.])
        """
        x = np.unique(_as_abscissae(nodes))
        if x.size == 1:
            return LinearSpline(np.zeros(0), np.zeros(0), x[0], float(self(x)[0]), 0.0)
        knots, kinks = kinks_at_nodes(x, self.knots, self.kinks)
        widest = int(np.argmax(np.diff(x)))
        if np.array_equal(knots, self.knots):
            return self
        ends = x[widest : widest + 2]
        values = self(ends)
        slope = (values[1] - values[0]) / (ends[1] - ends[0])
        return LinearSpline(knots, kinks, ends[1], values[1], slope)

    def anchored(self, point: float) -> LinearSpline:
        """Return the same function with another anchor.

        Examples
        --------
        >>> LinearSpline([0.0], [1.0]).anchored(2.0).value
        2.0
        """
        point = float(as_parameter(point, "point", (0,)))
        left = int(np.searchsorted(self.knots, point))
        height, slope = float(self.predict(np.array([point]))[0]), float(self.slopes[left])
        return LinearSpline(self.knots, self.kinks, point, height, slope)

    def summary(self) -> str:
        """Return a few lines for people."""
        lines = [
            repr(self),
            f"  total variation of the slope  {self.total_variation:.9g}",
            f"  through ({self.anchor:.6g}, {self.value:.6g}) with slope {self.slope:.6g}",
        ]
        if self.n_knots:
            lines.append(f"  knots between                 {self.knots[0]:.6g} and {self.knots[-1]:.6g}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments as lists and numbers, ready for JSON."""
        return {
            "knots": self.knots.tolist(), "kinks": self.kinks.tolist(), "anchor": self.anchor, "value": self.value,
            "slope": self.slope,
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"LinearSpline(knots={self.n_knots}, total_variation={self.total_variation:.9g})"


def _pieces(
    anchor: float, value: float, slope: float, knots: np.ndarray, jumps: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, and slopes and heights there in extended precision, of the pieces met when walking from the anchor."""
    starts = np.concatenate([[anchor], knots])
    slopes = np.concatenate([[np.longdouble(slope)], slope + np.cumsum(jumps, dtype=np.longdouble)])
    steps = np.diff(starts).astype(np.longdouble) * slopes[:-1]
    heights = np.concatenate([[np.longdouble(value)], value + np.cumsum(steps)])
    return starts, slopes, heights


def _as_abscissae(x: Any) -> np.ndarray:
    """Finite abscissae as a vector, from shape (n,) or (n, 1)."""
    try:
        array = as_parameter(x, "x", (1, 2))
    except NetworkError as error:
        raise DataError(str(error).replace("; training diverged, or the file is damaged", "")) from None
    if array.ndim == 2 and array.shape[1] != 1:
        raise DataError(f"x must have shape (n,) or (n, 1): a function of one variable; got shape {array.shape}.")
    return array.ravel()
