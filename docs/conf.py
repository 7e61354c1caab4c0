"""Sphinx configuration: API pages from the docstrings, theory pages, and a gallery that is executed in the build."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

import convexnet  # noqa: E402  (the checkout beside these pages, not an installed copy)

project = "convexnet"
author = "convexnet contributors"
project_copyright = f"2026, {author}"
release = version = convexnet.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "gallery/**/*.ipynb", "gallery/**/*.json", "gallery/**/*.py", "gallery/**/*.zip"]

autosummary_generate = True
# A room lists what its __all__ lists, wherever inside the room it is defined.
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Formula", "Guarantee", "Problem", "Source", "Sources"]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
}

html_theme = "alabaster"
html_theme_options = {
    "description": "Networks trained to certified global optimality",
    "fixed_sidebar": True,
    "page_width": "1080px",
}


def leave_shapes_alone(app: Sphinx, doctree: nodes.document) -> None:
    """Undo the links that Sphinx makes of the letters in shapes: the n of "(n, d)" is not somebody's attribute n."""
    for link in list(doctree.findall(addnodes.pending_xref)):
        if link.get("refdomain") == "py" and len(link["reftarget"]) == 1:
            link.replace_self(link.children)


def typeset_inner_products(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Show the plain "x . u" of a docstring with a centred dot, which does not end the sentence of a summary either."""
    lines[:] = [line.replace(" . ", " \N{MIDDLE DOT} ") for line in lines]


def leave_out_metadata_requests(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Estimators get ``set_fit_request`` and its like from scikit-learn, with links into its own pages."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", leave_shapes_alone)
    app.connect("autodoc-process-docstring", typeset_inner_products)
    app.connect("autodoc-skip-member", leave_out_metadata_requests)
