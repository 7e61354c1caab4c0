"""Small data that bounds must survive: degenerate, ill-scaled, tiny and huge."""

from __future__ import annotations

import numpy as np

__all__ = ["KINDS", "nasty_data"]


def nasty_data(kind: str, seed: int = 0, *, tiny: float = 1e-150) -> np.ndarray:
    """One of KINDS; ``tiny`` is the size of the smallest."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((6, 2))
    return {
        "plain": lambda: X,
        "integers": lambda: rng.integers(-2, 3, (6, 2)).astype(float),
        "antipodal": lambda: np.concatenate([X[:3], -2 * X[:3]]),
        "duplicates": lambda: X[[0, 1, 1, 2, 2, 2]],
        "zero row": lambda: np.concatenate([X[:5], np.zeros((1, 2))]),
        "one line": lambda: np.outer([-1.0, 2.0, 3.0, -0.5, 1.0, 0.0], [1.0, 3.0]),
        "wide": lambda: rng.standard_normal((3, 4)),
        "one sample": lambda: X[:1],
        "columns 1e-6 and 1e6": lambda: X * [1e-6, 1e6],
        "rows 1e-6 to 1e6": lambda: X * (10.0 ** np.arange(-6, 12, 3))[:, None],
        "offset": lambda: X + 1e4,
        "tiny": lambda: X * tiny,
        "huge": lambda: X * 1e90,
        "thin": lambda: np.column_stack([np.ones(6), 1 + 1e-9 * np.arange(6)]),
    }[kind]()


KINDS = (
    "plain", "integers", "antipodal", "duplicates", "zero row", "one line", "wide", "one sample",
    "columns 1e-6 and 1e6", "rows 1e-6 to 1e6", "offset", "tiny", "huge", "thin",
)  # fmt: skip
