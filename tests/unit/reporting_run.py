"""Made-up run directories for the tests of the report. No number in them comes from a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import soundfile

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def write_run(
    root: Path,
    *,
    labels: tuple[str, ...] = DIGITS,
    speakers: int = 6,
    takes: int = 12,
    seeds: tuple[int, ...] = (0,),
    epochs: int = 30,
    skill: float = 3.2,
    changes: dict[str, Any] | None = None,
) -> Path:
    """Write a small synthetic run with every file a finished run has; `changes` overrides keys of scores.json."""
    rng = np.random.default_rng(7)
    root.mkdir(parents=True, exist_ok=True)
    table = _write_table(root, labels, speakers, takes)
    predictions = _predictions(table, labels, seeds, skill, rng)
    predictions.write_parquet(root / "predictions.parquet")
    scores = _scores(predictions, labels, seeds, epochs) | (changes or {})
    _dump(root / "scores.json", scores)
    _dump(root / "audit.json", _audit(table))
    _dump(
        root / "environment.json", {"earnest": "0.1.0", "python": "3.11.9", "threads": 2, "packages": {"numpy": "2.3"}}
    )
    (root / "recipe.yaml").write_text("name: synthetic\ncorpus: folder:clips\nmodel: ds_cnn\n", encoding="utf-8")
    (root / "log.jsonl").write_text(_log(predictions, seeds, epochs, rng), encoding="utf-8")
    rejected = {
        "path": "clips/broken.wav",
        "status": "rejected",
        "reason": "the file is empty",
        "remedy": "Record it again.",
    }
    repaired = {
        "path": "clips/cut.wav",
        "status": "repaired",
        "reason": "12 of 8000 frames are missing",
        "remedy": None,
    }
    (root / "quarantine.jsonl").write_text(f"{json.dumps(repaired)}\n{json.dumps(rejected)}\n", encoding="utf-8")
    (root / "twin").mkdir(exist_ok=True)
    _dump(root / "twin" / "scores.json", {**scores, **scores.get("twin", {}), "leaky": True})
    _write_bundle(root / "bundle", scores)
    return root


def _dump(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")


def _write_table(root: Path, labels: tuple[str, ...], speakers: int, takes: int) -> pl.DataFrame:
    """Tones, one frequency per label; a single recording per label stands for all clips of it."""
    clips = root / "clips"
    clips.mkdir(exist_ok=True)
    time = np.arange(4000) / 8000
    for place in range(len(labels)):
        tone = 0.4 * np.sin(2 * np.pi * (200 + 60 * place) * time) * np.hanning(4000)
        soundfile.write(clips / f"{place}.wav", tone.astype(np.float32), 8000)
    rows = [
        {"id": f"{speaker}/{place}-{take}.wav", "audio": str(clips / f"{place}.wav"), "start_s": None, "end_s": None}
        | {"speaker": f"speaker {speaker}", "source": None, "label": label}
        for speaker in range(1, speakers + 1)
        for place, label in enumerate(labels)
        for take in range(takes)
    ]
    table = pl.DataFrame(rows, schema_overrides={"start_s": pl.Float64, "end_s": pl.Float64, "source": pl.String})
    table.write_parquet(root / "table.parquet")
    return table


def _predictions(
    table: pl.DataFrame, labels: tuple[str, ...], seeds: tuple[int, ...], skill: float, rng: np.random.Generator
) -> pl.DataFrame:
    rows = []
    place = {label: number for number, label in enumerate(labels)}
    for seed in seeds:
        for row in table.iter_rows(named=True):
            logits = rng.normal(size=len(labels))
            logits[place[row["label"]]] += skill * (0.6 + 0.1 * int(row["speaker"].split()[1]))
            logits[(place[row["label"]] + 1) % len(labels)] += 0.9
            shares = np.exp(1.6 * logits) / np.exp(1.6 * logits).sum()
            rows.append(
                {
                    "id": row["id"],
                    "fold": row["speaker"],
                    "seed": seed,
                    "speaker": row["speaker"],
                    "source": row["source"],
                }
                | {"target": row["label"], "prediction": labels[int(shares.argmax())], "scores": shares.tolist()}
            )
    return pl.DataFrame(rows, schema_overrides={"source": pl.String})


def _scores(predictions: pl.DataFrame, labels: tuple[str, ...], seeds: tuple[int, ...], epochs: int) -> dict[str, Any]:
    right = predictions.with_columns(right=pl.col("target") == pl.col("prediction"))
    score = float(right["right"].mean())
    folds = right.group_by("fold", "seed").agg(pl.col("right").mean(), pl.len()).sort("seed", "fold")
    recall = dict(right.group_by("target").agg(pl.col("right").mean()).iter_rows())
    return {
        "task": "classification",
        "corpus": "synthetic digits",
        "protocol": f"leave-one-speaker-out, {predictions['speaker'].n_unique()} folds",
        "primary": "accuracy",
        "score": score,
        "interval": [max(0.0, score - 0.06), min(1.0, score + 0.04)],
        "interval_method": "95 %, bootstrap over speakers, 2000 resamples.",
        "baseline": {"majority": 1 / len(labels), "chance": 1 / len(labels)},
        "n_clips": predictions["id"].n_unique(),
        "n_groups": predictions["speaker"].n_unique(),
        "group": "speaker",
        "labels": list(labels),
        "folds": [
            {"name": fold, "seed": seed, "score": value, "n": clips, "validation": value + 0.03, "epochs": epochs}
            for fold, seed, value, clips in folds.iter_rows()
        ],
        "metrics": {"accuracy": score, "uar": score, "macro_f1": score - 0.004, "log_loss": 0.512}
        | {"calibration_error": 0.043, "recall": recall},
        "seeds": {"n": len(seeds), "mean": score, "sd": 0.008, "scores": [score] * len(seeds)},
        "leaks": {"speaker": 0, "source": 0, "duplicate": 0},
        "allow_leaks": None,
        "leaky": False,
        "notes": [],
        "parameters": 23_756,
        "seconds": 731.4,
        "twin": {
            "score": 0.985,
            "interval": [0.979, 0.99],
            "protocol": "random, 6 folds, speakers ignored",
            "void": True,
        },
        "parity": {"clips": 720, "same_decisions": True, "largest_difference": 3.1e-6},
        "quarantined": 1,
    }


def _audit(table: pl.DataFrame) -> dict[str, Any]:
    return {
        "clips": len(table),
        "speakers": table["speaker"].n_unique(),
        "sources": 0,
        "leaks": {"speaker": 0, "source": 0, "duplicate": 0},
        "duplicates": [["1/0-0.wav", "1/0-1.wav", "near"]],
        "rows": [],
    }


def _log(predictions: pl.DataFrame, seeds: tuple[int, ...], epochs: int, rng: np.random.Generator) -> str:
    lines = []
    for fold in predictions["fold"].unique(maintain_order=True).to_list():
        for seed in seeds:
            for epoch in range(1, epochs + 1):
                train = 2.3 * np.exp(-epoch / 9) + 0.08 + 0.02 * rng.random()
                lines.append(
                    {"seed": seed, "fold": fold, "member": 0, "epoch": epoch, "epochs": epochs, "train_loss": train}
                    | {"validation_loss": train * (1 + epoch / 70) + 0.05 * rng.random(), "validation_score": 0.8}
                    | {"learning_rate": 1e-3, "seconds": 1.2}
                )
    return "".join(json.dumps(line) + "\n" for line in lines)


def _write_bundle(place: Path, scores: dict[str, Any]) -> None:
    place.mkdir(exist_ok=True)
    own = {key: scores[key] for key in ("score", "interval", "primary", "protocol", "n_clips")}
    _dump(
        place / "bundle.json",
        {"format": 1, "name": "synthetic", "task": "classification", "labels": scores["labels"], "sample_rate": 16_000}
        | {"window_samples": 16_000, "hop_samples": 8_000, "scores": {"model.onnx": {**own, "note": "fold 1 of 6"}}}
        | {"licences": ["CC BY-SA 4.0"], "files": {"model.onnx": {"sha256": "0f" * 32, "bytes": 118_432}}},
    )
