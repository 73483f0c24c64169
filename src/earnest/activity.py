"""Stretches of a sound in whole recordings: what a fold's exported model finds, and how well.

    recordings ─ windows, exported file ─► scores ─ decoder ─► stretches ─► frames of 10 ms, begins and ends

The onset is the one with the lowest detection cost on the validation recordings; the test recordings decide nothing.
Windows are scored by the exported file and decoded by `earnest.runtime.activity`, as in a live stream. The area under
the ROC curve is of the windows' own scores, before any decoding: each stands for the moment in its middle. A model that
answers for frames hears a recording once, in the pieces of a stream, and each of its frames is such a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from onnxruntime import InferenceSession

from earnest.runtime.activity import Activity, Detector, odd_windows
from earnest.runtime.engines.onnx import INPUT, NEXT_STATE, OUTPUT, STATE, open_session
from earnest.runtime.frames import Frames
from earnest.scoring.binary import auc_score
from earnest.scoring.detection import edge_errors, frame_rates, frames_of
from earnest.scoring.intervals import group_bootstrap
from earnest.tasks import Detecting
from earnest.tasks.detection import stretches
from earnest.training.batches import Examples
from earnest.training.inputs import Inputs

BATCH = 64
FRAME_S = 0.01
SHOWN, SHOWN_S = 3, 30.0  # recordings of either kind that are kept to be looked at, and how much of each
POINTS = 600  # scores that are kept of each
ONSETS = tuple(round(value, 3) for value in np.linspace(0.05, 0.95, 37).tolist())


@dataclass(frozen=True)
class Scored:
    """One recording: where the middles of its windows lie, their scores, its length in samples, and the true stretches.

    Middles are in samples, stretches in seconds.
    """

    name: str
    middles: list[int]
    scores: list[float]
    length: int
    truth: list[tuple[float, float]]


@dataclass(frozen=True)
class Judge:
    """How recordings are decoded and compared with the truth; the distance of windows in samples, the rate in Hz."""

    detecting: Detecting
    sample_rate: int
    hop: int

    def activity(self, onset: float) -> Activity:
        """The decoder's numbers with an onset."""
        given = self.detecting
        median = odd_windows(given.median_s, self.sample_rate, self.hop)
        return Activity(given.label, onset, max(0.0, onset - given.gap), median, given.min_on_s, given.min_off_s)

    def found(self, scored: Scored, onset: float) -> list[tuple[float, float]]:
        """The stretches of a recording, in seconds."""
        detector = Detector(self.activity(onset), self.sample_rate, 0, self.hop)  # ends of no length: the middles
        found = [s for at, score in zip(scored.middles, scored.scores, strict=True) for s in detector.step(at, score)]
        return [(s.start / self.sample_rate, s.end / self.sample_rate) for s in found + detector.finish(scored.length)]

    def frames(self, scored: Scored, onset: float) -> tuple[np.ndarray, np.ndarray]:
        """True and found frames of a recording, (frames,) bool each."""
        count = int(scored.length / self.sample_rate / FRAME_S)
        return frames_of(scored.truth, count, FRAME_S), frames_of(self.found(scored, onset), count, FRAME_S)

    def cost(self, recordings: Sequence[Scored], onset: float) -> float:
        """The detection cost over all frames; infinite where one kind of frame is absent."""
        pairs = [self.frames(scored, onset) for scored in recordings]
        cost = frame_rates(*(np.concatenate(side) for side in zip(*pairs, strict=True)))["cost"]
        return float("inf") if cost is None else cost


def listen(
    model: Path,
    table: Path,
    examples: Examples,
    rows: tuple[Sequence[int], Sequence[int]],
    label: int,
    detecting: Detecting,
    frames: Frames | None = None,
) -> dict[str, Any]:
    """Choose the onset on the validation recordings, and measure on the test recordings.

    Parameters
    ----------
    model, table : the exported file, and the run's table with the column `events`.
    examples : all clips of the run.
    rows : rows of whole recordings, of validation and test.
    label : the column of the scores that is followed.
    detecting : the task's numbers.
    frames : of a model that answers for frames, where they lie in time.

    Returns
    -------
    onset, offset, for `validation` and `test` what `measure` returns, the rates of all test `recordings`, and what
    `beginnings` returns as `shown`.
    """
    waveforms, inputs = examples.waveforms, examples.inputs
    judge = Judge(detecting, waveforms.sample_rate, frames.step_samples if frames else inputs.hop)
    frame = pl.read_parquet(table, columns=["id", "events"])
    session = open_session(model, 1)

    def heard(row: int) -> Scored:
        sound = np.asarray(waveforms[row])
        if frames:
            middles, scores = frames_heard(session, sound, frames, inputs.hop, label)
        else:
            middles, scores = windows_heard(session, sound, inputs, label)
        return Scored(frame["id"][row], middles, scores, len(sound), stretches(frame["events"][row]))

    validation, test = ([heard(row) for row in part] for part in rows)
    onset = min(ONSETS, key=lambda value: judge.cost(validation, value)) if validation else 0.5
    return {
        "onset": onset,
        "offset": judge.activity(onset).offset,
        "validation": measure(judge, validation, onset),
        "test": measure(judge, test, onset),
        "recordings": {
            scored.name: frame_rates(*judge.frames(scored, onset)) | {"seconds": scored.length / judge.sample_rate}
            for scored in test
        },
        "shown": beginnings(judge, test, onset),
    }


def beginnings(judge: Judge, recordings: Sequence[Scored], onset: float) -> list[dict[str, Any]]:
    """A few recordings to be looked at: the costliest ones, and those in the middle of all; the first 30 seconds.

    Returns
    -------
    Of each: id, label, cost, seconds; `true` and `found` stretches in seconds; `times_s` and `scores`, thinned out to
    some hundreds by taking every n-th.
    """
    known = [(judge.cost([scored], onset), scored) for scored in recordings]
    falling = sorted((pair for pair in known if np.isfinite(pair[0])), key=lambda pair: -pair[0])
    rest = falling[SHOWN:]
    middle = max(0, len(rest) // 2 - SHOWN // 2)
    return [_beginning(judge, scored, cost, onset) for cost, scored in falling[:SHOWN] + rest[middle : middle + SHOWN]]


def _beginning(judge: Judge, scored: Scored, cost: float, onset: float) -> dict[str, Any]:
    times = np.array(scored.middles) / judge.sample_rate
    seconds = min(SHOWN_S, scored.length / judge.sample_rate)
    inside = np.flatnonzero(times <= seconds)
    taken = inside[:: max(1, -(-len(inside) // POINTS))]

    def cut(stretches: Sequence[tuple[float, float]]) -> list[list[float]]:
        return [[round(a, 3), round(min(b, seconds), 3)] for a, b in stretches if a < seconds]

    return {
        "id": scored.name,
        "label": judge.detecting.label,
        "cost": round(cost, 4),
        "seconds": round(seconds, 3),
        "true": cut(scored.truth),
        "found": cut(judge.found(scored, onset)),
        "times_s": times[taken].round(3).tolist(),
        "scores": np.array(scored.scores)[taken].round(3).tolist(),
    }


def windows_heard(
    session: InferenceSession, sound: np.ndarray, inputs: Inputs, label: int
) -> tuple[list[int], list[float]]:
    """Middles and scores of the windows of a recording, (samples,) float32."""
    starts = range(0, len(sound) - inputs.window + 1, inputs.hop)
    scores: list[float] = []
    for first in range(0, len(starts), BATCH):
        batch = np.stack([sound[start : start + inputs.window] for start in starts[first : first + BATCH]])
        (answers,) = session.run([OUTPUT], {INPUT: batch})
        scores += answers[:, label].tolist()
    return [start + inputs.window // 2 for start in starts], scores


def frames_heard(
    session: InferenceSession, sound: np.ndarray, frames: Frames, hop: int, label: int
) -> tuple[list[int], list[float]]:
    """Moments and scores of the frames of a recording, (samples,) float32, heard in the pieces of a stream."""
    window, hop = frames.piece(hop)
    state = np.zeros((1, session.get_inputs()[1].shape[1]), np.float32)
    middles: list[int] = []
    scores: list[float] = []
    for start in range(0, len(sound) - frames.reach_samples + 1, hop):
        piece = sound[None, start : start + window]
        answers, state = session.run([OUTPUT, NEXT_STATE], {INPUT: piece, STATE: state})
        middles += [start + frames.moment(number) for number in range(answers.shape[1])]
        scores += answers[0, :, label].tolist()
    early = sum(middle < 0 for middle in middles)
    return middles[early:], scores[early:]


def measure(judge: Judge, recordings: Sequence[Scored], onset: float) -> dict[str, Any]:
    """Everything about a set of recordings at an onset.

    Returns
    -------
    hours and recordings; `auc` and `cost` with their intervals over recordings; shares of missed and false frames; the
    median absolute errors of begins and ends in seconds, and how many of the true ones were found.
    """
    if not recordings:
        return {"recordings": 0, "hours": 0.0}
    pairs = [judge.frames(scored, onset) for scored in recordings]
    truth, said = (np.concatenate(side) for side in zip(*pairs, strict=True))
    owners = np.repeat(np.arange(len(pairs)), [len(pair[0]) for pair in pairs])
    edges = [edge_errors(scored.truth, judge.found(scored, onset)) for scored in recordings]
    cost = frame_rates(truth, said)["cost"]
    interval = None
    if cost is not None:
        rng = np.random.default_rng(0)
        interval = group_bootstrap(lambda rows: _cost(truth[rows], said[rows]), owners, rng=rng).as_list()
    return {
        "recordings": len(recordings),
        "hours": sum(scored.length for scored in recordings) / judge.sample_rate / 3600,
        **_area(judge, recordings),
        **frame_rates(truth, said),
        "cost_interval": interval,
        "stretches": sum(edge["n"] for edge in edges),
        **{
            side: {"median_s": _median([error for edge in edges for error in edge[side]]), "found": found}
            for side in ("onset", "offset")
            for found in [sum(len(edge[side]) for edge in edges)]
        },
    }


def _cost(truth: np.ndarray, said: np.ndarray) -> float:
    cost = frame_rates(truth, said)["cost"]
    return float("nan") if cost is None else cost


def _median(errors: Sequence[float]) -> float | None:
    """The median distance, in seconds."""
    return float(np.median(np.abs(errors))) if errors else None


def _area(judge: Judge, recordings: Sequence[Scored]) -> dict[str, Any]:
    """The area under the ROC curve of the windows' scores, each at its middle."""
    middles = [np.array(scored.middles) / judge.sample_rate for scored in recordings]
    truth = np.concatenate([_inside(scored.truth, at) for scored, at in zip(recordings, middles, strict=True)])
    scores = np.concatenate([np.array(scored.scores) for scored in recordings])
    owners = np.repeat(np.arange(len(recordings)), [len(at) for at in middles])
    if truth.all() or not truth.any():
        return {"auc": None, "auc_interval": None, "auc_method": None}
    found = auc_score(truth, scores[None], owners, rng=np.random.default_rng(0))
    return {"auc": found.value, "auc_interval": found.interval.as_list(), "auc_method": found.interval.method}


def _inside(spoken: Sequence[tuple[float, float]], at: np.ndarray) -> np.ndarray:
    inside = np.zeros(len(at), dtype=bool)
    for begin, end in spoken:
        inside |= (at >= begin) & (at < end)
    return inside
