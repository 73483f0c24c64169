"""An old puzzle: one library's features score worse than another's, and resampling eats the time. Measured.

EARNEST_DATA=… python benchmarks/libraries.py            a Markdown section on standard output

MFCC of ESC-10 by several libraries, with librosa's default numbers and with torchaudio's; then one and the same
classifier on means and deviations over time, official folds, nothing tuned. nnAudio is measured where it is installed.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable
from typing import Any

import librosa
import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from earnest import audio, frontends
from earnest.corpora import open_table
from earnest.recipe import Part, Split
from earnest.splits import make_folds

RATE = 16_000
Features = Callable[[np.ndarray], np.ndarray]
LIBROSA = {"n_mfcc": 20, "n_fft": 2048, "hop_length": 512, "n_mels": 128}
TORCHAUDIO = {"n_fft": 400, "hop_length": 200, "n_mels": 128, "htk": True, "norm": None, "pad_mode": "reflect"}


def main() -> None:
    torch.set_num_threads(1)
    table = open_table("esc10")
    folds = make_folds(table, Split(name="official"))
    labels = np.unique(table.column("label").to_numpy(), return_inverse=True)[1]
    seconds = {"decode": 0.0, "resample": 0.0}
    clips = []
    for path in table.column("audio"):
        whole = clocked(seconds, "decode", lambda path=path: audio.load(path))
        clips.append(
            clocked(seconds, "resample", lambda whole=whole: audio.resample(whole.samples, whole.sample_rate, RATE))
        )
    found = {name: measure(way, clips) for name, way in ways().items()}
    print("## Libraries: the same numbers give the same scores\n")
    print(f"MFCC of ESC-10 at {RATE} Hz, one RBF SVM on means and deviations over time, official folds. ")
    print(f"Decoding 400 clips of 5 s took {seconds['decode']:.1f} s, ", end="")
    print(f"resampling them from 44.1 kHz {seconds['resample']:.1f} s (one thread).\n")
    print("| features | numbers | accuracy, % | largest difference | seconds |\n| --- | --- | ---: | ---: | ---: |")
    for (name, numbers), (values, taken) in found.items():
        score = 100 * np.mean([right for fold in folds.folds for right in classify(values, labels, fold)])
        twin = next(other for (_, same), (other, _) in found.items() if same == numbers)
        difference = max(float(np.abs(a - b).max()) for a, b in zip(values, twin, strict=True))
        shown = "" if values is twin else f"{difference:.1e}"
        print(f"| {name} | {numbers} | {score:.1f} | {shown} | {taken:.1f} |")


def ways() -> dict[tuple[str, str], Features]:
    """Samples → (frames, coefficients), by library and by whose numbers."""
    found: dict[tuple[str, str], Features] = {
        ("librosa", "librosa's"): lambda clip: librosa.feature.mfcc(y=clip, sr=RATE, **LIBROSA).T,
        ("earnest", "librosa's"): ours({"preset": "librosa", "n_mfcc": 20}),
        ("librosa", "torchaudio's"): with_numbers_of_torchaudio,
        ("earnest", "torchaudio's"): ours({"preset": "torchaudio"}),
    }
    if importlib.util.find_spec("nnAudio"):
        from nnAudio.features import MFCC

        layer = MFCC(sr=RATE, n_mfcc=20, n_fft=2048, hop_length=512, n_mels=128, pad_mode="constant", verbose=False)
        found["nnAudio", "librosa's"] = lambda clip: layer(torch.from_numpy(clip)[None])[0].numpy().T
    return found


def with_numbers_of_torchaudio(clip: np.ndarray) -> np.ndarray:
    """librosa's functions given the default numbers of torchaudio.transforms.MFCC."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 128 bands over 201 bins: the lowest are empty, in torchaudio as here
        mel = librosa.feature.melspectrogram(y=clip, sr=RATE, **TORCHAUDIO)
    return librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=40).T


def ours(options: dict[str, object]) -> Features:
    frontend = frontends.build(Part(name="mfcc", options=options), RATE)
    return lambda clip: frontend(torch.from_numpy(np.ascontiguousarray(clip))[None])[0].numpy()


def measure(way: Features, clips: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """Features of all clips and the seconds they took."""
    way(clips[0])
    started = time.perf_counter()
    with torch.no_grad():
        values = [way(clip) for clip in clips]
    return values, time.perf_counter() - started


def classify(values: list[np.ndarray], labels: np.ndarray, fold: object) -> np.ndarray:
    """Whether each test clip of a fold is labelled correctly."""
    rows = np.array([np.concatenate([clip.mean(0), clip.std(0)]) for clip in values])
    train = np.concatenate([fold.train, fold.validation])  # type: ignore[attr-defined]
    model = make_pipeline(StandardScaler(), SVC(C=10)).fit(rows[train], labels[train])
    return np.asarray(model.predict(rows[fold.test]) == labels[fold.test])  # type: ignore[attr-defined]


def clocked(seconds: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    result = work()
    seconds[name] += time.perf_counter() - started
    return result


if __name__ == "__main__":
    main()
