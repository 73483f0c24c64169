"""What the report plays: the worst answers of every kind of task, and recordings with lanes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import soundfile

from earnest.reporting import activity, listening
from earnest.reporting.rundir import RunFiles, read_run
from earnest.reporting.sounds import Sounds


def run_of(kind: str, targets: list[list[float]], scores: list[list[float]]) -> RunFiles:
    """Two outputs, `a` and `b`; clips are numbered."""
    rows = {
        "id": [f"clip {n}" for n in range(len(targets))],
        "fold": "1",
        "seed": 0,
        "speaker": ["s1", "s2"] * (len(targets) // 2),
        "targets": targets,
        "scores": scores,
    }
    told = {"kind": kind, "labels": ["a", "b"], "group": "speaker"}
    return RunFiles(Path("run"), scores=told, predictions=pl.DataFrame(rows))


def test_the_worst_tags_are_false_ones_and_missed_ones() -> None:
    truth = [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    said = [[0.9, 0.2], [0.7, 0.95], [0.1, 0.2], [0.8, 0.6]]
    found = list(listening.worst(run_of("tags", truth, said), "speaker", 5))
    assert [(one.clip, one.truth, one.said, one.sure, one.group) for one in found] == [
        ("clip 1", "without b", "b at", "95.0 %", "s2"),
        ("clip 2", "with b", "b at", "20.0 %", "s1"),
    ]


def test_the_worst_values_are_furthest_in_parts_of_the_spread() -> None:
    truth = [[0.0, 0.0], [1.0, 100.0], [0.0, 0.0], [1.0, 100.0]]  # deviations 0.5 and 50
    said = [[0.0, 20.0], [0.4, 100.0], [0.0, 0.0], [1.0, 100.0]]
    found = list(listening.worst(run_of("values", truth, said), None, 5))
    assert [(one.clip, one.truth, one.said) for one in found] == [("clip 1", "a 1", "0.4"), ("clip 0", "b 0", "20")]


def test_recordings_play_with_what_is_true_and_what_was_found(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", 0.1 * np.sin(np.arange(8000 * 20)), 8000)
    shown = {"id": "r", "label": "speech", "cost": 0.25, "seconds": 20.0, "true": [[1.0, 3.5]], "found": [[1.2, 3.0]]}
    (tmp_path / "insight").mkdir()
    curve = {"times_s": [0.5, 1.5], "scores": [0.1, 0.9]}
    (tmp_path / "insight" / "activity.json").write_text(json.dumps({"recordings": [shown | curve]}))
    part = {"recordings": 1, "hours": 0.1, "stretches": 1}
    found = {"onset": 0.5, "offset": 0.4, "test": part, "validation": part, "recordings": {"r": {"cost": None}}}
    (tmp_path / "scores.json").write_text(json.dumps({"activity": found}))
    table = pl.DataFrame({"id": ["r"], "audio": [str(tmp_path / "long.wav")]})
    sounds = Sounds(table)
    section = activity.activity(read_run(tmp_path), sounds)
    assert section is not None
    assert section.data["shown"] == [{"id": "r", "cost": "0.250", "seconds": "20.0"}]
    true, heard, score = sounds.lanes["r"]
    assert true["items"] == [{"start_s": 1.0, "end_s": 3.5, "label": "speech"}]
    assert heard["name"] == "found"
    assert (score["times_s"], score["values"]) == ([0.5, 1.5], [[0.1, 0.9]])
    ((clip, player),) = sounds.fill(1_000_000)
    assert (clip, player.seconds, player.note) == ("r", 20.0, None), "longer than other clips, for its lanes"
