#!/usr/bin/env python3
r"""Check a proof file in double precision: numpy only, nothing else of the package, every rounding error bounded.

Runs alone: ``python check_float.py proof.json [--data data.npz] [--json]``. Exit codes: 0 certified, 1 refuted or
tampered with, 2 valid but not proven to the tolerance, 64 unreadable file or wrong usage.

Claim: every network of any width has objective ``>= lower``, and the network of the file has objective ``<= upper``.
Nothing in the file is taken on trust: multipliers are only suggestions, every inequality is evaluated again with a
bound on its rounding error (``gamma_k = k u / (1 - k u)``, ``u = 2**-53``). The bounds are proved in the page
"Checking a proof" of the documentation. One operation is not defined by IEEE 754: ``exp`` and ``log`` are taken to be
accurate to ``2**-45``; ``check_exact.py`` assumes nothing.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import math
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

U = 2.0**-53
SMALL, LARGE = 1e-100, 1e100
"""Non-zero numbers of the claim lie between these: no product below underflows or overflows unnoticed."""
CHUNK = 4_000_000
"""Numbers per working array."""
LIBM = 2.0**-45
LONGEST = 8 * 10**9
"""Bytes of an unpacked data file."""
DEEPEST = 400
"""Slabs on a path: the time for a path grows with the square of its length."""
DIGITS = 250_000
"""Digits of all fractions together: their sums have as many."""
DTYPES = {"f8": "<f8", "f4": "<f4", "i8": "<i8", "i4": "<i4", "i1": "|i1", "u1": "|u1", "u2": "<u2"}
LOSSES = {"squared": (), "huber": ("delta",), "absolute": (), "logistic": (), "hinge": (), "interpolation": ("tol",)}


class Stopped(Exception):
    """The check ended early with an exit code."""

    code = 64


class Unreadable(Stopped):
    """The file is malformed."""


class Refuted(Stopped):
    """The file contradicts itself."""

    code = 1


class Unproven(Stopped):
    """The file may be right, but this program cannot tell."""

    code = 2


@dataclass
class Report:
    """What was verified. ``lower`` is at most ``lower_slack`` below the value in exact arithmetic."""

    verdict: str = "unreadable"
    exit_code: int = 64
    certified: bool = False
    upper: float = math.inf
    lower: float = 0.0
    gap: float = math.inf
    tol: float = 0.0
    pricing_bound: float = math.inf
    scale: float = 0.0
    misfit: float = 0.0
    upper_slack: float = 0.0
    lower_slack: float = 0.0
    kind: str = ""
    checker: str = "float"
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)


# ------------------------------------------------------------------------------------------------ rounding upwards
def gamma(k: float) -> float:
    """At least ``gamma_k`` for every k below 1e13."""
    return 1.02 * k * U


def inflate(x: Any, k: float = 0) -> Any:
    """At least the exact value of a non-negative quantity that was computed with at most k rounding factors."""
    return x * (1.0 + 2.0 * (k + 4) * U)


def norms_up(rows: np.ndarray) -> np.ndarray:
    """Upper bounds of the Euclidean norms along the last axis; 1e-150 covers squares that underflow."""
    return inflate(np.sqrt(np.einsum("...k,...k->...", rows, rows)), rows.shape[-1] + 3) + 1e-150


def flushed(values: np.ndarray) -> np.ndarray:
    """Multipliers with tiny entries set to zero (any multipliers are admissible) and huge ones refused."""
    if values.size and float(np.max(np.abs(values))) > 1e120:
        raise Unproven("a multiplier is larger than 1e120")
    return np.where(np.abs(values) < 1e-120, 0.0, values)


# ---------------------------------------------------------------------------------------------------- reading JSON
def unreadable(text: str) -> NoReturn:
    raise Unreadable(text)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else unreadable("a key occurs twice")


def parse(text: str) -> dict[str, Any]:
    """JSON without duplicate keys, NaN, or decimal fractions (numbers are integers, hex strings or base64)."""
    try:
        document = json.loads(
            text,
            object_pairs_hook=_pairs,
            parse_constant=lambda name: unreadable(f"{name} is no number of this format"),
            parse_float=lambda name: unreadable(f"{name[:40]} is not an exact number"),
        )
    except Stopped:
        raise
    except (ValueError, RecursionError, MemoryError) as error:
        unreadable(f"not JSON: {str(error)[:200]}")
    names = "format version claim claim_sha256 data network nu nu_exact proof claimed versions"
    return keys(document, "document", names)


def keys(value: Any, name: str, expected: str) -> dict[str, Any]:
    """A JSON object with exactly these keys."""
    if not isinstance(value, dict) or set(value) != set(expected.split()):
        unreadable(f"{name} must be an object with the keys {expected}")
    return value


def text_of(value: Any, name: str, limit: int = 4000) -> str:
    return value if isinstance(value, str) and len(value) <= limit else unreadable(f"{name} must be a short text")


def choice(value: Any, name: str, options: Any) -> str:
    fine = isinstance(value, str) and value in options
    return value if fine else unreadable(f"{name} must be one of {list(options)}")


def integer(value: Any, name: str, low: int = 0, high: int = 2**53) -> int:
    if type(value) is not int or not low <= value <= high:
        unreadable(f"{name} must be an integer between {low} and {high}")
    return value


def flag(value: Any, name: str) -> bool:
    return value if isinstance(value, bool) else unreadable(f"{name} must be true or false")


def items(value: Any, name: str) -> list[Any]:
    return value if isinstance(value, list) else unreadable(f"{name} must be a list")


def number(value: Any, name: str) -> float:
    """A finite float written by float.hex."""
    if not isinstance(value, str) or len(value) > 40 or "x" not in value:
        unreadable(f"{name} must be a hexadecimal float")
    try:
        result = float.fromhex(value)
    except (ValueError, OverflowError):
        unreadable(f"{name} is no hexadecimal float")
    return result if math.isfinite(result) else unreadable(f"{name} must be finite")


def array(value: Any, name: str, shape: tuple[int, ...], kinds: str = "f8") -> np.ndarray:
    """An array of the given shape (-1: any length) stored as base64 of little-endian numbers."""
    entry = keys(value, name, "dtype shape data")
    dtype = choice(entry["dtype"], f"{name}.dtype", kinds.split())
    stored = tuple(integer(size, f"{name}.shape", 0, 2**31) for size in items(entry["shape"], f"{name}.shape"))
    if len(stored) != len(shape) or any(want not in (-1, have) for want, have in zip(shape, stored, strict=True)):
        unreadable(f"{name} must have shape {shape}, got {stored}")
    try:
        raw = base64.b64decode(text_of(entry["data"], name, 2**31), validate=True)
    except (binascii.Error, ValueError):
        unreadable(f"{name} is not base64")
    kind = np.dtype(DTYPES[dtype])
    if len(raw) != math.prod(stored) * kind.itemsize:
        unreadable(f"{name} holds {len(raw)} bytes, its shape {stored} says otherwise")
    values = np.frombuffer(raw, dtype=kind).reshape(stored)
    if kind.kind == "f":
        values = values.astype(np.float64)
        if not np.isfinite(values).all():
            unreadable(f"{name} has NaN or infinite entries")
        return values
    return values.astype(np.int64)


def in_range(values: Any, name: str) -> None:
    """Refuse numbers whose products could underflow or overflow."""
    size = np.abs(np.asarray(values, dtype=np.float64))
    if np.any((size != 0) & ((size < SMALL) | (size > LARGE))):
        raise Unproven(f"{name} has entries outside [1e-100, 1e100]; use the exact checker")


# ------------------------------------------------------------------------------------------------------- the claim
@dataclass
class Claim:
    """Problem, network and dual vector as read; ``nu_error`` bounds what rounding rational entries changed."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    loss: str
    parameter: float
    reg: float
    kappa: float
    bias: str
    intercept: bool
    skip: bool
    norm: str
    tol: float
    network: dict[str, Any]
    nu: np.ndarray
    nu_error: np.ndarray
    weight_given: bool = False

    @property
    def rows(self) -> np.ndarray:
        """The rows that neurons see."""
        return self.X if self.bias == "none" else np.column_stack([self.X, np.ones(len(self.X))])


def sha256_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sha256_arrays(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for values in arrays:
        digest.update(repr(tuple(int(s) for s in values.shape)).encode())
        digest.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    return digest.hexdigest()


def load_npz(path: str) -> dict[str, np.ndarray]:
    """Arrays X, y and perhaps sample_weight of an npz file."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            if sum(entry.file_size for entry in stored.zip.infolist()) > LONGEST:
                unreadable("the data file unpacks to more than 8 GB")
            found = {name: np.asarray(stored[name], dtype=np.float64) for name in stored.files}
    except Exception as error:
        unreadable(f"the data file cannot be read: {str(error)[:200]}")
    return found


def read_claim(document: dict[str, Any], data: dict[str, np.ndarray] | None) -> Claim:
    """Read and cross-check everything that defines the claim, hashes included."""
    if document["format"] != "convexnet-proof":
        unreadable("this is no convexnet-proof")
    if integer(document["version"], "version", -(2**53)) != 1:
        unreadable("this program reads version 1 of the format")
    c = keys(
        document["claim"], "claim", "loss reg activation kappa bias intercept skip norm tol n d data_sha256"
    )
    for name in ("claimed", "versions"):
        if not isinstance(document[name], dict) or any(not isinstance(v, str) for v in document[name].values()):
            unreadable(f"{name} must be an object of texts")
    n, d = integer(c["n"], "n", 1, 10**7), integer(c["d"], "d", 1, 10**5)
    name = choice(c["loss"].get("name") if isinstance(c["loss"], dict) else None, "loss.name", LOSSES)
    extra = LOSSES[name]
    keys(c["loss"], "loss", " ".join(("name", *extra)))
    parameter = number(c["loss"][extra[0]], extra[0]) if extra else 1.0
    net = read_network(document["network"], d)
    X, y, weight = read_data(document["data"], data, n, d)
    if sha256_arrays(X, y, *([] if weight is None else [weight])) != c["data_sha256"]:
        raise Refuted("the data are not those of the claim (SHA-256 differs)")
    if sha256_json([document["claim"], document["network"]]) != document["claim_sha256"]:
        raise Refuted("the claim was changed after it was written (SHA-256 differs)")
    nu, nu_error = read_nu(document, n)
    claim = Claim(
        X=X, y=y, weight=np.ones(n) if weight is None else weight, loss=name, parameter=parameter,
        reg=number(c["reg"], "reg"), kappa=number(c["kappa"], "kappa"),
        bias=choice(c["bias"], "bias", ("penalized", "free", "none")), intercept=flag(c["intercept"], "intercept"),
        skip=flag(c["skip"], "skip"), norm=choice(c["norm"], "norm", ("l2", "l1")), tol=number(c["tol"], "tol"),
        network=net, nu=nu, nu_error=nu_error, weight_given=weight is not None,
    )  # fmt: skip
    check_conventions(claim, choice(c["activation"], "activation", ("relu", "leaky", "absolute")))
    return claim


def read_network(value: Any, d: int) -> dict[str, Any]:
    net = keys(value, "network", "weights biases output_weights intercept skip")
    weights = array(net["weights"], "weights", (-1, d))
    m = len(weights)
    return {
        "weights": weights, "biases": array(net["biases"], "biases", (m,)),
        "output_weights": array(net["output_weights"], "output_weights", (m,)),
        "intercept": number(net["intercept"], "intercept"),
        "skip": np.zeros(d) if net["skip"] is None else array(net["skip"], "skip", (d,)),
    }  # fmt: skip


def read_data(
    stored: Any, given: dict[str, np.ndarray] | None, n: int, d: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    if given is None and stored is None:
        unreadable("the data are not in the file; pass --data data.npz with X, y and perhaps sample_weight")
    if given is None:
        entry = keys(stored, "data", "X y sample_weight")
        weight = None if entry["sample_weight"] is None else array(entry["sample_weight"], "sample_weight", (n,))
        return array(entry["X"], "X", (n, d)), array(entry["y"], "y", (n,)), weight
    found = {key: np.asarray(value, dtype=np.float64) for key, value in given.items() if value is not None}
    if set(found) not in ({"X", "y"}, {"X", "y", "sample_weight"}):
        unreadable("the data must be named X, y and perhaps sample_weight")
    if any(found[key].shape != ((n, d) if key == "X" else (n,)) for key in found):
        raise Refuted(f"the data given do not have the shape of the claim, {n} samples of {d} features")
    if any(not np.isfinite(value).all() for value in found.values()):
        unreadable("the data have NaN or infinite entries")
    return found["X"], found["y"], found.get("sample_weight")


def read_nu(document: dict[str, Any], n: int) -> tuple[np.ndarray, np.ndarray]:
    """The dual vector, a few entries of it as exact fractions."""
    nu, error = array(document["nu"], "nu", (n,)).copy(), np.zeros(n)
    in_range(nu, "nu")
    seen: set[int] = set()
    digits = 0
    for item in items(document["nu_exact"], "nu_exact"):
        pair = items(item, "nu_exact entry")
        if len(pair) != 2:
            unreadable("nu_exact must hold pairs of an index and a fraction")
        digits += len(text_of(pair[1], "fraction"))
        if digits > DIGITS:
            unreadable("the fractions of nu_exact are too long")
        index = integer(pair[0], "index", 0, n - 1)
        p, q = fraction(pair[1])
        if index in seen:
            unreadable("nu_exact names an entry twice")
        seen.add(index)
        try:
            nu[index] = p / q
        except OverflowError:
            unreadable("an entry of nu_exact is too large")
        if p != 0 and nu[index] == 0:
            raise Unproven("an entry of nu_exact is too small for double precision; use the exact checker")
        error[index] = 1.1 * U * abs(nu[index])
    in_range(nu, "nu")
    return nu, error


def fraction(value: Any) -> tuple[int, int]:
    parts = text_of(value, "fraction").split("/")
    bare = [part.removeprefix("-") for part in parts]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in bare):
        unreadable("a fraction must be written p/q")
    p, q = int(parts[0]), int(parts[1])
    return (p, q) if q > 0 else unreadable("the denominator of a fraction must be positive")


def check_conventions(c: Claim, activation: str) -> None:
    """Refuse claims outside the problem class, and networks outside the class of the claim."""
    kappa_fits = {"relu": c.kappa == 0, "absolute": c.kappa == -1, "leaky": 0 < c.kappa < 1}[activation]
    if not kappa_fits:
        raise Refuted("kappa does not belong to the activation")
    if not (c.reg > 0 and c.parameter > 0 and 0 < c.tol < 1):
        raise Refuted("reg and the parameter of the loss must be positive, tol between 0 and 1")
    if c.loss == "interpolation" and c.reg != 1:
        raise Refuted("interpolation has reg = 1")
    if c.bias == "free" and not c.intercept:
        raise Refuted("free biases come with an intercept")
    if np.any(c.weight < 0):
        raise Refuted("a sample weight is negative")
    if c.loss in ("logistic", "hinge") and not np.isin(c.y, (-1.0, 1.0)).all():
        raise Refuted("labels must be -1 or +1")
    net = c.network
    if c.bias == "none" and np.any(net["biases"]):
        raise Refuted("the network has biases, the claim has none")
    if (net["intercept"] != 0 and not c.intercept) or (np.any(net["skip"]) and not c.skip):
        raise Refuted("the network has an intercept or a skip connection that the claim excludes")
    for name in ("X", "y", "weight", "reg", "parameter", "kappa"):
        in_range(getattr(c, name), name)
    for name, values in net.items():
        in_range(values, name)


# ------------------------------------------------------------------------------------------- objective of the network
def objective(c: Claim) -> tuple[float, float, float, float]:
    """Lower and upper bound of the network's objective, (interpolation) its largest residual, error of the latter."""
    net, X = c.network, c.X
    weights, v = net["weights"], net["output_weights"]
    m, d = weights.shape
    z = X @ weights.T + net["biases"]
    e = gamma(d + 3) * (np.abs(X) @ np.abs(weights).T + np.abs(net["biases"]))
    hidden = np.maximum(z, c.kappa * z)
    e = inflate(e + 2 * U * np.abs(hidden))
    f = hidden @ v + net["intercept"] + X @ net["skip"]
    size = np.abs(hidden) @ np.abs(v) + abs(net["intercept"]) + np.abs(X) @ np.abs(net["skip"])
    e = inflate(inflate(e @ np.abs(v), m) + gamma(m + d + 12) * size, m + d) + 1e-250
    low, high, misfit = loss_range(c, f - e, f + e)
    norm = path_norm(c)
    upper = inflate(high + inflate(c.reg * norm), 4)
    lower = (low + c.reg * norm * (1 - 8 * (m + d + 20) * U)) * (1 - 8 * U)
    return lower, upper, misfit, 2 * float(np.max(e, initial=0.0)) + 16 * U * misfit


def path_norm(c: Claim) -> float:
    """Upper bound of the path norm, at most ``2 (m + 2 d + 20)`` roundings above it."""
    net = c.network
    u = np.column_stack([net["weights"], net["biases"]]) if c.bias == "penalized" else net["weights"]
    sizes = inflate(np.abs(u).sum(axis=1), u.shape[1]) if c.norm == "l1" else norms_up(u)
    return float(inflate(sizes @ np.abs(net["output_weights"]), len(sizes) + 2))


def loss_range(c: Claim, low: np.ndarray, high: np.ndarray) -> tuple[float, float, float]:
    """Bounds of the loss when prediction i lies between ``low_i`` and ``high_i``: the loss is convex in each."""
    if c.loss == "interpolation":
        counted = c.weight > 0
        worst = np.maximum(np.abs(low - c.y), np.abs(high - c.y))[counted]
        misfit = float(inflate(np.max(worst, initial=0.0), 4))
        scale = float(np.max(np.abs(c.y))) or 1.0
        return (0.0, 0.0, misfit) if misfit <= c.parameter * scale * (1 - 4 * U) else (math.inf, math.inf, 0.0)
    ends = [loss_terms(c, end) for end in (low, high)]
    slack = 40 * U + LIBM
    top = inflate(float(np.sum(c.weight * np.maximum(ends[0][1], ends[1][1]))), len(c.y) + 4)
    # The loss is flat or monotone away from its minimum, where 0 bounds it.
    crossing = ends[0][2] * ends[1][2] <= 0
    bottom = float(np.sum(c.weight * np.where(crossing, 0.0, np.minimum(ends[0][0], ends[1][0]))))
    return max(0.0, bottom * (1 - 4 * (len(c.y) + 8) * U)), top * (1 + slack), 0.0


def loss_terms(c: Claim, f: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower and upper bounds of the unweighted terms at exact predictions f, and the sign of their slope."""
    if c.loss in ("logistic", "hinge"):
        margin = c.y * f
        if c.loss == "logistic":
            terms = np.maximum(-margin, 0.0) + np.log1p(np.exp(-np.abs(margin)))
            # Below the smallest exponential the term is a positive number that rounding takes for zero.
            return terms * (1 - LIBM), terms * (1 + LIBM) + 1e-300, -c.y
        rest = 1.0 - margin
        terms = np.maximum(0.0, rest)
        return terms * (1 - 4 * U), inflate(terms), np.where(rest > 0, -c.y, 0.0)
    r = f - c.y
    size = np.abs(r)
    if c.loss == "absolute":
        terms = size
    else:
        inner = np.minimum(size, c.parameter) if c.loss == "huber" else size
        terms = 0.5 * inner**2 + (c.parameter * (size - inner) if c.loss == "huber" else 0.0)
    # r carries one rounding, which doubles in its square.
    return terms * (1 - 16 * U), inflate(terms, 8) + 1e-280 * (size > 0), np.sign(r)


def zero_size(c: Claim) -> float:
    """Objectives up to this size cannot be told from zero: what 1024 roundings of each target leave.

    Zero unless the free terms of the network fit the targets that closely by themselves: elsewhere the smallest
    objective is positive, and a small one may be many times the smallest.
    """
    error = 1024 * 2 * U * np.abs(c.y)
    huber = np.where(error <= c.parameter, error**2 / 2, 0.0)
    terms = {"squared": error**2 / 2, "absolute": error, "huber": huber, "hinge": error}
    if c.loss not in terms:
        return 0.0
    size = float(np.sum(c.weight * terms[c.loss]))
    f = c.network["intercept"] + c.X @ c.network["skip"]
    return size if float(np.sum(c.weight * loss_terms(c, f)[1])) <= size else 0.0


# ------------------------------------------------------------------------------------------------------ the dual value
def check_equalities(c: Claim, exact: list[Any]) -> None:
    """``sum(nu) = 0`` and ``X' nu = 0`` where the free terms demand it, in integers."""
    from fractions import Fraction

    nu: list[Any] = c.nu.tolist()
    for index, text in exact:
        nu[index] = Fraction(*fraction(text))
    if c.intercept and not exact and math.fsum(nu) != 0:  # fsum is correctly rounded: zero only for a zero sum
        raise Refuted("the entries of nu do not sum to zero exactly")
    if c.intercept and exact and sum(map(Fraction, nu)) != 0:
        raise Refuted("the entries of nu do not sum to zero exactly")
    if c.skip:
        fractions = [Fraction(value) for value in nu]
        for column in c.X.T.tolist():
            if sum(a * Fraction(b) for a, b in zip(fractions, column, strict=True)) != 0:
                raise Refuted("nu is not exactly orthogonal to the columns of the skip connection")


def largest_scale(c: Claim) -> float:
    """Largest s (rounded down) with s nu in the domain of the conjugate; refuses a nu that no scale brings inside."""
    nu, w = np.abs(c.nu) + c.nu_error, c.weight
    if np.any((w == 0) & (nu != 0)):
        raise Refuted("nu is not zero on a sample of weight zero")
    if c.loss in ("logistic", "hinge") and np.any(c.y * c.nu < 0):
        raise Refuted("nu is outside the domain of the conjugate")
    if c.loss in ("squared", "interpolation"):
        return LARGE
    caps = w * (c.parameter if c.loss == "huber" else 1.0)
    used = nu > 0
    return min(LARGE, float(np.min(caps[used] / nu[used], initial=LARGE)) * (1 - 8 * U))


def dual_value(c: Claim, s: float, misfit: float) -> tuple[float, float]:
    """Lower bound of the dual value at s nu, and what rounding may have taken from it."""
    t = s * c.nu
    n = len(t)
    size = np.abs(t)
    w = np.where(c.weight > 0, c.weight, 1.0)
    if c.loss == "logistic":
        # Entropy is concave: on an interval it is smallest at an end. 1 - q is exact to the same absolute error.
        q = size / w
        e = inflate(q * (8 * U) + s * c.nu_error / w)
        low = np.minimum(entropy(np.maximum(q - e, 0.0)), entropy(np.minimum(q + e, 1.0)))
        terms, spread = c.weight * low, c.weight * (entropy(q) - low)
        total = float(np.sum(terms))
        slack = total * (gamma(n + 8) + 2 * LIBM)
        return total - slack, 2 * slack + float(np.sum(np.abs(spread)))
    terms = t * c.y
    parts = [terms]
    if c.loss in ("squared", "huber"):
        parts.append(-0.5 * t * (t / w))
    if c.loss == "interpolation":
        parts.append(-misfit * size)
    total = math.fsum(np.concatenate(parts))
    slack = inflate(gamma(16) * float(sum(np.sum(np.abs(part)) for part in parts)), 2 * n)
    # Entries stored as fractions: one more rounding each, in the terms and (twice) in the squares.
    moved = s * c.nu_error
    slack += inflate(float(np.sum(moved * (np.abs(c.y) + misfit + 2 * (size + moved) / w))), n + 8)
    return total * (1 - U if total > 0 else 1 + U) - slack, 2 * slack + 2 * U * abs(total)


def entropy(q: np.ndarray) -> np.ndarray:
    inner = (q > 0) & (q < 1)
    p = np.where(inner, q, 0.5)
    return np.where(inner, -p * np.log(p) - (1 - p) * np.log1p(-p), 0.0)


def best_dual(c: Claim, limit: float, misfit: float) -> tuple[float, float, float]:
    """Best lower bound over 0 <= s <= limit: bound, its rounding slack, scale."""
    candidates = [limit]
    t, w = c.nu, np.where(c.weight > 0, c.weight, 1.0)
    if c.loss in ("squared", "huber") and np.any(t):
        unit = t / float(np.max(np.abs(t)))
        best = float(np.sum(unit * c.y)) / float(np.sum(unit * unit / w)) / float(np.max(np.abs(t)))
        candidates.append(min(max(best, 0.0), limit))
    if c.loss == "logistic":
        low, high, ratio = 0.0, limit, (math.sqrt(5) - 1) / 2
        for _ in range(90):
            left, right = high - ratio * (high - low), low + ratio * (high - low)
            if dual_value(c, left, 0.0)[0] >= dual_value(c, right, 0.0)[0]:
                high = right
            else:
                low = left
        candidates.append(0.5 * (low + high))
    best_bound = (0.0, 0.0, 0.0)  # every loss of this format has the dual value 0 at s = 0
    for s in candidates:
        if SMALL < s <= limit:
            value, slack = dual_value(c, s, misfit)
            if value > best_bound[0]:
                best_bound = (value, slack, s)
    return best_bound


# --------------------------------------------------------------------------------------- the functions to be maximised
@dataclass
class Form:
    """``F(u) = linear . u + sum_i weights_i |rows_i u|``; the true function is at most ``F + slack`` on the ball."""

    rows: np.ndarray
    linear: np.ndarray
    weights: np.ndarray
    sizes: np.ndarray
    slack: float
    l1: bool


def read_forms(c: Claim, entries: list[Any]) -> list[tuple[Form, dict[str, Any]]]:
    """The forms of the file; together they must be all that M(nu) is the maximum of."""
    needed = required_forms(c)
    found: list[tuple[Form, dict[str, Any]]] = []
    if len(entries) > 2 * len(c.nu) + 2:
        unreadable("more forms than samples and signs")
    for entry in entries:
        if not isinstance(entry, dict) or not {"kind", "sign", "centre", "merged", "dropped"} <= set(entry):
            unreadable("a form needs kind, sign, centre, merged and dropped")
        sign = integer(entry["sign"], "sign", -1, 1)
        centre = integer(entry["centre"], "centre", -1, len(c.nu) - 1)
        if sign == 0 or (centre >= 0) != (c.bias == "free"):
            raise Refuted("a form has the wrong sign or centre for the bias convention")
        needed.discard((sign, (c.X[centre] + 0.0).tobytes() if centre >= 0 else b""))
        found.append((make_form(c, sign, centre, entry), entry))
    if needed:
        raise Refuted(f"{len(needed)} of the functions that bound M(nu) are missing")
    return found


def required_forms(c: Claim) -> set[tuple[int, bytes]]:
    """Sign and place of every form that can attain M(nu): with free biases, kinks that point down."""
    if c.bias != "free":
        return {(1, b""), (-1, b"")}
    members: dict[bytes, list[int]] = {}
    plain = c.X + 0.0  # -0.0 and 0.0 are one place
    for index in range(len(plain)):
        members.setdefault(plain[index].tobytes(), []).append(index)
    needed = set()
    for indices in members.values():
        jump = math.fsum(c.nu[indices])
        doubt = float(np.sum(c.nu_error[indices]))
        place = plain[indices[0]].tobytes()
        needed |= {(sign, place) for sign in (1, -1) if sign * jump < doubt or sign * jump < 0}
    return needed


def make_form(c: Claim, sign: int, centre: int, entry: dict[str, Any]) -> Form:
    """Recompute a form; what rounding and merging rows change goes into its slack."""
    rows = c.rows if centre < 0 else c.X - c.X[centre]
    n, q = rows.shape
    r, sizes = sign * c.nu, norms_up(rows)
    half = 0.5 * (1 - c.kappa)
    weights, absolute = half * r, np.abs(half * r)
    slack = gamma(2 * n + 2 * q + 20) * float(np.abs(r) @ sizes) * 2 + float(c.nu_error @ sizes) * 2
    gone = ~np.any(rows != 0, axis=1)
    representatives: set[int] = set()
    merged = items(entry["merged"], "merged")
    for item in merged:
        triple = items(item, "merged entry")
        if len(triple) != 3:
            unreadable("merged must hold triples of a sample, its representative and a scale")
        i, rep = integer(triple[0], "sample", 0, n - 1), integer(triple[1], "representative", 0, n - 1)
        scale = number(triple[2], "scale")
        if gone[i] or gone[rep] or i in representatives or i == rep or not 1e-100 <= scale <= 1e100:
            raise Refuted("rows are merged inconsistently")
        representatives.add(rep)
        gone[i] = True
        side = -1.0 if float(rows[i] @ rows[rep]) < 0 else 1.0
        apart = norms_up(rows[i] - (side * scale) * rows[rep]) + gamma(8) * (sizes[i] + scale * sizes[rep])
        part = abs(half * r[i])
        slack += float(part * apart + gamma(2 * n + 20) * part * scale * sizes[rep])
        weights[rep] += half * r[i] * scale
        absolute[rep] += part * scale
    for item in items(entry["dropped"], "dropped"):
        i = integer(item, "dropped", 0, n - 1)
        if gone[i]:
            raise Refuted("a row is dropped twice")
        gone[i] = True
        slack += float((abs(weights[i]) + gamma(n + 8) * absolute[i]) * sizes[i])
    kept = np.flatnonzero(~gone & (weights != 0))
    linear = 0.5 * (1 + c.kappa) * (r @ rows)
    return Form(
        rows[kept], np.where(np.abs(linear) < 1e-120, 0.0, linear), weights[kept], sizes[kept],
        float(inflate(slack, 4 * n + 20)) + 1e-110 * q, c.norm == "l1",
    )  # fmt: skip


def dual_norms(vectors: np.ndarray, form: Form) -> np.ndarray:
    """Upper bounds of ``max_u v . u`` over the unit ball."""
    return np.max(np.abs(vectors), axis=-1, initial=0.0) if form.l1 else norms_up(vectors)


# ----------------------------------------------------------------------------------------------------------- moments
def quadratic_bound(
    A: np.ndarray, eA: np.ndarray, b: np.ndarray, eb: np.ndarray, b0: np.ndarray, mu: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""Upper bounds of ``b0 + mu + b' (mu I - A)^-1 b / 4`` and their rounding parts, for a stack of problems.

    ``eA`` and ``eb`` bound the (Frobenius, Euclidean) errors of A and b; ``b0`` is rounded up already. mu is raised
    where ``mu I - A`` is not safely positive definite.
    """
    q = A.shape[-1]
    eye = np.eye(q)
    A = 0.5 * (A + np.swapaxes(A, 1, 2))
    size = np.sqrt(np.einsum("lij,lij->l", A, A)) * (1 + 1e-10)
    # c bounds eA, the rounding of mu I - A and, twice over, that of its Cholesky factorisation.
    c = inflate(eA + gamma(8 * q + 40) * (q * np.abs(mu) + q * size)) + 1e-200
    smallest = np.linalg.eigvalsh(mu[:, None, None] * eye - A)[:, 0]
    mu = mu + np.maximum(0.0, 8 * c - smallest) * (1 + 1e-9)
    S = mu[:, None, None] * eye - A
    c = inflate(eA + gamma(8 * q + 40) * (q * np.abs(mu) + q * size)) + 1e-200
    proven = positive_definite(S - (4 * c)[:, None, None] * eye)
    z = np.linalg.solve(S + np.where(proven, 0.0, 1.0)[:, None, None] * (size + np.abs(mu) + 1)[:, None, None] * eye,
                        0.5 * b[:, :, None])[:, :, 0]  # fmt: skip
    nz, nb = norms_up(z), norms_up(b)
    sz = np.einsum("lij,lj->li", S, z)
    reach = q * (size + np.abs(mu))  # at least the Frobenius norm of S
    residual = norms_up(b - 2 * sz) + 2 * (eA + gamma(q + 4) * reach) * nz + eb + gamma(q + 4) * nb
    value = np.einsum("li,li->l", z, b - sz)
    error = nz * eb + nz**2 * (eA + gamma(4 * q + 12) * reach) + gamma(2 * q + 12) * nz * nb
    tail = inflate(residual, 12) ** 2 / (8 * c)  # the smallest eigenvalue of the exact matrix is at least 2 c
    total = b0 + mu + value
    slack = inflate(error + tail + gamma(8) * (np.abs(b0) + np.abs(mu) + np.abs(value)), 20)
    bound = np.where(proven & np.isfinite(total) & np.isfinite(slack), total + slack, math.inf)
    return bound + 4 * U * np.abs(bound), 2 * slack


def positive_definite(S: np.ndarray) -> np.ndarray:
    """Whether the Cholesky factorisation of each matrix runs to completion."""
    if not np.isfinite(S).all():
        return np.isfinite(S).all(axis=(1, 2)) & False
    try:
        np.linalg.cholesky(S)
        return np.ones(len(S), dtype=bool)
    except np.linalg.LinAlgError:
        if len(S) == 1:
            return np.zeros(1, dtype=bool)
    half = len(S) // 2
    return np.concatenate([positive_definite(S[:half]), positive_definite(S[half:])])


def check_moment(form: Form, entry: dict[str, Any]) -> tuple[float, float]:
    """One quadratic above F on the sphere: tau for rows of positive weight, a and theta of negative weight, and mu."""
    keys(entry, "moment form", "kind sign centre merged dropped tau a theta mu")
    plus, minus = form.weights > 0, form.weights < 0
    tau = array(entry["tau"], "tau", (int(plus.sum()),))
    a = flushed(array(entry["a"], "a", (int(minus.sum()),)))
    theta = flushed(array(entry["theta"], "theta", (int(minus.sum()),)))
    mu = number(entry["mu"], "mu")
    if np.any(tau <= 0) or np.any(theta < 0) or np.any(np.abs(a) + theta > 1):
        raise Refuted("moment multipliers outside their domain")
    if np.any((tau < SMALL) | (tau > LARGE)) or abs(mu) > LARGE:
        raise Unproven("moment multipliers outside the range of this checker")
    w, h = np.abs(form.weights), form.sizes
    square, slope = np.zeros(len(w)), np.zeros(len(w))
    square[plus] = w[plus] / (2 * tau)
    # The exact sum |a| + theta exceeds 1 by at most u; the factor also covers the roundings below.
    square[minus] = -(w[minus] * theta / h[minus] * (1 - 16 * U))
    slope[minus] = w[minus] * a * (1 - 16 * U)
    constant = inflate(w[plus] ** 2 / (4 * square[plus]), 6)
    N = len(w) + form.rows.shape[1] + 8
    A = np.einsum("ni,n,nj->ij", form.rows, square, form.rows, optimize=True)
    b = form.linear - slope @ form.rows
    eA = inflate(gamma(N) * float(np.abs(square) @ h**2), N)
    eb = inflate(gamma(N) * float(np.abs(slope) @ h + norms_up(form.linear)), N)
    b0 = inflate(float(np.sum(constant)), N)
    one = np.ones(1)
    bound, slack = quadratic_bound(A[None], eA * one, b[None], eb * one, b0 * one, mu * one)
    return float(bound[0]), float(slack[0]) + 16 * N * U * b0


# ------------------------------------------------------------------------------------------------------------- trees
def children_of(internal: np.ndarray, roots: int) -> tuple[np.ndarray, np.ndarray]:
    """Index of the right child of every internal node of a preorder list, and the indices of the roots.

    Raises Refuted unless the list is exactly ``roots`` complete binary trees: nothing missing, nothing left over.
    """
    right = np.full(len(internal), -1, dtype=np.int64)
    starts: list[int] = []
    open_nodes: list[int] = []  # internal nodes whose left subtree is being read
    fresh = True
    for index, branching in enumerate(internal.tolist()):
        if fresh:
            starts.append(index)
            fresh = False
        if branching:
            open_nodes.append(index)
        elif open_nodes:
            right[open_nodes.pop()] = index + 1
        else:
            fresh = True
    if not fresh or len(starts) != roots:
        raise Refuted("the tree does not cover all directions: subtrees are missing or left over")
    return right, np.array(starts, dtype=np.int64)


def independent(matrix: list[list[int]]) -> bool:
    """Whether a square integer matrix is non-singular, by fraction-free elimination."""
    M = [row[:] for row in matrix]
    previous = 1
    for k in range(len(M)):
        pivot = next((i for i in range(k, len(M)) if M[i][k]), None)
        if pivot is None:
            return False
        M[k], M[pivot] = M[pivot], M[k]
        for i in range(k + 1, len(M)):
            M[i] = [(M[k][k] * x - M[i][k] * y) // previous for x, y in zip(M[i], M[k], strict=True)]
        previous = M[k][k]
    return True


# ------------------------------------------------------------------------------------------------------------- cones
def check_cones(form: Form, entry: dict[str, Any]) -> tuple[float, float]:
    """A fan of cones, subdivided; on each leaf a vector g and multipliers alpha with ``F(u) <= g . u``."""
    keys(entry, "cones form", "kind sign centre merged dropped simplex tree g alpha")
    q = form.rows.shape[1]
    simplex = array(entry["simplex"], "simplex", (q + 1, q), "i8")
    tree = array(entry["tree"], "tree", (-1, 4), "i1 u1")
    # Two comparisons: the absolute value of the lowest integer is negative, and sums of such would wrap around.
    if np.any((simplex > 2**40) | (simplex < -(2**40))) or np.any(simplex.sum(axis=0) != 0):
        raise Refuted("the vertices of the simplex must be small and add up to zero")
    if not independent(simplex[1:].tolist()):
        raise Refuted("the simplex is flat: its cones do not cover all directions")
    internal = tree[:, 0] >= 0
    a, b, i, j = tree[internal].T
    if np.any((a >= q) | (b < 0) | (b >= q) | (a == b) | (i < 0) | (j < 0) | (i > 52) | (j > 52)):
        raise Refuted("a cone is split along an edge that it does not have")
    if np.any(tree[~internal] != np.array([-1, 0, 0, 0])):
        unreadable("a leaf of a tree is written -1 0 0 0")
    right, starts = children_of(internal, q + 1)
    G = flushed(array(entry["g"], "g", (int(np.sum(~internal)), q)))
    alphas = read_alphas(form, entry["alpha"], len(G))
    leaf_of = np.cumsum(~internal) - 1
    roots = np.array([np.delete(simplex, k, axis=0) for k in range(q + 1)], dtype=np.float64)
    best, low = 0.0, 0.0
    stack: list[tuple[np.ndarray, np.ndarray]] = [(starts, roots)]
    block = max(1, CHUNK // max(1, q * (len(form.weights) + q)))
    while stack:
        nodes, V = stack.pop()
        if len(nodes) > block:
            stack += [(nodes[block:], V[block:]), (nodes[:block], V[:block])]
            continue
        at = internal[nodes]
        if np.any(~at):
            index = leaf_of[nodes[~at]]
            bounds, plain = cone_bounds(form, V[~at], G[index], index, alphas)
            best, low = max(best, float(np.max(bounds))), max(low, float(np.max(plain)))
        if np.any(at):
            stack.append(split_cones(nodes[at], V[at], tree, right))
    return best, best - low * (1 - 4 * (q + 8) * U)


def split_cones(
    nodes: np.ndarray, V: np.ndarray, tree: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both children of each cone: the vertex ``2^i v_a + 2^j v_b`` takes the place of ``v_a`` or of ``v_b``."""
    a, b, i, j = tree[nodes].T
    count = np.arange(len(nodes))
    fresh = np.ldexp(V[count, a], i[:, None]) + np.ldexp(V[count, b], j[:, None])
    if np.any(np.abs(fresh) >= 2.0**53):
        raise Refuted("a vertex has entries that are no exact integers in double precision")
    left, other = V.copy(), V.copy()
    left[count, a] = fresh
    other[count, b] = fresh
    return np.concatenate([nodes + 1, right[nodes]]), np.concatenate([left, other])


def read_alphas(form: Form, value: Any, leaves: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overrides of the multipliers, sorted by leaf."""
    entry = keys(value, "alpha", "leaf row value")
    leaf = array(entry["leaf"], "alpha.leaf", (-1,), "i4")
    row = array(entry["row"], "alpha.row", leaf.shape, "i4")
    values = flushed(array(entry["value"], "alpha.value", leaf.shape))
    if np.any((leaf < 0) | (leaf >= leaves) | (row < 0) | (row >= len(form.weights))):
        raise Refuted("a multiplier belongs to no leaf or no row")
    if np.any(np.diff(leaf) < 0):
        unreadable("alpha.leaf must be sorted")
    w = form.weights[row]
    # The weights of the writer and of this program may differ in the last digits: clip what exceeds by rounding.
    if np.any(w >= 0) or np.any(np.abs(values) > np.abs(w) * (1 + 1e-9)):
        raise Refuted("a multiplier lies outside its interval")
    return leaf, row, np.clip(values, w, -w)


def cone_bounds(
    form: Form, V: np.ndarray, G: np.ndarray, index: np.ndarray, alphas: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Proven bounds ``||g||`` of leaves with vertices V, g repaired where rounding spoils it; ``||g||`` as given."""
    L, q, _ = V.shape
    w = form.weights
    plus, minus = w > 0, w < 0
    alpha = np.where(minus, -w, 0.0) * np.sign(G @ form.rows.T)
    leaf, row, value = alphas
    for position, number_ in enumerate(index):
        part = slice(*np.searchsorted(leaf, [number_, number_ + 1]))
        alpha[position, row[part]] = value[part]
    flat = V.reshape(-1, q)
    convex = (np.abs(flat @ form.rows[plus].T) @ w[plus] + flat @ form.linear).reshape(L, q)
    needed = convex - np.einsum("lkj,lj->lk", V, alpha @ form.rows)
    size = inflate(np.abs(w) @ np.abs(form.rows) + np.abs(form.linear), len(w) + 4)
    plain = dual_norms(G, form)
    scale = np.einsum("lkj,lkj->lk", V, V) ** 0.5
    for _ in range(4):
        e = inflate(gamma(len(w) + 2 * q + 10) * np.einsum("lkj,lj->lk", np.abs(V), size + np.abs(G)), q + 4)
        missing = needed - np.einsum("lkj,lj->lk", V, G) + e + 1e-250
        bad = ~np.all(missing <= 0, axis=1)
        if not bad.any():
            return dual_norms(G, form), plain
        G = G.copy()
        G[bad] += push(V[bad] / scale[bad][:, :, None], 2 * np.maximum(missing[bad], 0.0) / scale[bad])
    return np.where(bad, math.inf, dual_norms(G, form)), plain


def push(V: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A vector h with ``h . v_k`` about ``target_k`` for all k; a suggestion, the inequalities are tested again."""
    try:
        return np.linalg.solve(V, target[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        if len(V) == 1:
            return np.linalg.lstsq(V[0], target[0], rcond=None)[0][None]
    return np.concatenate([push(V[k : k + 1], target[k : k + 1]) for k in range(len(V))])


# ------------------------------------------------------------------------------------------------------------- slabs
@dataclass
class Slabs:
    """Slabs ``low <= a . u <= high`` along the paths to the nodes of one depth, oldest first, and the row ranges."""

    nodes: np.ndarray
    a: np.ndarray
    low: np.ndarray
    high: np.ndarray
    bottom: np.ndarray
    top: np.ndarray

    def take(self, which: np.ndarray | slice) -> Slabs:
        return Slabs(*(getattr(self, name)[which] for name in ("nodes", "a", "low", "high", "bottom", "top")))


@dataclass
class SlabTree:
    """A subdivision of the sphere by slabs with the state of its leaves."""

    internal: np.ndarray
    right: np.ndarray
    number_of: np.ndarray
    sweeps: int
    a: np.ndarray
    ends: np.ndarray
    u: np.ndarray
    matrix: np.ndarray
    smoothing: np.ndarray
    mu: np.ndarray
    cut_start: np.ndarray
    cut_p: np.ndarray
    cut_q: np.ndarray
    cut_value: np.ndarray


def check_slabs(form: Form, entry: dict[str, Any]) -> tuple[float, float]:
    """A subdivision of the sphere by slabs; on each leaf one quadratic above F, derived from the leaf's state."""
    tree = read_slabs(form, entry)
    n, q = form.rows.shape
    pairs = form.rows[:, pairs_of(q)[0]] * form.rows[:, pairs_of(q)[1]]
    none = np.zeros((1, 0))
    stack = [Slabs(np.zeros(1, int), np.zeros((1, 0, q)), none, none, -form.sizes[None], form.sizes[None])]
    best, slack = 0.0, 0.0
    block = max(1, CHUNK // max(1, n * (q + 8)))
    while stack:
        part = stack.pop()
        if len(part.nodes) > block:
            stack += [part.take(slice(block, None)), part.take(slice(block))]
            continue
        if part.a.shape[1]:
            tighten(form, part, tree.sweeps)
        at = tree.internal[part.nodes]
        if np.any(~at):
            bounds, errors = slab_bounds(form, tree, part.take(~at), pairs)
            best, slack = max(best, float(np.max(bounds))), max(slack, float(np.max(errors)))
        if np.any(at):
            stack.append(split_slabs(tree, part.take(at)))
    return best, slack


def pairs_of(q: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the upper triangle, row by row."""
    return np.triu_indices(q)


def read_slabs(form: Form, entry: dict[str, Any]) -> SlabTree:
    names = "kind sign centre merged dropped sweeps tree a ends u matrix smoothing mu counts p q value"
    keys(entry, "slabs form", names)
    d = form.rows.shape[1]
    tree = array(entry["tree"], "tree", (-1,), "u1")
    if np.any(tree > 1):
        unreadable("the tree of slabs is written with 0 and 1")
    internal = tree == 1
    right, _ = children_of(internal, 1)
    splits, leaves = int(np.sum(internal)), int(np.sum(~internal))
    counts = array(entry["counts"], "counts", (leaves,), "i4")
    if np.any(counts < 0):
        unreadable("counts must not be negative")
    shape = (int(counts.sum()),)
    p, q = array(entry["p"], "p", shape, "u1 u2"), array(entry["q"], "q", shape, "u1 u2")
    value = flushed(array(entry["value"], "value", shape))
    levels = depths(internal, right)[~internal]
    if int(levels.max()) > DEEPEST:
        unreadable("the tree of slabs is too deep")
    sides = np.repeat(2 * levels, counts)
    smoothing = array(entry["smoothing"], "smoothing", (leaves,))
    if np.any(value < 0) or np.any((p >= sides) | (q >= sides)) or np.any(smoothing <= 0):
        raise Refuted("a cut has a negative multiplier or belongs to no slab of its leaf")
    ends = array(entry["ends"], "ends", (splits, 3))
    if np.any(np.diff(ends, axis=1) < 0) or np.any(np.abs(ends) > LARGE):
        raise Refuted("a slab has low > middle or middle > high")
    mu = array(entry["mu"], "mu", (leaves,))
    if np.any(np.abs(mu) > 1e120):
        raise Unproven("a multiplier is larger than 1e120")
    return SlabTree(
        internal, right, np.where(internal, np.cumsum(internal), np.cumsum(~internal)) - 1,
        integer(entry["sweeps"], "sweeps", 1, 9), flushed(array(entry["a"], "a", (splits, d))), flushed(ends),
        flushed(array(entry["u"], "u", (leaves, d), "f8 f4")),
        flushed(array(entry["matrix"], "matrix", (leaves, d * (d + 1) // 2), "f8 f4")),
        smoothing, mu, np.concatenate([[0], np.cumsum(counts)]), p, q, value,
    )  # fmt: skip


def depths(internal: np.ndarray, right: np.ndarray) -> np.ndarray:
    depth = np.zeros(len(internal), dtype=np.int64)
    for index, branching in enumerate(internal.tolist()):
        if branching:
            depth[index + 1] = depth[right[index]] = depth[index] + 1
    return depth


def split_slabs(tree: SlabTree, part: Slabs) -> Slabs:
    """The two children of each node, once ``[low, high]`` is proven to hold the range of ``a . u`` over the node."""
    number_of = tree.number_of[part.nodes]
    a, cuts = tree.a[number_of][:, None, :], tree.ends[number_of]
    top, bottom = reach(a, part, tree.sweeps)[:, 0], -reach(-a, part, tree.sweeps)[:, 0]
    if not np.all((bottom >= cuts[:, 0]) & (top <= cuts[:, 2])):
        raise Refuted("a slab is narrower than the range that it divides")
    nodes = np.concatenate([part.nodes + 1, tree.right[part.nodes]])
    return Slabs(
        nodes, np.concatenate([np.concatenate([part.a, a], axis=1)] * 2),
        np.concatenate([np.column_stack([part.low, cuts[:, 0]]), np.column_stack([part.low, cuts[:, 1]])]),
        np.concatenate([np.column_stack([part.high, cuts[:, 1]]), np.column_stack([part.high, cuts[:, 2]])]),
        np.concatenate([part.bottom] * 2), np.concatenate([part.top] * 2),
    )  # fmt: skip


def reach(rows: np.ndarray, part: Slabs, sweeps: int) -> np.ndarray:
    r"""Upper bounds of ``x . u`` over the unit vectors of each node, for rows x of shape (B, r, q).

    For any beta, ``x . u <= ||x - sum beta_k a_k|| + sum max(beta_k low_k, beta_k high_k)``; beta by coordinate
    sweeps, the newest slab first.
    """
    r, q = rows.shape[1:]
    B, K = part.a.shape[:2]
    beta = np.zeros((B, r, K))
    y = np.array(np.broadcast_to(rows, (B, r, q)))
    for _ in range(sweeps):
        for k in range(K - 1, -1, -1):
            a, low, high = part.a[:, k], part.low[:, k, None], part.high[:, k, None]
            old = beta[:, :, k]
            inner = np.einsum("brq,bq->br", y, a)
            g = inner + old
            p = np.sqrt(np.maximum(np.einsum("brq,brq->br", y, y) + 2 * old * inner + old**2 - g**2, 0.0))
            n2 = np.sqrt(g**2 + p**2)
            with np.errstate(invalid="ignore", divide="ignore"):
                above = np.maximum(0.0, g - p * high / np.sqrt(1 - high**2))
                below = np.minimum(0.0, g - p * low / np.sqrt(1 - low**2))
            new = np.where(g > high * n2, np.where(high < 1, above, 0.0), np.where(g < low * n2, below, 0.0))
            new = np.where(np.isfinite(new) & (np.abs(new) > 1e-120), new, 0.0)
            y += (old - new)[:, :, None] * a[:, None, :]
            beta[:, :, k] = new
    y = rows - np.einsum("brk,bkq->brq", beta, part.a)
    shift = np.sum(np.maximum(beta * part.low[:, None, :], beta * part.high[:, None, :]), axis=2)
    ends = np.maximum(np.abs(part.low), np.abs(part.high)) + norms_up(part.a)
    size = norms_up(rows) + np.einsum("brk,bk->br", np.abs(beta), ends)
    return norms_up(y) + shift + inflate(gamma(2 * K + q + 12) * size, K + q) + 1e-200


def tighten(form: Form, part: Slabs, sweeps: int) -> None:
    """Intersect the ranges of the rows with what the slabs of each node allow."""
    both = np.concatenate([form.rows, -form.rows])[None]
    found = reach(both, part, sweeps)
    n = len(form.rows)
    top, bottom = np.minimum(part.top, found[:, :n]), np.maximum(part.bottom, -found[:, n:])
    open_ = (part.bottom < 0) & (part.top > 0) & (bottom <= top)  # an empty node keeps the range of its parent
    part.top, part.bottom = np.where(open_, top, part.top), np.where(open_, bottom, part.bottom)


def slab_bounds(form: Form, tree: SlabTree, part: Slabs, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Proven bounds of the leaves: one quadratic per row, the slabs as cuts, one bordered matrix."""
    index = tree.number_of[part.nodes]
    q = form.rows.shape[1]
    w = form.weights
    double = np.where(pairs_of(q)[0] == pairs_of(q)[1], 1.0, 2.0)
    t, square = tree.u[index] @ form.rows.T, (tree.matrix[index] * double) @ pairs.T
    c2, c1 = coefficients(w, t, square, part.bottom, part.top, tree.smoothing[index][:, None])
    decided = (part.bottom >= 0) | (part.top <= 0)
    k2 = flushed(np.where(decided, 0.0, np.abs(w) * c2)) * np.sign(w)
    # The slope of a decided row is no multiplier: it must not be flushed.
    k1 = np.where(decided, np.where(part.bottom >= 0, w, -w), flushed(np.where(decided, 0.0, w * c1)))
    k0 = np.where(decided, 0.0, constants(w, np.abs(k2), k1 * np.sign(w), part.bottom, part.top))
    cuts = cut_terms(tree, part, index)
    N = len(w) + int(np.max(np.diff(tree.cut_start)[index])) + q + 12
    A = np.zeros((len(index), q, q))
    A[:, pairs_of(q)[0], pairs_of(q)[1]] = A[:, pairs_of(q)[1], pairs_of(q)[0]] = k2 @ pairs
    A += cuts[0]
    b = form.linear + k1 @ form.rows + cuts[1]
    b0 = np.sum(k0, axis=1) + cuts[2]
    eA = inflate(gamma(N) * (np.abs(k2) @ form.sizes**2 + cuts[3]), N) + 1e-200
    eb = inflate(gamma(N) * (norms_up(form.linear) + np.abs(k1) @ form.sizes + cuts[4]), N)
    e0 = inflate(gamma(N) * (np.sum(np.abs(k0), axis=1) + cuts[5]), N) + 1e-200
    bounds, errors = quadratic_bound(A, eA, b, eb, b0 + e0, tree.mu[index])
    return bounds, errors + 2 * e0


def cut_terms(tree: SlabTree, part: Slabs, index: np.ndarray) -> tuple[np.ndarray, ...]:
    """Quadratic, linear and constant part of ``sum N s_p(u) s_q(u)`` per leaf, then the sums of their absolute values.

    Side 2k of slab k is ``a_k . u - low_k >= 0``, side 2k + 1 is ``high_k - a_k . u >= 0``; products with a multiplier
    ``N >= 0`` may be added to a function that is to be bounded from above on the node.
    """
    counts = np.diff(tree.cut_start)[index]
    leaf = np.repeat(np.arange(len(index)), counts)
    offset = np.arange(len(leaf)) - np.repeat(np.cumsum(counts) - counts, counts)
    entry = np.repeat(tree.cut_start[:-1][index], counts) + offset
    N, sides = tree.cut_value[entry], []
    for number_ in (tree.cut_p[entry], tree.cut_q[entry]):
        slab, upper = np.divmod(number_, 2)
        vectors = np.where(upper[:, None] == 1, -1.0, 1.0) * part.a[leaf, slab]
        sides.append((vectors, np.where(upper == 1, part.high[leaf, slab], -part.low[leaf, slab])))
    (ap, bp), (aq, bq) = sides
    L, d = len(index), part.a.shape[2]
    found = [np.zeros((L, d, d)), np.zeros((L, d)), np.zeros(L), np.zeros(L), np.zeros(L), np.zeros(L)]
    np.add.at(found[0], leaf, 0.5 * (N[:, None] * ap)[:, :, None] * aq[:, None, :])
    np.add.at(found[0], leaf, 0.5 * (N[:, None] * aq)[:, :, None] * ap[:, None, :])
    np.add.at(found[1], leaf, (N * bq)[:, None] * ap + (N * bp)[:, None] * aq)
    np.add.at(found[2], leaf, N * bp * bq)
    np_, nq = norms_up(ap), norms_up(aq)
    np.add.at(found[3], leaf, 2 * N * np_ * nq)
    np.add.at(found[4], leaf, 2 * N * (np.abs(bq) * np_ + np.abs(bp) * nq))
    np.add.at(found[5], leaf, 2 * N * np.abs(bp * bq))
    return tuple(found)


def coefficients(
    w: np.ndarray, t: np.ndarray, q: np.ndarray, low: np.ndarray, high: np.ndarray, smoothing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Leading coefficients (c2, c1) of a quadratic near ``|t|`` on [low, high], as the search chose them.

    Only a suggestion: :func:`constants` finds the constant that makes the quadratic a bound.
    """
    with np.errstate(all="ignore"):
        W = high - low
        q = np.maximum(q, (1e-6 * W) ** 2)
        L, small = -low, np.minimum(-low, high)
        right = np.where(t - low <= 1e-12 * W, high, np.clip((q - low * t) / (t - low), L, high))
        left = np.where(high - t <= 1e-12 * W, L, np.clip((q - high * t) / (high - t), high, L))
        k_right, k_left = 2 * L / (right + L) ** 2, 2 * high / (left + high) ** 2
        c2 = np.where(high >= L, k_right, k_left)
        c1 = np.where(high >= L, 1 - 2 * k_right * right, 2 * k_left * left - 1)
        inside = q <= small**2
        c2, c1 = np.where(inside, 0.5 / np.sqrt(q), c2), np.where(inside, 0.0, c1)
        chord = q >= (low + high) * t - low * high
        c2, c1 = np.where(chord, 0.0, c2), np.where(chord, (high + low) / W, c1)
        v = np.stack([t, -t, (2 * q - (low + high) * t) / W])
        p = np.exp((v - v.max(axis=0)) / (0.5 * smoothing * W))
        p /= p.sum(axis=0)
        c2 = np.where(w > 0, c2, 2 * p[2] / W)
        c1 = np.where(w > 0, c1, p[0] - p[1] - p[2] * (low + high) / W)
    return np.where(np.isfinite(c2), np.maximum(c2, 0.0), 0.0), np.where(np.isfinite(c1), c1, 0.0)


def constants(w: np.ndarray, k2: np.ndarray, k1: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Least constants, rounded up, with ``w |t| <= +-(k2 t^2 + k1 t) + constant`` on [low, high], ``low < 0 < high``.

    The sign is that of w, ``k2 >= 0``. On each side of zero ``phi(s) = beta s - k2 s^2`` with ``beta = |w| -+ k1``;
    for w > 0 its largest value counts, at the vertex or at the end, for w < 0 its smallest, at 0 or at the end.
    """
    size = np.abs(w)
    largest, smallest = np.zeros(np.shape(k1)), np.zeros(np.shape(k1))
    for side, end in ((1.0, high), (-1.0, -low)):
        beta = size - side * k1
        error = gamma(12) * end * (size + np.abs(k1) + k2 * end)
        value = end * (beta - k2 * end)
        vertex = inflate((np.maximum(beta, 0.0) + 2 * U * (size + np.abs(k1))) ** 2 / np.where(k2 > 0, 4 * k2, 1.0), 8)
        inner = (k2 > 0) & (beta <= 2 * k2 * end * (1 + 1e-9))
        largest = np.maximum(largest, np.where(inner & (beta > -2 * U * (size + np.abs(k1))), vertex, value + error))
        smallest = np.minimum(smallest, value - error)
    return np.where(w > 0, largest, -smallest)


# ------------------------------------------------------------------------------------------------------------- cells
def check_cells(c: Claim, entry: dict[str, Any]) -> tuple[float, float, int]:
    """Every cell of the arrangement by one interior witness (its antipode stands for another cell) and multipliers."""
    keys(entry, "cells", "kind witnesses integers counts rows values")
    E = c.rows
    used = np.flatnonzero(np.any(E != 0, axis=1))
    q = E.shape[1]
    witnesses = array(entry["witnesses"], "witnesses", (-1, q), "f8 f4")
    P = len(witnesses)
    signs = witness_signs(E[used], witnesses, read_integers(entry["integers"], P, q))
    expected = regions(E[used])
    distinct = count_distinct(signs)
    if used.size and (distinct != P or expected != 2 * P):
        raise Refuted(f"{P} witnesses in {distinct} pairs of opposite cells; the arrangement has {expected} cells")
    counts = array(entry["counts"], "counts", (P, 4), "u1")
    total = int(counts.sum())
    index = array(entry["rows"], "rows", (total,), "u2 i4")
    values = flushed(array(entry["values"], "values", (total,), "f8 f4"))
    if np.any((index < 0) | (index >= len(E))) or np.any(values < 0):
        raise Refuted("multipliers of a cell must belong to a row and must not be negative")
    best, slack, position = 1e-150, 0.0, 0
    step = max(1, CHUNK // max(1, len(E)))
    for start in range(0, P, step):
        block = slice(start, start + step)
        size = int(counts[block].sum())
        part = slice(position, position + size)
        position += size
        hi, error = cell_bounds(c, used, signs[block], counts[block], index[part], values[part])
        best, slack = max(best, hi), max(slack, error)
    return best, slack, 2 * P


def read_integers(value: Any, P: int, q: int) -> dict[int, list[int]]:
    """Exact witnesses of cells too thin for double precision, written as decimal texts."""
    found: dict[int, list[int]] = {}
    for item in items(value, "integers"):
        pair = items(item, "integers entry")
        if len(pair) != 2 or len(items(pair[1], "witness")) != q:
            unreadable("integers must hold pairs of a cell and its witness")
        texts = [text_of(entry, "witness entry") for entry in pair[1]]
        if not all(t.removeprefix("-").isascii() and t.removeprefix("-").isdigit() for t in texts):
            unreadable("a witness must be made of integers")
        found[integer(pair[0], "cell", 0, P - 1)] = [int(t) for t in texts]
    return found


def witness_signs(E: np.ndarray, witnesses: np.ndarray, exact: dict[int, list[int]]) -> np.ndarray:
    """Exact signs (P, n) of ``E @ witness`` as booleans; a witness on a hyperplane is refused."""
    from fractions import Fraction

    signs = np.empty((len(witnesses), len(E)), dtype=bool)
    step, doubts = max(1, CHUNK // max(1, len(E))), 0
    rows: dict[int, list[Fraction]] = {}
    for start in range(0, len(witnesses), step):
        block = witnesses[start : start + step]
        product = block @ E.T
        signs[start : start + step] = product > 0
        doubtful = ~(np.abs(product) > gamma(E.shape[1] + 4) * (np.abs(block) @ np.abs(E.T)) + 1e-300)
        doubtful[[p - start for p in exact if start <= p < start + step]] = True
        doubts += int(doubtful.sum())
        if doubts > 2_000_000:
            raise Unproven("too many witnesses lie within rounding of a hyperplane")
        for p, i in zip(*(where.tolist() for where in np.nonzero(doubtful)), strict=True):
            if i not in rows:
                rows[i] = [Fraction(x) for x in E[i].tolist()]
            point: list[Any] = exact.get(p + start) or [Fraction(x) for x in block[p].tolist()]
            value = sum(a * b for a, b in zip(rows[i], point, strict=True))
            if value == 0:
                raise Refuted("a witness lies on a hyperplane")
            signs[p + start, i] = value > 0
    return signs


def count_distinct(signs: np.ndarray) -> int:
    """Number of distinct sign vectors up to an overall sign."""
    if not signs.size:
        return 0
    packed = np.packbits(signs ^ ~signs[:, :1], axis=1)
    return len(np.unique(np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1])))))


def regions(E: np.ndarray) -> int:
    """Number of cells of the arrangement of the hyperplanes ``x_i . u = 0``, exactly."""
    powers = [[(int(m * 2**53), e) for m, e in map(math.frexp, row)] for row in E.tolist()]
    lowest = [min((row[k][1] for row in powers if row[k][0]), default=0) for k in range(E.shape[1])]
    lines = {reduced([m << (e - low) if m else 0 for (m, e), low in zip(row, lowest, strict=True)]) for row in powers}
    q = E.shape[1]
    if math.comb(len(lines), max(q - 1, 1)) > 300_000_000:
        raise Unproven("too many hyperplanes to count the cells")
    return count_regions(sorted(lines))


def reduced(row: list[int]) -> tuple[int, ...]:
    """A hyperplane's integer normal without common divisor, the first non-zero entry positive."""
    divisor = math.gcd(*row)
    lead = next(value for value in row if value)
    divisor = divisor if lead > 0 else -divisor
    return tuple(value // divisor for value in row)


def count_regions(lines: list[tuple[int, ...]]) -> int:
    """A new hyperplane adds as many cells as the earlier ones cut it into."""
    if not lines:
        return 1
    if len(lines[0]) <= 2:
        return 2 * len(lines)
    total = 1
    for i, row in enumerate(lines):
        k = min((abs(v), k) for k, v in enumerate(row) if v)[1]
        rest = [j for j in range(len(row)) if j != k]
        inside = {reduced([other[j] * row[k] - row[j] * other[k] for j in rest]) for other in lines[:i]}
        total += count_regions(sorted(inside))
    return total


def cell_bounds(
    c: Claim, used: np.ndarray, signs: np.ndarray, counts: np.ndarray, index: np.ndarray, values: np.ndarray
) -> tuple[float, float]:
    """Largest proven bound over a block of cells, their antipodes and both signs of nu; and its rounding part."""
    E = c.rows
    P, n, q = len(signs), *E.shape
    active = np.zeros((P, n), dtype=bool)
    active[:, used] = signs
    forward = np.where(active, c.nu, c.kappa * c.nu) @ E
    backward = np.where(active, c.kappa * c.nu, c.nu) @ E
    residual = np.stack([forward, -forward, backward, -backward], axis=1)
    cell, kind = np.divmod(np.repeat(np.arange(4 * P), counts.ravel()), 4)
    side = np.where(active[cell, index] == (kind < 2), 1.0, -1.0)
    added, size = np.zeros_like(residual), np.zeros_like(residual)
    np.add.at(added, (cell, kind), (side * values)[:, None] * E[index])
    np.add.at(size, (cell, kind), values[:, None] * np.abs(E[index]))
    residual += added
    size += np.abs(c.nu) @ np.abs(E)
    error = inflate(gamma(n + 270) * size + c.nu_error @ np.abs(E), n + 270) + 1e-200
    extra: Any = 0.0
    if c.bias == "free":
        # For ||w|| <= 1 the function of b is constant beyond the kinks, which lie in |b| <= max ||x_i||.
        widest = float(np.max(norms_up(c.X)))
        extra = inflate((np.abs(residual[:, :, -1]) + error[:, :, -1]) * widest)
        residual, error = residual[:, :, :-1], error[:, :, :-1]
    if c.norm == "l1":
        plain, spread = np.max(np.abs(residual), axis=-1), np.max(error, axis=-1)
    else:
        plain, spread = norms_up(residual), norms_up(error)
    total = inflate(plain + spread + extra, 4)
    slack = inflate(2 * spread + extra + 64 * q * U * plain)
    return float(np.max(total, initial=0.0)), float(np.max(slack, initial=0.0))


# ----------------------------------------------------------------------------------------------------------- verdict
CHECKS = {"cones": check_cones, "moment": check_moment, "slabs": check_slabs}


def pricing_bound(c: Claim, proof: Any) -> tuple[float, float, str]:
    """Upper bound of ``M(nu)``, its slack, and the method in words."""
    kind = choice(proof.get("kind") if isinstance(proof, dict) else None, "proof.kind", ("cells", "mixed", *CHECKS))
    if kind == "cells":
        bound, slack, cells = check_cells(c, proof)
        return bound, slack, f"{cells} cells"
    keys(proof, "proof", "kind forms")
    best, slack = 1e-150, 0.0
    for form, entry in read_forms(c, items(proof["forms"], "forms")):
        own = choice(entry["kind"], "form.kind", CHECKS)
        if kind not in ("mixed", own):
            raise Refuted(f"a form of kind {own} in a proof of kind {kind}")
        bound, error = CHECKS[own](form, entry)
        if not bound < math.inf:
            raise Refuted(f"multipliers of a form (sign {entry['sign']}, centre {entry['centre']}) prove nothing")
        best, slack = max(best, bound + form.slack), max(slack, error + 2 * form.slack)
    return float(inflate(best)), slack + 16 * U * best, f"{len(proof['forms'])} forms by {kind}"


def check_document(document: dict[str, Any], data: dict[str, np.ndarray] | None, report: Report) -> None:
    """Verify a parsed file; the report is filled in as far as the check gets."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        c = read_claim(document, data)
        report.tol = c.tol
        low, report.upper, report.misfit, doubt = objective(c)
        report.upper_slack = report.upper - low if math.isfinite(low) else 0.0
        check_equalities(c, document["nu_exact"])
        domain = largest_scale(c)
        bound, slack, report.kind = pricing_bound(c, document["proof"])
        limit = min(domain, LARGE, c.reg / bound * (1 - 8 * U))
        report.pricing_bound = bound
        report.lower, lost, report.scale = best_dual(c, limit, report.misfit)
        # What M was rounded up by lowers s, and the concave dual value by at most that share of its slope at zero.
        steepest = float(np.sum(np.abs(c.nu) * (np.abs(c.y) + (40.0 if c.loss == "logistic" else report.misfit))))
        report.lower_slack = lost + report.scale * steepest * (slack / bound + 64 * U)
        if c.loss == "interpolation":
            report.lower_slack += report.scale * float(np.sum(np.abs(c.nu))) * doubt
    judge(c, report)


def judge(c: Claim, report: Report) -> None:
    """The rules of the package: certified if and only if ``upper - lower <= tol * upper``."""
    upper, lower = report.upper, report.lower
    if lower > upper:
        raise Refuted("the bounds contradict each other")
    if math.isfinite(upper):
        zero = upper <= zero_size(c)
        report.gap = 0.0 if zero or upper == 0 else float(inflate((upper - lower) / upper))
    report.certified = report.gap <= c.tol
    report.verdict = "certified" if report.certified else "not proven"
    report.exit_code = 0 if report.certified else 2
    if not math.isfinite(upper):
        report.lines.append("the network does not fit the targets: its objective is infinite")


def check_text(text: str, data: dict[str, np.ndarray] | None = None) -> Report:
    """Check the text of a proof file; never raises on a bad one."""
    start, report = time.perf_counter(), Report()
    try:
        check_document(parse(text), data, report)
    except Stopped as error:
        report.exit_code = error.code
        report.verdict = {64: "unreadable", 1: "refuted", 2: "not proven"}[error.code]
        report.certified = False
        report.lines.append(str(error))
    except (MemoryError, OverflowError, RecursionError) as error:
        report.exit_code, report.verdict = 64, "unreadable"
        report.lines.append(f"too large for this program: {type(error).__name__}")
    report.seconds = time.perf_counter() - start
    report.lines = summary(report) + report.lines
    return report


def summary(r: Report) -> list[str]:
    words = {
        "certified": "CERTIFIED: no network of any width is better by more than the gap.",
        "not proven": "NOT PROVEN: the file does not show the tolerance it states.",
        "refuted": "REFUTED: the file contradicts itself or its data.",
        "unreadable": "UNREADABLE: this is no proof file that this program reads.",
    }
    lines = [words[r.verdict]]
    if math.isfinite(r.pricing_bound):
        lines.append(f"  objective of the network          <= {r.upper!r}")
        lines.append(f"  objective of every network        >= {r.lower!r}")
        lines.append(f"  relative gap                      <= {r.gap:.3e}, tolerance {r.tol:.3e}")
        lines.append(f"  M(nu) <= {r.pricing_bound!r} by {r.kind}; checked in floating point, rounding included")
        if r.misfit > 0:
            lines.append(f"  over networks with residuals up to {r.misfit!r}")
    return lines


def check_file(path: str, data: dict[str, np.ndarray] | None = None) -> Report:
    """Check a proof file; ``data`` holds X, y and perhaps sample_weight if the file does not embed them."""
    try:
        if Path(path).exists() and not Path(path).is_file():  # a device or pipe may never end
            return Report(lines=["UNREADABLE: not a regular file"])
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError, MemoryError) as error:
        return Report(lines=[f"UNREADABLE: {str(error)[:200]}"])
    return check_text(text, data)


class Arguments(argparse.ArgumentParser):
    """Wrong usage ends with 64: the parser's own 2 would read as "not proven"."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    parser = Arguments(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("proof", help="proof file (JSON)")
    parser.add_argument("--data", help="npz file with X, y and perhaps sample_weight, if the proof does not embed them")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    try:
        data = None if options.data is None else load_npz(options.data)
        report = check_file(options.proof, data)
    except Unreadable as error:
        report = Report(lines=[f"UNREADABLE: {error}"])
    if options.json:
        plain = {k: repr(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(report).items()}
        print(json.dumps(plain))
    else:
        print("\n".join(report.lines))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
