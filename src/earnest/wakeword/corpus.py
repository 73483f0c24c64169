"""The table that a wake word is learnt and tested on: spoken on the spot, real, and made of noise.

    phrase ─ plan ─ espeak-ng, programs ─► the word (synthetic), near phrases, invented phrases
    real recordings of the word, by speaker ─► the word; some learn, the others test
    real recordings of other single words   ─► classes of their own, which the synthetic voices say too
    real recordings with the word in them   ─► tested in a stream: it must be heard somewhere in each
    made noises                             ─► silence

Were all that people say one class, and the word said by synthetic voices alone, then a model would learn that people
never say it. Words that several people say are therefore told apart, and voices of both kinds say them.

Real speech without the word, and real noises, are added by the task `keyword`. A speaker stands in one part alone:
training, validation or test. Where there are real recordings of the word to test on, no synthetic one is among the test
rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from earnest import audio
from earnest.corpora._recordings import open_recordings, plain, says
from earnest.errors import DataError
from earnest.speaking import speak
from earnest.speaking.programs import COMMAND, LICENCES, program_of
from earnest.table import Table
from earnest.tasks import SAID, STREAM
from earnest.tasks.keyword import KEPT, SILENCE, UNKNOWN
from earnest.wakeword.plan import Amounts, Spoken, plan

SAMPLE_RATE = 16_000
SLACK_S = 0.4  # of the window beyond the longest way to say the word
SILENT = 1e-2  # of the peak: below, a synthetic clip has not begun or has ended
PARTS = {"train": 0.6, "validation": 0.1, "test": 0.3}
MADE_NOISES = 60
SPEAKERS = 3  # of the training part, who say a word that is a class of its own
MOST = 150  # recordings of such a word in each part
HEARD_AGAIN = 0.3  # real examples of the word are repeated until they are so many times the synthetic ones

Row = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What a wake word is made from.

    Attributes
    ----------
    phrase, language : the word as it is written, and `en`, `zh` or a voice of espeak-ng.
    recordings : real recordings of the word, or with it: a corpus, or a folder; where nothing is known of what is said,
        it is the word.
    learn_from : how many of the word alone join the training, each of another speaker as far as there are; the others
        test.
    near_words : phrases to leave alone, beside those that are made.
    other_words : corpora or folders in which people say other single words, known from a label or a text.
    voices : of other programs, as `earnest.speaking.programs` names them.
    commands : shell commands that speak `{text}` into `{file}` (WAV); each is a voice too.
    amounts : how much is said.
    """

    phrase: str
    language: str = "en"
    recordings: str | None = None
    learn_from: int = 0
    near_words: tuple[str, ...] = ()
    other_words: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    amounts: Amounts = field(default_factory=Amounts)


def build(wanted: Wanted, folder: Path, data: Path | None = None) -> tuple[Table, float]:
    """Speak what is to be spoken, and put the table together; equal calls give equal tables.

    Parameters
    ----------
    wanted : what from.
    folder : where synthetic clips are written; the table becomes `table.jsonl` in it.
    data : where corpora lie.

    Returns
    -------
    The table, and the length in seconds of the window that holds every training example of the word.

    Raises
    ------
    DataError : nothing of the phrase can be spoken, a command fails, or recordings or other words are missing.
    MissingExtra : espeak-ng is not installed.
    """
    real = list(_recordings(wanted, data))
    real = _told_apart([*real, *_others(wanted, data)])
    apart = sorted({row["label"] for row in real} - {wanted.phrase, UNKNOWN})
    if wanted.other_words and not apart:
        raise DataError(
            f"no word of {', '.join(wanted.other_words)} is said alone by {SPEAKERS} people who train.",
            "Name a corpus of single words, or a folder with speakers' folders and a transcripts.tsv; or leave it out.",
        )
    voices = [*wanted.voices, *(f"{COMMAND}{command}" for command in wanted.commands)]
    said = plan(wanted.phrase, wanted.language, wanted.near_words, wanted.amounts, apart, voices)
    speak([spoken.utterance for spoken in said], folder)
    rows = [_spoken_row(spoken, wanted.phrase) for spoken in said]
    window_s = _window(folder, [row["audio"] for row in rows if row["kind"] == "word" and row["split"] == "train"])
    if any(row["kind"] == "real" and row["split"] == "test" for row in real):
        rows = [row for row in rows if not (row["kind"] == "word" and row["split"] == "test")]
    learnt = [row for row in real if row["kind"] == "real" and row["split"] == "train"]
    spoken = sum(row["kind"] == "word" and row["split"] == "train" for row in rows)
    again = range(1, round(HEARD_AGAIN * spoken / len(learnt))) if learnt else ()
    rows += [row | {"id": f"{row['id']}#{time}"} for row in learnt for time in again]
    rows += [*real, *_noises(folder, 2 * window_s)]
    table = Table.from_frame(pl.DataFrame(rows, infer_schema_length=None), "wakeword", root=folder)
    table.write(folder / "table.jsonl")
    return table, window_s


def _spoken_row(spoken: Spoken, phrase: str) -> Row:
    file, program = spoken.utterance.file, program_of(spoken.utterance.voice)
    return {
        "id": f"synthetic/{file}",
        "audio": file,
        "speaker": f"synthetic/{spoken.speaker}",
        "label": {"word": phrase, "other": spoken.utterance.text}.get(spoken.kind, UNKNOWN),
        "split": spoken.part,
        "kind": spoken.kind,
        "text": spoken.utterance.text,
        "corpus": program,
        "licence": LICENCES[program],
    }


def _window(folder: Path, files: Sequence[str]) -> float:
    """Seconds that the longest of nearly all ways to say the word needs, with room to lie in, in tenths."""
    lengths = []
    for file in files:
        samples = audio.load(folder / file, SAMPLE_RATE).samples
        loud = np.flatnonzero(np.abs(samples) > SILENT * np.abs(samples).max())
        lengths.append((loud[-1] + 1 - loud[0]) / SAMPLE_RATE if len(loud) else 0.0)
    if not lengths:
        raise DataError("no voice said the wake word.", "Ask for at least one take.")
    return float(np.ceil(10 * (np.quantile(lengths, 0.98) + SLACK_S)) / 10)


def _recordings(wanted: Wanted, data: Path | None) -> Iterator[Row]:
    """Real recordings of the word, with the word, and without it in the same place; each speaker is in one part.

    The first recording of the word alone of each of `learn_from` speakers learns it, further ones where there are fewer
    speakers; all other speakers of the word test it, alone or in sentences.
    """
    if wanted.recordings is None:
        return
    frame = _opened(wanted.recordings, wanted.phrase, data)
    positive, alone = frame.filter(pl.col("kind") != "speech"), frame.filter(kind="real")
    if positive.is_empty():
        raise DataError(
            f"{wanted.recordings} holds no recording of {wanted.phrase!r}.",
            "Give a folder of recordings of the word alone, or a corpus in which somebody says it.",
        )
    if wanted.learn_from and alone.is_empty():
        raise DataError(
            f"{wanted.recordings} holds {wanted.phrase!r} within sentences only, which can test it and not teach it.",
            "Leave out --learn-from, or give recordings of the word alone.",
        )
    speakers = set(positive["speaker"].to_list())
    learners = sorted(alone["speaker"].unique().to_list(), key=share_of)[: wanted.learn_from]
    rounds = alone.filter(pl.col("speaker").is_in(learners)).with_columns(turn=pl.int_range(pl.len()).over("speaker"))
    learnt = set(rounds.sort("turn", "id")["id"].to_list()[: wanted.learn_from])
    for row in frame.iter_rows(named=True):
        part = "test" if row["speaker"] in speakers else part_of(row["speaker"])
        part = "train" if row["speaker"] in learners else part
        if row["kind"] != "speech" and part == "train" and row["id"] not in learnt:
            continue
        yield _real_row(row, wanted.phrase, part)


def _others(wanted: Wanted, data: Path | None) -> Iterator[Row]:
    """Real recordings of other single words, each speaker in one part."""
    for place in wanted.other_words:
        if place == wanted.recordings:
            continue
        for row in _opened(place, wanted.phrase, data).filter(kind="speech").iter_rows(named=True):
            yield _real_row(row, wanted.phrase, part_of(row["speaker"]))


def _opened(place: str, phrase: str, data: Path | None) -> pl.DataFrame:
    """The recordings of a corpus or folder with their kinds; who is not known is told by where it lies."""
    frame = open_recordings(place, data)
    kinds = pl.Series("kind", [_kind(text, phrase) for text in frame["text"]], dtype=pl.String)
    return frame.with_columns(pl.coalesce("speaker", "source").alias("speaker"), kinds).sort("id")


def _real_row(row: Row, phrase: str, part: str) -> Row:
    return {
        **{key: row[key] for key in ("audio", "start_s", "end_s", "speaker", "corpus", "licence", "kind", "text")},
        "id": f"real/{row['id']}",
        "label": UNKNOWN if row["kind"] == "speech" else phrase,
        "split": part,
        STREAM: SAID if row["kind"] == "sentence" else None,
    }


def _told_apart(rows: list[Row]) -> list[Row]:
    """Real recordings, in which words that several people say are classes of their own, with `MOST` in each part."""
    speakers: dict[str, set[str]] = {}
    for row in rows:
        if row["kind"] == "speech" and row["split"] == "train" and row["text"] and len(plain(row["text"]).split()) == 1:
            speakers.setdefault(plain(row["text"]), set()).add(row["speaker"])
    apart = {word for word, people in speakers.items() if len(people) >= SPEAKERS} - {*KEPT}
    counts: Counter[tuple[str, str]] = Counter()
    kept = []
    for row in sorted(rows, key=lambda row: share_of(row["id"])):
        word = plain(row["text"] or "")
        if row["kind"] != "speech" or word not in apart:
            kept.append(row)
        elif counts[word, row["split"]] < MOST:
            counts[word, row["split"]] += 1
            kept.append(row | {"label": word})
    return sorted(kept, key=lambda row: row["id"])


def _kind(text: str | None, phrase: str) -> str:
    """What a recording is: `real`, the word alone, `sentence`, the word among others, or `speech` without it."""
    if text is None or plain(text) == plain(phrase):
        return "real"
    return "sentence" if says(text, [phrase]) else "speech"


def _noises(folder: Path, seconds: float) -> Iterator[Row]:
    """Made noises from white to brown, loud and faint, and silence."""
    rng = np.random.default_rng(0)
    for number in range(MADE_NOISES):
        exponent, level = float(rng.uniform(0, 2)), 10 ** float(rng.uniform(-4, -1)) if number % 6 else 0.0
        spectrum = np.exp(2j * np.pi * rng.random(round(seconds * SAMPLE_RATE) // 2 + 1))
        spectrum /= np.arange(1, spectrum.size + 1) ** (exponent / 2)
        samples = np.fft.irfft(spectrum)
        file = f"noise/{number:03d}.wav"
        audio.write(folder / file, (level * samples / np.abs(samples).max()).astype(np.float32), SAMPLE_RATE, "PCM_16")
        yield {
            "id": f"synthetic/{file}",
            "audio": file,
            "speaker": f"synthetic/noise {number}",
            "label": SILENCE,
            "split": part_of(file),
            "kind": "noise",
        }


def part_of(name: str) -> str:
    """The part that a speaker belongs to, by the name alone."""
    share, edge = share_of(name), 0.0
    for part, width in PARTS.items():
        edge += width
        if share < edge:
            return part
    return "test"


def share_of(name: str) -> float:
    """0 to 1, evenly spread over names."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:12], 16) / 16**12
