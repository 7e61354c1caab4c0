"""Gradient training (L-BFGS, Adam, SGD) of the problems that the convex programs solve, as a yardstick beside them.

A trained network gives an upper bound; how far it is from the best network is said by a certificate alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .label_noise_lbfgs import train_label_noise
    from .noisy_labels import LabelNoiseRuns, label_noise_sgd
    from .runs import TrainingRuns
    from .standard_form import StandardForm
    from .training import train

__all__ = ["LabelNoiseRuns", "StandardForm", "TrainingRuns", "label_noise_sgd", "train", "train_label_noise"]

_MODULES = {
    "LabelNoiseRuns": "noisy_labels", "label_noise_sgd": "noisy_labels", "train_label_noise": "label_noise_lbfgs",
    "StandardForm": "standard_form", "TrainingRuns": "runs", "train": "training",
}  # fmt: skip

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
