r"""Proof files: everything that a claim of global optimality rests on, to be checked by programs that trust nothing.

A file states data, loss, regularisation, conventions, one network and a tolerance, and carries a dual vector with the
multipliers that bound its pricing value. ``check_float.py`` and ``check_exact.py`` recompute the rest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._versions import versions
from ..errors import ConvexNetError, DataError, ProofFileError
from ..networks.shallow import ShallowNetwork
from ..problem import TrainingProblem, check_problem, require_path_norm
from . import check_exact, check_float
from ._proof_forms import encode_forms
from ._proof_nu import exact_entries
from ._proof_text import decode, encode, hexed
from .tolerances import check_tolerance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ProofFile", "ProofFileError", "ProofReport", "proof_document", "read_proof", "verify_file", "write_proof"]


@dataclass(frozen=True, eq=False)
class ProofFile:
    """The contents of a proof file, read but not verified.

    Attributes
    ----------
    problem : TrainingProblem
    network : ShallowNetwork
    nu : ndarray of shape (n,)
        Dual vector (entries stored as fractions are rounded here).
    kind : str
        ``cells``, ``moment``, ``cones``, ``slabs`` or ``mixed``.
    tol : float
    claimed, versions : dict
        What the writer noted for information; nothing rests on it.
    document : dict
        The parsed file.
    """

    problem: TrainingProblem
    network: ShallowNetwork
    nu: np.ndarray
    kind: str
    tol: float
    claimed: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ProofFile(kind={self.kind!r}, tol={self.tol:.3g}, {self.problem!r}, {self.network!r})"


@dataclass(frozen=True)
class ProofReport:
    """What a checker verified.

    Attributes
    ----------
    verdict : {"certified", "not proven", "refuted", "unreadable"}
    exit_code : {0, 1, 2, 64}
        0 certified, 1 refuted or tampered with, 2 valid but not proven to the tolerance, 64 unreadable.
    certified : bool
    lower, upper : float
        No network of any width has an objective below ``lower``; the network's objective is at most ``upper``. Both
        hold in exact arithmetic. Meaningful unless the verdict is ``refuted`` or ``unreadable``.
    gap, tol : float
    pricing_bound : float
        Upper bound of ``M(nu)``.
    scale : float
        ``scale * nu`` is the feasible dual point of ``lower``.
    misfit : float
        Interpolation: ``lower`` holds for all networks with residuals up to this.
    lower_slack, upper_slack : float
        How far rounding may have moved the bounds away from their values in exact arithmetic (0 if exact).
    kind : str
        How ``pricing_bound`` was obtained.
    checker : {"float", "exact"}
    seconds : float
    lines : tuple of str
        The report in words.
    """

    verdict: str
    exit_code: int
    certified: bool
    lower: float
    upper: float
    gap: float
    tol: float
    pricing_bound: float
    scale: float
    misfit: float
    lower_slack: float
    upper_slack: float
    kind: str
    checker: str
    seconds: float
    lines: tuple[str, ...]

    def summary(self) -> str:
        """The report in words."""
        return "\n".join(self.lines)


def write_proof(
    path: str | os.PathLike[str],
    problem: TrainingProblem,
    network: ShallowNetwork,
    nu: ArrayLike,
    proof: Mapping[str, Any],
    *,
    tol: float = 1e-6,
    embed_data: bool = True,
    claimed: Mapping[str, Any] | None = None,
) -> None:
    r"""Write the claim and its proof: :math:`U - L \le \mathrm{tol}\, U` for ``network`` among networks of any width.

    Parameters
    ----------
    path : path-like
    problem : TrainingProblem
        Scalar output.
    network : ShallowNetwork
        Of the problem's class.
    nu : array-like of shape (n,)
        The dual vector that was priced, as returned by :func:`convexnet.pricing.feasible_dual`.
    proof : mapping
        ``PricingResult.proof`` of a search, its forms in the order of ``pricing_forms(problem, nu)``, or
        :func:`convexnet.certificates.cells_payload`.
    tol : float
        Relative gap that the file claims, below 1. A checker recomputes the gap.
    embed_data : bool
        Store X, y and the weights. Otherwise only their SHA-256; whoever checks the file then passes the data.
    claimed : mapping, optional
        Numbers and words kept for information.

    Raises
    ------
    ProofFileError
        For several outputs, a loss without a proof format (softmax), a payload that does not fit, or (skip
        connections) a dual vector whose equalities cannot be made exact.
    NetworkError
        If the network is outside the class of the problem.

    References
    ----------
    Proof formats for optimisation: Cheung, Gleixner and Steffy (2017), "Verifying integer programming results".

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> from convexnet import ShallowNetwork, TrainingProblem, enumerate_patterns
    >>> from convexnet.certificates import cells_payload, verify_file, write_proof
    >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.5, bias="none")
    >>> net, nu = ShallowNetwork([[0.9]], [0.0], [1.0]), np.array([0.1, 0.2])
    >>> payload = cells_payload(problem, nu, enumerate_patterns(problem.extended))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_proof(os.path.join(folder, "proof.json"), problem, net, nu, payload)
    ...     verify_file(os.path.join(folder, "proof.json")).verdict
    'certified'
    """
    require_path_norm(problem, "write_proof")
    document = proof_document(problem, network, nu, proof, tol=tol, embed_data=embed_data, claimed=claimed)
    Path(path).write_text(json.dumps(document, separators=(",", ":"), allow_nan=False), encoding="utf-8")


def proof_document(
    problem: TrainingProblem,
    network: ShallowNetwork,
    nu: ArrayLike,
    proof: Mapping[str, Any],
    *,
    tol: float = 1e-6,
    embed_data: bool = True,
    claimed: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The JSON object that :func:`write_proof` writes; parameters and errors as there.

    Raises
    ------
    ProofFileError
        As :func:`write_proof`.
    """
    check_problem(problem)
    problem.check_network(network)
    vector = np.array(nu, dtype=np.float64)
    if not problem.scalar or problem.loss.name not in check_float.LOSSES:
        raise ProofFileError(
            "A proof file is for scalar outputs: bounds for several outputs combine the forms of rotated targets, "
            "which version 1 of the format does not hold. Keep the certificate itself."
        )
    if vector.shape != problem.y.shape or not np.isfinite(vector).all():
        raise ProofFileError(f"nu must be finite and of shape {problem.y.shape}, got shape {vector.shape}.")
    claim, net = _claim(problem, check_tolerance(tol)), _network(network)
    return {
        "format": "convexnet-proof",
        "version": 1,
        "claim": claim,
        "claim_sha256": check_float.sha256_json([claim, net]),
        "data": _data(problem) if embed_data else None,
        "network": net,
        "nu": encode(vector),
        "nu_exact": exact_entries(problem, vector),
        "proof": encode_forms(problem, vector, proof),
        "claimed": {str(key): hexed(value) for key, value in (claimed or {}).items()},
        "versions": {str(key): str(value) for key, value in versions().items()},
    }


def _claim(problem: TrainingProblem, tol: float) -> dict[str, Any]:
    conventions = problem.conventions()
    loss = {key: value if key == "name" else hexed(value) for key, value in conventions["loss"].items()}
    words = {key: conventions[key] for key in ("activation", "bias", "intercept", "skip", "norm")}
    return {
        **words, "loss": loss, "reg": hexed(problem.reg), "kappa": hexed(problem.kappa), "tol": hexed(tol),
        "n": problem.n, "d": problem.d, "data_sha256": problem.data_hash,
    }  # fmt: skip


def _network(network: ShallowNetwork) -> dict[str, Any]:
    return {
        "weights": encode(network.weights), "biases": encode(network.biases),
        "output_weights": encode(network.output_weights), "intercept": hexed(float(network.intercept)),
        "skip": None if network.skip is None else encode(network.skip),
    }  # fmt: skip


def _data(problem: TrainingProblem) -> dict[str, Any]:
    weight = None if problem.sample_weight is None else encode(problem.sample_weight)
    return {"X": encode(problem.X), "y": encode(problem.y), "sample_weight": weight}


def read_proof(path: str | os.PathLike[str], data: Any = None) -> ProofFile:
    """Read a proof file without verifying it.

    Parameters
    ----------
    path : path-like
    data : tuple (X, y) or (X, y, sample_weight), mapping or npz path, optional
        Needed if the file does not embed its data.

    Raises
    ------
    DataError
        If there is no such file.
    ProofFileError
        If the file is malformed, or the data are not those of the claim.
    """
    arrays = _as_arrays(data)
    try:
        document = check_float.parse(Path(path).read_text(encoding="utf-8"))
        c = check_float.read_claim(document, arrays)
    except OSError as error:
        raise DataError(f"The proof file cannot be read: {error}") from None
    except (check_float.Stopped, UnicodeError) as error:
        raise ProofFileError(f"The proof file is not usable: {error}") from None
    words = document["claim"]
    parameters = {key: decode(value) for key, value in words["loss"].items() if key != "name"}
    slope = {"negative_slope": c.kappa} if words["activation"] == "leaky" else {}
    weighted = c.weight_given
    try:
        from ..losses import get_loss

        problem = TrainingProblem(
            c.X, c.y, loss=get_loss(c.loss, **parameters), reg=c.reg, sample_weight=c.weight if weighted else None,
            activation=words["activation"], bias=c.bias, intercept=c.intercept, skip=c.skip, norm=c.norm, **slope,
        )  # fmt: skip
        net = c.network
        network = ShallowNetwork(
            net["weights"], net["biases"], net["output_weights"], net["intercept"],
            net["skip"] if document["network"]["skip"] is not None else None, words["activation"], **slope,
        )  # fmt: skip
    except ConvexNetError as error:
        raise ProofFileError(f"The proof file states no valid problem: {error}") from None
    kind = document["proof"].get("kind") if isinstance(document["proof"], dict) else None
    return ProofFile(problem, network, c.nu, str(kind), c.tol, document["claimed"], document["versions"], document)


def verify_file(path: str | os.PathLike[str], data: Any = None, exact: bool = False) -> ProofReport:
    """Check a proof file, trusting nothing in it.

    Parameters
    ----------
    path : path-like
    data : tuple (X, y) or (X, y, sample_weight), mapping or npz path, optional
        Needed if the file does not embed its data; otherwise it must be the same data.
    exact : bool
        Check in integers and fractions instead of bounded floating point: slower, and without any assumption about
        the arithmetic of the machine.

    Returns
    -------
    ProofReport
        Also for files that are damaged or missing (``exit_code`` 64); no file raises.

    Raises
    ------
    DataError
        If ``data`` is not readable as arrays.

    References
    ----------
    The bounds on rounding errors: Higham (2002), "Accuracy and stability of numerical algorithms"; Rump (2006).

    Examples
    --------
    >>> verify_file("no-such-file.json").exit_code
    64
    """
    arrays = _as_arrays(data)
    if exact:
        plain = None if arrays is None else {key: value.tolist() for key, value in arrays.items()}
        report: Any = check_exact.check_file(os.fspath(path), plain)
    else:
        report = check_float.check_file(os.fspath(path), arrays)
    names = ProofReport.__dataclass_fields__
    return ProofReport(**{name: getattr(report, name) for name in names if name != "lines"}, lines=tuple(report.lines))


def _as_arrays(data: Any) -> dict[str, np.ndarray] | None:
    """X, y and perhaps sample_weight from a tuple, a mapping or an npz file."""
    if data is None:
        return None
    try:
        if isinstance(data, str | os.PathLike):
            return check_float.load_npz(os.fspath(data))
        named = dict(data) if isinstance(data, Mapping) else dict(zip(("X", "y", "sample_weight"), data, strict=False))
        return {key: np.asarray(value, dtype=np.float64) for key, value in named.items() if value is not None}
    except (check_float.Stopped, TypeError, ValueError) as error:
        raise DataError(f"data must be (X, y), (X, y, sample_weight) or an npz file: {error}") from None
