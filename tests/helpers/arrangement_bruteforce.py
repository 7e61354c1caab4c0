"""Cells of a small central arrangement by exact Fourier-Motzkin elimination on every sign vector."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import lcm

Row = tuple[int, ...]


def integer_row(values: Iterable[float]) -> Row:
    """Return a positive multiple of a row of floats with integer entries, exactly."""
    fractions = [Fraction(value) for value in values]
    scale = lcm(*(value.denominator for value in fractions))
    return tuple(int(value * scale) for value in fractions)


def strictly_feasible(rows: list[Row]) -> bool:
    """Decide whether some u has ``a . u > 0`` for every row a, eliminating one variable at a time."""
    if not rows:
        return True
    if len(rows[0]) == 0:
        return False
    positive = [row for row in rows if row[-1] > 0]
    negative = [row for row in rows if row[-1] < 0]
    rest = [row[:-1] for row in rows if row[-1] == 0]
    for p in positive:
        for q in negative:
            rest.append(tuple(a * -q[-1] + b * p[-1] for a, b in zip(p[:-1], q[:-1], strict=True)))
    return strictly_feasible(list(set(rest)))


def cells_bruteforce(X: Iterable[Iterable[float]]) -> set[tuple[int, ...]]:
    """Return the patterns 1[X u >= 0] of all full-dimensional cells; a zero row always has bit 1."""
    rows = [integer_row(row) for row in X]
    partial: list[tuple[tuple[int, ...], list[Row]]] = [((), [])]
    for row in rows:
        if not any(row):
            partial = [((*bits, 1), cone) for bits, cone in partial]
            continue
        grown = []
        for bits, cone in partial:
            for bit in (0, 1):
                side = row if bit else tuple(-value for value in row)
                if strictly_feasible([*cone, side]):
                    grown.append(((*bits, bit), [*cone, side]))
        partial = grown
    return {bits for bits, _ in partial}


def exact_pattern(X: Iterable[Iterable[float]], u: Iterable[float]) -> tuple[int, ...]:
    """Return the exact signs (-1, 0, 1) of ``X u``."""
    direction = [Fraction(value) for value in u]
    products = [sum(Fraction(a) * b for a, b in zip(row, direction, strict=True)) for row in X]
    return tuple((value > 0) - (value < 0) for value in products)
