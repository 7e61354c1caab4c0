"""Two-layer networks trained to certified global optimality by convex optimization.

A training problem goes in, a network comes out, and a certificate says how far that network can at most be from the
best network of any width. ``import convexnet`` loads nothing heavy: every public name is imported on first use.

Examples
--------
>>> import convexnet
>>> problem = convexnet.TrainingProblem([[-1.0], [0.0], [1.0]], [1.0, 0.0, 1.0], reg=0.1)
>>> solution = convexnet.solve(problem)
>>> solution.certificate.verdict
'optimal'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convexnet._lazy import lazy_attributes

if TYPE_CHECKING:
    from convexnet import (
        arrangements,
        baselines,
        certificates,
        datasets,
        errors,
        estimators,
        losses,
        networks,
        plotting,
        pricing,
        programs,
        solvers,
        solving,
        sparse,
        translation,
    )
    from convexnet.arrangements import PatternSet, enumerate_patterns, sample_patterns
    from convexnet.baselines import train
    from convexnet.certificates import Certificate
    from convexnet.losses import get_loss
    from convexnet.networks import GatedNetwork, ShallowNetwork
    from convexnet.pricing import reg_max
    from convexnet.problem import TrainingProblem
    from convexnet.solving import (
        Memorization,
        RegularizationPath,
        Solution,
        certify,
        compare,
        memorize,
        regularization_path,
        solve,
    )
    from convexnet.translation import objective_of

__version__ = "0.1.0"

__all__ = [
    "Certificate",
    "GatedNetwork",
    "Memorization",
    "PatternSet",
    "RegularizationPath",
    "ShallowNetwork",
    "Solution",
    "TrainingProblem",
    "__version__",
    "arrangements",
    "baselines",
    "certificates",
    "certify",
    "compare",
    "datasets",
    "enumerate_patterns",
    "errors",
    "estimators",
    "get_loss",
    "losses",
    "memorize",
    "networks",
    "objective_of",
    "plotting",
    "pricing",
    "programs",
    "reg_max",
    "regularization_path",
    "sample_patterns",
    "solve",
    "solvers",
    "solving",
    "sparse",
    "train",
    "translation",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "TrainingProblem": "convexnet.problem",
        "get_loss": "convexnet.losses",
        "ShallowNetwork": "convexnet.networks",
        "GatedNetwork": "convexnet.networks",
        "PatternSet": "convexnet.arrangements",
        "enumerate_patterns": "convexnet.arrangements",
        "sample_patterns": "convexnet.arrangements",
        "reg_max": "convexnet.pricing",
        "train": "convexnet.baselines",
        "Certificate": "convexnet.certificates",
        "certify": "convexnet.solving",
        "Solution": "convexnet.solving",
        "solve": "convexnet.solving",
        "compare": "convexnet.solving",
        "memorize": "convexnet.solving",
        "Memorization": "convexnet.solving",
        "regularization_path": "convexnet.solving",
        "RegularizationPath": "convexnet.solving",
        "objective_of": "convexnet.translation",
        "arrangements": "convexnet.arrangements",
        "baselines": "convexnet.baselines",
        "certificates": "convexnet.certificates",
        "datasets": "convexnet.datasets",
        "errors": "convexnet.errors",
        "estimators": "convexnet.estimators",
        "losses": "convexnet.losses",
        "networks": "convexnet.networks",
        "plotting": "convexnet.plotting",
        "pricing": "convexnet.pricing",
        "programs": "convexnet.programs",
        "solvers": "convexnet.solvers",
        "solving": "convexnet.solving",
        "sparse": "convexnet.sparse",
        "translation": "convexnet.translation",
    },
)
