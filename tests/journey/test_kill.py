"""A run killed at any moment and started again ends with the bits of a run that was left alone."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def command(tones: Path, out: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "earnest", "run", f"corpus=folder:{tones}", "pattern={label}/{speaker}_{take}.wav"),
        *("split=group-k-fold", "split.folds=2", "sample_rate=8000", "clips.window_s=0.5", "frontend=log_mel"),
        *(
            "model=ds_cnn",
            "training.epochs=40",
            "training.batch_size=8",
            "training.average=0.9",
            "training.checkpoint_s=0",
        ),
        *("augment=[{name: gain, min_db: -6, max_db: 6}, {name: mixup, alpha: 0.2}]", "--out", str(out), "--quiet"),
    ]


def start(tones: Path, out: Path) -> subprocess.Popen:
    return subprocess.Popen(command(tones, out), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)


def finish(tones: Path, out: Path) -> None:
    """Run the command to its end."""
    process = start(tones, out)
    errors = process.communicate()[1]
    assert process.returncode == 0, errors.decode()


def fingerprint(out: Path) -> dict[str, str]:
    """Hashes of all final weights, predictions and exported models of a run."""
    files = [*out.glob("fold-*/checkpoint/final-*.safetensors"), *out.glob("fold-*/predictions.npy")]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def check_kills(tones: Path, folder: Path, kills: int, seed: int) -> None:
    began = time.monotonic()
    finish(tones, folder / "reference")
    whole_s = time.monotonic() - began
    expected = fingerprint(folder / "reference")
    assert len(expected) == 4

    draw = random.Random(seed)
    for number in range(kills):
        out = folder / f"killed-{number}"
        process = start(tones, out)
        time.sleep(draw.uniform(0.3, 1.0) * whole_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        finish(tones, out)
        assert fingerprint(out) == expected, f"kill {number} changed the result"


def test_a_kill_between_training_and_scoring(tones, tmp_path):
    """Weights that were read back are scored with the bits of weights that were just trained."""
    out = tmp_path / "run"
    finish(tones, out)
    expected = fingerprint(out)
    (out / "scores.json").unlink()
    for file in ("done.json", "predictions.npy", "model.onnx"):
        (out / "fold-2" / file).unlink()
    finish(tones, out)
    assert fingerprint(out) == expected


def test_two_kills(tones, tmp_path):
    check_kills(tones, tmp_path, kills=2, seed=1)


@pytest.mark.slow
def test_twenty_kills(tones, tmp_path):
    check_kills(tones, tmp_path, kills=20, seed=2)
