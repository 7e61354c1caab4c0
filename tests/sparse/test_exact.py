"""Every claim of the room against exact arithmetic: null vectors of least support decide recovery and the constants."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from convexnet.sparse import certify_support, juditsky_nemirovski

Vector = list[Fraction]


def null_vector(columns: list[Vector]) -> Vector | None:
    """The null vector of columns whose null space is a line and which has no zero entry, or None."""
    rows = [list(row) for row in zip(*columns, strict=True)]
    count, pivots = len(columns), []
    for column in range(count):
        place = next((r for r in range(len(pivots), len(rows)) if rows[r][column] != 0), None)
        if place is None:
            continue
        rows[len(pivots)], rows[place] = rows[place], rows[len(pivots)]
        lead = rows[len(pivots)]
        lead[:] = [entry / lead[column] for entry in lead]
        for r in range(len(rows)):
            if r != len(pivots) and rows[r][column] != 0:
                rows[r] = [a - rows[r][column] * b for a, b in zip(rows[r], lead, strict=True)]
        pivots.append(column)
    free = [column for column in range(count) if column not in pivots]
    if len(free) != 1:
        return None
    z = [Fraction(0)] * count
    z[free[0]] = Fraction(1)
    for r, column in enumerate(pivots):
        z[column] = -rows[r][free[0]]
    return z if all(z) else None


def circuits(A: np.ndarray) -> list[Vector]:
    """Null vectors of least support: every null vector is a sum of some of them without cancellation."""
    columns = [[Fraction(entry) for entry in column] for column in A.T.tolist()]
    found = []
    for size in range(1, len(A) + 2):
        for chosen in combinations(range(len(columns)), size):
            z = null_vector([columns[i] for i in chosen])
            if z is not None:
                whole = [Fraction(0)] * len(columns)
                for place, i in enumerate(chosen):
                    whole[i] = z[place]
                found.append(whole)
    return found


def matrices(count: int, seed: int) -> list[np.ndarray]:
    """Small integers (ties, dependent rows and columns), floats, and floats of very different scales."""
    rng, found = np.random.default_rng(seed), []
    for index in range(count):
        m, N = rng.integers(1, 4), rng.integers(2, 7)
        A = rng.standard_normal((m, N))
        if index % 3 == 0:
            A = rng.integers(-2, 3, (m, N)).astype(float)
        if index % 3 == 1:
            A = A * 10.0 ** rng.integers(-12, 12, (m, 1)) * 10.0 ** rng.integers(-3, 3, N)
        found.append(A)
    return found


@pytest.mark.parametrize(("seed", "count"), [(0, 12), pytest.param(1, 600, marks=pytest.mark.slow)])
def test_verdicts_and_bounds_in_exact_arithmetic(seed: int, count: int) -> None:
    rng, decided, trials = np.random.default_rng(seed), 0, 0
    for A in matrices(count, seed):
        vectors, N = circuits(A), A.shape[1]
        for s in (1, 2):
            weights = [sum(sorted(map(abs, z))[-s:]) / sum(map(abs, z)) for z in vectors]
            gamma, found = max(weights, default=Fraction(0)), juditsky_nemirovski(A, s)
            assert Fraction(found.lower) <= gamma <= Fraction(found.upper)
            if found.certified_sparsity >= s:
                assert gamma < Fraction(1, 2)
            if found.refuted_sparsity is not None and found.refuted_sparsity <= s:
                assert gamma >= Fraction(1, 2)
            assert s > 1 or not vectors or found.upper - float(gamma) < 1e-6
        for _ in range(4):
            s = int(rng.integers(1, min(4, N) + 1))
            support, signs = rng.choice(N, s, replace=False), rng.choice([-1, 1], s)
            growth = []
            for z in vectors:
                slope = sum(int(sign) * z[i] for i, sign in zip(support, signs, strict=True))
                off = sum(abs(entry) for i, entry in enumerate(z) if i not in support)
                growth += [off + slope, off - slope]
            unique = all(value > 0 for value in growth)
            verdict = certify_support(A, support, signs).verdict
            assert verdict in ({"unique", "undecided"} if unique else {"refuted", "undecided"})
            trials, decided = trials + 1, decided + (verdict != "undecided")
    assert decided > 0.85 * trials
