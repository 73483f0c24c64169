"""The player of recordings, JavaScript modules that pages load from here, and the same as one script for single files.

`script` joins the modules, each in a function of its own, in the order in which they need each other; what a module
exports is what its function returns. It reads the few forms of `import` and `export` that the modules are written in
and refuses others. Pages hold the answer in a `<script>` (its SHA-256 in their policy), and `style` in a `<style>`.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from earnest.errors import DataError

ENTRY = "player.js"
_IMPORT = re.compile(r"^import (?P<what>\{[^}]*\}|\w+) from \"\./(?P<module>[\w./-]+)\";\n", re.MULTILINE)
_DEFAULT = re.compile(r"export\s*\{\s*(\w+) as default\s*\};?")
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (?P<name>\w+))", re.MULTILINE)
_LEFT = re.compile(r"^\s*(?:import|export)\b|\bimport\.meta\b", re.MULTILINE)
# A page that holds the script holds the style too: there is nothing to load.
_REPLACED = {"style.js": "export const dress = () => Promise.resolve();\n"}


@cache
def script() -> str:
    """The player as one classic script that makes `EarnestPlayer.Player`, the class of `player.js`.

    It holds no `</script`, so that it can stand in a page as it is.

    Raises
    ------
    DataError : a module imports or exports in a form that cannot be joined.
    """
    parts: dict[str, str] = {}
    _add(ENTRY, parts)
    return "\n".join([*parts.values(), f"const EarnestPlayer = {_variable(ENTRY)};", ""])


@cache
def style() -> str:
    """The player's style sheet."""
    return _read("player.css")


def look() -> str:
    """What all pages share: colours, type, focus."""
    return _read("look.css")


def licence() -> str:
    """The licence of wavesurfer.js, which the script holds."""
    return _read("vendor/wavesurfer.LICENSE.txt")


def files() -> Traversable:
    """The folder of the modules, for servers."""
    return resources.files(__name__)


def _add(name: str, parts: dict[str, str]) -> None:
    """Append a module after those that it imports, once."""
    if name in parts:
        return
    text = _REPLACED.get(name) or _read(name)
    for found in _IMPORT.finditer(text):
        _add(found["module"], parts)
    parts[name] = _module(name, text)


def _module(name: str, text: str) -> str:
    """A module as a function that is called at once, and returns what it exports."""
    body = _IMPORT.sub(_binding, text)
    exported = [f"default: {found[1]}" for found in _DEFAULT.finditer(body)] + [
        found["name"] for found in _EXPORT.finditer(body)
    ]
    body = _EXPORT.sub("", _DEFAULT.sub("", body))
    left = _LEFT.search(body)
    if left:
        raise DataError(
            f"{name} cannot be joined into one script: it holds “{left[0].strip()}” in a form that is not known here.",
            remedy='Write `import {a} from "./b.js";` on one line of its own, and `export` before a declaration.',
        )
    if "</script" in body:
        raise DataError(f"{name} holds “</script”, which ends a script in a page.", remedy="Write it in two parts.")
    head = f"/*! wavesurfer.js\n{licence()}*/\n" if name.startswith("vendor/") else ""
    return f"{head}const {_variable(name)} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();"


def _binding(found: re.Match[str]) -> str:
    """What stands for an import: the names taken out of what the other module returned."""
    what = found["what"] if found["what"].startswith("{") else f"{{ default: {found['what']} }}"
    return f"const {what.replace(' as ', ': ')} = {_variable(found['module'])};\n"


def _variable(name: str) -> str:
    return "player_" + re.sub(r"\W", "_", name.removesuffix(".js"))


def _read(name: str) -> str:
    return files().joinpath(*name.split("/")).read_text(encoding="utf-8")
