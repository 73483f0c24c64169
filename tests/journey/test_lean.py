"""The base install, in a fresh environment, is small and uses models without PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_base_install_is_lean_and_works() -> None:
    benchmark = Path(__file__).parents[2] / "benchmarks" / "lean.py"
    done = subprocess.run([sys.executable, benchmark, "--json"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["megabytes"] <= 200
    assert not found["torch"]
    assert found["verbs"] == {"predict": 0, "listen": 0, "doctor": 0, "run without the lab": 1}
