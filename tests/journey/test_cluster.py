"""A grid whose cells are carried out by a Ray cluster, here one that lives on this machine for as long as the test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray", reason="needs the extra [cluster]")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    binary = str(Path(sys.executable).with_name("ray"))
    subprocess.run([binary, "start", "--head", "--port", "6399", "--num-cpus", "2"], check=True, capture_output=True)
    yield "127.0.0.1:6399"
    subprocess.run([binary, "stop", "--force"], check=False, capture_output=True)


def test_the_cells_of_a_grid_run_on_a_cluster(address: str, tones: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "earnest", "run", f"corpus=folder:{tones}"),
        *("pattern={label}/{speaker}_{take}.wav", "split.folds=2", "split.validation=0", "sample_rate=8000"),
        *("clips.window_s=0.25", "frontend={name: statistics, of: mfcc}", "model={name: svm, search: false}"),
        *("grid={model.C: [0.1, 10.0], model.kernel: [rbf, wrong]}", "--on", address, "--json"),
        *("--out", str(tmp_path / "grid")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert len(found["runs"]) == 2, done.stderr
    assert [cell["cell"]["model.kernel"] for cell in found["failed"]] == ["wrong", "wrong"]
    assert done.returncode == 1
