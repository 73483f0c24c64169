"""A network written layer by layer: fed a few frames at a time it answers as PyTorch does for whole windows."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from earnest import models
from earnest.recipe import Part
from earnest.shipping import micro
from earnest.shipping.eightbit import tightened
from earnest.shipping.micro_layers import MOST_VARIABLES, Steps, in_layers, normalising
from earnest.shipping.micro_stream import FEATURE_SCALE, FEATURE_ZERO, REGISTERED

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs the extra [edge]")
pytest.importorskip("flatbuffers", reason="needs the extra [edge]")

FRAMES, BANDS, WORD = 98, 40, 1
SIZES: list[dict[str, Any]] = [
    {},
    {"stride": 1, "kernels": [[3], [3, 5]], "first_kernel": 3, "channels": 24},
    {"stride": 2, "kernels": [[5, 9, 13]], "first_kernel": 2, "first": 20, "channels": 30},
]


def sounds(count: int, frames: int, seed: int) -> torch.Tensor:
    """Features as devices have them, 0 … 26, whole steps of int8, that go up and down along time and bands."""
    noise = torch.rand(count, frames // 7 + 2, BANDS // 4, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(noise[:, None], (frames, BANDS), mode="bilinear")[:, 0]
    return torch.round(26 * smooth.square() / FEATURE_SCALE) * FEATURE_SCALE


def trained(options: dict[str, Any], outputs: int = 2) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """A network whose batch norms have seen something, and a normaliser."""
    torch.manual_seed(0)
    model = models.build(Part(name="mixednet", options=options), FRAMES, BANDS, outputs)
    gain, shift = torch.linspace(0.2, 0.3, BANDS), torch.linspace(-2, -1.5, BANDS)
    for seed in range(20):
        model.train()(sounds(16, FRAMES, seed) * gain + shift)
    with torch.no_grad():
        model.output.weight.mul_(20)  # as sure of its answers as a trained one
        features = sounds(32, FRAMES, 99) * gain + shift
        model.output.bias.sub_(model.eval()(features).mean(dim=0))
    return model.eval(), gain, shift


@pytest.mark.parametrize("options", SIZES)
def test_stages_are_the_network_in_evaluation(options: dict[str, Any]) -> None:
    model, gain, shift = trained(options)
    features = sounds(4, FRAMES, 50)
    with torch.no_grad():
        sequence = features[:, model.unused :].transpose(1, 2)
        for stage in normalising(model.stages(), gain, shift):
            sequence = stage(sequence)
        assert sequence.shape[2] == model.averaged
        expected = model(features * gain + shift)
        torch.testing.assert_close(model.output(sequence.mean(dim=2)), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("options", "outputs"), [*((options, 2) for options in SIZES), ({}, 12)])
def test_a_stream_gives_the_answers_of_its_windows(options: dict[str, Any], outputs: int) -> None:
    runtime = pytest.importorskip(
        "tflite_micro", reason="needs tflite-micro, which has wheels for Linux on x86-64 only"
    ).runtime
    model, gain, shift = trained(options, outputs)
    file = in_layers(model, gain, shift, WORD, sounds(60, FRAMES, 60).numpy())
    assert set(micro.operators(file)) <= REGISTERED
    assert file.count(b"frames_") > 0
    device = runtime.Interpreter.from_bytes(file, arena_size=1 << 18)
    assert device.get_input_details(0)["shape"].tolist() == [1, model.stride, BANDS]
    heard = sounds(1, 60 * model.stride + FRAMES, 70)
    steps = np.clip(np.rint(heard[0].numpy() / FEATURE_SCALE) + FEATURE_ZERO, -128, 127).astype(np.int8)
    answers, expected = [], []
    for end in range(model.stride, len(steps) + 1, model.stride):
        device.set_input(steps[None, end - model.stride : end], 0)
        device.invoke()
        answer = device.get_output(0)
        assert (answer.dtype, answer.shape) == (np.uint8, (1, 1))
        if end >= FRAMES:
            answers.append(int(answer[0, 0]) / 256)
            window = heard[:, end - FRAMES : end] * gain + shift
            with torch.no_grad():
                logits = model(window)[0]
            rivals = torch.cat([logits[:WORD], logits[WORD + 1 :]])
            expected.append(float(torch.sigmoid(logits[WORD] - rivals.max())))
    assert len(answers) > 50
    assert np.ptp(expected) > 0.15
    np.testing.assert_allclose(answers, expected, atol=0.05)  # 8 bits in every layer; steps of 1/256
    assert np.corrcoef(answers, expected)[0, 1] > 0.99


def test_variables_fit_the_component() -> None:
    model, gain, shift = trained({})
    file = in_layers(model, gain, shift, WORD, sounds(8, FRAMES, 60).numpy())
    names = {f"frames_{number}".encode() for number in range(MOST_VARIABLES + 5) if f"frames_{number}".encode() in file}
    assert len(names) == 1 + len(model.blocks) + 1
    assert len(names) <= MOST_VARIABLES


def test_steps_hold_the_values_and_zero() -> None:
    steps = Steps.of(np.linspace(2, 4, 1000))
    assert steps.zero == -128
    assert (127 - steps.zero) * steps.scale == pytest.approx(4, rel=0.35)  # the ends may be cut for less error
    assert Steps.of(np.zeros(5)) == Steps(1.0, 0)
    both = Steps.of(np.linspace(-1, 1, 1000))
    assert abs(both.zero) <= 1


def test_ranges_without_room_for_bins_stay_as_they_are() -> None:
    same, wide = np.float32(5), np.linspace(0, 1, 500, dtype=np.float32)

    class Heard:
        tensors: ClassVar = {"same": 0, "wide": 1}

        def hear(self, inputs: object) -> None: ...

        def value(self, tensor: str) -> np.ndarray:
            return {"same": np.array([same, np.nextafter(same, np.float32(6))]), "wide": wide}[tensor]

    ranges = {
        "same": {"min": np.array([same]), "max": np.array([np.nextafter(same, np.float32(6))])},
        "wide": {"min": np.array([np.float32(0)]), "max": np.array([np.float32(1)])},
    }
    found = tightened(Heard(), [{}], ranges, ".*")  # type: ignore[arg-type]
    assert (found["same"]["min"][0], found["same"]["max"][0]) == (same, np.nextafter(same, np.float32(6)))
    assert 0.5 < found["wide"]["max"][0] <= 1
