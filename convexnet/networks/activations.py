"""The three activations of the package, sigma(t) = max(t, kappa t), as one number kappa."""

from __future__ import annotations

import numpy as np

from .._validation import check_choice, check_positive
from ..errors import ProblemError

__all__ = ["ACTIVATIONS", "activate", "activate_derivative", "slope"]

ACTIVATIONS = ("relu", "leaky", "absolute")


def slope(activation: str, negative_slope: float = 0.01) -> float:
    """Return kappa, the slope of the activation on the negative half line.

    ``relu`` has kappa = 0, ``leaky`` has kappa = ``negative_slope`` in (0, 1), ``absolute`` has kappa = -1;
    in all three cases ``sigma(t) = max(t, kappa t) = (1 + kappa)/2 t + (1 - kappa)/2 |t|``.

    Parameters
    ----------
    activation : {"relu", "leaky", "absolute"}
    negative_slope : float
        Used by ``leaky`` only.

    Raises
    ------
    ProblemError
        For an unknown activation or a leaky slope outside (0, 1).

    Examples
    --------
    >>> slope("relu"), slope("leaky", 0.1), slope("absolute")
    (0.0, 0.1, -1.0)
    """
    check_choice(activation, "activation", ACTIVATIONS)
    if activation == "relu":
        return 0.0
    if activation == "absolute":
        return -1.0
    kappa = check_positive(negative_slope, "negative_slope")
    if kappa >= 1:
        raise ProblemError(f"negative_slope must lie in (0, 1), got {negative_slope!r}; use activation='relu' for 0.")
    return kappa


def activate(t: np.ndarray, kappa: float) -> np.ndarray:
    """Return sigma(t) = max(t, kappa t) elementwise, for -1 <= kappa < 1.

    Parameters
    ----------
    t : array of any shape
    kappa : float
        The slope on the negative half line, see :func:`slope`.

    Examples
    --------
    >>> activate(np.array([-2.0, 0.0, 3.0]), -1.0)
    array([2., 0., 3.])
    """
    t = np.asarray(t, dtype=np.float64)
    if kappa == -1:
        return np.abs(t)
    return np.maximum(t, 0.0) if kappa == 0 else np.maximum(t, kappa * t)


def activate_derivative(t: np.ndarray, kappa: float) -> np.ndarray:
    """Return sigma'(t) elementwise: 1 for t > 0 and kappa for t <= 0 (so sigma'(0) = kappa).

    Parameters
    ----------
    t : array of any shape
    kappa : float

    Examples
    --------
    >>> activate_derivative(np.array([-2.0, 0.0, 3.0]), 0.0)
    array([0., 0., 1.])
    """
    return np.where(np.asarray(t) > 0, 1.0, float(kappa))
