"""Pricing: ``M(nu)``, the maximum of ``|nu . sigma(X u)|`` over unit directions u, and what follows from its bounds."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .cells import CellPricer, price_cells
    from .dual import DualPoint, dual_bound, feasible_dual
    from .geometry import CellValue, price_cell
    from .null_model import enumerable, null_prediction, price_null, reg_max
    from .result import PricingResult, Violator
    from .spectral import price_spectral

__all__ = [
    "CellPricer",
    "CellValue",
    "DualPoint",
    "PricingResult",
    "Violator",
    "dual_bound",
    "enumerable",
    "feasible_dual",
    "null_prediction",
    "price_cell",
    "price_cells",
    "price_null",
    "price_spectral",
    "reg_max",
]

_MODULES = {
    "CellPricer": "cells", "price_cells": "cells",
    "DualPoint": "dual", "dual_bound": "dual", "feasible_dual": "dual",
    "CellValue": "geometry", "price_cell": "geometry",
    "enumerable": "null_model", "null_prediction": "null_model", "price_null": "null_model", "reg_max": "null_model",
    "PricingResult": "result", "Violator": "result",
    "price_spectral": "spectral",
}  # fmt: skip

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
