"""Tables of finished runs and grids: which rows, which columns, and which rows do not differ from the best."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from earnest.comparison import compare_runs
from earnest.errors import DataError, did_you_mean
from earnest.reporting.grids import INDEX as INDEX
from earnest.reporting.rundir import read_run
from earnest.reporting.wording import PLAIN_METRICS
from earnest.scoring import tables
from earnest.scoring.paired import holm
from earnest.scoring.tables import Column

ALPHA = 0.05
PRECISIONS = ("fp32", "fp16", "bf16", "fp8_e5m2", "fp8_e4m3")
PERCENTS = ("score", "twin", "accuracy", "uar", "macro_f1", "train", "validation", *PRECISIONS)
TITLES = {"uar": "UAR", "macro_f1": "macro F1", "twin": "leaky twin (void)", "train": "training rows"}
STANDARD = ("corpus", "protocol", "accuracy", "uar", "macro_f1", "clips", "groups", "parameters", "twin")
OF_A_GRID = ("score", *PRECISIONS, "twin", "clips", "parameters", "seconds")


@dataclass(frozen=True)
class Run:
    """A finished run as a table sees it; `coordinates` say where it lies in its grid."""

    path: Path
    coordinates: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def scores(self) -> Mapping[str, Any]:
        """The run's `scores.json`."""
        return read_run(self.path).scores or {}

    @cached_property
    def recipe(self) -> Mapping[str, Any]:
        """The run's resolved recipe as plain values."""
        text = (self.path / "recipe.yaml").read_text(encoding="utf-8") if (self.path / "recipe.yaml").is_file() else ""
        return yaml.safe_load(text) or {}

    def value(self, key: str) -> Any:
        """What stands in the column `key`: an axis of the grid, a score, or a key of the recipe."""
        if key in self.coordinates:
            return self.coordinates[key]
        made = VALUES.get(key)
        if made is not None:
            return made(self)
        metric = (self.scores.get("metrics") or {}).get(key)
        if metric is not None:
            return _with_interval(self.scores) if key == self.scores.get("primary") else metric
        return _dotted(self.recipe, key)


def _with_interval(scores: Mapping[str, Any]) -> Any:
    interval = scores.get("interval")
    return (scores["score"], *interval) if interval and scores.get("score") is not None else scores.get("score")


def _precision(name: str) -> Any:
    def value(run: Run) -> Any:
        if name == "fp32":
            return run.scores.get("score") if run.scores.get("precisions") else None
        return ((run.scores.get("precisions") or {}).get(name) or {}).get("score")

    return value


def _fold_mean(key: str) -> Any:
    def value(run: Run) -> float | None:
        found = [fold[key] for fold in run.scores.get("folds") or () if fold.get(key) is not None]
        return sum(found) / len(found) if found else None

    return value


def _day(run: Run) -> str:
    return datetime.fromtimestamp((run.path / "scores.json").stat().st_mtime, UTC).date().isoformat()


def _seeds(run: Run) -> str | None:
    seeds = run.scores.get("seeds") or {}
    if (seeds.get("n") or 1) < 2:
        return None
    return f"{100 * seeds['mean']:.1f} ± {100 * seeds['sd']:.1f} ({seeds['n']})"


def _train_validation(run: Run) -> str | None:
    values = [_fold_mean(key)(run) for key in ("train", "validation")]
    return None if None in values else "[" + ", ".join(f"{100 * value:.1f}" for value in values) + "]"


VALUES: Mapping[str, Any] = {
    "run": lambda run: run.path.name,
    "score": lambda run: _with_interval(run.scores),
    "corpus": lambda run: run.scores.get("corpus"),
    "protocol": lambda run: run.scores.get("protocol"),
    "primary": lambda run: run.scores.get("primary"),
    "clips": lambda run: run.scores.get("n_clips"),
    "groups": lambda run: run.scores.get("n_groups"),
    "parameters": lambda run: run.scores.get("parameters"),
    "seconds": lambda run: run.scores.get("training_seconds"),
    "twin": lambda run: (run.scores.get("twin") or {}).get("score"),
    "seeds": _seeds,
    "train": _fold_mean("train"),
    "validation": _fold_mean("validation"),
    "train_validation": _train_validation,
    "date": _day,
    **{name: _precision(name) for name in PRECISIONS},
}


def find_runs(paths: Sequence[Path]) -> list[Run]:
    """The finished runs at paths, each a run, a grid, or a folder that holds them.

    Raises
    ------
    DataError : a path holds no finished run.
    """
    found: list[Run] = []
    for path in paths:
        if (path / INDEX).is_file():
            inside = [Run(path / cell["run"], cell["coordinates"]) for cell in _index(path)["cells"]]
            inside = [run for run in inside if (run.path / "scores.json").is_file()]
        elif (path / "scores.json").is_file():
            inside = [Run(path)]
        else:
            inside = [Run(scores.parent) for scores in sorted(path.glob("*/scores.json"))]
        if not inside:
            raise DataError(f"{path} holds no finished run.", "Give the folder that `earnest run` named at its end.")
        found += inside
    return found


def tabulate(
    paths: Sequence[Path], columns: Sequence[str] | None = None, spread: str | None = None
) -> tuple[list[dict[str, Any]], list[Column]]:
    """Rows and columns for `scoring.tables.render`.

    Parameters
    ----------
    paths : runs, grids, or folders of runs.
    columns : `key` or `TITLE=key`, in order: an axis of the grid, a metric, one of `VALUES` (score, twin, seeds, train,
        validation, seconds, date, fp16 …), or a key of the recipe, `training.epochs`. None takes what a single grid's
        recipe asks for under `table:`, else what is usual.
    spread : an axis whose values become columns of their own, with the score in them.

    Returns
    -------
    rows, columns : rows whose score does not differ significantly from the best of the same corpus (paired tests,
    p ≥ 0.05 after Holm's correction) hold `alike: True`; a run on a leaky split holds `void`.

    Raises
    ------
    DataError : no finished run, or a column that no run knows.
    """
    runs = find_runs(paths)
    asked = _index(paths[0]).get("table", {}) if len(paths) == 1 and (paths[0] / INDEX).is_file() else {}
    wanted = list(columns or asked.get("columns") or _usual(runs))
    spread = spread or (asked.get("spread") if columns is None else None)
    titled = [text.split("=", 1) if "=" in text else [_title(text), text] for text in map(str, wanted)]
    keys = {key for _, key in titled}
    rows = [{key: run.value(key) for key in keys} | _standing(run) for run in runs]
    known = {*VALUES, *(axis for run in runs for axis in run.coordinates), *runs[0].recipe}
    for key in keys - known:
        if columns and all(row[key] is None for row in rows):
            raise DataError(f"no run has a column {key!r}.", did_you_mean(key, known))
    for row, alike in zip(rows, not_worse_than_the_best(runs), strict=True):
        row["alike"] = alike
    plain = any(run.scores.get("primary") in PLAIN_METRICS for run in runs)
    shown = [_column(key, title, rows, plain) for title, key in titled if any(row[key] is not None for row in rows)]
    if spread:
        return _spread(runs, rows, shown, spread)
    if columns is None and not all(run.coordinates for run in runs):
        rows = [line for run, row in zip(runs, rows, strict=True) for line in _with_twin(run, row)]
        shown = [column for column in shown if column.key != "twin"]
    return rows, shown


def _usual(runs: Sequence[Run]) -> list[str]:
    axes = list(dict.fromkeys(axis for run in runs for axis in run.coordinates))
    if all(run.coordinates for run in runs):
        return [*axes, *OF_A_GRID]
    others = [key for run in runs for key in [run.scores.get("primary")] if key and key not in STANDARD]
    return ["run", *axes, *STANDARD[:2], *dict.fromkeys(map(str, others)), *STANDARD[2:]]


def _standing(run: Run) -> dict[str, Any]:
    row: dict[str, Any] = {"run": str(run.path), "corpus": run.scores.get("corpus")}
    if run.scores.get("leaky"):
        row["void"] = "groups ignored"
    elif run.scores.get("allow_leaks"):
        row["void"] = f"leaks allowed: {run.scores['allow_leaks']}"
    return row


def _with_twin(run: Run, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The run, and below it its leaky twin as a row of its own, marked void."""
    row = {**row, "run": run.path.name}
    twin = run.scores.get("twin")
    if not isinstance(twin, Mapping):
        return [row]
    other = Run(run.path / "twin")
    values = dict.fromkeys(row) | {key: (twin.get("metrics") or {}).get(key) for key in PERCENTS if key in row}
    values |= {str(run.scores.get("primary")): _with_interval(twin), "protocol": twin.get("protocol")}
    values |= {key: row.get(key) for key in ("corpus", "clips")}
    return [row, {**values, "run": f"{other.path.parent.name}, leaky twin", "void": "groups ignored"}]


def _column(key: str, title: str, rows: Sequence[Mapping[str, Any]], plain: bool) -> Column:
    """How a column is written: fractions in per cent, or where a run's primary metric is none, `plain` numbers."""
    if key in PERCENTS:
        best: Literal["high"] | None = None if key in ("twin", "train", "validation") else "high"
        return Column(key, title, "number", best, 3) if plain else Column(key, title, "percent", best)
    (column,) = tables.guess_columns([{key: row[key]} for row in rows if row[key] is not None])
    return Column(key, title, column.kind, column.best, column.digits)


def _title(key: str) -> str:
    return TITLES.get(key, key.rpartition(".")[2].replace("_", " "))


def _spread(
    runs: Sequence[Run], rows: Sequence[dict[str, Any]], shown: Sequence[Column], axis: str
) -> tuple[list[dict[str, Any]], list[Column]]:
    """One row for each combination of the other axes; the points of `axis` are columns with the score."""
    if not any(axis in run.coordinates for run in runs):
        raise DataError(f"no grid here has an axis {axis!r}.", "Give the name of an axis under `grid:` of its recipe.")
    points = list(dict.fromkeys(run.coordinates[axis] for run in runs if axis in run.coordinates))
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run, row in zip(runs, rows, strict=True):
        place = (row["corpus"], *(name for key, name in run.coordinates.items() if key != axis))
        line = merged.setdefault(place, {"corpus": row["corpus"], **dict(run.coordinates)})
        line[f"{axis}={run.coordinates.get(axis)}"] = row.get("score", run.value("score"))
    others = [column for column in shown if column.key in runs[0].coordinates and column.key != axis]
    return list(merged.values()), [*others, *(Column(f"{axis}={p}", p, "percent", "high") for p in points)]


def not_worse_than_the_best(runs: Sequence[Run]) -> list[bool]:
    """Whether each run's difference from the best run of the same corpus is not significant.

    Paired tests over the clips that both answered, resampled by group; Holm's correction over all tests of a corpus.
    Void runs, and runs whose clips have nothing in common with the best one's, are never alike.
    """
    alike = [False] * len(runs)
    honest = [n for n, run in enumerate(runs) if not {"void"} & set(_standing(run)) and run.scores.get("score")]
    for corpus in dict.fromkeys(runs[n].scores.get("corpus") for n in honest):
        rivals = sorted(
            (n for n in honest if runs[n].scores.get("corpus") == corpus), key=lambda n: -float(runs[n].scores["score"])
        )
        tested = {n: p for n in rivals[1:] if (p := _p_value(runs[rivals[0]], runs[n])) is not None}
        for n, corrected in zip(tested, holm(list(tested.values())), strict=True):
            alike[n] = corrected >= ALPHA
    return alike


def _p_value(best: Run, other: Run) -> float | None:
    try:
        return float(compare_runs(best.path, other.path)["p_value"])
    except DataError:
        return None


def _dotted(values: Mapping[str, Any], key: str) -> Any:
    found: Any = values
    for part in key.split("."):
        if isinstance(found, str) and part == "name":
            return found
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    if isinstance(found, Mapping):
        return found.get("name", json.dumps(found))
    if isinstance(found, float):
        return f"{found:g}"  # a setting, which is no share and has no best
    return " + ".join(map(str, found)) if isinstance(found, list) else found


def _index(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((path / INDEX).read_text(encoding="utf-8"))
    return content


def unfinished(path: Path) -> Iterable[Mapping[str, Any]]:
    """The cells of a grid that failed or have not ended."""
    cells = _index(path)["cells"] if (path / INDEX).is_file() else []
    return [cell for cell in cells if cell["status"] in ("failed", "open")]
