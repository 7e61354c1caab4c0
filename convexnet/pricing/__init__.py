"""Pricing: ``M(nu)``, the maximum of ``|nu . sigma(X u)|`` over unit directions u, and what follows from its bounds."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .ascent import AscentResult, local_maxima, price_ascent
    from .atoms import CellAtoms, cell_atoms
    from .cells import CellPricer, price_cells
    from .cones import ConeSearch, price_cones
    from .dual import DualPoint, dual_bound, feasible_dual, relative_gap
    from .forms import PricingForm, pricing_forms
    from .gated import price_gated
    from .geometry import CellValue, price_cell
    from .label_noise import LabelNoisePricer, price_label_noise, price_points
    from .moment import MomentResult, certified_moment, price_moment
    from .null_model import enumerable, null_prediction, price_null, reg_max
    from .outputs import price_outputs
    from .rays import RayPricer, price_rays
    from .relaxed_dual import JointDual, PseudoLasso, joint_dual, pseudo_lasso
    from .result import PricingResult, Violator
    from .slabs import SlabSearch, price_slabs
    from .spectral import price_spectral
    from .threshold import price_threshold, threshold_patterns
    from .trust_region import TrustRegionPoint, certified_value, solve_trust_region, trust_region_batch
    from .univariate import price_univariate, univariate_peaks

__all__ = [
    "AscentResult",
    "CellAtoms",
    "CellPricer",
    "CellValue",
    "ConeSearch",
    "DualPoint",
    "JointDual",
    "LabelNoisePricer",
    "MomentResult",
    "PricingForm",
    "PricingResult",
    "PseudoLasso",
    "RayPricer",
    "SlabSearch",
    "TrustRegionPoint",
    "Violator",
    "cell_atoms",
    "certified_moment",
    "certified_value",
    "dual_bound",
    "enumerable",
    "feasible_dual",
    "joint_dual",
    "local_maxima",
    "null_prediction",
    "price_ascent",
    "price_cell",
    "price_cells",
    "price_cones",
    "price_gated",
    "price_label_noise",
    "price_moment",
    "price_null",
    "price_outputs",
    "price_points",
    "price_rays",
    "price_slabs",
    "price_spectral",
    "price_threshold",
    "price_univariate",
    "pricing_forms",
    "pseudo_lasso",
    "reg_max",
    "relative_gap",
    "solve_trust_region",
    "threshold_patterns",
    "trust_region_batch",
    "univariate_peaks",
]

_MODULES = {
    "AscentResult": "ascent", "local_maxima": "ascent", "price_ascent": "ascent",
    "CellAtoms": "atoms", "cell_atoms": "atoms",
    "CellPricer": "cells", "price_cells": "cells",
    "ConeSearch": "cones", "price_cones": "cones",
    "DualPoint": "dual", "dual_bound": "dual", "feasible_dual": "dual", "relative_gap": "dual",
    "PricingForm": "forms", "pricing_forms": "forms",
    "price_gated": "gated",
    "CellValue": "geometry", "price_cell": "geometry",
    "LabelNoisePricer": "label_noise", "price_label_noise": "label_noise", "price_points": "label_noise",
    "MomentResult": "moment", "certified_moment": "moment", "price_moment": "moment",
    "enumerable": "null_model", "null_prediction": "null_model", "price_null": "null_model", "reg_max": "null_model",
    "price_outputs": "outputs",
    "RayPricer": "rays", "price_rays": "rays",
    "JointDual": "relaxed_dual", "PseudoLasso": "relaxed_dual",
    "joint_dual": "relaxed_dual", "pseudo_lasso": "relaxed_dual",
    "PricingResult": "result", "Violator": "result",
    "SlabSearch": "slabs", "price_slabs": "slabs",
    "price_spectral": "spectral",
    "price_threshold": "threshold", "threshold_patterns": "threshold",
    "TrustRegionPoint": "trust_region", "certified_value": "trust_region",
    "solve_trust_region": "trust_region", "trust_region_batch": "trust_region",
    "price_univariate": "univariate", "univariate_peaks": "univariate",
}  # fmt: skip

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
