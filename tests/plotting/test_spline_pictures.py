"""Pictures of functions of one variable: every knot is marked, the certificate's curve stays in its band."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convexnet import TrainingProblem
from convexnet.errors import DataError, ProblemError
from convexnet.estimators import SparseLinearSpline, SparseLinearSplineCV
from convexnet.networks import LinearSpline
from convexnet.plotting import plot_spline, plot_spline_certificate
from convexnet.solvers import SplineResult, solve_spline

pytestmark = pytest.mark.extra
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def no_open_figures() -> Any:
    yield
    plt.close("all")


def result(**options: Any) -> SplineResult:
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, 40).round(1)  # repeated abscissae
    y = np.abs(x) + 0.1 * generator.standard_normal(40)
    options = {"reg": 0.05, "bias": "free", "skip": True, **options}
    return solve_spline(TrainingProblem(x[:, None], y, **options))


def test_data_pieces_and_knots_are_drawn() -> None:
    found = result()
    ax = plot_spline(found, label="fit")
    ax.figure.canvas.draw()
    data, pieces, knots = ax.lines
    assert np.array_equal(data.get_xdata(), found.problem.X[:, 0])
    assert np.array_equal(knots.get_xdata(), found.spline.knots)
    assert np.allclose(pieces.get_ydata(), found.spline(pieces.get_xdata()))
    inner = np.linspace(-1, 1, 301)
    assert np.allclose(np.interp(inner, pieces.get_xdata(), pieces.get_ydata()), found.spline(inner))


@pytest.mark.parametrize("sparsest", [False, True])
def test_the_curve_stays_in_the_band_and_touches_it_at_every_knot(sparsest: bool) -> None:
    found = result().sparsest() if sparsest else result()
    ax = plot_spline_certificate(found)
    ax.figure.canvas.draw()
    reg, (_, curve, up, down) = found.problem.reg, ax.lines
    assert np.abs(curve.get_ydata()).max() <= reg * (1 + 1e-9)
    assert len(up.get_xdata()) + len(down.get_xdata()) == found.spline.n_knots >= 2
    assert np.allclose(up.get_ydata(), reg, rtol=1e-6) and np.allclose(down.get_ydata(), -reg, rtol=1e-6)
    t = np.linspace(-1.2, 1.2, 101)
    u = np.maximum(t[:, None] - found.problem.X[:, 0], 0) @ found.nu
    assert np.allclose(u, np.interp(t, curve.get_xdata(), curve.get_ydata()), atol=1e-9)


def test_estimators_vectors_and_straight_lines() -> None:
    x = np.arange(5.0)
    model = SparseLinearSpline(alpha=10.0).fit(x, x)
    assert len(plot_spline(model).lines) == 2 and len(plot_spline(SparseLinearSplineCV(alphas=2).fit(x, x)).lines) == 2
    ax = plot_spline(model.spline_, x[:, None], x)
    assert ax.get_legend_handles_labels()[1] == ["0 knots"]
    assert len(plot_spline(LinearSpline([], []), ax=ax).lines) == 5


def test_what_cannot_be_drawn_is_named() -> None:
    spline = LinearSpline([0.0], [1.0])
    with pytest.raises(DataError, match="both X and y"):
        plot_spline(spline, [1.0])
    with pytest.raises(DataError, match="vector"):
        plot_spline(spline, np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(DataError):
        plot_spline(spline, [1.0, np.nan], [1.0, 2.0])
    with pytest.raises(DataError, match="y must be a vector"):
        plot_spline(spline, np.zeros(3), np.zeros((3, 2)))
    with pytest.raises(ProblemError, match="fit it first"):
        plot_spline(SparseLinearSpline())
    for ax in (3, "ax", plt.subplots(2)[1], plt.figure()):
        with pytest.raises(ProblemError, match="ax must be matplotlib Axes"):
            plot_spline(spline, ax=ax)
        with pytest.raises(ProblemError, match="ax must be matplotlib Axes"):
            plot_spline_certificate(result(), ax=ax)
    with pytest.raises(ProblemError, match="LinearSpline"):
        plot_spline("spline")  # type: ignore[arg-type]
    with pytest.raises(ProblemError, match="SplineResult"):
        plot_spline_certificate(spline)  # type: ignore[arg-type]
    with pytest.raises(ProblemError, match="prices"):
        plot_spline_certificate(result(activation="absolute"))
