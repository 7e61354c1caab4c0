"""Predictions of many neurons on many samples agree with the plain product."""

from __future__ import annotations

import numpy as np
import pytest

from convexnet.networks import ShallowNetwork, _many
from convexnet.networks.activations import activate


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("outputs", [(), (2,)])
@pytest.mark.parametrize("activation", ["relu", "leaky", "absolute"])
def test_no_matrix_of_all_products(
    d: int, outputs: tuple[int, ...], activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    weights, biases = generator.standard_normal((40, d)), generator.standard_normal(40)
    weights[:3] = 0.0
    biases[5:8] = 0.0
    network = ShallowNetwork(weights, biases, generator.standard_normal((40, *outputs)), activation=activation)
    X = np.vstack([generator.standard_normal((30, d)), np.zeros((1, d)), -biases[4] / weights[4]])
    plain = activate(X @ weights.T + biases, network.kappa) @ network.output_weights
    assert network.predict(X) == pytest.approx(plain, abs=1e-13)
    monkeypatch.setattr(_many, "_ENTRIES", 200)
    assert network.predict(X) == pytest.approx(plain, abs=1e-13)


def test_a_hundred_thousand_neurons_on_as_many_samples() -> None:
    x = np.linspace(0.0, 1.0, 100_000)
    kinks = np.full(x.size, 1e-5)
    network = ShallowNetwork(np.ones((x.size, 1)), -x, kinks)
    exact = np.arange(x.size, dtype=float) * (np.arange(x.size) + 1.0) / 2 * 1e-5 / (x.size - 1)
    assert network.predict(x[:, None]) == pytest.approx(exact, rel=1e-9, abs=1e-9)
