"""Using a bundle: what a cold prediction spends its time on, and what predictor and streamer add to the bare model.

python benchmarks/runtime.py            a Markdown section on standard output
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
import torch
from torch import nn

from earnest import frontends, models
from earnest.recipe import Part
from earnest.runtime import Predictor, Streamer
from earnest.shipping.bundle import write_bundle
from earnest.shipping.onnx import export_onnx
from earnest.training.pipeline import Normaliser, Pipeline

RATE, LABELS = 16_000, 10
ROUNDS, WINDOWS, COLD_RUNS, HOURS = 15, 60, 7, 4

# Run in a process of its own; prints the seconds since the last mark for each step.
COLD = """
import sys, time
marks = [("", time.perf_counter())]
def mark(name): marks.append((name, time.perf_counter()))
import numpy; mark("import numpy")
import onnxruntime; mark("import onnxruntime")
from earnest.runtime import Bundle, Predictor; mark("import earnest.runtime")
bundle = Bundle.open(sys.argv[1]); mark("open the bundle, check its hashes")
predictor = Predictor(bundle); mark("load the model")
predictor.predict(sys.argv[2]); mark("read the file and predict, first time")
predictor.predict(sys.argv[2]); mark("the same, second time")
for (_, before), (name, after) in zip(marks, marks[1:]):
    print(f"{name}\\t{after - before}")
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="earnest-runtime-") as place:
        folder = Path(place)
        bundles = {name: write_model(folder, name) for name in ("ds_cnn", "simple_cnn")}
        recording = folder / "noise.wav"
        soundfile.write(recording, noise(44_100), 44_100)
        print("## Using a bundle\n")
        print("Untrained models on log-mel, windows of 1 s at 16 kHz, one thread.\n")
        print_cold(bundles["ds_cnn"], recording)
        print_overhead(bundles)
        print_levels(bundles)
        print_stream(bundles["ds_cnn"])


def write_model(folder: Path, name: str) -> Path:
    torch.manual_seed(0)
    frontend = frontends.build(Part(name="log_mel"), RATE)
    model = models.build(Part(name=name), frontend.frames_for(RATE), frontend.bands, LABELS)
    pipeline = Pipeline(frontend, Normaliser(frontend.bands), model).eval().for_export()
    path = folder / f"{name}.onnx"
    export_onnx(nn.Sequential(pipeline, nn.Softmax(-1)).eval(), path, example_samples=RATE, dynamic_samples=False)
    return write_bundle(
        folder / name,
        name=name,
        labels=[str(label) for label in range(LABELS)],
        sample_rate=RATE,
        window_samples=RATE,
        hop_samples=RATE // 2,
        short="pad",
        min_samples=frontend.min_samples,
        frontend={"name": "log_mel"},
        recipe_hash="",
        data_hash="",
        model_file=path,
        scores={},
        licences=[],
    )


def print_cold(bundle: Path, recording: Path) -> None:
    """Fastest of several processes for each step, and for the whole command."""
    steps: dict[str, list[float]] = {}
    for _ in range(COLD_RUNS):
        run = [sys.executable, "-c", COLD, str(bundle), str(recording)]
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines():
            name, _, seconds = line.partition("\t")
            steps.setdefault(name, []).append(float(seconds))
        for name, arguments in {
            "`python -c pass`": ["-c", "pass"],
            "`earnest predict` in all (goal: ≤ 1 s)": ["-m", "earnest", "predict", str(bundle), str(recording)],
        }.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            steps.setdefault(name, []).append(time.perf_counter() - began)
    print(f"A cold prediction of 1 s at 44.1 kHz with ds_cnn, fastest of {COLD_RUNS} processes:\n")
    print("| step | milliseconds |\n| --- | ---: |")
    for name, taken in steps.items():
        print(f"| {name} | {1e3 * min(taken):.1f} |")
    print()


def print_overhead(bundles: dict[str, Path]) -> None:
    print(f"One window, medians over {ROUNDS} interleaved rounds of {WINDOWS} windows, ratios within each round:\n")
    print("| model | bare onnxruntime | predictor | streamer | goal |\n| --- | ---: | ---: | ---: | ---: |")
    window = noise(RATE)
    for name, bundle in bundles.items():
        predictor, streamer = Predictor(bundle), Streamer(bundle)
        session, hop = predictor._graph._engine.session, window[: RATE // 2]
        ways: dict[str, Callable[[], object]] = {
            "bare": lambda session=session: session.run(["scores"], {"audio": window[None]}),
            "predictor": lambda predictor=predictor: predictor.predict_samples(window, RATE),
            "streamer": lambda streamer=streamer, hop=hop: streamer.feed(hop),
        }
        taken = interleaved(ways)
        bare = taken["bare"]
        ratios = [
            statistics.median(ours / theirs for ours, theirs in zip(taken[way], bare, strict=True))
            for way in ("predictor", "streamer")
        ]
        print(f"| {name} | {1e3 * statistics.median(bare):.3f} ms | {ratios[0]:.3f} × | {ratios[1]:.3f} × | ≤ 1.1 × |")
    print()


def print_levels(bundles: dict[str, Path]) -> None:
    """Why all graph optimisations are on: what each level costs when loading and gains when running."""
    levels = ("DISABLE_ALL", "ENABLE_BASIC", "ENABLE_EXTENDED", "ENABLE_ALL")
    print("Graph optimisation of onnxruntime, loading and one window, fastest of each:\n")
    print(f"| model | {' | '.join(f'`{level}`' for level in levels)} |\n| --- |{' ---: |' * len(levels)}")
    audio = noise(RATE)[None]
    for name, bundle in bundles.items():
        cells = []
        for level in levels:
            loads = [timed(lambda level=level, bundle=bundle: session_at(bundle, level)) for _ in range(5)]
            session = session_at(bundle, level)
            runs = [timed(lambda session=session: session.run(["scores"], {"audio": audio})) for _ in range(50)]
            cells.append(f"{1e3 * min(loads):.1f} + {1e3 * min(runs):.3f} ms")
        print(f"| {name} | {' | '.join(cells)} |")
    print()


def session_at(bundle: Path, level: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{level}")
    return onnxruntime.InferenceSession(bundle / "model.onnx", options, providers=["CPUExecutionProvider"])


def print_stream(bundle: Path) -> None:
    """Hours of a stream in chunks of 0.1 s: speed, and the memory that the process holds."""
    streamer, second = Streamer(bundle), noise(RATE)
    chunks = np.split(second, 10)
    held, began = [], time.perf_counter()
    for _ in range(HOURS):
        for _ in range(3600):
            for chunk in chunks:
                streamer.feed(chunk)
        held.append(resident_bytes())
    speed = HOURS * 3600 / (time.perf_counter() - began)
    growth = (held[-1] - held[0]) / 1024
    print(f"A stream of {HOURS} hours in chunks of 0.1 s (ds_cnn): {speed:,.0f} times faster than it plays; ")
    print(f"from the end of the first hour to the end the process grew by {growth:,.0f} kB.")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def interleaved(ways: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds per call for each way and round; the ways take turns within a round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 2):
        for name, way in ways.items():
            # The fastest half, so that being interrupted counts less.
            calls = sorted(timed(way) for _ in range(WINDOWS))
            if turn >= 2:  # the first rounds warm up
                seconds[name].append(statistics.mean(calls[: WINDOWS // 2]))
    return seconds


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def noise(samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)


if __name__ == "__main__":
    main()
