"""A worker process for what strangers' bytes can do to a decoder: `python -m earnest.studio.worker`, with limits.

It reads one JSON object, what to do, from standard input and writes one to standard output: the result, or an error
with its remedy. Its memory, its time and the size of its files are bounded by the operating system, so that a recording
made to harm takes down the worker and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal as signals
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from earnest.errors import AudioError, BundleError, EarnestError
from earnest.studio.limits import Limits

POINTS = 2000  # of the scores over time, at most
LIMITED = tuple(-signal for name in ("SIGKILL", "SIGXCPU", "SIGXFSZ") if (signal := getattr(signals, name, 0)))
OUT_OF_MEMORY = (b"MemoryError", b"bad_alloc", b"cannot allocate memory")  # where it is not Python that fails


def ask(wanted: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Let a worker do something, and wait for it.

    Raises
    ------
    AudioError : the recording cannot be used, or is too much for the worker.
    BundleError : the model cannot.
    """
    name = os.path.basename(str(wanted.get("name") or wanted.get("path") or "recording"))  # noqa: PTH119
    request = json.dumps({**wanted, "memory_bytes": limits.worker_bytes, "seconds": limits.worker_s})
    command = [sys.executable, "-m", "earnest.studio.worker"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    too_much = AudioError(name, "it took more memory or time than a recording may", "Cut it into shorter pieces.")
    try:
        done = subprocess.run(
            command,
            input=request.encode(),
            capture_output=True,
            env=environment,
            timeout=limits.worker_s + 10,
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise too_much from problem
    if done.returncode in LIMITED or any(word in done.stderr for word in OUT_OF_MEMORY):
        raise too_much
    try:
        said = json.loads(done.stdout)
    except ValueError as problem:
        sys.stderr.write(done.stderr.decode("utf-8", "replace"))
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"code {done.returncode}"
        raise AudioError(
            name, f"the process that read it ended without an answer, with {how}", "The studio's terminal says more."
        ) from problem
    if "error" in said:
        kind = BundleError if said["kind"] == "BundleError" else EarnestError
        if said["kind"] == "AudioError":
            raise AudioError(name, said["error"], said["remedy"])
        raise kind(said["error"], said["remedy"])
    result: dict[str, Any] = said
    return result


def main() -> None:
    """Do what standard input says."""
    wanted = json.loads(sys.stdin.buffer.read())
    _bound(int(wanted["memory_bytes"]), math.ceil(wanted["seconds"]))
    try:
        result = TASKS[wanted["do"]](wanted)
    except AudioError as problem:
        result = {"kind": "AudioError", "error": problem.reason, "remedy": problem.remedy}
    except EarnestError as problem:
        result = {"kind": type(problem).__name__, "error": problem.message, "remedy": problem.remedy}
    except MemoryError:
        reason = "it takes more memory than a recording may"
        result = {"kind": "AudioError", "error": reason, "remedy": "Cut it into shorter pieces."}
    json.dump(result, sys.stdout, allow_nan=False)


def copy(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Write a recording, or a piece of it, as a 16-bit WAV with the channels it has (two at most)."""
    from earnest import audio

    recording = audio.load(wanted["path"], start_s=wanted.get("start_s"), end_s=wanted.get("end_s"), mono=False)
    samples = recording.samples
    audio.write(wanted["out"], samples[:2] if samples.ndim == 2 else samples, recording.sample_rate, "PCM_16")
    return {"remark": recording.verdict.reason}


def predict(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What a bundle says of a recording: as a whole, over time, and as events; and a copy of it to be played."""
    import numpy as np

    from earnest import audio
    from earnest.runtime import Bundle, Predictor, Streamer
    from earnest.runtime.streamer import Window

    bundle = Bundle.open(wanted["bundle"])
    path = wanted["path"]
    info = audio.probe(path)
    recording = audio.load(path)
    audio.write(wanted["out"], recording.samples, recording.sample_rate, "PCM_16")
    duration = recording.samples.size / recording.sample_rate
    samples = audio.resample(recording.samples, recording.sample_rate, bundle.sample_rate)
    rate, channels, remark = recording.sample_rate, info.channels, recording.verdict.reason
    del recording
    prediction = Predictor(bundle).predict_samples(samples, name=wanted["name"]).as_dict()
    streamer, found = Streamer(bundle), list[Window]()
    events = streamer.feed(samples, found.append) + streamer.flush(found.append)
    found = found[:: max(1, math.ceil(len(found) / POINTS))]
    scores = np.array([window.scores for window in found], dtype=np.float64).reshape(-1, len(bundle.labels))
    middle = [(window.start + window.end) / 2 / bundle.sample_rate for window in found]
    return {
        "prediction": prediction if remark is None else {**prediction, "remark": remark},
        "over_time": {"times_s": middle, "labels": list(bundle.labels), "scores": scores.T.tolist()},
        "events": [event.as_dict() for event in events],
        "sound": {"duration_s": duration, "sample_rate": rate, "channels": channels},
    }


TASKS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {"copy": copy, "predict": predict}


def _bound(memory: int, seconds: int) -> None:
    """Limits of the operating system on this process; where it has none, the parent's time limit remains."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_FSIZE, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        os.chdir(Path(sys.executable).anchor)
    main()
