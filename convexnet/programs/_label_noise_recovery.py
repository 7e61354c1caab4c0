"""From the vectors of cells to neurons under the label-noise regulariser, whose cost jumps at the borders of cells."""

from __future__ import annotations

import numpy as np

from ..arrangements import FacePatterns
from ..arrangements._face_directions import exact_floats, integer_null_basis
from ..arrangements._integers import integer_rows
from ..networks._signs import exact_signs
from ..networks.shallow import ShallowNetwork
from ..pricing._label_noise_cells import GradientCells, least_distance
from ..problem import TrainingProblem

__all__ = ["label_noise_network", "placed"]

_EPS = float(np.finfo(np.float64).eps)
_SCALE_BITS = 13
_BITS = (39, 34, 28, 22, 16)
"""Binary digits of the coefficients tried on a face, most first; with those of the scale they must fit into 53."""


def placed(cells: GradientCells, where: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Short vectors (q, K) with the outputs of ``vectors`` up to the factors (K,), in their cells in exact arithmetic.

    A point that its cell counts as inactive would cost its whole squared length if rounding made it active. Vectors
    without output get the factor 0.
    """
    moved = np.zeros_like(vectors)
    for k, cell in enumerate(where.tolist()):
        moved[:, k] = _pushed(cells, cell, _shortest(cells, cell, vectors[:, k]))
    wanted, found = cells.lengths(where, vectors), cells.lengths(where, moved)
    return moved, np.divide(wanted, found, out=np.zeros_like(found), where=found > 0)


def _shortest(cells: GradientCells, cell: int, v: np.ndarray) -> np.ndarray:
    """Where outputs leave v undetermined, the shortest vector of the cell in units of the columns."""
    rank, basis = int(cells.ranks[cell]), cells.bases[cell]
    if rank == len(basis):
        return v
    A, _ = cells.oriented(cell)
    ranged, null = basis[:rank], basis[rank:].T
    u = ranged.T @ (ranged @ (v[cells.columns] / cells.scale))
    short = np.zeros_like(v)
    short[cells.columns] = (u + null @ least_distance(A @ null, -(A @ u))) * cells.scale
    signs = 2.0 * cells.G[:, cell] - 1
    E = cells.problem.extended
    inside = np.all(signs * (E @ short) >= -1e-9 * np.linalg.norm(E, axis=1) * np.linalg.norm(short))
    return short if inside else v


def _pushed(cells: GradientCells, cell: int, v: np.ndarray) -> np.ndarray:
    """Move v until the inactive points are inactive in floats too: against a direction active everywhere, if any."""
    E, up = cells.problem.extended, cells.upwards
    inactive = (cells.G[:, cell] == 0) & (cells.sizes > 0)
    if not inactive.any() or not np.any(v):
        return v
    if up is None:
        return v if cells.faces is None else _on_face(cells.faces, cell, E, v)
    return v - _step(E, v, up, inactive) * up


def _step(E: np.ndarray, v: np.ndarray, up: np.ndarray, rows: np.ndarray) -> float:
    """The smallest s >= 0 with ``E (v - s up) < 0`` at the rows, beyond rounding."""
    margin = 8 * (E.shape[1] + 4) * _EPS * (np.abs(E) @ np.abs(v))
    return max(float(np.max((E @ v + margin)[rows] / (E @ up)[rows])), 0.0)


def _on_face(faces: FacePatterns, cell: int, E: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The nearest vector of few binary digits that is zero exactly where the largest face of the pattern is.

    Unchanged if floats do not reach: the points concerned then count as active, at their full cost.
    """
    inner, signs = faces.direction(cell), faces.signs[:, cell]
    if inner is None:
        return v
    below = signs < 0
    if below.any():
        v = v + _step(E, v, -inner, below) * inner
    flat = (signs == 0) & np.any(E != 0, axis=1)
    if not flat.any():
        return v
    for bits in _BITS:
        near = _nearest(E, flat, v, bits)
        if near is not None and np.all(exact_signs(E, near[None], np.zeros(1))[faces.patterns[:, cell] == 0] <= 0):
            return near
    return v


def _nearest(E: np.ndarray, flat: np.ndarray, v: np.ndarray, bits: int) -> np.ndarray | None:
    """Near v, an exact integer combination of the vectors that annihilate the flat rows, as floats if they hold it."""
    Z, exponent = integer_rows(E[np.any(E != 0, axis=1)])
    basis = integer_null_basis(Z.astype(object)[flat[np.any(E != 0, axis=1)]], E.shape[1])
    if not basis.shape[1]:
        return None
    # E = c Z 2**exponent by columns, so that v 2**exponent is what the integer basis represents.
    whole = basis / np.max(np.abs(basis), axis=0)
    target = np.ldexp(v, exponent)
    t = np.linalg.lstsq(whole.astype(float), target, rcond=None)[0]
    sizes = [int(abs(value)).bit_length() for value in np.max(np.abs(basis), axis=0)]
    if len(t) == 1:  # the length is a matter of the amplitude
        return exact_floats(basis[:, 0] * (1 if t[0] > 0 else -1), exponent)
    unit = 2.0 ** (np.ceil(np.log2(float(np.max(np.abs(t))) or 1.0)) - bits)
    ticks = np.round(t / unit)
    shift = max(sizes)
    coefficients = [int(tick) << (shift - size) for tick, size in zip(ticks.tolist(), sizes, strict=True)]
    return exact_floats(basis.dot(np.array(coefficients, dtype=object)), exponent) if np.any(ticks) else None


def label_noise_network(problem: TrainingProblem, vectors: np.ndarray, amplitudes: np.ndarray) -> ShallowNetwork:
    """The network of the neurons ``amplitudes_j sigma(E v_j)`` with the two parts of every cost equal.

    Without a bias the factors have few digits, so that products that are exactly zero stay so; where even that changes
    a sign they are powers of two, and the two parts are equal up to a factor of two only.
    """
    zeros = np.zeros(vectors.shape[1])
    X = problem.extended
    signs = exact_signs(X, vectors.T, zeros)
    slopes = np.where(signs > 0, 1.0, problem.kappa)
    lengths = np.linalg.norm(np.where(signs == 0, 0.0, slopes * (X @ vectors)), axis=0)
    gradients = np.linalg.norm(slopes * np.linalg.norm(X, axis=1)[:, None], axis=0)
    kept = (lengths > 0) & (gradients > 0) & (amplitudes != 0)
    vectors, amplitudes = vectors[:, kept], amplitudes[kept]
    scale = np.sqrt(np.abs(amplitudes) * gradients[kept] / lengths[kept])
    if problem.bias == "none":
        mantissa, exponent = np.frexp(scale)
        few = np.ldexp(np.round(mantissa * 2.0**_SCALE_BITS), exponent - _SCALE_BITS)
        same = np.all(exact_signs(X, (vectors * few).T, np.zeros(len(few))) == signs[:, kept], axis=0)
        scale = np.where(same, few, np.ldexp(1.0, exponent))
    u = (vectors * scale).T
    biases = np.zeros(len(u)) if problem.bias == "none" else u[:, -1]
    return ShallowNetwork(
        u[:, : problem.d], biases, amplitudes / scale, activation=problem.activation,
        negative_slope=problem.negative_slope,
    )  # fmt: skip
