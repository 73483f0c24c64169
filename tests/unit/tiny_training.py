"""A training of a few clips and a few milliseconds, and how to kill it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from earnest import augment, frontends, models, tasks
from earnest.recipe import Part, Training
from earnest.training.batches import Epochs, Examples
from earnest.training.inputs import Inputs
from earnest.training.loop import Validation, train
from earnest.training.losses import Loss, build
from earnest.training.waveforms import Waveforms

RATE, SAMPLES, CLIPS, CLASSES = 8_000, 2_000, 24, 3
FRONTEND = Part(name="log_mel", options={"bands": 10})
CLASSIFICATION = tasks.find(Part(name="classification"))


class Killed(Exception):
    """The process ended here."""


def examples(clips: int = CLIPS) -> Examples:
    """Noises of three loudnesses, which are their classes."""
    rng = np.random.default_rng(0)
    classes = np.arange(clips) % CLASSES
    waves = rng.normal(size=(clips, SAMPLES)) * 10.0 ** -classes[:, None]
    starts = np.arange(clips, dtype=np.int64) * SAMPLES
    waveforms = Waveforms(waves.astype(np.float32).ravel(), np.stack([starts, starts + SAMPLES], 1), RATE)
    frontend = frontends.build(FRONTEND, RATE)
    inputs = Inputs(SAMPLES, SAMPLES // 2, "pad", frontend.min_samples)
    targets = np.eye(CLASSES, dtype=np.float32)[classes]
    return Examples(waveforms, targets, frontend, inputs, augment.build((), RATE), seed=0)


def network() -> nn.Module:
    """A small network on the features of `examples`."""
    frames = frontends.build(FRONTEND, RATE).frames_for(SAMPLES)
    return models.build(Part(name="ds_cnn", options={"channels": 8, "blocks": 1}), frames, 10, CLASSES)


def run(
    folder: Path,
    recipe: Training,
    *,
    build_network: Callable[[], nn.Module] = network,
    epochs: Epochs | None = None,
    loss: Loss | None = None,
    kill_after: int | None = None,
    **options: Any,
) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    """Train; the final weights and the log. With `kill_after`, a first try ends in that epoch and a second goes on."""
    clips = examples()
    rows = np.arange(CLIPS)
    records: list[dict[str, Any]] = []

    def log(record: dict[str, Any]) -> None:
        records.append(record)
        if kill_after == record["epoch"] and len(records) == kill_after:
            raise Killed

    def once() -> nn.Module:
        return train(
            build_network,
            epochs or Epochs(clips, rows, recipe.batch_size, workers=0),
            lambda network: Validation(2.0, 0.5),
            loss or build(CLASSIFICATION, recipe, torch.from_numpy(clips.targets)),
            recipe,
            seed=1,
            where="fold 1, seed 0",
            directory=folder,
            log=log,
            **options,
        )[0]

    try:
        trained = once()
    except Killed:
        trained = once()
    return {key: value.clone() for key, value in trained.state_dict().items()}, records


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Equal in every bit."""
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
