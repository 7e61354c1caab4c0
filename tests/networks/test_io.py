"""Saving and loading: exact round trips, and every damaged file refused by name."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks.nets import random_net

from convexnet.errors import NetworkError
from convexnet.networks import ACTIVATIONS, ShallowNetwork, ThresholdNetwork

FIELDS = ("weights", "biases", "output_weights", "intercept", "skip", "activation", "negative_slope")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("m", [0, 4])
@pytest.mark.parametrize("skip", [False, True])
def test_round_trip_is_bit_exact(tmp_path: Path, activation: str, k: int | None, m: int, skip: bool) -> None:
    rng = np.random.default_rng(0)
    outputs = () if k is None else (k,)
    skips = rng.normal(size=(2, *outputs)) if skip else None
    net = random_net(rng, 2, m, k, activation=activation, intercept=rng.normal(size=outputs), skip=skips)
    path = tmp_path / "net without suffix"
    net.save(path)
    again = ShallowNetwork.load(str(path))
    for name in FIELDS:
        first, second = getattr(net, name), getattr(again, name)
        assert type(first) is type(second) and np.array_equal(first, second) and np.shape(first) == np.shape(second)


def stored(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "good.npz"
    ShallowNetwork([[1.0, 2.0]], [0.5], [3.0], 1.0, [1.0, 1.0]).save(path)
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def test_the_file_holds_plain_arrays_and_unicode_only(tmp_path: Path) -> None:
    content = stored(tmp_path)
    assert {array.dtype.kind for array in content.values()} == {"f", "U", "i"}
    assert str(content["activation"]) == "relu" and int(content["version"]) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version 2"),
        ({"version": None}, "version"),
        ({"version": [1]}, "version"),
        ({"format": "other"}, "not a network file"),
        ({"format": None}, "not a network file"),
        ({"weights": None}, "lacks weights"),
        ({"skip": None}, "lacks skip"),
        ({"negative_slope": None}, "lacks negative_slope"),
        ({"negative_slope": "x"}, "negative_slope"),
        ({"biases": [np.nan]}, "NaN"),
        ({"biases": [1.0, 2.0]}, "biases"),
        ({"weights": [["a", "b"]]}, "weights"),
        ({"activation": "tanh"}, "activation"),
        ({"skip": [1.0]}, "skip"),
        ({"intercept": "one"}, "intercept"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    content = stored(tmp_path)
    for name, value in changes.items():
        content.pop(name, None)
        if value is not None:
            content[name] = np.asarray(value)
    path = tmp_path / "bad.npz"
    np.savez(path, **content)
    with pytest.raises(NetworkError, match=message):
        ShallowNetwork.load(path)


class Trap:
    """Unpickling an instance would raise."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_spring, ())


def _spring() -> None:
    raise AssertionError("a pickle was executed")


def test_pickles_are_never_executed(tmp_path: Path) -> None:
    content = stored(tmp_path)
    path = tmp_path / "trap.npz"
    np.savez(path, **{**content, "weights": np.array([[Trap(), Trap()]], dtype=object)})
    with pytest.raises(NetworkError, match="plain arrays"):
        ShallowNetwork.load(path)
    bare = tmp_path / "trap.pickle"
    bare.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(NetworkError, match="plain arrays"):
        ShallowNetwork.load(bare)


def test_other_files_are_named(tmp_path: Path) -> None:
    text, array, empty = tmp_path / "text.npz", tmp_path / "array.npy", tmp_path / "empty.npz"
    text.write_text("hello")
    np.save(array, np.ones(3))
    empty.write_bytes(b"")
    for path in (text, array, empty):
        with pytest.raises(NetworkError, match="npz"):
            ShallowNetwork.load(path)
    with pytest.raises(FileNotFoundError):
        ShallowNetwork.load(tmp_path / "nowhere.npz")


def test_truncated_and_flipped_files_are_refused_or_equal(tmp_path: Path) -> None:
    stored(tmp_path)
    good = (tmp_path / "good.npz").read_bytes()
    bad = tmp_path / "bad.npz"
    for cut in range(0, len(good), 97):
        bad.write_bytes(good[:cut])
        with pytest.raises(NetworkError):
            ShallowNetwork.load(bad)
    rng = np.random.default_rng(1)
    for position in rng.integers(len(good), size=200):
        damaged = bytearray(good)
        damaged[position] ^= 1 << int(rng.integers(8))
        bad.write_bytes(bytes(damaged))
        try:
            net = ShallowNetwork.load(bad)
        except NetworkError:
            continue
        np.testing.assert_array_equal(net.weights, [[1.0, 2.0]])
        assert net.predict([[1.0, 1.0]])[0] == 13.5


def test_threshold_networks_round_trip_and_kinds_are_not_confused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    net = ThresholdNetwork(rng.normal(size=(3, 2)), rng.normal(size=3), rng.normal(size=3), 0.5)
    path, other = tmp_path / "threshold.npz", tmp_path / "shallow.npz"
    net.save(path)
    again = ThresholdNetwork.load(path)
    assert type(again) is ThresholdNetwork and again.to_dict() == net.to_dict()
    ShallowNetwork([[1.0, 2.0]], [0.5], [3.0]).save(other)
    with pytest.raises(NetworkError, match=r"ThresholdNetwork\.load reads it"):
        ShallowNetwork.load(path)
    with pytest.raises(NetworkError, match=r"ShallowNetwork\.load reads it"):
        ThresholdNetwork.load(other)
    np.savez(path, format="convexnet.ThresholdNetwork", version=1, weights=[[1.0]])
    with pytest.raises(NetworkError, match="lacks biases"):
        ThresholdNetwork.load(path)
