"""Importing the networks loads numpy and nothing heavier."""

from __future__ import annotations

import builtins
import subprocess
import sys
from typing import Any

import pytest

from convexnet.errors import MissingExtraError
from convexnet.networks import ShallowNetwork


def test_import_loads_no_optional_or_heavy_package() -> None:
    code = (
        "import sys, convexnet.networks, convexnet.networks.convert, convexnet.networks.reduce, convexnet.networks.io\n"
        "print([n for n in ('torch', 'scipy', 'cvxpy', 'sklearn', 'matplotlib') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_missing_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_torch(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "torch":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(builtins, "__import__", no_torch)
    with pytest.raises(MissingExtraError, match=r"convexnet\[torch\]"):
        ShallowNetwork([[1.0]], [0.0], [1.0]).to_torch()
