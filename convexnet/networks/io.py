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

__all__ = ["FORMAT", "VERSION", "load", "save"]

FORMAT = "convexnet.ShallowNetwork"
VERSION = 1
# What zipfile and numpy raise on damaged bytes.
_UNREADABLE = (
    ValueError, EOFError, AttributeError, TypeError, KeyError, OverflowError, MemoryError, RuntimeError, OSError,
    SyntaxError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_KEYS = ("weights", "biases", "output_weights", "intercept", "activation", "negative_slope")


def save(network: ShallowNetwork, path: str | os.PathLike[str]) -> None:
    """Write the network to exactly ``path`` (no suffix is added) with a format name and a version number.

    Parameters
    ----------
    network : ShallowNetwork
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
    arrays: dict[str, Any] = {name: np.asarray(getattr(network, name)) for name in _KEYS}
    arrays["skip"] = np.zeros(0) if network.skip is None else network.skip
    with open(path, "wb") as file:
        np.savez(file, format=np.asarray(FORMAT), version=np.asarray(VERSION), **arrays)


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
    stored = _read(path)
    if str(stored.get("format")) != FORMAT:
        raise NetworkError(f"{os.fspath(path)} is not a network file of this package (no format {FORMAT!r} in it).")
    if str(stored.get("version")) != str(VERSION):
        raise NetworkError(
            f"{os.fspath(path)} has format version {stored.get('version')}, this package reads version {VERSION}; "
            "load it with the package version that wrote it."
        )
    missing = [name for name in (*_KEYS, "skip") if name not in stored]
    if missing:
        raise NetworkError(f"{os.fspath(path)} lacks {', '.join(missing)}; the file is incomplete.")
    arrays = {name: stored[name] for name in ("weights", "biases", "output_weights", "intercept")}
    skip = stored["skip"] if stored["skip"].size else None
    try:
        negative_slope = float(stored["negative_slope"])
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{os.fspath(path)} has an unreadable negative_slope ({error}).") from None
    return ShallowNetwork(**arrays, skip=skip, activation=str(stored["activation"]), negative_slope=negative_slope)


def _read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """All arrays of an npz file, refusing pickled objects."""
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except _UNREADABLE as error:
            raise NetworkError(f"{os.fspath(path)} is not a readable npz file of plain arrays ({error}).") from None
