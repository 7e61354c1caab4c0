"""The continuous piecewise linear function that a network of one variable computes."""

from __future__ import annotations

import numpy as np

from ..networks.linear_spline import LinearSpline
from ..networks.shallow import ShallowNetwork

__all__ = ["spline_of"]


def spline_of(network: ShallowNetwork, anchor: float) -> LinearSpline:
    """The function of a scalar network of one feature, kept by its knots and kinks.

    Examples
    --------
    >>> network = ShallowNetwork([[1.0], [-2.0]], [-1.0, 4.0], [3.0, 0.5])
    >>> spline = spline_of(network, 0.0)
    >>> spline.knots, spline.kinks, spline([0.0, 3.0]), network.predict([[0.0], [3.0]])
    (array([1., 2.]), array([3., 1.]), array([2., 6.]), array([2., 6.]))
    """
    w, b, c = network.weights[:, 0], network.biases, network.output_weights
    kappa = network.kappa
    bent = w != 0
    places = -b[bent] / w[bent]
    knots, index = np.unique(places, return_inverse=True)
    kinks = np.bincount(index, (1 - kappa) * c[bent] * np.abs(w[bent]), minlength=len(knots))
    # The slope just left of the anchor: kinks from there on are added to the right of it.
    active = np.full(len(w), False)
    active[bent] = np.where(w[bent] > 0, places < anchor, places >= anchor)
    slope = float(np.sum(c * w * np.where(active, 1.0, kappa)))
    if network.skip is not None:
        slope += float(network.skip[0])
    value = float(network.predict(np.array([[anchor]]))[0])
    return LinearSpline(knots, kinks, anchor, value, slope)
