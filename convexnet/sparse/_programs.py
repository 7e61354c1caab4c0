"""The linear program behind null-space constants and recovery certificates, solved by HiGHS."""

from __future__ import annotations

import numpy as np

__all__ = ["heaviest_null_vector"]


def heaviest_null_vector(
    A: np.ndarray, support: np.ndarray, signs: np.ndarray, time_limit: float, *, whole: bool = False
) -> tuple[np.ndarray, np.ndarray] | None:
    r"""Solve ``max sigma . z_T`` s.t. ``A z = 0`` and ``||z_{T^c}||_1 <= 1`` (``whole``: ``||z||_1 <= 1``).

    The dual vector y solves ``min ||A_{T^c}' y||_inf`` s.t. ``A_T' y = sigma`` (``whole``: that of
    ``min ||sigma_T - A' y||_inf`` with ``sigma_T`` zero off T).
    Return ``(y, z)``, or None where HiGHS found nothing. Neither is taken on trust.
    Rows of A should be of similar size.
    """
    from scipy.optimize import linprog

    m, count = A.shape
    outside = np.arange(count) if whole else np.setdiff1d(np.arange(count), support)
    inside = np.zeros(0, dtype=int) if whole else support
    cost = np.zeros(count)
    cost[support] = -signs
    size = np.concatenate([np.zeros(len(inside)), np.ones(2 * len(outside))])
    done = linprog(
        np.concatenate([cost[inside], cost[outside], -cost[outside]]),
        A_ub=size[None], b_ub=[1.0],
        A_eq=np.hstack([A[:, inside], A[:, outside], -A[:, outside]]), b_eq=np.zeros(m),
        bounds=[(None, None)] * len(inside) + [(0, None)] * (2 * len(outside)),
        method="highs-ds", options={"time_limit": max(time_limit, 1e-3)},
    )  # fmt: skip
    if done.status != 0 or done.x is None:
        return None
    z = np.zeros(count)
    z[inside] = done.x[: len(inside)]
    positive, negative = np.split(done.x[len(inside) :], 2)
    z[outside] = positive - negative
    return -done.eqlin.marginals, z
