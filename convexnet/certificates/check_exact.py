#!/usr/bin/env python3
r"""Check a proof file in exact arithmetic: integers, fractions, integer square roots; standard library only.

Runs alone: ``python check_exact.py proof.json [--data data.npz] [--json]``. Exit codes: 0 certified, 1 refuted or
tampered with, 2 valid but not proven to the tolerance, 64 unreadable file or wrong usage.

Claim: every network of any width has objective ``>= lower``, and the network of the file has objective ``<= upper``.
Sums and products are exact; square roots and quotients are rounded in the safe direction at 160 bits or more; ``exp``
and ``log`` come from ``decimal``, whose results are correctly rounded. Double precision is used only to *guess*
multipliers where any multiplier is admissible. The formulas are those of the page "Checking a proof" of the
documentation, written independently of ``check_float.py``.
"""

from __future__ import annotations

import argparse
import ast
import base64
import binascii
import decimal
import hashlib
import json
import math
import struct
import sys
import time
import zipfile
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from itertools import accumulate
from operator import mul
from pathlib import Path
from typing import Any, NoReturn

Row = tuple[int, ...]
BITS = 160
SIZES = {"f8": ("d", 8), "f4": ("f", 4), "i8": ("q", 8), "i4": ("i", 4), "i1": ("b", 1), "u1": ("B", 1), "u2": ("H", 2)}
PARAMETERS = {"huber": "delta", "interpolation": "tol"} | dict.fromkeys(("squared", "absolute", "logistic", "hinge"))
HEAD = {"kind", "sign", "centre", "merged", "dropped"}
BIGGEST = Fraction(10) ** 100
CONTEXT = decimal.Context(prec=60, rounding=decimal.ROUND_HALF_EVEN, Emin=-(10**9), Emax=10**9)
NEARLY = Fraction(1, 10**45)


class End(Exception):
    """The check ended early: exit code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass
class Report:
    """What was verified; the bounds hold exactly, as printed."""

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
    checker: str = "exact"
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)


def malformed(reason: str) -> NoReturn:
    raise End(64, reason)


def require(condition: Any, reason: str, code: int = 1) -> None:
    if not condition:
        raise End(code, reason)


# ---------------------------------------------------------------------------------------------- numbers rounded safely
def up(value: Fraction, bits: int = BITS) -> Fraction:
    """A dyadic number of few digits, at least ``value``."""
    p, q = value.numerator, value.denominator
    shift = bits - abs(p).bit_length() + q.bit_length()
    if shift >= 0:
        return Fraction(-((-p << shift) // q), 1 << shift)
    return Fraction(-(-p // (q << -shift)) << -shift)


def down(value: Fraction, bits: int = BITS) -> Fraction:
    return -up(-value, bits)


def root_up(square: Fraction) -> Fraction:
    """At least the square root of a number >= 0, to about 160 bits."""
    p, q = square.numerator, square.denominator
    if p == 0:
        return Fraction(0)
    shift = max(0, BITS - (p.bit_length() - q.bit_length()) // 2)
    return Fraction(math.isqrt((p << (2 * shift)) // q) + 1, 1 << shift)


def float_up(value: Fraction) -> float:
    """The nearest double that is not below ``value``."""
    try:
        result = float(value)
    except OverflowError:
        return math.inf if value > 0 else -sys.float_info.max
    return result if Fraction(result) >= value else math.nextafter(result, math.inf)


def float_down(value: Fraction) -> float:
    return -float_up(-value)


def integers(values: list[Fraction]) -> tuple[list[int], int]:
    """Numerators over one common denominator."""
    scale = math.lcm(1, *(value.denominator for value in values))
    return [value.numerator * (scale // value.denominator) for value in values], scale


def float_integers(table: list[list[float]]) -> tuple[list[Row], int]:
    """Rows of doubles as integers over one power of two."""
    ratios = [[value.as_integer_ratio() for value in row] for row in table]
    scale = max((q for row in ratios for _, q in row), default=1)
    return [tuple(p * (scale // q) for p, q in row) for row in ratios], scale


def dot(a: Any, b: Any) -> Any:
    return sum(map(mul, a, b))


# ---------------------------------------------------------------------------------------------------- reading the file
def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    require(len(found) == len(pairs), "a key occurs twice", 64)
    return found


def parse(text: str) -> dict[str, Any]:
    try:
        document = json.loads(
            text, object_pairs_hook=no_twins,
            parse_constant=lambda word: malformed(f"{word} is no number of this format"),
            parse_float=lambda word: malformed(f"{word[:40]} is not an exact number"),
        )  # fmt: skip
    except End:
        raise
    except (ValueError, RecursionError, MemoryError) as error:
        malformed(f"not JSON: {str(error)[:200]}")
    fields(document, {"format", "version", "claim", "claim_sha256", "data", "network", "nu", "nu_exact", "proof",
                      "claimed", "versions"}, "document")  # fmt: skip
    return document


def fields(value: Any, expected: set[str], name: str) -> dict[str, Any]:
    require(isinstance(value, dict) and set(value) == expected, f"{name} must have the keys {sorted(expected)}", 64)
    return value


def whole(value: Any, name: str, low: int, high: int) -> int:
    require(type(value) is int and low <= value <= high, f"{name} must be an integer in [{low}, {high}]", 64)
    return value


def word(value: Any, name: str, options: Any) -> str:
    require(isinstance(value, str) and value in options, f"{name} must be one of {sorted(options)}", 64)
    return value


def listed(value: Any, name: str, length: int | None = None) -> list[Any]:
    require(isinstance(value, list) and length in (None, len(value)), f"{name} must be a list", 64)
    return value


def boolean(value: Any, name: str) -> bool:
    require(value is True or value is False, f"{name} must be true or false", 64)
    return value


def hexadecimal(value: Any, name: str) -> float:
    require(isinstance(value, str) and len(value) <= 40 and "x" in value, f"{name} must be a hexadecimal float", 64)
    try:
        number = float.fromhex(value)
    except (ValueError, OverflowError):
        malformed(f"{name} is no hexadecimal float")
    require(math.isfinite(number), f"{name} must be finite", 64)
    return number


def digits(value: Any, name: str) -> int:
    text = value[1:] if isinstance(value, str) and value.startswith("-") else value
    fine = isinstance(text, str) and len(text) <= 4000 and text.isascii() and text.isdigit()
    require(fine, f"{name} must be the digits of an integer", 64)
    return int(value)


def quotient(value: Any) -> Fraction:
    require(isinstance(value, str) and value.count("/") == 1, "a fraction must be written p/q", 64)
    p, q = value.split("/")
    denominator = digits(q, "denominator")
    require(denominator > 0, "a denominator must be positive", 64)
    return Fraction(digits(p, "numerator"), denominator)


def flat_array(value: Any, name: str, shape: tuple[int, ...], kinds: str) -> tuple[list[Any], list[int]]:
    """Entries of an array in order, and its shape; -1 stands for any length."""
    entry = fields(value, {"dtype", "shape", "data"}, name)
    code, size = SIZES[word(entry["dtype"], f"{name}.dtype", kinds.split())]
    stored = [whole(k, f"{name}.shape", 0, 2**31) for k in listed(entry["shape"], f"{name}.shape", len(shape))]
    require(all(want in (-1, have) for want, have in zip(shape, stored, strict=True)), f"{name} has shape {stored}", 64)
    require(isinstance(entry["data"], str), f"{name} must be base64", 64)
    try:
        raw = base64.b64decode(entry["data"], validate=True)
    except (binascii.Error, ValueError):
        malformed(f"{name} is not base64")
    count = math.prod(stored)
    require(len(raw) == count * size, f"{name} does not hold {count} numbers", 64)
    values = list(struct.unpack(f"<{count}{code}", raw))
    require(code not in "df" or all(map(math.isfinite, values)), f"{name} has NaN or infinite entries", 64)
    return values, stored


def vector(value: Any, name: str, length: int, kinds: str = "f8") -> list[Any]:
    return flat_array(value, name, (length,), kinds)[0]


def matrix(value: Any, name: str, rows: int, columns: int, kinds: str = "f8") -> list[list[Any]]:
    values, (count, width) = flat_array(value, name, (rows, columns), kinds)
    return [values[k * width : (k + 1) * width] for k in range(count)]


def digest(tables: list[Any]) -> str:
    """SHA-256 over shapes and little-endian doubles."""
    state = hashlib.sha256()
    for table in tables:
        deep = isinstance(table[0], list)
        flat = [v for row in table for v in row] if deep else table
        state.update(repr((len(table), len(table[0])) if deep else (len(table),)).encode())
        state.update(struct.pack(f"<{len(flat)}d", *flat))
    return state.hexdigest()


def npy(raw: bytes) -> Any:
    """A one- or two-dimensional array of numbers from the bytes of an npy file."""
    require(raw[:6] == b"\x93NUMPY", "the data file holds something else than arrays", 64)
    width = 2 if raw[6] == 1 else 4
    start = 8 + width + int.from_bytes(raw[8 : 8 + width], "little")
    header = ast.literal_eval(raw[8 + width : start].decode("latin1"))
    kinds = {"<f8": "d", "<f4": "f", "<i8": "q", "<i4": "i", "|i1": "b", "|u1": "B"}
    require(header["descr"] in kinds, "the data file must hold little-endian numbers", 64)
    count = math.prod(header["shape"])
    flat = [float(v) for v in struct.unpack(f"<{count}{kinds[header['descr']]}", raw[start:])]
    if len(header["shape"]) == 1:
        return flat
    require(len(header["shape"]) == 2, "the data must have one or two axes", 64)
    n, d = header["shape"]
    return [flat[i::n] if header["fortran_order"] else flat[i * d : (i + 1) * d] for i in range(n)]


def load_npz(path: str) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            require(size <= 8 * 10**9, "the data file unpacks to more than 8 GB", 64)
            return {name.removesuffix(".npy"): npy(archive.read(name)) for name in archive.namelist()}
    except End:
        raise
    except Exception as error:
        malformed(f"the data file cannot be read: {str(error)[:200]}")


# ------------------------------------------------------------------------------------------------------------ the claim
@dataclass
class Claim:
    """Problem, network and dual vector."""

    X: list[list[float]]
    y: list[float]
    weight: list[Fraction]
    loss: str
    parameter: Fraction
    reg: Fraction
    kappa: Fraction
    bias: str
    intercept: bool
    skip: bool
    l1: bool
    tol: Fraction
    network: dict[str, Any]
    nu: list[Fraction]

    def __post_init__(self) -> None:
        rows = self.X if self.bias == "none" else [[*row, 1.0] for row in self.X]
        self.rows, self.row_scale = float_integers(rows)
        self.samples, self.sample_scale = float_integers(self.X)


def claim_of(document: dict[str, Any], data: dict[str, Any] | None) -> Claim:
    require(document["format"] == "convexnet-proof", "this is no convexnet-proof", 64)
    require(type(document["version"]) is int and document["version"] == 1, "this program reads version 1", 64)
    names = "loss reg activation kappa bias intercept skip norm tol n d data_sha256"
    c = fields(document["claim"], set(names.split()), "claim")
    for name in ("claimed", "versions"):
        texts = document[name]
        require(isinstance(texts, dict) and all(isinstance(v, str) for v in texts.values()), f"{name}: texts only", 64)
    n, d = whole(c["n"], "n", 1, 10**7), whole(c["d"], "d", 1, 10**5)
    require(isinstance(c["loss"], dict), "loss must be an object", 64)
    loss = word(c["loss"].get("name"), "loss.name", PARAMETERS)
    extra = PARAMETERS[loss]
    fields(c["loss"], {"name"} | ({extra} if extra else set()), "loss")
    parameter = hexadecimal(c["loss"][extra], extra) if extra else 1.0
    network = network_of(document["network"], d)
    X, y, weight = data_of(document["data"], data, n, d)
    require(digest([X, y] + ([weight] if weight else [])) == c["data_sha256"], "the data are not those of the claim")
    plain = json.dumps([document["claim"], document["network"]], sort_keys=True, separators=(",", ":"))
    sealed = hashlib.sha256(plain.encode()).hexdigest()
    require(sealed == document["claim_sha256"], "the claim was changed after it was written (SHA-256 differs)")
    claim = Claim(
        X, y, [Fraction(v) for v in weight] if weight else [Fraction(1)] * n, loss, Fraction(parameter),
        Fraction(hexadecimal(c["reg"], "reg")), Fraction(hexadecimal(c["kappa"], "kappa")),
        word(c["bias"], "bias", {"penalized", "free", "none"}), boolean(c["intercept"], "intercept"),
        boolean(c["skip"], "skip"), word(c["norm"], "norm", {"l2", "l1"}) == "l1",
        Fraction(hexadecimal(c["tol"], "tol")), network, nu_of(document, n),
    )  # fmt: skip
    check_claim(claim, word(c["activation"], "activation", {"relu", "leaky", "absolute"}))
    return claim


def network_of(value: Any, d: int) -> dict[str, Any]:
    net = fields(value, {"weights", "biases", "output_weights", "intercept", "skip"}, "network")
    weights = matrix(net["weights"], "weights", -1, d)
    skip = [0.0] * d if net["skip"] is None else vector(net["skip"], "skip", d)
    return {
        "weights": weights, "biases": vector(net["biases"], "biases", len(weights)), "skip": skip,
        "output_weights": vector(net["output_weights"], "output_weights", len(weights)),
        "intercept": hexadecimal(net["intercept"], "intercept"),
    }  # fmt: skip


def data_of(stored: Any, given: dict[str, Any] | None, n: int, d: int) -> tuple[Any, Any, Any]:
    if given is None:
        require(stored is not None, "the data are not in the file; pass --data data.npz with X, y, sample_weight", 64)
        entry = fields(stored, {"X", "y", "sample_weight"}, "data")
        weight = None if entry["sample_weight"] is None else vector(entry["sample_weight"], "sample_weight", n)
        return matrix(entry["X"], "X", n, d), vector(entry["y"], "y", n), weight
    require(set(given) in ({"X", "y"}, {"X", "y", "sample_weight"}), "the data must be X, y, sample_weight", 64)
    X, y, weight = given["X"], given["y"], given.get("sample_weight")
    fits = len(X) == n and all(isinstance(row, list) and len(row) == d for row in X)
    fits = fits and len(y) == n and (weight is None or len(weight) == n)
    require(fits and not any(isinstance(v, list) for v in y), f"the data do not have {n} samples of {d} features")
    flat = [v for row in X for v in row] + y + (weight or [])
    require(all(math.isfinite(v) for v in flat), "the data have NaN or infinite entries", 64)
    return X, y, weight


def nu_of(document: dict[str, Any], n: int) -> list[Fraction]:
    nu = [Fraction(v) for v in vector(document["nu"], "nu", n)]
    seen = set()
    for item in listed(document["nu_exact"], "nu_exact"):
        pair = listed(item, "nu_exact entry", 2)
        index = whole(pair[0], "index", 0, n - 1)
        require(index not in seen, "nu_exact names an entry twice", 64)
        seen.add(index)
        nu[index] = quotient(pair[1])
    # Sums of fractions have as many digits as all of them together.
    length = sum(len(pair[1]) for pair in document["nu_exact"])
    require(length <= 250_000, "the fractions of nu_exact are too long", 64)
    return nu


def check_claim(c: Claim, activation: str) -> None:
    """Refuse claims outside the problem class, networks outside the class of the claim, and infeasible nu."""
    fits = {"relu": c.kappa == 0, "absolute": c.kappa == -1, "leaky": 0 < c.kappa < 1}[activation]
    require(fits, "kappa does not belong to the activation")
    require(c.reg > 0 and c.parameter > 0 and 0 < c.tol < 1, "reg, tol or the parameter of the loss is out of range")
    require(c.loss != "interpolation" or c.reg == 1, "interpolation has reg = 1")
    require(c.bias != "free" or c.intercept, "free biases come with an intercept")
    require(min(c.weight) >= 0, "a sample weight is negative")
    require(c.loss not in ("logistic", "hinge") or set(c.y) <= {-1.0, 1.0}, "labels must be -1 or +1")
    net = c.network
    require(c.bias != "none" or not any(net["biases"]), "the network has biases, the claim has none")
    require(c.intercept or net["intercept"] == 0, "the network has an intercept, the claim has none")
    require(c.skip or not any(net["skip"]), "the network has a skip connection, the claim has none")
    flat = [*(v for row in c.X for v in row), *c.y, *(v for row in net["weights"] for v in row), *net["biases"],
            *net["output_weights"], net["intercept"], *net["skip"], *c.nu, *c.weight, c.reg, c.parameter]  # fmt: skip
    require(all(abs(v) <= BIGGEST for v in flat), "a number of the claim is larger than 1e100", 2)
    nu, scale = integers(c.nu)
    del scale
    require(not c.intercept or sum(nu) == 0, "the entries of nu do not sum to zero exactly")
    for k in range(len(c.X[0]) if c.skip else 0):
        require(sum(v * row[k] for v, row in zip(nu, c.samples, strict=True)) == 0, "nu is not orthogonal to the skip")


# -------------------------------------------------------------------------------------------------------- the objective
def objective(c: Claim) -> tuple[Fraction | None, Fraction]:
    """Upper bound of the network's objective (None: infinite) and, for interpolation, its largest residual."""
    predicted = predictions(c)
    norm = c.reg * path_norm(c)
    residuals = [f - Fraction(y) for f, y in zip(predicted, c.y, strict=True)]
    if c.loss == "interpolation":
        worst = max((abs(r) for r, w in zip(residuals, c.weight, strict=True) if w > 0), default=Fraction(0))
        scale = Fraction(max(map(abs, c.y))) or Fraction(1)
        return (norm, worst) if worst <= c.parameter * scale else (None, Fraction(0))
    total = Fraction(0)
    for f, r, y, w in zip(predicted, residuals, c.y, c.weight, strict=True):
        total += up(w * loss_up(c, f, r, Fraction(y)), 200)
    return up(total + norm), Fraction(0)


def predictions(c: Claim) -> list[Fraction]:
    net = c.network
    weights, biases = [list(map(Fraction, row)) for row in net["weights"]], list(map(Fraction, net["biases"]))
    u, scale = integers([v for row, b in zip(weights, biases, strict=True) for v in (*row, b)])
    v, v_scale = integers(list(map(Fraction, net["output_weights"])))
    skip = list(map(Fraction, net["skip"]))
    d, K, Q = len(skip), c.kappa.numerator, c.kappa.denominator
    neurons = [(u[j * (d + 1) : j * (d + 1) + d], u[j * (d + 1) + d] * c.sample_scale, v[j]) for j in range(len(v))]
    found = []
    for row in c.samples:
        total = 0
        for w, b, out in neurons:
            z = dot(w, row) + b
            total += out * z * (Q if z > 0 else K)
        affine = Fraction(net["intercept"]) + dot(skip, row) / Fraction(c.sample_scale)
        found.append(Fraction(total, scale * c.sample_scale * v_scale * Q) + affine)
    return found


def path_norm(c: Claim) -> Fraction:
    net, total = c.network, Fraction(0)
    for row, b, v in zip(net["weights"], net["biases"], net["output_weights"], strict=True):
        u = [Fraction(x) for x in ([*row, b] if c.bias == "penalized" else row)]
        size = sum(map(abs, u), Fraction(0)) if c.l1 else root_up(sum((x * x for x in u), Fraction(0)))
        total += abs(Fraction(v)) * size
    return up(total)


def loss_up(c: Claim, f: Fraction, r: Fraction, y: Fraction) -> Fraction:
    """Upper bound (exact but for the logistic loss) of an unweighted loss term."""
    if c.loss == "hinge":
        return max(Fraction(0), 1 - y * f)
    if c.loss == "logistic":
        return log1p_exp_up(-y * f)
    if c.loss == "absolute":
        return abs(r)
    if c.loss == "huber" and abs(r) > c.parameter:
        return c.parameter * abs(r) - c.parameter**2 / 2
    return r * r / 2


def as_decimal(value: Fraction) -> decimal.Decimal:
    """``value`` to 60 digits."""
    return CONTEXT.divide(decimal.Decimal(value.numerator), decimal.Decimal(value.denominator))


def log1p_exp_up(t: Fraction) -> Fraction:
    """At least ``log(1 + exp(t))``."""
    size = abs(t)
    tail = Fraction(1, 2**1000)  # log(1 + exp(-size)) <= exp(-size) is smaller than this for size > 700
    if size < 700:
        e = CONTEXT.exp(-as_decimal(size))
        # log(1 + e) to 1e-55 absolutely, which is relatively accurate as e > 1e-305: use log(1+e) <= e when tiny.
        direct = Fraction(e) if e < decimal.Decimal("1e-40") else Fraction(CONTEXT.ln(CONTEXT.add(1, e)))
        tail = direct * (1 + NEARLY) + Fraction(1, 10**57)
    return max(t, Fraction(0)) + tail


def zero_size(c: Claim) -> Fraction:
    """Objectives up to this size cannot be told from zero: what 1024 roundings of each target leave.

    Zero unless the free terms of the network fit the targets that closely by themselves.
    """
    if c.loss not in ("squared", "huber", "absolute", "hinge"):
        return Fraction(0)
    size, left, skip = Fraction(0), Fraction(0), list(map(Fraction, c.network["skip"]))
    for row, y, w in zip(c.samples, c.y, c.weight, strict=True):
        error = Fraction(1024, 2**52) * abs(Fraction(y))
        square = error * error / 2 if c.loss != "huber" or error <= c.parameter else Fraction(0)
        size += w * (error if c.loss in ("absolute", "hinge") else square)
        f = Fraction(c.network["intercept"]) + dot(skip, row) / Fraction(c.sample_scale)
        left += w * loss_up(c, f, f - Fraction(y), Fraction(y))
    return size if left <= size else Fraction(0)


# ------------------------------------------------------------------------------------------------------- the dual value
def largest_scale(c: Claim) -> Fraction:
    """Largest s with s nu in the domain of the conjugate."""
    room = BIGGEST
    for nu, y, w in zip(c.nu, c.y, c.weight, strict=True):
        if nu == 0:
            continue
        require(w > 0, "nu is not zero on a sample of weight zero")
        fine = c.loss not in ("logistic", "hinge") or nu * Fraction(y) > 0
        require(fine, "nu is outside the conjugate's domain")
        if c.loss not in ("squared", "interpolation"):
            room = min(room, w * (c.parameter if c.loss == "huber" else 1) / abs(nu))
    return down(room)


def dual_value(c: Claim, s: Fraction, misfit: Fraction) -> Fraction:
    """Lower bound (exact but for quotients and the entropy) of the dual value at s nu."""
    total = Fraction(0)
    for nu, y, w in zip(c.nu, c.y, c.weight, strict=True):
        t = s * nu
        if t == 0:
            continue
        if c.loss == "logistic":
            total += down(w * entropy_down(abs(t) / w), 200)
            continue
        term = t * Fraction(y)
        if c.loss in ("squared", "huber"):
            term -= t * t / (2 * w)
        if c.loss == "interpolation":
            term -= misfit * abs(t)
        total += down(term, 400)
    return down(total)


def entropy_down(q: Fraction) -> Fraction:
    """At most ``-q log q - (1 - q) log(1 - q)``, for 0 <= q <= 1."""
    total = Fraction(0)
    for p in (q, 1 - q):
        if p > 0:
            # Both terms are positive; near p = 1 the logarithm is small and known absolutely.
            total += max(Fraction(0), p * (Fraction(CONTEXT.ln(as_decimal(p))) * -1 - Fraction(1, 10**50)))
    return total * (1 - NEARLY)


def best_dual(c: Claim, limit: Fraction, misfit: Fraction) -> tuple[Fraction, Fraction]:
    """Best lower bound over 0 <= s <= limit, and its s."""
    candidates = [limit]
    if c.loss in ("squared", "huber"):
        curve = sum((up(nu * nu / w) for nu, w in zip(c.nu, c.weight, strict=True) if nu), Fraction(0))
        slope = sum((nu * Fraction(y) for nu, y in zip(c.nu, c.y, strict=True)), Fraction(0))
        if curve > 0:
            candidates.append(down(min(max(slope / curve, Fraction(0)), limit)))
    if c.loss == "logistic":
        candidates.append(min(Fraction(guess_scale(c, float(limit))), limit))
    best, scale = Fraction(0), Fraction(0)  # every loss of this format has the dual value 0 at s = 0
    for s in candidates:
        value = dual_value(c, s, misfit) if s > 0 else Fraction(0)
        if value > best:
            best, scale = value, s
    return best, scale


def guess_scale(c: Claim, limit: float) -> float:
    """A good scale of a logistic dual vector, by golden section in double precision."""
    pairs = [(abs(float(nu)) / float(w), float(w)) for nu, w in zip(c.nu, c.weight, strict=True) if nu]

    def value(s: float) -> float:
        shares = [(min(s * q, 1.0), w) for q, w in pairs]
        return sum(-w * (q * math.log(q) + (1 - q) * math.log1p(-q)) for q, w in shares if 0 < q < 1)

    low, high, ratio = 0.0, limit, (math.sqrt(5) - 1) / 2
    for _ in range(90):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if value(left) >= value(right) else (left, high)
    return 0.5 * (low + high)


# ---------------------------------------------------------------------------------------- the functions to be maximised
@dataclass
class Form:
    """``F(u) = linear . u + sum_i weights_i |rows_i u|`` in integers: true values are divided by the scales.

    ``rows`` carry ``row_scale``, ``weights`` carry ``weight_scale`` and ``linear`` the product of both. On the unit
    ball the true function is at most ``F + slack``.
    """

    rows: list[Row]
    weights: list[int]
    linear: list[int]
    row_scale: int
    weight_scale: int
    slack: Fraction
    l1: bool
    q: int

    def __post_init__(self) -> None:
        self.approximate = [tuple(v / self.row_scale for v in row) for row in self.rows]
        self.sizes = [root_up(Fraction(dot(row, row), self.row_scale**2)) for row in self.rows]


def forms_of(c: Claim, entries: list[Any]) -> list[tuple[Form, dict[str, Any]]]:
    needed = needed_forms(c)
    require(len(entries) <= 2 * len(c.nu) + 2, "more forms than samples and signs", 64)
    found = []
    for entry in entries:
        require(isinstance(entry, dict) and set(entry) >= HEAD, "a form needs " + ", ".join(sorted(HEAD)), 64)
        sign, centre = whole(entry["sign"], "sign", -1, 1), whole(entry["centre"], "centre", -1, len(c.nu) - 1)
        require(sign != 0 and (centre >= 0) == (c.bias == "free"), "a form has the wrong sign or centre")
        needed.discard((sign, c.samples[centre] if centre >= 0 else ()))
        found.append((form_of(c, sign, centre, entry), entry))
    require(not needed, f"{len(needed)} of the functions that bound M(nu) are missing")
    return found


def needed_forms(c: Claim) -> set[tuple[int, Row]]:
    """With free biases: the places (and signs) where the function of the bias has a kink that points down."""
    if c.bias != "free":
        return {(1, ()), (-1, ())}
    jumps: dict[Row, Fraction] = {}
    for row, nu in zip(c.samples, c.nu, strict=True):
        jumps[row] = jumps.get(row, Fraction(0)) + nu
    return {(sign, row) for row, jump in jumps.items() for sign in (1, -1) if sign * jump < 0}


def form_of(c: Claim, sign: int, centre: int, entry: dict[str, Any]) -> Form:
    if centre < 0:
        rows, row_scale = c.rows, c.row_scale
    else:
        origin, row_scale = c.samples[centre], c.sample_scale
        rows = [tuple(a - b for a, b in zip(row, origin, strict=True)) for row in c.samples]
    n, q, half = len(rows), len(rows[0]), (1 - c.kappa) / 2
    weights = [half * sign * nu for nu in c.nu]
    gone = [not any(row) for row in rows]
    slack, representatives = Fraction(0), set()
    for item in listed(entry["merged"], "merged"):
        triple = listed(item, "merged entry", 3)
        i, rep = whole(triple[0], "sample", 0, n - 1), whole(triple[1], "representative", 0, n - 1)
        scale = Fraction(hexadecimal(triple[2], "scale"))
        fine = not gone[i] and not gone[rep] and i not in representatives and i != rep
        require(fine and 1 / BIGGEST <= scale <= BIGGEST, "rows are merged inconsistently")
        representatives.add(rep)
        gone[i] = True
        side = -scale if dot(rows[i], rows[rep]) < 0 else scale
        rest = [a - side * b for a, b in zip(rows[i], rows[rep], strict=True)]
        slack += up(abs(half * c.nu[i]) * root_up(Fraction(dot(rest, rest))) / row_scale)
        weights[rep] += half * sign * c.nu[i] * scale
    for item in listed(entry["dropped"], "dropped"):
        i = whole(item, "dropped", 0, n - 1)
        require(not gone[i], "a row is dropped twice")
        gone[i] = True
        slack += up(abs(weights[i]) * root_up(Fraction(dot(rows[i], rows[i]))) / row_scale)
    kept = [i for i in range(n) if not gone[i] and weights[i]]
    nu, nu_scale = integers(c.nu)
    factor = sign * (1 + c.kappa) / 2
    linear = [factor * Fraction(sum(v * row[k] for v, row in zip(nu, rows, strict=True)), nu_scale) for k in range(q)]
    _, least = integers([weights[i] for i in kept] + linear)
    unit = least << 24  # multipliers are rounded to this grid
    return Form(
        [rows[i] for i in kept], [int(weights[i] * unit) for i in kept], [int(v * unit) for v in linear],
        row_scale, unit, slack, c.l1, q,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- moments
def bordered(S: list[list[int]], b: list[int]) -> Fraction | None:
    """``b' S^-1 b`` of an integer matrix, or None unless S is positive definite (all leading minors positive)."""
    q = len(S)
    M = [[*S[i], b[i]] for i in range(q)] + [[*b, 0]]
    previous = 1
    for k in range(q):
        pivot = M[k][k]
        if pivot <= 0:
            return None
        for i in range(k + 1, q + 1):
            left = M[i][k]
            M[i] = [0] * (k + 1) + [(pivot * M[i][j] - left * M[k][j]) // previous for j in range(k + 1, q + 1)]
        previous = pivot
    return Fraction(-M[q][q], previous)


def quadratic_bound(A: list[list[Fraction]], b: list[Fraction], b0: Fraction, mu: Fraction) -> Fraction:
    """Upper bound of ``b0 + mu + b' (mu I - A)^-1 b / 4``; mu is raised a little where the matrix is not definite.

    A and b are first rounded to 100 bits; on the unit ball that changes the quadratic by at most what is added.
    """
    q = len(b)
    size = max([abs(v) for row in A for v in row] + [abs(v) for v in b] + [abs(mu), Fraction(1, 2**400)])
    unit = Fraction(2) ** (math.frexp(float(size))[1] - 100)
    rounded = [[round((A[i][j] + A[j][i]) / (2 * unit)) for j in range(q)] for i in range(q)]
    right = [round(v / unit) for v in b]
    extra = unit * (q + q)
    for attempt in range(60):
        whole_mu = -(-mu.numerator * unit.denominator // (mu.denominator * unit.numerator))
        S = [[(whole_mu if i == j else 0) - rounded[i][j] for j in range(q)] for i in range(q)]
        value = bordered(S, right)
        if value is not None:
            return up(b0 + extra + unit * whole_mu + unit * value / 4)
        mu += size * Fraction(2) ** (attempt - 60)
    raise End(1, "a quadratic is not bounded: its multipliers prove nothing")


def gram(form: Form, square: list[Fraction]) -> list[list[Fraction]]:
    """``sum square_i x_i x_i'``."""
    k, scale = integers(square)
    q = form.q
    total = [[0] * q for _ in range(q)]
    for value, row in zip(k, form.rows, strict=True):
        if value:
            scaled = [value * x for x in row]
            for i in range(q):
                target, si = total[i], scaled[i]
                if si:
                    for j in range(i + 1):
                        target[j] += si * row[j]
    unit = scale * form.row_scale**2
    return [[Fraction(total[max(i, j)][min(i, j)], unit) for j in range(q)] for i in range(q)]


def linear_part(form: Form, slope: list[Fraction]) -> list[Fraction]:
    """``linear + sum slope_i x_i``."""
    k, scale = integers(slope)
    sums = [sum(v * row[j] for v, row in zip(k, form.rows, strict=True)) for j in range(form.q)]
    whole_scale = form.weight_scale * form.row_scale
    unit = scale * form.row_scale
    return [Fraction(c, whole_scale) + Fraction(s, unit) for c, s in zip(form.linear, sums, strict=True)]


def check_moment(form: Form, entry: dict[str, Any]) -> Fraction:
    fields(entry, HEAD | {"tau", "a", "theta", "mu"}, "moment form")
    plus, minus = sum(w > 0 for w in form.weights), sum(w < 0 for w in form.weights)
    tau = vector(entry["tau"], "tau", plus)
    a, theta = vector(entry["a"], "a", minus), vector(entry["theta"], "theta", minus)
    mu = hexadecimal(entry["mu"], "mu")
    fine = all(v > 0 for v in tau) and all(v >= 0 for v in theta)
    fine = fine and all(abs(x) + v <= 1 for x, v in zip(a, theta, strict=True))
    require(fine, "moment multipliers outside their domain")
    square, slope, b0 = [], [], Fraction(0)
    taus, pairs = iter(tau), iter(zip(a, theta, strict=True))
    for w, h in zip(form.weights, form.sizes, strict=True):
        weight = Fraction(w, form.weight_scale)
        if w > 0:
            k = up(weight / (2 * Fraction(next(taus))), 64)
            square.append(k)
            slope.append(Fraction(0))
            b0 += up(weight * weight / (4 * k))
        else:
            first, second = map(Fraction, next(pairs))
            room = max(abs(first) + second, Fraction(1))  # the sum of two doubles may exceed 1 by a rounding
            square.append(-down(-weight * second / (h * room), 64) if second else Fraction(0))
            slope.append(weight * first / room)
    return quadratic_bound(gram(form, square), linear_part(form, slope), b0, Fraction(mu))


# --------------------------------------------------------------------------------------------------------------- trees
def walk(internal: list[bool], roots: list[Any], split: Any, leaf: Any) -> None:
    """Visit a preorder forest: ``split(node, state)`` gives the states of both children, ``leaf(state)`` ends a path.

    Raises End unless the list is exactly one complete binary tree for each root.
    """
    stack = list(reversed(roots))
    for node, branching in enumerate(internal):
        require(stack, "the tree has nodes that belong to no root")
        state = stack.pop()
        if branching:
            left, right = split(node, state)
            stack += [right, left]
        else:
            leaf(state)
    require(not stack, "the tree does not cover all directions: subtrees are missing")


def determinant(rows: list[list[int]]) -> int:
    """Fraction-free elimination."""
    M, previous, sign = [row[:] for row in rows], 1, 1
    for k in range(len(M) - 1):
        pivot = next((i for i in range(k, len(M)) if M[i][k]), None)
        if pivot is None:
            return 0
        if pivot != k:
            M[k], M[pivot], sign = M[pivot], M[k], -sign
        for i in range(k + 1, len(M)):
            M[i] = [(M[k][k] * x - M[i][k] * y) // previous for x, y in zip(M[i], M[k], strict=True)]
        previous = M[k][k]
    return sign * M[-1][-1]


# --------------------------------------------------------------------------------------------------------------- cones
def check_cones(form: Form, entry: dict[str, Any]) -> Fraction:
    fields(entry, HEAD | {"simplex", "tree", "g", "alpha"}, "cones form")
    q = form.q
    simplex = matrix(entry["simplex"], "simplex", q + 1, q, "i8")
    tree = matrix(entry["tree"], "tree", -1, 4, "i1 u1")
    require(all(abs(v) <= 2**40 for s in simplex for v in s), "the vertices of the simplex are too large")
    require(not any(map(sum, zip(*simplex, strict=True))), "the vertices of the simplex must add up to zero")
    require(determinant(simplex[1:]) != 0, "the simplex is flat: its cones do not cover all directions")
    internal = [row[0] >= 0 for row in tree]
    for row in tree:
        a, b, i, j = row
        if a < 0:
            require(row == [-1, 0, 0, 0], "a leaf of a tree is written -1 0 0 0", 64)
        else:
            fine = a < q and 0 <= b < q and a != b and 0 <= i <= 52 and 0 <= j <= 52
            require(fine, "a cone is split along an edge that it does not have")
    leaves = ConeLeaves(form, matrix(entry["g"], "g", internal.count(False), q), entry["alpha"])

    def split(node: int, V: tuple[Row, ...]) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
        a, b, i, j = tree[node]
        fresh = tuple((x << i) + (y << j) for x, y in zip(V[a], V[b], strict=True))
        require(all(abs(v) < 2**53 for v in fresh), "a vertex has entries that are no exact integers in doubles")
        return (*V[:a], fresh, *V[a + 1 :]), (*V[:b], fresh, *V[b + 1 :])

    corners = [tuple(s) for s in simplex]
    walk(internal, [tuple(corners[:k] + corners[k + 1 :]) for k in range(q + 1)], split, leaves.visit)
    return leaves.bound()


class ConeLeaves:
    """Tests ``g . v >= p(v) - sum alpha_i x_i . v`` at the vertices v of each leaf, in integers."""

    def __init__(self, form: Form, G: list[list[float]], alpha: Any) -> None:
        self.form, self.G, self.next, self.position = form, G, 0, 0
        entry = fields(alpha, {"leaf", "row", "value"}, "alpha")
        self.leaf, (count,) = flat_array(entry["leaf"], "alpha.leaf", (-1,), "i4")
        self.row = vector(entry["row"], "alpha.row", count, "i4")
        self.value = vector(entry["value"], "alpha.value", count)
        require(all(x <= y for x, y in zip(self.leaf, self.leaf[1:], strict=False)), "alpha.leaf must be sorted", 64)
        inside = all(0 <= k < len(G) for k in self.leaf) and all(0 <= i < len(form.rows) for i in self.row)
        require(inside, "a multiplier belongs to no leaf or no row")
        self.plus = [(w, row) for w, row in zip(form.weights, form.rows, strict=True) if w > 0]
        self.minus = {
            i: (form.approximate[i], tuple(w * x for x in row))
            for i, (w, row) in enumerate(zip(form.weights, form.rows, strict=True)) if w < 0
        }  # fmt: skip
        self.convex: dict[Row, int] = {}
        self.square, self.pushed = Fraction(0), Fraction(0)

    def at_vertex(self, v: Row) -> int:
        if v not in self.convex:
            if len(self.convex) > 500_000:
                self.convex.clear()
            self.convex[v] = dot(self.form.linear, v) + sum(w * abs(sum(map(mul, row, v))) for w, row in self.plus)
        return self.convex[v]

    def concave(self, g: list[float], number: int) -> list[int]:
        """``sum alpha_i x_i``: by default ``alpha_i = |w_i| sign(x_i . g)``, else as stored and put on the grid."""
        form, stored = self.form, {}
        while self.position < len(self.leaf) and self.leaf[self.position] == number:
            i = self.row[self.position]
            require(i in self.minus, "a multiplier lies outside its interval")
            limit = -form.weights[i]
            wanted = round(Fraction(self.value[self.position]) * form.weight_scale)
            require(abs(wanted) <= limit * (1 + Fraction(1, 10**9)) + 1, "a multiplier lies outside its interval")
            stored[i] = max(-limit, min(limit, wanted))
            self.position += 1
        total = [0] * form.q
        for i, (approximate, scaled) in self.minus.items():
            if i in stored:
                total = [t + stored[i] * x for t, x in zip(total, form.rows[i], strict=True)]
            elif sum(map(mul, approximate, g)) > 0:  # scaled carries the negative weight
                total = [t - x for t, x in zip(total, scaled, strict=True)]
            else:
                total = [t + x for t, x in zip(total, scaled, strict=True)]
        return total

    def visit(self, V: tuple[Row, ...]) -> None:
        g = self.G[self.next]
        a = self.concave(g, self.next)
        self.next += 1
        (whole_g,), scale = float_integers([g])
        unit = self.form.weight_scale * self.form.row_scale
        missing = [(self.at_vertex(v) - dot(a, v)) * scale - dot(whole_g, v) * unit for v in V]
        worst = max(missing)
        exact = [Fraction(x, scale) for x in whole_g]
        if worst <= 0:
            size = max(map(abs, exact)) if self.form.l1 else sum((x * x for x in exact), Fraction(0))
            self.square = max(self.square, size)
            return
        # Rounding spoiled g: add t h with h . v = 1 at every vertex.
        h = solve_ones(V)
        require(h is not None, "a flat cone whose vector g fails at a vertex")
        t = Fraction(worst, scale * unit)
        moved = [x + t * y for x, y in zip(exact, h or [], strict=True)]
        if self.form.l1:
            self.pushed = max(self.pushed, max(map(abs, moved)))
        else:
            self.pushed = max(self.pushed, root_up(up(sum((x * x for x in moved), Fraction(0)), 400)))

    def bound(self) -> Fraction:
        plain = self.square if self.form.l1 else root_up(self.square)
        return max(plain, self.pushed)


def solve_ones(V: tuple[Row, ...]) -> list[Fraction] | None:
    """The vector h with ``h . v = 1`` for all rows v of a square integer matrix; None if it is singular."""
    q = len(V)
    M = [[*v, 1] for v in V]
    previous = 1
    for k in range(q):
        pivot = next((i for i in range(k, q) if M[i][k]), None)
        if pivot is None:
            return None
        M[k], M[pivot] = M[pivot], M[k]
        for i in range(q):
            if i != k:
                M[i] = [(M[k][k] * x - M[i][k] * y) // previous for x, y in zip(M[i], M[k], strict=True)]
        previous = M[k][k]
    return [Fraction(M[k][q], M[k][k]) for k in range(q)]


# --------------------------------------------------------------------------------------------------------------- slabs
@dataclass
class Node:
    """Slabs on the path and the ranges of the rows.

    Vectors as doubles and as integers over the tree's ``scale``, ends as doubles and as integers over its
    ``end_scale``, ranges as integers over its ``grid``.
    """

    a: list[list[float]]
    whole: list[Row]
    limits: list[tuple[float, float]]
    ends: list[tuple[int, int]]
    bottom: list[int]
    top: list[int]
    fresh: bool


class SlabTree:
    """A subdivision of the sphere; on each leaf one quadratic above F, derived from the state stored with it."""

    def __init__(self, form: Form, entry: dict[str, Any]) -> None:
        names = {"sweeps", "tree", "a", "ends", "u", "matrix", "smoothing", "mu", "counts", "p", "q", "value"}
        fields(entry, HEAD | names, "slabs form")
        q = form.q
        self.weights = [Fraction(w, form.weight_scale) for w in form.weights]
        self.form, self.sweeps = form, whole(entry["sweeps"], "sweeps", 1, 9)
        bits = flat_array(entry["tree"], "tree", (-1,), "u1")[0]
        require(all(bit in (0, 1) for bit in bits), "the tree of slabs is written with 0 and 1", 64)
        self.internal, levels = [bit == 1 for bit in bits], [0]
        for bit in bits:
            level = levels.pop() if levels else 0
            levels += [level + 1] * (2 * bit)
            # The time for a path grows with the square of its length.
            require(level <= 400, "the tree of slabs is too deep", 64)
        splits, leaves = sum(bits), len(bits) - sum(bits)
        self.a = matrix(entry["a"], "a", splits, q)
        self.limits = matrix(entry["ends"], "ends", splits, 3)
        ordered = all(x <= y <= z for x, y, z in self.limits)
        require(ordered, "a slab has low > middle or middle > high")
        self.ends, self.end_scale = float_integers(self.limits)
        largest = max([*form.sizes, Fraction(1)])
        self.grid = 1 << max(1, 100 - math.ceil(largest).bit_length())
        self.u = matrix(entry["u"], "u", leaves, q, "f8 f4")
        self.state = matrix(entry["matrix"], "matrix", leaves, q * (q + 1) // 2, "f8 f4")
        self.smoothing = vector(entry["smoothing"], "smoothing", leaves)
        self.mu = vector(entry["mu"], "mu", leaves)
        self.counts = vector(entry["counts"], "counts", leaves, "i4")
        require(all(v >= 0 for v in self.counts), "counts must not be negative", 64)
        total = sum(self.counts)
        self.cuts = list(zip(vector(entry["p"], "p", total, "u1 u2"), vector(entry["q"], "q", total, "u1 u2"),
                             vector(entry["value"], "value", total), strict=True))  # fmt: skip
        fine = all(v >= 0 for _, _, v in self.cuts) and all(s > 0 for s in self.smoothing)
        require(fine, "a cut has a negative multiplier")
        self.whole, self.scale = float_integers(self.a)
        self.number = [before - bit for before, bit in zip(accumulate(bits), bits, strict=True)]
        self.leaf, self.position, self.best = 0, 0, Fraction(0)

    def run(self) -> Fraction:
        top = [math.ceil(h * self.grid) for h in self.form.sizes]
        root = Node([], [], [], [], [-h for h in top], top, False)
        walk(self.internal, [root], self.split, self.visit)
        return self.best

    def tighten(self, node: Node) -> None:
        """Intersect the ranges of the undecided rows with what the slabs allow."""
        if not node.fresh:
            return
        node.fresh = False
        for i, row in enumerate(self.form.rows):
            if not node.bottom[i] < 0 < node.top[i]:
                continue
            x = self.form.approximate[i]
            top = min(node.top[i], self.reach(node, x, row, self.form.row_scale))
            negative = self.reach(node, [-v for v in x], tuple(-v for v in row), self.form.row_scale)
            bottom = max(node.bottom[i], -negative)
            if bottom <= top:  # an empty node keeps the range of its parent
                node.bottom[i], node.top[i] = bottom, top

    def reach(self, node: Node, x: Any, whole_x: Row, scale: int) -> int:
        """Upper bound of ``x . u`` on the grid: any multipliers of the slabs give one, these are a guess."""
        beta = guess_beta(x, node.a, node.limits, self.sweeps)
        cells, shift = 1 << 48, 0
        y = [v * cells * self.scale for v in whole_x]
        for k, value in enumerate(beta):
            if value:
                rounded = round(value * cells)
                factor = rounded * scale
                y = [v - factor * c for v, c in zip(y, node.whole[k], strict=True)]
                low, high = node.ends[k]
                shift += rounded * (high if rounded > 0 else low)
        norm = (math.isqrt(dot(y, y)) + 1) * self.grid
        return -(-norm // (cells * self.scale * scale)) - (-shift * self.grid // (cells * self.end_scale))

    def split(self, index: int, node: Node) -> tuple[Node, Node]:
        self.tighten(node)
        k = self.number[index]
        a, whole_a, limits, (low, middle, high) = self.a[k], self.whole[k], self.limits[k], self.ends[k]
        top = self.reach(node, a, whole_a, self.scale)
        bottom = -self.reach(node, [-v for v in a], tuple(-v for v in whole_a), self.scale)
        inside = low * self.grid <= bottom * self.end_scale and top * self.end_scale <= high * self.grid
        require(inside, "a slab is narrower than the range that it divides")
        left, right = (
            Node([*node.a, a], [*node.whole, whole_a], [*node.limits, (limits[i], limits[i + 1])], [*node.ends, ends],
                 node.bottom[:], node.top[:], True)
            for i, ends in enumerate(((low, middle), (middle, high)))
        )  # fmt: skip
        return left, right

    def sides(self, node: Node) -> list[tuple[list[Fraction], Fraction]]:
        """``(v, c)`` with ``v . u + c >= 0`` on the node: for each slab its lower, then its upper plane."""
        found = []
        for a, (low, high) in zip(node.a, node.ends, strict=True):
            normal = [Fraction(x) for x in a]
            found += [(normal, Fraction(-low, self.end_scale)), ([-x for x in normal], Fraction(high, self.end_scale))]
        return found

    def visit(self, node: Node) -> None:
        self.tighten(node)
        form, sides = self.form, self.sides(node)
        cuts = self.cuts[self.position : self.position + self.counts[self.leaf]]
        self.position += len(cuts)
        square, slope, constant = [], [], Fraction(0)
        state = (self.u[self.leaf], self.state[self.leaf], self.smoothing[self.leaf])
        for i, w in enumerate(form.weights):
            weight, low, high = self.weights[i], node.bottom[i], node.top[i]
            if low >= 0 or high <= 0:
                square.append(Fraction(0))
                slope.append(weight if low >= 0 else -weight)
                continue
            c2, c1 = row_coefficients(w > 0, form.approximate[i], state, low / self.grid, high / self.grid)
            k2, k1 = Fraction(abs(float(weight)) * c2), Fraction(float(weight) * c1)
            square.append(k2 if w > 0 else -k2)
            slope.append(k1)
            ends = Fraction(low, self.grid), Fraction(high, self.grid)
            constant += up(row_constant(weight, k2, k1 if w > 0 else -k1, *ends), 100)
        A, b = gram(form, square), linear_part(form, slope)
        for p, k, value in cuts:
            require(p < len(sides) and k < len(sides), "a cut belongs to no slab of its leaf")
            (first, c), (second, d), N = sides[p], sides[k], Fraction(value)
            for i in range(form.q):
                b[i] += N * (d * first[i] + c * second[i])
                scaled = N * first[i]
                for j in range(form.q):
                    A[i][j] += scaled * second[j]  # symmetrised by quadratic_bound
            constant += N * c * d
        self.best = max(self.best, quadratic_bound(A, b, constant, Fraction(self.mu[self.leaf])))
        self.leaf += 1


def guess_beta(x: Any, a: list[list[float]], limits: list[tuple[float, float]], sweeps: int) -> list[float]:
    """Coordinate sweeps, the newest slab first, for ``min ||x - sum beta a|| + sum max(beta low, beta high)``."""
    beta, y = [0.0] * len(a), list(x)
    for _ in range(sweeps):
        for k in range(len(a) - 1, -1, -1):
            low, high = limits[k]
            inner, old = sum(map(mul, y, a[k])), beta[k]
            g = inner + old
            p = math.sqrt(max(sum(map(mul, y, y)) + 2 * old * inner + old * old - g * g, 0.0))
            n2, new = math.hypot(g, p), 0.0
            if g > high * n2:
                new = max(0.0, g - p * high / math.sqrt(1 - high * high)) if -1 < high < 1 else 0.0
            elif g < low * n2:
                new = min(0.0, g - p * low / math.sqrt(1 - low * low)) if -1 < low < 1 else 0.0
            if new != old:
                y = [v + (old - new) * c for v, c in zip(y, a[k], strict=True)]
                beta[k] = new
    return beta if all(map(math.isfinite, beta)) else [0.0] * len(a)


def row_coefficients(convex: bool, x: Any, state: Any, l: float, h: float) -> tuple[float, float]:  # noqa: E741
    """Leading coefficients of a quadratic near ``|t|`` on [l, h], as the search chose them; only a suggestion."""
    u, upper, smoothing = state
    t, q, position = sum(map(mul, x, u)), 0.0, 0
    for i, xi in enumerate(x):
        q += xi * xi * upper[position]
        rest = upper[position + 1 : position + len(x) - i]
        q += 2 * xi * sum(map(mul, x[i + 1 :], rest))
        position += len(x) - i
    W, L = h - l, -l
    try:
        if not convex:
            v = (t, -t, (2 * q - (l + h) * t) / W)
            p = [math.exp((value - max(v)) / (0.5 * smoothing * W)) for value in v]
            total = sum(p)
            c2, c1 = 2 * p[2] / total / W, (p[0] - p[1] - p[2] * (l + h) / W) / total
        else:
            q = max(q, (1e-6 * W) ** 2)
            if q >= (l + h) * t - l * h:
                c2, c1 = 0.0, (h + l) / W
            elif q <= min(L, h) ** 2:
                c2, c1 = 0.5 / math.sqrt(q), 0.0
            elif h >= L:
                ts = h if t - l <= 1e-12 * W else min(max((q - l * t) / (t - l), L), h)
                c2 = 2 * L / (ts + L) ** 2
                c1 = 1 - 2 * c2 * ts
            else:
                ts = L if h - t <= 1e-12 * W else min(max((q - h * t) / (h - t), h), L)
                c2 = 2 * h / (ts + h) ** 2
                c1 = 2 * c2 * ts - 1
    except (ZeroDivisionError, OverflowError):
        return 0.0, 0.0
    return (max(c2, 0.0), c1) if math.isfinite(c2) and math.isfinite(c1) and c2 < 1e100 else (0.0, 0.0)


def row_constant(weight: Fraction, k2: Fraction, k1: Fraction, low: Fraction, high: Fraction) -> Fraction:
    """Least constant with ``w |t| <= +-(k2 t^2 + k1 t) + constant`` on [low, high], the sign being that of w."""
    size, largest, smallest = abs(weight), Fraction(0), Fraction(0)
    for side, end in ((1, high), (-1, -low)):
        beta = size - side * k1  # phi(s) = beta s - k2 s^2 on [0, end]
        value = end * (beta - k2 * end)
        if k2 > 0 and 0 < beta < 2 * k2 * end:
            largest = max(largest, beta * beta / (4 * k2))
        largest, smallest = max(largest, value), min(smallest, value)
    return largest if weight > 0 else -smallest


def check_slabs(form: Form, entry: dict[str, Any]) -> Fraction:
    return SlabTree(form, entry).run()


# --------------------------------------------------------------------------------------------------------------- cells
def check_cells(c: Claim, entry: dict[str, Any]) -> tuple[Fraction, int]:
    """One witness for each pair of opposite cells, as many as the arrangement has; multipliers per cell and sign."""
    fields(entry, {"kind", "witnesses", "integers", "counts", "rows", "values"}, "cells")
    q, n = len(c.rows[0]), len(c.rows)
    witnesses = matrix(entry["witnesses"], "witnesses", -1, q, "f8 f4")
    P = len(witnesses)
    exact = {}
    for item in listed(entry["integers"], "integers"):
        pair = listed(item, "integers entry", 2)
        index = whole(pair[0], "cell", 0, P - 1)
        exact[index] = tuple(digits(v, "witness entry") for v in listed(pair[1], "witness", q))
    used = [i for i, row in enumerate(c.rows) if any(row)]
    expected = regions([c.rows[i] for i in used]) if used else 2 * P
    require(expected == 2 * P, f"{P} witnesses for pairs of opposite cells; the arrangement has {expected} cells")
    counts = matrix(entry["counts"], "counts", P, 4, "u1")
    total = sum(map(sum, counts))
    rows, values = vector(entry["rows"], "rows", total, "u2 i4"), vector(entry["values"], "values", total, "f8 f4")
    fine = all(0 <= i < n for i in rows) and all(v >= 0 for v in values)
    require(fine, "multipliers of a cell must belong to a row and must not be negative")
    prices = CellPrices(c, list(zip(rows, values, strict=True)))
    seen: set[int] = set()
    for p, point in enumerate(witnesses):
        u = exact.get(p) or float_integers([point])[0][0]
        pattern = 0
        for i in used:
            value = sum(map(mul, c.rows[i], u))
            require(value, "a witness lies on a hyperplane")
            pattern = 2 * pattern + (value > 0)
        full = (1 << len(used)) - 1
        key = min(pattern, full - pattern)
        require(key not in seen, "two witnesses lie in one pair of opposite cells")
        seen.add(key)
        prices.add([pattern >> k & 1 for k in range(len(used) - 1, -1, -1)], used, counts[p])
    return prices.bound(), 2 * P


class CellPrices:
    """Bounds ``||+-X' S nu + X' D m||`` of cells and their antipodes, in integers over one scale."""

    def __init__(self, c: Claim, multipliers: list[tuple[int, float]]) -> None:
        self.c, self.multipliers, self.position = c, multipliers, 0
        nu, nu_scale = integers(c.nu)
        Q, K = c.kappa.denominator, c.kappa.numerator
        self.on = [tuple((v * Q * x) << 24 for x in row) for v, row in zip(nu, c.rows, strict=True)]
        self.off = [tuple((v * K * x) << 24 for x in row) for v, row in zip(nu, c.rows, strict=True)]
        self.grid = (nu_scale * Q) << 24
        self.unit = self.grid * c.row_scale
        self.reach = root_up(Fraction(max(dot(r, r) for r in c.samples), c.sample_scale**2)) * self.unit
        self.square, self.plain = 0, Fraction(0)

    def add(self, bits: list[int], used: list[int], counts: list[int]) -> None:
        q = len(self.c.rows[0])
        active = dict(zip(used, bits, strict=True))
        first = [self.on[i] if bit else self.off[i] for i, bit in active.items()]
        second = [self.off[i] if bit else self.on[i] for i, bit in active.items()]
        sums = [list(map(sum, zip(*terms, strict=True))) if terms else [0] * q for terms in (first, second)]
        for kind, count in enumerate(counts):
            residual = [v if kind % 2 == 0 else -v for v in sums[kind // 2]]
            for i, value in self.multipliers[self.position : self.position + count]:
                p, d = value.as_integer_ratio()
                m = p * self.grid // d  # rounded down to the grid: every m >= 0 is admissible
                if active.get(i, 0) != (kind < 2):
                    m = -m
                residual = [r + m * x for r, x in zip(residual, self.c.rows[i], strict=True)]
            self.position += count
            self.measure(residual)

    def measure(self, residual: list[int]) -> None:
        extra = Fraction(0)
        if self.c.bias == "free":
            # For ||w|| <= 1 the function of b is constant beyond the kinks, which lie in |b| <= max ||x_i||.
            extra = abs(residual[-1]) * self.reach / self.unit
            residual = residual[:-1]
        if self.c.l1:
            self.plain = max(self.plain, max(map(abs, residual)) + extra)
        elif extra:
            self.plain = max(self.plain, math.isqrt(dot(residual, residual)) + 1 + extra)
        else:
            self.square = max(self.square, dot(residual, residual))

    def bound(self) -> Fraction:
        return up(max(self.plain / self.unit, root_up(Fraction(self.square, self.unit**2))))


def regions(rows: list[Row]) -> int:
    """Number of cells of the hyperplanes ``x_i . u = 0``: each adds as many as the earlier ones cut it into."""
    lines = list({primitive(row) for row in rows})
    require(math.comb(len(lines), max(len(rows[0]) - 1, 1)) <= 300_000_000, "too many hyperplanes to count cells", 2)
    return count_regions(lines)


def primitive(row: Any) -> Row:
    divisor = math.gcd(*row)
    divisor = divisor if next(v for v in row if v) > 0 else -divisor
    return tuple(v // divisor for v in row)


def count_regions(lines: list[Row]) -> int:
    if not lines:
        return 1
    if len(lines[0]) == 1:
        return 2
    if len(lines[0]) == 2:
        return 2 * len(lines)
    total = 1
    for i, row in enumerate(lines):
        k = next(k for k, v in enumerate(row) if v)
        pivot, rest = row[k], [j for j in range(len(row)) if j != k]
        inside = {primitive([pivot * other[j] - other[k] * row[j] for j in rest]) for other in lines[:i]}
        total += count_regions(list(inside))
    return total


# ------------------------------------------------------------------------------------------------------------- verdict
CHECKS = {"cones": check_cones, "moment": check_moment, "slabs": check_slabs}


def pricing_bound(c: Claim, proof: Any) -> tuple[Fraction, str]:
    """Upper bound of ``M(nu)`` and the method in words."""
    require(isinstance(proof, dict), "proof must be an object", 64)
    kind = word(proof.get("kind"), "proof.kind", {"cells", "mixed", *CHECKS})
    if kind == "cells":
        bound, cells = check_cells(c, proof)
        return bound, f"{cells} cells"
    fields(proof, {"kind", "forms"}, "proof")
    best = Fraction(0)
    for form, entry in forms_of(c, listed(proof["forms"], "forms")):
        own = word(entry["kind"], "form.kind", set(CHECKS))
        require(kind in ("mixed", own), f"a form of kind {own} in a proof of kind {kind}")
        best = max(best, CHECKS[own](form, entry) + form.slack)
    return up(best), f"{len(proof['forms'])} forms by {kind}"


def check_document(document: dict[str, Any], data: dict[str, Any] | None, report: Report) -> None:
    c = claim_of(document, data)
    report.tol = float(c.tol)
    upper, misfit = objective(c)
    report.upper = math.inf if upper is None else float_up(upper)
    report.misfit = float_up(misfit)
    domain = largest_scale(c)
    bound, report.kind = pricing_bound(c, document["proof"])
    report.pricing_bound = float_up(bound)
    limit = min(domain, BIGGEST, down(c.reg / bound) if bound else BIGGEST)
    lower, scale = best_dual(c, limit, misfit)
    report.lower, report.scale = float_down(lower), float_down(scale)
    gap = None
    if upper is not None:
        require(lower <= upper, "the bounds contradict each other")
        gap = Fraction(0) if upper <= zero_size(c) else (upper - lower) / upper
        report.gap = float_up(gap)
    else:
        report.lines.append("the network does not fit the targets: its objective is infinite")
    report.certified = gap is not None and gap <= c.tol
    report.verdict = "certified" if report.certified else "not proven"
    report.exit_code = 0 if report.certified else 2


def check_text(text: str, data: dict[str, Any] | None = None) -> Report:
    """Check the text of a proof file; never raises on a bad one."""
    start, report = time.perf_counter(), Report()
    try:
        check_document(parse(text), data, report)
    except End as end:
        report.exit_code, report.certified = end.code, False
        report.verdict = {64: "unreadable", 1: "refuted", 2: "not proven"}[end.code]
        report.lines.append(str(end))
    except (MemoryError, OverflowError, RecursionError, decimal.DecimalException) as error:
        report.exit_code, report.verdict, report.certified = 64, "unreadable", False
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
    if r.verdict in ("certified", "not proven") and math.isfinite(r.pricing_bound):
        lines.append(f"  objective of the network          <= {r.upper!r}")
        lines.append(f"  objective of every network        >= {r.lower!r}")
        lines.append(f"  relative gap                      <= {r.gap:.3e}, tolerance {r.tol:.3e}")
        lines.append(f"  M(nu) <= {r.pricing_bound!r} by {r.kind}; checked in exact arithmetic")
        if r.misfit > 0:
            lines.append(f"  over networks with residuals up to {r.misfit!r}")
    return lines


def check_file(path: str, data: dict[str, Any] | None = None) -> Report:
    """Check a proof file; ``data`` holds X, y and perhaps sample_weight as lists if the file does not embed them."""
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
    except End as end:
        report = Report(lines=[f"UNREADABLE: {end}"])
    if options.json:
        plain = {k: repr(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(report).items()}
        print(json.dumps(plain))
    else:
        print("\n".join(report.lines))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
