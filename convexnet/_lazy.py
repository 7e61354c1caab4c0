"""Public names that are imported on first use, so that ``import convexnet`` loads numpy and nothing heavier."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["lazy_attributes"]


def lazy_attributes(package: str, table: dict[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Module-level ``__getattr__`` and ``__dir__`` (PEP 562) for a package whose names live in modules loaded late.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    table : dict of str to str
        Public name -> absolute name of the module that defines it. A name mapped to ``package + "." + name``
        stands for that module itself. So a function never shares its name with the module that defines it: importing
        the submodule would put the module in the function's place.

    Returns
    -------
    getter, lister : callables
        To be bound to ``__getattr__`` and ``__dir__`` of the package.

    Raises
    ------
    AttributeError
        By the getter, for a name outside the table.

    Examples
    --------
    >>> getter, lister = lazy_attributes("convexnet", {"lazy_attributes": "convexnet._lazy"})
    >>> getter("lazy_attributes").__name__
    'lazy_attributes'
    >>> "lazy_attributes" in lister()
    True
    """

    def getter(name: str) -> Any:
        if name not in table:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(table[name])
        value = module if table[name] == f"{package}.{name}" else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def lister() -> list[str]:
        return sorted({*vars(sys.modules[package]), *table})

    return getter, lister
