"""One unit of a run: one fold and one seed, trained, scored on its test rows, and exported.

A unit is everything that depends on the training rows of one fold. It shares nothing with any other unit but the
decoded audio, so units may run in any order and in any number of processes, and a finished one is never run again.
"""

from __future__ import annotations

import copy
import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from earnest import activity, alarms, augment, frontends, insight, models, search, tasks
from earnest.errors import CheckpointError
from earnest.files import atomic_path, atomic_write_text
from earnest.frontends import FrontEnd
from earnest.recipe import Recipe
from earnest.runtime.combine import combine
from earnest.runtime.frames import Frames
from earnest.shipping.frames import Stateful, export_frames, frames_of
from earnest.shipping.onnx import export_onnx
from earnest.shipping.parity import check_parity
from earnest.training import checkpoints, lessons, store
from earnest.training.batches import Examples
from earnest.training.evaluate import Evaluator
from earnest.training.inputs import Inputs
from earnest.training.lessons import Rows
from earnest.training.loop import Validation, derive, laid_out, train
from earnest.training.origins import Origin
from earnest.training.pipeline import AnyNormaliser, Members, Normalised, Pipeline, normaliser_for, restore
from earnest.training.precision import in_precision
from earnest.training.store import AsShipped, Windows
from earnest.training.transfer import Transfer
from earnest.training.waveforms import Waveforms


@dataclass(frozen=True)
class Unit:
    """What one unit works on; plain values, so that it travels to another process.

    Attributes
    ----------
    directory : the unit's own folder in the run directory.
    cache : folder of the run's decoded audio, targets and groups.
    recipe, seed, fold : what is done.
    training, validation, test : rows of the table.
    labels : names of the outputs.
    ship : also export, and compare the exported file with the scored model.
    origin : the weights it starts from, where the recipe says so.
    streams : rows of recordings for streams, those of the validation groups and those of the test groups.
    """

    directory: Path
    cache: Path
    recipe: Recipe
    seed: int
    fold: str
    training: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    labels: tuple[str, ...]
    data_hash: str
    ship: bool
    origin: Origin | None = None
    streams: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    @property
    def identity(self) -> str:
        """SHA-256 of all that decides the result."""
        rows = [self.training, self.validation, self.test]
        facts = [self.recipe.hash, self.data_hash, self.seed, self.fold, rows, self.labels, self.ship]
        facts += [self.origin.sha256] if self.origin else []
        facts += [self.streams] if any(self.streams) else []
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def run_unit(unit: Unit) -> dict[str, Any]:
    """Train, score and export one unit, or return what it gave before.

    Returns
    -------
    record : fold, seed, epochs, validation score, parameters, seconds, and parity where exported; the test scores lie
    in `predictions.npy`, (test clips, outputs) float64.
    """
    unit.directory.mkdir(parents=True, exist_ok=True)
    with locked(unit.directory):
        done = finished(unit)
        if done:
            return done
        started = time.monotonic()
        forget_other_work(unit)
        record = _work(unit)
        record |= {"identity": unit.identity, "seconds": round(time.monotonic() - started, 2)}
        atomic_write_text(unit.directory / "done.json", json.dumps(record, indent=1))
        for member in (unit.directory / "checkpoint").glob("member-*"):
            shutil.rmtree(member, ignore_errors=True)
        return record


def forget_other_work(unit: Unit) -> None:
    """Remove what another recipe or other data left in the unit's folder: nothing may go on from there."""
    place = unit.directory / "identity"
    if place.is_file() and place.read_text(encoding="utf-8") == unit.identity:
        return
    shutil.rmtree(unit.directory / "checkpoint", ignore_errors=True)
    (unit.directory / "log.jsonl").unlink(missing_ok=True)
    atomic_write_text(place, unit.identity)


def finished(unit: Unit) -> dict[str, Any] | None:
    """The record of a unit that is done already with exactly this work."""
    try:
        record = json.loads((unit.directory / "done.json").read_text(encoding="utf-8"))
        digest = hashlib.sha256((unit.directory / "predictions.npy").read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None
    same = isinstance(record, dict) and record.get("identity") == unit.identity
    return record if same and record.get("predictions_sha256") == digest else None


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


def _work(unit: Unit) -> dict[str, Any]:
    torch.set_num_threads(unit.recipe.training.threads)
    bench = Bench.of(unit)
    searched: dict[str, Any] = {}
    if unit.recipe.search:
        chosen, searched = search.best(
            unit.recipe, unit.directory / "search", derive(unit.seed), partial(_try, unit, bench)
        )
        unit = replace(unit, recipe=chosen)
    recipe, task, examples = unit.recipe, bench.task, bench.examples

    trained = _reload(unit, bench.frontend, bench.inputs)
    if trained:
        model, record = trained
    elif models.is_estimator(recipe.model.name):
        model, record = _fit_estimator(unit, examples, bench.normaliser)
    else:
        model, record = _train_network(unit, bench)
    network = Normalised(bench.normaliser, model)
    if not trained:
        checkpoints.save(unit.directory / "checkpoint", "final", network.state_dict(), record)

    ships = unit.ship and bench.frontend.exportable
    windows = AsShipped(examples.waveforms, bench.inputs, bench.frontend) if ships else examples.windows
    judge = Evaluator(windows, unit.test, rule_of(recipe, task), bench.frame)
    scores, _ = judge.probabilities(network, task.probabilities)
    for precision in recipe.precisions:
        with atomic_path(unit.directory / f"predictions-{precision}.npy") as path:
            np.save(path, judge.probabilities(in_precision(network, precision), task.probabilities)[0])
    with atomic_path(unit.directory / "predictions.npy") as path:
        np.save(path, scores)
        record["predictions_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    record["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    record |= {"search": searched} if searched else {}
    if ships:
        pipeline = Pipeline(bench.frontend, bench.normaliser, model)
        record["parity"] = _export(unit, pipeline, bench, scores)
        record |= _hear(unit, bench) if any(unit.streams) else {}
    if unit.ship and bench.frames is None:
        insight.keep(unit.directory, bench.normaliser, model, examples, unit.test, scores, task)
    return record


def _try(unit: Unit, bench: Bench, recipe: Recipe, place: Path) -> float:
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


def _export(unit: Unit, pipeline: Pipeline, bench: Bench, scores: np.ndarray) -> dict[str, Any]:
    """Write the fold's `model.onnx` and compare it with the scored model over every test clip."""
    path = unit.directory / "model.onnx"
    inputs, task, waveforms = bench.inputs, bench.task, bench.examples.waveforms
    if bench.frames:
        size = cast("int", pipeline.model.state_size)
        stateful = Stateful(pipeline.for_export(), task).eval()
        export_frames(stateful, path, bench.frames, size, unit.labels, unit.recipe.sample_rate)
    else:
        module = nn.Sequential(pipeline.for_export(), Probabilities(task)).eval()
        export_onnx(
            module,
            path,
            example_samples=inputs.window,
            dynamic_samples=inputs.short == "keep",
            min_samples=inputs.smallest,
            labels=unit.labels,
            sample_rate=unit.recipe.sample_rate,
            traces=None if has_more_than_weights(unit, task) else unit.cache / "traces",
        )
    return check_parity(
        path,
        scores,
        lambda index: np.asarray(waveforms[unit.test[index]]),
        inputs,
        kind=task.kind,
        combine=unit.recipe.combine,
        frames=bench.frames,
    ).as_dict()


def _hear(unit: Unit, bench: Bench) -> dict[str, Any]:
    """What the exported model says in streams, for tasks that are scored there too."""
    examples, task = bench.examples, bench.task
    model, table = unit.directory / "model.onnx", unit.cache.parent / "table.parquet"
    if task.listening:
        parts = ((unit.streams[0], unit.validation), (unit.streams[1], unit.test))
        return {"alarms": alarms.listen(model, table, examples, parts, unit.labels, task.listening)}
    if task.detecting:
        label = unit.labels.index(task.detecting.label)
        found = activity.listen(model, table, examples, unit.streams, label, task.detecting, bench.frames)
        return {"activity": found}
    return {}


def has_more_than_weights(unit: Unit, task: tasks.Task) -> bool:
    """Whether the folds' models differ in more than their weights: by the depth of trees, by the scale of a target."""
    return models.is_estimator(unit.recipe.model.name) or task.fit is not None


def rule_of(recipe: Recipe, task: tasks.Task) -> Callable[[np.ndarray], np.ndarray] | None:
    """How the answers for a clip's windows become one; None: by their mean."""
    if recipe.combine == "mean":
        return None
    return partial(combine, rule=recipe.combine, exclusive=task.kind == "classes")


class Probabilities(nn.Module):
    """The task's last step, as part of the exported graph."""

    def __init__(self, task: tasks.Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, outputs: torch.Tensor) -> torch.Tensor:
        """Outputs → what is reported."""
        return self.task.probabilities(outputs)


def append_log(unit: Unit, member: int, record: dict[str, Any]) -> None:
    """Add one epoch to the unit's log."""
    line = json.dumps({"seed": unit.seed, "fold": unit.fold, "member": member, **record})
    with (unit.directory / "log.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def read_log(directory: Path) -> list[dict[str, Any]]:
    """A unit's epochs in order; what was done again after a kill counts once, half lines not at all."""
    try:
        lines = (directory / "log.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    epochs: dict[tuple[int, int], dict[str, Any]] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        epochs[record["member"], record["epoch"]] = record
    return [epochs[key] for key in sorted(epochs)]


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a folder against every other process; waits for one that is just ending."""
    with (directory / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def end_with_parent(parent: int) -> None:
    """Let this worker process end when the command that started it is gone, however it went."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.25)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
