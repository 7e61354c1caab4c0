"""Sparse recovery: sensing matrices, when the smallest l1 norm finds the sparse vector, and proofs for single cases."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .coherence import Coherence, mutual_coherence
    from .nullspace import NullSpaceBounds, juditsky_nemirovski
    from .packing import coherence_floor
    from .recovery import SupportCertificate, certify_support
    from .recovery_curve import RecoveryCurve, recovery_rate
    from .sensing import ArrangementDictionary, arrangement_dictionary

__all__ = [
    "ArrangementDictionary",
    "Coherence",
    "NullSpaceBounds",
    "RecoveryCurve",
    "SupportCertificate",
    "arrangement_dictionary",
    "certify_support",
    "coherence_floor",
    "juditsky_nemirovski",
    "mutual_coherence",
    "recovery_rate",
]

_MODULES = {
    "Coherence": "coherence", "mutual_coherence": "coherence",
    "NullSpaceBounds": "nullspace", "juditsky_nemirovski": "nullspace",
    "coherence_floor": "packing",
    "SupportCertificate": "recovery", "certify_support": "recovery",
    "RecoveryCurve": "recovery_curve", "recovery_rate": "recovery_curve",
    "ArrangementDictionary": "sensing", "arrangement_dictionary": "sensing",
}  # fmt: skip

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
