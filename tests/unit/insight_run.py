"""What a run keeps to be looked at, made up beside a made-up run. No number in it comes from a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from earnest.insight import mel, save
from earnest.reporting.rundir import read_run
from earnest.training.waveforms import Waveforms


def write_insight(root: Path) -> Path:
    """Write `insight/` into the folder that `write_run` has written: pictures of noise, of the run's own clips."""
    place = root / "insight"
    rng = np.random.default_rng(0)
    run = read_run(root)
    assert run.table is not None
    labels = run.labels
    ids, classes = run.table["id"].to_list(), [labels.index(label) for label in run.table["label"].to_list()]
    starts = np.arange(len(ids)) * 2000
    waveforms = Waveforms(
        rng.normal(size=2000 * len(ids)).astype(np.float32), np.stack([starts, starts + 2000], 1), 8000
    )
    speakers = run.table["speaker"].to_numpy()
    facts, arrays = mel.portraits(waveforms, np.array(classes), labels, speakers, ids)
    save(place / "mel.npz", facts | {"group": "speaker"}, arrays)
    clip = {"id": ids[0], "fold": "1", "label": labels[0], "answer": labels[-1], "confidence": 0.9, "drop": 0.3}
    looks = {"features_0": np.full((40, 20), 128, np.uint8), "gradient_0": np.eye(40, 20, dtype=np.uint8) * 255}
    occlusion = {"occlusion_0": rng.normal(size=(10, 6))}
    save(place / "saliency.npz", {"clips": [clip | {"seconds": 0.5, "start_s": 0.0}]}, looks | occlusion)
    points = [
        {"id": one, "x": float(x), "y": 1.0, "label": labels[0], "prediction": labels[-1]} for x, one in enumerate(ids)
    ]
    chart = {"fold": "1", "points": points, "total": len(ids), "perplexity": 8.7}
    (place / "map.json").write_text(json.dumps(chart))
    values: list[dict[str, Any]] = [
        {"value": "loud", "score": 0.7, "interval": [0.6, 0.8], "n": 9, "groups": 3},
        {"value": "<soft>", "score": None, "interval": None, "n": 1, "groups": 1, "reason": "one class only"},
    ]
    (place / "conditions.json").write_text(json.dumps({"conditions": [{"name": "intensity", "values": values}]}))
    return root
