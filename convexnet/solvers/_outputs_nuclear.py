"""Nuclear norms of the gate blocks: shrinkage of singular values and its derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._outputs_groups import ActiveGates, Groups, Shrunk, Slope

__all__ = ["Nuclear"]


class Nuclear(Groups):
    """One nuclear norm per gate."""

    def dual_norm(self, S: np.ndarray) -> float:
        return float(np.sqrt(max(np.linalg.eigvalsh(_small_gram(np.moveaxis(S, 1, 0))).max(initial=0.0), 0.0)))

    def shrink(self, Z: np.ndarray, t: float) -> Shrunk:
        # The Frobenius norm bounds the largest singular value: most gates need no decomposition.
        active = np.flatnonzero(np.einsum("qpk,qpk->p", Z, Z) > t * t)
        blocks = np.ascontiguousarray(np.moveaxis(Z[:, active], 1, 0))
        left, size, right = _decompose(blocks)
        on = size[:, 0] > t if len(size) else np.zeros(0, dtype=bool)
        active, left, size, right = active[on], left[on], size[on], right[on]
        excess = np.maximum(size - t, 0.0)
        rank = int((excess > 0).sum(axis=1).max(initial=0))
        shrunk = (left[:, :, :rank] * excess[:, None, :rank]) @ right[:, :, :rank].swapaxes(1, 2)
        parts = (left, size, right, np.array([t, rank]))
        return Shrunk(
            active, np.moveaxis(shrunk, 0, 1), float(excess.sum()), float(np.vdot(excess, excess)), parts
        )

    def slope(self, shrunk: Shrunk, sigma: float, dtype: Any) -> Slope:
        return _NuclearSlope(self, shrunk, sigma, dtype)


def _small_gram(blocks: np.ndarray) -> np.ndarray:
    """``B' B`` or ``B B'`` of blocks (P, q, k), the smaller."""
    turned = np.swapaxes(blocks, 1, 2)
    return turned @ blocks if blocks.shape[1] >= blocks.shape[2] else blocks @ turned


def _decompose(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Singular vectors and values (J, q, r), (J, r), (J, k, r), r = min(q, k), falling.

    By the eigenvectors of the smaller Gram matrix: singular values far below the largest are inaccurate, but they lie
    below the threshold, where they enter with their squares.
    """
    wide = blocks.shape[1] < blocks.shape[2]
    values, vectors = np.linalg.eigh(_small_gram(blocks))
    vectors = vectors[:, :, ::-1]
    size = np.sqrt(np.maximum(values[:, ::-1], 0.0))
    other = (np.swapaxes(blocks, 1, 2) if wide else blocks) @ vectors
    other /= np.maximum(size, np.maximum(1e-7 * size[:, :1], 1e-300))[:, None, :]
    return (vectors, size, other) if wide else (other, size, vectors)


class _NuclearSlope(Slope):
    r"""``H -> (H V diag(f / s) + U (own o U'HV + crossed o (U'HV)')) V'``, f the shrunk values s, by gate."""

    def __init__(self, groups: Groups, shrunk: Shrunk, sigma: float, dtype: Any) -> None:
        left, size, right, (t, _) = shrunk.parts
        self._wide = left.shape[1] < right.shape[1]
        if self._wide:
            left, right = right, left
        self._design = ActiveGates(groups.like(dtype), shrunk.active)
        self._gram, self._dtype = groups.gram, dtype
        excess = np.maximum(size - t, 0.0)
        ratio = sigma * np.where(excess > 0, excess / np.maximum(size, 1e-300), 0.0)
        self._mean = (ratio.sum(axis=1) / shrunk.blocks.shape[2]).astype(dtype)
        self._ratio = ratio[:, None, :].astype(dtype)
        self._own, self._crossed = ((sigma * part).astype(dtype) for part in _weights(size, excess, t))
        self._left, self._right = left.astype(dtype), right.astype(dtype)

    def kernel(self) -> np.ndarray:
        return self._design.kernel(self._mean, self._gram(self._dtype))

    def apply(self, x: np.ndarray) -> np.ndarray:
        blocks = self._design.adjoint(x)
        rotated = (blocks.swapaxes(1, 2) if self._wide else blocks) @ self._right
        inner = self._left.swapaxes(1, 2) @ rotated
        rotated *= self._ratio
        rotated += self._left @ (self._own * inner + self._crossed * inner.swapaxes(1, 2))
        blocks = rotated @ self._right.swapaxes(1, 2)
        return self._design.forward(np.ascontiguousarray(blocks.swapaxes(1, 2)) if self._wide else blocks)


def _weights(size: np.ndarray, excess: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Factors of ``u_i' H v_j`` (beyond f_j / s_j) and ``u_j' H v_i`` in the entry (i, j) of the derivative."""
    si, sj, fi, fj = size[:, :, None], size[:, None, :], excess[:, :, None], excess[:, None, :]
    both, left, right = (fi > 0) & (fj > 0), (fi > 0) & (fj == 0), (fi == 0) & (fj > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rows, columns = fi / (si**2 - sj**2), fj / (sj**2 - si**2)
        own = np.where(both, t * si / (sj * (si + sj)), np.where(right, columns * si**2 / sj, 0.0))
        crossed = np.where(both, t / (si + sj), np.where(right, columns * si, 0.0))
        own, crossed = np.where(left, rows * si, own), np.where(left, rows * sj, crossed)
    return own, crossed
