"""Fast solvers: iterations written for the structure of these problems, for what the programs state readably."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    pass

__all__: list[str] = []

_MODULES: dict[str, str] = {}

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
