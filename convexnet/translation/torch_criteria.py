"""The losses of torch as multiples of the losses of this package."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import check_count
from ..errors import DataError, ProblemError
from ..losses import AbsoluteLoss, HuberLoss, LogisticLoss, Loss, SoftmaxLoss, SquaredLoss

__all__ = ["Criterion", "read_criterion"]


@dataclass(frozen=True, eq=False)
class Criterion:
    """A criterion as ``1/factor`` times a loss of this package on targets in this package's code.

    Attributes
    ----------
    loss : Loss
    targets : ndarray
    sample_weight : ndarray or None
    factor : float
    words, factor_words : str
    """

    loss: Loss
    targets: np.ndarray
    sample_weight: np.ndarray | None
    factor: float
    words: str
    factor_words: str


def read_criterion(criterion: Any, y: np.ndarray, batch_size: int | None = None) -> Criterion:
    """Return the criterion in terms of this package, or raise ProblemError.

    The criterion is ``t/N * sum of losses``: N is the number of terms for ``reduction="mean"`` and 1 for ``"sum"``,
    or the number of batches when each step sums over one of them.
    """
    name = type(criterion).__name__
    if name not in _READERS:
        known = ", ".join(_READERS)
        raise ProblemError(f"The criterion {name} has no counterpart here; known are {known}.{_hint(name)}")
    if criterion.reduction not in ("mean", "sum"):
        raise ProblemError(f"{name} has reduction={criterion.reduction!r}; only 'mean' and 'sum' are one number.")
    loss, t, targets, sample_weight, term = _READERS[name](criterion, y)
    if criterion.reduction == "mean":
        N, count, front = _terms(loss, targets, sample_weight, criterion)
    elif batch_size is None or batch_size >= len(y):
        N, count, front = 1.0, "1", ""
    else:
        N = float(math.ceil(len(y) / check_count(batch_size, "batch_size")))
        count, front = "(number of batches)", "1/(number of batches) * "
    factor_words = count if t == 1 else f"{count}/2" if t == 2 else f"{count} * {1 / t:g}"
    return Criterion(loss, targets, sample_weight, N / t, f"{front}sum {term}", factor_words)


def _terms(loss: Loss, y: np.ndarray, weight: np.ndarray | None, criterion: Any) -> tuple[float, str, str]:
    """By what the mean of a criterion divides."""
    if isinstance(loss, SoftmaxLoss) and weight is not None:
        return float(weight.sum()), "(sum of the class weights)", "1/(sum of the class weights) * "
    if isinstance(loss, SoftmaxLoss) or y.ndim == 1:
        return float(len(y)), "n", "1/n * "
    return float(y.size), "n k", "1/(n k) * "


Read = tuple[Loss, float, np.ndarray, np.ndarray | None, str]


def _mse(criterion: Any, y: np.ndarray) -> Read:
    return SquaredLoss(), 2.0, y, None, "(f(x) - y)^2"


def _l1(criterion: Any, y: np.ndarray) -> Read:
    return AbsoluteLoss(), 1.0, y, None, "|f(x) - y|"


def _huber(criterion: Any, y: np.ndarray) -> Read:
    delta = float(criterion.delta)
    return HuberLoss(delta), 1.0, y, None, f"huber(f(x) - y), delta = {delta:g},"


def _smooth_l1(criterion: Any, y: np.ndarray) -> Read:
    beta = float(criterion.beta)
    if beta == 0:
        return _l1(criterion, y)
    return HuberLoss(beta), 1.0 / beta, y, None, f"huber(f(x) - y)/{beta:g}, delta = {beta:g},"


def _bce(criterion: Any, y: np.ndarray) -> Read:
    if criterion.weight is not None:
        raise ProblemError("BCEWithLogitsLoss has weights per element; pass pos_weight, or leave them out.")
    labels = _labels(y, "BCEWithLogitsLoss", (0.0, 1.0))
    weight = None
    if criterion.pos_weight is not None:
        up = np.ravel(criterion.pos_weight.detach().cpu().double().numpy())
        if up.size != 1:
            raise ProblemError("BCEWithLogitsLoss has several pos_weights; the network has one output.")
        weight = np.where(labels > 0, up[0], 1.0)
    return LogisticLoss(), 1.0, labels, weight, "log(1 + exp(-y f(x))), y = -1 or +1" + _weighted(weight)


def _soft_margin(criterion: Any, y: np.ndarray) -> Read:
    return LogisticLoss(), 1.0, _labels(y, "SoftMarginLoss", (-1.0, 1.0)), None, "log(1 + exp(-y f(x)))"


def _cross_entropy(criterion: Any, y: np.ndarray) -> Read:
    if criterion.label_smoothing:
        raise ProblemError("CrossEntropyLoss has label_smoothing; targets between classes have no counterpart here.")
    codes = y.argmax(axis=1) if y.ndim == 2 else y
    targets = SoftmaxLoss().prepare_targets(y, len(y))
    weight = None
    if criterion.weight is not None:
        classes = criterion.weight.detach().cpu().double().numpy()
        if len(classes) != targets.shape[1]:
            raise DataError(f"CrossEntropyLoss weighs {len(classes)} classes, y has {targets.shape[1]}.")
        weight = classes[codes.astype(int)]
    return SoftmaxLoss(), 1.0, targets, weight, "(cross-entropy of the softmax of f(x))" + _weighted(weight)


def _weighted(weight: np.ndarray | None) -> str:
    return "" if weight is None else ", weighted by class,"


def _labels(y: np.ndarray, name: str, pair: tuple[float, float]) -> np.ndarray:
    """Labels as -1 and +1."""
    if y.ndim != 1 or not np.isin(y, pair).all():
        raise DataError(f"{name} needs one output and targets {pair[0]:g} or {pair[1]:g} here.")
    return np.where(y == pair[1], 1.0, -1.0)


def _hint(name: str) -> str:
    if name == "BCELoss":
        return " BCELoss of a sigmoid is BCEWithLogitsLoss of what comes before it."
    if name == "NLLLoss":
        return " NLLLoss of a log-softmax is CrossEntropyLoss of what comes before it."
    return ""


_READERS = {
    "MSELoss": _mse, "L1Loss": _l1, "HuberLoss": _huber, "SmoothL1Loss": _smooth_l1, "BCEWithLogitsLoss": _bce,
    "SoftMarginLoss": _soft_margin, "CrossEntropyLoss": _cross_entropy,
}  # fmt: skip
