"""From a finished run to its bundle: which fold's model ships, and what is said about it.

A bundle holds one fold's model, because only such a model has a score of its own: it was tested on rows it never saw.
Which fold is never decided by test rows: the one with the best validation score, or where there was no validation the
one with most training clips (the first of these).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earnest import frontends, tasks
from earnest.errors import BundleError, DataError, did_you_mean
from earnest.recipe import Recipe
from earnest.reporting.wording import score_text
from earnest.runtime.activity import odd_windows
from earnest.shipping.bundle import write_bundle
from earnest.shipping.frames import frames_of
from earnest.table import Table
from earnest.training.inputs import Inputs


def choose_fold(scores: Mapping[str, Any], name: str | None = None) -> dict[str, Any]:
    """The record of the fold to ship, among those of the first seed.

    Raises
    ------
    DataError : there is no fold of that name.
    """
    seed = scores["folds"][0]["seed"]
    folds: list[dict[str, Any]] = [fold for fold in scores["folds"] if fold["seed"] == seed]
    if name is not None:
        found = [fold for fold in folds if fold["name"] == name]
        if not found:
            raise DataError(f"the run has no fold {name!r}.", did_you_mean(name, [fold["name"] for fold in folds]))
        return found[0]
    if all(fold["validation"] is not None for fold in folds):
        return max(folds, key=lambda fold: float(fold["validation"]))
    return min(folds, key=lambda fold: int(fold["n"]))


def assemble_bundle(
    run: Path,
    recipe: Recipe,
    table: Table,
    scores: Mapping[str, Any],
    fold: str | None = None,
    out: Path | None = None,
    *,
    members: Sequence[Recipe] = (),
    more_files: Mapping[str, Path] | None = None,
    heard: Mapping[str, Any] | None = None,
) -> Path:
    """Write `bundle/` from one fold's exported model.

    Parameters
    ----------
    run : the run directory, whose units have exported their models.
    recipe, table, scores : as saved with the run.
    fold : the fold to ship; default by `choose_fold`.
    out : where to write; default `bundle` in the run directory.
    members : the recipes of an ensemble's members, which `recipe` stands for in all that they have in common.
    more_files : name in the bundle → further file to copy in.
    heard : name in the bundle → what a file that hears streams in its own way gave in those of the fold.

    Returns
    -------
    The bundle's directory.

    Raises
    ------
    BundleError : the front end cannot be exported.
    """
    chosen = choose_fold(scores, fold)
    parts = members or (recipe,)
    built = [frontends.build(part.frontend, part.sample_rate) for part in parts]
    for part, frontend in zip(parts, built, strict=True):
        if not frontend.exportable:
            raise BundleError(
                f"the front end {part.frontend.name} cannot be part of an exported model, so this run has none to "
                "ship.",
                "Run the recipe with a front end that is computed here, such as statistics.",
            )
    inputs = Inputs.of(recipe.clips, recipe.sample_rate, max(frontend.min_samples for frontend in built))
    overall = {key: scores[key] for key in ("score", "interval", "n_clips", "n_groups", "group", "interval_method")}
    overall["n_clips"] = scores.get("n_units", scores["n_clips"])
    return write_bundle(
        out or run / "bundle",
        model_file=run / f"fold-{chosen['name']}" / "model.onnx",
        more_files=more_files,
        name=recipe.name,
        task=recipe.task.name,
        kind=scores.get("kind", "classes"),
        shape=tasks.find(recipe.task).shape,
        frames=describe_frames(recipe),
        labels=scores["labels"],
        sample_rate=recipe.sample_rate,
        window_samples=inputs.window,
        hop_samples=inputs.hop,
        short=inputs.short,
        min_samples=inputs.smallest,
        segments=recipe.clips.segments,
        combine=recipe.combine,
        frontend={"name": "ensemble", "of": [describe_frontend(part) for part in members]}
        if members
        else describe_frontend(recipe),
        recipe_hash=scores["recipe_hash"],
        data_hash=table.hash,
        scores={
            "model.onnx": {
                "fold": chosen["name"],
                "score": chosen["score"],
                "interval": chosen["interval"],
                "primary": scores["primary"],
                "protocol": f"the test clips of fold {chosen['name']} of: {scores['protocol']}",
                "n_clips": chosen["n"],
                "n_groups": chosen["n_groups"],
                "group": scores["group"],
                "interval_method": chosen["interval_method"],
                "level": scores.get("level", "clip"),
                "baseline": scores["baseline"],
                "all_folds": overall | {"protocol": scores["protocol"]},
                "note": note(scores, chosen),
                "void": bool(scores.get("leaky") or scores.get("allow_leaks")),
            }
        },
        spotting=describe_spotting(recipe, scores, chosen["name"], heard or {}),
        activity=describe_activity(recipe, scores, inputs),
        licences=licences_of(table),
    )


def licences_of(table: Table) -> list[dict[str, Any]]:
    """One entry for each corpus that was trained on: the table, or what its clips are of, and those beside it."""
    own = {key: table.info[key] for key in ("title", "licence", "citation", "home") if table.info.get(key)}
    others = [*table.info.get("of_clips", ()), *(entry for entry in table.info.get("beside", ()) if entry["learnt"])]
    found = [{"corpus": table.name} | own] if table.info.get("learnt", True) and not table.info.get("of_clips") else []
    named = dict.fromkeys((entry["corpus"], entry["licence"] or "not known") for entry in others)
    return found + [{"corpus": corpus, "licence": licence} for corpus, licence in named]


def describe_spotting(
    recipe: Recipe, scores: Mapping[str, Any], fold: str, heard: Mapping[str, Any]
) -> dict[str, Any] | None:
    """How a stream's scores become keywords, for tasks that listen: the decoder's numbers, and what they gave.

    The threshold is the fold's own, chosen on its validation streams; `fold` holds what the fold's test streams gave at
    it, `point` the same over all folds, each at its own threshold; `files` the same of files that hear streams in their
    own way, at thresholds of their own.
    """
    listening, found = tasks.find(recipe.task).listening, scores.get("spotting")
    if listening is None:
        return None
    numbers = {key: getattr(listening, key) for key in ("threshold", "release", "smoothing_s", "refractory_s")}
    described: dict[str, Any] = {"words": list(listening.words), **numbers}
    if found:
        (own,) = (entry for entry in found["folds"] if entry["name"] == fold)
        described |= {"threshold": own["threshold"], "wanted_per_hour": found["wanted_per_hour"]}
        described |= {"fold": own, "point": found["point"], "validation": found["validation"]}
    if heard:
        described["files"] = dict(heard)
    return described


def describe_activity(recipe: Recipe, scores: Mapping[str, Any], inputs: Inputs) -> dict[str, Any] | None:
    """How windows become stretches, for tasks that detect: the decoder's numbers, and what they gave."""
    detecting, found = tasks.find(recipe.task).detecting, scores.get("activity")
    if detecting is None or found is None:
        return None
    numbers = {key: getattr(detecting, key) for key in ("label", "min_on_s", "min_off_s")}
    frames = describe_frames(recipe)
    median = odd_windows(detecting.median_s, recipe.sample_rate, frames["step_samples"] if frames else inputs.hop)
    measured = {key: found[key] for key in ("onset", "offset", "validation", "test")}
    return {**numbers, "median": median, **measured}


def describe_frames(recipe: Recipe) -> dict[str, int] | None:
    """Where the answers of a model that answers for frames lie in time."""
    task = tasks.find(recipe.task)
    if task.shape != "frames":
        return None
    return frames_of(frontends.build(recipe.frontend, recipe.sample_rate), task.delay_s).as_dict()


def describe_frontend(recipe: Recipe) -> dict[str, Any]:
    """The front end's name and all its numbers, defaults included."""
    return {"name": recipe.frontend.name, **dataclasses.asdict(frontends.resolve(recipe.frontend))}


def note(scores: Mapping[str, Any], chosen: Mapping[str, Any]) -> str:
    """What the reader of the bundle's score must know."""
    count = len({fold["name"] for fold in scores["folds"]})
    parts = []
    if count > 1:
        overall = score_text(scores["primary"], scores["score"])
        parts.append(
            f"This is the model of fold {chosen['name']}, scored on that fold's test clips; over all {count} folds the "
            f"recipe scored {overall}, which is what to expect on new recordings."
        )
    if scores.get("leaky"):
        parts.append("The score is void: training and test rows were drawn without regard to groups.")
    if scores.get("allow_leaks"):
        parts.append(f"Leaks between training and test rows were allowed: {scores['allow_leaks']}.")
    return " ".join(parts)
