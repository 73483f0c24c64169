"""From a finished run to files for other places, each scored on the test rows that the model was scored on.

    run ─ one fold's weights ─► targets ─ files ─► bundle ─ each file over the fold's test clips ─► scores in the bundle

What is measured for a conversion (ranges of activations) is measured on the fold's training clips. Test clips are only
scored. A file that hears streams in its own way, as those for ESPHome do, chooses its threshold on the fold's
validation streams, and its misses and false alarms in the test streams are counted with it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from earnest import alarms
from earnest.errors import EarnestError
from earnest.journey import honest_folds
from earnest.pool import Progress, Silent
from earnest.preparation import Prepared, check_same_recordings, prepare
from earnest.recipe import Recipe, load
from earnest.reporting.rundir import read_run
from earnest.results import group_column
from earnest.runtime.spotting import Answers
from earnest.scoring.alarms import missed_share, rate
from earnest.shipping import targets
from earnest.shipping.assemble import assemble_bundle, choose_fold
from earnest.shipping.source import Source
from earnest.splits import Fold
from earnest.table import Table
from earnest.training.loop import derive
from earnest.training.waveforms import Waveforms

CALIBRATION_WINDOWS = 200


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    bundle : the bundle's directory.
    files : target → names of its files in the bundle.
    problems : target → why it could not hold the model.
    heard : file → what it gave in the fold's streams, for files that hear streams in their own way: threshold, counts
        and rates of misses and false alarms with their intervals, and counts at every threshold.
    """

    bundle: Path
    files: Mapping[str, tuple[str, ...]]
    problems: Mapping[str, EarnestError] = field(default_factory=dict)
    heard: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def export(
    run: Path,
    wanted: Sequence[str] = ("onnx",),
    fold: str | None = None,
    out: Path | None = None,
    *,
    data: Path | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write one fold's model as a bundle with further kinds of files in it.

    Parameters
    ----------
    run : a finished run.
    wanted : names of targets (`earnest.shipping.targets`); `onnx` is always written.
    fold : whose model; default by `choose_fold`.
    out : where to; default `bundle` in the run directory.
    data : where corpora lie; needed for targets that quantise.
    progress : told what happens.

    Raises
    ------
    BundleError : an unknown target, or a run without an exported model.
    """
    progress = progress or Silent()
    chosen = [(name, targets.find(name)) for name in dict.fromkeys(wanted) if name != "onnx"]
    files = read_run(run)
    scores = files.scores or {}
    (recipe,) = load(run / "recipe.yaml")
    made: dict[str, Path] = {}
    written: dict[str, tuple[str, ...]] = {"onnx": ("model.onnx",)}
    problems: dict[str, EarnestError] = {}
    heard: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=run, prefix=".export-") as folder:
        place = Path(folder)
        if chosen:
            prepared = prepare(recipe, place, data, None, progress)
            source, windows = open_fold(run, recipe, prepared, scores, fold, progress, heard)
            progress.stage("converting", len(chosen))
            for name, target in chosen:
                (place / name).mkdir()
                try:
                    found = target.write(source, windows, place / name)
                except EarnestError as problem:
                    problems[name] = problem
                else:
                    made |= found
                    written[name] = tuple(found)
                progress.step(name)
        table = Table.read(run / "table.parquet")
        bundle = assemble_bundle(run, recipe, table, scores, fold, out, more_files=made, heard=heard)
    return Exported(bundle, written, problems, heard)


def open_fold(
    run: Path,
    recipe: Recipe,
    prepared: Prepared,
    scores: Mapping[str, Any],
    fold: str | None,
    progress: Progress,
    heard: dict[str, Any],
) -> tuple[Source, list[np.ndarray]]:
    """A fold's trained parts, and inputs cut from its training clips: at most 200, of as many clips.

    What files hear in the fold's streams is put into `heard`.

    Raises
    ------
    DataError : the recordings are not those that the run was made with.
    """
    check_same_recordings(prepared, run, scores)
    chosen = choose_fold(scores, fold)
    folds, _ = honest_folds(recipe, prepared, prepared.cache, progress)
    (own,) = [each for each in folds.folds if each.name == chosen["name"]]
    task = prepared.task.fitted(prepared.targets[own.train])
    source = Source.load(run / f"fold-{own.name}", recipe, tuple(scores["labels"]), task)
    source = replace(source, hear=_hearing(recipe, prepared, own, source, derive(chosen["seed"]), heard))
    rng = np.random.default_rng(0)
    waveforms = Waveforms.open(prepared.cache)
    drawn = rng.permutation(own.train)[:CALIBRATION_WINDOWS]
    return source, [np.array(source.inputs.crop(np.asarray(waveforms[int(row)]), rng)) for row in drawn]


def _hearing(
    recipe: Recipe, prepared: Prepared, fold: Fold, source: Source, seed: int, heard: dict[str, Any]
) -> Callable[[str, Answers, int, Sequence[float]], float] | None:
    """What lets a file listen to the fold's streams, and puts into `heard` what came of it; see `Source.hear`."""
    listening = prepared.task.listening
    rows = alarms.divided(prepared.table, fold, prepared.task)
    if listening is None or not any(rows.streams):
        return None
    group = group_column(prepared.table, recipe, prepared.task)
    groups = prepared.table.column(group).to_list() if group else None

    def hear(file: str, answers: Answers, step: int, thresholds: Sequence[float]) -> float:
        sounds = (prepared.table.frame, Waveforms.open(prepared.cache), prepared.targets)
        ear = alarms.Ear.of(answers, source.inputs, *sounds, source.labels, listening)
        ear = replace(ear, step=step, thresholds=thresholds)
        parts = ((rows.streams[0], rows.validation.tolist()), (rows.streams[1], rows.test.tolist()))
        found = alarms.listen(ear, parts, seed)
        heard[file] = {
            **{key: found[key] for key in ("threshold", "reached", "validation")},
            **rate(found["test"]["alarms"], found["test"]["hours"]),
            **missed_share(found["words"], groups),
            "curve": [[at, *counts] for at, counts in zip(ear.thresholds, found["curve"], strict=True)],
        }
        return float(found["threshold"])

    return hear
