"""The work of one unit: train, score on its test rows, export, and compare the exported file with the scored model."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import polars as pl
import torch
from torch import nn

from earnest import activity, alarms, insight, models, search, tasks
from earnest.files import atomic_path, atomic_write_text
from earnest.fitting import Bench, fitted_model, rule_of, validation_score
from earnest.shipping.frames import Stateful, export_frames
from earnest.shipping.onnx import export_onnx
from earnest.shipping.parity import check_parity
from earnest.training.evaluate import Evaluator
from earnest.training.loop import derive
from earnest.training.pipeline import Normalised, Pipeline
from earnest.training.precision import in_precision
from earnest.training.store import AsShipped
from earnest.units import Unit, finished, forget_other_work, locked


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


def _work(unit: Unit) -> dict[str, Any]:
    torch.set_num_threads(unit.recipe.training.threads)
    bench = Bench.of(unit)
    searched: dict[str, Any] = {}
    if unit.recipe.search:
        chosen, searched = search.best(
            unit.recipe, unit.directory / "search", derive(unit.seed), partial(validation_score, unit, bench)
        )
        unit = replace(unit, recipe=chosen)
    recipe, task, examples = unit.recipe, bench.task, bench.examples

    model, record = fitted_model(unit, bench)
    network = Normalised(bench.normaliser, model)
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
        sounds = (pl.read_parquet(table), examples.waveforms, examples.targets)
        answers = alarms.in_windows(model, examples.inputs)
        ear = alarms.Ear.of(answers, examples.inputs, *sounds, unit.labels, task.listening)
        return {"alarms": alarms.listen(ear, parts, examples.seed)}
    if task.detecting:
        label = unit.labels.index(task.detecting.label)
        found = activity.listen(model, table, examples, unit.streams, label, task.detecting, bench.frames)
        return {"activity": found}
    return {}


def has_more_than_weights(unit: Unit, task: tasks.Task) -> bool:
    """Whether the folds' models differ in more than their weights: by the depth of trees, by the scale of a target."""
    return models.is_estimator(unit.recipe.model.name) or task.fit is not None


class Probabilities(nn.Module):
    """The task's last step, as part of the exported graph."""

    def __init__(self, task: tasks.Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, outputs: torch.Tensor) -> torch.Tensor:
        """Outputs → what is reported."""
        return self.task.probabilities(outputs)
