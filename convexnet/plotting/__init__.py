"""Pictures, for people who would rather look than read; they need matplotlib."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .excess import plot_comparison
    from .plane import plot_arrangement, plot_network

__all__ = ["plot_arrangement", "plot_comparison", "plot_network"]

_MODULES = {"plot_comparison": "excess", "plot_arrangement": "plane", "plot_network": "plane"}

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
