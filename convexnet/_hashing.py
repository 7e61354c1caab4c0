"""A fingerprint of data: what a pattern set and a certificate belong to."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["hash_arrays"]


def hash_arrays(*arrays: np.ndarray) -> str:
    """SHA-256 over the shapes and little-endian float64 bytes of the arrays, in order.

    Examples
    --------
    >>> import numpy as np
    >>> hash_arrays(np.zeros(2))[:12] == hash_arrays(np.zeros((2, 1)))[:12]
    False
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr(tuple(int(s) for s in array.shape)).encode())
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return digest.hexdigest()
