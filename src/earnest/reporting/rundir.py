"""A run directory, read: every file of it that is there, and None for every file that is not.

A run that was interrupted, that has no leaky twin or that shipped no bundle is as readable as a finished one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from earnest.errors import DataError


@dataclass(frozen=True)
class RunFiles:
    """What one run directory holds.

    Attributes
    ----------
    path : the run directory.
    scores, audit, environment : `scores.json`, `audit.json`, `environment.json`.
    predictions : one row per test clip, fold and seed, with scores per class.
    log : one mapping per epoch.
    recipe : the text of `recipe.yaml`.
    quarantine : the files kept out, with reason and remedy.
    table : the clip table, for the places of the audio.
    twin : the leaky twin's `scores.json`, or the summary of it in the run's own scores.
    bundle : `bundle/bundle.json`.
    """

    path: Path
    scores: Mapping[str, Any] | None = None
    predictions: pl.DataFrame | None = None
    log: tuple[Mapping[str, Any], ...] = ()
    audit: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None
    recipe: str | None = None
    quarantine: tuple[Mapping[str, Any], ...] = ()
    table: pl.DataFrame | None = None
    twin: Mapping[str, Any] | None = None
    bundle: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        """What a row of scores says: `classes`, `tags` or `values`."""
        return str((self.scores or {}).get("kind", "classes"))

    @property
    def units(self) -> str:
        """What the score counts once each: `clips`, `recordings` or `subjects`."""
        return f"{(self.scores or {}).get('level', 'clip')}s"

    @property
    def labels(self) -> tuple[str, ...]:
        """The outputs in the order of the scores, and after them any class that stands only in the test rows."""
        known = [str(label) for label in (self.scores or {}).get("labels") or ()]
        if self.predictions is not None and self.kind == "classes":
            seen = self.predictions["target"].drop_nulls().unique().to_list()
            known += sorted(str(label) for label in seen if str(label) not in known)
        return tuple(known)


def read_run(path: Path) -> RunFiles:
    """Read a run directory.

    Raises
    ------
    DataError : the folder is not a run directory, or a file in it is damaged.
    """
    if not any((path / name).is_file() for name in ("recipe.yaml", "scores.json", "log.jsonl")):
        raise DataError(
            f"{path} is not a run directory: it holds neither recipe.yaml nor scores.json.",
            "Give the folder that 'earnest run' named at its end.",
        )
    scores = _mapping(path / "scores.json")
    return RunFiles(
        path=path,
        scores=scores,
        predictions=_frame(path / "predictions.parquet"),
        log=_log(path),
        audit=_mapping(path / "audit.json"),
        environment=_mapping(path / "environment.json"),
        recipe=_text(path / "recipe.yaml"),
        quarantine=_lines(path / "quarantine.jsonl"),
        table=_frame(path / "table.parquet"),
        twin=_twin(scores, path / "twin" / "scores.json"),
        bundle=_mapping(path / "bundle" / "bundle.json"),
    )


def _twin(scores: Mapping[str, Any] | None, path: Path) -> Mapping[str, Any] | None:
    """The twin's own scores, under what the run's scores say about it."""
    full, short = _mapping(path), (scores or {}).get("twin")
    if full is None and not isinstance(short, Mapping):
        return None
    return {**(full or {}), **(short if isinstance(short, Mapping) else {})}


def _log(path: Path) -> tuple[Mapping[str, Any], ...]:
    """The run's log, or that of its folds while the run is not finished."""
    if (path / "log.jsonl").is_file():
        return _lines(path / "log.jsonl")
    return tuple(entry for part in sorted(path.glob("fold-*/log.jsonl")) for entry in _lines(part))


def _text(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise _damaged(path, problem) from problem


def _mapping(path: Path) -> Mapping[str, Any] | None:
    text = _text(path)
    if text is None:
        return None
    try:
        values = json.loads(text)
    except json.JSONDecodeError as problem:
        raise _damaged(path, problem) from problem
    if not isinstance(values, dict):
        raise _damaged(path, f"expected an object, got {type(values).__name__}")
    return values


def _lines(path: Path) -> tuple[Mapping[str, Any], ...]:
    """The objects of a JSON Lines file; a last line cut short by a kill is left out."""
    rows = (_text(path) or "").splitlines()
    values: list[Mapping[str, Any]] = []
    for position, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            value = json.loads(row)
        except json.JSONDecodeError as problem:
            if position == len(rows):
                break
            raise _damaged(path, f"line {position}: {problem}") from problem
        if not isinstance(value, dict):
            raise _damaged(path, f"line {position} is not an object")
        values.append(value)
    return tuple(values)


def _frame(path: Path) -> pl.DataFrame | None:
    if not path.is_file():
        return None
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise _damaged(path, problem) from problem


def _damaged(path: Path, problem: object) -> DataError:
    return DataError(f"{path} is damaged: {problem}.", "Run the recipe again; a finished fold is not trained again.")
