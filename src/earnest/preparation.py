"""A corpus made ready for a recipe: opened, checked, decoded, cut into clips, its targets encoded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earnest import augment, corpora, frontends, levels, models, search, segments, splits, tasks
from earnest.errors import DataError, RecipeError
from earnest.files import atomic_path, atomic_write_text, sha256_file
from earnest.grouping import connected_groups
from earnest.pool import Progress
from earnest.recipe import Recipe, Split
from earnest.shipping.frames import frames_of
from earnest.table import Table
from earnest.training import lessons, store
from earnest.training.inputs import Inputs
from earnest.training.waveforms import SAMPLES, SPANS, decode, decode_once


@dataclass(frozen=True)
class Prepared:
    """A corpus decoded and ready: the table's readable rows, their targets, where the audio is and what is shared."""

    table: Table
    task: tasks.Task
    column: str
    labels: list[str]
    targets: np.ndarray
    cache: Path
    quarantine: list[dict[str, Any]]
    shared: Path | None = None

    def place(self, what: str) -> Path | None:
        """Where runs over the same audio and targets share what they have found in them; None where none share."""
        if self.shared is None:
            return None
        samples = (self.cache / SAMPLES).stat()  # the same file in every run, where none cuts the recordings
        facts = [samples.st_size, samples.st_mtime_ns, sha256_file(self.cache / SPANS), self.labels]
        key = hashlib.sha256(json.dumps([*facts, self.table.column("id").to_list()]).encode())
        key.update(self.targets.tobytes())
        return self.shared / "found" / f"{what}-{key.hexdigest()[:24]}"


def check_same_recordings(prepared: Prepared, run: Path, scores: Mapping[str, Any]) -> None:
    """Make sure that what was prepared again is what a run was made with.

    Raises
    ------
    DataError : its table is another one.
    """
    if prepared.table.hash != scores["data_hash"]:
        raise DataError(
            f"the recordings of {prepared.table.name} are not those that {run} was made with.",
            "Give the same corpus with --data, or run the recipe again.",
        )


def check_parts(recipe: Recipe) -> None:
    """Build every part once, so that what cannot work together is said before anything is decoded.

    Raises
    ------
    RecipeError : a part or option is unknown, or two of them do not fit together.
    """
    tasks.check(tasks.find(recipe.task), recipe)
    levels.check_recipe(recipe)
    search.check(recipe)
    augment.build(recipe.augment, recipe.sample_rate)
    frontend = frontends.build(recipe.frontend, recipe.sample_rate)
    window = Inputs.of(recipe.clips, recipe.sample_rate, frontend.min_samples).window
    segments.check_gap(recipe.clips, window, recipe.sample_rate)
    frames = frontend.frames_for(window)
    task = tasks.find(recipe.task)
    if task.shape == "frames":
        frames_of(frontend, task.delay_s)
    name = recipe.model.name
    models.check_channels(recipe.model, frontend.bands)
    if models.is_estimator(name):
        models.build_estimator(recipe.model, 2)
        lessons.check(recipe, tasks.find(recipe.task), None)
        if frames != 1:
            raise RecipeError(
                f"the model {name} takes one row of numbers per clip; {recipe.frontend.name} gives {frames} frames.",
                f"Use frontend='{{name: statistics, of: {recipe.frontend.name}}}'.",
            )
        if recipe.twin == "carry-over":
            raise RecipeError(f"twin=carry-over carries a network's weights; {name} has none.", "Set twin=true.")
        if recipe.search:
            raise RecipeError(f"search tries networks; {name} chooses its numbers itself.", "Leave search out.")
        return
    lessons.check(recipe, tasks.find(recipe.task), models.build(recipe.model, frames, frontend.bands, 2))
    if models.needs_fixed_input(name) and recipe.clips.short == "keep":
        raise RecipeError(f"the model {name} takes clips of one length only.", "Set clips.short=pad.")
    if not recipe.split.validation and (recipe.training.patience or recipe.training.schedule == "plateau"):
        raise RecipeError(
            "training.patience and the plateau schedule look at validation rows, and split.validation is 0.",
            "Set split.validation (for example 0.15), or drop them.",
        )


def prepare(recipe: Recipe, directory: Path, data: Path | None, shared: Path | None, progress: Progress) -> Prepared:
    """Find the corpus, decode every recording once, set aside what cannot be read, and cut the rest into clips."""
    table = corpora.open_table(recipe.corpus, pattern=recipe.pattern, data=data)
    task = tasks.find(recipe.task)
    column = tasks.column_of(task, recipe.target, table)
    whole, table = table, table.with_target(column) if table.has(column) else table
    if len(table) < len(whole):
        progress.note(f"{len(whole) - len(table)} of {len(whole)} clips have no {column} and are left out.")
    table = task.compose(table, column, recipe, data) if task.compose else table
    task.labels(table, column)  # fail before decoding

    progress.stage("decoding", len(table))
    cache = directory / "cache"
    if shared is None:
        table, verdicts = decode(table, recipe.sample_rate, cache, progress.step)
    else:
        table, verdicts = decode_once(table, recipe.sample_rate, cache, shared, progress.step)
        share_features(cache, shared)
    quarantine = [verdict.as_dict() for verdict in verdicts]
    faulty = set(whole.bad_rows)
    quarantine += [
        {"path": bad.row, "status": "rejected" if bad in faulty else "left out", "reason": bad.reason}
        for bad in table.bad_rows
    ]
    lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in quarantine)
    atomic_write_text(directory / "quarantine.jsonl", lines)
    if not len(table):
        raise DataError(
            f"none of the recordings of {recipe.corpus} can be read.", f"See {directory / 'quarantine.jsonl'}."
        )

    labels = task.labels(table, column)
    window = Inputs.of(recipe.clips, recipe.sample_rate, smallest_input(recipe)).window
    table = segments.segment(table, task.encode(table, column, labels), column, cache, recipe.clips, window)
    targets = task.encode(table, column, labels)
    levels.check(table, targets, tasks.level_of(task, recipe.level))
    table.write(directory / "table.parquet")
    with atomic_path(cache / "targets.npy") as path:
        np.save(path, targets)
    if task.by_frame:
        with atomic_path(cache / "by_frame.npy") as path:
            np.save(path, task.by_frame(table, column, labels, moments_of(recipe, task, window)))
    columns = tasks.groups_of(task, None, table) or [name for name in splits.DEFAULT_GROUPS if table.has(name)]
    groups = connected_groups(table, columns)
    with atomic_path(cache / "groups.npy") as path:
        np.save(path, groups)
    return Prepared(table, task, column, labels, targets, cache, quarantine, shared)


def share_features(cache: Path, shared: Path) -> None:
    """Let the run's features lie in the shared folder."""
    (shared / store.PLACE).mkdir(parents=True, exist_ok=True)
    place = cache / store.PLACE
    if not place.is_symlink():
        place.symlink_to((shared / store.PLACE).resolve(), target_is_directory=True)


def moments_of(recipe: Recipe, task: tasks.Task, window: int) -> np.ndarray:
    """What the frames of a window speak for, in seconds from its begin, (frames,) float64."""
    frames = frames_of(frontends.build(recipe.frontend, recipe.sample_rate), task.delay_s)
    return np.array([frames.moment(number) for number in range(frames.count(window))]) / recipe.sample_rate


def smallest_input(recipe: Recipe) -> int:
    """The fewest samples that the recipe's front end takes."""
    return frontends.build(recipe.frontend, recipe.sample_rate).min_samples


def grouping(recipe: Recipe, prepared: Prepared) -> Split:
    """The recipe's split, with the groups that the task asks for where the recipe names none."""
    columns = tasks.groups_of(prepared.task, recipe.split.group, prepared.table)
    return recipe.split.model_copy(update={"group": columns})
