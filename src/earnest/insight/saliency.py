"""What a model looked at: input gradient and occlusion of a few clips, on the features it was given.

Gradient: the absolute derivative of the answer's output by every value of the normalised features, relative to the
largest (Simonyan, Vedaldi and Zisserman 2014). Occlusion: the loss of the answer's probability where a patch of the
features is set to the mean of the training rows (after Zeiler and Fergus 2014).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn
from torch.nn import functional

from earnest.tasks import Task
from earnest.training.batches import Examples
from earnest.training.pipeline import AnyNormaliser

PER_FOLD, SHOWN = 2, 3  # wrong answers, and as many right ones
SMALLEST = 8  # frames and bands of features that can be looked at as a picture
PATCHES = (10, 6)  # over time, over bands
LARGEST = (200, 128)  # frames and bands of the pictures that are kept
CLIP_DEVIATIONS = 2.5
BATCH = 32


@dataclass(frozen=True)
class Look:
    """One clip as its model sees it.

    Attributes
    ----------
    features : (frames, bands) uint8; the normalised features, -2.5 … 2.5 deviations as 0 … 255.
    gradient : same shape, uint8; 255 is the largest.
    occlusion : (patches over time, patches over bands) float32, how much of the answer's probability a patch carries.
    seconds : length of the window.
    start_s : where it begins in the clip; below 0 where silence was put before it.
    """

    features: np.ndarray
    gradient: np.ndarray
    occlusion: np.ndarray
    seconds: float
    start_s: float

    @property
    def drop(self) -> float:
        """The largest loss of probability by one patch."""
        return float(self.occlusion.max())

    def arrays(self) -> dict[str, np.ndarray]:
        """The pictures by name."""
        return {"features": self.features, "gradient": self.gradient, "occlusion": self.occlusion}


def applies(examples: Examples) -> bool:
    """Whether the features are a picture: one channel, with frames and bands enough to tell where something is."""
    frames, bands = examples.frontend.frames_for(examples.inputs.window), examples.frontend.bands
    return isinstance(frames, int) and isinstance(bands, int) and min(frames, bands) >= SMALLEST


def choose(truth: np.ndarray, scores: np.ndarray) -> list[int]:
    """Places of the surest wrong answers of a fold and of its surest right ones, the latter of different classes.

    Parameters
    ----------
    truth, scores : class numbers (clips,) and probabilities (clips, classes).
    """
    answers, sureness = scores.argmax(1), scores.max(1)
    order = np.argsort(-sureness, kind="stable").tolist()
    wrong = [place for place in order if answers[place] != truth[place]]
    right: dict[int, int] = {}
    for place in order:
        if answers[place] == truth[place]:
            right.setdefault(int(truth[place]), place)
    return [*wrong[:PER_FOLD], *list(right.values())[:PER_FOLD]]


def look(
    normaliser: AnyNormaliser, model: nn.Module, examples: Examples, row: int, answer: int, task: Task
) -> Look | None:
    """Gradient and occlusion of one clip, in the window that speaks loudest for the answer.

    Returns
    -------
    None where the outputs do not depend on the features by a derivative, as those of trees do not.
    """
    waveform = np.asarray(examples.waveforms[row])
    windows, rate = examples.inputs.windows(waveform), examples.waveforms.sample_rate
    clips = examples.windows[row]

    def probability(batch: torch.Tensor) -> torch.Tensor:
        return task.probabilities(model(batch, None))[:, answer]

    with torch.no_grad():
        normal = [normaliser(clip)[None] for clip in clips]  # each (1, frames, bands)
        best = int(torch.stack([probability(one)[0] for one in normal]).argmax())
    features = normal[best].detach().requires_grad_()
    if min(features.shape[1:]) < SMALLEST:
        return None
    output = model(features, None)[0, answer]
    if not output.requires_grad:
        return None
    (gradient,) = torch.autograd.grad(output, features)
    with torch.no_grad():
        drops = occlude(features.detach(), probability)
        size = (min(features.shape[1], LARGEST[0]), min(features.shape[2], LARGEST[1]))
        shown = functional.adaptive_avg_pool2d(features, size)[0] / CLIP_DEVIATIONS
        strength = functional.adaptive_max_pool2d(gradient.abs(), size)[0]
    return Look(
        _bytes((shown.clamp(-1, 1) + 1) / 2),
        _bytes(strength / strength.max().clamp_min(1e-12)),
        drops.numpy(),
        len(windows[best]) / rate,
        examples.inputs.starts(len(waveform))[best] / rate,
    )


def occlude(features: torch.Tensor, probability: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """How much of a probability each patch of (1, frames, bands) carries, (patches over time, patches over bands)."""
    _, frames, bands = features.shape
    times = np.linspace(0, frames, min(PATCHES[0], frames) + 1).astype(int)
    heights = np.linspace(0, bands, min(PATCHES[1], bands) + 1).astype(int)
    copies = features.repeat((len(times) - 1) * (len(heights) - 1), 1, 1)
    number = 0
    for left, right in pairwise(times):
        for low, high in pairwise(heights):
            copies[number, left:right, low:high] = 0  # the training mean of normalised features
            number += 1
    without = torch.cat([probability(part) for part in torch.split(copies, BATCH)])
    drops: torch.Tensor = (probability(features) - without).float()
    return drops.reshape(len(times) - 1, len(heights) - 1)


def _bytes(values: torch.Tensor) -> np.ndarray:
    return (values * 255).round().to(torch.uint8).numpy()


def gather(
    kept: Mapping[str, tuple[dict[str, Any], dict[str, np.ndarray]] | None],
    predictions: pl.DataFrame,
    ids: Sequence[str],
) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Of what the folds kept: the surest wrong answers of the run, then its surest right ones, of different classes.

    Returns
    -------
    facts, arrays : one entry of `clips` for the arrays `features_N`, `gradient_N`, `occlusion_N`; None where no fold
    kept any.
    """
    told = {(row["fold"], row["id"]): row for row in predictions.iter_rows(named=True)}
    found = []
    for fold, one in kept.items():
        for number, entry in enumerate(one[0]["looks"] if one else ()):
            row = told.get((fold, ids[entry["row"]]))
            if row is not None:
                found.append((-max(row["scores"]), row["id"], row, entry, _of(one, number)))
    found.sort(key=lambda item: item[:2])
    wrong = [item for item in found if item[2]["target"] != item[2]["prediction"]]
    right: dict[str, Any] = {}
    for item in found:
        if item[2]["target"] == item[2]["prediction"]:
            right.setdefault(item[2]["target"], item)
    chosen = [*wrong[:SHOWN], *list(right.values())[:SHOWN]]
    if not chosen:
        return None
    clips = [
        {
            "id": row["id"],
            "fold": row["fold"],
            "label": row["target"],
            "answer": row["prediction"],
            "confidence": -confidence,
            "drop": entry["drop"],
            "seconds": entry["seconds"],
            "start_s": entry.get("start_s"),
        }
        for confidence, _, row, entry, _ in chosen
    ]
    arrays = {f"{name}_{place}": value for place, item in enumerate(chosen) for name, value in item[4].items()}
    return {"clips": clips}, arrays


def _of(kept: Any, number: int) -> dict[str, np.ndarray]:
    """The arrays of one look, by name."""
    return {name: kept[1][f"{name}_{number}"] for name in ("features", "gradient", "occlusion")}
