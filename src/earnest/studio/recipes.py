"""Recipes that can be started: those that come with Earnest, and those in the studio's folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from earnest import registry
from earnest.errors import RecipeError

KEYS = ("corpus:", "model:", "grid:", "task:")  # one of them begins a line of a recipe
LARGEST = 200_000  # bytes
CHOICES = {"corpus": "corpora", "model": "models", "frontend": "frontends", "task": "tasks"}


def known(root: Path) -> dict[str, Path]:
    """Recipes by name; one of the folder hides the one of the same name that comes with Earnest."""
    own: dict[str, Path] = {}
    for place in (root, root / "recipes"):
        for path in sorted(place.glob("*.y*ml")) if place.is_dir() else ():
            if path.suffix in (".yaml", ".yml") and path.name.isprintable() and _is_recipe(path):
                own.setdefault(path.stem, path)
    return {**registry.recipes(), **own}


def listed(root: Path) -> list[dict[str, Any]]:
    """Name, place and first comment of every recipe."""
    shipped = set(registry.recipes().values())
    return [
        {"name": name, "path": str(path), "summary": _summary(path), "shipped": path in shipped}
        for name, path in sorted(known(root).items())
    ]


def values(text: str) -> dict[str, str]:
    """What a recipe sets, as the form shows it: dotted key → text; a part by its name, and what a grid varies not."""
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    found: dict[str, str] = {}
    for key, value in settings.items() if isinstance(settings, dict) else ():
        inner = value if isinstance(value, dict) else {"name": value}
        if key in CHOICES:
            found[key] = _shown(inner.get("name"))
        elif isinstance(value, dict) or key == "split":
            found |= {f"{key}.{name}": _shown(one) for name, one in inner.items()}
        else:
            found[key] = _shown(value)
    varied = settings.get("grid") if isinstance(settings, dict) else None
    return {key: text for key, text in found.items() if text and key not in (varied or {})}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return "" if value is None or isinstance(value, dict) else json.dumps(value).strip('"')


def schema() -> dict[str, Any]:
    """The recipe's own JSON schema, and the names that corpus, model, front end and task may have."""
    from earnest.recipe import Recipe

    choices = {key: [name for name in registry.names(kind) if name != "folder"] for key, kind in CHOICES.items()}
    return {**Recipe.model_json_schema(), "choices": choices}


def check(path: Path | None, overrides: Sequence[str]) -> None:
    """Refuse what would not start.

    Raises
    ------
    RecipeError : neither recipe nor keys, an override that is none, or wrong keys or values.
    """
    from earnest import recipe

    if path is None and not overrides:
        raise RecipeError("Neither a recipe nor settings were given.", "Choose a recipe, or a corpus and a model.")
    for override in overrides:
        if not is_override(override):
            raise RecipeError(f"{override[:80]!r} is no setting.", "Settings are key=value, such as model=svm.")
    recipe.load(path, overrides)


def is_override(text: str) -> bool:
    """Whether a text is `key=value` in one line."""
    key, equals, _ = text.partition("=")
    return bool(equals) and all(name.isidentifier() for name in key.split(".")) and text.isprintable()


def name_of(recipe: str | None, overrides: Iterable[str]) -> str:
    """What a run's folder is called: after its recipe, or after what it learns with what."""
    if recipe is not None:
        return _tame(recipe)
    given = dict(override.partition("=")[::2] for override in overrides)
    parts = [Path(given.get(key, "")).name for key in ("name",)] if "name" in given else []
    parts = parts or [Path(given.get(key, "").rpartition(":")[2]).name for key in ("corpus", "model")]
    return _tame("-".join(part for part in parts if part)) or "run"


def _tame(name: str) -> str:
    """Letters, digits, `-` and `_`: the name of a folder anywhere."""
    kept = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
    return kept.strip("-_")[:60]


def _is_recipe(path: Path) -> bool:
    try:
        if path.stat().st_size > LARGEST:
            return False
        return any(line.startswith(KEYS) for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return False


def _summary(path: Path) -> str:
    """The first line, where it is a comment."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""
