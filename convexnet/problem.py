r"""The training problem: data, loss, regularisation and conventions in one immutable object.

.. math::

    \min_{m, u_j, v_j}\; L\Big(\sum_{j=1}^m \sigma(X u_j) v_j^\top,\, Y\Big)
        + \mathrm{reg} \sum_{j=1}^m \|u_j\| \|v_j\|
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from ._hashing import hash_arrays
from ._problem_kinds import check_kind
from ._validation import as_matrix, as_sample_weight, check_choice, check_flag, check_positive
from .errors import DataError, NetworkError, ProblemError
from .losses import Loss, get_loss
from .networks.activations import ACTIVATIONS, slope
from .networks.gated import GatedNetwork
from .networks.label_noise import label_noise_norms
from .networks.shallow import ShallowNetwork
from .networks.threshold import ThresholdNetwork

__all__ = ["BIASES", "NORMS", "TrainingProblem", "require_path_norm"]

BIASES = ("penalized", "free", "none")
NORMS = ("l2", "l1", "label_noise")


class TrainingProblem:
    r"""Two-layer training with weight decay, in its balanced (path-norm) form.

    Minimise, over networks of every width,

    .. math:: \sum_i w_i\, \ell(f(x_i), y_i) + \mathrm{reg} \sum_j \|u_j\|\, \|v_j\|_2 ,
              \qquad f(x) = \sum_j \sigma(u_j^\top x)\, v_j ,

    which equals weight decay ``reg/2 * sum_j (||u_j||^2 + ||v_j||^2)`` after balancing each neuron.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Inputs, one sample a row; any finite numbers, copied and never rescaled.
    y : array-like of shape (n,) or (n, k)
        Targets; labels -1/+1 (or 0/1) for ``logistic`` and ``hinge``; one-hot rows or class codes for ``softmax``.
    loss : str or Loss
        Summed over the samples.
    reg : float > 0
        Weight of the path norm. Must be left out (or 1) for ``loss="interpolation"``.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights of the loss terms.
    activation : {"relu", "leaky", "absolute", "threshold"}
        ``sigma(t) = max(t, kappa t)`` with ``kappa`` = 0, ``negative_slope``, -1; or ``sigma(t) = 1[t >= 0]``, whose
        neurons cost ``reg |a_j|`` whatever their input weights (``kappa`` is NaN; one output, no skip connection).
    bias : {"penalized", "free", "none"}
        ``penalized``: a column of ones is appended to X, ``||u|| = ||(w, b)||``; ``free``: the (semi)norm is ``||w||``;
        ``none``: no bias.
    intercept : bool, optional
        An unpenalised output bias. Default: only with ``bias="free"``, where constants cost nothing anyway.
    skip : bool
        An unpenalised linear term ``X c``.
    norm : {"l2", "l1", "label_noise"}
        Norm of the input weights ``u_j``; ``label_noise``: ``||S_u X u|| kappa_u``, the balanced size of the parameter
        gradient (:func:`convexnet.networks.label_noise_norms`; one output, no free bias, intercept or skip connection).

    Raises
    ------
    DataError
        If X, y or the weights are empty, non-numeric, NaN, infinite or of inconsistent shapes.
    ProblemError
        If an option is invalid or two options contradict.

    References
    ----------
    Pilanci and Ergen (2020), "Neural networks are convex regularizers"; Neyshabur et al. (2015) for the path norm;
    Parhi and Nowak (2021) for free biases; Ergen et al. (2023) for the threshold activation; de Dios and Bruna (2020)
    for label noise.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> problem = TrainingProblem([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0], reg=0.1)
    >>> problem
    TrainingProblem(n=3, d=1, outputs=1, loss='squared', reg=0.1, activation='relu', bias='penalized')
    """

    X: np.ndarray
    y: np.ndarray
    loss: Loss
    reg: float
    sample_weight: np.ndarray | None
    activation: str
    negative_slope: float
    kappa: float
    bias: str
    intercept: bool
    skip: bool
    norm: str

    def __init__(
        self,
        X: Any,
        y: Any,
        *,
        loss: str | Loss = "squared",
        reg: float | None = None,
        sample_weight: Any = None,
        activation: str = "relu",
        negative_slope: float = 0.01,
        bias: str = "penalized",
        intercept: bool | None = None,
        skip: bool = False,
        norm: str = "l2",
    ) -> None:
        set_ = object.__setattr__
        set_(self, "loss", get_loss(loss))
        set_(self, "reg", _check_reg(reg, self.loss))
        set_(self, "activation", check_choice(activation, "activation", (*ACTIVATIONS, "threshold")))
        set_(self, "negative_slope", check_positive(negative_slope, "negative_slope", allow_zero=True))
        set_(self, "kappa", math.nan if activation == "threshold" else slope(activation, self.negative_slope))
        set_(self, "bias", check_choice(bias, "bias", BIASES))
        set_(self, "norm", check_choice(norm, "norm", NORMS))
        set_(self, "skip", check_flag(skip, "skip"))
        set_(self, "intercept", _check_intercept(intercept, self.bias))
        set_(self, "X", as_matrix(X))
        set_(self, "y", self.loss.prepare_targets(y, self.X.shape[0]))
        set_(self, "sample_weight", as_sample_weight(sample_weight, self.X.shape[0]))
        _check_scale(self.X, self.y, self.sample_weight)
        check_kind(self)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("A TrainingProblem is immutable; use problem.with_options(...) to change an option.")

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and unpickle through the constructor, so that the arrays stay read-only."""
        options = self._options()
        return _rebuild, (options.pop("X"), options.pop("y"), options)

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.X.shape[0])

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.X.shape[1])

    @property
    def n_outputs(self) -> int:
        """Number of outputs k (1 for a target vector)."""
        return 1 if self.y.ndim == 1 else int(self.y.shape[1])

    @property
    def scalar(self) -> bool:
        """Whether predictions are vectors of shape (n,)."""
        return self.y.ndim == 1

    @cached_property
    def _cache(self) -> dict[str, Any]:
        return {}

    @property
    def extended(self) -> np.ndarray:
        """The rows that neurons see: ``[X 1]`` with a bias, ``X`` without; shape (n, d + 1) or (n, d)."""
        if "extended" not in self._cache:
            matrix = self.X if self.bias == "none" else np.column_stack([self.X, np.ones(self.n)])
            matrix.setflags(write=False)
            self._cache["extended"] = matrix
        return self._cache["extended"]

    @property
    def free_columns(self) -> np.ndarray:
        """Unpenalised columns of the prediction (skip, then intercept), (n, q): dual vectors are orthogonal to them."""
        columns = [self.X] if self.skip else []
        if self.intercept:
            columns.append(np.ones((self.n, 1)))
        return np.column_stack(columns) if columns else np.zeros((self.n, 0))

    def with_options(self, **changes: Any) -> TrainingProblem:
        """Return a copy with some options changed, e.g. ``problem.with_options(reg=0.1)``.

        Examples
        --------
        >>> from convexnet import TrainingProblem
        >>> TrainingProblem([[1.0]], [1.0], reg=1.0).with_options(reg=0.5).reg
        0.5
        """
        options = self._options()
        if "bias" in changes and (self.bias == "free" or not self.intercept):
            options["intercept"] = None  # the default of the new bias, unless an intercept was asked for
        if "loss" in changes and "reg" not in changes and get_loss(changes["loss"]).name == "interpolation":
            options["reg"] = None
        options.update(changes)
        return TrainingProblem(options.pop("X"), options.pop("y"), **options)

    def _options(self) -> dict[str, Any]:
        """The arguments that build this problem again."""
        return {
            "X": self.X, "y": self.y, "loss": self.loss, "reg": self.reg, "sample_weight": self.sample_weight,
            "activation": self.activation, "negative_slope": self.negative_slope, "bias": self.bias,
            "intercept": self.intercept, "skip": self.skip, "norm": self.norm,
        }  # fmt: skip

    def objective(self, network: ShallowNetwork | ThresholdNetwork) -> float:
        """Return ``loss(f(X), y) + reg * path norm``: the one yardstick by which all networks are compared.

        For ``norm="label_noise"`` the path norm is ``sum_j |c_j| ||S_j X w_j|| kappa_j``, for
        ``activation="threshold"`` it is ``sum_j |a_j|``.

        Raises
        ------
        NetworkError
            If the network is outside the class of this problem (activation, shapes, a bias, intercept or skip
            connection that the problem does not have).

        Examples
        --------
        >>> from convexnet import ShallowNetwork, TrainingProblem
        >>> problem = TrainingProblem([[1.0], [2.0]], [1.0, 2.0], reg=0.5, bias="none")
        >>> problem.objective(ShallowNetwork([[1.0]], [0.0], [1.0]))
        0.5
        """
        self.check_network(network)
        return self.loss_value(network.predict(self.X)) + self.reg * self._path_norm(network)

    def _path_norm(self, network: ShallowNetwork | ThresholdNetwork) -> float:
        if isinstance(network, ThresholdNetwork):
            return network.path_norm()
        if self.norm == "label_noise":
            return float(label_noise_norms(network, self.X, self.bias) @ network.output_norms())
        return network.path_norm(self.bias, self.norm)

    def gated_objective(self, network: GatedNetwork, group: str = "nuclear") -> float:
        """Return ``loss + reg * group norm`` of a gated network: the objective of the gated program, another problem.

        Raises
        ------
        NetworkError
            If it is no GatedNetwork or does not fit this problem, as for :meth:`objective`.
        """
        if not isinstance(network, GatedNetwork):
            raise NetworkError(f"gated_objective needs a GatedNetwork, got {type(network).__name__}.")
        require_path_norm(self, "gated_objective")
        self._check_class(network)
        penalty = network.group_norm(self.bias, self.norm, group)
        return self.loss_value(network.predict(self.X)) + self.reg * penalty

    def check_network(self, network: ShallowNetwork | ThresholdNetwork) -> None:
        """Raise NetworkError unless the network belongs to the class over which this problem minimises."""
        if self.activation == "threshold" and not isinstance(network, ThresholdNetwork):
            raise NetworkError(f"Expected a ThresholdNetwork, got {type(network).__name__}.")
        if self.activation != "threshold" and not isinstance(network, ShallowNetwork):
            raise NetworkError(
                f"Expected a ShallowNetwork, got {type(network).__name__}; gated networks are measured by "
                "gated_objective, networks from elsewhere are read by convexnet.networks.as_shallow."
            )
        self._check_class(network)

    def _check_class(self, network: ShallowNetwork | GatedNetwork | ThresholdNetwork) -> None:
        if network.n_features != self.d:
            raise NetworkError(f"The network reads {network.n_features} features, the problem has {self.d}.")
        if network.n_outputs != self.n_outputs:
            raise NetworkError(f"The network has {network.n_outputs} output(s), the problem {self.n_outputs}.")
        if not isinstance(network, ThresholdNetwork) and network.kappa != self.kappa:
            raise NetworkError(
                f"The network's activation is {network.activation!r} with kappa={network.kappa:g}, "
                f"the problem's {self.activation!r} with kappa={self.kappa:g}."
            )
        if self.bias == "none" and np.any(network.biases):
            raise NetworkError("The network has neuron biases; the problem was stated with bias='none'.")
        if not self.intercept and np.any(network.intercept):
            raise NetworkError("The network has an output intercept; state the problem with intercept=True.")
        skip = None if isinstance(network, ThresholdNetwork) else network.skip
        if not self.skip and skip is not None and np.any(skip):
            raise NetworkError("The network has a skip connection; state the problem with skip=True.")

    def loss_value(self, f: np.ndarray) -> float:
        """Loss of predictions ``f`` of shape (n,) or (n, k)."""
        return self.loss.value(f, self.y, self.sample_weight)

    def gradient(self, f: np.ndarray) -> np.ndarray:
        """Gradient (a subgradient at a kink) of the loss at predictions ``f``."""
        return self.loss.gradient(f, self.y, self.sample_weight)

    def dual_objective(self, nu: np.ndarray) -> float:
        """Return ``-loss*(-nu)``, the dual objective; ``-inf`` outside its domain.

        It bounds :meth:`objective` from below only if also ``M(nu) <= reg`` (see :mod:`convexnet.pricing`). The
        equality with the free columns is accepted up to 1e-10 of the terms summed.
        """
        nu = np.asarray(nu, dtype=np.float64)
        if nu.shape != self.y.shape:
            raise ProblemError(f"nu must have shape {self.y.shape}, got {nu.shape}.")
        columns = self.free_columns
        if columns.size:
            size = np.abs(columns).T @ np.abs(nu)
            if np.any(np.abs(columns.T @ nu) > 1e-10 * size):
                return -math.inf
        return self.loss.dual_value(nu, self.y, self.sample_weight)

    @property
    def data_hash(self) -> str:
        """SHA-256 of the shapes and little-endian float64 bytes of X, y and the sample weights."""
        arrays = [self.X, self.y] + ([] if self.sample_weight is None else [self.sample_weight])
        return hash_arrays(*arrays)

    def conventions(self) -> dict[str, Any]:
        """Everything besides the data that defines the claim of a certificate."""
        kappa = None if math.isnan(self.kappa) else self.kappa
        return {
            "loss": self.loss.to_dict(), "reg": self.reg, "activation": self.activation, "kappa": kappa,
            "bias": self.bias, "intercept": self.intercept, "skip": self.skip, "norm": self.norm,
        }  # fmt: skip

    def __repr__(self) -> str:
        extra = "".join(f", {name}=True" for name in ("intercept", "skip") if getattr(self, name))
        extra += f", norm={self.norm!r}" if self.norm != "l2" else ""
        return (
            f"TrainingProblem(n={self.n}, d={self.d}, outputs={self.n_outputs}, loss={self.loss.name!r}, "
            f"reg={self.reg:.6g}, activation={self.activation!r}, bias={self.bias!r}{extra})"
        )


def _rebuild(X: np.ndarray, y: np.ndarray, options: dict[str, Any]) -> TrainingProblem:
    return TrainingProblem(X, y, **options)


def check_problem(problem: Any) -> None:
    """Raise ProblemError unless ``problem`` is a TrainingProblem (a common slip is to pass X and y)."""
    if not isinstance(problem, TrainingProblem):
        raise ProblemError(
            f"Expected a TrainingProblem, got {type(problem).__name__}; build one with TrainingProblem(X, y, reg=...)."
        )


def require_path_norm(problem: TrainingProblem, what: str) -> None:
    """Raise ProblemError unless the problem has the path norm of ReLU-type neurons, the class that ``what`` treats.

    Examples
    --------
    >>> from convexnet import TrainingProblem
    >>> require_path_norm(TrainingProblem([[1.0]], [1.0], reg=1.0, norm="l1"), "certify")
    """
    if problem.activation == "threshold":
        raise ProblemError(
            f"{what} treats the ReLU, leaky and absolute-value activations; activation='threshold' is solved by "
            "convexnet.solve and judged by convexnet.certificates.judge_threshold."
        )
    if problem.norm == "label_noise":
        raise ProblemError(
            f"{what} treats the l2 and l1 neuron norms; norm='label_noise' is solved by convexnet.solve and judged by "
            "convexnet.certificates.judge_label_noise."
        )


def _check_reg(reg: Any, loss: Loss) -> float:
    if loss.name == "interpolation":
        if reg is not None and check_positive(reg, "reg") != 1:
            raise ProblemError("Interpolation minimises the path norm itself; leave reg out (it is 1).")
        return 1.0
    if reg is None:
        raise ProblemError("reg is required: the weight of the path norm, e.g. reg=0.1 * convexnet.reg_max(problem).")
    return check_positive(reg, "reg")


def _check_intercept(intercept: bool | None, bias: str) -> bool:
    if intercept is None:
        return bias == "free"
    if not check_flag(intercept, "intercept") and bias == "free":
        raise ProblemError("With bias='free' constant neurons cost nothing, so an intercept is always included.")
    return bool(intercept)


def _check_scale(X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None) -> None:
    """Squares of the data must not overflow: named here rather than as inf in a result."""
    for name, array in (("X", X), ("y", y), ("sample_weight", np.ones(1) if sample_weight is None else sample_weight)):
        top = float(np.max(np.abs(array), initial=0.0))
        if top > 1e100:
            raise DataError(f"{name} has entries of size {top:.1e}; rescale it so that squares do not overflow.")
