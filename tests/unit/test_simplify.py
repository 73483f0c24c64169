"""Simplified networks give the numbers of the network, and halved weights nearly so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from earnest.errors import BundleError
from earnest.shipping.onnx import Ends, export_part
from earnest.shipping.simplify import fold_constants, plain_forms
from earnest.shipping.targets.onnx_fp16 import halve

ROUNDING = 2e-5  # sums of some hundred float32 products in another order


class Everything(nn.Module):
    """Each form that is simplified, on features (batch, frames, bands)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.first_norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 6, (3, 5), padding=1, groups=2)
        self.second_norm = nn.BatchNorm2d(6)
        self.lone_norm = nn.BatchNorm2d(6)
        self.last = nn.Linear(6, 4)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        image = torch.relu(self.first_norm(self.first(features.unsqueeze(1))))
        image = nn.functional.max_pool2d(nn.functional.max_pool2d(image, 2), (1, 2))
        image = self.second_norm(nn.functional.avg_pool2d(self.second(image), (2, 3)))
        image = self.lone_norm(torch.relu(image))
        return torch.softmax(self.last(image.mean(dim=(2, 3))), dim=1)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    made = Everything()
    for norm in (made.first_norm, made.second_norm, made.lone_norm):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return made.eval()


@pytest.fixture(scope="module")
def files(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("simplify")
    exported, folded, plain = (folder / f"{name}.onnx" for name in ("network", "folded", "plain"))
    export_part(network, exported, Ends({"features": torch.zeros(2, 33, 40)}, ({1: "frames"},)))
    fold_constants(exported, folded)
    plain_forms(folded, plain)
    return exported, folded, plain


@pytest.mark.parametrize("frames", [33, 50])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_numbers_stay(network: nn.Module, files: tuple[Path, Path, Path], batch: int, frames: int) -> None:
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(batch, frames, 40)).astype(np.float32))
    with torch.no_grad():
        expected = network(features).numpy()
    for file in files:
        onnx.checker.check_model(str(file), full_check=True)
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        (given,) = session.run(None, {"features": features.numpy()})
        np.testing.assert_allclose(given, expected, atol=ROUNDING)


def test_what_can_be_simplified_is(files: tuple[Path, Path, Path]) -> None:
    operators = [node.op_type for node in onnx.load(files[2]).graph.node]
    assert operators.count("BatchNormalization") == 1  # the one behind a ReLU
    assert not {"AveragePool", "ReduceMean"} & set(operators)
    assert "GlobalAveragePool" in operators
    assert operators[:5] == ["Unsqueeze", "Conv", "MaxPool", "MaxPool", "Relu"]
    strided = [node for node in onnx.load(files[2]).graph.node if node.op_type == "Conv"][1]
    assert {entry.name: list(entry.ints) for entry in strided.attribute}["strides"] == [2, 3]


def test_a_network_that_does_not_load_is_told(tmp_path: Path) -> None:
    (tmp_path / "network.onnx").write_bytes(b"no network")
    with pytest.raises(BundleError, match="onnxruntime cannot simplify this network"):
        fold_constants(tmp_path / "network.onnx", tmp_path / "out.onnx")


def test_halved_weights_halve_the_file_and_keep_what_half_precision_cannot_hold() -> None:
    rng = np.random.default_rng(0)
    weights = {
        "matrix": rng.normal(size=(40, 30)),
        "large": np.full((30, 30), 1e6),
        "vector": rng.normal(size=30),
        "places": np.array([[1, 2]], dtype=np.int64),
    }
    tensors = [
        onnx.numpy_helper.from_array(value if name == "places" else value.astype(np.float32), name)
        for name, value in weights.items()
    ]
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "matrix"], ["a"]),
        onnx.helper.make_node("MatMul", ["a", "large"], ["b"]),
        onnx.helper.make_node("Add", ["b", "vector"], ["y"]),
    ]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, None]) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "graph", ends[:1], ends[1:], tensors)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    halve(model.graph)
    onnx.checker.check_model(model, full_check=True)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds == {
        "matrix/half": onnx.TensorProto.FLOAT16,
        "large": onnx.TensorProto.FLOAT,
        "vector": onnx.TensorProto.FLOAT,
        "places": onnx.TensorProto.INT64,
    }
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = rng.normal(size=(1, 40)).astype(np.float32)
    rounded = weights["matrix"].astype(np.float16).astype(np.float32)
    exact = x @ rounded @ weights["large"].astype(np.float32) + weights["vector"].astype(np.float32)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], exact, rtol=1e-4)
