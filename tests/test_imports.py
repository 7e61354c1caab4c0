"""What may import what: a light front door, names that resolve, floors that only look down, modules of one idea."""

from __future__ import annotations

import ast
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import convexnet
from convexnet._lazy import lazy_attributes

PACKAGE = Path(convexnet.__file__).resolve().parent
CHECKOUT = Path(__file__).resolve().parents[1]
ROOM_PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
HEAVY = ("scipy", "cvxpy", "sklearn", "torch", "matplotlib", "pandas", "rich", "onnx", "numba", "dask", "joblib")

FLOORS = (  # lowest first; a room imports from the floors below its own
    ("_columns", "_hashing", "_lazy", "_printing", "_progress", "_validation", "_versions", "errors"),
    ("_problem_kinds", "arrangements", "losses", "networks"),
    ("problem",),
    ("pricing",),
    ("baselines", "programs", "solvers", "translation"),
    ("certificates",),
    ("compression", "factorization", "landscape", "solving", "sparse"),
    ("__main__", "cli", "cli_certify", "cli_verify", "datasets", "demo", "estimators", "plotting"),
)
SAME_FLOOR = {  # the only imports between rooms of one floor: (room, what it may use)
    ("_validation", "errors"),
    ("__main__", "cli"),
    ("cli", "cli_certify"),
    ("cli", "cli_verify"),
    ("cli", "datasets"),
    ("cli", "demo"),
    ("cli", "estimators"),
    ("cli", "plotting"),
    ("cli_certify", "datasets"),
    ("cli_verify", "datasets"),
    ("demo", "datasets"),
    ("demo", "plotting"),
}
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MAX_LINES = 400
SINGLE_FILES = {"certificates/check_exact.py", "certificates/check_float.py"}
"""Programs that run alone, in a folder of their own: single files by design, whatever their length."""


def in_fresh_python(code: str) -> str:
    """Standard output of ``code`` in a new interpreter that sees the package under test."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ------------------------------------------------------------------------------------------------- light imports
@pytest.mark.parametrize("module", ["convexnet", *(f"convexnet.{room}" for room in ROOM_PACKAGES)])
def test_importing_a_package_loads_numpy_at_most(module: str) -> None:
    code = f"""
import json, sys
before = set(sys.modules)
import {module}
print(json.dumps(sorted({{name.split(".")[0] for name in set(sys.modules) - before}})))
"""
    loaded = json.loads(in_fresh_python(code))
    assert "convexnet" in loaded
    assert not set(loaded) & set(HEAVY)


# --------------------------------------------------------------------------------------------------- public names
@pytest.mark.parametrize("name", convexnet.__all__)
def test_public_name_resolves_and_is_listed(name: str) -> None:
    value = getattr(convexnet, name)
    assert name in dir(convexnet)
    is_room = name in FLOOR_OF
    assert isinstance(value, ModuleType) == is_room


@pytest.mark.parametrize("room", ROOM_PACKAGES)
def test_names_of_a_room_resolve(room: str) -> None:
    package = importlib.import_module(f"convexnet.{room}")
    assert len(set(package.__all__)) == len(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
        assert name in dir(package)


def test_no_submodule_takes_the_place_of_a_public_name() -> None:
    """Importing ``package.name`` binds the module on the package: a function of that name would be gone."""
    for room in ROOM_PACKAGES:
        package = importlib.import_module(f"convexnet.{room}")
        submodules = {module.name for module in pkgutil.iter_modules(package.__path__)}
        assert not submodules & set(package.__all__), room


def test_unknown_name_is_an_attribute_error_that_names_the_package() -> None:
    with pytest.raises(AttributeError, match=r"'convexnet' has no attribute 'sovle'"):
        convexnet.sovle  # noqa: B018


def test_lazy_name_is_looked_up_once() -> None:
    package = ModuleType("lazy_example")
    sys.modules[package.__name__] = package
    try:
        getter, lister = lazy_attributes(package.__name__, {"loads": "json"})
        assert "loads" in lister()
        assert getter("loads") is json.loads
        assert vars(package)["loads"] is json.loads
    finally:
        del sys.modules[package.__name__]


# --------------------------------------------------------------------------------------------------------- floors
def absolute_module(path: Path, node: ast.ImportFrom) -> str:
    """Absolute name of the module that a ``from ... import`` statement in ``path`` reads."""
    if node.level == 0:
        return node.module or ""
    package = ("convexnet", *path.relative_to(PACKAGE).with_suffix("").parts)[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def imported_modules(path: Path, tree: ast.AST) -> set[str]:
    """Absolute names of all modules imported anywhere in a file, functions and type-checking blocks included."""
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = absolute_module(path, node)
            modules |= {f"convexnet.{alias.name}" for alias in node.names} if source == "convexnet" else {source}
    return modules


def floor_violations(path: Path, source: str) -> list[str]:
    """Imports of a module that lead to another room of its own floor or to a floor above."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    faults = []
    for module in sorted(imported_modules(path, ast.parse(source))):
        parts = module.split(".")
        if parts[0] != "convexnet" or parts[1:] in (["__version__"], [room]) or parts[1:2] == [room]:
            continue
        target = parts[1] if len(parts) > 1 else "convexnet"
        if (room, target) not in SAME_FLOOR and FLOOR_OF.get(target, len(FLOORS)) >= FLOOR_OF[room]:
            faults.append(f"{room} (floor {FLOOR_OF[room]}) imports {module}")
    return faults


def modules_below(*parts: str) -> list[Path]:
    return sorted(PACKAGE.joinpath(*parts).rglob("*.py"))


def test_every_room_has_a_floor() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules_below()}
    assert rooms - {"__init__"} <= set(FLOOR_OF)


def test_every_room_imports_only_from_floors_below() -> None:
    faults = [
        fault
        for path in modules_below()
        if path != PACKAGE / "__init__.py"
        for fault in floor_violations(path, path.read_text(encoding="utf-8"))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("module", "source", "allowed"),
    [
        ("networks/shallow.py", "from ..errors import NetworkError", True),
        ("networks/shallow.py", "from .activations import slope", True),
        ("networks/shallow.py", "from convexnet.networks.activations import slope", True),
        ("networks/shallow.py", "from ..arrangements import PatternSet", False),
        ("networks/shallow.py", "def late():\n    from convexnet.problem import TrainingProblem", False),
        ("networks/shallow.py", "import convexnet.solving.front", False),
        ("pricing/exact.py", "from ..arrangements.patterns import PatternSet", True),
        ("pricing/exact.py", "from .. import programs", False),
        ("pricing/exact.py", "from convexnet import solve", False),
        ("pricing/exact.py", "import convexnet", False),
        ("pricing/exact.py", "from .. import __version__", True),
        ("solving/front.py", "from convexnet.certificates import certify", True),
        ("problem.py", "from .losses import get_loss", True),
        ("problem.py", "from .certificates import certify", False),
        ("cli.py", "from .plotting import figure", True),
        ("datasets.py", "from .cli import main", False),
        ("errors.py", "from ._validation import require", False),
    ],
)
def test_floor_rule_on_single_lines(module: str, source: str, allowed: bool) -> None:
    assert (floor_violations(PACKAGE / module, source) == []) == allowed


# ----------------------------------------------------------------------------------------------------- house rules
def foreign_imports(path: Path, source: str) -> set[str]:
    """Imports of an independent checker beyond the standard library and numpy."""
    top = {module.split(".")[0] for module in imported_modules(path, ast.parse(source))}
    return top - sys.stdlib_module_names - {"numpy"}


def test_independent_checkers_import_numpy_and_the_standard_library_only() -> None:
    for path in sorted((PACKAGE / "certificates").glob("check_*.py")):
        assert not foreign_imports(path, path.read_text(encoding="utf-8")), path.name
    planted = "import json\nimport numpy as np\nfrom ..errors import DataError\nimport scipy.linalg"
    assert foreign_imports(PACKAGE / "certificates" / "check_all.py", planted) == {"convexnet", "scipy"}


@pytest.mark.parametrize("path", modules_below(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_module_is_short_enough_for_one_idea(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_LINES or path.relative_to(PACKAGE).as_posix() in SINGLE_FILES


def test_files_name_no_place_on_one_machine() -> None:
    roots = "|".join(("home", "root", "tmp", "work", "Users", "mnt"))
    absolute = re.compile(rf"(?<![\w.~:/-])/(?:{roots})/")
    assert absolute.search("open('" + "/" + "home/someone/data.csv')")
    assert not absolute.search("https://example.org/home/data.csv and shared/tmp/x")
    folders = [CHECKOUT / name for name in ("convexnet", "tests", "examples", "benchmarks", "docs", ".ci")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in {"", ".py", ".rst", ".md"}]
    files += [*CHECKOUT.glob("*.md"), CHECKOUT / "pyproject.toml"]
    found = [path for path in files if path.is_file() and absolute.search(path.read_text(encoding="utf-8"))]
    assert not found
