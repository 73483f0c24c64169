"""The base install in a fresh environment: its size, and how quickly it starts and predicts.

python benchmarks/lean.py            a Markdown section on standard output
python benchmarks/lean.py --json     {"megabytes", "import_s", "help_s", "predict_s", "torch", "verbs"}
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from earnest import frontends, models
from earnest.recipe import Part
from earnest.shipping.bundle import write_bundle
from earnest.shipping.onnx import export_onnx
from earnest.training.pipeline import Normaliser, Pipeline

ROOT = Path(__file__).resolve().parents[1]
RATE = 16_000
LABELS = ["down", "left", "no", "off", "on", "right", "stop", "up", "yes", "silence"]
RUNS = 7


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="earnest-lean-") as place:
        folder = Path(place)
        found = measure(folder)
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    print("## Lean: the base install\n")
    print("A fresh virtual environment with `pip install .` and no extra; fastest of", RUNS, "cold starts.\n")
    print("| | measured | goal |\n| --- | ---: | ---: |")
    print(f"| installed size, pip itself not counted | {found['megabytes']:.0f} MB | ≤ 200 MB |")
    print(f"| `import earnest` (without starting Python) | {found['import_s']:.3f} s | ≤ 0.15 s |")
    print(f"| `earnest --help` | {found['help_s']:.2f} s | ≤ 0.5 s |")
    print(f"| `earnest predict` on a 1 s file | {found['predict_s']:.2f} s | ≤ 1 s |")


def measure(folder: Path) -> dict[str, object]:
    python = folder / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    empty = installed_bytes(python)
    pip = [str(python), "-m", "pip", "install", "-qq", "-c", str(ROOT / "constraints.txt"), str(ROOT)]
    subprocess.run(pip, check=True, stdout=sys.stderr)
    size = installed_bytes(python) - empty
    bundle, recording = write_model(folder / "bundle"), folder / "tone.wav"
    soundfile.write(recording, 0.1 * np.random.default_rng(0).normal(size=RATE), RATE)
    command = str(python.with_name("earnest"))
    predict = [command, "predict", str(bundle), str(recording), "--json"]
    calls = {
        "predict": predict,
        "listen": [command, "listen", str(bundle), "--wav", str(recording)],
        "doctor": [command, "doctor", "--json"],
        "run without the lab": [command, "run", "corpus=fsdd", "model=ds_cnn", "--out", str(folder / "run")],
    }
    verbs = {name: subprocess.run(call, capture_output=True, check=False).returncode for name, call in calls.items()}
    torch_there = subprocess.run([str(python), "-c", "import torch"], capture_output=True, check=False).returncode == 0
    bare = fastest([str(python), "-c", "pass"])
    return {
        "megabytes": size / 1e6,
        "import_s": fastest([str(python), "-c", "import earnest"]) - bare,
        "help_s": fastest([command, "--help"]),
        "predict_s": fastest(predict),
        "torch": torch_there,
        "verbs": verbs,
    }


def write_model(place: Path) -> Path:
    """A bundle of the size that a word model has: log-mel and an untrained ds_cnn."""
    torch.manual_seed(0)
    frontend = frontends.build(Part(name="log_mel"), RATE)
    model = models.build(Part(name="ds_cnn"), frontend.frames_for(RATE), frontend.bands, len(LABELS))
    pipeline = Pipeline(frontend, Normaliser(frontend.bands), model).eval().for_export()
    module = torch.nn.Sequential(pipeline, torch.nn.Softmax(dim=1)).eval()
    model_file = place.with_suffix(".onnx")
    export_onnx(module, model_file, example_samples=RATE, dynamic_samples=False, labels=LABELS, sample_rate=RATE)
    return write_bundle(
        place,
        model_file=model_file,
        name="untrained",
        labels=LABELS,
        sample_rate=RATE,
        window_samples=RATE,
        hop_samples=RATE // 2,
        short="pad",
        min_samples=0,
        frontend={"name": "log_mel"},
        recipe_hash="",
        data_hash="",
        scores={},
        licences=[],
    )


def installed_bytes(python: Path) -> int:
    """Size of all files in the environment."""
    files = (path for path in python.parents[1].rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)


def fastest(command: list[str]) -> float:
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    main()
