"""The written word agrees with the package: commands, versions, listed names and the code on the pages."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import convexnet

CHECKOUT = Path(__file__).resolve().parents[1]
COMMANDS = ("pip install . && convexnet demo", 'pip install ".[test]" && pytest')
MODULES = [module.name for module in pkgutil.iter_modules(convexnet.__path__)]
ROOMS = [name for name in MODULES if not name.startswith("_") and name not in {"cli", "demo"}]
EXAMPLES = sorted((CHECKOUT / "examples").glob("plot_*.py"))


def read(*parts: str) -> str:
    return CHECKOUT.joinpath(*parts).read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------- commands and versions
@pytest.mark.parametrize("command", COMMANDS)
def test_the_checks_run_the_very_commands_of_the_readme(command: str) -> None:
    assert command in read("README.md")
    assert command in read("docs", "install.rst")
    assert f"readme_command '{command}'" in read(".ci", "run")


def test_check_script_is_executable() -> None:
    assert os.access(CHECKOUT / ".ci" / "run", os.X_OK)


def test_changelog_has_a_section_for_the_next_version_and_for_this_one() -> None:
    sections = re.findall(r"^## \[(.+?)\]", read("CHANGELOG.md"), flags=re.MULTILINE)
    assert sections[:2] == ["Unreleased", convexnet.__version__]


# ------------------------------------------------------------------------------------------------ reference pages
@pytest.mark.parametrize("name", [name for name in convexnet.__all__ if name != "__version__"])
def test_reference_lists_every_public_name(name: str) -> None:
    value = getattr(convexnet, name)
    entry = rf"convexnet\.{name}" if isinstance(value, ModuleType) else rf"~convexnet\.\w+\.{name}"
    assert re.search(rf"^   {entry}$", read("docs", "api", "index.rst"), flags=re.MULTILINE)


@pytest.mark.parametrize("room", ROOMS)
def test_reference_lists_every_room(room: str) -> None:
    assert f"   convexnet.{room}\n" in read("docs", "api", "index.rst")


@pytest.mark.parametrize("room", ROOMS)
def test_public_functions_and_classes_say_what_they_do(room: str) -> None:
    package = importlib.import_module(f"convexnet.{room}")
    assert package.__doc__
    values = {name: getattr(package, name) for name in package.__all__}
    assert not [name for name, value in values.items() if callable(value) and not value.__doc__]


def shows_an_example(value: Any) -> bool:
    """Whether a function, or a class or one of its own methods, has a doctest."""
    members = vars(value).values() if isinstance(value, type) else ()
    return any(">>>" in (getattr(each, "__doc__", None) or "") for each in (value, *members))


def test_public_names_of_the_package_show_an_example() -> None:
    values = {name: getattr(convexnet, name) for name in convexnet.__all__}
    assert not [name for name, value in values.items() if callable(value) and not shows_an_example(value)]


# ---------------------------------------------------------------------------------------------- code on the pages
def python_blocks(page: str) -> list[str]:
    """The indented bodies of all ``code-block:: python`` directives of an rst page."""
    bodies = re.findall(r"^\.\. code-block:: python\n\n((?:(?:   .*)?\n)+)", page, flags=re.MULTILINE)
    return [textwrap.dedent(body) for body in bodies]


def test_quick_start_runs_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = python_blocks(read("docs", "quickstart.rst"))
    assert len(blocks) >= 3
    namespace: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "quickstart.rst", "exec"), namespace)
    assert "no network of any width" in capsys.readouterr().out
    assert namespace["solution"].certificate.verdict == "optimal"
    assert namespace["solution10"].certificate.verdict == "listed"
    monotone, network = namespace["monotone"], namespace["network"]
    assert (network.weights[:, 0] * network.output_weights >= -1e-7).all()
    assert namespace["problem"].objective(network) == pytest.approx(monotone.value, rel=1e-6)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_gallery_page_begins_with_a_title(path: Path) -> None:
    title, underline, *_ = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "\n").splitlines()
    assert title and set(underline) == {"="} and len(underline) >= len(title)
