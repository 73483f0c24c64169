"""Runs: what has been trained in the folder, read from the run directories."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

UNNAMED = "run"  # what a recipe is called that has no name


def summary(id: str, path: Path, state: str) -> dict[str, Any]:
    """One line of the list of runs.

    Parameters
    ----------
    id, path : the run's id and folder.
    state : `running`, `done`, `failed`, `stopped` or `unfinished`.
    """
    scores, recipe = read_object(path / "scores.json"), _recipe(path)
    environment = read_object(path / "environment.json")
    name = scores.get("name") or recipe.get("name")
    return {
        "id": id,
        "name": path.name if name in (None, "", UNNAMED) else str(name),
        "state": state,
        "corpus": _shown(scores.get("corpus") or recipe.get("corpus")),
        "task": _shown(scores.get("task") or recipe.get("task")),
        "model": _shown(recipe.get("model")),
        "protocol": scores.get("protocol"),
        "primary": scores.get("primary"),
        "score": scores.get("score"),
        "interval": scores.get("interval"),
        "seconds": scores.get("seconds"),
        "date": environment.get("started"),
        "has_report": (path / "report.html").is_file(),
        "has_bundle": (path / "bundle" / "bundle.json").is_file(),
    }


def is_held(path: Path) -> bool:
    """Whether a process is at work in a run directory."""
    try:
        with (path / ".lock").open("r") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def details(path: Path) -> dict[str, Any]:
    """What one run's page says beyond the list."""
    scores = read_object(path / "scores.json")
    return {key: scores.get(key) for key in ("folds", "metrics", "baseline", "n_clips", "n_groups", "group", "twin")}


def read_object(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file; nothing where there is none, or a damaged one."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _recipe(path: Path) -> Mapping[str, Any]:
    try:
        values = yaml.safe_load((path / "recipe.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}


def _shown(value: Any) -> str | None:
    """A part of a recipe by its name."""
    if isinstance(value, dict):
        value = value.get("name")
    return None if value is None else str(value)
