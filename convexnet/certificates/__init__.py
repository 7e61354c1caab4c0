"""Certificates: what is proven about a network, over which class, and how far it can at most be from the best."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from ._proof_cells import cells_payload
    from .certificate import Certificate
    from .gated import certify_gated
    from .proof_file import ProofFile, ProofFileError, ProofReport, read_proof, verify_file, write_proof
    from .verdict import judge

__all__ = [
    "Certificate",
    "ProofFile",
    "ProofFileError",
    "ProofReport",
    "cells_payload",
    "certify_gated",
    "judge",
    "read_proof",
    "verify_file",
    "write_proof",
]

_MODULES = {
    "Certificate": "certificate", "certify_gated": "gated", "judge": "verdict",
    "ProofFile": "proof_file", "ProofFileError": "proof_file", "ProofReport": "proof_file", "read_proof": "proof_file",
    "verify_file": "proof_file", "write_proof": "proof_file", "cells_payload": "_proof_cells",
}  # fmt: skip
_TABLE = {name: f"{__name__}.{module}" for name, module in _MODULES.items()}

__getattr__, __dir__ = lazy_attributes(__name__, _TABLE)
