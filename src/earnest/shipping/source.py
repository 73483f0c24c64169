"""A fold's trained model, taken apart again for conversion: front end, and network from features to scores.

    audio ─ front end, normaliser ─► features ─ model, task's last step ─► scores

Files for other runtimes hold both parts, or the second alone where the first is computed by other means: by
`frontend.onnx` of the bundle, or by the C front end on a microcontroller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from earnest import frontends
from earnest.errors import BundleError
from earnest.frontends import Features, FrontEnd, Size
from earnest.recipe import Recipe
from earnest.runtime.spotting import Answers
from earnest.shipping.onnx import Ends, export_part
from earnest.tasks import Task
from earnest.training import checkpoints
from earnest.training.inputs import Inputs
from earnest.training.pipeline import AnyNormaliser, normaliser_for, restore

FEATURES = "features"


class Head(nn.Module):
    """Audio (batch, samples) → normalised features: what stands before the network."""

    def __init__(self, frontend: nn.Module, normaliser: AnyNormaliser) -> None:
        super().__init__()
        self.frontend = frontend
        self.normaliser = normaliser

    def forward(self, audio: torch.Tensor) -> Features:
        """(batch, samples) → (batch, frames, bands), or a tuple of these for several channels."""
        features: Features = self.normaliser(self.frontend(audio))
        return features


class Network(nn.Module):
    """Normalised features (batch, frames, bands), one input for each channel → scores (batch, labels)."""

    def __init__(self, model: nn.Module, task: Task) -> None:
        super().__init__()
        self.model = model
        self.task = task

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Features → what is reported."""
        outputs = self.model(features if len(features) > 1 else features[0], None)
        return self.task.probabilities(outputs)


@dataclass(frozen=True)
class Source:
    """What conversions start from.

    Attributes
    ----------
    recipe, labels, inputs : as in the run.
    task : the task as this fold learnt it.
    frontend, normaliser, model : the trained parts, in evaluation mode.
    hear : where keywords are listened for: has a file that hears streams in its own way listen to the fold's streams,
        and gives the threshold that the validation streams chose. It takes the file's name and answers, the samples
        from one answer to the next, and the thresholds that there can be, rising.
    """

    recipe: Recipe
    labels: tuple[str, ...]
    inputs: Inputs
    task: Task
    frontend: FrontEnd
    normaliser: AnyNormaliser
    model: nn.Module
    hear: Callable[[str, Answers, int, Sequence[float]], float] | None = None

    @classmethod
    def load(cls, fold: Path, recipe: Recipe, labels: tuple[str, ...], task: Task) -> Source:
        """Read a fold's trained weights.

        Raises
        ------
        BundleError : the front end cannot be exported.
        CheckpointError : the weights are not there, or damaged.
        """
        if task.shape == "frames":
            raise BundleError(
                f"the model {recipe.model.name} answers for frames and keeps a state, and ships as model.onnx only."
            )
        frontend = frontends.build(recipe.frontend, recipe.sample_rate)
        if not frontend.exportable:
            raise BundleError(f"the front end {recipe.frontend.name} cannot be part of an exported model.")
        tensors, _ = checkpoints.load(fold / "checkpoint", "final")
        inputs = Inputs.of(recipe.clips, recipe.sample_rate, frontend.min_samples)
        normaliser = normaliser_for(frontend.bands)
        normaliser.load_state_dict(_part(tensors, "normaliser."))
        model = restore(recipe, frontend, inputs, len(labels), _part(tensors, "model."))
        return cls(recipe, labels, inputs, task, frontend.eval(), normaliser.eval(), model.eval())

    @property
    def dynamic(self) -> bool:
        """Whether the model takes clips of any length."""
        return self.inputs.short == "keep"

    @property
    def head(self) -> nn.Module:
        """Audio → normalised features, in the form that exports."""
        return Head(self.frontend.for_export(), self.normaliser).eval()

    @property
    def network(self) -> nn.Module:
        """Normalised features → scores."""
        return Network(self.model, self.task).eval()

    def features(self, audio: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The network's inputs for audio (batch, samples), one tensor (batch, frames, bands) for each channel."""
        with torch.no_grad():
            features = self.head(audio)
        return features if isinstance(features, tuple) else (features,)

    def names(self) -> tuple[str, ...]:
        """What the network's inputs are called: `features`, or `features_0`, `features_1` … for several channels."""
        bands: Size = self.frontend.bands
        return tuple(f"{FEATURES}_{n}" for n in range(len(bands))) if isinstance(bands, tuple) else (FEATURES,)

    def write_parts(self, folder: Path) -> tuple[Path, Path]:
        """`frontend.onnx` and `network.onnx`, which together are the model.

        Raises
        ------
        BundleError : a part cannot be exported.
        """
        head, network = folder / "frontend.onnx", folder / "network.onnx"
        audio = Ends.of_audio(self.inputs.window, self.dynamic, self.names())
        export_part(self.head, head, audio)
        examples = self.features(audio.examples["audio"])
        free = tuple({1: f"frames_{n}"} if self.dynamic else {} for n in range(len(examples)))
        export_part(self.network, network, Ends(dict(zip(self.names(), examples, strict=True)), free))
        return head, network


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
