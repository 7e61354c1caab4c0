"""Certificates: what is proven about a network, over which class, and how far it can at most be from the best."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .certificate import Certificate, relative_gap
    from .gated import certify_gated
    from .verdict import certify

__all__ = ["Certificate", "certify", "certify_gated", "relative_gap"]

_MODULES = {
    "Certificate": "certificate", "relative_gap": "certificate", "certify": "verdict", "certify_gated": "gated",
}  # fmt: skip
_TABLE = {name: f"{__name__}.{module}" for name, module in _MODULES.items()}

__getattr__, __dir__ = lazy_attributes(__name__, _TABLE)
