"""A unit's model: what the recipe makes of its rows, and the network or the estimator that is fitted to them."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from earnest import augment, frontends, models, tasks
from earnest.errors import CheckpointError
from earnest.frontends import FrontEnd
from earnest.recipe import Recipe
from earnest.runtime.combine import combine
from earnest.runtime.frames import Frames
from earnest.shipping.frames import frames_of
from earnest.training import checkpoints, lessons, store
from earnest.training.batches import Examples
from earnest.training.evaluate import Evaluator
from earnest.training.inputs import Inputs
from earnest.training.lessons import Rows
from earnest.training.loop import Validation, derive, laid_out, train
from earnest.training.pipeline import AnyNormaliser, Members, Normalised, normaliser_for, restore
from earnest.training.store import Windows
from earnest.training.transfer import Transfer
from earnest.training.waveforms import Waveforms
from earnest.units import Unit, append_log


@dataclass(frozen=True)
class Bench:
    """What a unit's recipe makes of its rows: all that training and scoring work with."""

    task: tasks.Task
    frontend: FrontEnd
    inputs: Inputs
    examples: Examples
    normaliser: AnyNormaliser
    frames: Frames | None

    @classmethod
    def of(cls, unit: Unit) -> Bench:
        """Build front end, examples and the normaliser of the training rows."""
        recipe = unit.recipe
        waveforms = Waveforms.open(unit.cache)
        targets = np.load(unit.cache / "targets.npy")
        frontend = frontends.build(recipe.frontend, recipe.sample_rate)
        inputs = Inputs.of(recipe.clips, recipe.sample_rate, frontend.min_samples)
        augmentation = augment.build(recipe.augment, recipe.sample_rate)
        windows = Windows(waveforms, inputs, frontend, unit.cache / store.PLACE, unit.cache)
        task = tasks.find(recipe.task)
        by_frame = np.load(unit.cache / "by_frame.npy") if task.by_frame else None
        examples = Examples(
            waveforms, targets, frontend, inputs, augmentation, derive(unit.seed), stored=windows, by_frame=by_frame
        )
        normaliser = normaliser_for(frontend.bands)
        normaliser.fit(examples.plain(row) for row in unit.training)
        frames = frames_of(frontend, task.delay_s) if task.shape == "frames" else None
        return cls(task.fitted(targets[list(unit.training)]), frontend, inputs, examples, normaliser, frames)

    @property
    def frame(self) -> int | None:
        """The frame that speaks for a window, where the model answers for frames."""
        return self.frames.middle(self.inputs.window) if self.frames else None


def fitted_model(unit: Unit, bench: Bench) -> tuple[nn.Module, dict[str, Any]]:
    """The unit's model and its record; read where it was trained before the unit was stopped, else trained and kept."""
    known = _reload(unit, bench.frontend, bench.inputs)
    if known:
        return known
    if models.is_estimator(unit.recipe.model.name):
        model, record = _fit_estimator(unit, bench.examples, bench.normaliser)
    else:
        model, record = _train_network(unit, bench)
    state = Normalised(bench.normaliser, model).state_dict()
    checkpoints.save(unit.directory / "checkpoint", "final", state, record)
    return model, record


def validation_score(unit: Unit, bench: Bench, recipe: Recipe, place: Path) -> float:
    """The validation score of one trial of a search; its weights are not kept."""
    trial = replace(unit, recipe=recipe, directory=place)
    _, record = _train_network(trial, bench)
    shutil.rmtree(place / "checkpoint", ignore_errors=True)
    return float(record["validation"])


def _reload(unit: Unit, frontend: FrontEnd, inputs: Inputs) -> tuple[nn.Module, dict[str, Any]] | None:
    """The model that was trained before the unit was stopped, or None."""
    try:
        tensors, record = checkpoints.load(unit.directory / "checkpoint", "final")
    except CheckpointError:
        return None
    state = {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith("model.")}
    if models.is_estimator(unit.recipe.model.name):
        return restore(unit.recipe, frontend, inputs, len(unit.labels), state), record
    return laid_out(restore(unit.recipe, frontend, inputs, len(unit.labels), state)), record


def _train_network(unit: Unit, bench: Bench) -> tuple[nn.Module, dict[str, Any]]:
    """Each member is trained from its own seed; their mean is the unit's model."""
    recipe, examples, normaliser, task = unit.recipe, bench.examples, bench.normaliser, bench.task
    frames = examples.frontend.frames_for(examples.inputs.window)
    bands, outputs = examples.frontend.bands, len(unit.labels)
    rows = Rows(*(np.array(part, dtype=np.int64) for part in (unit.training, unit.validation, unit.test)))
    lesson = lessons.prepare(recipe, task, examples, rows, unit.labels, unit.cache.parent / "table.parquet")
    judge = Evaluator(examples.windows, lesson.validation, rule_of(recipe, task), bench.frame)
    metric = task.metrics[recipe.primary or task.primary]
    truth = examples.targets[lesson.validation]

    def validate(network: nn.Module) -> Validation:
        scores, raw = judge.probabilities(network, task.probabilities)
        return Validation(lesson.loss.validation(raw, torch.from_numpy(truth)), metric(truth, scores))

    def settle_and_validate(network: nn.Module) -> Validation:
        lesson.settle(network)
        return validate(network)

    def build(transfer: Transfer | None) -> nn.Module:
        network = lesson.wrap(copy.deepcopy(normaliser), models.build(recipe.model, frames, bands, outputs))
        return transfer.into(network) if transfer else network

    members: list[nn.Module] = []
    epochs_used = []
    for member in range(recipe.training.members):
        seed = derive(unit.seed, member)
        lesson.epochs.examples.seed = seed
        transfer = None
        if unit.origin and recipe.start:
            transfer = Transfer.load(unit.origin, recipe.start, member, unit.labels)
        network, epochs_run = train(
            partial(build, transfer),
            lesson.epochs,
            settle_and_validate if len(lesson.validation) else None,
            lesson.loss,
            recipe.training,
            seed=seed,
            where=f"fold {unit.fold}, seed {unit.seed}",
            directory=unit.directory / "checkpoint" / f"member-{member}",
            log=partial(append_log, unit, member),
            transfer=transfer,
        )
        lesson.settle(network)
        members.append(cast("Normalised", network).model)
        epochs_used.append(epochs_run)
    model = members[0] if len(members) == 1 else Members(members)
    record: dict[str, Any] = {"fold": unit.fold, "seed": unit.seed, "epochs": max(epochs_used), "validation": None}
    if unit.origin:
        record["start"] = unit.origin.as_dict()
    if len(lesson.validation):
        record["validation"] = validate(Normalised(normaliser, model)).score
    if recipe.training.train_score:
        heard = Evaluator(examples.windows, unit.training, rule_of(recipe, task), bench.frame)
        scores, _ = heard.probabilities(Normalised(normaliser, model), task.probabilities)
        record["train"] = metric(examples.targets[list(unit.training)], scores)
    return model, record


def _fit_estimator(unit: Unit, examples: Examples, normaliser: AnyNormaliser) -> tuple[nn.Module, dict[str, Any]]:
    """Every window of every training clip is one row of the estimator."""
    with torch.no_grad():
        clips = [normaliser(examples.plain(row)).numpy() for row in unit.training]
    owners = np.repeat(np.array(unit.training), [len(clip) for clip in clips])
    groups = np.load(unit.cache / "groups.npy")
    estimator = models.build_estimator(unit.recipe.model, len(unit.labels))
    model = estimator.fit(
        np.concatenate(clips),
        examples.targets[owners].argmax(1),
        groups[owners],
        np.random.default_rng(derive(unit.seed)),
    )
    return model, {"fold": unit.fold, "seed": unit.seed, "epochs": None, "validation": None}


def rule_of(recipe: Recipe, task: tasks.Task) -> Callable[[np.ndarray], np.ndarray] | None:
    """How the answers for a clip's windows become one; None: by their mean."""
    if recipe.combine == "mean":
        return None
    return partial(combine, rule=recipe.combine, exclusive=task.kind == "classes")
