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
ROOMS = [name for name in MODULES if not name.startswith("_") and not name.startswith("cli") and name != "demo"]
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
    return [body for language, body in rst_blocks(page) if language == "python"]


def rst_blocks(page: str) -> list[tuple[str, str]]:
    """Language and unindented body of every code block of an rst page, nested ones included."""
    found = re.findall(r"^( *)\.\. code-block:: (\w+)\n\n((?:(?:\1   .*)?\n)+)", page, flags=re.MULTILINE)
    return [(language, textwrap.dedent(body)) for _, language, body in found]


def fenced_block(page: str, start: str, language: str) -> str:
    """The body of the first fenced block of a language after ``start`` in a Markdown page."""
    found = re.search(rf"^```{language}\n(.*?)^```", page[page.index(start) :], flags=re.MULTILINE | re.DOTALL)
    assert found
    return found.group(1)


NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def same_print(shown: str, printed: str) -> bool:
    """Whether words agree, numbers agree to 4 digits, and gaps (small or printed in e-notation) in their size."""
    words = [re.sub(r"\s+", " ", NUMBER.sub("#", text)).strip() for text in (shown, printed)]
    pairs = zip(*(NUMBER.findall(text) for text in (shown, printed)), strict=False)
    values = [tuple(float(number.replace(",", "")) for number in pair) for pair in pairs]
    return words[0] == words[1] and all(
        abs(a - b) <= 1e-4 * abs(a) or max(abs(a), abs(b)) < 1e-6 or (a < 0.1 and b / 5 < a < 5 * b) for a, b in values
    )


@pytest.mark.parametrize(
    ("printed", "same"),
    [
        ("bound 1.73156644   (relative gap 4.89e-11) by 1562 cells", True),
        ("bound 1.73156641 (relative gap 8.1e-10) by 1,562 cells", True),
        ("bound 1.74 (relative gap 4.89e-11) by 1562 cells", False),
        ("bound 1.73156644 (relative gap 4.89e-03) by 1562 cells", False),
        ("bound 1.73156644 (relative gap 4.89e-11) by 1562 listed cells", False),
    ],
)
def test_comparison_of_prints(printed: str, same: bool) -> None:
    assert same_print("bound 1.73156644   (relative gap 4.89e-11) by 1562 cells", printed) == same


def test_quick_start_runs_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = python_blocks(read("docs", "quickstart.rst"))
    assert len(blocks) >= 3
    namespace: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "quickstart.rst", "exec"), namespace)
    assert "no network of any width" in capsys.readouterr().out
    assert namespace["solution"].certificate.verdict == "optimal"
    solution10, listed10 = namespace["solution10"], namespace["listed10"]
    assert solution10.method == "relu" and solution10.objective < listed10.objective
    assert listed10.certificate.verdict == namespace["gated10"].certificate.verdict == "listed"
    assert (namespace["path"].gaps <= 1e-6).all() and namespace["path"].best_reg in namespace["path"].regs
    monotone, network = namespace["monotone"], namespace["network"]
    assert (network.weights[:, 0] * network.output_weights >= -1e-7).all()
    assert namespace["problem"].objective(network) == pytest.approx(monotone.value, rel=1e-6)


def test_certificate_page_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = rst_blocks(read("docs", "certificate.rst"))
    blocks = [block for block in blocks if block[0] != "bash"]
    assert [language for language, _ in blocks] == ["python", "text"] * 4
    namespace: dict[str, Any] = {}
    for (_, code), (_, shown) in zip(blocks[::2], blocks[1::2], strict=True):
        exec(compile(code, "certificate.rst", "exec"), namespace)
        printed = capsys.readouterr().out
        assert same_print(shown, printed), printed


def test_readme_quick_start_is_short_and_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    page = read("README.md")
    code = fenced_block(page, "<!-- quick start -->", "python")
    assert len(code.splitlines()) <= 12
    exec(compile(code, "README.md", "exec"), {})
    shown = fenced_block(page, "<!-- quick start -->", "text")
    printed = capsys.readouterr().out
    assert same_print(shown, "\n".join(printed.splitlines()[: len(shown.splitlines())])), printed


def test_readme_path_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    page = read("README.md")
    exec(compile(fenced_block(page, "<!-- path -->", "python"), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert same_print(fenced_block(page, "<!-- path -->", "text"), printed), printed


def test_readme_spline_and_memorization_print_what_they_show(capsys: pytest.CaptureFixture[str]) -> None:
    page = read("README.md")
    exec(compile(fenced_block(page, "<!-- spline -->", "python"), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert same_print(fenced_block(page, "<!-- spline -->", "text"), printed), printed


def test_readme_certifies_a_network_from_elsewhere_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from convexnet.cli import main

    monkeypatch.chdir(tmp_path)
    page = read("README.md")
    exec(compile(fenced_block(page, "<!-- elsewhere -->", "python"), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert same_print(fenced_block(page, "<!-- elsewhere -->", "text"), printed), printed
    command, *shown = fenced_block(page, "<!-- verify -->", "text").splitlines()
    assert command.startswith("$ convexnet ")
    assert main(command.split()[2:]) == 0
    printed = "\n".join(capsys.readouterr().out.splitlines()[: len(shown)])
    assert same_print("\n".join(shown), printed), printed


@pytest.mark.slow
def test_readme_shows_lines_of_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from convexnet.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    shape = [re.sub(r"[\s#]+", " ", NUMBER.sub("#", line)) for line in capsys.readouterr().out.splitlines()]
    for line in fenced_block(read("README.md"), "<!-- demo -->", "text").splitlines():
        assert re.sub(r"[\s#]+", " ", NUMBER.sub("#", line)) in shape


def test_readme_names_the_verdicts_and_links_to_files_that_exist() -> None:
    page = read("README.md")
    assert all(f"| `{verdict}` |" in page for verdict in ("optimal", "listed", "bound", "refuted"))
    links = re.findall(r"\]\(([^)#]+)\)", page)
    assert len(links) >= 8
    assert not [link for link in links if "://" not in link and not CHECKOUT.joinpath(link).is_file()]


def test_documented_exit_codes_are_those_of_the_command_line() -> None:
    from convexnet import cli

    codes = (cli.EXIT_OPTIMAL, cli.EXIT_NOT_PROVEN, cli.EXIT_USAGE, cli.EXIT_INTERRUPTED)
    page = read("docs", "quickstart.rst")
    assert re.findall(r"^   \* - (\d+)$", page, flags=re.MULTILINE) == [str(code) for code in codes]


def test_certificate_page_lists_the_exit_codes_of_certify_and_verify() -> None:
    from convexnet import cli

    codes = (cli.EXIT_OPTIMAL, cli.EXIT_REFUTED, cli.EXIT_NOT_PROVEN, cli.EXIT_USAGE, cli.EXIT_CRASHED,
             cli.EXIT_INTERRUPTED)  # fmt: skip
    page = read("docs", "certificate.rst")
    assert re.findall(r"^   \* - (\d+)$", page, flags=re.MULTILINE) == [str(code) for code in codes]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_gallery_page_begins_with_a_title(path: Path) -> None:
    title, underline, *_ = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "\n").splitlines()
    assert title and set(underline) == {"="} and len(underline) >= len(title)
