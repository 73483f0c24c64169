"""Voice activity beside its peers: on recordings that none of ours was trained on, in one run.

EARNEST_DATA=… python benchmarks/vad.py [BUNDLE …]      a Markdown section on standard output (a minute)

The bundles are those of runs of the recipe `vad`; by default the one in runs/vad. Peers are measured where they can be
imported: silero-vad (its ONNX file in a bare ONNX Runtime session, its own decoder) and webrtcvad.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from scipy.ndimage import uniform_filter1d

from earnest import audio, recipe, tasks
from earnest.activity import ONSETS, Judge, Scored
from earnest.corpora import open_table
from earnest.runtime import Bundle, Streamer
from earnest.runtime.activity import Activity, Detector
from earnest.runtime.engines.onnx import INPUT, NEXT_STATE, OUTPUT, STATE
from earnest.runtime.frames import Frames
from earnest.scoring.binary import auc_score
from earnest.scoring.detection import frame_rates, frames_of
from earnest.scoring.intervals import group_bootstrap
from earnest.shipping.layers import layers
from earnest.table import Table
from earnest.tasks import ONLY, STREAM, Detecting
from earnest.tasks.detection import stretches

CORPUS, RATE, FRAME_S = "diarization_ami", 16_000, 0.01
FRAME = round(FRAME_S * RATE)
ROUNDS = 7
SMOOTHED_FRAMES = 31  # of energy and of webrtcvad's votes
CHUNK, CONTEXT = 512, 64  # samples of silero-vad's windows, and of what stands before each
LSTM_MULTIPLY_ADDS = 4 * 128 * (128 + 128)  # of silero-vad's recurrent layer, for each window
Stretches = list[tuple[float, float]]


@dataclass(frozen=True)
class System:
    """A detector.

    Attributes
    ----------
    name : as in the table.
    scores : sound (samples,) → a score for every frame of 10 ms.
    found : sound → stretches in seconds, as the detector decides by itself; None where it has no threshold of its own.
    parameters, multiply_adds : of its network, the latter per second of sound; None where there is none.
    """

    name: str
    scores: Callable[[np.ndarray], np.ndarray]
    found: Callable[[np.ndarray], Stretches] | None
    parameters: int | None = None
    multiply_adds: float | None = None


@dataclass(frozen=True)
class Heard:
    """A recording: its samples, and where speech is, in seconds."""

    name: str
    sound: np.ndarray
    truth: Stretches


def main(paths: Sequence[str]) -> None:
    print("## Voice activity\n")
    if "EARNEST_DATA" not in os.environ:
        print("Not measured: EARNEST_DATA does not name a folder of corpora.")
        return
    test, validation = recordings()
    absent: list[str] = []
    systems = [ours(Path(path)) for path in paths or ["runs/vad/bundle"] if usable(path, absent)]
    systems += [build() for build in (silero, webrtc) if importable(build.__name__, absent)]
    systems.append(System("energy, smoothed", energy, None))
    hours = sum(len(one.sound) for one in test) / RATE / 3600
    print(
        f"{len(test)} recordings of {CORPUS} ({hours:.2f} h), frames of 10 ms, no collar; intervals of 95 % over "
        "recordings. By itself: with the decoder and the threshold that a detector brings along. Tuned: all with one "
        "decoder, the threshold with the lowest cost on our validation mixtures. Cost: 0.75 missed + 0.25 false. "
        "Parameters: without a fixed front end; multiply-adds: with it. Share of a core: processor time over the time "
        "that the sound lasts, one thread, the network's file in a bare ONNX Runtime session, the median of "
        f"{ROUNDS} interleaved rounds.\n"
    )
    print("| detector | AUC | F1, by itself | cost, by itself | F1, tuned | cost, tuned | parameters ", end="")
    print("| multiply-adds per second | share of a core |\n| --- | --- | --- | --- | --- | --- | ---: | ---: | ---: |")
    shares = core_shares(systems, test)
    for system in systems:
        print(row(system, test, validation, shares[system.name]))
    print("".join(f"\nNot measured: {reason}" for reason in absent))
    for path in paths or ["runs/vad/bundle"]:
        if Path(path).is_dir():
            print_hop(Path(path), test[0].sound)


def print_hop(path: Path, sound: np.ndarray) -> None:
    """What 100 ms cost through the streamer, decoder included."""
    streamer, hop = Streamer(path), RATE // 10
    times = []
    for at in range(0, len(sound) - hop, hop):
        began = time.process_time()
        streamer.feed(sound[at : at + hop])
        times.append(time.process_time() - began)
    print(f"\n100 ms through the streamer of {streamer.bundle.name}: {1e3 * float(np.median(times)):.3f} ms.")


def recordings() -> tuple[list[Heard], list[Heard]]:
    """The test recordings, and the validation mixtures of the recipe."""
    (cell,) = recipe.load(Path(__file__).parent.parent / "recipes" / "vad.yaml", [])
    task = tasks.find(cell.task)
    table = open_table(CORPUS)
    if task.compose is None:
        raise SystemExit("the recipe vad has no mixtures")
    whole = task.compose(table, "label", cell, Path(os.environ["EARNEST_DATA"]))
    return heard(whole, "test"), heard(whole, "validation")[:100]


def heard(table: Table, part: str) -> list[Heard]:
    rows = [row for row in table.frame.iter_rows(named=True) if row[STREAM] == ONLY and row["split"] == part]
    return [
        Heard(
            row["id"],
            audio.load(row["audio"], RATE, start_s=row["start_s"], end_s=row["end_s"]).samples,
            stretches(row["events"]),
        )
        for row in rows
    ]


def usable(path: str, absent: list[str]) -> bool:
    if not Path(path).is_dir():
        absent.append(f"{path}, which is not there (run `earnest run vad`).")
    return Path(path).is_dir()


def importable(name: str, absent: list[str]) -> bool:
    package = {"silero": "silero_vad", "webrtc": "webrtcvad"}[name]
    found = importlib.util.find_spec(package) is not None
    if not found:
        absent.append(f"{package}, which is not installed.")
    return found


def row(system: System, test: Sequence[Heard], validation: Sequence[Heard], share: float) -> str:
    """A line of the table."""
    scores = [system.scores(one.sound) for one in test]
    truths = [frames_of(one.truth, len(values), FRAME_S) for one, values in zip(test, scores, strict=True)]
    owners = np.repeat(np.arange(len(test)), [len(truth) for truth in truths])
    truth = np.concatenate(truths)
    area = auc_score(truth, np.concatenate(scores)[None], owners, rng=np.random.default_rng(0))
    cells = [f"{area.value:.3f} [{area.interval.low:.3f}, {area.interval.high:.3f}]"]
    tuned = judged(system, test, threshold_of(system, validation))
    alone = [system.found(one.sound) for one in test] if system.found else None
    for found in (alone, tuned):
        if found is None:
            cells += ["–", "–"]
            continue
        said = np.concatenate([frames_of(part, len(true), FRAME_S) for part, true in zip(found, truths, strict=True)])
        cells += [with_interval(measure, truth, said, owners) for measure in (f1, cost)]
    size = "–" if system.parameters is None else f"{system.parameters:,}"
    adds = "–" if system.multiply_adds is None else f"{system.multiply_adds / 1e6:.1f} M"
    return f"| {system.name} | {' | '.join(cells)} | {size} | {adds} | {100 * share:.2f} % |"


def with_interval(
    measure: Callable[[np.ndarray, np.ndarray], float], truth: np.ndarray, said: np.ndarray, owners: np.ndarray
) -> str:
    rng = np.random.default_rng(0)
    interval = group_bootstrap(lambda rows: measure(truth[rows], said[rows]), owners, rng=rng)
    return f"{measure(truth, said):.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def f1(truth: np.ndarray, said: np.ndarray) -> float:
    both = float((truth & said).sum())
    return 2 * both / max(1.0, float(truth.sum() + said.sum()))


def cost(truth: np.ndarray, said: np.ndarray) -> float:
    value = frame_rates(truth, said)["cost"]
    return float("nan") if value is None else value


JUDGE = Judge(Detecting("speech"), RATE, FRAME)


def scored(system: System, one: Heard) -> Scored:
    """A recording's scores as our decoder takes them, brought to 0…1."""
    values = system.scores(one.sound)
    middles = (FRAME * np.arange(len(values)) + FRAME // 2).tolist()
    return Scored(one.name, middles, values.tolist(), len(one.sound), one.truth)


def threshold_of(system: System, validation: Sequence[Heard]) -> float:
    found = [scored(system, one) for one in validation]
    return float(min(ONSETS, key=lambda onset: JUDGE.cost(found, onset)))


def judged(system: System, test: Sequence[Heard], onset: float) -> list[Stretches]:
    return [JUDGE.found(scored(system, one), onset) for one in test]


def core_shares(systems: Sequence[System], test: Sequence[Heard]) -> dict[str, float]:
    """Processor seconds per second of sound; the detectors take turns."""
    taken: dict[str, list[float]] = {system.name: [] for system in systems}
    for turn in range(ROUNDS):
        sound = test[turn % len(test)].sound
        for system in systems:
            began = time.process_time()
            system.scores(sound)
            taken[system.name].append((time.process_time() - began) / (len(sound) / RATE))
    return {name: float(np.median(values)) for name, values in taken.items()}


def ours(path: Path) -> System:
    """A bundle of the recipe: its file in a bare session, in pieces of its hop."""
    bundle = Bundle.open(path)
    activity = Activity.of(bundle.activity or {}, bundle.labels)
    label, session = bundle.labels.index(activity.label), session_of(bundle.path())
    streamer = Streamer(bundle)

    def found(sound: np.ndarray) -> Stretches:
        return [(event.start_s, event.end_s) for event in [*streamer.feed(sound), *streamer.flush()]]

    if bundle.frames is None:
        window, hop = bundle.window_samples, bundle.hop_samples
        pieces_per_s = RATE / hop

        def scores(sound: np.ndarray) -> np.ndarray:
            starts = range(0, len(sound) - window + 1, hop)
            values = [session.run([OUTPUT], {INPUT: sound[None, at : at + window]})[0][0, label] for at in starts]
            return at_frames(np.array(starts) + window // 2, np.array(values), len(sound))

    else:
        frames = Frames.of(bundle.frames)
        window, hop = frames.piece(bundle.hop_samples)
        pieces_per_s = RATE / hop

        def scores(sound: np.ndarray) -> np.ndarray:
            state = np.zeros((1, session.get_inputs()[1].shape[1]), np.float32)
            values: list[np.ndarray] = []
            for at in range(0, len(sound) - frames.reach_samples + 1, hop):
                piece = {INPUT: sound[None, at : at + window], STATE: state}
                answers, state = session.run([OUTPUT, NEXT_STATE], piece)
                values.append(answers[0, :, label])
            joined = np.concatenate(values)
            return at_frames(frames.first_samples + frames.step_samples * np.arange(len(joined)), joined, len(sound))

    adds = pieces_per_s * sum(layer.multiply_adds for layer in layers(bundle.path(), window))
    told = path.parent / "scores.json"
    parameters = json.loads(told.read_text(encoding="utf-8"))["parameters"] if told.is_file() else None
    return System(f"Earnest, {bundle.name}", scores, found, parameters, adds)


def silero() -> System:
    """silero-vad's ONNX file, without its wrapper, which needs torch for every window."""
    package = importlib.import_module("silero_vad")
    decode = importlib.import_module("silero_vad.utils_vad").get_speech_timestamps_from_probs
    folder = Path(package.__file__ or "").parent / "data"
    session = session_of(folder / "silero_vad.onnx")

    def windows(sound: np.ndarray) -> np.ndarray:
        padded = np.pad(sound, (CONTEXT, -len(sound) % CHUNK))
        state, values = np.zeros((2, 1, 128), np.float32), []
        for at in range(0, len(padded) - CONTEXT, CHUNK):
            piece = padded[None, at : at + CONTEXT + CHUNK]
            answer, state = session.run(None, {"input": piece, "state": state, "sr": np.array(RATE, np.int64)})
            values.append(answer[0, 0])
        return np.array(values)

    def scores(sound: np.ndarray) -> np.ndarray:
        values = windows(sound)
        return at_frames(CHUNK * np.arange(len(values)) + CHUNK // 2, values, len(sound))

    def found(sound: np.ndarray) -> Stretches:
        told = decode(windows(sound).tolist(), sampling_rate=RATE, audio_length_samples=len(sound))
        return [(one["start"] / RATE, one["end"] / RATE) for one in told]

    plain = folder / "silero_vad_16k_op15.onnx"  # the same network at one rate; its LSTM stands behind a condition
    adds = sum(layer.multiply_adds for layer in layers(plain, CONTEXT + CHUNK)) + LSTM_MULTIPLY_ADDS
    weights = onnx.load(plain).graph.initializer
    parameters = sum(math.prod(tensor.dims) for tensor in weights if "stft" not in tensor.name)
    return System(f"silero-vad {package.__version__}", scores, found, parameters, adds * RATE / CHUNK)


def webrtc() -> System:
    """webrtcvad: the share of its four modes that say speech, smoothed; by itself in mode 0, its default."""
    module = importlib.import_module("webrtcvad")

    def votes(sound: np.ndarray, modes: Sequence[int]) -> np.ndarray:
        pcm = (np.clip(sound, -1, 1) * 32767).astype("<i2")
        detectors = [module.Vad(mode) for mode in modes]
        frames = pcm[: len(pcm) // FRAME * FRAME].reshape(-1, FRAME)
        return np.array([np.mean([vad.is_speech(frame.tobytes(), RATE) for vad in detectors]) for frame in frames])

    def found(sound: np.ndarray) -> Stretches:
        detector = Detector(Activity("speech", 0.5, 0.5, 1, 0.0, 0.0), RATE, FRAME, FRAME)
        told = [s for n, vote in enumerate(votes(sound, [0])) for s in detector.step(FRAME * (n + 1), float(vote))]
        return [(s.start / RATE, s.end / RATE) for s in told + detector.finish(len(sound))]

    return System("webrtcvad", lambda sound: smoothed(votes(sound, range(4))), found)


def energy(sound: np.ndarray) -> np.ndarray:
    """The level of each frame, smoothed, from 0 at -80 dB to 1 at full scale."""
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    level_db = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-8)
    return smoothed(np.clip(1 + level_db / 80, 0, 1))


def smoothed(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = uniform_filter1d(values.astype(np.float64), SMOOTHED_FRAMES, mode="nearest")
    return found


def at_frames(moments: np.ndarray, values: np.ndarray, samples: int) -> np.ndarray:
    """For every frame of 10 ms the score whose moment is nearest to its middle."""
    middles = FRAME * np.arange(samples // FRAME) + FRAME // 2
    nearest = np.searchsorted((moments[1:] + moments[:-1]) / 2, middles)
    found: np.ndarray = values[nearest].astype(np.float64)
    return found


def session_of(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main(sys.argv[1:])
