"""The activations against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from networks.nets import KAPPAS

from convexnet.errors import ProblemError
from convexnet.networks import ACTIVATIONS, activate, activate_derivative, slope

T = np.array([-1e300, -3.0, -1e-300, -0.0, 0.0, 1e-300, 2.5, 1e300])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_is_max_of_two_lines_and_even_plus_odd(activation: str) -> None:
    kappa = slope(activation, 0.2)
    assert kappa == KAPPAS[activation]
    np.testing.assert_array_equal(activate(T, kappa), np.maximum(T, kappa * T))
    np.testing.assert_allclose(
        activate(T, kappa), (1 + kappa) / 2 * T + (1 - kappa) / 2 * np.abs(T), rtol=1e-15, atol=0
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivative_is_the_slope_away_from_zero_and_kappa_at_zero(activation: str) -> None:
    kappa, t, h = slope(activation, 0.2), np.array([-2.0, -0.5, 0.5, 2.0]), 1e-6
    numeric = (activate(t + h, kappa) - activate(t - h, kappa)) / (2 * h)
    np.testing.assert_allclose(activate_derivative(t, kappa), numeric, atol=1e-8)
    assert activate_derivative(np.array([0.0]), kappa)[0] == kappa


@pytest.mark.parametrize("kappa", KAPPAS.values())
def test_activation_is_positively_homogeneous(kappa: float) -> None:
    t = np.linspace(-3, 3, 13)
    np.testing.assert_array_equal(activate(4.0 * t, kappa), 4.0 * activate(t, kappa))


@pytest.mark.parametrize(
    "bad", [("tanh", 0.1), ("leaky", 0.0), ("leaky", 1.0), ("leaky", -0.1), ("leaky", np.nan), (3, 0.1)]
)
def test_bad_options_are_named(bad: tuple) -> None:
    with pytest.raises(ProblemError):
        slope(*bad)


def test_negative_slope_counts_for_leaky_only() -> None:
    assert slope("relu", 5.0) == 0.0 and slope("absolute", -7.0) == -1.0
