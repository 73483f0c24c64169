"""Ensembles: several finished runs answer as one, by the mean of their probabilities, on the test rows of all of them.

    runs ─ their answers to the same clips of the same folds ─► mean ─► scores, report
    their exported models ─ one graph per fold ─► parity ─► bundle

An ensemble is honest where its members are: every member of a fold's answer was trained without that fold's test rows,
which is why all runs must have been scored in the same folds. It is a run directory like any other and is named as what
it is. Its members are chosen by whoever names them; choose them before looking at test scores.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from earnest import levels, preparation
from earnest.errors import DataError
from earnest.files import atomic_path, atomic_write_text
from earnest.journey import check_parity_holds, finish, is_finished, sweep
from earnest.pool import Progress, Silent
from earnest.preparation import Prepared, check_same_recordings, prepare
from earnest.provenance import environment
from earnest.recipe import Recipe, digest, load
from earnest.reporting.rundir import read_run
from earnest.results import summarise
from earnest.shipping.assemble import assemble_bundle
from earnest.shipping.join import join_mean
from earnest.shipping.parity import check_parity
from earnest.splits import Folds
from earnest.training.inputs import Inputs
from earnest.training.waveforms import Waveforms
from earnest.units import locked

KEYS = ["fold", "seed", "id"]


def run(
    members: Sequence[Path],
    out: Path | None = None,
    *,
    name: str | None = None,
    data: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Let finished runs answer together.

    Parameters
    ----------
    members : run directories, at least two, scored in the same folds.
    out : the ensemble's run directory; default `runs/NAME`.
    name : what it is called; default the members' names joined by `+`.
    data : where corpora lie.
    progress : told what happens.

    Returns
    -------
    The run directory, with scores, predictions and report in it, and a bundle where all members take the same audio and
    can be exported.

    Raises
    ------
    DataError : fewer than two runs, one that is not finished, or runs that were not scored on the same rows.
    """
    progress = progress or Silent()
    if len(members) < 2:
        raise DataError(f"an ensemble needs at least two runs, got {len(members)}.", "Give more run folders.")
    recipes = [load(member / "recipe.yaml")[0] for member in members]
    name = name or " + ".join(recipe.name for recipe in recipes)
    directory = out or Path("runs") / name.replace(" ", "")
    directory.mkdir(parents=True, exist_ok=True)
    known = [_scores(member) for member in members]
    identity = digest({"ensemble": [[scores["recipe_hash"], scores["data_hash"]] for scores in known]})
    with locked(directory):
        if is_finished(directory, identity):
            progress.note(f"This ensemble has been scored already: {directory}")
            return directory
        started = time.monotonic()
        sweep(directory)
        _describe(directory, name, recipes)
        leakiest = max(zip(members, known, strict=True), key=lambda each: sum(each[1]["leaks"].values()))[0]
        shutil.copyfile(leakiest / "audit.json", directory / "audit.json")
        recipe = recipes[0].model_copy(update={"name": name})
        prepared = prepare(recipe, directory, data, None, progress)
        check_same_recordings(prepared, members[0], known[0])

        progress.stage("averaging", len(members))
        answers = _average([_answers(member) for member in members], members)
        scores = _judge(answers, members, recipe, prepared)
        with atomic_path(directory / "predictions.parquet") as path:
            answers.write_parquet(path)
        if (twin := _twin(members, recipe, prepared, directory)) is not None:
            scores["twin"] = twin

        progress.stage("bundle and report")
        scores["recipe_hash"] = identity
        scores["notes"] = [f"An ensemble: the mean of the probabilities of {' and '.join(r.name for r in recipes)}."]
        obstacle = _obstacle(members, recipes, scores)
        if obstacle is None:
            scores["parity"] = _merge(directory, members, recipes, prepared, answers, scores)
            check_parity_holds(scores)
            assemble_bundle(directory, recipe, prepared.table, scores, members=recipes)
        else:
            scores["notes"].append(f"No bundle was written: {obstacle}.")
            progress.note(scores["notes"][-1])
        scores["seconds"] = round(time.monotonic() - started, 1)
        finish(directory, recipe, prepared, scores)
    return directory


def _describe(directory: Path, name: str, recipes: Sequence[Recipe]) -> None:
    """Write `recipe.yaml`, with what all members' recipes say alike, and `environment.json`."""
    said = {"name": name, **_common([recipe.plain() for recipe in recipes]), "ensemble": [r.name for r in recipes]}
    atomic_write_text(directory / "recipe.yaml", yaml.safe_dump(said, sort_keys=False, allow_unicode=True))
    atomic_write_text(directory / "environment.json", json.dumps(environment(recipes[0]), indent=1))


def _scores(member: Path) -> Mapping[str, Any]:
    scores = read_run(member).scores
    if scores is None:
        raise DataError(f"{member} is not finished.", "Finish it first: the same `earnest run` goes on.")
    return scores


def _answers(member: Path, twin: bool = False) -> pl.DataFrame:
    files = read_run(member / "twin" if twin else member)
    if files.predictions is None or files.scores is None:
        raise DataError(f"{member} is not finished.", "Finish it first: the same `earnest run` goes on.")
    return files.predictions.sort(KEYS)


def _average(parts: Sequence[pl.DataFrame], members: Sequence[Path]) -> pl.DataFrame:
    """One answer per clip, fold and seed: the mean of the members' scores.

    Raises
    ------
    DataError : the members were not scored on the same clips with the same targets, in the same folds and seeds.
    """
    first = parts[0]
    for part, member in zip(parts[1:], members[1:], strict=True):
        if not part.select(*KEYS, "target").equals(first.select(*KEYS, "target")):
            raise DataError(
                f"{members[0]} and {member} were not scored on the same clips, folds and seeds: their mean would "
                "answer for clips that a member was trained on.",
                "Run both with the same corpus, target, split and seeds.",
            )
    mean = np.mean([np.array(part["scores"].to_list()) for part in parts], axis=0)
    return first.with_columns(pl.Series("scores", mean.tolist(), pl.List(pl.Float64)))


def _judge(answers: pl.DataFrame, members: Sequence[Path], recipe: Recipe, prepared: Prepared) -> dict[str, Any]:
    """Scores of the averaged answers; parameters and seconds are the members' sums."""
    known: list[Any] = [read_run(member).scores for member in members]
    labels = known[0]["labels"]
    if any((scores["labels"], scores["task"]) != (labels, known[0]["task"]) for scores in known):
        raise DataError(
            "the runs do not answer the same question with the same labels.",
            "Run them with the same corpus and target.",
        )
    decided = prepared.task.decide(np.array(answers["scores"].to_list()), labels)
    answers.replace_column(answers.columns.index("prediction"), pl.Series("prediction", decided, pl.String))
    folds = Folds(known[0]["protocol"], (), (), any(scores["leaky"] for scores in known), ())
    records = [
        {
            "fold": fold["name"],
            "seed": fold["seed"],
            "validation": None,
            "epochs": None,
            "seconds": round(sum(scores["folds"][number]["seconds"] for scores in known), 2),
            "parameters": sum(scores["parameters"] for scores in known),
        }
        for number, fold in enumerate(known[0]["folds"])
    ]

    def judge(part: pl.DataFrame) -> dict[str, Any]:
        return summarise(part, records, recipe, prepared.task, prepared.table, folds, labels)

    scores = levels.score_levels(answers, judge, recipe, prepared.task, labels)
    allowed = [scores["allow_leaks"] for scores in known if scores.get("allow_leaks")]
    kinds = {kind for one in known for kind in one.get("leaks", {})}
    scores["leaks"] = {kind: max(one.get("leaks", {}).get(kind, 0) for one in known) for kind in sorted(kinds)}
    for key in ("start", "transductive"):  # what holds of one member holds of the whole
        scores |= next(({key: one[key]} for one in known if one.get(key)), {})
    scores["allow_leaks"] = "; ".join(dict.fromkeys(allowed)) or None
    scores["ensemble"] = [
        {"name": one["name"], "run": str(member), "recipe_hash": one["recipe_hash"], "score": one["score"]}
        for one, member in zip(known, members, strict=True)
    ]
    return scores


def _twin(members: Sequence[Path], recipe: Recipe, prepared: Prepared, directory: Path) -> dict[str, Any] | None:
    """The mean of the members' leaky twins, where each has one and all were dealt the same rows."""
    if not all((member / "twin" / "predictions.parquet").is_file() for member in members):
        return None
    try:
        answers = _average([_answers(member, twin=True) for member in members], members)
    except DataError:
        return None
    scores = _judge(answers, [member / "twin" for member in members], recipe, prepared)
    place = directory / "twin"
    place.mkdir(exist_ok=True)
    with atomic_path(place / "predictions.parquet") as path:
        answers.write_parquet(path)
    scores["void"] = True
    atomic_write_text(place / "scores.json", json.dumps(scores, indent=1, ensure_ascii=False))
    told = {key: scores[key] for key in ("score", "interval", "protocol", "level", "metrics", "void")}
    return told | {"folds": [{"name": fold["name"], "score": fold["score"]} for fold in scores["folds"]]}


def _obstacle(members: Sequence[Path], recipes: Sequence[Recipe], scores: dict[str, Any]) -> str | None:
    """Why the members cannot be one file, or None."""
    if any(recipe.sample_rate != recipes[0].sample_rate or recipe.clips != recipes[0].clips for recipe in recipes):
        return "its members take audio of different rates or windows"
    if any(recipe.combine != "mean" for recipe in recipes):
        return "its members do not combine windows by their mean"
    names = {fold["name"] for fold in scores["folds"]}
    for member, recipe in zip(members, recipes, strict=True):
        if not all((member / f"fold-{name}" / "model.onnx").is_file() for name in names):
            return f"{recipe.name} has no exported models"
    return None


def _merge(
    directory: Path,
    members: Sequence[Path],
    recipes: Sequence[Recipe],
    prepared: Prepared,
    answers: pl.DataFrame,
    scores: dict[str, Any],
) -> dict[str, Any]:
    """Write each fold's members as one graph, and compare it with the scored answers over every test clip."""
    waveforms, recipe = Waveforms.open(prepared.cache), recipes[0]
    inputs = Inputs.of(recipe.clips, recipe.sample_rate, smallest_input(recipes))
    place = {clip: row for row, clip in enumerate(prepared.table.frame["id"].to_list())}
    seed = scores["folds"][0]["seed"]
    total = {"clips": 0, "same_decisions": 0, "largest_difference": 0.0}
    for fold in dict.fromkeys(fold["name"] for fold in scores["folds"]):
        path = directory / f"fold-{fold}" / "model.onnx"
        path.parent.mkdir(exist_ok=True)
        join_mean([member / f"fold-{fold}" / "model.onnx" for member in members], path)
        part = answers.filter((pl.col("fold") == fold) & (pl.col("seed") == seed))
        rows = [place[clip] for clip in part["id"].to_list()]
        parity = check_parity(
            path,
            np.array(part["scores"].to_list()),
            partial(_waveform, waveforms, rows),
            inputs,
            kind=prepared.task.kind,
        )
        total["clips"] += parity.clips
        total["same_decisions"] += parity.same_decisions
        total["largest_difference"] = max(total["largest_difference"], parity.largest_difference)
    return total


def _waveform(waveforms: Waveforms, rows: Sequence[int], index: int) -> np.ndarray:
    return np.asarray(waveforms[rows[index]])


def smallest_input(recipes: Sequence[Recipe]) -> int:
    """The fewest samples that every member takes."""
    return max(preparation.smallest_input(recipe) for recipe in recipes)


def _common(recipes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What all recipes say alike, but their names."""
    first = recipes[0]
    return {key: value for key, value in first.items() if key != "name" and all(r.get(key) == value for r in recipes)}
