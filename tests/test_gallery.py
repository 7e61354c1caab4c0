"""The gallery pages on certificates run alone, draw one figure each, and what their text says is so."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
pytestmark = [pytest.mark.extra, pytest.mark.slow]


def page(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], int]:
    """The variables at the end of a page and the number of figures it drew."""
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.close("all")
    variables = runpy.run_path(str(EXAMPLES / name))
    count = len(plt.get_fignums())
    plt.close("all")
    return variables, count


def test_the_certificate_touches_the_band_at_the_neurons_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    found, figures = page("plot_certificate.py", monkeypatch)
    problem, optimum, network = found["problem"], found["optimum"], found["solution"].network
    assert figures == 1 and optimum.verdict == "optimal"
    nu = optimum.scale * optimum.nu
    neurons = np.column_stack([network.weights, network.biases]).T
    neurons /= np.linalg.norm(neurons, axis=0)
    touch = nu @ np.maximum(problem.extended @ neurons, 0)
    np.testing.assert_allclose(touch, problem.reg * np.sign(network.output_weights), rtol=1e-4)
    angles = np.deg2rad(np.linspace(0, 360, 100_001))
    circle = np.vstack([np.cos(angles), np.sin(angles)])
    curve = np.abs(nu @ np.maximum(problem.extended @ circle, 0))
    assert curve.max() <= problem.reg * (1 + 1e-9)
    near = curve > problem.reg * (1 - 1e-4)
    assert (np.abs(circle[:, near].T @ neurons).max(axis=1) > np.cos(np.deg2rad(5))).all()
    own = found["residual"] @ np.maximum(problem.extended @ circle, 0)
    assert np.abs(own).max() > problem.reg * 1.01, "the page says that this curve leaves the band"
    assert found["own"].gap > 3 * found["better"].gap


def test_adam_is_measured_between_truth_and_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    found, figures = page("plot_sgd_certified.py", monkeypatch)
    assert figures == 1 and len(found["table"]) == 3
    for rows in found["table"].values():
        for proven, true, own in rows:
            assert -1e-9 <= true <= proven * (1 + 1e-9) + 1e-12
            assert proven <= own


def test_the_path_page_has_a_minimum_inside_and_proven_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    found, figures = page("plot_regularization_path.py", monkeypatch)
    gated, relu = found["gated"], found["relu"]
    assert figures == 1 and gated.status == relu.status == "done"
    assert (gated.gaps <= 1e-6).all() and 0 < gated.best_index < len(gated) - 1
    assert all(point.pricing_gap <= 1e-4 for point in relu.points)
    assert gated.neurons[0] == relu.neurons[0] == 0
    assert relu.gaps[1] < 0.01 < relu.gaps[-1], "the page says: strong for large reg, weak for small"


def test_memorization_takes_no_more_neurons_than_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    found, figures = page("plot_memorization.py", monkeypatch)
    assert figures == 3 and found["smallest"].n_neurons == 10
    assert found["smallest"].path_norm < found["random"].path_norm()
    for d, fits in found["found"].items():
        assert all(fit.gap <= 1e-6 and fit.n_neurons <= fit.problem.n for fit in fits)
        assert d == 1 or all(fit.n_neurons == fit.problem.n for fit in fits), "the page says so"
