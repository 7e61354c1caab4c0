"""Pictures show what they claim: kinks, cells, the band of the certificate, excesses; anything else is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convexnet import ShallowNetwork, TrainingProblem, compare, enumerate_patterns, regularization_path, solve
from convexnet.errors import ProblemError
from convexnet.plotting import plot_arrangement, plot_comparison, plot_dual_certificate, plot_network, plot_path

pytestmark = pytest.mark.extra
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def no_open_figures() -> Any:
    yield
    plt.close("all")


def drawn(ax: Any) -> None:
    """Draw for real: many mistakes only show then."""
    ax.figure.canvas.draw()


def labels(ax: Any) -> list[str]:
    return list(ax.get_legend_handles_labels()[1])


# ------------------------------------------------------------------------------------------------------- the network
def two_features(n: int = 30, classes: bool = False) -> TrainingProblem:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 2))
    y = np.abs(X[:, 0]) - X[:, 1]
    return TrainingProblem(X, np.where(y > 0.3, 1.0, -1.0) if classes else y, reg=1.0,
                           loss="logistic" if classes else "squared")  # fmt: skip


def kinks(ax: Any) -> list[Any]:
    """The infinite lines of a picture."""
    return [line for line in ax.lines if type(line).__name__ == "AxLine"]


def test_every_kink_is_where_its_neuron_turns() -> None:
    problem = two_features()
    network = ShallowNetwork([[1.0, 2.0], [0.0, -1.0], [2.0, 0.0]], [0.5, 0.3, -1.0], [1.0, -2.0, 0.5])
    ax = plot_network(problem, network)
    drawn(ax)
    assert len(kinks(ax)) == 3
    for line, w, b, v in zip(kinks(ax), network.weights, network.biases, network.output_weights, strict=True):
        for point in (line.get_xy1(), line.get_xy2()):
            assert np.dot(w, point) + b == pytest.approx(0, abs=1e-12)
        assert line.get_linestyle() == ("-" if v > 0 else "--")
    assert labels(ax)[:2] == ["kink, bends upwards", "kink, bends downwards"]


def test_neurons_without_a_kink_or_without_weight_draw_nothing() -> None:
    weights, biases, out = [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]], [1.0, 0.0, 0.0], [1.0, 1e-13, 1.0]
    assert len(kinks(plot_network(two_features(), ShallowNetwork(weights, biases, out)))) == 1


def test_classes_have_two_markers_and_a_boundary() -> None:
    problem = two_features(classes=True)
    ax = plot_network(problem, solve(problem).network, features=["left", "right"])
    drawn(ax)
    assert {"class +1", "class -1", "prediction 0"} <= set(labels(ax))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("left", "right")
    assert sum(len(points.get_offsets()) for points in ax.collections if "class" in points.get_label()) == problem.n


def test_all_samples_are_inside_the_picture_also_with_a_constant_feature() -> None:
    problem = TrainingProblem([[0.0, 5.0], [1.0, 5.0], [3.0, 5.0]], [0.0, 1.0, 1.0], reg=0.1)
    ax = plot_network(problem, solve(problem).network)
    drawn(ax)
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert left < 0 and right > 3 and low < 5 < high


def test_an_empty_network_and_a_constant_target_are_drawn() -> None:
    problem = TrainingProblem(two_features().X, np.zeros(30), reg=1.0)
    drawn(plot_network(problem, ShallowNetwork(np.zeros((0, 2)), [], [])))


def test_networks_of_other_shapes_are_refused() -> None:
    problem = TrainingProblem([[0.0], [1.0]], [0.0, 1.0], reg=0.1)
    with pytest.raises(ProblemError, match="two features"):
        plot_network(problem, solve(problem).network)


# --------------------------------------------------------------------------------------------------- the arrangement
@pytest.mark.parametrize("x", [[-1.0, 0.0, 2.0, 5.0], [1.0, 1.0, 3.0]])
def test_sectors_fill_the_disc_and_count_active_samples(x: list[float]) -> None:
    X = np.column_stack([x, np.ones(len(x))])
    patterns = enumerate_patterns(X)
    ax = plot_arrangement(X)
    drawn(ax)
    assert len(ax.patches) == len(patterns)
    areas = []
    for patch, text in zip(ax.patches, ax.texts, strict=True):
        x1, x2 = patch.get_xy().T
        areas.append(0.5 * abs(np.sum(x1[:-1] * x2[1:] - x1[1:] * x2[:-1])))
        assert int(text.get_text()) == np.sum(X @ text.get_position() >= 0)
    assert sum(areas) == pytest.approx(np.pi, rel=1e-3)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("weight", "bias")


def test_arrows_are_the_neurons_with_weight() -> None:
    network = ShallowNetwork([[3.0], [0.0], [1.0]], [4.0, 0.0, 0.0], [1.0, 1.0, 0.0])
    ax = plot_arrangement([[0.0, 1.0], [1.0, 1.0]], network=network)
    drawn(ax)
    assert [note.xy for note in ax.texts if hasattr(note, "arrow_patch")] == [pytest.approx([0.57, 0.76])]


def test_two_weights_without_a_bias_are_named_so() -> None:
    ax = plot_arrangement([[1.0, 0.0], [0.0, 2.0]], network=ShallowNetwork([[1.0, 1.0]], [0.0], [-1.0]))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("first weight", "second weight")


@pytest.mark.parametrize("X", [[[1.0], [2.0]], [[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0]]])
def test_arrangements_that_are_no_fan_of_sectors_are_refused(X: list[list[float]]) -> None:
    with pytest.raises(ProblemError):
        plot_arrangement(X)


# --------------------------------------------------------------------------------------------------- the certificate
def one_feature(**options: Any) -> TrainingProblem:
    x = np.random.default_rng(7).standard_normal(15)
    return TrainingProblem(x[:, None], np.sin(2 * x), **{"reg": 0.1, **options})


def curve(ax: Any) -> np.ndarray:
    return next(line for line in ax.lines if line.get_label() == "nu · sigma(X u)").get_ydata()


@pytest.mark.parametrize("options", [{}, {"norm": "l1"}, {"activation": "leaky"}, {"loss": "absolute"}])
def test_curve_stays_in_the_band_and_neurons_touch_its_edge(options: dict[str, Any]) -> None:
    problem = one_feature(**options)
    solution = solve(problem)
    ax = plot_dual_certificate(problem, solution.certificate, solution.network)
    drawn(ax)
    assert np.max(np.abs(curve(ax))) <= problem.reg * (1 + 1e-6)
    assert np.max(np.abs(curve(ax))) >= problem.reg * (1 - 1e-2)
    atoms = [line for line in ax.lines if str(line.get_label()).startswith("neuron")]
    assert atoms
    for line in atoms:
        sign = 1 if "positive" in line.get_label() else -1
        assert line.get_ydata() == pytest.approx(sign * problem.reg, rel=1e-3)


def test_walls_are_the_directions_on_which_a_sample_is_zero() -> None:
    problem = one_feature()
    ax = plot_dual_certificate(problem, solve(problem).certificate)
    walls = next(line for line in ax.lines if line.get_label() == "walls between cells").get_xdata()
    assert len(walls) == 2 * problem.n
    neurons = np.vstack([np.cos(np.deg2rad(walls)), np.sin(np.deg2rad(walls))])
    assert np.min(np.abs(problem.extended @ neurons), axis=0) == pytest.approx(0, abs=1e-12)


def test_two_features_without_a_bias_fit_in_the_plane_too() -> None:
    problem = two_features().with_options(bias="none")
    solution = solve(problem)
    drawn(plot_dual_certificate(problem, solution.certificate, solution.network))


def test_problems_outside_the_plane_and_foreign_certificates_are_refused() -> None:
    problem = one_feature()
    certificate = solve(problem).certificate
    for other in (two_features(), one_feature(bias="free")):
        with pytest.raises(ProblemError, match="two weights"):
            plot_dual_certificate(other, certificate)
    with pytest.raises(ProblemError, match="another problem"):
        plot_dual_certificate(problem.with_options(reg=0.2), certificate)


# ---------------------------------------------------------------------------------------------------- the comparison
def test_comparison_shows_every_row_where_its_excess_is() -> None:
    comparison = compare(one_feature(), methods=["lbfgs", "adam"], n_starts=2, width=10, max_iter=100)
    ax = plot_comparison(comparison)
    drawn(ax)
    best = next(line for line in ax.lines if line.get_label() == "best start")
    assert best.get_xdata() == pytest.approx([max(row.excess_best, 1e-12) for row in comparison.rows])
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[1:] == ["lbfgs, 2 starts\n10 neurons", "adam, 2 starts\n10 neurons"]
    assert ax.get_xlim()[0] < min(best.get_xdata()) and ax.get_xlim()[1] > max(best.get_xdata())


def test_methods_that_diverged_are_left_out_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    comparison = compare(one_feature(), methods=["sgd"], n_starts=2, width=10, max_iter=50, learning_rate=1e9)
    assert np.isinf(comparison.rows[1].excess_best)
    drawn(plot_comparison(comparison))
    assert not recwarn.list


# ---------------------------------------------------------------------------------------------------------- the path
@pytest.mark.parametrize("folds", [None, 3])
def test_a_path_shows_its_losses_and_neurons(folds: int | None) -> None:
    path = regularization_path(two_features(), model="gated", n_regs=5, smallest=0.05, folds=folds)
    ax = plot_path(path)
    drawn(ax)
    training, *held_out = (line for line in ax.lines if not line.get_label().startswith("_"))
    assert training.get_ydata() == pytest.approx([point.loss / path.problem.n for point in path.points])
    assert [line.get_ydata().tolist() for line in held_out] == ([] if folds is None else [path.validation.tolist()])
    right = next(other for other in ax.figure.axes if other is not ax)
    assert right.lines[0].get_ydata().tolist() == list(path.neurons)
    assert ax.get_xscale() == "log" and right.get_ylabel() == "gates in use"


@pytest.mark.parametrize("wrong", [None, 3, "x"])
def test_other_objects_are_named(wrong: Any) -> None:
    problem = two_features()
    calls = (lambda: plot_path(wrong), lambda: plot_comparison(wrong), lambda: plot_network(wrong, wrong),
             lambda: plot_dual_certificate(wrong, wrong), lambda: plot_dual_certificate(problem, wrong))  # fmt: skip
    for call in calls:
        with pytest.raises(ProblemError, match="is needed"):
            call()
    with pytest.raises(ProblemError, match="ShallowNetwork is needed"):
        plot_arrangement([[1.0, 1.0], [-1.0, 1.0]], network=3)
