"""Certificates to proof files and back: the proof that a certificate kept, or one made for its dual vector."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProblemError, ProofFileError

if TYPE_CHECKING:
    from ..problem import TrainingProblem
    from .certificate import Certificate

__all__ = ["load", "make_proof", "save"]

_FEW_CELLS = 200_000


def save(
    certificate: Certificate, path: str | os.PathLike[str], embed_data: bool = True, time_limit: float = 60.0
) -> None:
    """Write a proof file; see :meth:`Certificate.save`."""
    from .proof_file import write_proof

    problem, network = certificate.problem, certificate.network
    if problem is None or network is None:
        raise ProblemError("The certificate holds no problem and network; only those of judge and certify are saved.")
    _check_format(problem)
    proof, made = certificate.proof, "kept from the search"
    if proof is None:
        proof, made = make_proof(problem, certificate.nu, certificate.pricing_bound, time_limit)
    claimed = {
        "verdict": certificate.verdict, "objective": certificate.upper_bound, "lower_bound": certificate.lower_bound,
        "gap": certificate.gap, "method": certificate.method, "proof": made,
    }  # fmt: skip
    write_proof(
        path, problem, network, certificate.nu, proof, tol=certificate.tol, embed_data=embed_data, claimed=claimed
    )


def _check_format(problem: TrainingProblem) -> None:
    """Proof files are for path norms of ReLU-type neurons: named here rather than deep inside."""
    kind = "activation='threshold'" if problem.activation == "threshold" else ""
    kind = "norm='label_noise'" if problem.norm == "label_noise" else kind
    if kind:
        raise ProofFileError(
            f"Certificate.save has no proof format for {kind}; keep certificate.to_dict() and repeat the proof with "
            f"convexnet.certificates.judge_{'label_noise' if problem.norm == 'label_noise' else 'threshold'}"
            "(problem, network, nu=certificate.nu)."
        )


def make_proof(
    problem: TrainingProblem, nu: np.ndarray, target: float, time_limit: float
) -> tuple[Mapping[str, Any], str]:
    """A proof of about ``M(nu) <= target`` and how it was made: by cells where they are few, else by a search.

    Raises
    ------
    ProblemError
        For several outputs.
    """
    from ..arrangements import enumerate_patterns
    from ..pricing import enumerable, price_cones, price_moment
    from ._proof_cells import cells_payload

    if not problem.scalar:
        raise ProblemError("Proof files are for scalar outputs; the bound for several outputs has no proof format.")
    if enumerable(problem) if problem.norm == "l1" else enumerable(problem, max_cells=_FEW_CELLS):
        patterns = enumerate_patterns(problem.extended)
        return cells_payload(problem, nu, patterns, target=target * (1 - 1e-9)), f"by {len(patterns)} cells when saved"
    moment = price_moment(problem, nu, target=target, time_limit=0.1 * time_limit, proof=True)
    if moment.bound <= target:
        return moment.proof, "by the moment relaxation when saved"
    cones = price_cones(problem, nu, target=target * (1 + 1e-12), time_limit=0.9 * time_limit, proof=True)
    if cones.bound < moment.bound and cones.proof is not None:
        return cones.proof, "by cones when saved"
    return moment.proof, "by the moment relaxation when saved"


def load(path: str | os.PathLike[str], data: Any = None) -> Certificate:
    """Read and verify a proof file; see :meth:`Certificate.load`."""
    from ..networks.shallow import ShallowNetwork
    from .certificate import Certificate
    from .proof_file import read_proof, verify_file

    report = verify_file(path, data)
    if report.verdict in ("refuted", "unreadable"):
        raise ProofFileError("\n".join(report.lines) or f"The proof file is {report.verdict}.")
    file = read_proof(path, data)
    assert isinstance(file.network, ShallowNetwork)
    return Certificate(
        verdict="optimal" if report.certified else "bound",
        upper_bound=report.upper,
        lower_bound=report.lower,
        gap=report.gap,
        tol=report.tol,
        scope="all networks of any width",
        nu=file.nu,
        scale=report.scale,
        pricing_bound=report.pricing_bound,
        method=f"{report.kind}, verified from a file",
        misfit=report.misfit,
        conventions=file.problem.conventions(),
        data_hash=file.problem.data_hash,
        wall_time=report.seconds,
        versions=file.versions,
        network=file.network,
        problem=file.problem,
    )
