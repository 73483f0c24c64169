"""A small synthetic corpus for journey tests: tones and noises by several made-up speakers."""

from pathlib import Path

import numpy as np
import pytest
import soundfile


def write_tones(folder: Path, speakers: int = 4, takes: int = 4, rate: int = 8_000) -> Path:
    """LABEL/SPEAKER_TAKE.wav: a rising tone, a falling tone or noise; each speaker has a pitch and a loudness."""
    rng = np.random.default_rng(0)
    time = np.arange(rate // 2) / rate
    for label in ("fall", "noise", "rise"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for speaker in range(speakers):
            pitch, gain = 300 + 80 * speaker, 0.1 + 0.1 * speaker
            for take in range(takes):
                slope = {"rise": 1.0, "fall": -1.0, "noise": 0.0}[label] * (400 + 40 * take)
                tone = np.sin(2 * np.pi * (pitch * time + 400 * time + slope * time**2 / 2))
                wave = rng.normal(0, 0.3, len(time)) if label == "noise" else tone
                wave = gain * wave + 0.01 * rng.normal(size=len(time))
                soundfile.write(folder / label / f"s{speaker}_{take}.wav", wave, rate)
    return folder


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of tones."""
    return write_tones(tmp_path_factory.mktemp("tones"))
