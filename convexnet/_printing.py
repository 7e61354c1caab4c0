"""Bounds stay bounds when they are printed: lower ones are rounded down, upper ones up."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

__all__ = ["rounded_down", "rounded_up"]


def rounded_down(value: float, digits: int = 9) -> str:
    """The value to ``digits`` significant digits, never above it.

    Examples
    --------
    >>> rounded_down(117.65569174), rounded_up(117.65569174)
    ('117.655691', '117.655692')
    """
    return _rounded(value, digits, ROUND_FLOOR)


def rounded_up(value: float, digits: int = 9) -> str:
    """The value to ``digits`` significant digits, never below it."""
    return _rounded(value, digits, ROUND_CEILING)


def _rounded(value: float, digits: int, rounding: str) -> str:
    if not math.isfinite(value):
        return str(value)
    return f"{float(Context(prec=digits, rounding=rounding).create_decimal(Decimal(value))):.{digits}g}"
