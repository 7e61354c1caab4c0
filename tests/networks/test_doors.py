"""One door for networks from elsewhere: what is read, from which kind of object or file, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from networks.nets import random_net

from convexnet.errors import NetworkError, ProblemError
from convexnet.networks import ShallowNetwork, as_shallow


def net(**options: Any) -> ShallowNetwork:
    return random_net(np.random.default_rng(0), 3, 4, **options)


def same(one: ShallowNetwork, two: ShallowNetwork) -> bool:
    names = ("weights", "biases", "output_weights", "intercept", "activation")
    return all(np.array_equal(getattr(one, name), getattr(two, name)) for name in names)


def test_networks_and_saved_networks_pass(tmp_path: Path) -> None:
    network = net()
    assert as_shallow(network) is network
    network.save(tmp_path / "net.npz")
    network.save(tmp_path / "net")
    assert same(as_shallow(tmp_path / "net.npz"), network) and same(as_shallow(str(tmp_path / "net")), network)


def test_perceptrons_pass() -> None:
    from sklearn.neural_network import MLPRegressor

    X = np.random.default_rng(0).normal(size=(20, 3))
    model = MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", max_iter=500, alpha=1.0, random_state=0)
    model.fit(X, X[:, 0])
    np.testing.assert_allclose(as_shallow(model).predict(X), model.predict(X), rtol=1e-12)
    assert same(ShallowNetwork.from_sklearn(model), as_shallow(model))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "Cannot read a network from NoneType"),
        (3.0, "from float"),
        ({}, "from dict"),
        ([[1.0]], "from list"),
        (pd.DataFrame([[1.0]]), "from DataFrame"),
        ("nowhere.txt", "no network file 'nowhere.txt'"),
    ],
)
def test_everything_else_is_named(given: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        as_shallow(given)


def test_unknown_activations_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="activation"):
        as_shallow(net(), activation="tanh")
    with pytest.raises(FileNotFoundError):
        as_shallow(tmp_path / "nowhere.npz")
    (tmp_path / "table.npz").write_text("not a network", encoding="utf-8")
    with pytest.raises(NetworkError, match="npz"):
        as_shallow(tmp_path / "table.npz")


# ------------------------------------------------------------------------------------------------------------ torch
@pytest.mark.extra
def test_modules_and_state_dicts_in_memory_and_on_disk_pass(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    network = net(activation="absolute")
    module = network.to_torch()
    assert same(as_shallow(module), network)
    assert same(as_shallow(module.state_dict(), activation="absolute"), network)
    torch.save(module.state_dict(), tmp_path / "net.pt")
    assert same(as_shallow(tmp_path / "net.pt", activation="absolute"), network)
    torch.save(module, tmp_path / "whole.pt")
    with pytest.raises(NetworkError, match=r"module.state_dict\(\)"):
        as_shallow(tmp_path / "whole.pt")
    assert same(as_shallow(torch.nn.DataParallel(module)), network)
    assert same(as_shallow(torch.compile(module)), network)
    (tmp_path / "text.pth").write_text("no tensors", encoding="utf-8")
    with pytest.raises(NetworkError, match="plain tensors"):
        as_shallow(tmp_path / "text.pth")


@pytest.mark.extra
def test_state_dicts_of_other_networks_are_named() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    deep = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))
    normed = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1))
    for module in (deep, normed, nn.Linear(2, 1)):
        with pytest.raises(NetworkError, match="one hidden layer"):
            as_shallow(module.state_dict())
    state = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1)).state_dict()
    assert not as_shallow(state).biases.any()
    with pytest.raises(NetworkError, match=r"odd\.bias"):
        as_shallow({**state, "odd.bias": torch.zeros(3)})
