"""Synthetic words: ten English and Mandarin words spoken by twenty espeak-ng voices, made on the spot.

No person is heard in it. Each voice has a timbre (espeak-ng variant), an accent, a speed and a pitch of its own and
counts as one speaker; its takes differ a little in speed and pitch. So it has what makes real speech corpora leak: a
voice that is in the training rows is easy to recognise.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import numpy as np

from earnest.corpora._info import CorpusInfo, corpus_table, write_tone
from earnest.files import atomic_write_text, storage_error
from earnest.formats._scan import scan_audio
from earnest.speaking import Utterance, speak
from earnest.table import Table

INFO = CorpusInfo(
    name="espeak_words",
    title="Synthetic words: ten English and Mandarin words by twenty espeak-ng voices (synthetic)",
    licence="synthetic (made by espeak-ng on this machine; no recordings of people)",
    citation="espeak-ng, https://github.com/espeak-ng/espeak-ng",
    home="https://github.com/espeak-ng/espeak-ng",
    faults=("synthetic: a score on it says nothing about people's speech",),
    protocol="none official; unseen voices: group-k-fold by speaker",
    embedded=True,
    synthetic=True,
    words=True,
)

TAKES = 4
ENGLISH = ("yes", "no", "up", "down", "left", "right", "stop", "go")
MANDARIN = {"nihao": "你好", "xiexie": "谢谢"}  # name in files → text and label
ACCENTS = ("en-us", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc")
TIMBRES = (
    *("m1", "aunty", "klatt2", "Andy", "Andrea", "m3", "anika", "croak", "zac", "m5"),
    *("Annie", "robert", "grandma", "m7", "f1", "travis", "belinda", "iven", "quincy", "steph"),
)

_DONE = "complete.json"


def utterances() -> Iterator[Utterance]:
    """Everything in the corpus, in the order in which it is spoken."""
    names = {**{word: word for word in ENGLISH}, **MANDARIN}
    for number, timbre in enumerate(TIMBRES):
        accent = ACCENTS[number % len(ACCENTS)]
        speed, pitch, pitch_range = 150 + number * 37 % 50, 40 + number * 29 % 30, 40 + number * 17 % 30
        for name, text in names.items():
            language = "cmn" if name in MANDARIN else accent
            for take in range(TAKES):
                yield Utterance(
                    file=f"{timbre.lower()}/{name}_{take}.wav",
                    text=text,
                    voice=f"{language}+{timbre}",
                    words_per_minute=speed + 12 * (take - TAKES // 2),
                    pitch=pitch + 8 * (take * 3 % TAKES - TAKES // 2),
                    pitch_range=pitch_range,
                )


def specification() -> str:
    """A short name for what `utterances` asks for; another one makes the clips anew."""
    wanted = json.dumps([asdict(utterance) for utterance in utterances()])
    return hashlib.sha256(wanted.encode()).hexdigest()[:12]


def build(root: Path) -> Table:
    """One row per synthetic clip, with the columns accent, language and take; makes the clips when they are not there.

    Parameters
    ----------
    root : cache folder of the corpus.

    Raises
    ------
    MissingExtra : the clips have to be made and espeakng_loader is not installed.
    DataError : espeak-ng fails.
    StorageError : the cache folder cannot be written.
    """
    folder = root / specification()
    if not (folder / _DONE).is_file():
        _make(folder)
    files, bad_rows = scan_audio(folder)
    accents = {timbre.lower(): ACCENTS[number % len(ACCENTS)] for number, timbre in enumerate(TIMBRES)}
    rows = []
    for file in files:
        path = PurePosixPath(file)
        name, _, take = path.stem.rpartition("_")
        speaker, mandarin = path.parent.name, name in MANDARIN
        row = {
            "id": f"{speaker}/{path.stem}",
            "audio": file,
            "speaker": speaker,
            "label": MANDARIN.get(name, name),
            "language": "zh" if mandarin else "en",
            "accent": "cmn" if mandarin else accents.get(speaker),
            "take": take,
        }
        rows.append(row)
    return corpus_table(INFO, folder, rows, bad_rows)


def _make(folder: Path) -> None:
    """Have all clips written into a temporary folder, which then takes its place."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        speak(utterances(), place)
        atomic_write_text(place / _DONE, json.dumps({"clips": sum(1 for _ in utterances()), "synthetic": True}) + "\n")
        place.rename(folder)
    except OSError as error:
        if not (folder / _DONE).is_file():  # otherwise another process was faster, with the same clips
            raise storage_error(folder, error) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def example(root: Path, rng: np.random.Generator) -> None:
    """Three words by three voices, two takes each, as tones instead of speech."""
    folder = root / specification()
    for timbre in TIMBRES[:3]:
        for name in ("no", "yes", "nihao"):
            for take in range(2):
                write_tone(folder / timbre.lower() / f"{name}_{take}.wav", rng)
    atomic_write_text(folder / _DONE, json.dumps({"clips": 18, "synthetic": True}) + "\n")
