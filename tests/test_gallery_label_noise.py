"""The gallery page on noisy labels runs alone, and what its text says is so."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
pytestmark = [pytest.mark.extra, pytest.mark.slow]


def test_descent_comes_close_on_the_line_and_not_in_the_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.close("all")
    found = runpy.run_path(str(EXAMPLES / "plot_label_noise.py"))
    assert len(plt.get_fignums()) == 1
    plt.close("all")
    ratios = {}
    for name, run in found["runs"].items():
        certificate = found["optima"][name].certificate
        assert certificate.verdict == "optimal"
        assert run.objectives.min() >= certificate.lower_bound
        ratios[name] = float(np.median(run.objectives[-1]) / certificate.lower_bound)
    assert ratios["six points on a line"] < 1.25
    assert ratios["ten points in the plane"] > 1.5
