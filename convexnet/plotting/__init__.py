"""Pictures, for people who would rather look than read; they need matplotlib."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .arrangement import plot_arrangement
    from .certificate import plot_dual_certificate
    from .excess import plot_comparison
    from .path import plot_path
    from .plane import plot_network
    from .spline import plot_spline, plot_spline_certificate

__all__ = [
    "plot_arrangement",
    "plot_comparison",
    "plot_dual_certificate",
    "plot_network",
    "plot_path",
    "plot_spline",
    "plot_spline_certificate",
]

_MODULES = {
    "plot_arrangement": "arrangement", "plot_comparison": "excess", "plot_dual_certificate": "certificate",
    "plot_network": "plane", "plot_path": "path", "plot_spline": "spline", "plot_spline_certificate": "spline",
}  # fmt: skip

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
