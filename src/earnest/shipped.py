"""Every file of a bundle over the test clips that the model was scored on: what was lost on the way, and what it costs.

    bundle, run ─ the fold's test clips ─► each file, and the streamer ─► score, difference from the scored model,
                                                                          size, latency, memory ─► bundle.json, card

The scored model's own answers lie in the run; the difference is tested in pairs, clip by clip, resampled by group. A
file that tells one word from all else is asked no more, and so is the scored model beside it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from earnest import comparison, levels, results
from earnest.errors import BundleError
from earnest.pool import Progress, Silent
from earnest.preparation import Prepared, check_same_recordings, prepare
from earnest.recipe import Recipe, load
from earnest.reporting.report import write_report
from earnest.reporting.rundir import read_run
from earnest.runtime import Bundle, Predictor, Streamer
from earnest.runtime.bundle import MODEL, Kind
from earnest.runtime.combine import combine
from earnest.runtime.engines import models_of, weights_beside
from earnest.runtime.engines.microwakeword import ONE_WORD, word_of
from earnest.runtime.frames import Frames
from earnest.scoring import paired
from earnest.shipping import layers
from earnest.shipping.bundle import write_scores
from earnest.shipping.parity import LIMIT, same_answer
from earnest.training.waveforms import Waveforms

STREAMED = "streamed"
EIGHT_BITS = "model.int8.onnx"
CHUNK_S = 0.1
CALLS, LONGEST_S = 200, 3.0  # how often one second is run for the latency, and for how long at most
GATE = 0.01
REST = "other"

Answer = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class FileScore:
    """One file of a bundle over the fold's test clips.

    Attributes
    ----------
    file : its name; `streamed` is `model.onnx` fed in pieces of 100 ms.
    score, interval : the run's primary metric over the fold's test clips, and its interval by group.
    difference, difference_interval, p_value : from the scored model, in pairs: of the share of clips (or units) that
        are right; for values, of the squared error in parts of the variance.
    largest_difference, same_decisions, clips : of the scores of one clip; how many clips get the same answer.
    bytes : size of the file, and of its weights where they lie in a second one.
    median_ms, p99_ms : to answer for one second of sound on one thread.
    peak_mb : memory that loading the file and answering adds to a process, at its peak.
    passes : whether the score is at most the gate below the scored model's.
    word : the one that the file tells from all else, for files that do no more; score and difference are of that.
    """

    file: str
    score: float
    interval: tuple[float, float]
    difference: float
    difference_interval: tuple[float, float]
    p_value: float
    largest_difference: float
    same_decisions: int
    clips: int
    bytes: int
    median_ms: float
    p99_ms: float
    peak_mb: float | None
    passes: bool
    word: str | None = None


def score(
    bundle_path: Path,
    run: Path,
    *,
    gate: float = GATE,
    data: Path | None = None,
    progress: Progress | None = None,
) -> list[FileScore]:
    """Run every model file of a bundle, and the streamer, over the test clips of the bundle's fold.

    The results are written into `bundle.json` and the model card, and into the run's report where the bundle is the
    run's own.

    Parameters
    ----------
    bundle_path, run : a bundle, and the run that it was made from.
    gate : how far the score may be below the scored model's, as a fraction: 0.01 is one point.
    data : where corpora lie.
    progress : told what happens.

    Raises
    ------
    BundleError : the bundle was not made from this run.
    DataError : the recordings are not those of the run.
    """
    progress = progress or Silent()
    bundle = Bundle.open(bundle_path)
    files = read_run(run)
    scores = files.scores or {}
    (recipe,) = load(run / "recipe.yaml")
    told = next((entry for entry in bundle.scores.values() if "fold" in entry), None)
    if bundle.recipe_hash != scores.get("recipe_hash") or told is None or files.predictions is None:
        raise BundleError(
            f"{bundle.directory} was not made from {run}.", f"Make it again: earnest export {run} --out {bundle_path}"
        )
    with tempfile.TemporaryDirectory(dir=run, prefix=".score-") as folder:
        prepared = prepare(recipe, Path(folder), data, None, progress)
        check_same_recordings(prepared, run, scores)
        seed = scores["folds"][0]["seed"]
        answers = files.predictions.filter((pl.col("fold") == told["fold"]) & (pl.col("seed") == seed))
        names = models_of(bundle)
        progress.stage("scoring files", len(names) + 1)
        found = []
        for name in names:
            predictor = Predictor(bundle, model=name)
            found.append(_score(name, predictor.probabilities, bundle, recipe, prepared, answers, scores, gate))
            progress.step(name)
        found.append(_score(STREAMED, streamed(bundle), bundle, recipe, prepared, answers, scores, gate))
        progress.step(STREAMED)
    measured = {one.file: asdict(one) | {"primary": scores["primary"]} for one in found}
    write_scores(bundle, measured, gate, inside(bundle))
    if bundle.directory.resolve() == (run / "bundle").resolve():
        write_report(run)
    return found


def inside(bundle: Bundle) -> list[dict[str, Any]]:
    """The operations that multiply, of the file in 8 bits where there is one: there the error of each is known."""
    file = EIGHT_BITS if EIGHT_BITS in bundle.files else MODEL
    kept = ("name", "operator", "shape", "parameters", "multiply_adds", "bytes", "noise_db")
    return [{key: layer[key] for key in kept} for layer in layers.told(bundle, file) if layer["multiply_adds"]]


def streamed(bundle: Bundle) -> Answer:
    """The streamer as something that answers for a whole clip, which it is fed in pieces of 100 ms."""
    streamer, chunk = Streamer(bundle), max(1, round(CHUNK_S * bundle.sample_rate))
    frames = Frames.of(bundle.frames) if bundle.frames else None

    def answer(samples: np.ndarray) -> np.ndarray:
        windows = [w for at in range(0, len(samples), chunk) for w in streamer.windows(samples[at : at + chunk])]
        windows += streamer.last_window()
        if frames:  # a clip is answered by the frame in its middle
            begin = frames.moment(frames.middle(len(samples))) - frames.step_samples // 2
            windows = [window for window in windows if window.start == begin]
        rows = np.stack([window.scores for window in windows]).astype(np.float64)
        return combine(rows, bundle.combine, exclusive=bundle.kind == "classes")

    return answer


def _score(
    file: str,
    answer: Answer,
    bundle: Bundle,
    recipe: Recipe,
    prepared: Prepared,
    scored: pl.DataFrame,
    run_scores: Mapping[str, Any],
    gate: float,
) -> FileScore:
    """One file over the test clips, beside the scored model's answers to them."""
    labels, task = run_scores["labels"], prepared.task
    clips = clips_of(scored, prepared)
    given = np.stack([answer(clip) for clip in clips])
    word = word_of(bundle) if file.endswith(ONE_WORD) else None
    if word is not None:
        given, scored = against_rest(given, word), asked_for(scored, word, labels)
        labels = [labels[word], REST]
    expected = np.array(scored["scores"].to_list())
    ours = scored.with_columns(
        pl.Series("scores", given.tolist(), pl.List(pl.Float64)),
        pl.Series("prediction", task.decide(given, labels), pl.String),
    )
    level = run_scores.get("level", "clip")
    both = [levels.combine_units(frame, level, recipe.combine, task, labels) for frame in (ours, scored)]
    values = [np.array(frame["scores"].to_list()) for frame in both]
    targets = np.array(both[0]["targets"].to_list(), dtype=np.float32)
    group = run_scores.get("group")
    groups = both[0][group].fill_null("").to_numpy() if group in both[0].columns else None
    primary = run_scores["primary"]
    rng = np.random.default_rng(results.RESAMPLING_SEED)
    value, interval = task.judge(targets, [values[0]], groups, primary, rng)
    before = task.metrics[primary](targets, values[1])
    worth, worth_before = (comparison.worth_of(frame, task.kind) for frame in both)
    test = paired.compare(worth, worth_before, groups, np.random.default_rng(comparison.SEED))
    times = latency(answer, clips[0], bundle.sample_rate)
    name = file if file != STREAMED else "model.onnx"
    return FileScore(
        file=file,
        score=value,
        interval=(interval.low, interval.high),
        difference=test.difference,
        difference_interval=(test.interval.low, test.interval.high),
        p_value=test.p_value,
        largest_difference=float(np.abs(given - expected).max()),
        same_decisions=same_answers(given, expected, task.kind),
        clips=len(clips),
        bytes=sum(int(bundle.files[part]["bytes"]) for part in {name, weights_beside(name)}),
        median_ms=float(np.median(times)),
        p99_ms=float(np.quantile(times, 0.99)),
        peak_mb=memory(bundle, name) if file != STREAMED else None,
        passes=value >= before - gate,
        word=None if word is None else labels[0],
    )


def against_rest(scores: np.ndarray, word: int) -> np.ndarray:
    """Scores (clips, labels) → those of one word and of its strongest rival, as if there were no others (clips, 2)."""
    pair = np.stack([scores[:, word], np.delete(scores, word, axis=1).max(axis=1)], axis=1)
    return np.asarray(pair / pair.sum(axis=1, keepdims=True))


def asked_for(answers: pl.DataFrame, word: int, labels: Sequence[str]) -> pl.DataFrame:
    """Answers of classes as answers to whether each clip is the word."""
    scores = against_rest(np.array(answers["scores"].to_list()), word)
    targets = against_rest(np.array(answers["targets"].to_list()), word)
    told = pl.col("target", "prediction")
    return answers.with_columns(
        pl.Series("scores", scores.tolist(), pl.List(pl.Float64)),
        pl.Series("targets", targets.tolist(), pl.List(pl.Float64)),
        pl.when(told == labels[word]).then(told).otherwise(pl.lit(REST)).name.keep(),
    )


def clips_of(answers: pl.DataFrame, prepared: Prepared) -> list[np.ndarray]:
    """The samples of the clips that were answered, in the same order."""
    waveforms = Waveforms.open(prepared.cache)
    row_of = {clip: row for row, clip in enumerate(prepared.table.column("id").to_list())}
    return [np.asarray(waveforms[row_of[clip]]) for clip in answers["id"].to_list()]


def same_answers(given: np.ndarray, expected: np.ndarray, kind: Kind) -> int:
    """For how many clips both rows of scores say the same; values: to 1e-4."""
    pairs = zip(given, expected, strict=True)
    if kind == "values":
        return sum(bool(np.allclose(ours, theirs, atol=LIMIT)) for ours, theirs in pairs)
    return sum(same_answer(ours, theirs, kind) for ours, theirs in pairs)


def latency(answer: Answer, clip: np.ndarray, sample_rate: int) -> np.ndarray:
    """Milliseconds to answer for one second of a clip (repeated if it is shorter), call by call."""
    second = np.resize(clip, sample_rate).astype(np.float32)
    for _ in range(3):
        answer(second)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < CALLS and time.perf_counter() - began < LONGEST_S:
        start = time.perf_counter()
        answer(second)
        times.append(1e3 * (time.perf_counter() - start))
    return np.array(times)


MEMORY = """
import sys
import numpy as np
from pathlib import Path
from earnest.runtime import Bundle, Predictor

def kilobytes(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))

bundle = Bundle.open(sys.argv[1])
Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
before = kilobytes("VmRSS")
Predictor(bundle, model=sys.argv[2]).probabilities(np.zeros(bundle.sample_rate, np.float32))
print(kilobytes("VmHWM") - before)
"""


def memory(bundle: Bundle, file: str) -> float | None:
    """Megabytes that loading a file and answering once adds to a process; None where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return None
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(bundle.directory), file], capture_output=True, text=True, check=False
    )
    return None if done.returncode else float(done.stdout) / 1024
