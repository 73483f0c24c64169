"""Speech Commands: one-second English words from some two thousand speakers, 16 kHz."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

import numpy as np

from earnest.corpora._info import CorpusInfo, Download, corpus_table, write_tone
from earnest.errors import DataError
from earnest.formats._scan import scan_audio
from earnest.lists import BadRow
from earnest.table import Table

INFO = CorpusInfo(
    name="speech_commands",
    title="Speech Commands",
    licence="CC BY 4.0",
    citation="P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv:1804.03209, 2018",
    home="https://www.tensorflow.org/datasets/catalog/speech_commands",
    downloads=(
        Download(
            "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",  # as published by TensorFlow Datasets
            2_428_923_189,
            "tar.gz",
        ),
    ),
    faults=(
        "recorded by volunteers with their own microphones: some clips are cut off, silent or wrongly labelled",
        "about one clip in ten is shorter than one second",
    ),
    protocol="official: validation_list.txt and testing_list.txt, which keep speakers apart",
    layout="WORD/SPEAKER_nohash_TAKE.wav, such as yes/0a7c2a8d_nohash_0.wav",
    words=True,
)

_NAME = re.compile(r"(?P<speaker>[0-9a-f]+)_nohash_(?P<take>\d+)")
_LISTS = {"validation_list.txt": "validation", "testing_list.txt": "test"}
_HASH_RANGE = 2**27 - 1  # MAX_NUM_WAVS_PER_CLASS in the data set's README


def build(root: Path) -> Table:
    """One row per word spoken; the background noises are left out.

    The official `split` comes from the two lists of the corpus, or, where they are missing, from the rule by which they
    were made (README of the data set: SHA-1 of the speaker, 10 % validation, 10 % test).

    Parameters
    ----------
    root : the folder of the corpus; the word folders may lie anywhere below it.

    Raises
    ------
    DataError : the folder or its lists cannot be read, or it does not hold the corpus.
    """
    files, bad_rows = scan_audio(root)
    listed = _listed_splits(root)
    rows = []
    for file in files:
        path = PurePosixPath(file)
        if path.parent.name == "_background_noise_":
            continue
        found = _NAME.fullmatch(path.stem)
        if found is None or not path.parent.name:
            bad_rows.append(BadRow(file, "the path is not WORD/SPEAKER_nohash_TAKE"))
            continue
        clip, speaker = f"{path.parent.name}/{path.stem}", found["speaker"]
        split = official_split(speaker) if listed is None else listed.get(clip, "train")
        rows.append({"id": clip, "audio": file, "speaker": speaker, "label": path.parent.name, "split": split})
    return corpus_table(INFO, root, rows, bad_rows)


def official_split(speaker: str) -> str:
    """The part of the official split a speaker belongs to, by the rule of the data set's README."""
    number = int(hashlib.sha1(speaker.encode(), usedforsecurity=False).hexdigest(), 16) % (_HASH_RANGE + 1)
    percent = number * 100 / _HASH_RANGE
    return "validation" if percent < 10 else "test" if percent < 20 else "train"


def _listed_splits(root: Path) -> dict[str, str] | None:
    """Clip → part, from the two lists at the top of the corpus or one folder below; None when they are missing."""
    splits: dict[str, str] = {}
    for name, part in _LISTS.items():
        place = next((place for place in (root / name, *sorted(root.glob(f"*/{name}"))) if place.is_file()), None)
        if place is None:
            return None
        try:
            lines = place.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{place} cannot be read: {error}.", "Run: earnest fetch speech_commands") from error
        splits |= {line.rpartition(".")[0]: part for line in lines}
    return splits


def example(root: Path, rng: np.random.Generator) -> None:
    """Two words, six speakers, two takes each, the two lists and a background noise."""
    speakers = [f"{rng.integers(2**32):08x}" for _ in range(6)]
    for word in ("down", "yes"):
        for speaker in speakers:
            for take in range(2):
                write_tone(root / word / f"{speaker}_nohash_{take}.wav", rng)
    write_tone(root / "_background_noise_" / "pink_noise.wav", rng)
    for name, speaker in zip(_LISTS, speakers, strict=False):
        lines = [f"{word}/{speaker}_nohash_{take}.wav" for word in ("down", "yes") for take in range(2)]
        (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
