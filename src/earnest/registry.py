"""Folders of one-file parts: the file name is the registration.

A part is a module in one of the folders below (a front end, a model, a corpus, a task). Dropping a file there is
all it takes; files whose name starts with an underscore are shared helpers and are not parts.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType

from earnest.errors import MissingExtra, RecipeError, did_you_mean

FOLDERS = ("corpora", "frontends", "models", "tasks")

# Which extra brings a third-party package that a part may import.
EXTRAS = {
    "torch": "lab",
    "polars": "lab",
    "sklearn": "lab",
    "scipy": "lab",
    "matplotlib": "lab",
    "jinja2": "lab",
    "onnx": "lab",
    "safetensors": "lab",
    "accelerate": "lab",
    "av": "video",
    "espeakng_loader": "speech",
    "sounddevice": "mic",
    "fastapi": "studio",
    "starlette": "studio",
    "uvicorn": "studio",
}


@cache
def names(folder: str) -> tuple[str, ...]:
    """The names of all parts in a folder, sorted, without importing any of them."""
    if folder not in FOLDERS:
        raise RecipeError(f"no such kind of part: {folder!r}", did_you_mean(folder, FOLDERS))
    place = Path(__file__).parent / folder
    found = (module.name for module in pkgutil.iter_modules([str(place)]))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def load(folder: str, name: str) -> ModuleType:
    """Import one part by name.

    Raises
    ------
    RecipeError : no file of that name is in the folder (close names are given).
    MissingExtra : the part needs a package that is not installed.
    """
    if name not in names(folder):
        kind = {"corpora": "corpus"}.get(folder, folder.removesuffix("s"))
        raise RecipeError(f"unknown {kind} {name!r}.", did_you_mean(name, names(folder)))
    try:
        return importlib.import_module(f"earnest.{folder}.{name}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise MissingExtra(package, EXTRAS[package], f"{folder}/{name}") from error


def recipes() -> dict[str, Path]:
    """The recipes that come with Earnest, by name: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parent
    places = (package.parents[1] / "recipes", package / "recipes")
    return {path.stem: path for place in places for path in sorted(place.glob("*.yaml"))}
