"""Certificates: what is proven about a network, over which class, and how far it can at most be from the best."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from ._proof_cells import cells_payload
    from .certificate import Certificate
    from .farkas import FarkasVector, check_interpolable, find_contradiction
    from .gated import certify_gated
    from .label_noise import judge_label_noise
    from .proof_file import ProofFile, ProofFileError, ProofReport, read_proof, verify_file, write_proof
    from .threshold import judge_threshold
    from .verdict import judge

__all__ = [
    "Certificate",
    "FarkasVector",
    "ProofFile",
    "ProofFileError",
    "ProofReport",
    "cells_payload",
    "certify_gated",
    "check_interpolable",
    "find_contradiction",
    "judge",
    "judge_label_noise",
    "judge_threshold",
    "read_proof",
    "verify_file",
    "write_proof",
]

_MODULES = {
    "Certificate": "certificate", "certify_gated": "gated", "judge": "verdict",
    "judge_threshold": "threshold", "judge_label_noise": "label_noise",
    "ProofFile": "proof_file", "ProofFileError": "proof_file", "ProofReport": "proof_file", "read_proof": "proof_file",
    "FarkasVector": "farkas", "check_interpolable": "farkas", "find_contradiction": "farkas",
    "verify_file": "proof_file", "write_proof": "proof_file", "cells_payload": "_proof_cells",
}  # fmt: skip
_TABLE = {name: f"{__name__}.{module}" for name, module in _MODULES.items()}

__getattr__, __dir__ = lazy_attributes(__name__, _TABLE)
