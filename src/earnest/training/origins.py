"""Which weights of another run a unit may start from, without having heard its test rows beforehand.

    start: {run: runs/emotion}

Each unit starts from one fold's final checkpoint of that run. Where both runs use one corpus, this must be a fold that
tested all that the unit tests: every other fold was trained on some of these rows. Where the corpora differ, it is the
first fold (or the one that is named), and none of the unit's test recordings may be among the files it was trained on,
as when a corpus is a part of another. Speakers are not compared between corpora, since names such as "1" say nothing,
and the same recording in another format is not recognised.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from earnest import recipe as recipes
from earnest.errors import DataError, LeakError, RecipeError, did_you_mean
from earnest.files import sha256_file
from earnest.recipe import Recipe, Start
from earnest.splits import Fold, Folds
from earnest.table import Table
from earnest.training import checkpoints

ALIKE = "Both runs use one corpus, so the weights must come from a fold that tested the same rows."
SAME = "Give both runs the same split, or start from a run on another corpus."


@dataclass(frozen=True)
class Origin:
    """Where a unit's first weights come from; plain values, so that it travels to another process.

    Attributes
    ----------
    checkpoint : folder of the fold's checkpoint.
    fold, seed : which of that run's units it is.
    sha256 : of the weights.
    labels : what that run's outputs mean.
    members : how many networks the checkpoint holds.
    """

    checkpoint: Path
    fold: str
    seed: int
    sha256: str
    labels: tuple[str, ...]
    members: int

    @classmethod
    def read(cls, checkpoint: Path, fold: str, seed: int, labels: Sequence[str], members: int) -> Origin:
        """A unit's final weights; raises CheckpointError where they are gone or damaged."""
        checkpoints.load(checkpoint, "final")
        digest = json.loads((checkpoint / "final.json").read_text(encoding="utf-8"))["sha256"]
        return cls(checkpoint, fold, seed, digest, tuple(labels), members)

    def as_dict(self) -> dict[str, Any]:
        """What a unit's record says of it."""
        return {"checkpoint": str(self.checkpoint), "fold": self.fold, "seed": self.seed, "sha256": self.sha256}


@dataclass(frozen=True)
class Source:
    """A finished run, as far as another one can start from it."""

    directory: Path
    recipe: Recipe
    scores: Mapping[str, Any]
    table: pl.DataFrame
    predictions: pl.DataFrame
    hashes: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def open(cls, directory: str | Path) -> Source:
        """Read a run directory.

        Raises
        ------
        RecipeError : it holds no finished run.
        """
        place = Path(directory)
        try:
            scores = json.loads((place / "scores.json").read_text(encoding="utf-8"))
            table = pl.read_parquet(place / "table.parquet")
            predictions = pl.read_parquet(place / "predictions.parquet", columns=["id", "fold", "seed"])
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise RecipeError(
                f"start.run: {place} is not the folder of a finished run ({error}).", "Finish that run first."
            ) from error
        return cls(place, recipes.load(place / "recipe.yaml")[0], scores, table, predictions)

    @property
    def folds(self) -> list[str]:
        """The names of its folds, in their order."""
        return self.predictions["fold"].unique(maintain_order=True).to_list()

    def seed_of(self, fold: str, wanted: int | None, same: int) -> int:
        """The seed of a fold's network: the one that is wanted, else the same as the unit's, else the first.

        Raises
        ------
        RecipeError : the wanted seed was not trained.
        """
        seeds = self.recipe.seeds
        if wanted is not None and wanted not in seeds:
            raise RecipeError(f"start.seed: {self.directory} has the seeds {list(seeds)}, not {wanted}.")
        return wanted if wanted is not None else same if same in seeds else seeds[0]

    def sha256(self, path: Path) -> str:
        """The hash of a file, computed once."""
        if path not in self.hashes:
            self.hashes[path] = sha256_file(path)
        return self.hashes[path]

    def checkpoint(self, fold: str, seed: int) -> Path:
        """The folder of one unit's checkpoint."""
        name = f"fold-{fold}" if seed == self.recipe.seeds[0] else f"fold-{fold}-s{seed}"
        return self.directory / name / "checkpoint"

    def sides(self, fold: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows that a fold tested, and all others: it may have been trained on each of these."""
        tested = self.table["id"].is_in(self.predictions.filter(pl.col("fold") == fold)["id"].unique().to_list())
        return self.table.filter(tested), self.table.filter(~tested)

    def facts(self) -> dict[str, Any]:
        """What `scores.json` of a run that starts here says of it."""
        kept = {key: self.scores.get(key) for key in ("corpus", "protocol", "recipe_hash", "data_hash")}
        return {"run": str(self.directory), **kept, "recipe": self.recipe.plain()}


def finder(recipe: Recipe, table: Table, folds: Folds) -> Callable[[Fold, int], Origin | None]:
    """What each unit (fold, seed) of a run starts from: `find` for a recipe that says so, else nothing.

    A run that is void itself, or allows leaks and shows it, may start from anything.

    Raises
    ------
    RecipeError : `start.run` is not a finished run.
    """
    if recipe.start is None:
        return lambda fold, seed: None
    strict = not folds.leaky and recipe.allow_leaks is None
    return partial(find, recipe.start, Source.open(recipe.start.run), table, strict=strict)


def find(start: Start, source: Source, table: Table, fold: Fold, seed: int, *, strict: bool) -> Origin:
    """The weights that one unit may start from.

    Parameters
    ----------
    start, source : what the recipe asks for, and the run it names.
    table, fold, seed : the unit's rows.
    strict : whether a leak is an error; false where the run itself is void or allows leaks.

    Raises
    ------
    RecipeError : that run has no such fold.
    LeakError : that fold's network was trained on some of the unit's test rows, or may have been.
    DataError : a recording that must be compared cannot be read.
    """
    tested = table.rows(fold.test).frame
    alike = source.scores.get("corpus") == table.name and not _names(source.table).isdisjoint(_names(table.frame))
    known = source.folds
    if start.fold is not None and start.fold not in known:
        raise RecipeError(f"start.fold: {source.directory} has no such fold.", did_you_mean(start.fold, known))
    wanted = start.fold or (fold.name if alike else known[0])
    if alike and wanted not in known and strict:
        raise LeakError(f"start: {source.directory} has no fold {wanted!r}, only {', '.join(known)}. {ALIKE}", SAME)
    if wanted not in known:
        wanted = known[0]
    if strict and alike:
        _check_fold(source, wanted, tested, fold.name)
    elif strict:
        _check_files(source, wanted, tested)
    number = source.seed_of(wanted, start.seed, seed)
    members = source.recipe.training.members
    return Origin.read(source.checkpoint(wanted, number), wanted, number, source.scores.get("labels", ()), members)


def _check_fold(source: Source, wanted: str, tested: pl.DataFrame, name: str) -> None:
    """Make sure that a fold of a run on the same corpus held out all that is tested now."""
    if source.scores.get("leaky") or source.recipe.allow_leaks is not None:
        raise LeakError(
            f"start: {source.directory} was trained on a split that shares groups between training and test rows, so "
            "its weights know the speakers or sources that are tested here.",
            "Start from a run whose split keeps them apart.",
        )
    held_out = _names(source.sides(wanted)[0])
    heard = sorted(_names(tested) - held_out)
    if heard:
        raise LeakError(
            f"start: fold {wanted} of {source.directory} was trained on {len(heard)} of the {len(_names(tested))} "
            f"recordings that fold {name} tests, or never tested them (for example {heard[0]}). {ALIKE}",
            SAME,
        )


def _check_files(source: Source, wanted: str, tested: pl.DataFrame) -> None:
    """Make sure that no file that is tested now is, byte for byte, one that another corpus's fold was trained on."""
    paths = source.sides(wanted)[1]["audio"].unique()
    trained = _by_size(source.directory / path for path in paths)  # relative paths start at the run's folder
    ours = _by_size(map(Path, tested["audio"].unique()))
    for size in trained.keys() & ours.keys():
        known = {source.sha256(path): path for path in trained[size]}
        for path in ours[size]:
            if (twin := known.get(source.sha256(path))) is not None:
                raise LeakError(
                    f"start: {path} is tested here, and {source.directory} was trained on the same recording ({twin}).",
                    "Train the run to start from without the recordings of this corpus.",
                )


def _by_size(paths: Iterable[Path]) -> dict[int, list[Path]]:
    """Files by their size in bytes; those that are gone cannot be compared and are left out."""
    found: dict[int, list[Path]] = {}
    for path in paths:
        try:
            found.setdefault(path.stat().st_size, []).append(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error}.") from error
    return found


def _names(frame: pl.DataFrame) -> set[str]:
    """The recordings of a table: the column `recording` where clips were cut from them, else the ids."""
    return set(frame["recording" if "recording" in frame.columns else "id"].drop_nulls().to_list())
