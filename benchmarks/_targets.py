"""Functions on [0, 1] for comparing regressors of one variable, and noisy samples of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

KNOTS = np.array([0.0, 0.08, 0.16, 0.24, 0.3, 0.36, 0.4, 0.7, 1.0])
HEIGHTS = np.array([0.0, 1.0, -1.0, 1.0, -0.5, 0.8, -0.8, 0.6, 0.0])


def zigzag(x: np.ndarray) -> np.ndarray:
    """Piecewise linear, with kinks close together on the left and far apart on the right."""
    return np.interp(x, KNOTS, HEIGHTS)


def doppler(x: np.ndarray) -> np.ndarray:
    """The Doppler function of Donoho and Johnstone (1994), scaled to heights of one."""
    return 2.0 * np.sqrt(x * (1 - x)) * np.sin(2 * np.pi * 1.05 / (x + 0.05))


def sine(x: np.ndarray) -> np.ndarray:
    """One smooth period."""
    return np.sin(2 * np.pi * x)


TARGETS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"zig-zag": zigzag, "Doppler": doppler, "sine": sine}


@dataclass(frozen=True)
class Sample:
    """Noisy values at sorted uniform abscissae, and the truth on a fine grid between the outermost of them."""

    x: np.ndarray
    y: np.ndarray
    grid: np.ndarray
    truth: np.ndarray

    def error(self, values: np.ndarray) -> float:
        """Mean squared error on the grid."""
        return float(np.mean((values - self.truth) ** 2))


def sample(target: str, n: int, seed: int, noise: float = 0.15) -> Sample:
    f = TARGETS[target]
    generator = np.random.default_rng([n, seed, list(TARGETS).index(target)])
    x = np.sort(generator.uniform(0, 1, n))
    grid = np.linspace(x[0], x[-1], 4001)
    return Sample(x, f(x) + noise * generator.standard_normal(n), grid, f(grid))
