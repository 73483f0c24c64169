"""How Sphinx builds this site: `scripts/check` does it with warnings as errors."""

from __future__ import annotations

import inspect
import re

import typer
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

import earnest
from earnest.cli import app as command

project = "Earnest"
author = "The Earnest developers"
copyright = "The Earnest developers; Apache-2.0"
version = release = earnest.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
exclude_patterns = ["_build"]
default_role = "code"
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"Earnest {release}"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False


class VerbHelp(Directive):
    """`{earnest-help} VERB`: what `earnest VERB --help` prints, taken from the program itself."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        group = typer.main.get_command(command)
        with group.make_context("earnest", [], resilient_parsing=True) as parent:
            verb = group.commands[name]
            with verb.make_context(name, [], parent=parent, resilient_parsing=True) as context:
                text = inspect.cleandoc(verb.get_help(context))
        return [nodes.literal_block(text, text, language="text")]


def plain_text(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text with `names` in it: stars and bars mean themselves."""
    lines[:] = [re.sub(r"(`[^`]*`)|([*|])", lambda found: found[1] or rf"\{found[2]}", line) for line in lines]


def setup(app: Sphinx) -> None:
    app.add_directive("earnest-help", VerbHelp)
    app.connect("autodoc-process-docstring", plain_text, priority=100)  # before numpydoc
