"""Convex conjugates: Fenchel-Young, domains, bounds that survive exact arithmetic, and the best scale."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from losses.loss_cases import CASES, WEIGHTS, dual_point, make_case, make_weight

from convexnet.losses import get_loss

FINITE = [name for name in CASES if not name.startswith("interpolation")]
BOUNDED = [name for name in FINITE if not name.startswith("squared")]
SIZES = (1e-300, 1e-150, 1e-12, 1e-3, 1.0, 1e3, 1e9)


def exact_dual(
    name: str, nu: np.ndarray, y: np.ndarray, weight: np.ndarray | None, scale: float = 1.0
) -> Decimal:
    """-L*(-scale nu) of the floats as given: rationals for the polynomial losses, 80 digits for the entropies."""
    w = np.ones(len(y)) if weight is None else weight
    rows = np.broadcast_to(w.reshape((-1,) + (1,) * (y.ndim - 1)), y.shape)
    total = Fraction(0)
    with localcontext() as context:
        context.prec = 80

        def entropy(q: Fraction) -> Fraction:
            if q == 0:
                return Fraction(0)
            if 1 - q < Fraction(1, 10**30):  # 80 digits do not tell q from 1
                return q * ((1 - q) + (1 - q) ** 2 / 2)
            decimal = Decimal(q.numerator) / Decimal(q.denominator)
            return q * -Fraction(decimal.ln())

        for a, b, c in zip(*(map(Fraction, array.ravel().tolist()) for array in (nu, y, rows)), strict=True):
            a *= Fraction(scale)
            if c == 0:
                assert a == 0
            elif name in ("squared", "huber"):
                total += a * b - a * a / (2 * c)
            elif name in ("absolute", "hinge", "interpolation"):
                total += a * b
            elif name == "logistic":
                total += c * (entropy(a * b / c) + entropy(1 - a * b / c))
            else:
                total += c * entropy(b - a / c)
        return Decimal(total.numerator) / Decimal(total.denominator)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", FINITE)
def test_fenchel_young(case, weights):
    for seed in range(8):
        loss, y = make_case(case, seed)
        weight = make_weight(weights, seed)
        f = 3 * np.random.default_rng(seed).normal(size=y.shape)
        value = loss.value(f, y, weight)
        nu = dual_point(loss, y, weight, seed)
        assert value + loss.conjugate(-nu, y, weight) >= np.sum(-nu * f) - 1e-12 * (1 + value)
        # Equality at the gradient; clipping moves it by rounding only.
        z = loss.gradient(f, y, weight)
        tangent = loss.clip_dual(-z, y, weight)
        assert tangent == pytest.approx(-z, abs=1e-14)
        assert value + loss.conjugate(-tangent, y, weight) == pytest.approx(np.sum(z * f), abs=1e-9 * (1 + value))


@pytest.mark.parametrize("case", FINITE)
def test_conjugate_is_the_supremum(case):
    """For one sample: the supremum over a grid of predictions approaches the conjugate from below."""
    for seed in range(4):
        loss, y = make_case(case, seed, k=2)
        weight = make_weight("random", seed)
        one_y, one_w = y[:1], weight[:1]
        nu = loss.clip_dual(0.3 * np.random.default_rng(seed).normal(size=one_y.shape), one_y, one_w)
        conjugate = loss.conjugate(-nu, one_y, one_w)
        axis = np.linspace(-15, 15, 61)
        best = -math.inf
        points = np.stack(np.meshgrid(*[axis] * int(one_y.size)), axis=-1).reshape(-1, *one_y.shape)
        for f in points:
            best = max(best, float(np.sum(-nu * f)) - loss.value(f, one_y, one_w))
        assert best <= conjugate + 1e-12
        assert conjugate <= best + 0.5 * float(one_w[0]) * one_y.size


@pytest.mark.parametrize("case", BOUNDED)
def test_outside_of_the_domain_the_conjugate_is_infinite(case):
    loss, y = make_case(case, 1)
    weight = make_weight("random", 1)
    inside = dual_point(loss, y, weight, 1)
    for index in ((0,) * y.ndim, (3,) + (1,) * (y.ndim - 1)):
        for push in (-10.0, 10.0):
            nu = inside.copy()
            nu[index] += push
            assert not loss.in_domain(nu, y, weight)
            assert loss.dual_value(nu, y, weight) == loss.dual_bound(nu, y, weight) == -math.inf
            assert loss.conjugate(-nu, y, weight) == math.inf


@pytest.mark.parametrize("case", CASES)
def test_a_sample_of_weight_zero_forces_its_dual_entry_to_zero(case):
    loss, y = make_case(case, 1)
    weight = make_weight("zeros", 1)
    nu = dual_point(loss, y, weight, 1)
    assert not nu[[0, 3]].any() and loss.in_domain(nu, y, weight)
    assert math.isfinite(loss.dual_bound(nu, y, weight))
    keep = np.flatnonzero(weight)
    assert loss.dual_value(nu, y, weight) == pytest.approx(loss.dual_value(nu[keep], y[keep], weight[keep]), rel=1e-14)
    nu[0] = 1e-300 if y.ndim == 1 else [1e-300, -1e-300, 0.0]
    assert loss.dual_bound(nu, y, weight) == -math.inf and loss.max_scale(nu, y, weight) == 0.0
    assert loss.best_scale(nu, y, weight) == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("case", CASES)
def test_nan_and_infinite_dual_vectors_bound_nothing(case, bad):
    loss, y = make_case(case, 1)
    nu = np.zeros(y.shape)
    nu[(2,) + (0,) * (y.ndim - 1)] = bad
    assert not loss.in_domain(nu, y) and loss.dual_bound(nu, y) == loss.dual_value(nu, y) == -math.inf


@pytest.mark.parametrize("case", ["squared", "absolute-outputs", "interpolation", "hinge", "huber"])
def test_overflow_bounds_nothing(case):
    loss, y = make_case(case, 1)
    for nu in (np.full(y.shape, 1e308), np.sign(y) * 1e200):
        for weight in (None, np.full(len(y), 1e-200), np.full(len(y), 1e300)):
            value = loss.dual_bound(nu, y, weight)
            assert value < math.inf and not math.isnan(value)


# --- the bound is one, exactly -----------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", CASES)
def test_dual_bound_is_below_the_exact_value_and_close(case, weights):
    for seed in range(6):
        loss, y = make_case(case, seed)
        weight = make_weight(weights, seed)
        for size in SIZES:
            nu = loss.clip_dual(size * np.random.default_rng(seed).normal(size=y.shape), y, weight)
            bound, exact = loss.dual_bound(nu, y, weight), exact_dual(loss.name, nu, y, weight)
            assert Decimal(bound) <= exact
            scale = abs(loss.dual_value(nu, y, weight)) + float(np.sum(np.abs(nu) * (1 + np.abs(y)) + nu * nu))
            allowed = 1e-13 * scale + 1e-300 + (1e-12 if loss.name == "softmax" else 0)
            spread = 1 if weight is None else 1 / weight[weight > 0].min()
            assert exact - Decimal(bound) <= Decimal(allowed * spread)


@pytest.mark.parametrize("q", [5e-324, 1e-310, 1e-17, 1.6e-16, 1e-10, 0.3, 0.5, 1 - 2**-53, 1 - 1e-12])
@pytest.mark.parametrize("weight", [None, 3e-310, 1e-200, 0.1, 7.0, 1e200])
def test_logistic_bound_near_the_ends_of_the_domain(q, weight):
    """1 - q rounds: the entropy must not be summed from it."""
    loss = get_loss("logistic")
    w = None if weight is None else np.array([weight])
    nu = loss.clip_dual(np.array([-q * (weight or 1.0)]), np.array([-1.0]), w)
    bound = loss.dual_bound(nu, np.array([-1.0]), w)
    exact = exact_dual("logistic", nu, np.array([-1.0]), w)
    underflow = Decimal("1e-306") * Decimal(1 + (weight or 1))
    assert Decimal(bound) <= exact <= Decimal(bound) + Decimal("2e-14") * (exact + abs(Decimal(nu[0]))) + underflow


@given(
    st.sampled_from(["squared", "huber", "absolute", "logistic", "hinge", "interpolation"]),
    st.lists(
        st.tuples(
            st.floats(-1e6, 1e6),
            st.floats(-1e6, 1e6),
            st.one_of(st.just(0.0), st.floats(1e-6, 1e6)),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_dual_bound_holds_for_drawn_numbers(name, rows):
    loss = get_loss(name)
    nu, y, weight = (np.array(column) for column in zip(*rows, strict=True))
    if name in ("logistic", "hinge"):
        y = np.where(y >= 0, 1.0, -1.0)
    nu = loss.clip_dual(nu, y, weight)
    assert loss.in_domain(nu, y, weight)
    assert Decimal(loss.dual_bound(nu, y, weight)) <= exact_dual(name, nu, y, weight)


@given(
    st.lists(st.lists(st.floats(-3, 3), min_size=3, max_size=3), min_size=1, max_size=4),
    st.one_of(st.floats(0, 0), st.floats(1e-8, 1e8), st.just(5e-324), st.just(1e-310), st.just(1e300)),
    st.floats(0, 1),
)
def test_clipped_softmax_rows_sum_to_zero_exactly(rows, weight, scale):
    loss = get_loss("softmax")
    nu = weight * np.array(rows)
    y, w = np.eye(3)[np.arange(len(rows)) % 3], np.full(len(rows), weight)
    clipped = loss.clip_dual(nu, y, w)
    again = loss.clip_dual(scale * clipped, y, w)
    for point in (clipped, again):
        assert loss.in_domain(point, y, w)
        assert all(sum(map(Fraction, row)) == 0 for row in point.tolist())
        pairs = zip(point.ravel().tolist(), y.ravel().tolist(), strict=True)
        assert all(Fraction(b) * Fraction(weight) - Fraction(a) >= 0 for a, b in pairs)
        assert math.isfinite(loss.dual_bound(point, y, w))
    assert again == pytest.approx(scale * clipped, rel=1e-12, abs=1e-15 * weight + 1e-320)


def test_softmax_row_sums_may_be_off_by_rounding_only():
    loss, y = get_loss("softmax"), np.eye(3)[[0, 1, 2]]
    nu = -loss.gradient(np.random.default_rng(0).normal(size=(3, 3)), y)
    nu[0, 0] += 2e-16
    assert not loss.in_domain(nu, y)
    clipped = loss.clip_dual(nu, y)
    assert np.abs(clipped - nu).max() <= 1e-15
    assert loss.dual_bound(clipped, y) == pytest.approx(loss.dual_value(nu, y), abs=1e-13)
    assert loss.dual_bound(nu, y) == pytest.approx(loss.dual_value(nu, y), abs=1e-13)
    nu[0, 0] += 1e-13
    assert loss.dual_bound(nu, y) == loss.dual_value(nu, y) == -math.inf


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", CASES)
def test_dual_bound_of_a_rounded_multiple_is_below_the_exact_multiple(case, weights):
    """A certificate speaks of s * nu in real numbers and computes with the rounded product."""
    for seed in range(6):
        loss, y = make_case(case, seed)
        weight = make_weight(weights, seed)
        nu = dual_point(loss, y, weight, seed)
        top = min(loss.max_scale(nu, y, weight), 3.0)
        for scale in (top, 0.3 * top, 1e-9 * top, loss.best_scale(nu, y, weight, top)):
            bound = loss.dual_bound(scale * nu, y, weight)
            assert math.isfinite(bound)
            assert Decimal(bound) <= exact_dual(loss.name, nu, y, weight, scale)


@given(st.floats(1e-3, 1.0), st.one_of(st.none(), st.floats(1e-3, 1e3)), st.floats(0, 1e-14), st.booleans())
def test_multiples_that_reach_the_end_of_the_domain(entry, weight, room, softmax):
    """There the entropy has an infinite slope and one rounding of nu matters most."""
    loss = get_loss("softmax" if softmax else "logistic")
    y = np.array([[1.0, 0.0]]) if softmax else np.array([1.0])
    w = None if weight is None else np.array([weight])
    nu = np.array([[entry, -entry]]) if softmax else np.array([entry])
    nu = loss.clip_dual(nu * (weight or 1.0), y, w)
    scale = loss.max_scale(nu, y, w) * (1 - room)
    assert Decimal(loss.dual_bound(scale * nu, y, w)) <= exact_dual(loss.name, nu, y, w, scale)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", CASES)
def test_clip_dual_lands_in_the_domain_and_leaves_its_points_alone(case, weights):
    for seed in range(5):
        loss, y = make_case(case, seed)
        weight = make_weight(weights, seed)
        for size in SIZES:
            nu = loss.clip_dual(size * np.random.default_rng(seed).normal(size=y.shape), y, weight)
            assert loss.in_domain(nu, y, weight)
            again = loss.clip_dual(nu, y, weight)
            assert again == pytest.approx(nu, abs=1e-15 * 3) if loss.name == "softmax" else np.array_equal(again, nu)


# --- scales ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", BOUNDED)
def test_max_scale_stays_inside_and_is_the_largest(case, weights):
    for seed in range(6):
        loss, y = make_case(case, seed)
        weight = make_weight(weights, seed)
        for size in (1e-310, 1e-12, 0.37, 1.0):
            nu = size * dual_point(loss, y, weight, seed)
            top = loss.max_scale(nu, y, weight)
            assert top * size >= (1 - 1e-12 if size > 1e-300 else 0.0) and math.isfinite(top)
            for part in (1.0, 0.7, 0.1):
                assert loss.dual_value(part * top * nu, y, weight) > -math.inf
                if loss.name != "softmax":
                    assert loss.in_domain(part * top * nu, y, weight)
            if size > 1e-300:
                assert loss.dual_value(top * (1 + 1e-12) * nu, y, weight) == -math.inf


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", FINITE)
def test_best_scale_beats_a_grid(case, weights):
    for seed in range(4):
        loss, y = make_case(case, seed)
        weight = make_weight(weights, seed)
        for size in (0.05, 1.0, 1e-9):
            nu = size * dual_point(loss, y, weight, seed)
            for s_max in (0.3 / size, math.inf):
                best = loss.best_scale(nu, y, weight, s_max)
                assert 0.0 <= best <= s_max and math.isfinite(best)
                value = loss.dual_value(best * nu, y, weight)
                top = min(s_max, loss.max_scale(nu, y, weight), 100 / size)
                grid = max(loss.dual_value(s * nu, y, weight) for s in np.linspace(0.0, top, 81))
                assert value >= grid - 1e-12 * (1 + abs(grid)) and value >= -1e-15


def test_best_scale_of_the_squared_loss_is_the_closed_form():
    loss, y = get_loss("squared"), np.array([3.0, -1.0])
    nu = np.array([1.0, 1.0])
    assert loss.best_scale(nu, y) == 1.0
    assert loss.best_scale(nu, y, s_max=0.25) == 0.25
    assert loss.best_scale(-nu, y) == 0.0
    assert loss.best_scale(nu, y, np.array([2.0, 2.0])) == 2.0
    for size in (1e200, 1e-200):  # neither square may overflow or vanish
        assert loss.best_scale(size * nu, y) == pytest.approx(1 / size, rel=1e-14)
    assert loss.best_scale(np.zeros(2), y) == 0.0


def test_best_scale_of_huber_stops_at_the_domain():
    loss, y = get_loss("huber", delta=0.5), np.array([3.0, -1.0])
    assert loss.best_scale(np.array([1.0, -1.0]), y) == pytest.approx(0.5, rel=1e-14)
    assert loss.best_scale(np.array([1.0, -1.0]), y, np.array([1.0, 0.5])) == pytest.approx(0.25, rel=1e-14)


def test_best_scale_of_linear_duals():
    """Absolute and hinge go to the end of the domain; interpolation to s_max, or without limit."""
    y = np.array([1.0, -1.0])
    assert get_loss("absolute").best_scale(0.5 * y, y) == pytest.approx(2.0, rel=1e-14)
    assert get_loss("hinge").best_scale(0.5 * y, y) == pytest.approx(2.0, rel=1e-14)
    assert get_loss("hinge").best_scale(np.array([1.0, 1.0]), y) == 0.0
    exact = get_loss("interpolation")
    assert exact.best_scale(y, y, s_max=7.0) == 7.0
    assert exact.best_scale(y, y) == math.inf
    assert exact.best_scale(-y, y) == exact.best_scale(np.zeros(2), y) == 0.0


def test_best_scale_of_logistic_is_interior():
    """For equal |nu_i| = t the entropy is largest at s t = 1/2; for -nu nothing but s = 0 is in the domain."""
    loss, y = get_loss("logistic"), np.array([1.0, -1.0, 1.0])
    assert loss.best_scale(0.2 * y, y) == pytest.approx(2.5, rel=1e-7)
    assert loss.best_scale(0.2 * y, y, s_max=1.0) == pytest.approx(1.0, rel=1e-12)
    assert loss.best_scale(-0.2 * y, y) == 0.0
