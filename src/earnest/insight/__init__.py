"""What a run keeps to be looked at, beside its scores: pictures of its classes and of what its models see.

    insight/mel.npz          mean log-mel of every class, the clips in its middle, band energies with intervals
    insight/conditions.json  the score for every value of the table's other columns
    insight/map.json         the test clips of one fold in two dimensions, as the model of that fold places them
    insight/saliency.npz     what the models looked at in a few clips
    insight/activity.json    what was found in the beginnings of a few recordings, with the scores over time

All of it is made where audio and models are at hand, and the report only draws it. Nothing here enters a score or a
choice. Clips are chosen by rules and by a fixed seed, and their numbers are bounded, so that the same recipe gives the
same pictures at a small part of its cost. What does not apply to a run (other tasks, models without an embedding,
features that are no pictures) is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from torch import nn

from earnest.files import atomic_path, atomic_write_text, kept
from earnest.insight import conditions, embedding, mel, saliency
from earnest.recipe import Recipe
from earnest.shipping.assemble import choose_fold
from earnest.table import Table
from earnest.tasks import Task
from earnest.training.batches import Examples
from earnest.training.pipeline import AnyNormaliser
from earnest.training.waveforms import Waveforms

FOLDER, KEPT = "insight", "insight.npz"


def keep(
    directory: Path,
    normaliser: AnyNormaliser,
    model: nn.Module,
    examples: Examples,
    rows: Sequence[int],
    scores: np.ndarray,
    task: Task,
) -> None:
    """Keep what needs a fold's model, in the fold's folder: embeddings of test clips, and what it looked at in a few.

    Parameters
    ----------
    directory : the folder of the fold.
    normaliser, model : as trained; `model` takes (features, lengths) to outputs.
    examples : where the clips' features come from.
    rows, scores : the fold's test rows, and their scores (clips, outputs).
    """
    if task.kind != "classes":
        return
    model.eval()
    facts: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    found = embedding.embed(normaliser, model, examples, rows)
    if found is not None:
        chosen, arrays["embedding"] = found
        facts["embedded"] = chosen
    facts["looks"] = []
    answers = saliency.choose(examples.targets[list(rows)].argmax(1), scores)
    for place in answers if saliency.applies(examples) else ():
        look = saliency.look(normaliser, model, examples, rows[place], int(scores[place].argmax()), task)
        if look is None:
            break
        number = len(facts["looks"])
        facts["looks"].append(
            {"row": int(rows[place]), "drop": look.drop, "seconds": look.seconds, "start_s": look.start_s}
        )
        arrays |= {f"{name}_{number}": value for name, value in look.arrays().items()}
    save(directory / KEPT, facts, arrays)


def write(
    directory: Path,
    recipe: Recipe,
    table: Table,
    task: Task,
    column: str,
    cache: Path,
    scores: Mapping[str, Any],
    drawn: Path | None = None,
) -> None:
    """Write `insight/` of a run whose folds are scored.

    Parameters
    ----------
    directory : the run directory, with `predictions.parquet` and the folders of the folds.
    table, column : the clips, and the column that holds their target.
    cache : folder of the decoded audio and the encoded targets.
    scores : what will be the run's `scores.json`.
    drawn : where runs over the same clips share the pictures of their classes.
    """
    place = directory / FOLDER
    place.mkdir(exist_ok=True)
    predictions = pl.read_parquet(directory / "predictions.parquet")
    shown = conditions.score(predictions, table, recipe, task, column, scores)
    _write_json(place / "conditions.json", {"conditions": shown} if shown else None)
    heard = (scores.get("activity") or {}).get("shown")
    _write_json(place / "activity.json", {"recordings": heard} if heard else None)
    if task.kind != "classes":
        return
    group = "speaker" if table.has("speaker") else scores.get("group")
    groups = None if group is None else np.array(table.column(group).to_list(), dtype=object)
    ids = table.column("id").to_list()
    targets = np.load(cache / "targets.npy").argmax(1)
    draw = partial(mel.portraits, Waveforms.open(cache), targets, scores["labels"], groups, ids)
    facts, arrays = kept(drawn, draw)
    save(place / "mel.npz", facts | {"group": group}, arrays)
    seed = scores["folds"][0]["seed"]
    first = predictions.filter(pl.col("seed") == seed)
    fold = choose_fold(scores)["name"]
    _write_json(place / "map.json", embedding.chart(_kept(directory, fold), first, ids, fold))
    names = [entry["name"] for entry in scores["folds"] if entry["seed"] == seed]
    looks = saliency.gather({name: _kept(directory, name) for name in names}, first, ids)
    if looks is not None:
        save(place / "saliency.npz", *looks)


Kept = tuple[dict[str, Any], dict[str, np.ndarray]]


def save(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays with facts about them (plain values, as JSON) into one `.npz` file, whole or not at all."""
    with atomic_path(path) as part:
        np.savez_compressed(part, allow_pickle=False, facts=np.array(json.dumps(facts, ensure_ascii=False)), **arrays)


def load(path: Path) -> Kept:
    """What `save` wrote."""
    with np.load(path) as stored:
        return json.loads(str(stored["facts"])), {name: stored[name] for name in stored.files if name != "facts"}


def _kept(directory: Path, fold: str) -> Kept | None:
    """What a fold's unit kept; None where the fold was trained before there was anything to keep."""
    path = directory / f"fold-{fold}" / KEPT
    return load(path) if path.is_file() else None


def _write_json(path: Path, content: Mapping[str, Any] | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    atomic_write_text(path, json.dumps(content, ensure_ascii=False))
