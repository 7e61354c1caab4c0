"""What other trainers minimise, as training problems of this package, said in words.

A certificate is about one objective. To judge a network trained elsewhere it must be the trainer's own one:
``objective_of`` reads it from a scikit-learn perceptron or from a torch module with its criterion and optimizer.
"""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .front import objective_of
    from .objective import TranslatedObjective
    from .torch_training import TorchTraining

__all__ = ["TorchTraining", "TranslatedObjective", "objective_of"]

_MODULES = {"TorchTraining": "torch_training", "TranslatedObjective": "objective", "objective_of": "front"}

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
