"""The pattern set as a container."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import convexnet.arrangements as arrangements
from convexnet.arrangements import CellRays, PatternSet, data_hash, enumerate_patterns
from convexnet.errors import PatternError

X = np.array([[1.0, 1.0], [2.0, 1.0], [-1.0, 1.0], [0.5, 1.0]])


def test_check_accepts_the_same_data_in_other_forms():
    cells = enumerate_patterns(X)
    cells.check(X.tolist())
    cells.check(np.asfortranarray(X))
    with pytest.raises(PatternError, match="shape"):
        cells.check(X[:3])
    with pytest.raises(PatternError, match="hashes"):
        cells.check(X[::-1])


def test_hash_sees_shape_and_every_bit():
    assert data_hash([[1.0, 2.0]]) != data_hash([[1.0], [2.0]])
    assert data_hash([[1.0, 2.0]]) != data_hash([[1.0, np.nextafter(2.0, 3.0)]])


def test_subset():
    cells = enumerate_patterns(X)
    part = cells.subset([5, 0, -1])
    assert not part.complete and part.proof == "" and part.data_hash == cells.data_hash
    assert np.array_equal(part.patterns, cells.patterns[:, [5, 0, 7]])
    assert np.array_equal(part.rays.of(0), cells.rays.of(5))
    assert np.array_equal(part.rays.of(2), cells.rays.of(7))
    mask = cells.patterns[0] == 1
    assert len(cells.subset(mask)) == mask.sum()
    assert len(cells.subset([])) == 0
    for bad in ([8], [-9], [0.5], [[0]], [True, False]):
        with pytest.raises(PatternError):
            cells.subset(bad)


def test_subset_renumbers_integer_witnesses():
    thin = np.array([[1e300, 1.0], [1.0, 1.0]])
    cells = enumerate_patterns(thin)
    assert set(cells.exact_witnesses) == {0, 1, 2, 3}
    assert cells.subset([2]).exact_witnesses == {0: cells.exact_witnesses[2]}


def test_arrays_are_read_only():
    cells = enumerate_patterns(X)
    for array in (cells.patterns, cells.witnesses, cells.rays.directions, cells.rays.ray_sign):
        with pytest.raises(ValueError):
            array[0] = 0


def test_malformed_sets_are_refused():
    good = enumerate_patterns(X)
    rest = (True, good.data_hash, good.proof, good.rank)
    with pytest.raises(PatternError, match="uint8"):
        PatternSet(good.patterns.astype(int), good.witnesses, *rest)
    with pytest.raises(PatternError, match="0 and 1"):
        PatternSet(good.patterns * np.uint8(2), good.witnesses, *rest)
    with pytest.raises(PatternError, match="witnesses"):
        PatternSet(good.patterns, good.witnesses[:, 1:], *rest)
    with pytest.raises(PatternError, match="rays"):
        PatternSet(good.patterns, good.witnesses, *rest, rays=good.rays.subset(np.array([0])))


def test_descriptions():
    cells = enumerate_patterns(X)
    assert "\n" not in repr(cells) and "P=8" in repr(cells)
    assert "complete, proven by vertex-enumeration" in cells.summary()
    assert "a subset" in cells.subset([0]).summary()
    assert cells.to_dict()["P"] == len(cells) == 8
    assert isinstance(cells.rays, CellRays) and "lines=4" in repr(cells.rays)


def test_every_public_name_resolves():
    for name in arrangements.__all__:
        assert getattr(arrangements, name) is not None
    assert set(arrangements.__all__) <= set(dir(arrangements))
    with pytest.raises(AttributeError):
        _ = arrangements.missing


def test_import_loads_no_solver():
    code = (
        "import sys, convexnet.arrangements as a; a.PatternSet, a.enumerate_patterns, a.sample_patterns, "
        "a.cell_facets, a.project_onto_cell; "
        "print([m for m in ('scipy', 'cvxpy', 'sklearn', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
