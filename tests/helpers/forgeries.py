"""Systematic damage to proof files: every array, number, flag, word and key, with hashes left alone or recomputed."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from convexnet.certificates.check_float import sha256_arrays, sha256_json

__all__ = ["forgeries", "resealed"]

DTYPES = {"f8": "<f8", "f4": "<f4", "i8": "<i8", "i4": "<i4", "i1": "|i1", "u1": "|u1", "u2": "<u2"}
Path = tuple[Any, ...]


def decode(entry: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(entry["data"]), dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"]).copy()


def encode(array: np.ndarray, dtype: str) -> dict[str, Any]:
    with np.errstate(all="ignore"):
        raw = np.ascontiguousarray(array, dtype=DTYPES[dtype]).tobytes()
    return {"dtype": dtype, "shape": list(array.shape), "data": base64.b64encode(raw).decode()}


def resealed(document: dict[str, Any]) -> dict[str, Any]:
    """With the hashes of what the file now says."""
    data = document["data"]
    arrays = [data["X"], data["y"]] + ([data["sample_weight"]] if data["sample_weight"] else [])
    document["claim"]["data_sha256"] = sha256_arrays(*(decode(entry) for entry in arrays))
    document["claim_sha256"] = sha256_json([document["claim"], document["network"]])
    return document


# --------------------------------------------------------------------------------------------------- what can be done
def _filled(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(a: np.ndarray) -> np.ndarray:
        a.flat[a.size // 2] = value
        return a

    return change


ON_FLOATS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nan": _filled(np.nan), "inf": _filled(np.inf), "huge": _filled(1e300), "tiny": _filled(1e-300),
    "doubled": lambda a: 2 * a, "halved": lambda a: a / 2, "negated": lambda a: -a, "zeroed": lambda a: 0 * a,
    "nudged": lambda a: a * (1 + 1e-3), "one_more": lambda a: a + (np.arange(a.size).reshape(a.shape) == a.size // 2),
}  # fmt: skip
ON_INTEGERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "plus_one": lambda a: a + 1, "minus_one": lambda a: a - 1, "zeroed": lambda a: 0 * a, "negated": lambda a: -a,
    "first_plus_one": lambda a: a + (np.arange(a.size).reshape(a.shape) == 0),
}  # fmt: skip
ON_ROWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "first_deleted": lambda a: a[1:], "last_deleted": lambda a: a[:-1], "reversed": lambda a: a[::-1],
    "rolled": lambda a: np.roll(a, 1, axis=0), "first_repeated": lambda a: np.concatenate([a[:1], a]),
    "overwritten": lambda a: np.concatenate([a[:1], a[:1], a[2:]]) if len(a) > 1 else a[:0],
}  # fmt: skip
ON_NUMBERS = {
    "doubled": lambda t: (2 * float.fromhex(t)).hex(), "halved": lambda t: (float.fromhex(t) / 2).hex(),
    "negated": lambda t: (-float.fromhex(t)).hex(), "zero": lambda t: "0x0.0p+0", "nan": lambda t: "nan",
    "inf": lambda t: "inf", "huge": lambda t: "0x1p+1000", "overflow": lambda t: "0x1p+99999",
    "decimal": lambda t: "0.5",
    "integer": lambda t: 1, "flag": lambda t: True, "null": lambda t: None, "tiny": lambda t: "0x1p-1000",
    "nudged": lambda t: (float.fromhex(t) * (1 - 1e-3)).hex(),
}  # fmt: skip
WORDS = {
    "name": ("squared", "huber", "absolute", "logistic", "hinge", "interpolation", "none"),
    "activation": ("relu", "leaky", "absolute"), "bias": ("penalized", "free", "none"), "norm": ("l1", "l2"),
    "kind": ("cells", "moment", "cones", "slabs", "mixed", "other"), "format": ("other",),
}  # fmt: skip
SEALED = ("claim", "network", "data")


def forgeries(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and text of each forged file; a change that leaves the file as it is (twice zero) is no forgery."""
    original = json.dumps(document)
    for name, text in damaged(document):
        if text != original:
            yield name, text


def damaged(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, value in list(walk(document)):
        label = ".".join(map(str, path))
        for name, change in changes(path, value):
            forged = copy.deepcopy(document)
            if change is DELETED:
                del place(forged, path[:-1])[path[-1]]
            else:
                place(forged, path[:-1])[path[-1]] = change
            yield f"{label}:{name}", json.dumps(forged)
            if path[0] in SEALED:
                try:
                    yield f"{label}:{name}:resealed", json.dumps(resealed(forged))
                except (KeyError, TypeError, ValueError, AttributeError):
                    continue
    yield from texts(json.dumps(document))


DELETED = object()


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value inside the document; arrays and texts are leaves. Of long lists the first entry and the middle."""
    if path:
        yield path, value
    if isinstance(value, dict) and set(value) != {"dtype", "shape", "data"}:
        for key in value:
            yield from walk(value[key], (*path, key))
    elif isinstance(value, list):
        for index in sorted({0, len(value) // 2} & set(range(len(value)))):
            yield from walk(value[index], (*path, index))


def place(document: Any, path: Path) -> Any:
    for key in path:
        document = document[key]
    return document


def changes(path: Path, value: Any) -> Iterator[tuple[str, Any]]:
    yield "deleted", DELETED
    if isinstance(value, dict) and set(value) == {"dtype", "shape", "data"}:
        yield from array_changes(value)
    elif isinstance(value, bool):
        yield "flipped", not value
        yield "number", int(value)
    elif isinstance(value, int):
        yield from (("plus", value + 1), ("minus", value - 1), ("flag", True), ("giant", 10**4000), ("text", "1"))
    elif isinstance(value, str) and value.lstrip("-").startswith("0x"):
        yield from ((name, change(value)) for name, change in ON_NUMBERS.items())
    elif isinstance(value, str):
        yield "emptied", ""
        yield "number", 7
        if path[0] not in ("claimed", "versions"):
            yield from ((word, word) for word in WORDS.get(str(path[-1]), ()) if word != value)
    elif isinstance(value, dict):
        yield "extra_key", {**value, "extra": 1}
        yield "list", list(value.values())
    elif isinstance(value, list):
        yield "emptied", []
        yield "doubled", value + value
        yield "reversed", value[::-1]
        yield "last_deleted", value[:-1]
    elif value is None:
        yield "empty_list", []


def array_changes(entry: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    array, dtype = decode(entry), entry["dtype"]
    yield "extra_key", {**entry, "extra": 0}
    yield "other_shape", {**entry, "shape": [*entry["shape"], 1]}
    yield "flag_shape", {**entry, "shape": [True for _ in entry["shape"]]}
    yield "truncated", {**entry, "data": entry["data"][: len(entry["data"]) // 2]}
    yield "no_base64", {**entry, "data": "*" + entry["data"][1:]}
    yield "other_dtype", {**entry, "dtype": "f4" if dtype == "f8" else "f8"}
    if not array.size:
        return
    for name, change in ((ON_FLOATS if dtype[0] == "f" else ON_INTEGERS) | ON_ROWS).items():
        with np.errstate(all="ignore"):
            yield name, encode(change(array.astype(np.float64) if dtype[0] == "f" else array.astype(np.int64)), dtype)


def texts(text: str) -> Iterator[tuple[str, str]]:
    """Damage below the level of JSON values."""
    yield "text:cut", text[: len(text) // 2]
    yield "text:empty", ""
    yield "text:twice", text + text
    yield "text:nan", text.replace('"version": 1', '"version": NaN', 1)
    yield "text:infinity", text.replace('"version": 1', '"version": Infinity', 1)
    yield "text:fraction", text.replace('"version": 1', '"version": 1.0', 1)
    yield "text:exponent", text.replace('"version": 1', '"version": 1e400', 1)
    yield "text:long_integer", text.replace('"version": 1', '"version": ' + "1" * 10000, 1)
    yield "text:twin_key", text.replace('"version": 1', '"version": 1, "version": 1', 1)
    yield "text:deep", "[" * 100_000 + "]" * 100_000
    yield "text:deep_key", text.replace('"nu_exact": []', '"nu_exact": ' + "[" * 50_000 + "]" * 50_000, 1)
    yield "text:list", f"[{text}]"
    yield "text:number", "3"
