"""Which options of a training problem go together with the threshold activation and with the label-noise norm."""

from __future__ import annotations

from typing import Any

from .errors import ProblemError

__all__ = ["check_kind"]


def check_kind(problem: Any) -> None:
    """Raise ProblemError that names the option which the threshold activation or the label-noise norm excludes."""
    threshold = problem.activation == "threshold"
    if not threshold and problem.norm != "label_noise":
        return
    kind = "activation='threshold'" if threshold else "norm='label_noise'"
    if threshold and problem.norm != "l2":
        raise ProblemError(f"{kind} has no norm of the input weights to choose; leave norm out, got {problem.norm!r}.")
    if not problem.scalar:
        raise ProblemError(f"{kind} is for one output, got {problem.n_outputs}; train one network per output.")
    if problem.bias == "free":
        raise ProblemError(f"{kind} has no free biases; pass bias='penalized' (neurons with a bias) or 'none'.")
    if problem.skip or (problem.intercept and not threshold):
        raise ProblemError(f"{kind} has no unpenalised {'linear term' if problem.skip else 'intercept'}; leave it out.")
