r"""Sums of products in twice the working precision: ``high + low``, with an error of a few ``eps**2`` of the terms."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

__all__ = ["ERROR", "Double", "prefix_error", "prefix_sums", "product", "two_product", "two_sum"]

ERROR = 8 * float(np.finfo(np.float64).eps) ** 2
"""Bound of the error of one sum or product of numbers of size one."""
_SPLITTER = 134217729.0


class Double(NamedTuple):
    """An unevaluated sum of two arrays."""

    high: np.ndarray
    low: np.ndarray

    def plus(self, other: Double) -> Double:
        """The sum; its error is at most ``ERROR`` times the sum of the sizes."""
        high, low = two_sum(self.high, other.high)
        return _renormalised(high, low + (self.low + other.low))

    def minus(self, other: Double) -> Double:
        return self.plus(Double(-other.high, -other.low))

    def times(self, factor: np.ndarray | float) -> Double:
        """The product with numbers that are exact; its error is at most ``ERROR`` times its size."""
        high, low = two_product(self.high, factor)
        return _renormalised(high, low + self.low * factor)

    def value(self) -> np.ndarray:
        """Rounded to working precision."""
        return self.high + self.low

    def rows(self, index: np.ndarray | slice) -> Double:
        return Double(self.high[index], self.low[index])


def two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``a + b`` rounded, and what the rounding lost, exactly.

    References
    ----------
    Knuth (1969), "The Art of Computer Programming", volume 2.
    """
    high = a + b
    other = high - a
    return high, (a - (high - other)) + (b - other)


def two_product(a: np.ndarray, b: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """``a * b`` rounded, and what the rounding lost (exactly, unless it underflows).

    References
    ----------
    Dekker (1971), "A floating-point technique for extending the available precision".
    """
    high = a * b
    ah, al = _split(a)
    bh, bl = _split(np.asarray(b, dtype=np.float64))
    return high, al * bl - (((high - ah * bh) - al * bh) - ah * bl)


def _split(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    big = _SPLITTER * a
    high = big - (big - a)
    return high, a - high


def _renormalised(high: np.ndarray, low: np.ndarray) -> Double:
    total = high + low
    return Double(total, low - (total - high))


def product(a: np.ndarray, b: np.ndarray | float) -> Double:
    """The exact product of two arrays."""
    return Double(*two_product(a, b))


def prefix_sums(terms: Double) -> Double:
    """Sums of the first 0, 1, ..., m rows, by pairs of pairs: shape (m + 1, ...).

    The error of every sum is at most ``prefix_error(m)`` times the sum of the sizes of all terms.

    Examples
    --------
    >>> import numpy as np
    >>> terms = np.array([1e16, 1.0, -1e16])
    >>> prefix_sums(Double(terms, np.zeros(3))).value().tolist()
    [0.0, 1e+16, 1e+16, 1.0]
    """
    first = np.zeros((1, *terms.high.shape[1:]))
    sums = _inclusive(terms)
    return Double(np.concatenate([first, sums.high]), np.concatenate([first, sums.low]))


def prefix_error(m: int) -> float:
    """Relative to the sum of the sizes of ``m`` terms, the error of one of their prefix sums."""
    return ERROR * (4 * math.ceil(math.log2(m + 2)) + 4)


def _inclusive(terms: Double) -> Double:
    m = len(terms.high)
    if m <= 1:
        return terms
    even = m - m % 2
    pairs = terms.rows(slice(0, even, 2)).plus(terms.rows(slice(1, even, 2)))
    done = _inclusive(pairs)
    high, low = np.empty_like(terms.high), np.empty_like(terms.low)
    high[1::2], low[1::2] = done.high, done.low
    high[0], low[0] = terms.high[0], terms.low[0]
    before = Double(high[1 : m - 1 : 2], low[1 : m - 1 : 2])
    high[2::2], low[2::2] = before.plus(terms.rows(slice(2, None, 2)))
    return Double(high, low)
