"""Pricing forms in the shape the cone search works on: stacked rows, sizes near one by exact powers of two, a fan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .forms import PricingForm

__all__ = ["ConeForms", "stack_forms", "starting_fan"]

ROUNDOFF = 1.2e-16
"""A little more than the unit roundoff 2^-53, so that k * ROUNDOFF bounds k u / (1 - k u) for every k met here."""
_FAN_BITS = 6


@dataclass(frozen=True, eq=False)
class ConeForms:
    """All forms of one pricing problem, multiplied by ``2^-power`` and stacked.

    Attributes
    ----------
    rows : ndarray of shape (sum of m + 1, d)
        The forms' rows, each multiplied by a power of two; a zero row comes last (padding of batches).
    weights : ndarray of shape (sum of m + 1,)
        Their weights, divided by the same powers: positive ones first within each form.
    order : ndarray of int, shape (sum of m,)
        The row's index in its own form.
    power_of_row : ndarray of int
        ``rows = form.rows * 2^-power_of_row``.
    start : ndarray of int, shape (F + 1,)
        Rows ``start[f]:start[f + 1]`` belong to form f.
    linear : ndarray of shape (F, d)
    mass : ndarray of shape (F,)
        At least ``|| |c| + sum_i |w_i| |x_i| ||``: every sum that rounding errors are relative to is below it.
    slack : ndarray of shape (F,)
    stable : ndarray of shape (sum of m + 1,)
        ``|x_i v|`` above this has the sign it was computed with, for unit v.
    power : int
        The search works in units of ``2^power``.
    fan : ndarray of shape (d + 1, d)
        Integers; the rows 1..d are independent and row 0 is minus their sum.
    """

    rows: np.ndarray
    weights: np.ndarray
    order: np.ndarray
    power_of_row: np.ndarray
    start: np.ndarray
    linear: np.ndarray
    mass: np.ndarray
    slack: np.ndarray
    stable: np.ndarray
    power: int
    fan: np.ndarray

    @property
    def d(self) -> int:
        """Dimension of the directions."""
        return int(self.rows.shape[1])

    @property
    def count(self) -> int:
        """Number of forms."""
        return len(self.linear)

    @property
    def widest(self) -> int:
        """Most rows of one form."""
        return int(np.max(np.diff(self.start), initial=0))

    @property
    def relative_error(self) -> float:
        """Bound of the relative rounding error of every sum of products over rows or coordinates."""
        return (self.widest + 6 * self.d + 64) * ROUNDOFF

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))


def stack_forms(forms: Sequence[PricingForm], dimension: int) -> ConeForms:
    """Scale and stack; every scaling is by a power of two, hence exact."""
    power = _common_power(forms)
    parts = [_scaled(form, power) for form in forms]
    rows = np.concatenate([part[0] for part in parts] + [np.zeros((1, dimension))])
    weights = np.concatenate([part[1] for part in parts] + [np.zeros(1)])
    order = np.concatenate([part[2] for part in parts] + [np.zeros(0, dtype=np.int64)])
    exponents = np.concatenate([part[3] for part in parts] + [np.zeros(0, dtype=np.int64)])
    start = np.cumsum([0] + [len(form.rows) for form in forms])
    linear = np.array([np.ldexp(form.linear, -power) for form in forms]).reshape(len(forms), dimension)
    mass = np.array([
        np.linalg.norm(np.abs(linear[f]) + np.abs(part[1]) @ np.abs(part[0])) for f, part in enumerate(parts)
    ])  # fmt: skip
    slack = np.array([np.ldexp(form.slack, -power) for form in forms])
    # Powers of two are exact above the subnormal range; whatever falls below it is charged here.
    slack = slack * (1 + 1e-12) + 1e-280
    stable = (3 * dimension + 16) * ROUNDOFF * np.sqrt(np.sum(rows**2, axis=1)) * (1 + 1e-9)
    fan = starting_fan(forms[0].rows if forms else np.zeros((0, dimension)), dimension)
    return ConeForms(rows, weights, order, exponents, start, linear, mass * (1 + 1e-9), slack, stable, power, fan)


def _common_power(forms: Sequence[PricingForm]) -> int:
    """Exponent of the largest term of any form."""
    highest = -1000
    for form in forms:
        sizes = np.max(np.abs(form.rows), axis=1, initial=0.0)
        used = np.abs(form.weights) * (sizes > 0) > 0
        tops = np.frexp(np.abs(form.weights[used]))[1] + np.frexp(sizes[used])[1]
        highest = max(highest, int(np.max(tops, initial=-1000)))
        top = float(np.max(np.abs(form.linear), initial=0.0))
        highest = max(highest, int(np.frexp(top)[1]) if top > 0 else -1000)
    return highest


def _scaled(form: PricingForm, power: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows near one, weights times what was taken from them, positive weights first."""
    order = np.argsort(form.weights < 0, kind="stable")
    exponents = np.frexp(np.max(np.abs(form.rows[order]), axis=1, initial=0.0))[1].astype(np.int64)
    rows = np.ldexp(form.rows[order], -exponents[:, None])
    return rows, np.ldexp(form.weights[order], exponents - power), order, exponents


def starting_fan(rows: np.ndarray, dimension: int) -> np.ndarray:
    """``d + 1`` integer vectors whose d-subsets span cones that cover the space: a simplex about the principal axes.

    Examples
    --------
    >>> starting_fan(np.zeros((0, 1)), 1).tolist()
    [[64.0], [-64.0]]
    """
    axes = np.eye(dimension)
    if len(rows):
        size = float(np.max(np.abs(rows))) or 1.0
        axes = np.linalg.svd(rows / size, full_matrices=True)[2] if np.isfinite(rows).all() else axes
    # Corners of a regular simplex: this multiple of the ones makes all inner products -1/d.
    regular = np.eye(dimension) - (1 + 1 / np.sqrt(dimension + 1)) / dimension
    corners = np.round(regular / np.linalg.norm(regular, axis=1, keepdims=True) @ axes * 2**_FAN_BITS)
    if _singular(corners):
        corners = np.eye(dimension) * 2**_FAN_BITS
    return np.concatenate([-corners.sum(axis=0, keepdims=True), corners]) + 0.0


def _singular(matrix: np.ndarray) -> bool:
    """Whether an integer matrix has determinant zero, in exact arithmetic (Bareiss)."""
    rows = [[int(value) for value in row] for row in matrix.tolist()]
    previous = 1
    for k in range(len(rows)):
        pivot = next((i for i in range(k, len(rows)) if rows[i][k] != 0), None)
        if pivot is None:
            return True
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(k + 1, len(rows)):
            rows[i] = [
                (rows[i][j] * rows[k][k] - rows[i][k] * rows[k][j]) // previous for j in range(len(rows))
            ]  # fmt: skip
        previous = rows[k][k]
    return False
