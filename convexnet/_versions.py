"""Versions recorded with every result."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata

__all__ = ["versions"]

_PACKAGES = ("numpy", "scipy", "cvxpy", "clarabel", "scikit-learn")


@cache
def _installed() -> tuple[tuple[str, str], ...]:
    from . import __version__

    found = [("convexnet", __version__), ("python", platform.python_version())]
    for package in _PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def versions() -> dict[str, str]:
    """Return the versions of this package, Python and the numerical libraries."""
    return dict(_installed())
