r"""Whether one support with its signs is found by the smallest l1 norm: a proof, one way or the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._validation import as_matrix, as_targets, check_flag, check_positive
from ..errors import DataError
from ._kernel import Kernel
from ._programs import heaviest_null_vector
from ._rounding import column_norms, product_error, products_upper, scaled_rows, singular_error

__all__ = ["SupportCertificate", "SupportChecker", "certify_support"]


@dataclass(frozen=True, eq=False, repr=False)
class SupportCertificate:
    """What is proven about all vectors with a given support and given signs.

    Attributes
    ----------
    verdict : {"unique", "refuted", "undecided"}
        ``unique``: each of them is the only solution of its l1 program. ``refuted``: none of them is the only solution.
    slack : float
        For ``unique``: a proven lower bound of ``1 - max |a_j . nu|`` off the support, over an exact dual vector that
        equals the signs on it (strict complementarity). Otherwise the same quantity of the best dual vector found,
        which may be negative, or minus infinity if there is none.
    nu : ndarray of shape (m,) or None
        The dual vector, up to the rounding that ``slack`` accounts for.
    direction : ndarray of shape (N,) or None
        For ``refuted``: a null vector along which the l1 norm does not grow.
    smallest_singular : float
        Proven lower bound of the smallest singular value of the columns on the support; positive: they are independent.
        Rows of A are scaled by powers of two first.
    method : {"least_norm", "program", "columns", "empty"}
        Where the verdict comes from: the dual vector of least norm, the linear program, dependent or repeated columns.
    support, signs : ndarray of shape (s,)
    """

    verdict: str
    slack: float
    nu: np.ndarray | None
    direction: np.ndarray | None
    smallest_singular: float
    method: str
    support: np.ndarray
    signs: np.ndarray

    def __repr__(self) -> str:
        return f"SupportCertificate({self.verdict!r}, size={len(self.support)}, slack={self.slack:.4g})"

    def summary(self) -> str:
        """Return a line for people."""
        size = f"support of {len(self.support)}"
        if self.verdict == "unique":
            return f"{size}: the unique l1 solution, proven with dual slack {self.slack:.3g} ({self.method})"
        if self.verdict == "refuted":
            return f"{size}: not the unique l1 solution, shown by a null vector ({self.method})"
        return f"{size}: not decided (dual slack {self.slack:.3g})"

    def to_dict(self) -> dict[str, Any]:
        """Return the scalar facts; None for what is not finite."""
        numbers = {"slack": self.slack, "smallest_singular": self.smallest_singular}
        known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        return {"verdict": self.verdict, **known, "method": self.method, "size": len(self.support)}


def certify_support(
    A: Any, support: Any, signs: Any, *, largest_slack: bool = False, time_limit: float = 60.0
) -> SupportCertificate:
    r"""Prove or refute that vectors with this support and these signs are unique l1 solutions.

    A vector z with support T and signs :math:`\sigma` is the unique solution of :math:`\min \|x\|_1` subject to
    :math:`Ax = Az` exactly if the columns :math:`A_T` are independent and

    .. math:: \min \{ \|A_{T^c}^T \nu\|_\infty : A_T^T \nu = \sigma \} < 1 .

    The dual vector of least norm is tried first, then the linear program. A dual vector is corrected to satisfy the
    equations, and its slack covers what rounding leaves; a null vector refutes only if its proven distance to the null
    space leaves no doubt.

    Parameters
    ----------
    A : array (m, N)
    support : array of s different column numbers
        All of them non-zero entries of z: the exact support.
    signs : array (s,) of +1 and -1
    largest_slack : bool
        Solve the linear program also where the dual vector of least norm is a proof.
    time_limit : float
        Seconds.

    Raises
    ------
    DataError
        If A is not a finite matrix or has rows below the range of floats, or support and signs do not describe a sparse
        vector of its columns.
    ProblemError
        If another option is out of range.

    References
    ----------
    J.-J. Fuchs, "On sparse representations in arbitrary redundant bases", IEEE Transactions on Information Theory 2004;
    the condition is necessary and sufficient: J.-C. Gilbert, "On the solution uniqueness characterization in the l1
    norm and polyhedral gauge recovery", Journal of Optimization Theory and Applications 2017.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]])
    >>> certify_support(A, [0, 2], [1, 1])
    SupportCertificate('unique', size=2, slack=0.5)
    >>> certify_support(A, [0, 1], [1, 1]).verdict
    'refuted'
    """
    matrix = as_matrix(A, "A")
    indices, sigma = _checked(support, signs, matrix.shape[1])
    limit, largest = check_positive(time_limit, "time_limit"), check_flag(largest_slack, "largest_slack")
    return SupportChecker(matrix).check(indices, sigma, largest_slack=largest, time_limit=limit)


def _checked(support: Any, signs: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Support and signs as arrays, or a DataError that says what is wrong."""
    indices = np.asarray(support)
    if indices.size == 0 and indices.ndim == 1:
        indices = indices.astype(int)
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise DataError("support must be a list of column numbers, e.g. np.flatnonzero(z).")
    if indices.size and (indices.min() < 0 or indices.max() >= count):
        raise DataError(f"support must hold column numbers between 0 and {count - 1}.")
    if len(np.unique(indices)) < len(indices):
        raise DataError("support lists a column twice; each belongs to it once.")
    if np.ndim(signs) and len(signs) != len(indices):
        raise DataError(f"signs has {len(signs)} entries, but the support has {len(indices)} columns.")
    sigma = as_targets(signs, len(indices), "signs")
    if sigma.ndim != 1 or not np.isin(sigma, (-1.0, 1.0)).all():
        raise DataError("signs must be +1 or -1 for every column of the support, e.g. np.sign(z[support]).")
    return indices.astype(int), sigma


class SupportChecker:
    """Checks many supports of one matrix: what depends on the matrix alone is computed once."""

    def __init__(self, A: np.ndarray) -> None:
        self.A, self.exponents = scaled_rows(A)
        self.norms = column_norms(self.A)
        self.kernel = Kernel(self.A)

    @cached_property
    def _twins(self) -> np.ndarray:
        """For every column the number of the first one that equals it or its opposite."""
        first = self.A[(self.A != 0).argmax(axis=0), np.arange(self.A.shape[1])]
        return np.asarray(np.unique(self.A * np.where(first < 0, -1.0, 1.0) + 0.0, axis=1, return_inverse=True)[1])

    def check(
        self, support: np.ndarray, signs: np.ndarray, *, largest_slack: bool = False, time_limit: float = 60.0
    ) -> SupportCertificate:
        """See :func:`certify_support`."""
        if not len(support):
            nu = np.zeros(len(self.A))
            return SupportCertificate("unique", 1.0, nu, None, math.inf, "empty", support, signs)
        smallest = self._independence(support)
        repeated = self._repeated(support, signs, smallest)
        if repeated is not None or smallest <= 0:
            verdict = "refuted" if repeated is not None else "undecided"
            return SupportCertificate(verdict, -math.inf, None, repeated, smallest, "columns", support, signs)
        nu = np.linalg.lstsq(self.A[:, support].T, signs, rcond=None)[0]
        slack, nu = self._slack(support, signs, nu, smallest)
        if slack > 0 and not largest_slack:
            return self._result("unique", slack, nu, None, smallest, "least_norm", support, signs)
        return self._by_program(support, signs, slack, nu, smallest, time_limit)

    def _by_program(
        self, support: np.ndarray, signs: np.ndarray, slack: float, nu: np.ndarray, smallest: float, time_limit: float
    ) -> SupportCertificate:
        """Let the linear program decide; keep the better of the two dual vectors."""
        direction, method = None, "least_norm"
        found = heaviest_null_vector(self.A, support, signs, time_limit)
        if found is not None:
            better, other = self._slack(support, signs, found[0], smallest)
            if better > slack:
                slack, nu, method = better, other, "program"
            if slack <= 0 and self._descends(support, signs, found[1]):
                direction, method = -found[1], "program"
        verdict = "unique" if slack > 0 else "refuted" if direction is not None else "undecided"
        return self._result(verdict, slack, nu, direction, smallest, method, support, signs)

    def _result(
        self, verdict: str, slack: float, nu: np.ndarray, direction: np.ndarray | None, smallest: float, method: str,
        support: np.ndarray, signs: np.ndarray,
    ) -> SupportCertificate:  # fmt: skip
        nu = np.ldexp(nu, -self.exponents)
        return SupportCertificate(verdict, slack, nu, direction, smallest, method, support, signs)

    def _independence(self, support: np.ndarray) -> float:
        """Lower bound of the smallest singular value of the columns; zero if they may be dependent."""
        columns = self.A[:, support]
        if columns.shape[1] > columns.shape[0]:
            return 0.0
        values = np.linalg.svd(columns, compute_uv=False)
        return max(0.0, float(values[-1]) - singular_error(columns.shape, float(values[0])))

    def _repeated(self, support: np.ndarray, signs: np.ndarray, smallest: float) -> np.ndarray | None:
        """A null vector that refutes at once: a zero, repeated, or dependent column."""
        count = self.A.shape[1]
        direction = np.zeros(count)
        for column, sign in zip(support, signs, strict=True):
            twins = np.flatnonzero(self._twins == self._twins[column])
            others = twins[twins != column]
            if not self.A[:, column].any():
                direction[column] = -sign
                return direction
            if others.size:
                direction[column] = -sign
                same = np.array_equal(self.A[:, column], self.A[:, others[0]])
                direction[others[0]] = sign if same else -sign
                return self._oriented(direction, support, signs)
        return self._dependent(support, signs) if smallest <= 0 else None

    def _oriented(self, direction: np.ndarray, support: np.ndarray, signs: np.ndarray) -> np.ndarray | None:
        """The null vector with the sign along which the norm does not grow; None if it grows both ways."""
        off = float(np.abs(direction).sum() - np.abs(direction[support]).sum())
        slope = float(signs @ direction[support])
        if abs(slope) < off:
            return None
        return direction if slope <= 0 else -direction

    def _dependent(self, support: np.ndarray, signs: np.ndarray) -> np.ndarray | None:
        """A null vector of dependent columns, rounded; None unless the exact rank is below their number."""
        from ..arrangements._rank import rank_bounds

        columns = self.A[:, support]
        if len(support) <= len(self.A) and rank_bounds(columns, 1e7)[1] == len(support):
            return None
        direction = np.zeros(self.A.shape[1])
        direction[support] = np.linalg.svd(columns, full_matrices=True)[2][-1]
        return direction if signs @ direction[support] <= 0 else -direction

    def _slack(
        self, support: np.ndarray, signs: np.ndarray, nu: np.ndarray, smallest: float
    ) -> tuple[float, np.ndarray]:
        """Proven ``1 - max |a_j . nu*|`` off the support for an exact nu* near the corrected nu."""
        columns = self.A[:, support]
        for _ in range(2):
            nu = nu + np.linalg.lstsq(columns.T, signs - columns.T @ nu, rcond=None)[0]
        residual = float(np.linalg.norm(products_upper(columns, nu, signs))) * (1 + 1e-12)
        values = products_upper(self.A, nu) + self.norms * (residual / smallest * (1 + 1e-12))
        values[support] = 0.0
        slack = 1 - float(values.max(initial=0.0)) * (1 + product_error(1))
        return (slack if math.isfinite(slack) else -math.inf), nu

    def _descends(self, support: np.ndarray, signs: np.ndarray, z: np.ndarray) -> bool:
        """Whether some exact null vector near z has ``sigma . z_T >= ||z_{T^c}||_1``, and is not zero."""
        inside = float(signs @ z[support])
        off = float(np.abs(z).sum() - np.abs(z[support]).sum())
        error = self.kernel.distance(z) + 1e-12 * float(np.abs(z).sum())
        return bool(inside - error >= off + error and inside > error)
