"""8 bits: which layers stay in float32, and how the error of scores is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from earnest.shipping.onnx import Ends, export_part
from earnest.shipping.simplify import fold_constants, plain_forms
from earnest.shipping.targets import onnx_int8

INPUTS = [{"features": row[None]} for row in np.random.default_rng(0).normal(size=(24, 20, 16)).astype(np.float32)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three convolutions, the first over one channel, and a dense layer."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("int8")
    layers = [
        nn.Unflatten(1, (1, 20)),
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
    ]
    network = nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 10, 5), nn.Softmax(dim=1)).eval()
    export_part(network, folder / "a.onnx", Ends({"features": torch.zeros(2, 20, 16)}, ({},)))
    fold_constants(folder / "a.onnx", folder / "b.onnx")
    plain_forms(folder / "b.onnx", folder / "prepared.onnx")
    return folder / "prepared.onnx"


def test_exempt_layers_and_all_before_them_stay_float(prepared: Path, tmp_path: Path) -> None:
    layers = onnx_int8.layers_to_quantise(onnx.load(prepared).graph)
    assert len(layers) == 3  # without the one over one channel
    found = []
    for count in (0, 1, 2):
        onnx_int8.quantise(prepared, tmp_path / "q.onnx", INPUTS, layers[:count])
        quantised = onnx.load(tmp_path / "q.onnx")
        kinds = [tensor.data_type for tensor in quantised.graph.initializer if len(tensor.dims) >= 2]
        assert kinds.count(onnx.TensorProto.INT8) == 3 - count
        assert kinds.count(onnx.TensorProto.FLOAT) == 1 + count
        found.append(onnx_int8.scores_above_error(prepared, tmp_path / "q.onnx", INPUTS))
    assert 20 < found[0] < found[2]


def test_products_of_two_activations_stay_float(tmp_path: Path) -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(16, 8, bias=False), nn.Linear(20, 5, bias=False)

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            seen: torch.Tensor = self.first(features)
            return self.last(seen @ seen.transpose(1, 2)).mean(1)

    export_part(Attends().eval(), tmp_path / "a.onnx", Ends({"features": torch.zeros(2, 20, 16)}, ({},)))
    fold_constants(tmp_path / "a.onnx", tmp_path / "b.onnx")
    plain_forms(tmp_path / "b.onnx", tmp_path / "prepared.onnx")
    graph = onnx.load(tmp_path / "prepared.onnx").graph
    products = [node.name for node in graph.node if node.op_type == "MatMul"]
    assert len(products) == 3
    assert set(products) - set(onnx_int8.stays_float(graph)) == set(onnx_int8.layers_to_quantise(graph))
    assert len(onnx_int8.layers_to_quantise(graph)) == 2


def test_no_error_is_infinitely_far_below(prepared: Path) -> None:
    assert onnx_int8.scores_above_error(prepared, prepared, INPUTS) == np.inf


class Given:
    """A source of a network whose error in 8 bits is as the test says."""

    def __init__(self, prepared: Path) -> None:
        self.prepared = prepared

    def names(self) -> tuple[str, ...]:
        return ("features",)

    def features(self, audio: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (audio.reshape(1, 20, 16),)

    def write_parts(self, folder: Path) -> tuple[Path, Path]:
        return folder / "head.onnx", self.prepared


def test_first_layers_stay_float_until_the_scores_are_right(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, errors = [], iter([5.0, 25.0])
    quantise = onnx_int8.quantise

    def remembered(exact: Path, out: Path, inputs: list[dict[str, np.ndarray]], exempt: list[str]) -> None:
        asked.append(len(exempt))
        quantise(exact, out, inputs, exempt)

    monkeypatch.setattr(onnx_int8, "quantise", remembered)
    monkeypatch.setattr(onnx_int8, "scores_above_error", lambda *_: next(errors))
    monkeypatch.setattr(onnx_int8, "join_in_line", lambda head, network, out: out.write_bytes(network.read_bytes()))
    windows = [one["features"].reshape(-1) for one in INPUTS]
    written = onnx_int8.write(Given(prepared), windows, tmp_path)  # type: ignore[arg-type]
    assert asked == [0, 1]
    assert set(written) == {"model.int8.onnx", "model.int8.noise.json"}


def test_the_noise_is_the_same_however_many_values_are_kept_at_once(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx_int8.quantise(prepared, tmp_path / "quantised.onnx", INPUTS, [])
    found = onnx_int8.noise(prepared, tmp_path / "quantised.onnx", INPUTS, tmp_path)
    assert len(found) > 2
    assert all(name.startswith("network/") and 20 < decibels <= 200 for name, decibels in found.items())
    assert "network/relu_1" in found, "which is no operator of its own in 8 bits"
    monkeypatch.setattr(onnx_int8, "AT_ONCE", 1)
    assert onnx_int8.noise(prepared, tmp_path / "quantised.onnx", INPUTS, tmp_path) == found
