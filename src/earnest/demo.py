"""The first run: synthetic words, an honest score beside its leaky twin, and a model that listens.

Nothing is downloaded. The words are spoken by espeak-ng, so the scores say nothing about people; what they show is how
much a model gains when the voices it is tested on were in its training, which is the mistake Earnest guards against.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from earnest import audio, journey, recipe
from earnest.pool import Progress
from earnest.runtime import Bundle, Event, Streamer
from earnest.shipping.assemble import choose_fold
from earnest.table import Table

RECIPE: dict[str, Any] = {
    "name": "demo",
    "corpus": "espeak_words",
    "sample_rate": 16_000,
    "split": {"name": "group-k-fold", "folds": 2, "group": "speaker"},
    "clips": {"window_s": 1.0, "hop_s": 0.25},
    "frontend": {"name": "mfcc", "n_mfcc": 10, "window_ms": 40.0, "hop_ms": 20.0},
    "augment": [{"name": "time_shift", "max_s": 0.15}],
    "model": "ds_cnn",
    "training": {"epochs": 20, "batch_size": 32, "learning_rate": 3e-3},
    "twin": True,
}
WORDS = 5  # spoken in the stream
PAUSE_S = 0.6
NEAR_S = 0.2  # an event belongs to a word when their middles are so close
CHUNK_S = 0.1
THRESHOLD = 0.7


@dataclass(frozen=True)
class Stream:
    """What was streamed and what was heard in it.

    Attributes
    ----------
    voice : the voice that spoke; the shipped model has never heard it.
    spoken : start in seconds, end in seconds and word, in order.
    events : what the streamer said.
    """

    voice: str
    spoken: tuple[tuple[float, float, str], ...]
    events: tuple[Event, ...]

    def heard(self) -> list[tuple[float, str, str | None, float]]:
        """For each word: when it was said, what it was, and the surest label heard there with its score."""
        rows = []
        for start_s, end_s, word in self.spoken:
            middle = (start_s + end_s) / 2
            near = [event for event in self.events if abs((event.start_s + event.end_s) / 2 - middle) <= NEAR_S]
            best = max(near, key=lambda event: event.score, default=None)
            rows.append((start_s, word, best.label if best else None, best.score if best else 0.0))
        return rows


def train(out: Path, *, jobs: int | None = None, progress: Progress | None = None) -> Path:
    """Run the demo's recipe; the run directory comes back."""
    return journey.run(recipe.parse(RECIPE, "demo"), out, jobs=jobs, progress=progress)


def stream(run: Path) -> Stream:
    """Play words of a voice the shipped model never heard through its bundle, a tenth of a second at a time."""
    bundle = Bundle.open(run / "bundle")
    samples, voice, spoken = utterance(run, bundle)
    streamer = Streamer(bundle, threshold=THRESHOLD)
    size = round(CHUNK_S * bundle.sample_rate)
    events: list[Event] = []
    for start in range(0, len(samples), size):
        events += streamer.feed(samples[start : start + size])
    return Stream(voice, spoken, (*events, *streamer.flush()))


def utterance(run: Path, bundle: Bundle) -> tuple[npt.NDArray[np.float32], str, tuple[tuple[float, float, str], ...]]:
    """Words of one unheard voice with pauses between them: samples at the bundle's rate, the voice, and the words."""
    clips = unheard_clips(run)
    voice = clips["speaker"][0]
    rows = clips.filter(pl.col("speaker") == voice).unique("label", keep="first", maintain_order=True).head(WORDS)
    pause = np.zeros(round(PAUSE_S * bundle.sample_rate), dtype=np.float32)
    parts, spoken, at = [pause], [], len(pause)
    for path, word in rows.select("audio", "label").iter_rows():
        said = audio.load(path, bundle.sample_rate).samples
        spoken.append((at / bundle.sample_rate, (at + len(said)) / bundle.sample_rate, str(word)))
        parts += [said, pause]
        at += len(said) + len(pause)
    return np.concatenate(parts), str(voice), tuple(spoken)


def unheard_clips(run: Path) -> pl.DataFrame:
    """The test clips of the fold whose model was shipped, with their audio, in the order of their ids."""
    fold = choose_fold(json.loads((run / "scores.json").read_text(encoding="utf-8")))["name"]
    predictions = pl.read_parquet(run / "predictions.parquet").filter(pl.col("fold") == fold)
    clips = Table.read(run / "table.parquet").frame.select("id", "audio", "label")
    return predictions.select("id", "speaker").unique("id").join(clips, on="id").sort("id")
