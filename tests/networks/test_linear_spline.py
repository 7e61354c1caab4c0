"""Linear splines: evaluation, conversion to networks, kinks of tiny spacings, the sparsest function through values."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexnet.errors import DataError, NetworkError
from convexnet.networks import LinearSpline

ATTRIBUTES = ("knots", "kinks", "anchor", "value", "slope")


def random_spline(rng: np.random.Generator, count: int) -> LinearSpline:
    knots = np.sort(rng.standard_normal(count))
    return LinearSpline(knots, rng.standard_normal(count), *rng.standard_normal(3))


def by_formula(spline: LinearSpline, x: np.ndarray) -> np.ndarray:
    """The definition, term by term."""
    total = spline.value + spline.slope * (x - spline.anchor)
    for knot, kink in zip(spline.knots, spline.kinks, strict=True):
        total = total + kink * np.maximum(x - knot if knot >= spline.anchor else knot - x, 0)
    return total


def ceil_rule(x: np.ndarray, kinks: np.ndarray) -> int:
    """``sum ceil(m / 2)`` over maximal runs of kinks of one sign at neighbouring inner nodes."""
    runs = [len(list(group)) for sign, group in itertools.groupby(np.sign(kinks)) if sign != 0]
    return sum((length + 1) // 2 for length in runs)


# -------------------------------------------------------------------------------------------------------- evaluation
@pytest.mark.parametrize("count", [0, 1, 2, 7])
@pytest.mark.parametrize("seed", range(4))
def test_evaluation_is_the_definition(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    spline = random_spline(rng, count)
    x = np.concatenate([rng.standard_normal(20) * 2, spline.knots, [spline.anchor]])
    np.testing.assert_allclose(spline(x), by_formula(spline, x), rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(spline.predict(x[:, None]), spline(x))
    left, right = np.min(x) - 1, np.max(x) + 1
    assert spline.slopes.shape == (spline.n_knots + 1,)
    np.testing.assert_allclose((spline([left]) - spline([left - 1])), spline.slopes[0], rtol=1e-10)
    np.testing.assert_allclose((spline([right + 1]) - spline([right])), spline.slopes[-1], rtol=1e-10)
    np.testing.assert_allclose(np.diff(spline.slopes), spline.kinks, atol=1e-13)
    assert spline.total_variation == pytest.approx(np.abs(spline.kinks).sum(), rel=1e-15)


@pytest.mark.parametrize(("activation", "slope"), [("relu", 0.01), ("leaky", 0.3), ("absolute", 0.01)])
def test_network_is_the_same_function_with_the_variation_as_path_norm(activation: str, slope: float) -> None:
    spline = random_spline(np.random.default_rng(0), 9)
    network = spline.to_network(activation, slope)
    x = np.linspace(-4, 4, 101)
    np.testing.assert_allclose(network.predict(x[:, None]), spline(x), rtol=1e-12, atol=1e-12)
    kappa = {"relu": 0.0, "leaky": 0.3, "absolute": -1.0}[activation]
    assert network.path_norm("free") == pytest.approx(spline.total_variation / (1 - kappa), rel=1e-14)


def test_moving_the_anchor_and_adding_a_line() -> None:
    spline = random_spline(np.random.default_rng(1), 6)
    x = np.linspace(-3, 3, 50)
    for point in (-2.0, 0.3, float(spline.knots[2]), 2.0):
        np.testing.assert_allclose(spline.anchored(point)(x), spline(x), atol=1e-13)
    np.testing.assert_allclose(spline.shifted(1.0, 2.0, -0.5)(x), spline(x) + 2 - 0.5 * (x - 1), atol=1e-13)


def test_zero_kinks_are_left_out_and_arrays_are_read_only() -> None:
    spline = LinearSpline([0.0, 1.0], [0.0, 1.0])
    assert spline.n_knots == 1
    with pytest.raises(ValueError, match="read-only"):
        spline.kinks[0] = 2.0
    copy = pickle.loads(pickle.dumps(spline))
    for name in ATTRIBUTES:
        np.testing.assert_array_equal(getattr(copy, name), getattr(spline, name))
    again = LinearSpline(**spline.to_dict())
    assert again([0.5, 3.0]).tolist() == spline([0.5, 3.0]).tolist()
    assert repr(spline) == "LinearSpline(knots=1, total_variation=1)" and "1" in spline.summary()
    assert "knots between" not in LinearSpline([], []).summary()


@pytest.mark.parametrize(
    ("knots", "kinks", "message"),
    [
        ([0.0, 1.0], [1.0], "same length"), ([1.0, 0.0], [1.0, 1.0], "increase strictly"),
        ([0.0, 0.0], [1.0, 1.0], "increase strictly"), ([np.nan], [1.0], "NaN"), (["a"], [1.0], "knots"),
        ([[0.0]], [1.0], "1-D"),
    ],
)  # fmt: skip
def test_bad_knots_are_named(knots: Any, kinks: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        LinearSpline(knots, kinks)


@pytest.mark.parametrize("x", [[[1.0, 2.0]], [np.inf], ["a"], np.zeros((2, 2, 2))])
def test_bad_abscissae_are_named(x: Any) -> None:
    with pytest.raises(DataError, match="x"):
        LinearSpline([0.0], [1.0])(x)
    with pytest.raises(DataError, match="x"):
        LinearSpline([0.0], [1.0]).sparsest(x)


# ------------------------------------------------------------------------------------------------ connecting the dots
@pytest.mark.parametrize("spacing", [0.5, 1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_the_dots_are_connected(n: int, spacing: float) -> None:
    rng = np.random.default_rng(n)
    x = np.repeat(np.arange((n + 1) // 2), 2)[:n] + np.where(np.arange(n) % 2, spacing, 0.0)
    theta = rng.standard_normal(n)
    order = rng.permutation(n)
    spline = LinearSpline.from_values(x[order], theta[order])
    assert np.abs(spline(x) - theta).max() <= 2e-15 / spacing + 1e-14
    fine = np.linspace(x[0], x[-1], 97)
    assert np.abs(spline(fine) - np.interp(fine, x, theta)).max() <= 2e-15 / spacing + 1e-14


def test_collinear_values_have_no_knots() -> None:
    x = np.linspace(0, 1, 50)
    for line in (3 * x + 1, 1e6 - 1e-3 * x, 0.1 * x - 0.1):
        assert LinearSpline.from_values(x, line).n_knots == 0


def test_one_abscissa_has_one_value() -> None:
    assert LinearSpline.from_values([1.0, 1.0, 2.0], [3.0, 3.0, 4.0])([2.0]) == pytest.approx(4.0)
    with pytest.raises(NetworkError, match="two values"):
        LinearSpline.from_values([1.0, 1.0], [3.0, 4.0])
    with pytest.raises(NetworkError, match="same length"):
        LinearSpline.from_values([1.0], [])


def test_knots_between_nodes_are_split_exactly() -> None:
    rng = np.random.default_rng(3)
    x = np.sort(rng.random(12))
    spline = random_spline(rng, 9)
    moved = spline.on_nodes(x)
    np.testing.assert_allclose(moved(x), spline(x), atol=1e-13)
    assert np.isin(moved.knots, x[1:-1]).all()
    assert moved.total_variation <= spline.total_variation * (1 + 1e-14)
    assert moved.on_nodes(x) is moved
    assert LinearSpline([1.0], [1.0]).on_nodes([2.0])([2.0]) == pytest.approx(1.0)


# ---------------------------------------------------------------------------------------------------------- sparsest
def small_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Few nodes, on a grid or not, values that make kinks of all signs and zeros."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 10))
    x = np.cumsum(rng.random(n) + 0.05) if seed % 2 else np.arange(n, dtype=float)
    kinks = rng.integers(-1, 2, n) * rng.integers(1, 5, n)
    kinks[[0, -1]] = 0
    theta = np.array([float(np.sum(kinks * np.maximum(t - x, 0))) for t in x])
    return x, theta


def check_sparsest(seed: int) -> None:
    x, theta = small_case(seed)
    dots = LinearSpline.from_values(x, theta)
    sparse = dots.sparsest(x)
    size = max(float(np.abs(theta).max()), 1.0)
    np.testing.assert_allclose(sparse(x), theta, atol=1e-12 * size)
    assert sparse.total_variation == pytest.approx(dots.total_variation, rel=1e-12, abs=1e-12)
    kinks = np.zeros(x.size)
    kinks[np.searchsorted(x, dots.knots)] = dots.kinks
    assert sparse.n_knots == ceil_rule(x, kinks[1:-1])
    assert sparse.sparsest(x).n_knots == sparse.n_knots


@pytest.mark.parametrize("seeds", [range(300), pytest.param(range(300, 2000), marks=pytest.mark.slow)])
def test_sparsest_interpolates_with_the_same_variation(seeds: range) -> None:
    for seed in seeds:
        check_sparsest(seed)


def fewest_knots(x: np.ndarray, theta: np.ndarray) -> int:
    """Brute force by a mixed-integer program: the fewest knots of a function through the dots of least variation.

    A knot sits at an inner node or inside an interval; one suffices there, as knots of one interval merge at their
    barycentre at no cost. Unknowns: slopes at both ends of each interval, which differ only if it holds a knot and then
    enclose its chord.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    chords, m = np.diff(theta) / np.diff(x), x.size - 1
    least = float(np.abs(np.diff(chords)).sum())
    big = 4 * (least + float(np.abs(chords).max()) + 1)
    # Columns: left slopes p, right slopes q, |jumps| inside a (m) and at nodes b (m-1), knots z (m) and y (m-1), way s.
    p, q, a, b = np.arange(m), m + np.arange(m), 2 * m + np.arange(m), 3 * m + np.arange(m - 1)
    z, y, s = 4 * m - 1 + np.arange(m), 5 * m - 1 + np.arange(m - 1), 6 * m - 2 + np.arange(m)
    count = 7 * m - 2
    rows, low = [], []

    def at_least(entries: dict[int, float], bound: float) -> None:
        row = np.zeros(count)
        for column, factor in entries.items():
            row[column] += factor
        rows.append(row)
        low.append(bound)

    for i in range(m):
        for sign in (1.0, -1.0):
            at_least({a[i]: 1.0, q[i]: -sign, p[i]: sign}, 0.0)
        at_least({z[i]: big, a[i]: -1.0}, 0.0)
        # s = 1: p <= chord <= q; s = 0: the other way round.
        at_least({p[i]: -1.0, s[i]: -big}, -chords[i] - big)
        at_least({q[i]: 1.0, s[i]: -big}, chords[i] - big)
        at_least({p[i]: 1.0, s[i]: big}, chords[i])
        at_least({q[i]: -1.0, s[i]: big}, -chords[i])
        # Without a knot both slopes are the chord; a knot strictly inside needs both to differ from it or none.
        at_least({z[i]: big, p[i]: 1.0}, chords[i])
        at_least({z[i]: big, p[i]: -1.0}, -chords[i])
        at_least({z[i]: big, q[i]: 1.0}, chords[i])
        at_least({z[i]: big, q[i]: -1.0}, -chords[i])
    for i in range(m - 1):
        for sign in (1.0, -1.0):
            at_least({b[i]: 1.0, p[i + 1]: -sign, q[i]: sign}, 0.0)
        at_least({y[i]: big, b[i]: -1.0}, 0.0)
    at_least(dict.fromkeys([*a, *b], -1.0), -least - 1e-7)
    lower, upper = np.zeros(count), np.full(count, big)
    lower[: 2 * m], upper[4 * m - 1 :] = -big, 1.0
    cost, whole = np.zeros(count), np.zeros(count)
    cost[4 * m - 1 : 6 * m - 2], whole[4 * m - 1 :] = 1.0, 1.0
    found = milp(cost, constraints=LinearConstraint(np.array(rows), np.array(low)), bounds=Bounds(lower, upper),
                 integrality=whole, options={"mip_rel_gap": 0.0})  # fmt: skip
    assert found.status == 0, found.message
    return round(found.fun)


@pytest.mark.parametrize("seed", [*range(24), *(pytest.param(s, marks=pytest.mark.slow) for s in range(24, 400))])
def test_no_function_has_fewer_knots(seed: int) -> None:
    x, theta = small_case(seed)
    fewest = fewest_knots(x, theta) if x.size > 2 else 0
    assert LinearSpline.from_values(x, theta).sparsest(x).n_knots == fewest


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=12, unique=True),
    st.lists(st.integers(-5, 5), min_size=12, max_size=12),
)
def test_sparsest_of_integers(xs: list[int], values: list[int]) -> None:
    x = np.sort(np.array(xs, dtype=float))
    theta = np.array(values[: x.size], dtype=float)
    dots = LinearSpline.from_values(x, theta)
    sparse = dots.sparsest(x)
    np.testing.assert_allclose(sparse(x), theta, atol=1e-11)
    assert sparse.n_knots <= dots.n_knots
    assert sparse.total_variation == pytest.approx(dots.total_variation, rel=1e-12, abs=1e-12)


# ------------------------------------------------------------------------------------------ small jumps that add up
@pytest.mark.parametrize(("n", "bend"), [(300, 1e-9), (1000, 1e-10), (20_000, 1e-8), (20_000, 1e-5)])
def test_small_kinks_that_matter_together_are_kept(n: int, bend: float) -> None:
    x = np.linspace(0.0, 1.0, n)
    values = x + bend * x**2
    spline = LinearSpline.from_values(x, values)
    assert np.abs(spline.residuals(x, values)).max() <= 20 * np.finfo(float).eps
    assert spline.total_variation == pytest.approx(2 * bend, rel=0.02)


def test_straight_parts_get_no_knots_beside_others() -> None:
    x = np.sort(np.random.default_rng(0).random(500))
    assert LinearSpline.from_values(x, np.maximum(3 * x + 1, 4 - 5 * x)).n_knots <= 2
