"""Front ends: log-mel against kaldi-native-fbank and librosa, the whole way from a file against librosa, augmentation.

python benchmarks/frontends.py            a Markdown section on standard output

First on one thread, then on two, the paths take turns; the table gives the median over rounds of the ratios within each
round. All log-mel paths take the same windows, hops and bands.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import kaldi_native_fbank as knf
import librosa
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from earnest import audio, augment, frontends
from earnest.recipe import Part

RATE, FILE_RATE, CLIPS, FILES, SECONDS, BANDS, ROUNDS = 16_000, 44_100, 32, 128, 4, 64, 9


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    clips = (0.1 * rng.standard_normal((CLIPS, SECONDS * RATE))).astype(np.float32)
    print("## Front ends: how many times as fast\n")
    print(f"{CLIPS} clips of {SECONDS} s at {RATE} Hz, {BANDS} bands, windows of 25 ms every 10 ms; ")
    print(f"{FILES} files of {SECONDS} s at {FILE_RATE} Hz.\n")
    print("| path | compared with | one thread | two threads |\n| --- | --- | --- | --- |")
    compare_log_mel(clips)
    with tempfile.TemporaryDirectory(prefix="earnest-frontends-") as place:
        compare_from_file(Path(place), rng)
    print("\nkaldi-native-fbank and librosa take one clip after the other in either column.\n")
    print(f"Augmentation of one clip of {SECONDS} s at {RATE} Hz, one thread:\n")
    print("| step | milliseconds |\n| --- | --- |")
    time_augmentation(clips[0])


def compare_log_mel(clips: np.ndarray) -> None:
    """`log_mel` in either evaluation and `fbank`, each on one batch, against one call per clip of the others."""
    batch = torch.from_numpy(clips)
    log_mel = frontends.build(Part(name="log_mel", options={"bands": BANDS}), RATE)
    fbank = frontends.build(Part(name="fbank", options={"bands": BANDS}), RATE)
    exported = log_mel.for_export()
    ours = {
        "log_mel": lambda: log_mel(batch),
        "fbank": lambda: fbank(batch),
        "log_mel, one clip at a time": lambda: [log_mel(clip[None]) for clip in batch],
        "log_mel, export form": lambda: exported(batch),
    }
    others = {
        "kaldi-native-fbank": lambda: [kaldi(clip) for clip in clips],
        "librosa": lambda: [librosa_log_mel(clip) for clip in clips],
    }
    show(ours, others)


def compare_from_file(folder: Path, rng: np.random.Generator) -> None:
    """Decode, resample from 44.1 to 16 kHz, log-mel in batches of FILES / 4; one batch per thread at a time."""
    paths = [folder / f"{index}.wav" for index in range(FILES)]
    for path in paths:
        audio.write(path, (0.1 * rng.standard_normal(SECONDS * FILE_RATE)).astype(np.float32), FILE_RATE)
    batches = [paths[start : start + FILES // 4] for start in range(0, FILES, FILES // 4)]
    log_mel = frontends.build(Part(name="log_mel", options={"bands": BANDS}), RATE)

    def one(batch: list[Path]) -> torch.Tensor:
        with torch.no_grad():
            return log_mel(torch.from_numpy(np.stack([audio.load(path, RATE).samples for path in batch])))

    def theirs() -> list[np.ndarray]:
        return [librosa_log_mel(librosa.load(path, sr=RATE)[0]) for path in paths]

    # Each of two threads computes on its own.
    with ThreadPoolExecutor(2, initializer=partial(torch.set_num_threads, 1)) as pool:

        def ours() -> list[torch.Tensor]:
            if torch.get_num_threads() == 1:
                return [one(batch) for batch in batches]
            return list(pool.map(one, batches))

        show({"decode, resample, log_mel": ours}, {"librosa": theirs})


def kaldi(clip: np.ndarray) -> np.ndarray:
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = BANDS
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(RATE, clip)
    computer.input_finished()
    return np.stack([computer.get_frame(frame) for frame in range(computer.num_frames_ready)])


def librosa_log_mel(clip: np.ndarray) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=clip, sr=RATE, n_fft=512, win_length=400, hop_length=160, n_mels=BANDS, htk=True, norm=None
    )
    return np.log(mel + 1e-6)


def show(ours: dict[str, Callable[[], object]], others: dict[str, Callable[[], object]]) -> None:
    """One row for each pair."""
    seconds: dict[tuple[str, int], list[float]] = {}
    paths = {**ours, **others}
    for threads in (1, 2):
        for round_ in range(ROUNDS + 1):
            for name, path in paths.items():
                torch.set_num_threads(threads)
                time.sleep(0.1)  # idle threads of the path before go on spinning for a while
                # librosa multiplies matrices by NumPy's BLAS, which has threads of its own.
                with torch.no_grad(), threadpool_limits(threads, user_api="blas"):
                    taken = clock(path)
                if round_:  # the first one warms up
                    seconds.setdefault((name, threads), []).append(taken)
    torch.set_num_threads(1)
    for name in ours:
        for other in others:
            ratios = [
                statistics.median(
                    theirs / own for theirs, own in zip(seconds[other, threads], seconds[name, threads], strict=True)
                )
                for threads in (1, 2)
            ]
            print(f"| {name} | {other} | {ratios[0]:.1f} × | {ratios[1]:.1f} × |")


def time_augmentation(clip: np.ndarray) -> None:
    features = torch.randn(SECONDS * 100 + 1, BANDS)
    for name in augment.STEPS:
        if name == "mixup":
            continue
        step = augment.build([Part(name=name, options={"probability": 1})], RATE)
        rng = augment.rng_for(0, 0, 0)
        if step.touches_waveform:
            path = partial(step.waveform, clip, rng, RATE)
        else:
            path = partial(step.features, features, rng)
        path()
        print(f"| {name} | {1000 * statistics.median(clock(path) for _ in range(40)):.2f} |")


def clock(path: Callable[[], object]) -> float:
    start = time.perf_counter()
    path()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
