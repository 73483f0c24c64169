"""From recordings to a run directory, as one readable path. A newcomer starts here.

    recordings ─ corpora ─► table ─ decode ─► waveforms ─ segments ─► clips ─ splits ─► folds ─ audit ─►
    units ─ levels ─► scores ─► bundle, report

Nothing of the test rows is used before `score`, and each fold's unit starts from nothing (see `units`). A run may be
killed at any moment: the same command goes on where it stopped, and a finished run is returned as it is.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from earnest import alarms, insight, leaks, levels, segments, splits
from earnest.errors import BundleError, LeakError, RecipeError
from earnest.files import atomic_path, atomic_write_text, kept
from earnest.pool import Progress, Silent, default_jobs, epochs_of, run_carrying, run_units
from earnest.preparation import Prepared, check_parts, grouping, prepare
from earnest.provenance import environment
from earnest.recipe import Recipe
from earnest.reporting.report import write_report
from earnest.reporting.wording import score_text
from earnest.results import gather, group_column, summarise
from earnest.scoring.alarms import pool
from earnest.shipping.assemble import assemble_bundle
from earnest.shipping.parity import LIMIT, Parity
from earnest.splits import Folds
from earnest.training import lessons, origins
from earnest.training.waveforms import Waveforms
from earnest.units import Unit, locked, read_log


def run(
    recipe: Recipe,
    out: Path | None = None,
    *,
    data: Path | None = None,
    jobs: int | None = None,
    shared: Path | None = None,
    pool: Executor | None = None,
    progress: Progress | None = None,
) -> Path:
    """Carry out a recipe.

    Parameters
    ----------
    recipe : what to do.
    out : the run directory; default `runs/NAME-HASH`.
    data : where corpora lie; default `EARNEST_DATA`, then the user's cache folder.
    jobs : how many folds and seeds are trained at once; default one per `training.threads` cores. It changes no result.
    shared : folder through which several runs share decoded audio and features; whoever gives it removes it.
    pool : processes in which folds and seeds are trained, shared by several runs; None: as many of its own as `jobs`.
    progress : told what happens.

    Returns
    -------
    The run directory, with scores, predictions, report and bundle in it.

    Raises
    ------
    RecipeError, DataError, LeakError, StorageError, MissingExtra : each names what is wrong and what to do.
    """
    progress = progress or Silent()
    directory = out or Path("runs") / f"{recipe.name}-{recipe.hash[:8]}"
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory):
        if is_finished(directory, recipe.hash):
            progress.note(f"This recipe has been run already: {directory}")
            return directory
        started = time.monotonic()
        torch.set_num_threads(recipe.training.threads)
        check_parts(recipe)
        sweep(directory)
        atomic_write_text(directory / "recipe.yaml", recipe.to_yaml())
        atomic_write_text(directory / "environment.json", json.dumps(environment(recipe), indent=1))

        prepared = prepare(recipe, directory, data, shared, progress)
        folds, audit = honest_folds(recipe, prepared, directory, progress)
        train = partial(train_units, jobs=jobs or default_jobs(recipe), progress=progress, pool=pool)
        scores = run_folds(recipe, prepared, folds, directory, train, progress, ship=True)
        scores |= {"leaks": audit.leaks, "allow_leaks": recipe.allow_leaks}
        if lessons.is_transductive(recipe):
            scores["transductive"] = True
        if recipe.start:
            scores["start"] = origins.Source.open(recipe.start.run).facts()
        if recipe.twin:
            scores["twin"] = run_twin(recipe, prepared, folds, directory, train, progress)
        scores["seconds"] = round(time.monotonic() - started, 1)

        progress.stage("bundle and report")
        ship(directory, recipe, prepared, scores, progress)
        finish(directory, recipe, prepared, scores)
    return directory


def finish(directory: Path, recipe: Recipe, prepared: Prepared, scores: dict[str, Any]) -> None:
    """Write what is to be looked at, the scores and the report; the decoded audio is no longer needed."""
    scores["quarantined"] = sum(entry["status"] == "rejected" for entry in prepared.quarantine)
    drawn = prepared.place("mel")
    insight.write(directory, recipe, prepared.table, prepared.task, prepared.column, prepared.cache, scores, drawn)
    scores.get("activity", {}).pop("shown", None)  # curves are no scores: they stand in insight/
    atomic_write_text(directory / "scores.json", json.dumps(scores, indent=1, ensure_ascii=False))
    write_report(directory)
    shutil.rmtree(prepared.cache, ignore_errors=True)


def is_finished(directory: Path, recipe_hash: str) -> bool:
    """Whether a run directory holds this recipe's finished run.

    Raises
    ------
    RecipeError : it holds another recipe's run.
    """
    try:
        scores = json.loads((directory / "scores.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if scores.get("recipe_hash") == recipe_hash:
        return (directory / "report.html").is_file()
    raise RecipeError(f"{directory} holds the finished run of another recipe.", "Give another --out, or delete it.")


def sweep(directory: Path) -> None:
    """Remove half-written files that a killed run left behind."""
    for path in directory.rglob(".writing-*"):
        path.unlink(missing_ok=True)


def honest_folds(recipe: Recipe, prepared: Prepared, directory: Path, progress: Progress) -> tuple[Folds, leaks.Audit]:
    """The folds that a recipe is trained and scored in, after silence and copies are taken out, and their audit.

    Raises
    ------
    LeakError, DataError : as `check_leaks` and `splits.make_folds`.
    """
    folds = splits.make_folds(prepared.table, grouping(recipe, prepared), prepared.column)
    folds = segments.without_silence(folds, prepared.table, prepared.cache)
    return check_leaks(recipe, prepared, lessons.said(folds, recipe), directory, progress)


def check_leaks(
    recipe: Recipe, prepared: Prepared, folds: Folds, directory: Path, progress: Progress
) -> tuple[Folds, leaks.Audit]:
    """Audit the split before anything is trained.

    Returns
    -------
    folds, audit : the folds as they will be used: with `copies: drop`, without the training rows that copy test rows.

    Raises
    ------
    LeakError : training and test rows share something, and the recipe gives no reason to allow it.
    """
    progress.stage("audit", len(prepared.table))
    samples = Waveforms.open(prepared.cache).__getitem__
    listen = partial(leaks.listen, prepared.table, samples, recipe.sample_rate)
    look = partial(leaks.audit, target=prepared.column, heard=kept(prepared.place("copies"), listen))
    audit = look(prepared.table, folds)
    if recipe.split.copies == "drop" and audit.leaks["duplicate"]:
        folds = leaks.without_copies(folds, audit)
        audit = look(prepared.table, folds)
    audit = replace(audit, leaks=audit.leaks | segments.leaks(prepared.table, folds))
    atomic_write_text(directory / "audit.json", json.dumps(audit.as_dict(), indent=1, ensure_ascii=False))
    found = {kind: count for kind, count in audit.leaks.items() if count}
    if found and recipe.split.name != "random" and recipe.allow_leaks is None:
        listed = ", ".join(f"{count} {kind}" for kind, count in found.items())
        raise LeakError(
            f"training and test rows share audio or groups ({listed}): a score on this split could not be trusted. "
            f"{directory / 'audit.json'} names the rows.",
            "Name their common source in the table, or leave copies out of training with split.copies=drop; or say why "
            "they are harmless with allow_leaks='reason', which every table then shows.",
        )
    return folds, audit


Train = Callable[..., list[dict[str, Any]]]  # (units, carried=…) → their records; where it is done is bound before


def train_units(
    units: Sequence[Unit], *, carried: bool, jobs: int, progress: Progress, pool: Executor | None
) -> list[dict[str, Any]]:
    """Units at once in several processes, or with weights carried from one to the next."""
    return run_carrying(units, progress, pool) if carried else run_units(units, jobs, progress, pool)


def run_folds(
    recipe: Recipe,
    prepared: Prepared,
    folds: Folds,
    directory: Path,
    train: Train,
    progress: Progress,
    *,
    ship: bool,
    carried: bool = False,
) -> dict[str, Any]:
    """Train and score every fold and seed; write predictions and log; return what goes into `scores.json`."""
    origin = origins.finder(recipe, prepared.table, folds)
    listening = prepared.task.listening
    parts = {fold.name: alarms.divided(prepared.table, fold, prepared.task) for fold in folds.folds}
    units = [
        Unit(
            directory=directory / (f"fold-{fold.name}" if seed == recipe.seeds[0] else f"fold-{fold.name}-s{seed}"),
            cache=prepared.cache,
            recipe=recipe,
            seed=seed,
            fold=fold.name,
            training=tuple(parts[fold.name].train.tolist()),
            validation=tuple(parts[fold.name].validation.tolist()),
            test=tuple(parts[fold.name].test.tolist()),
            labels=tuple(prepared.labels),
            data_hash=prepared.table.hash,
            ship=ship and seed == recipe.seeds[0],
            origin=origin(fold, seed),
            streams=parts[fold.name].streams if ship and seed == recipe.seeds[0] else ((), ()),
        )
        for seed in recipe.seeds
        for fold in folds.folds
    ]
    progress.stage("training" if ship else "training the leaky twin", len(units) * epochs_of(recipe))
    records = train(units, carried=carried)
    lines = "".join(json.dumps(entry) + "\n" for unit in units for entry in read_log(unit.directory))
    atomic_write_text(directory / "log.jsonl", lines)

    def judge(answers: pl.DataFrame) -> dict[str, Any]:
        return summarise(answers, records, recipe, prepared.task, prepared.table, folds, prepared.labels)

    predictions = answers_of(units, prepared, recipe)
    with atomic_path(directory / "predictions.parquet") as path:
        predictions.write_parquet(path)
    scores = levels.score_levels(predictions, judge, recipe, prepared.task, prepared.labels)
    if listening and any("alarms" in record for record in records):
        group = group_column(prepared.table, recipe, prepared.task)
        groups = prepared.table.column(group).to_list() if group else None
        scores["spotting"] = pool(records, groups, listening.words, listening.false_alarms_per_hour)
    found = [record["activity"] for record in records if "activity" in record]
    if found:
        scores["activity"] = found[0]  # there is one fold, the official one
    if recipe.precisions:
        scores["precisions"] = {
            kind: in_lower_precision(kind, units, prepared, recipe, scores, judge) for kind in recipe.precisions
        }
    return scores


def answers_of(units: Sequence[Unit], prepared: Prepared, recipe: Recipe, precision: str = "fp32") -> pl.DataFrame:
    """What the units' models said about their test clips, in float32 or a lower precision."""
    file = "predictions.npy" if precision == "fp32" else f"predictions-{precision}.npy"
    group = group_column(prepared.table, recipe, prepared.task)
    answers = gather(units, prepared.table, prepared.task, prepared.targets, prepared.labels, group, file)
    return levels.name_units(answers, prepared.table)


def in_lower_precision(
    precision: str,
    units: Sequence[Unit],
    prepared: Prepared,
    recipe: Recipe,
    scores: Mapping[str, Any],
    judge: Callable[[pl.DataFrame], dict[str, Any]],
) -> dict[str, Any]:
    """Score, interval and difference from float32; no score where values left the format's range."""
    answers = answers_of(units, prepared, recipe, precision)
    if not np.isfinite(np.array(answers["scores"].to_list())).all():
        return {
            "score": None,
            "interval": None,
            "difference": None,
            "problem": f"values beyond the range of {precision}",
        }
    found = levels.score_levels(answers, judge, recipe, prepared.task, prepared.labels)
    return {"score": found["score"], "interval": found["interval"], "difference": found["score"] - scores["score"]}


def ship(directory: Path, recipe: Recipe, prepared: Prepared, scores: dict[str, Any], progress: Progress) -> None:
    """Write the bundle; or say in the scores' notes why there is none."""
    if "parity" in scores:
        check_parity_holds(scores)
        assemble_bundle(directory, recipe, prepared.table, scores)
        return
    note = f"No bundle was written: the front end {recipe.frontend.name} cannot be part of an exported model."
    scores["notes"] = [*scores["notes"], note]
    progress.note(note)


def check_parity_holds(scores: Mapping[str, Any]) -> None:
    """Nothing ships that is not what was scored.

    Raises
    ------
    BundleError : an exported model decides otherwise than the scored one, or differs by more than `parity.LIMIT`.
    """
    parity = Parity(**scores["parity"])
    if not parity.holds:
        raise BundleError(
            f"the exported models are not the scored ones: {parity.same_decisions} of {parity.clips} decisions are the "
            f"same, and scores differ by up to {parity.largest_difference:.2g} (limit {LIMIT:g}). "
            f"The score was {score_text(scores['primary'], scores['score'])}; nothing was shipped.",
            "This is a fault of the export, not of your data: report it with the recipe. The trained weights are kept.",
        )


def run_twin(
    recipe: Recipe, prepared: Prepared, folds: Folds, directory: Path, train: Train, progress: Progress
) -> dict[str, Any]:
    """What the field would have reported: groups ignored, or one network carried through the folds. It is void."""
    carried = recipe.twin == "carry-over"
    if carried:
        how = "one network carried from fold to fold (LEAKY: it was trained on every later test fold)"
        folds = replace(folds, protocol=f"{folds.protocol}, {how}", leaky=True)
    else:
        folds = splits.twin_of(prepared.table, grouping(recipe, prepared), prepared.column)
        folds = segments.without_silence(folds, prepared.table, prepared.cache)
    place = directory / "twin"
    place.mkdir(exist_ok=True)
    scores = run_folds(recipe, prepared, folds, place, train, progress, ship=False, carried=carried)
    scores |= {"void": True, "leaks": segments.leaks(prepared.table, folds)}
    atomic_write_text(place / "scores.json", json.dumps(scores, indent=1, ensure_ascii=False))
    told = {key: scores[key] for key in ("score", "interval", "protocol", "level", "metrics", "leaks", "void")}
    return told | {"folds": [{"name": fold["name"], "score": fold["score"]} for fold in scores["folds"]]}
