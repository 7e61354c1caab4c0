"""The objective of a torch module, its criterion and its optimizer's weight decay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import as_targets, check_count, check_positive, require
from ..errors import NoObjectiveError, ProblemError
from ..networks.convert_torch import from_torch
from ..problem import TrainingProblem
from .objective import ROLES, TranslatedObjective, parameters
from .torch_criteria import Criterion, read_criterion

if TYPE_CHECKING:
    from ..networks import ShallowNetwork

__all__ = ["TorchTraining", "torch_objective"]

_COUPLED = ("SGD", "Adam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "ASGD", "NAdam", "RAdam")


@dataclass(frozen=True, eq=False)
class TorchTraining:
    """How a torch module was trained.

    Parameters
    ----------
    module : torch.nn.Module
        See :func:`convexnet.networks.from_torch`.
    criterion : torch loss module
        ``MSELoss``, ``L1Loss``, ``HuberLoss``, ``SmoothL1Loss``, ``BCEWithLogitsLoss``, ``SoftMarginLoss`` or
        ``CrossEntropyLoss``, with ``reduction="mean"`` or ``"sum"``.
    optimizer : torch.optim.Optimizer, optional
        Its ``weight_decay``, per group of parameters, is the penalty.
    weight_decay : float, optional
        Instead of an optimizer: the penalty ``weight_decay/2 * ||theta||^2`` on all parameters was part of the loss
        (as for LBFGS), or of an optimizer that is not at hand.
    batch_size : int, optional
        Of shuffled minibatches; matters for ``reduction="sum"`` only, where a batch counts less than all rows.

    Examples
    --------
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> TorchTraining(module, torch.nn.MSELoss(), weight_decay=1e-3).batch_size is None
    True
    """

    module: Any
    criterion: Any
    optimizer: Any = None
    weight_decay: float | None = None
    batch_size: int | None = None


def torch_objective(training: TorchTraining, X: Any, y: Any) -> TranslatedObjective:
    r"""Return the objective of a training run in torch; see :func:`objective_of`.

    With the criterion ``t/N * sum of the losses of this package`` and weight decay w, whose gradient ``w theta``
    belongs to ``w/2 ||theta||^2``, the objective times ``c = N/t`` is the loss plus ``c w / 2 * squares``, so
    ``reg = c w``: for ``MSELoss`` (t = 2, N = n k) ``reg = n k w / 2``. Where the two layers have different decays,
    balancing gives ``c sqrt(w_1 w_2)``.
    """
    require("torch", "torch")
    network = from_torch(training.module)
    decays = _decays(training, network)
    criterion = read_criterion(training.criterion, as_targets(y, len(np.asarray(y))), training.batch_size)
    c = criterion.factor
    both = decays["hidden weights"], decays["output weights"]
    if not min(both) > 0:
        raise NoObjectiveError(
            f"The weight decay is {both[0]:g} on the hidden and {both[1]:g} on the output weights; both must be "
            "penalised: otherwise the penalty vanishes when one layer is scaled up and the other down, wide networks "
            "fit as closely as the data allow, and there is nothing to certify. Train with weight_decay > 0."
        )
    decay = both[0] if both[0] == both[1] else math.sqrt(both[0] * both[1])
    bias = _bias_rule(decays)
    problem = TrainingProblem(
        X, criterion.targets, loss=criterion.loss, reg=c * decay, sample_weight=criterion.sample_weight, bias=bias,
        intercept="output biases" in decays or bias == "free", skip=network.skip is not None,
        activation=network.activation, negative_slope=network.negative_slope,
    )  # fmt: skip
    problem.check_network(network)
    return TranslatedObjective(
        problem=problem,
        statement=_statement(training, criterion, decays, problem),
        caveats=tuple(_caveats(training, decays, problem)),
        factor=c,
        penalties={role: c * w for role, w in decays.items()},
    )


def _decays(training: TorchTraining, network: ShallowNetwork) -> dict[str, float]:
    """Weight decay by the role of a parameter; roles that the module does not have are left out."""
    optimizer = training.optimizer
    if (optimizer is None) == (training.weight_decay is None):
        raise ProblemError("Pass an optimizer or weight_decay=..., one of the two.")
    roles = _roles(training.module, network)
    if optimizer is None:
        decay = check_positive(training.weight_decay, "weight_decay", allow_zero=True)
        return dict.fromkeys(roles, decay)
    _check_optimizer(optimizer)
    known = {id(p): float(group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    missing = [role for role, parameter in roles.items() if id(parameter) not in known]
    if missing:
        raise NoObjectiveError(
            f"The optimizer does not train the {' and '.join(missing)}; only networks with all parameters trained are "
            "compared. Pass the optimizer of this module, or train everything."
        )
    return {role: known[id(parameter)] for role, parameter in roles.items()}


def _roles(module: Any, network: ShallowNetwork) -> dict[str, Any]:
    """The parameter of each role, found by its values."""
    arrays, found = parameters(network), dict[str, Any]()
    for name, parameter in module.named_parameters():
        values = parameter.detach().cpu().double().numpy()
        fits = [role for role in ROLES if role not in found and _equal(values, arrays[role])]
        if not fits:
            raise ProblemError(f"The parameter {name!r} of the module is no weight or bias of its network.")
        found[fits[0]] = parameter
    return {role: found[role] for role in ROLES if role in found}


def _equal(values: np.ndarray, array: np.ndarray) -> bool:
    """Whether a parameter of torch, which may store the transpose, holds this array."""
    if values.size != array.size:
        return False
    if values.ndim == 2 and array.ndim == 2:
        return any(v.shape == array.shape and np.array_equal(v, array) for v in (values, values.T))
    return np.array_equal(values.ravel(), array.ravel())


def _check_optimizer(optimizer: Any) -> None:
    """Refuse optimizers whose weight decay is not the gradient of a penalty."""
    name = type(optimizer).__name__
    groups = optimizer.param_groups
    if name == "AdamW" or any(group.get("decoupled_weight_decay") for group in groups):
        raise NoObjectiveError(
            f"{name} shrinks the weights beside its gradient step (decoupled weight decay): that is not the gradient "
            "of any penalty, so there is no objective whose optimum could be bounded. What can be done: state a "
            "problem of your own, TrainingProblem(X, y, loss=..., reg=...), and certify the network for that; or train "
            "with Adam(weight_decay=...) or SGD(weight_decay=...), which add w * theta to the gradient."
        )
    if name not in _COUPLED:
        raise ProblemError(
            f"What the weight decay of {name} means is not known here; known are {', '.join(_COUPLED)}. If the penalty "
            "weight_decay/2 * ||theta||^2 was part of the loss, pass weight_decay=... instead of the optimizer."
        )
    if any(group.get("maximize") for group in groups):
        raise ProblemError("The optimizer maximises (maximize=True); only minimised objectives are translated.")


def _bias_rule(decays: dict[str, float]) -> str:
    """The bias convention whose problem bounds the trainer's objective from below most closely."""
    if "hidden biases" not in decays:
        return "none"
    return "penalized" if decays["hidden biases"] >= decays["hidden weights"] else "free"


def _statement(
    training: TorchTraining, criterion: Criterion, decays: dict[str, float], problem: TrainingProblem
) -> tuple[str, ...]:
    name = "The loss" if training.optimizer is None else f"{type(training.optimizer).__name__} with weight decay"
    alike = len(set(decays.values())) == 1
    penalty = (
        f"w/2 * (the squares of all parameters), w = {next(iter(decays.values())):g}" if alike else
        "1/2 * (" + " + ".join(f"{w:g} * squares of the {role}" for role, w in decays.items() if w) + ")"
    )  # fmt: skip
    biases = {"penalized": "penalised neuron biases", "free": "free neuron biases", "none": "no neuron biases"}
    return (
        f"{name} minimises {criterion.words} + {penalty}.",
        f"Times {criterion.factor_words} = {criterion.factor:g} that is the {problem.loss.name} loss + reg/2 * squares "
        f"with reg = {criterion.factor_words} * {'w' if alike else 'sqrt(w_hidden * w_output)'} = {problem.reg:g}, "
        f"{biases[problem.bias]} and {'a free' if problem.intercept else 'no'} output bias: the objective of "
        "TrainingProblem once each neuron is balanced, and never below it before.",
    )


def _caveats(training: TorchTraining, decays: dict[str, float], problem: TrainingProblem) -> list[str]:
    found = []
    dropped = [role for role in ("output biases", "skip weights") if decays.get(role)]
    if dropped:
        found.append(
            f"The penalty on the {' and '.join(dropped)} is dropped: TrainingProblem leaves them free. Bounds stay "
            "bounds, for the trainer's objective is the larger one."
        )
    hidden, biases = decays["hidden weights"], decays.get("hidden biases", 0.0)
    if biases not in (0.0, hidden):
        what = f"counted as {hidden:g}" if biases > hidden else "dropped"
        found.append(f"The penalty on the neuron biases, {biases:g} beside {hidden:g} on the weights, is {what}.")
    if training.optimizer is not None:
        found.append(
            "Momentum, adaptive steps and minibatches change the way, not the objective whose stationary points are "
            "sought; with minibatches it is that of the average step over shuffled rows."
        )
    if training.batch_size is not None:
        check_count(training.batch_size, "batch_size")
    return found
