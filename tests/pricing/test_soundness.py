"""No bound on M(nu) is below what exact enumeration attains, on awkward random data (benchmarks/soundness.py)."""

from __future__ import annotations

import pytest

from benchmarks.soundness import bounds, check_instance

BATCHES = 20
DEFAULT = 6
"""Batches of the default run: each of the six turns below once."""
PER_BATCH = 15


@pytest.mark.parametrize(
    "batch", [*range(DEFAULT), *(pytest.param(batch, marks=pytest.mark.slow) for batch in range(DEFAULT, BATCHES))]
)
def test_bounds_hold_on_random_data(batch: int) -> None:
    seed, checked = 10_000_000 + 1000 * batch, 0
    while checked < (PER_BATCH if batch >= DEFAULT else PER_BATCH // 2):
        # The slower searches take turns, so that every bound meets a good part of the instances.
        names = tuple(name for name in bounds() if "slabs" not in name or checked % 6 == batch % 6)
        outcome = check_instance(seed, names=names)
        seed += 1
        if outcome is not None:
            assert not outcome.failures, outcome
            checked += 1
