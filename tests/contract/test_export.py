"""Every front end with every model, exported and run as a bundle would be, gives what the scored model gives.

Weights are untrained: random weights find a wrong graph as well as trained ones. The scored side uses the front end's
fast evaluation, the exported side its export form, as in a run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from earnest import frontends, models, registry
from earnest.errors import RecipeError
from earnest.frontends import FrontEnd, per_channel
from earnest.recipe import Clips, Part
from earnest.shipping.onnx import export_onnx
from earnest.shipping.parity import check_parity
from earnest.training.inputs import Inputs
from earnest.training.pipeline import Pipeline, normaliser_for

RATE = 8000
RATES = {"micro_frontend": 16_000}  # it hears no other
HOP_S = 0.01  # of the front ends as they are
LABELS = 5
# What is tested is the graph, not the choice of a kernel.
OPTIONS: dict[str, dict[str, object]] = {"svm": {"search": False, "kernel": "linear"}}


def clips() -> list[np.ndarray]:
    """Shorter than a window, a window, longer ones; loud, faint and silent; a length that no hop divides."""
    rng = np.random.default_rng(3)
    lengths_and_gains = [(1237, 0.1), (3001, 0.5), (4800, 1e-3), (4800, 0.0), (7919, 0.1), (11_000, 0.3)]
    found = []
    for length, gain in lengths_and_gains:
        time = np.arange(length) / RATE
        tone = np.sin(2 * np.pi * rng.uniform(100, 3000) * time)
        found.append((gain * (tone + 0.5 * rng.standard_normal(length))).astype(np.float32))
    return found


class LastFrame(nn.Module):
    """A model that answers for frames, by its last one; its own export is tested with its task."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        outputs: torch.Tensor = self.model(features, lengths)[:, -1]
        return outputs


def build_model(name: str, frontend: FrontEnd, frames: int) -> nn.Module:
    part = Part(name=name, options=OPTIONS.get(name, dict(models.example(name).options)))
    if not models.is_estimator(name):
        model = models.build(part, frames, frontend.bands, LABELS)
        return LastFrame(model) if models.shape_of(name) == "frames" else model
    if frames != 1:
        pytest.skip(f"{name} takes one row of numbers per clip")
    rng = np.random.default_rng(0)
    targets = np.arange(40) % LABELS
    rows = rng.normal(size=(40, frontend.bands)) + targets[:, None]
    return models.build_estimator(part, LABELS).fit(rows.astype(np.float32), targets, np.arange(40) % 8, rng)


class Spread(nn.Module):
    """A model with its logits shifted and scaled, so that untrained weights decide differently from clip to clip.

    The scale is at most 100: rounding errors of 1e-7 stay far below the tolerance.
    """

    def __init__(self, model: nn.Module, features: list[torch.Tensor]) -> None:
        super().__init__()
        with torch.no_grad():
            logits = torch.cat([model(clip, None) for clip in features])
        self.model = model
        self.register_buffer("mean", logits.mean(0))
        self.register_buffer("deviation", logits.std(0).clamp_min(0.01))

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return (self.model(features, lengths) - self.mean) / self.deviation


def frontend_of(model_name: str) -> Part:
    """The front end of a network's example."""
    example = models.example(model_name)
    return example.frontend or Part(name="log_mel", options={"bands": example.bands})


def window_of(frontend: FrontEnd, example: models.Example) -> int:
    """Samples that give an example's frames with its own front end; else with one whose frames come as usual."""
    if isinstance(example.frames, int) and example.frontend is None:
        return round((example.frames - 1) * HOP_S * frontend.sample_rate)
    fitting = (samples for samples in range(1, RATE) if frontend.frames_for(samples) == example.frames)
    return next(fitting, RATE // 2)


def pairs() -> list[object]:
    """All of them; by default each front end with one model and each model with one front end (or the one it needs)."""
    found = []
    for frontend in registry.names("frontends"):
        if not registry.load("frontends", frontend).FrontEnd.exportable:
            continue
        for model in registry.names("models"):
            partner = "statistics" if models.is_estimator(model) else frontend_of(model).name
            marks = () if model == "ds_cnn" or frontend == partner else (pytest.mark.slow,)
            found.append(pytest.param(frontend, model, marks=marks))
    return found


def build_pipeline(frontend_name: str, model_name: str, inputs: Inputs, frontend: FrontEnd) -> Pipeline:
    torch.manual_seed(0)
    try:
        model = build_model(model_name, frontend, frontend.frames_for(inputs.window))
    except RecipeError as problem:
        pytest.skip(f"{model_name} does not take the features of {frontend_name}: {problem.message}")
    normaliser = normaliser_for(frontend.bands)
    with torch.no_grad():
        features = [frontend(torch.from_numpy(inputs.fit(clip[: inputs.window]))[None]) for clip in clips()]
        normaliser.fit(per_channel(lambda channel: channel[0], clip) for clip in features)
        spread = Spread(model.eval(), [normaliser(clip) for clip in features])
    return Pipeline(frontend, normaliser, spread).eval()


def scored(pipeline: Pipeline, inputs: Inputs) -> np.ndarray:
    """Probabilities as a run scores them: every window alone, then their mean."""
    with torch.no_grad():
        rows = [
            np.mean(
                [pipeline(torch.from_numpy(window)[None]).softmax(-1).double().numpy()[0] for window in windows], axis=0
            )
            for windows in map(inputs.windows, clips())
        ]
    return np.stack(rows)


@pytest.mark.parametrize(("frontend_name", "model_name"), pairs())
def test_the_exported_file_is_the_scored_model(
    frontend_name: str, model_name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    example = models.example(model_name)
    own = frontend_of(model_name)
    rate = RATES.get(frontend_name, RATE)
    frontend = frontends.build(own if own.name == frontend_name else Part(name=frontend_name), rate)
    fixed = models.needs_fixed_input(model_name)
    window_s = window_of(frontend, example) / rate
    inputs = Inputs.of(Clips(window_s=window_s, short="pad" if fixed else "keep"), rate, frontend.min_samples)
    pipeline = build_pipeline(frontend_name, model_name, inputs, frontend)
    expected = scored(pipeline, inputs)

    path = tmp_path / "model.onnx"
    module = nn.Sequential(pipeline.for_export(), nn.Softmax(-1)).eval()
    export_onnx(
        module,
        path,
        example_samples=inputs.window,
        dynamic_samples=not fixed,
        min_samples=inputs.smallest,
    )
    parity = check_parity(path, expected, lambda clip: clips()[clip], inputs)

    assert parity.clips == len(clips())
    assert parity.same_decisions == parity.clips
    assert parity.largest_difference <= 1e-4
    assert parity.holds
    assert capfd.readouterr() == ("", "")
