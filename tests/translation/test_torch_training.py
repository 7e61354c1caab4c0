"""The objectives of training in torch: equal to what torch computes for random weights, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convexnet.errors import DataError, NoObjectiveError, ProblemError
from convexnet.networks import from_torch
from convexnet.translation import TorchTraining, objective_of

torch = pytest.importorskip("torch")
nn, optim = torch.nn, torch.optim
pytestmark = pytest.mark.extra

RNG = np.random.default_rng(0)
N, W = 24, 0.02
X = RNG.normal(size=(N, 3))
REAL, TWO = RNG.normal(size=N) * 2, RNG.normal(size=(N, 2))
ZERO_ONE, CLASSES = (RNG.random(N) > 0.4) * 1.0, RNG.integers(0, 3, N)
CLASSES[:3] = [0, 1, 2]


def module(k: int = 1, bias: bool = True, middle: Any = None) -> Any:
    torch.manual_seed(3)
    layers = nn.Linear(3, 7, bias=bias), middle or nn.ReLU(), nn.Linear(7, k, bias=bias)
    return nn.Sequential(*layers).double()


def theirs(net: Any, criterion: Any, y: np.ndarray, decays: dict[str, float] | None = None) -> float:
    """criterion + 1/2 sum of decay * squares, by torch."""
    out = net(torch.tensor(X))
    target = torch.tensor(y)
    loss = criterion(out if out.shape[1] > 1 else out[:, 0], target)
    penalty = sum((decays or {}).get(name, W) / 2 * (p**2).sum() for name, p in net.named_parameters())
    return float((loss + penalty).detach())


CRITERIA = {
    "MSE": (lambda **o: nn.MSELoss(**o), REAL, 1, N / 2),
    "MSE, two outputs": (lambda **o: nn.MSELoss(**o), TWO, 2, N),
    "L1": (lambda **o: nn.L1Loss(**o), REAL, 1, N),
    "Huber": (lambda **o: nn.HuberLoss(delta=0.7, **o), REAL, 1, N),
    "smooth L1": (lambda **o: nn.SmoothL1Loss(beta=0.5, **o), REAL, 1, N * 0.5),
    "smooth L1, beta 0": (lambda **o: nn.SmoothL1Loss(beta=0.0, **o), REAL, 1, N),
    "BCE": (lambda **o: nn.BCEWithLogitsLoss(**o), ZERO_ONE, 1, N),
    "BCE, weighted": (lambda **o: nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0), **o), ZERO_ONE, 1, N),
    "soft margin": (lambda **o: nn.SoftMarginLoss(**o), 2 * ZERO_ONE - 1, 1, N),
    "cross-entropy": (lambda **o: nn.CrossEntropyLoss(**o), CLASSES, 3, N),
    "cross-entropy, weighted": (
        lambda **o: nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]).double(), **o), CLASSES, 3, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", CRITERIA)
def test_criterion_and_weight_decay_are_the_translated_objective(name: str, reduction: str) -> None:
    make, y, k, factor = CRITERIA[name]
    net, criterion = module(k), make(reduction=reduction)
    ours = objective_of(TorchTraining(net, criterion, optim.SGD(net.parameters(), 0.1, weight_decay=W)), X, y)
    network = from_torch(net)
    assert ours.trainer_objective(network) == pytest.approx(theirs(net, criterion, y), rel=1e-6)
    assert ours.in_trainer_units(ours.problem.objective(network)) < ours.trainer_objective(network)
    assert ours.problem.bias == "penalized" and ours.problem.intercept
    assert ours.problem.reg == pytest.approx(ours.factor * W)
    if reduction == "mean" and factor is not None:
        assert ours.factor == pytest.approx(factor)
    assert any("output biases is dropped" in caveat for caveat in ours.caveats)


def test_the_mean_squared_error_has_reg_n_w_over_2_and_says_so() -> None:
    net = module()
    ours = objective_of(TorchTraining(net, nn.MSELoss(), weight_decay=W), X, REAL)
    assert ours.problem.reg == pytest.approx(N * W / 2)
    assert ours.statement[0] == (
        "The loss minimises 1/n * sum (f(x) - y)^2 + w/2 * (the squares of all parameters), w = 0.02."
    )
    assert "Times n/2 = 12" in ours.statement[1] and "reg = n/2 * w = 0.24" in ours.statement[1]


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "ASGD", "NAdam", "RAdam"])
def test_coupled_decay_moves_as_the_gradient_of_the_objective(name: str) -> None:
    """One step with weight decay is one step without it on the loss plus ``w/2 ||theta||^2``."""
    ends = []
    for decay in (0.0, W):
        net = module()
        ours = None
        optimizer = getattr(optim, name)(net.parameters(), lr=0.01, weight_decay=decay)
        if decay:
            ours = objective_of(TorchTraining(net, nn.MSELoss(), optimizer), X, REAL)
        loss = nn.MSELoss()(net(torch.tensor(X))[:, 0], torch.tensor(REAL))
        if not decay:
            loss = loss + sum(W / 2 * (p**2).sum() for p in net.parameters())
        loss.backward()
        optimizer.step()
        ends.append(torch.cat([p.detach().ravel() for p in net.parameters()]))
    assert torch.allclose(ends[0], ends[1], rtol=1e-12)
    assert ours is not None and ours.problem.reg == pytest.approx(N * W / 2)


@pytest.mark.parametrize(
    ("decays", "bias", "decay"),
    [
        ({"0.bias": 0.0, "2.bias": 0.0}, "free", W),
        ({"0.bias": 0.0}, "free", W),
        ({"0.bias": W / 2}, "free", W),
        ({"0.bias": 2 * W}, "penalized", W),
        ({"2.bias": 0.0}, "penalized", W),
        ({"0.weight": 4 * W, "0.bias": 4 * W}, "penalized", 2 * W),
    ],
)
def test_groups_of_parameters_have_their_own_decay(decays: dict[str, float], bias: str, decay: float) -> None:
    net = module()
    groups = [{"params": [p], "weight_decay": decays.get(name, W)} for name, p in net.named_parameters()]
    ours = objective_of(TorchTraining(net, nn.MSELoss(), optim.Adam(groups)), X, REAL)
    assert (ours.problem.bias, ours.problem.intercept) == (bias, True)
    assert ours.problem.reg == pytest.approx(N / 2 * decay)
    network = from_torch(net)
    assert ours.trainer_objective(network) == pytest.approx(theirs(net, nn.MSELoss(), REAL, decays), rel=1e-12)
    rescaled = [network, network.balanced(bias)]
    for one in rescaled:
        assert ours.problem.objective(one) <= ours.factor * ours.trainer_objective(one) * (1 + 1e-12)


@pytest.mark.parametrize("middle", [nn.LeakyReLU(0.2), nn.LeakyReLU(-1.0)])
def test_without_biases_nothing_is_dropped_and_balancing_closes_the_gap(middle: Any) -> None:
    net = module(bias=False, middle=middle)
    ours = objective_of(TorchTraining(net, nn.MSELoss(), weight_decay=W), X, REAL)
    assert (ours.problem.bias, ours.problem.intercept, ours.caveats) == ("none", False, ())
    balanced = from_torch(net).balanced("none")
    assert ours.factor * ours.trainer_objective(balanced) == pytest.approx(ours.problem.objective(balanced), rel=1e-9)


@pytest.mark.parametrize(("batch_size", "batches"), [(None, 1), (24, 1), (8, 3), (10, 3)])
def test_sums_over_minibatches_count_less_than_all_rows(batch_size: int | None, batches: int) -> None:
    net = module()
    training = TorchTraining(net, nn.MSELoss(reduction="sum"), weight_decay=W, batch_size=batch_size)
    assert objective_of(training, X, REAL).problem.reg == pytest.approx(batches * W / 2)


class Own(nn.Module):
    """A module with a forward of its own, and a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.skip, self.hidden = nn.Linear(7, 1), nn.Linear(3, 1, bias=False), nn.Linear(3, 7)

    def forward(self, x: Any) -> Any:
        return self.out(torch.relu(self.hidden(x))) + self.skip(x)


def test_modules_of_ones_own_are_read_by_the_roles_of_their_parameters() -> None:
    torch.manual_seed(0)
    net = Own().double()
    ours = objective_of(TorchTraining(net, nn.MSELoss(), optim.SGD(net.parameters(), 0.1, weight_decay=W)), X, REAL)
    assert ours.problem.skip and set(ours.penalties) == {
        "hidden weights", "hidden biases", "output weights", "output biases", "skip weights"
    }  # fmt: skip
    assert ours.trainer_objective(from_torch(net)) == pytest.approx(theirs(net, nn.MSELoss(), REAL), rel=1e-12)
    assert any("output biases and skip weights is dropped" in caveat for caveat in ours.caveats)


# --------------------------------------------------------------------------------------------------------- refusals
def adam(net: Any, **options: Any) -> Any:
    return optim.Adam(net.parameters(), **options)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda m: (nn.MSELoss(), optim.AdamW(m.parameters())), NoObjectiveError, r"AdamW shrinks .* Adam\(weight"),
        (lambda m: (nn.MSELoss(), adam(m)), NoObjectiveError, "nothing to certify"),
        (lambda m: (nn.MSELoss(), optim.Adam(m[2].parameters(), weight_decay=W)), NoObjectiveError, "does not train"),
        (lambda m: (nn.MSELoss(), optim.LBFGS(m.parameters())), ProblemError, "decay of LBFGS means is not known"),
        (lambda m: (nn.MSELoss(), optim.SGD(m.parameters(), 0.1, weight_decay=W, maximize=True)), ProblemError, "max"),
        (lambda m: (nn.MSELoss(), None), ProblemError, "one of the two"),
        (lambda m: (nn.MSELoss(reduction="none"), adam(m, weight_decay=W)), ProblemError, "reduction='none'"),
        (lambda m: (nn.BCELoss(), adam(m, weight_decay=W)), ProblemError, "BCELoss of a sigmoid"),
        (lambda m: (nn.NLLLoss(), adam(m, weight_decay=W)), ProblemError, "NLLLoss of a log-softmax"),
        (lambda m: (nn.PoissonNLLLoss(), adam(m, weight_decay=W)), ProblemError, "PoissonNLLLoss has no counterpart"),
        (lambda m: (nn.CrossEntropyLoss(label_smoothing=0.1), adam(m, weight_decay=W)), ProblemError, "smoothing"),
        (lambda m: (nn.BCEWithLogitsLoss(), adam(m, weight_decay=W)), DataError, "targets 0 or 1"),
    ],
)
def test_what_has_no_such_objective_is_named(make: Any, error: type[Exception], message: str) -> None:
    net = module()
    with pytest.raises(error, match=message):
        objective_of(TorchTraining(net, *make(net)), X, REAL)


def test_decoupled_decay_is_noticed_in_any_optimizer() -> None:
    net = module()
    try:
        optimizer = adam(net, weight_decay=W, decoupled_weight_decay=True)
    except TypeError:
        pytest.skip("this torch has AdamW only")
    with pytest.raises(NoObjectiveError, match="decoupled"):
        objective_of(TorchTraining(net, nn.MSELoss(), optimizer), X, REAL)


def test_a_bare_module_is_asked_for_its_training() -> None:
    with pytest.raises(ProblemError, match=r"TorchTraining\(module, criterion, optimizer\)"):
        objective_of(module(), X, REAL)


def test_a_bound_of_the_problem_bounds_what_torch_reaches() -> None:
    """With the output bias outside the decay the two objectives have one optimum, and L-BFGS comes close to it."""
    import convexnet

    x = np.linspace(-2, 2, 13)[:, None]
    y = np.abs(x[:, 0]) + 0.1 * np.random.default_rng(1).normal(size=13)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 30), nn.ReLU(), nn.Linear(30, 1)).double()
    penalised = [net[0].weight, net[0].bias, net[2].weight]
    groups = [{"params": penalised, "weight_decay": W}, {"params": [net[2].bias], "weight_decay": 0.0}]
    ours = objective_of(TorchTraining(net, nn.MSELoss(), optim.SGD(groups, 0.1)), x, y)
    bound = ours.in_trainer_units(convexnet.solve(ours.problem).certificate.lower_bound)
    search = optim.LBFGS(net.parameters(), max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def objective() -> Any:
        loss = nn.MSELoss()(net(torch.tensor(x))[:, 0], torch.tensor(y))
        return loss + sum(W / 2 * (p**2).sum() for p in penalised)

    def closure() -> Any:
        search.zero_grad()
        value = objective()
        value.backward()
        return value

    search.step(closure)
    reached = float(objective().detach())
    assert reached == pytest.approx(ours.trainer_objective(from_torch(net)), rel=1e-12)
    assert bound <= reached <= bound * 1.001
