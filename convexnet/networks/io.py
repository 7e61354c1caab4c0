"""Networks on disk: one npz file of plain arrays, without pickle."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

from ..errors import NetworkError
from .shallow import ShallowNetwork
from .threshold import ThresholdNetwork

__all__ = ["FORMAT", "THRESHOLD_FORMAT", "VERSION", "load", "load_threshold", "save"]

FORMAT = "convexnet.ShallowNetwork"
THRESHOLD_FORMAT = "convexnet.ThresholdNetwork"
VERSION = 1
# What zipfile and numpy raise on damaged bytes.
_UNREADABLE = (
    ValueError, EOFError, AttributeError, TypeError, KeyError, OverflowError, MemoryError, RuntimeError, OSError,
    SyntaxError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_ARRAYS = ("weights", "biases", "output_weights", "intercept")
_KEYS = (*_ARRAYS, "activation", "negative_slope")


def save(network: ShallowNetwork | ThresholdNetwork, path: str | os.PathLike[str]) -> None:
    """Write the network to exactly ``path`` (no suffix is added) with a format name and a version number.

    Parameters
    ----------
    network : ShallowNetwork or ThresholdNetwork
    path : str or path

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.npz")
    ...     save(ShallowNetwork([[1.0]], [0.5], [2.0]), path)
    ...     load(path).predict([[1.0]])
    array([3.])
    """
    shallow = isinstance(network, ShallowNetwork)
    kind = FORMAT if shallow else THRESHOLD_FORMAT
    arrays: dict[str, Any] = {name: np.asarray(getattr(network, name)) for name in (_KEYS if shallow else _ARRAYS)}
    if isinstance(network, ShallowNetwork):
        arrays["skip"] = np.zeros(0) if network.skip is None else network.skip
    with open(path, "wb") as file:
        np.savez(file, format=np.asarray(kind), version=np.asarray(VERSION), **arrays)


def load(path: str | os.PathLike[str]) -> ShallowNetwork:
    """Read a network written by :func:`save`; nothing in the file is executed.

    Parameters
    ----------
    path : str or path

    Raises
    ------
    NetworkError
        If the file is not such an npz file, has another version, lacks an array or holds NaN or contradicting shapes.
    OSError
        If the file cannot be opened.
    """
    stored = _stored(path, FORMAT, (*_KEYS, "skip"))
    arrays = {name: stored[name] for name in _ARRAYS}
    skip = stored["skip"] if stored["skip"].size else None
    try:
        negative_slope = float(stored["negative_slope"])
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{os.fspath(path)} has an unreadable negative_slope ({error}).") from None
    return ShallowNetwork(**arrays, skip=skip, activation=str(stored["activation"]), negative_slope=negative_slope)


def load_threshold(path: str | os.PathLike[str]) -> ThresholdNetwork:
    """Read a network of threshold neurons written by :func:`save`; nothing in the file is executed.

    Parameters
    ----------
    path : str or path

    Raises
    ------
    NetworkError, OSError
        As :func:`load`.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.npz")
    ...     save(ThresholdNetwork([[1.0]], [0.5], [2.0]), path)
    ...     load_threshold(path).predict([[1.0]])
    array([2.])
    """
    stored = _stored(path, THRESHOLD_FORMAT, _ARRAYS)
    return ThresholdNetwork(**{name: stored[name] for name in _ARRAYS})  # type: ignore[arg-type]


def _stored(path: str | os.PathLike[str], kind: str, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays of a file of this kind and version, none of ``names`` missing."""
    stored = _read(path)
    if str(stored.get("format")) != kind:
        found = {FORMAT: "ShallowNetwork", THRESHOLD_FORMAT: "ThresholdNetwork"}.get(str(stored.get("format")))
        hint = f"; it holds another kind: {found}.load reads it" if found else ""
        raise NetworkError(
            f"{os.fspath(path)} is not a network file of this package (no format {kind!r} in it){hint}."
        )
    if str(stored.get("version")) != str(VERSION):
        raise NetworkError(
            f"{os.fspath(path)} has format version {stored.get('version')}, this package reads version {VERSION}; "
            "load it with the package version that wrote it."
        )
    missing = [name for name in names if name not in stored]
    if missing:
        raise NetworkError(f"{os.fspath(path)} lacks {', '.join(missing)}; the file is incomplete.")
    return stored


def _read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """All arrays of an npz file, refusing pickled objects."""
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except _UNREADABLE as error:
            raise NetworkError(f"{os.fspath(path)} is not a readable npz file of plain arrays ({error}).") from None
