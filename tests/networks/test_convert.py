"""Networks to and from torch: equal predictions, and every other module refused by name."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
from networks.nets import plain_predict, random_net, relative_difference

from convexnet.errors import NetworkError
from convexnet.networks import ACTIVATIONS, ShallowNetwork

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.extra


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("m", [0, 6])
def test_torch_predicts_the_same_and_comes_back_exactly(activation: str, k: int | None, skip: bool, m: int) -> None:
    rng = np.random.default_rng(0)
    outputs = () if k is None else (k,)
    skips = rng.normal(size=(4, *outputs)) if skip else None
    net = random_net(rng, 4, m, k, activation=activation, intercept=rng.normal(size=outputs), skip=skips)
    module, X = net.to_torch(), rng.normal(size=(11, 4))
    with torch.no_grad():
        values = module(torch.tensor(X)).numpy()
    assert values.shape == (11, k or 1) and values.dtype == np.float64
    assert relative_difference(values, plain_predict(net, X)) < 1e-12
    again = ShallowNetwork.from_torch(module)
    for name in ("weights", "biases", "output_weights", "intercept", "skip", "activation", "kappa"):
        assert np.array_equal(getattr(again, name), getattr(net, name)), name


def test_conversion_draws_no_random_numbers_and_shares_no_memory() -> None:
    net = random_net(np.random.default_rng(1), 2, 3)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    module = net.to_torch()
    assert torch.equal(before, torch.get_rng_state())
    weights = net.weights.copy()
    again = ShallowNetwork.from_torch(module)
    with torch.no_grad():
        module[0].weight.zero_()
    np.testing.assert_array_equal(net.weights, weights)
    np.testing.assert_array_equal(again.weights, weights)
    assert module[0].weight.requires_grad


@pytest.mark.parametrize(
    "layer", [nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(0.3), nn.LeakyReLU(-1.0), nn.LeakyReLU(0.0)]
)
@pytest.mark.parametrize("bias", [False, True])
def test_float32_modules_with_layers_that_do_nothing(layer: Any, bias: bool) -> None:
    torch.manual_seed(3)
    inner = nn.Sequential(nn.Linear(3, 5, bias=bias), layer)
    module = nn.Sequential(nn.Flatten(), nn.Identity(), inner, nn.Dropout(0.5), nn.Linear(5, 2, bias=bias)).eval()
    X = torch.randn(9, 3)
    with torch.no_grad():
        expected = module.double()(X.double()).numpy()
    module.float()
    net = ShallowNetwork.from_torch(module)
    assert relative_difference(net.predict(X.numpy()), expected) < 1e-12


class Own(nn.Module):
    """A module with attributes and a forward of its own."""

    def __init__(self, forward: Any, **parts: Any) -> None:
        super().__init__()
        self.last, self.first = nn.Linear(5, 2), nn.Linear(3, 5)
        self.scale = nn.Parameter(torch.tensor([2.0, 3.0]))
        self.matrix = nn.Parameter(torch.randn(5, 2))
        for name, part in parts.items():
            setattr(self, name, part)
        self.rule = [forward]

    def forward(self, x: Any) -> Any:
        return self.rule[0](self, x)


F = nn.functional


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.last(torch.relu(m.first(x))),
        lambda m, x: m.last(F.relu(m.first(x), inplace=True)),
        lambda m, x: m.last(m.first(x).relu()),
        lambda m, x: m.last(F.leaky_relu(m.first(x), 0.1)),
        lambda m, x: m.last(m.first(x.flatten(1)).abs()),
        lambda m, x: m.last(F.dropout(torch.clamp(m.first(x), min=0), 0.5, m.training)),
        lambda m, x: m.scale * m.last(torch.relu(m.first(x) + 0.5)) - 1.0,
        lambda m, x: torch.relu(m.first(x)) @ m.matrix + m.scale,
        lambda m, x: F.linear(torch.relu(m.first(x)), m.matrix.T, m.scale),
        lambda m, x: m.last(-torch.relu(m.first(x)) / 2) + m.last(torch.relu(m.first(x))),
    ],
)
def test_modules_with_a_forward_of_their_own_are_read(forward: Any) -> None:
    torch.manual_seed(0)
    module, X = Own(forward).double().eval(), torch.randn(9, 3).double()
    with torch.no_grad():
        expected = module(X).numpy()
    before = torch.get_rng_state()
    assert relative_difference(ShallowNetwork.from_torch(module).predict(X.numpy()), expected) < 1e-12
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda m, x: m.last(torch.tanh(m.first(x))), "tanh cannot be read"),
        (lambda m, x: torch.sigmoid(m.last(torch.relu(m.first(x)))), "sigmoid is the link of the loss"),
        (lambda m, x: m.last(torch.relu(m.deep(torch.relu(m.first(x))))), "more than one hidden layer"),
        (lambda m, x: m.last(m.first(x)), "no hidden layer"),
        (lambda m, x: m.last(F.dropout(torch.relu(m.first(x)))), "dropout in training mode"),
        (lambda m, x: m.last(m.drop(torch.relu(m.first(x)))), r"Dropout \(drop\) in training mode"),
        (lambda m, x: m.last(torch.relu(m.first(x))) if x.sum() > 0 else x, "cannot be read"),
        (lambda m, x: (m.last(torch.relu(m.first(x))), x), "returns tuple"),
        (lambda m, x: m.last(torch.relu(m.first(x))) * m.last(torch.relu(m.first(x))), "multiplies two values"),
        (lambda m, x: m.last(torch.relu(m.first(x))).squeeze().sum(), "sum cannot be read"),
        (lambda m, x: m.last(torch.relu(m.first(x))).flatten(0), "something else"),
        (lambda m, x: m.last(torch.relu(m.norm(m.first(x)))), "BatchNorm1d cannot be read"),
        (lambda m, x: m.last(torch.relu(m.first(x.T))), "cannot be read"),
    ],
)
def test_other_forwards_are_named(forward: Any, message: str) -> None:
    module = Own(forward, deep=nn.Linear(5, 5), norm=nn.BatchNorm1d(5)).eval()
    if "Dropout" in message:
        module.drop = nn.Dropout(0.5)
    with pytest.raises(NetworkError, match=message):
        ShallowNetwork.from_torch(module)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_whole_modules_can_be_saved_and_loaded(activation: str) -> None:
    net = random_net(np.random.default_rng(2), 2, 3, activation=activation, skip=[1.0, 2.0])
    buffer = io.BytesIO()
    torch.save(net.to_torch(), buffer)
    buffer.seek(0)
    module = torch.load(buffer, weights_only=False)
    np.testing.assert_array_equal(ShallowNetwork.from_torch(module).weights, net.weights)


def test_a_network_without_neurons_converts_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ShallowNetwork(np.zeros((0, 2)), [], [], 1.0, [1.0, 2.0]).to_torch()


def hooked() -> Any:
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    module[0].register_forward_hook(lambda *_: None)
    return module


def diverged() -> Any:
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        module[0].weight[0, 0] = float("nan")
    return module


class Doubled(nn.Linear):
    """A Linear layer whose forward is not linear layer's."""

    def forward(self, x: Any) -> Any:
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3, 1)).train(), "eval"),
        (nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), "Tanh"),
        (nn.Sequential(nn.Linear(2, 3), nn.PReLU(), nn.Linear(3, 1)), "PReLU"),
        (nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(1.5), nn.Linear(3, 1)), "negative_slope"),
        (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)), "one hidden layer"),
        (nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1)), "one hidden layer"),
        (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1), nn.Softmax(dim=1)), "Softmax"),
        (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(4, 1)), "output_weights|biases|shape"),
        (nn.Sequential(nn.ReLU(), nn.Linear(2, 3), nn.Linear(3, 1)), "Linear"),
        (nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.Linear(3, 1)), "LazyLinear"),
        (nn.Sequential(Doubled(2, 3), nn.ReLU(), nn.Linear(3, 1)), "Doubled"),
        (
            nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 3)), nn.ReLU(), nn.Linear(3, 1)),
            "Parametrized",
        ),
        (nn.Sequential(nn.Linear(2, 3, dtype=torch.complex64), nn.ReLU(), nn.Linear(3, 1)), "complex"),
        (nn.Sequential(nn.Flatten(0), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), "Flatten"),
        (nn.Linear(2, 1), "one hidden layer"),
        (nn.Sequential(), "no layer"),
        (nn.Conv1d(1, 1, 1), "Conv1d"),
        (hooked(), "hooks"),
        (diverged(), "NaN"),
        ("a string", "str"),
    ],
)
def test_other_modules_are_named(module: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        ShallowNetwork.from_torch(module)


def test_biased_skip_is_refused() -> None:
    module = random_net(np.random.default_rng(4), 2, 3, skip=[1.0, 2.0]).to_torch()
    module.skip = nn.Linear(2, 1).double()
    with pytest.raises(NetworkError, match="skip layer has a bias"):
        ShallowNetwork.from_torch(module)
