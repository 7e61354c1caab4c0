"""Named errors and warnings: what happened, the usual cause, what to pass instead."""

from __future__ import annotations

__all__ = [
    "ClassLabelsWarning",
    "ConvexNetError",
    "ConvexNetWarning",
    "DataError",
    "InaccurateSolutionWarning",
    "IncompletePatternsWarning",
    "InfeasibleError",
    "LabelsMappedWarning",
    "MissingExtraError",
    "NetworkError",
    "NoObjectiveError",
    "NotCertifiedWarning",
    "PatternError",
    "ProblemError",
    "ProofFileError",
    "SolverError",
    "TooManyCellsError",
]


class ConvexNetError(Exception):
    """Base class of every error this package raises on purpose."""


class DataError(ConvexNetError, ValueError):
    """The data (X, y, sample weights, a file) cannot be used as given."""


class ProblemError(ConvexNetError, ValueError):
    """An option of the training problem or of a function is invalid, or two of them contradict."""


class NoObjectiveError(ProblemError):
    """A trainer minimises no objective that a certificate could be about (decoupled weight decay, no decay at all)."""


class NetworkError(ConvexNetError, ValueError):
    """A network has inconsistent arrays or lies outside the class of the problem it is measured on."""


class ProofFileError(ConvexNetError, ValueError):
    """A proof cannot be written as a file, or a proof file cannot be read."""


class PatternError(ConvexNetError, ValueError):
    """Activation patterns are empty, malformed, or belong to other data."""


class TooManyCellsError(PatternError):
    """The arrangement has more cells than the caller allows; sample patterns instead."""


class InfeasibleError(ConvexNetError):
    """No network satisfies the constraints (interpolation of contradictory data, user constraints).

    Attributes
    ----------
    certificate : numpy.ndarray or None
        A Farkas vector ``nu`` with ``nu . f(X) = 0`` for every network and ``nu . y > 0``, when one was found.
    proof : convexnet.certificates.FarkasVector or None
        The same in integers, checked in rational arithmetic, when the data alone rule every network out.
    """

    def __init__(self, message: str, certificate: object = None, *, proof: object = None) -> None:
        super().__init__(message)
        self.certificate = certificate
        self.proof = proof


class SolverError(ConvexNetError, RuntimeError):
    """A numerical solver returned nothing usable."""


class MissingExtraError(ConvexNetError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""


class ConvexNetWarning(UserWarning):
    """Base class of every warning of this package, so that they can be filtered together."""


class LabelsMappedWarning(ConvexNetWarning):
    """Class labels 0/1 were mapped to -1/+1."""


class ClassLabelsWarning(ConvexNetWarning):
    """Targets that look like class labels were handed to a regression loss."""


class IncompletePatternsWarning(ConvexNetWarning):
    """A result holds for the listed activation patterns only."""


class NotCertifiedWarning(ConvexNetWarning):
    """A solve ended without the requested certified gap."""


class InaccurateSolutionWarning(ConvexNetWarning):
    """A numerical solver reported reduced accuracy; bounds were recomputed and remain valid."""
