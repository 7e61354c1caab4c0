r"""The cheapest network without a skip connection through given values on a line, and its norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import NetworkError
from ._arrays import as_parameter
from .shallow import ShallowNetwork

__all__ = ["no_skip_network", "no_skip_norm"]


def no_skip_norm(x: Any, theta: Any) -> float:
    r"""Return the smallest path norm of a ReLU network with free biases and no skip connection through the points.

    With the total variation TV of the slopes of the segments, and the sum S of the first and the last slope, it is

    .. math:: \max\big(\mathrm{TV},\ (\mathrm{TV} + |S|) / 2\big).

    Parameters
    ----------
    x : array (m,)
        Strictly increasing.
    theta : array (m,)

    Raises
    ------
    NetworkError
        If x does not increase strictly, the lengths differ, or a number is not finite.

    References
    ----------
    Savarese, Evron, Soudry and Srebro (2019), "How do infinite width bounded norm networks look in function space?",
    whose cost ``max(TV, |f'(-inf) + f'(inf)|)`` is minimised here over the slopes outside of the points.

    Examples
    --------
    >>> no_skip_norm([0.0, 1.0, 2.0], [0.0, 1.0, 3.0]), no_skip_norm([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])
    (2.0, 2.0)
    """
    kinks, first, last = _slopes(*_points(x, theta))
    variation = float(np.sum(np.abs(kinks)))
    return max(variation, 0.5 * (variation + abs(first + last)))


def no_skip_network(x: Any, theta: Any) -> ShallowNetwork:
    r"""Return a ReLU network without skip connection through the points whose path norm is :func:`no_skip_norm`.

    Each kink is made by a neuron that opens to the right or to the left, one of them by both, so that the slopes add
    up; what the kinks cannot give is made by one neuron at an end of the data: one neuron fewer than points at most.

    Parameters
    ----------
    x : array (m,)
        Strictly increasing.
    theta : array (m,)

    Raises
    ------
    NetworkError
        As :func:`no_skip_norm`.

    Examples
    --------
    >>> network = no_skip_network([0.0, 1.0, 2.0], [0.0, 1.0, 3.0])
    >>> network.predict([[0.0], [1.0], [2.0]]), network.path_norm("free")
    (array([0., 1., 3.]), 2.0)
    """
    x, theta = _points(x, theta)
    kinks, _, last = _slopes(x, theta)
    up, down = float(np.sum(kinks[kinks > 0])), float(-np.sum(kinks[kinks < 0]))
    # The neurons that open to the right must add up to the last slope: with all positive kinks and no negative one they
    # add up to ``up``; from the left on, kinks change sides until the rest is gone.
    right = min(max(last, -down), up)
    sizes = np.abs(kinks).astype(np.longdouble)
    before = np.cumsum(sizes) - sizes
    with np.errstate(divide="ignore", invalid="ignore"):
        changed = np.where(sizes > 0, np.clip((np.longdouble(up) - right - before) / sizes, 0.0, 1.0), 0.0)
    part = np.where(kinks > 0, 1.0 - changed, changed).astype(np.float64)
    extra = last - right
    ends = np.array([x[0]]) if extra else np.zeros(0)
    inner = x[1:-1]
    knots = np.concatenate([inner, inner, ends])
    sides = np.repeat([1.0, -1.0, 1.0], [inner.size, inner.size, ends.size])
    output = np.concatenate([part * kinks, (1 - part) * kinks, np.full(ends.size, extra)])
    kept = output != 0
    network = ShallowNetwork(sides[kept, None], -(sides * knots)[kept], output[kept])
    middle = x.size // 2
    height = float(theta[middle] - network.predict(x[middle : middle + 1, None])[0])
    return ShallowNetwork(network.weights, network.biases, network.output_weights, height)


def _points(x: Any, theta: Any) -> tuple[np.ndarray, np.ndarray]:
    x, theta = as_parameter(x, "x", (1,)), as_parameter(theta, "theta", (1,))
    if x.shape != theta.shape or not x.size or np.any(np.diff(x) <= 0):
        raise NetworkError("x must increase strictly and have as many entries as theta, at least one.")
    return x, theta


def _slopes(x: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Kinks at the inner points, and the first and the last slope."""
    if x.size == 1:
        return np.zeros(0), 0.0, 0.0
    slopes = np.diff(theta.astype(np.longdouble)) / np.diff(x.astype(np.longdouble))
    return np.diff(slopes).astype(np.float64), float(slopes[0]), float(slopes[-1])
