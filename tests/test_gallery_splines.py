"""The gallery pages on functions of one variable and ridge functions: what their text says is so."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
pytestmark = [pytest.mark.extra, pytest.mark.slow]


def page(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The variables at the end of a page that draws one figure."""
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.close("all")
    variables = runpy.run_path(str(EXAMPLES / name))
    assert len(plt.get_fignums()) == 1
    plt.close("all")
    return variables


def test_the_sparsest_spline_has_the_same_variation_and_half_the_knots(monkeypatch: pytest.MonkeyPatch) -> None:
    found = page("plot_sparsest_spline.py", monkeypatch)
    dots, sparse, fit = found["dots"], found["sparse"], found["fit"]
    assert sparse.spline.n_knots <= 0.6 * dots.spline.n_knots
    assert sparse.objective == pytest.approx(dots.objective, rel=1e-12)
    assert np.allclose(sparse.spline(found["x"]), found["y"], atol=1e-12)
    assert fit.status == "solved" and np.array_equal(fit.spline.knots, found["model"].knots_)


def test_linear_splines_win_where_smoothness_varies_and_lose_on_the_sine(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = page("plot_spline_vs_kernel.py", monkeypatch)["errors"]
    for other in ("cubic", "kernel"):
        assert errors["zig-zag", other] > 1.5 * errors["zig-zag", "linear"]
        assert errors["Doppler", other] > 1.1 * errors["Doppler", "linear"]
        assert errors["sine", other] < errors["sine", "linear"]


def test_networks_beat_thin_plates_on_a_ridge_function(monkeypatch: pytest.MonkeyPatch) -> None:
    found = page("plot_ridge_function.py", monkeypatch)
    assert all(plate > 1.3 * network for network, plate in found["table"].values())
    network, bends = found["network"], found["bends"]
    directions = network.weights[bends > 0.1 * bends.sum()]
    cosines = np.abs(directions @ found["DIRECTION"]) / np.linalg.norm(directions, axis=1)
    assert (cosines > 0.9).all(), "the page says: the strongest bends run along the ridge"
