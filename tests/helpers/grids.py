"""Grids of cases of which the default run takes a sample: every value of every axis, with the rest as slow tests."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

__all__ = ["latin"]


def latin(*axes: Sequence[Any], every: int) -> list[Any]:
    """All combinations of the axes; those whose positions do not add up to a multiple of ``every`` are slow.

    As in a Latin square, each value of each axis, combined with various others, stays in the default run.
    """
    cases, kept = [], [set() for _ in axes]
    for positions in itertools.product(*(range(len(axis)) for axis in axes)):
        values = [axis[i] for axis, i in zip(axes, positions, strict=True)]
        default = sum(positions) % every == 0
        cases.append(pytest.param(*values, marks=() if default else pytest.mark.slow))
        if default:
            for seen, i in zip(kept, positions, strict=True):
                seen.add(i)
    assert [len(seen) for seen in kept] == [len(axis) for axis in axes], "a value would never run by default"
    return cases
