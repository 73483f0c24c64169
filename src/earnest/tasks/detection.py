"""Detection: when speech is there, learnt from mixtures and tested on recordings that were never trained on.

The recipe's corpus has the column `events` (texts `BEGIN END LABEL`, see `earnest.formats.rttm`): it is the test part,
whole. Training and validation are mixtures of clean speech with noise and silence, whose labels are exact
(`earnest.corpora._mixing`); speakers and noises of the two do not meet. A clip is one window, and its class says
whether speech is at its middle. Two forms of networks learn that:

    clip      one answer for a window: the form of MarbleNet (F. Jia, S. Majumdar, B. Ginsburg, arXiv:2010.13886)
    frames    an answer for each frame of a longer window, in one pass, and in streams without doing anything twice

Whole recordings are then decoded into stretches (`earnest.activity`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from earnest import audio
from earnest.corpora._mixing import FRAME_S, Plan, mix, runs
from earnest.corpora._recordings import open_recordings
from earnest.errors import AudioError, DataError, RecipeError
from earnest.files import atomic_write_text, cache_folder
from earnest.recipe import Recipe
from earnest.scoring.detection import joined
from earnest.table import Table
from earnest.tasks import ONLY, STREAM, Detecting, Task, classification, depression
from earnest.tasks._scenes import TWO_TALKERS, Scene

SPEECH, OTHER = "speech", "other"
VALIDATION = 0.2  # of the speakers and noises
MADE = 3  # counts up when mixtures of the same numbers come out differently
TURN_DB = (-15.0, 0.0)
UNMIXED = ("shape", "steps", "delay_s", "gap", "median_s", "min_on_s", "min_off_s")  # options that change no mixture
Place = tuple[str, float | None, float | None]  # a file, and where a recording begins and ends in it, in seconds
Seconds = Annotated[float, Field(ge=0, le=60)]


@dataclass(frozen=True)
class Config:
    """What mixtures are made of, and how stretches are decided.

    Parameters
    ----------
    speech : corpora or folders of clean speech.
    noises : corpora or folders without speech.
    rooms : folder of impulse responses; beside them, and without, rooms are made of noise that dies away.
    mixtures : how many are made, of `seconds` each.
    shape : whether a window gets one answer, for its middle, or each of its frames one, in one pass.
    steps : windows that are taken per second of a mixture, and of a recording for the score of windows.
    delay_s : with `frames`, how much later than its moment a frame is answered for, having heard what comes behind.
    snr_db : lowest and highest level of speech over noise.
    gap : how far the offset lies below the onset, which validation decides.
    median_s, min_on_s, min_off_s : as in `earnest.runtime.activity.Activity`, the median in seconds.
    """

    speech: tuple[str, ...] = ()
    noises: tuple[str, ...] = ()
    rooms: str | None = None
    mixtures: Annotated[int, Field(ge=10)] = 300
    seconds: Annotated[float, Field(ge=2, le=60)] = 8.0
    shape: Literal["clip", "frames"] = "clip"
    steps: Annotated[float, Field(gt=0, le=100)] = 4.0
    delay_s: Annotated[float, Field(ge=0, le=1)] = 0.1
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
        shape=config.shape,
        by_frame=by_frame if config.shape == "frames" else None,
        delay_s=config.delay_s if config.shape == "frames" else 0.0,
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
    rooms = None if config.rooms is None else folder_of(open_recordings(config.rooms, data))
    for mixture in _mixtures(config, speech, noises, rooms, recipe.sample_rate):
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


def folder_of(recordings: pl.DataFrame) -> Path:
    """The folder that all recordings lie in."""
    return Path(os.path.commonpath([str(Path(file).parent) for file in recordings["audio"].to_list()]))


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


def _mixtures(
    config: Config, speech: pl.DataFrame, noises: pl.DataFrame, rooms: Path | None, sample_rate: int
) -> list[dict[str, Any]]:
    """The mixtures, made once and kept in the user's cache folder: one row each."""
    made_of = {key: value for key, value in dataclasses.asdict(config).items() if key not in UNMIXED}
    facts = [MADE, sample_rate, made_of, speech["id"].to_list(), noises["id"].to_list()]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    folder = cache_folder() / "mixtures" / name
    listed = folder / "mixtures.json"
    if listed.is_file():
        return [{**row, "audio": str(folder / row["audio"])} for row in json.loads(listed.read_text("utf-8"))]
    rows = []
    load = cache(partial(_load, sample_rate))
    for part in ("validation", "train"):
        voices = _of_part(speech, part == "validation")
        sounds = _of_part(noises, part == "validation")
        if not voices or not sounds:
            raise DataError("too few speakers or noises for two parts.", "Name more corpora under speech and noises.")
        mixer = Mixer(config, part, voices, sounds, Scene(sample_rate, rooms), load)
        share = VALIDATION if part == "validation" else 1 - VALIDATION
        rows += [mixer.write(number, folder) for number in range(round(config.mixtures * share))]
    atomic_write_text(listed, json.dumps(rows))
    return [{**row, "audio": str(folder / row["audio"])} for row in rows]


def _of_part(frame: pl.DataFrame, validation: bool) -> list[list[Place]]:
    """The recordings of each speaker (or source) of a part, in a stable order."""
    groups: dict[str, list[Place]] = {}
    for row in frame.sort("id").iter_rows(named=True):
        place = (row["audio"], row["start_s"], row["end_s"])
        groups.setdefault(row["speaker"] or row["source"], []).append(place)
    ordered = sorted(groups, key=lambda group: hashlib.sha256(group.encode()).digest())
    first = max(1, round(VALIDATION * len(ordered))) if len(ordered) > 1 else 0
    return [groups[group] for group in (ordered[:first] if validation else ordered[first:])]


@dataclass(frozen=True)
class Mixer:
    """What the mixtures of one part are made of.

    Attributes
    ----------
    config, part : the task's numbers, and `train` or `validation`.
    voices, sounds : recordings of each speaker, and of each source of noise.
    scene : where they sound.
    load : recording (its file, begin and end in seconds) → samples.
    """

    config: Config
    part: str
    voices: list[list[Place]]
    sounds: list[list[Place]]
    scene: Scene
    load: Callable[[Place], np.ndarray]

    def write(self, number: int, folder: Path) -> dict[str, Any]:
        """Make and write one mixture; its row."""
        rng = np.random.default_rng([number, self.part == "train"])
        samples, active = self.mixture(rng)
        name = f"{self.part}-{number:05d}"
        audio.write(folder / f"{name}.wav", samples, self.scene.sample_rate)
        return {
            "id": f"mixtures/{name}",
            "audio": f"{name}.wav",
            "source": f"mixtures/{name}",
            "corpus": "mixtures",
            "split": self.part,
            "events": [f"{first * FRAME_S:.2f} {last * FRAME_S:.2f} {SPEECH}" for first, last in runs(active)],
        }

    def mixture(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Samples (samples,) and where speech is, (frames of 10 ms,) bool."""
        config, scene = self.config, self.scene
        plan = Plan(seconds=config.seconds, snr_db=config.snr_db, turn_db=TURN_DB)
        kind = rng.uniform()
        talkers = [] if kind < plan.alone else [self._talker(rng)]
        if talkers and rng.uniform() < TWO_TALKERS:
            talkers.append(self._talker(rng))
        noise = None
        if kind <= 1 - plan.alone:
            length = round(config.seconds * scene.sample_rate)
            noise = scene.noise(lambda: self._any(self.sounds, rng), length, rng)
        first, others = (talkers[0], talkers[1:]) if talkers else ([], [])
        room = scene.room(rng)
        samples, active = mix(first, noise, plan, scene.sample_rate, rng, others=others, room=room)
        return scene.finish(samples, rng), active

    def _talker(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Recordings of one speaker, as many as a mixture may need."""
        voice = self.voices[int(rng.integers(len(self.voices)))]
        chosen = rng.permutation(len(voice))[: 1 + int(self.config.seconds)]
        return [self.scene.voice(self.load(voice[int(row)]), rng) for row in chosen]

    def _any(self, groups: list[list[Place]], rng: np.random.Generator) -> np.ndarray:
        """A recording of a group drawn at random."""
        group = groups[int(rng.integers(len(groups)))]
        return self.load(group[int(rng.integers(len(group)))])


def _load(sample_rate: int, place: Place) -> np.ndarray:
    """A recording to mix; one that cannot be read is silence."""
    path, start_s, end_s = place
    try:
        return audio.load(path, sample_rate, start_s=start_s, end_s=end_s).samples
    except AudioError:
        return np.zeros(0, np.float32)


def by_frame(table: Table, column: str, names: list[str], moments_s: np.ndarray) -> np.ndarray:
    """Targets of the frames of every clip, (clips, frames, labels) float32, from the events of whole recordings.

    Parameters
    ----------
    table, names : windows and the recordings that they are cut from, and the labels.
    column : not looked at: it tells of the windows' middles.
    moments_s : (frames,) what the frames speak for, in seconds from a window's begin.
    """
    rows = table.frame.select("source", "split", "start_s", STREAM, "events").to_dicts()
    edges = {
        (row["source"], row["split"]): (row["start_s"] or 0.0, np.array(stretches(row["events"])).reshape(-1))
        for row in rows
        if row[STREAM] == ONLY
    }
    spoken = np.zeros((len(rows), len(moments_s)), dtype=bool)
    for place, row in enumerate(rows):
        begin, borders = edges[row["source"], row["split"]]
        at = (row["start_s"] or 0.0) - begin + moments_s
        spoken[place] = np.searchsorted(borders, at, side="right") % 2 == 1  # behind a begin, before its end
    of_label: np.ndarray = np.stack([spoken == (name == SPEECH) for name in names], axis=2).astype(np.float32)
    return of_label
