"""False alarms and missed words: what a fold's exported model reports in streams that the fold has not heard.

    recordings without the words ─ one after the other ─► stream ─ windows, decoder ─► false alarms per hour
    the fold's clips of words ─ with pauses, in noise ──► stream ─ windows, decoder ─► share of words missed

Words that people say within longer recordings (`SAID`) stand in the second stream too; where there are any, clips that
no person spoke do not.

The threshold of a fold is the lowest at which its validation stream, made of recordings of validation groups, gives no
more than the wanted rate of false alarms; test streams decide nothing. Windows are scored by the exported file and
decoded by `earnest.runtime.spotting`, as in a live stream; only the joints between recordings are not real. A file that
hears streams in its own way, such as one for a device, chooses a threshold of its own in the same streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from earnest.runtime.engines.onnx import INPUT, OUTPUT, open_session
from earnest.runtime.spotting import Answers, Gate, Smoother, Spotting, gate_of, smoothed_windows
from earnest.scoring.alarms import THRESHOLDS
from earnest.splits import Fold
from earnest.table import Table
from earnest.tasks import ONLY, PIECE, SAID, STREAM, Listening, Task
from earnest.training.inputs import Inputs
from earnest.training.waveforms import Waveforms

BATCH = 64
PAUSE_S = (0.5, 1.5)  # beyond what the decoder needs between two words; drawn, so that words lie anywhere in a window
SYNTHETIC = "synthetic/"  # how the names of speakers begin that are no people
NOISE_S = 60  # seconds of background that are kept for the stream of words


@dataclass(frozen=True)
class Rows:
    """A fold's rows without those of streams, and the rows of streams by part."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    streams: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())


def divided(table: Table, fold: Fold, task: Task) -> Rows:
    """Take the recordings for streams out of a fold's clips."""
    if not (task.listening or task.detecting) or not table.has(STREAM):
        return Rows(fold.train, fold.validation, fold.test)
    streamed = table.column(STREAM).is_not_null().to_numpy()
    unlearnt = (
        streamed
        if not (task.listening and task.listening.trained)
        else table.column(STREAM).is_in([ONLY, SAID]).fill_null(False).to_numpy()
    )
    heard = (table.column(STREAM) != PIECE).fill_null(False).to_numpy()
    clips, streams = ([part[kind[part]] for part in (fold.validation, fold.test)] for kind in (~streamed, heard))
    return Rows(
        fold.train[~unlearnt[fold.train]], clips[0], clips[1], (tuple(streams[0].tolist()), tuple(streams[1].tolist()))
    )


@dataclass(frozen=True)
class Part:
    """One part of a fold.

    Attributes
    ----------
    streams : rows of recordings without the words.
    words : rows of clips that are words, and of recordings that hold one.
    """

    streams: Sequence[int]
    words: Sequence[int]


def in_windows(model: Path, inputs: Inputs) -> Answers:
    """The answers of an exported file, each window computed anew."""
    session = open_session(model, 1)
    window, hop = inputs.window, inputs.hop

    def answers(pieces: Iterable[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        at, rest = 0, np.zeros(0, np.float32)  # `rest` begins at `at`, where the next window begins
        ahead = 0  # samples until then, where the hop is longer than the window
        for piece in pieces:
            rest = np.concatenate([rest, piece[ahead:]])
            ahead = max(0, ahead - len(piece))
            count = max(0, (len(rest) - window) // hop + 1)
            for first in range(0, count, BATCH):
                starts = range(first * hop, min(first + BATCH, count) * hop, hop)
                batch = np.stack([rest[start : start + window] for start in starts])
                (scores,) = session.run([OUTPUT], {INPUT: batch})
                yield from zip(
                    [at + start + window for start in starts], scores * batch.any(axis=1, keepdims=True), strict=True
                )
            ahead += max(0, count * hop - len(rest))
            at, rest = at + count * hop, rest[count * hop :]

    return answers


@dataclass(frozen=True)
class Ear:
    """A model with its decoder, and the sounds it is to hear.

    Attributes
    ----------
    answers : of the model.
    window, step : samples that an answer sees, and from one answer to the next.
    waveforms, classes : all clips of the table, and the column of each one's label.
    kinds, corpora : of every row, `speech` or `background` (None for clips), and the corpus it is of.
    made : rows that no person spoke.
    labels : the columns of the scores.
    listening : the task's numbers.
    thresholds : those that it can have, rising.
    """

    answers: Answers
    window: int
    step: int
    waveforms: Waveforms
    classes: np.ndarray
    kinds: Sequence[str | None]
    corpora: Sequence[str]
    made: frozenset[int]
    labels: tuple[str, ...]
    listening: Listening
    thresholds: Sequence[float] = THRESHOLDS

    @classmethod
    def of(
        cls,
        answers: Answers,
        inputs: Inputs,
        table: pl.DataFrame,
        waveforms: Waveforms,
        targets: np.ndarray,
        labels: Sequence[str],
        listening: Listening,
    ) -> Ear:
        """The ear of a run: `table` and `targets` (clips, labels) are those of its waveforms."""
        made = np.flatnonzero(table["speaker"].str.starts_with(SYNTHETIC).fill_null(False))
        return cls(
            answers=answers,
            window=inputs.window,
            step=inputs.hop,
            waveforms=waveforms,
            classes=targets.argmax(1),
            kinds=table[STREAM].to_list(),
            corpora=table["corpus"].to_list(),
            made=frozenset(made.tolist()),
            labels=tuple(labels),
            listening=listening,
        )

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.waveforms.sample_rate

    @property
    def smoothed(self) -> int:
        """Over how many answers scores are averaged."""
        return smoothed_windows(self.spotting(0.5), self.sample_rate, self.step)

    def spotting(self, threshold: float) -> Spotting:
        """The decoder's numbers with a threshold."""
        given = self.listening
        return Spotting(given.words, threshold, given.release, given.smoothing_s, given.refractory_s)

    def gate(self, threshold: float) -> Gate:
        """A gate at the beginning of a stream, for the scores of the words alone."""
        return gate_of(self.spotting(threshold), self.listening.words, self.sample_rate)

    @property
    def words(self) -> list[int]:
        """The columns of the words."""
        return [self.labels.index(word) for word in self.listening.words]

    def hear(self, pieces: Iterable[np.ndarray]) -> Heard:
        """The words' smoothed scores in all windows of a stream, given in pieces of any length."""
        smoother, words, ends = Smoother(self.smoothed), self.words, []

        def smoothed() -> Iterator[np.ndarray]:
            for end, scores in self.answers(pieces):
                ends.append(end)
                yield smoother.step(scores[words])

        rows = np.fromiter(smoothed(), np.dtype((np.float64, len(words))))
        return Heard(ends, rows)


@dataclass(frozen=True)
class Heard:
    """A stream's windows: where each ends, in samples, and the smoothed scores of the words (windows, words)."""

    ends: Sequence[int]
    smoothed: np.ndarray

    def events(self, gate: Gate) -> list[tuple[int, int]]:
        """End of the window and number of the word, for each event."""
        windows = gate.matter(self.smoothed).tolist()
        steps = ((self.ends[window], gate.step(self.ends[window], self.smoothed[window])) for window in windows)
        return [(end, word) for end, word in steps if word is not None]


@dataclass(frozen=True)
class Spoken:
    """The stream of a part's words: its windows, and for each of them row, span in samples and which word it is."""

    heard: Heard
    rows: list[int]
    starts: list[int]
    stops: list[int]
    words: list[int]
    reach: int  # samples behind the end of a word within which a window may still report it

    def found(self, gate: Gate) -> tuple[np.ndarray, int]:
        """Whether each word was reported, (words,) bool, and how many reports were of another word or of none."""
        hits, wrong = np.zeros(len(self.rows), dtype=bool), 0
        for end, word in self.heard.events(gate):
            at = int(np.searchsorted(self.starts, end, side="left")) - 1
            if at >= 0 and end < self.stops[at] + self.reach and self.words[at] == word:
                hits[at] = True
            else:
                wrong += 1
        return hits, wrong


def listen(ear: Ear, parts: Sequence[tuple[Sequence[int], Sequence[int]]], seed: int) -> dict[str, Any]:
    """What the streams of a fold's validation and test part say about its model; see `measure`.

    Parameters
    ----------
    ear : the model, and all clips.
    parts : rows for streams, and rows of clips, of validation and test.
    seed : of the pauses between words.
    """
    validation, test = (part_of(ear, streams, clips) for streams, clips in parts)
    return measure(ear, validation, test, seed)


def part_of(ear: Ear, streams: Sequence[int], clips: Sequence[int]) -> Part:
    """The rows of a part, by what they are heard for."""
    words, said = ear.words, [row for row in streams if ear.kinds[row] == SAID]
    alone = [row for row in clips if ear.classes[row] in words and not (said and row in ear.made)]
    return Part([row for row in streams if row not in said], alone + said)


def measure(ear: Ear, validation: Part, test: Part, seed: int) -> dict[str, Any]:
    """Choose the fold's threshold on its validation streams, and count on its test streams.

    Returns
    -------
    threshold, whether it reaches the wanted rate (None where there are no validation streams), the counts of both
    parts, false alarms by corpus, words missed by row, and counts at every threshold of the curve.
    """
    heard = {name: _negatives(ear, part) for name, part in (("validation", validation), ("test", test))}
    hours = {name: _hours(ear, part.streams) for name, part in (("validation", validation), ("test", test))}
    spoken = {name: _spoken(ear, part, seed) for name, part in (("validation", validation), ("test", test))}
    threshold, reached = _choose(ear, heard["validation"], hours["validation"])
    record: dict[str, Any] = {"threshold": threshold, "reached": reached}
    for name in ("validation", "test"):
        hits, wrong = spoken[name].found(ear.gate(threshold))
        alarms = heard[name].events(ear.gate(threshold))
        record[name] = {
            "alarms": len(alarms),
            "hours": hours[name],
            "words": len(hits),
            "missed": int((~hits).sum()),
            "wrong": wrong,
        }
    record["by_corpus"] = _by_corpus(ear, test.streams, [end for end, _ in heard["test"].events(ear.gate(threshold))])
    hits, _ = spoken["test"].found(ear.gate(threshold))
    record["words"] = [[row, bool(hit)] for row, hit in zip(spoken["test"].rows, hits.tolist(), strict=True)]
    record["curve"] = [
        [len(heard["test"].events(ear.gate(at))), int((~spoken["test"].found(ear.gate(at))[0]).sum())]
        for at in ear.thresholds
    ]
    return record


def _negatives(ear: Ear, part: Part) -> Heard:
    return ear.hear(np.asarray(ear.waveforms[row]) for row in part.streams)


def _hours(ear: Ear, rows: Sequence[int]) -> float:
    return float(ear.waveforms.lengths[list(rows)].sum() / ear.sample_rate / 3600)


def _spoken(ear: Ear, part: Part, seed: int) -> Spoken:
    """Each word once, in the order of the table, behind a pause; background of the part lies under all of it."""
    given, rate = ear.listening, ear.sample_rate
    reach = ear.window + ear.smoothed * ear.step
    least = reach + round((given.refractory_s + PAUSE_S[0]) * rate)
    rng = np.random.default_rng(seed)
    noise = _noise(ear, part.streams)
    starts, stops = [], []

    def pieces() -> Iterator[np.ndarray]:
        at = 0
        for row in part.words:
            clip = np.asarray(ear.waveforms[row])
            pause = least + int(rng.integers(round((PAUSE_S[1] - PAUSE_S[0]) * rate)))
            piece = np.concatenate([np.zeros(pause, np.float32), clip])
            starts.append(at + pause)
            stops.append(at + len(piece))
            yield piece + _under(noise, at, len(piece), float(np.sqrt(np.mean(clip**2))), given.snr_db)
            at += len(piece)
        yield np.zeros(reach, np.float32)

    heard = ear.hear(pieces())
    columns = ear.words
    words = [columns.index(int(ear.classes[row])) for row in part.words]
    return Spoken(heard, list(part.words), starts, stops, words, reach)


def _noise(ear: Ear, rows: Sequence[int]) -> np.ndarray:
    """Some background of a part at unit power, (samples,); empty where it has none."""
    found: list[np.ndarray] = [np.zeros(0, np.float32)]
    most = NOISE_S * ear.sample_rate
    for row in rows:
        if ear.kinds[row] == "background" and sum(map(len, found)) < most:
            sound = np.asarray(ear.waveforms[row][:most])
            power = float(np.mean(sound**2)) if len(sound) else 0.0
            found += [sound / np.float32(np.sqrt(power))] if power > 0 else []
    return np.concatenate(found)


def _under(noise: np.ndarray, at: int, length: int, level: float, snr_db: float) -> np.ndarray:
    """The background from a place in the stream on, so far below a level (root mean square)."""
    if not len(noise):
        return np.zeros(length, np.float32)
    piece = noise[np.arange(at, at + length) % len(noise)]
    return np.asarray(piece * np.float32(level * 10 ** (-snr_db / 20)))


def _choose(ear: Ear, heard: Heard, hours: float) -> tuple[float, bool | None]:
    """The lowest threshold from which on no higher one gives more alarms than wanted; the highest where all do."""
    if hours == 0:
        return ear.listening.threshold, None
    chosen = ear.thresholds[-1]
    reached = False
    for threshold in reversed(ear.thresholds):
        if len(heard.events(ear.gate(threshold))) > ear.listening.false_alarms_per_hour * hours:
            break
        chosen, reached = threshold, True
    return chosen, reached


def _by_corpus(ear: Ear, rows: Sequence[int], ends: Sequence[int]) -> dict[str, list[float]]:
    """Corpus → alarms and hours; an alarm is of the recording in which its window ends."""
    lengths = ear.waveforms.lengths[list(rows)]
    owners = np.searchsorted(np.cumsum(lengths), np.array(ends, dtype=np.int64), side="left")
    found: dict[str, list[float]] = {}
    for row, length in zip(rows, lengths.tolist(), strict=True):
        found.setdefault(ear.corpora[row], [0, 0.0])[1] += length / ear.sample_rate / 3600
    for owner in owners.tolist():
        found[ear.corpora[rows[min(owner, len(rows) - 1)]]][0] += 1
    return found
