"""Results for data of one feature that were moved near the origin, where free biases make that the same problem."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..networks.linear_spline import LinearSpline

if TYPE_CHECKING:
    from ._centred import Centring
    from ._spline_result import SplineResult

__all__ = ["moved_back"]


def moved_back(result: SplineResult, centring: Centring) -> SplineResult:
    """The result for the data as given: the same values and bounds, knots and biases moved."""
    offset, spline = float(centring.centre[0]), result.spline
    if offset == 0:
        return result
    if spline is not None:
        knots, index = np.unique(spline.knots + offset, return_inverse=True)
        kinks = np.bincount(index, spline.kinks, minlength=knots.size)
        spline = LinearSpline(knots, kinks, spline.anchor + offset, spline.value, spline.slope)
    return replace(result, problem=centring.given, network=centring.network(result.network), spline=spline)
