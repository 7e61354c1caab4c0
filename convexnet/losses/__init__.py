"""Losses: value, gradient, convex conjugate, prox and CVXPY expression, all as sums over samples.

One class per loss, named in :data:`LOSSES`; the mathematics they share is in :mod:`convexnet.losses.base`.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..errors import ProblemError
from .base import Loss
from .margin import HingeLoss, LogisticLoss
from .residual import AbsoluteLoss, HuberLoss, InterpolationLoss, SquaredLoss
from .softmax import SoftmaxLoss

__all__ = [
    "LOSSES",
    "AbsoluteLoss",
    "HingeLoss",
    "HuberLoss",
    "InterpolationLoss",
    "LogisticLoss",
    "Loss",
    "SoftmaxLoss",
    "SquaredLoss",
    "get_loss",
]

LOSSES: dict[str, type[Loss]] = {
    cls.name: cls
    for cls in (SquaredLoss, LogisticLoss, HuberLoss, AbsoluteLoss, HingeLoss, SoftmaxLoss, InterpolationLoss)
}
"""Losses by name: a new loss is one class and one entry here."""


def get_loss(loss: str | Loss, **parameters: Any) -> Loss:
    """Return a loss by name (``parameters`` go to its constructor) or pass an instance through.

    Parameters
    ----------
    loss : str or Loss
        One of ``squared``, ``logistic``, ``huber``, ``absolute``, ``hinge``, ``softmax``, ``interpolation``.
    **parameters
        ``delta`` of the Huber loss, ``tol`` of interpolation.

    Raises
    ------
    ProblemError
        If the name or a parameter is unknown, or a parameter is out of range.

    Examples
    --------
    >>> get_loss("huber", delta=2.0)
    HuberLoss(delta=2.0)
    """
    if isinstance(loss, Loss):
        if parameters:
            raise ProblemError("Parameters go with a loss name; this is already a loss object.")
        return loss
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ProblemError(f"Unknown loss {loss!r}; choose one of {', '.join(LOSSES)} or pass a Loss object.")
    cls = LOSSES[loss]
    known = [field.name for field in fields(cls)]
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        takes = ", ".join(known) or "none"
        raise ProblemError(f"The {loss} loss has no parameter {', '.join(unknown)}; it takes {takes}.")
    return cls(**parameters)
