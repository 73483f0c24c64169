"""Detection: when speech is there, learnt from mixtures and tested on recordings that were never trained on.

The recipe's corpus has the column `events` (texts `BEGIN END LABEL`, see `earnest.formats.rttm`): it is the test part,
whole. Training and validation are mixtures of clean speech with noise and silence, whose labels are exact
(`earnest.corpora._mixing`); speakers and noises of the two do not meet. A clip is one window, and its class says
whether speech is at its middle: the form of MarbleNet (F. Jia, S. Majumdar, B. Ginsburg, arXiv:2010.13886), in which
any network for clips detects. Whole recordings are then decoded into stretches (`earnest.activity`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field

from earnest import audio
from earnest.corpora._mixing import FRAME_S, Plan, mix, runs
from earnest.corpora._recordings import open_recordings
from earnest.errors import AudioError, DataError, RecipeError
from earnest.files import atomic_write_text, cache_folder
from earnest.recipe import Recipe
from earnest.scoring.detection import frames_of, joined
from earnest.table import Table
from earnest.tasks import ONLY, STREAM, Detecting, Task, classification, depression

SPEECH, OTHER = "speech", "other"
VALIDATION = 0.2  # of the speakers and noises
MADE = 1  # counts up when mixtures of the same numbers come out differently
Seconds = Annotated[float, Field(ge=0, le=60)]


@dataclass(frozen=True)
class Config:
    """What mixtures are made of, and how stretches are decided.

    Parameters
    ----------
    speech : corpora or folders of clean speech.
    noises : corpora or folders without speech.
    mixtures : how many are made, of `seconds` each.
    steps : windows that are taken per second of a mixture, and of a recording for the score of windows.
    snr_db : lowest and highest level of speech over noise.
    gap : how far the offset lies below the onset, which validation decides.
    median_s, min_on_s, min_off_s : as in `earnest.runtime.activity.Activity`, the median in seconds.
    """

    speech: tuple[str, ...] = ()
    noises: tuple[str, ...] = ()
    mixtures: Annotated[int, Field(ge=10)] = 300
    seconds: Annotated[float, Field(ge=2, le=60)] = 8.0
    steps: Annotated[float, Field(gt=0, le=100)] = 4.0
    snr_db: tuple[float, float] = (0.0, 30.0)
    gap: Annotated[float, Field(ge=0, le=1)] = 0.15
    median_s: Seconds = 0.1
    min_on_s: Seconds = 0.1
    min_off_s: Seconds = 0.2


def build(config: Config) -> Task:
    """The task of a recipe's options."""
    detecting = Detecting(SPEECH, config.gap, config.median_s, config.min_on_s, config.min_off_s)
    return dataclasses.replace(
        depression.build(depression.Config(positive=SPEECH)),
        name="detection",
        primary="auc",
        labels=labels,
        compose=partial(compose, config),
        detecting=detecting,
        notes=notes,
        details=None,
        level="clip",
        levels=("clip",),
    )


def labels(table: Table, column: str) -> list[str]:
    """`other`, then `speech`.

    Raises
    ------
    DataError : there is only one of them.
    """
    classification.labels(table, column)
    return [OTHER, SPEECH]


def notes(table: Table) -> list[str]:
    """What was trained on."""
    names = ", ".join(str(entry["corpus"]) for entry in table.info.get("beside", ()))
    return [
        f"Trained on mixtures of {names}, and never on recordings of {table.name}; a clip is the middle of a window."
    ]


def compose(config: Config, table: Table, column: str, recipe: Recipe, data: Path | None) -> Table:
    """Windows and whole recordings of the corpus as the test part, those of mixtures as the others.

    Raises
    ------
    DataError : the corpus has no events; there is too little to mix.
    RecipeError : another split than the official one, or nothing to mix is named.
    """
    if not config.speech or not config.noises:
        raise RecipeError("the task detection mixes speech with noises.", "Name corpora or folders of both in task.")
    if recipe.split.name != "official" or recipe.clips.segments != "whole":
        raise RecipeError("the task detection tests the corpus and trains on mixtures.", "Set split=official.")
    if not table.has("events"):
        raise DataError(f"the table {table.name!r} has no column 'events'.", "Give a folder of recordings with RTTM.")
    window = recipe.clips.window_s
    rows = [row for whole in table.frame.iter_rows(named=True) for row in _rows(whole, "test", window, config.steps)]
    speech = pl.concat([open_recordings(place, data) for place in config.speech])
    noises = pl.concat([open_recordings(place, data) for place in config.noises])
    for mixture in _mixtures(config, speech, noises, recipe.sample_rate):
        rows += _rows(mixture, mixture["split"], window, config.steps)
    for row in rows:
        row[column] = row.pop("class")
    used = (
        pl.concat([speech, noises]).group_by("corpus", "licence", maintain_order=True).agg(learnt=pl.lit(True).first())
    )
    kept = [
        "id",
        "audio",
        "start_s",
        "end_s",
        "speaker",
        "source",
        "split",
        "corpus",
        "licence",
        "events",
        STREAM,
        column,
    ]
    frame = pl.DataFrame([{key: row.get(key) for key in kept} for row in rows], infer_schema_length=None)
    return Table.from_frame(
        frame, table.name, info={**table.info, "learnt": False, "beside": used.to_dicts()}, bad_rows=table.bad_rows
    )


def stretches(events: Sequence[str]) -> list[tuple[float, float]]:
    """Begin and end in seconds of the texts `BEGIN END LABEL`; those that overlap are one.

    Raises
    ------
    DataError : a text is of another form.
    """
    try:
        return joined([(float(begin), float(end)) for begin, end, *_ in (str(event).split() for event in events)])
    except ValueError as error:
        raise DataError(f"an event is not of the form 'BEGIN END LABEL': {error}.", "Times are in seconds.") from error


def _rows(whole: dict[str, Any], part: str, window_s: float, steps: float) -> Iterator[dict[str, Any]]:
    """A recording for streams, and its windows; the class of a window is that of its middle."""
    begin = whole.get("start_s") or 0.0
    try:
        end = whole.get("end_s") or audio.probe(whole["audio"]).duration_s
    except AudioError:
        return  # nothing can be cut from it
    source = whole.get("source") or whole["id"]
    base = {**whole, "source": source, "split": part}
    yield {**base, STREAM: ONLY, "class": SPEECH}
    spoken = stretches(whole["events"])
    for number in range(int((end - begin - window_s) * steps) + 1):
        at = number / steps
        middle = at + window_s / 2
        inside = any(first <= middle < last for first, last in spoken)
        piece = {"id": f"{whole['id']}@{at:07.2f}", "start_s": begin + at, "end_s": begin + at + window_s, STREAM: None}
        yield {**base, **piece, "events": None, "class": SPEECH if inside else OTHER}


def _mixtures(config: Config, speech: pl.DataFrame, noises: pl.DataFrame, sample_rate: int) -> list[dict[str, Any]]:
    """The mixtures, made once and kept in the user's cache folder: one row each."""
    facts = [MADE, sample_rate, dataclasses.asdict(config), speech["id"].to_list(), noises["id"].to_list()]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    folder = cache_folder() / "mixtures" / name
    listed = folder / "mixtures.json"
    if listed.is_file():
        return [{**row, "audio": str(folder / row["audio"])} for row in json.loads(listed.read_text("utf-8"))]
    rows = []
    parts = ("validation", "train")
    for part in parts:
        voices = _of_part(speech, part == "validation")
        sounds = _of_part(noises, part == "validation")
        if not voices or not sounds:
            raise DataError("too few speakers or noises for two parts.", "Name more corpora under speech and noises.")
        share = VALIDATION if part == "validation" else 1 - VALIDATION
        for number in range(round(config.mixtures * share)):
            rows.append(_mixture(config, part, number, voices, sounds, sample_rate, folder))
    atomic_write_text(listed, json.dumps(rows))
    return [{**row, "audio": str(folder / row["audio"])} for row in rows]


def _of_part(frame: pl.DataFrame, validation: bool) -> list[list[dict[str, Any]]]:
    """The recordings of each speaker (or source) of a part, in a stable order."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in frame.sort("id").iter_rows(named=True):
        groups.setdefault(row["speaker"] or row["source"], []).append(row)
    ordered = sorted(groups, key=lambda group: hashlib.sha256(group.encode()).digest())
    first = max(1, round(VALIDATION * len(ordered))) if len(ordered) > 1 else 0
    return [groups[group] for group in (ordered[:first] if validation else ordered[first:])]


def _mixture(
    config: Config,
    part: str,
    number: int,
    voices: list[list[dict[str, Any]]],
    sounds: list[list[dict[str, Any]]],
    sample_rate: int,
    folder: Path,
) -> dict[str, Any]:
    """Make and write one mixture."""
    rng = np.random.default_rng([number, part == "train"])
    plan = Plan(seconds=config.seconds, snr_db=config.snr_db)
    kind = rng.uniform()
    voice = voices[int(rng.integers(len(voices)))]
    chosen = rng.permutation(len(voice))[: 1 + int(config.seconds)]
    noise = sounds[int(rng.integers(len(sounds)))]
    sound = _load(noise[int(rng.integers(len(noise)))], sample_rate)
    clips = [] if kind < plan.alone else [_load(voice[int(row)], sample_rate) for row in chosen]
    samples, active = mix(clips, None if kind > 1 - plan.alone else sound, plan, sample_rate, rng)
    name = f"{part}-{number:05d}"
    audio.write(folder / f"{name}.wav", samples, sample_rate)
    return {
        "id": f"mixtures/{name}",
        "audio": f"{name}.wav",
        "source": f"mixtures/{name}",
        "corpus": "mixtures",
        "split": part,
        "events": [f"{first * FRAME_S:.2f} {last * FRAME_S:.2f} {SPEECH}" for first, last in runs(active)],
    }


def _load(row: dict[str, Any], sample_rate: int) -> np.ndarray:
    """A recording to mix; one that cannot be read is silence."""
    try:
        return audio.load(row["audio"], sample_rate, start_s=row["start_s"], end_s=row["end_s"]).samples
    except AudioError:
        return np.zeros(0, np.float32)


def truth(events: Sequence[str], frames: int) -> np.ndarray:
    """Which frames of 10 ms of a recording are speech, (frames,) bool."""
    return frames_of(stretches(events), frames, FRAME_S)
