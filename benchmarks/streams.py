"""Small models on endless streams: what a hop costs, how many streams two cores carry, and what 8 bits gain.

python benchmarks/streams.py [--hours 24]      a Markdown section on standard output, in a quarter of an hour

Untrained keyword models: their arithmetic is that of trained ones.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from earnest import frontends, models, tasks
from earnest.recipe import Part, Recipe
from earnest.runtime import Bundle, Streamer
from earnest.shipping import targets
from earnest.shipping.bundle import write_bundle
from earnest.shipping.layers import layers
from earnest.shipping.onnx import export_onnx
from earnest.shipping.source import Source
from earnest.shipping.targets import onnx_int8
from earnest.training.inputs import Inputs
from earnest.training.pipeline import Normaliser, Pipeline

RATE, HOP = 16_000, 1_600
LABELS = tuple(f"word {number}" for number in range(12))
MFCC = {"bands": 40, "n_mfcc": 10, "window_ms": 30, "hop_ms": 20, "n_fft": 512}
LOG_MEL = {"bands": 40, "window_ms": 30, "hop_ms": 20}
MODELS = {
    "ds_cnn": Part(name="mfcc", options=MFCC),
    "bc_resnet": Part(name="log_mel", options=LOG_MEL),
    "matchboxnet": Part(name="log_mel", options=LOG_MEL),
    "kwt": Part(name="log_mel", options=LOG_MEL),
    "micro_speech": Part(name="log_mel", options=LOG_MEL),
}
ROUNDS, CALLS = 15, 60
STREAMS, PROCESSES, SECONDS = 128, 2, 30


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hours", type=int, default=24, help="of audio that one stream gets, for its memory")
    hours = options.parse_args().hours
    print("## Keywords in streams\n")
    print("Untrained models, windows of 1 s at 16 kHz, one thread; medians over interleaved rounds.\n")
    with tempfile.TemporaryDirectory(prefix="earnest-streams-") as place:
        folder = Path(place)
        sources = {name: source_of(name, frontend) for name, frontend in MODELS.items()}
        print_eight_bits(folder, sources)
        bundle = write_model(folder, sources["ds_cnn"])
        print_floor(folder, sources["ds_cnn"])
        print_hop(bundle)
        print_many(bundle)
        if hours:
            print_long(bundle, hours)


def source_of(name: str, part: Part) -> Source:
    """An untrained model of a keyword recipe."""
    torch.manual_seed(0)
    recipe = Recipe.model_validate({"corpus": "none", "frontend": part, "model": name, "sample_rate": RATE})
    frontend = frontends.build(part, RATE)
    inputs = Inputs.of(recipe.clips, RATE, frontend.min_samples)
    model = models.build(Part(name=name), frontend.frames_for(RATE), frontend.bands, len(LABELS))
    normaliser = Normaliser(frontend.bands)
    task = tasks.find(recipe.task)
    return Source(recipe, LABELS, inputs, task, frontend.eval(), normaliser.eval(), model.eval())


def write_model(folder: Path, source: Source) -> Path:
    """A bundle with a window every 100 ms."""
    path = folder / "model.onnx"
    pipeline = Pipeline(source.frontend, source.normaliser, source.model).eval().for_export()
    export_onnx(nn.Sequential(pipeline, nn.Softmax(-1)).eval(), path, example_samples=RATE, dynamic_samples=False)
    return write_bundle(
        folder / "bundle",
        name="keywords",
        labels=LABELS,
        sample_rate=RATE,
        window_samples=RATE,
        hop_samples=HOP,
        short="pad",
        min_samples=source.frontend.min_samples,
        frontend={"name": "mfcc"},
        recipe_hash="",
        data_hash="",
        model_file=path,
        scores={},
        licences=[],
    )


def print_eight_bits(folder: Path, sources: dict[str, Source]) -> None:
    """Float and 8 bits, the network alone and the whole file."""
    print("| model | network, float | in 8 bits | gain | whole file, float | in 8 bits | gain |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    # The answers of untrained networks hardly vary, so that most of their layers would stay in float32.
    onnx_int8.LEAST_DB = -np.inf
    windows = [noise(RATE, seed) for seed in range(32)]
    for name, source in sources.items():
        place = folder / name
        place.mkdir()
        targets.find("int8").write(source, windows, place)
        write_model(place, source)
        features = source.features(torch.from_numpy(windows[0])[None])
        feeds = dict(zip(source.names(), (value.numpy() for value in features), strict=True))
        audio = {"audio": windows[0][None]}
        sessions = {
            "float": (place / "network.onnx", feeds),
            "int8": (place / "quantised.onnx", feeds),
            "float file": (place / "model.onnx", audio),
            "int8 file": (place / "model.int8.onnx", audio),
        }
        ways = {key: runner(path, given) for key, (path, given) in sessions.items()}
        taken = interleaved(ways)
        cells = [f"{1e3 * statistics.median(taken[key]):.3f} ms" for key in ways]
        gains = [
            statistics.median(a / b for a, b in zip(taken[before], taken[after], strict=True))
            for before, after in (("float", "int8"), ("float file", "int8 file"))
        ]
        print(f"| {name} | {cells[0]} | {cells[1]} | {gains[0]:.2f} × | {cells[2]} | {cells[3]} | {gains[1]:.2f} × |")
    print()


def print_floor(folder: Path, source: Source) -> None:
    """ds_cnn's network against its multiply-adds as one large matrix product."""
    whole = layers(folder / "ds_cnn" / "model.onnx", RATE)
    adds = sum(  # those of the network; the front end is made of matrix products and a convolution along time
        layer.multiply_adds
        for layer in whole
        if layer.operator == "Gemm" or (layer.operator == "Conv" and len(layer.shape) == 4)
    )
    features = source.features(torch.from_numpy(noise(RATE))[None])
    feeds = dict(zip(source.names(), (value.numpy() for value in features), strict=True))
    torch.set_num_threads(1)
    side = 768
    left, right = torch.randn(side, side), torch.randn(side, side)
    taken = interleaved({"network": runner(folder / "ds_cnn" / "network.onnx", feeds), "product": lambda: left @ right})
    ratio = statistics.median(
        ours / (product * adds / side**3) for ours, product in zip(taken["network"], taken["product"], strict=True)
    )
    print(
        f"ds_cnn has {adds / 1e6:.2f} million multiply-adds per window; its network takes {ratio:.2f} times as long as "
        f"a product of two {side} × {side} matrices takes for as many (goal: ≤ 1.3).\n"
    )


def print_hop(bundle: Path) -> None:
    """What 100 ms of a stream cost."""
    streamer, chunk = Streamer(bundle), noise(HOP)
    taken = interleaved({"hop": lambda: streamer.feed(chunk)})["hop"]
    print(
        f"A hop of 100 ms through the streamer costs {1e3 * statistics.median(taken):.3f} ms (ds_cnn; goal: < 1 ms).\n"
    )


def print_many(bundle: Path) -> None:
    """Many streams in real time; each piece of 100 ms arrives at its own moment."""
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        parts = pool.starmap(serve, [(bundle, STREAMS // PROCESSES, SECONDS)] * PROCESSES)
    delays = np.concatenate([np.array(part) for part in parts])
    late = float((delays > HOP / RATE).mean())
    print(
        f"{STREAMS} streams in real time for {SECONDS} s in {PROCESSES} processes: from the arrival of 100 ms of audio "
        f"to its events {1e3 * np.median(delays):.1f} ms in the median and {1e3 * np.quantile(delays, 0.99):.1f} ms at "
        f"the 99th percentile (goal: < 40 ms); {late:.2%} came later than the next piece (goal: ≤ 1 %).\n"
    )


def serve(bundle: Path, streams: int, seconds: int) -> list[float]:
    """Delays from arrival to answer, in one process."""
    first = Streamer(Bundle.open(bundle))
    listeners = [first.another() for _ in range(streams)]
    chunk = noise(HOP)
    for listener in listeners:
        listener.feed(noise(RATE))
    hop_s = HOP / RATE
    began, delays = time.perf_counter() + 0.2, []
    for turn in range(round(seconds / hop_s)):
        for number, listener in enumerate(listeners):
            arrives = began + (turn + number / streams) * hop_s
            wait = arrives - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            listener.feed(chunk)
            delays.append(time.perf_counter() - arrives)
    return delays


def print_long(bundle: Path, hours: int) -> None:
    """Hours of audio: speed, and the memory that the process holds."""
    streamer, second = Streamer(bundle), noise(RATE)
    chunks, began, start = np.split(second, 10), time.perf_counter(), 0
    for passed in range(3600 * hours):
        if passed == 600:
            start = resident_bytes()
        for chunk in chunks:
            streamer.feed(chunk)
    speed = 3600 * hours / (time.perf_counter() - began)
    growth = (resident_bytes() - start) / 2**20
    print(
        f"{hours} hours of audio in pieces of 100 ms: {speed:,.0f} times faster than it plays; after the first ten "
        f"minutes the process grew by {growth:.2f} MB (goal: < 5 MB)."
    )


def runner(path: Path, feeds: dict[str, np.ndarray]) -> Callable[[], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feeds)


def interleaved(ways: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds per call for each way and round; the ways take turns within a round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 2):
        for name, way in ways.items():
            calls = sorted(timed(way) for _ in range(CALLS))  # the fastest half, so that interruptions count less
            if turn >= 2:  # the first rounds warm up
                seconds[name].append(statistics.mean(calls[: CALLS // 2]))
    return seconds


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


if __name__ == "__main__":
    main()
