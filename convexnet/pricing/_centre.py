"""Data far from the origin, moved without rounding."""

from __future__ import annotations

import numpy as np

__all__ = ["exact_shift"]


def exact_shift(X: np.ndarray) -> np.ndarray:
    """A vector s (d,) such that ``X - s`` is small and computed exactly: zero in columns that are not far from zero.

    Numbers of one sign within a factor of two have differences without rounding (Sterbenz).

    Examples
    --------
    >>> import numpy as np
    >>> exact_shift(np.array([[1e6, -1.0], [1e6 + 1, 0.5], [1e6 + 2, 2.0]])).tolist()
    [1000001.0, 0.0]
    """
    low, high = X.min(axis=0), X.max(axis=0)
    far = ((low > 0) & (high <= 2 * low)) | ((high < 0) & (low >= 2 * high))
    return np.where(far, np.sort(X, axis=0)[len(X) // 2], 0.0)
