"""`python -m earnest.speaking FOLDER` writes the utterances that stand on standard input, one JSON object a line.

With `--phonemes` in place of a folder it prints each as phonemes, one line each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest import audio
from earnest.errors import EarnestError
from earnest.speaking.espeak import Espeak, Utterance

WRITERS = 16


def main(arguments: Sequence[str]) -> None:
    """Write all utterances into a folder; in threads, because each file waits for the disk. Or print phonemes."""
    espeak = Espeak()
    utterances = [Utterance(**json.loads(line)) for line in sys.stdin]
    if arguments == ["--phonemes"]:
        print("\n".join(espeak.phonemes(utterance) for utterance in utterances))
        return
    folder = Path(arguments[0])

    def spoken() -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        for utterance in utterances:
            yield utterance.file, espeak.say(utterance)

    def write(clip: tuple[str, npt.NDArray[np.float32]]) -> None:
        audio.write(folder / clip[0], clip[1], espeak.sample_rate, "PCM_16")

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, spoken()))


if __name__ == "__main__":
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        main(sys.argv[1:])
    except EarnestError as problem:
        sys.exit(" ".join(str(problem).split()))
