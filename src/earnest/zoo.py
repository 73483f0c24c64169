"""The architectures side by side: what each costs, what it gave here, and what its paper says.

`zoo.json` is written by `benchmarks/_zoo.py`; for the scores all were trained briefly on the same folds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("zoo.json")

PUBLISHED = {
    "ast": "ESC-50 95.75, official folds, and Speech Commands v2-35 98.12; both with ImageNet and AudioSet",
    "audio_mamba": "Speech Commands v2-35 94.44",
    "bc_resnet": "Speech Commands v1-12 96.6, v2-12 96.9, with 9.2 thousand parameters",
    "ds_cnn": "MLPerf Tiny keywords (Speech Commands v2-12) ask for 90 in 8 bits",
    "kwt": "Speech Commands v2-12 97.7 for KWT-1",
    "piczak_cnn": "ESC-10 80.2, ESC-50 64.5, UrbanSound8K 73, official folds",
    "tim_net": "RAVDESS 90.07, random folds in which speakers overlap",
    "wav2vec2": "RAVDESS 68.3 for the base model, three unseen actors, one split",
}
"""What papers say, with their protocols; they are not ours, and only those with the same protocol compare."""


def read() -> list[dict[str, Any]]:
    """One mapping for each architecture, in the order of their names; the keys are those of `benchmarks/_zoo.py`."""
    entries: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return entries
