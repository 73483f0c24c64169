from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from earnest.errors import BundleError
from earnest.shipping.onnx import export_onnx
from earnest.shipping.parity import check_parity
from earnest.training.inputs import Inputs

WINDOW = 2000


class Small(nn.Module):
    """A convolution DFT, its logarithm, a 2-D convolution, a mean: the shape of every model here."""

    def __init__(self) -> None:
        super().__init__()
        frames, bins = torch.arange(256), torch.arange(20)[:, None]
        angle = 2 * torch.pi * frames * bins / 256
        self.register_buffer("kernels", torch.cat([torch.cos(angle), torch.sin(angle)])[:, None])
        generator = torch.Generator().manual_seed(1)
        self.register_buffer("weights", torch.randn(4, 1, 3, 3, generator=generator))
        self.register_buffer("dense", torch.randn(3, 4, generator=generator))

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        parts = functional.conv1d(audio[:, None], self.kernels, stride=100)
        power = parts[:, :20].square() + parts[:, 20:].square()
        image = functional.relu(functional.conv2d((power + 1e-6).log()[:, None], self.weights, padding=1))
        return torch.softmax(image.mean((2, 3)) @ self.dense.T, -1)


class Branching(nn.Module):
    """Does one thing to long clips and another to short ones, by a Python branch."""

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        if audio.shape[1] < 1500:
            audio = functional.pad(audio, (0, 1500 - audio.shape[1]))
        frames = audio.unfold(1, 256, 100)
        return torch.softmax(100 * frames.abs().mean(1)[:, :3], -1)


class Middle(nn.Module):
    """Uses an operation that ONNX does not have."""

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        return audio.unfold(1, 3, 3).median(1).values


def sounds(lengths: list[int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(length)).astype(np.float32) for length in lengths]


def export(path: Path, module: nn.Module | None = None, *, dynamic: bool = True, shortest: int = 256) -> Path:
    module = (module or Small()).eval()
    export_onnx(
        module,
        path,
        example_samples=WINDOW,
        dynamic_samples=dynamic,
        min_samples=shortest,
        labels=["a", "ü", "北"],
        sample_rate=8000,
    )
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("export") / "model.onnx")


def test_the_file_is_valid_and_complete_in_itself(exported: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.onnx"
    copy.write_bytes(exported.read_bytes())
    model = onnx.load(copy)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    (audio,), (scores,) = model.graph.input, model.graph.output
    assert [(d.dim_param, d.dim_value) for d in audio.type.tensor_type.shape.dim] == [("batch", 0), ("samples", 0)]
    assert [(d.dim_param, d.dim_value) for d in scores.type.tensor_type.shape.dim] == [("batch", 0), ("", 3)]
    assert (audio.name, scores.name) == ("audio", "scores")
    assert list(exported.parent.iterdir()) == [exported], "no second file with weights, no temporary file"


def test_the_file_says_what_it_is_and_not_where_it_was_made(exported: Path) -> None:
    metadata = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}
    assert json.loads(metadata["labels"]) == ["a", "ü", "北"]
    assert metadata["sample_rate"] == "8000"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", metadata["earnest"])
    data = exported.read_bytes()
    for trace in (str(Path.cwd()), str(Path.home()), "site-packages", ".py", "stack_trace"):
        assert trace.encode() not in data


def test_the_same_module_gives_the_same_bytes(exported: Path, tmp_path: Path) -> None:
    assert export(tmp_path / "again.onnx").read_bytes() == exported.read_bytes()


def test_the_file_gives_the_modules_numbers_at_any_length_and_batch(exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    module = Small().eval()
    for batch, samples in [(1, 256), (4, 355), (2, 1999), (1, 7013)]:
        audio = np.random.default_rng(samples).normal(0, 0.1, (batch, samples)).astype(np.float32)
        expected = module(torch.from_numpy(audio)).numpy()
        np.testing.assert_allclose(session.run(None, {"audio": audio})[0], expected, rtol=0, atol=1e-5)


def test_a_fixed_length_stays_fixed(tmp_path: Path) -> None:
    model = onnx.load(export(tmp_path / "model.onnx", dynamic=False))
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    assert [(d.dim_param, d.dim_value) for d in sizes] == [("batch", 0), ("", WINDOW)]


def test_exporting_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    export(tmp_path / "model.onnx")
    assert capfd.readouterr() == ("", "")


def test_a_branch_on_the_length_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the older file")
    with pytest.raises(BundleError, match="1 clips of 256 samples") as caught:
        export(path, Branching())
    assert "branches" in (caught.value.remedy or "")
    assert path.read_bytes() == b"the older file"
    assert list(tmp_path.iterdir()) == [path]


def test_a_branch_that_is_never_taken_does_no_harm(tmp_path: Path) -> None:
    export(tmp_path / "model.onnx", Branching(), shortest=1500)


def test_an_operation_without_a_conversion_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot be exported to ONNX: .*median"):
        export(tmp_path / "model.onnx", Middle())
    assert list(tmp_path.iterdir()) == []


def test_training_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="training mode"):
        export_onnx(Small().train(), tmp_path / "m.onnx", example_samples=WINDOW, dynamic_samples=True)


def expected_for(clips: list[np.ndarray], inputs: Inputs) -> np.ndarray:
    module = Small().eval()
    return np.stack(
        [
            np.mean([module(torch.from_numpy(window)[None]).numpy()[0] for window in inputs.windows(clip)], axis=0)
            for clip in clips
        ]
    )


@pytest.mark.parametrize("short", ["pad", "keep"])
def test_parity_over_short_whole_and_long_clips(exported: Path, short: str) -> None:
    inputs = Inputs(WINDOW, 700, short, 256)  # type: ignore[arg-type]
    clips = sounds([1, 100, 300, 1999, 2000, 2001, 5000])
    parity = check_parity(exported, expected_for(clips, inputs), clips.__getitem__, inputs)
    assert (parity.clips, parity.same_decisions) == (7, 7)
    assert 0 <= parity.largest_difference < 1e-5
    assert parity.holds
    assert set(parity.as_dict()) == {"clips", "same_decisions", "largest_difference"}


def test_parity_counts_other_decisions_and_measures_differences(exported: Path) -> None:
    inputs = Inputs(WINDOW, 700, "pad", 256)
    clips = sounds([2000, 2000, 2000])
    expected = expected_for(clips, inputs)
    expected[1] = np.roll(expected[1], 1)
    parity = check_parity(exported, expected, clips.__getitem__, inputs)
    assert (parity.clips, parity.same_decisions) == (3, 2)
    assert parity.largest_difference == pytest.approx(np.abs(expected[1] - np.roll(expected[1], -1)).max(), abs=1e-5)
    assert not parity.holds


def test_parity_takes_no_number_for_no_difference(exported: Path) -> None:
    inputs = Inputs(WINDOW, 700, "pad", 256)
    parity = check_parity(exported, np.full((1, 3), np.nan), lambda _: sounds([2000])[0], inputs)
    assert parity.largest_difference == float("inf")
    assert not parity.holds


def test_parity_refuses_another_number_of_labels(exported: Path) -> None:
    with pytest.raises(BundleError, match="labels"):
        check_parity(exported, np.ones((1, 4)), lambda _: sounds([2000])[0], Inputs(WINDOW, 700, "pad", 256))


def test_modules_of_one_build_share_a_trace_and_keep_their_own_weights(tmp_path: Path) -> None:
    files = []
    for seed in (1, 2):
        module = Small()
        generator = torch.Generator().manual_seed(seed)
        module.weights, module.dense = torch.randn(4, 1, 3, 3, generator=generator), torch.randn(3, 4)
        alone, shared = tmp_path / f"alone-{seed}.onnx", tmp_path / f"shared-{seed}.onnx"
        for path, traces in ((alone, None), (shared, tmp_path / "traces")):
            export_onnx(module.eval(), path, example_samples=WINDOW, dynamic_samples=True, traces=traces)
        assert alone.read_bytes() == shared.read_bytes()
        files.append(shared.read_bytes())
    assert files[0] != files[1]
    assert len(list((tmp_path / "traces").iterdir())) == 1
