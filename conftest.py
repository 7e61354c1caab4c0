"""Settings of every test run: doctests that need an optional package are marked ``extra`` like the tests that do."""

from __future__ import annotations

import os
import re

import pytest

# Before numpy is imported: the problems of the tests are too small for several threads to pay.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

CLUES = {"torch": r"torch", "onnx": r"onnx", "matplotlib": r"matplotlib|\.plot\("}
"""Optional package -> what the lines of a doctest say when they need it."""

NEEDED: pytest.StashKey[list[str]] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            source = "".join(example.source for example in item.dtest.examples)
            item.stash[NEEDED] = [package for package, clue in CLUES.items() if re.search(clue, source)]
            if item.stash[NEEDED]:
                item.add_marker("extra")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for package in item.stash.get(NEEDED, []):
        pytest.importorskip(package)
