"""A bundle with a hand-made graph: three labels, any number of samples, and scores that every sample has a say in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from earnest.shipping.bundle import write_bundle

LABELS = ("low", "middle", "high")
RATE = 1000


def write_graph(path: Path, labels: int = len(LABELS), *, output: str = "scores", gain: float = 40.0) -> Path:
    """audio → five filters, tanh, mean over time, together with the first and the last sample → softmax."""
    rng = np.random.default_rng(5)
    constants = {
        "filters": rng.normal(0, 1, (5, 1, 3)).astype(np.float32),
        "weights": rng.normal(0, gain, (7, labels)).astype(np.float32),
        "bias": rng.normal(0, 0.3, labels).astype(np.float32),
        "one": np.array([1], dtype=np.int64),
        "two": np.array([2], dtype=np.int64),
        "ends": np.array([0, -1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["audio", "one"], ["channel"]),
        helper.make_node("Conv", ["channel", "filters"], ["filtered"], pads=[1, 1]),
        helper.make_node("Tanh", ["filtered"], ["bent"]),
        helper.make_node("ReduceMean", ["bent", "two"], ["means"], keepdims=0),
        helper.make_node("Gather", ["audio", "ends"], ["outer"], axis=1),
        helper.make_node("Concat", ["means", "outer"], ["features"], axis=1),
        helper.make_node("Gemm", ["features", "weights", "bias"], ["raw"]),
        helper.make_node("Softmax", ["raw"], [output], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["batch", "samples"])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", labels])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def make_bundle(
    folder: Path,
    *,
    window: int = 20,
    hop: int = 8,
    short: str = "pad",
    min_samples: int = 0,
    thresholds: dict[str, float] | None = None,
    spotting: dict[str, object] | None = None,
    activity: dict[str, object] | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return write_bundle(
        folder / "bundle",
        name="tiny",
        labels=LABELS,
        sample_rate=RATE,
        window_samples=window,
        hop_samples=hop,
        short=short,  # type: ignore[arg-type]
        min_samples=min_samples,
        frontend={"name": "waveform"},
        recipe_hash="a" * 64,
        data_hash="b" * 64,
        model_file=write_graph(folder / "tiny.onnx"),
        scores={
            "model.onnx": {
                "score": 0.8123,
                "interval": [0.7, 0.9],
                "primary": "accuracy",
                "protocol": "leave-one-speaker-out, 6 folds",
                "n_clips": 3000,
                "note": "The file holds the model of fold george",
            }
        },
        licences=[{"corpus": "tiny", "title": "Tiny sounds", "licence": "CC BY-NC 4.0", "citation": "Nobody (2020)"}],
        thresholds=thresholds or {},
        spotting=spotting,
        activity=activity,
    )
