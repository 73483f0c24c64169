"""Export of models that answer for frames: audio and a state in, scores of every frame and the next state out.

    audio (batch, samples), state (batch, size) ─► scores (batch, frames, labels), next_state (batch, size)

The file takes any number of samples from one frame on. What is checked before it replaces an old one: it gives the
module's numbers, and a recording in pieces gives what the whole recording gives.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

import earnest
from earnest.errors import BundleError, RecipeError
from earnest.files import atomic_path
from earnest.frontends import FrontEnd
from earnest.frontends._spectral import SpectralFrontEnd
from earnest.runtime.engines.onnx import INPUT, NEXT_STATE, OUTPUT, STATE, open_session
from earnest.runtime.frames import Frames
from earnest.shipping.onnx import TOLERANCE, Ends, fill, trace, weights_of
from earnest.tasks import Task
from earnest.training.pipeline import Pipeline

CHECKED_HOPS = (1, 3, 7)  # frames in the pieces of a checked recording


class Stateful(nn.Module):
    """A pipeline that goes on from a state, with the task's last step.

    Parameters
    ----------
    pipeline : with the front end in the form that exports, and a model that has `step`.
    task : whose `probabilities` are reported.
    """

    def __init__(self, pipeline: Pipeline, task: Task) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.task = task

    def forward(self, audio: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (batch, frames, labels) of audio (batch, samples), and the state (batch, size) behind it."""
        features = self.pipeline.normaliser(self.pipeline.frontend(audio))
        outputs, after = self.pipeline.model.step(features, state)  # type: ignore[operator]
        return self.task.probabilities(outputs), after


def frames_of(frontend: FrontEnd, delay_s: float) -> Frames:
    """Where the answers of a model behind a front end lie in time, each given `delay_s` after its moment.

    Raises
    ------
    RecipeError : the front end's frames do not stand for themselves, so that no stream can be cut into pieces.
    """
    if not isinstance(frontend, SpectralFrontEnd) or frontend.framing.mode != "none" or frontend.framing.right:
        raise RecipeError(
            f"{type(frontend).__module__.rpartition('.')[2]} puts something on the ends of a recording, and a stream "
            "that is answered frame by frame has none.",
            "Set frontend.pad=none, with log_mel, fbank, mfcc or spectrogram.",
        )
    step, reach = frontend.framing.hop, frontend.framing.window
    if reach < step:
        raise RecipeError("frames leave gaps between them.", "Set frontend.window_ms to hop_ms or more.")
    delay = round(delay_s * frontend.sample_rate / step)  # whole frames
    return Frames(step, reach, reach // 2 - delay * step)


def export_frames(
    module: Stateful, path: Path, frames: Frames, state_size: int, labels: Sequence[str], sample_rate: int
) -> None:
    """Write a module that answers for frames as one ONNX file, and check the file against the module.

    Raises
    ------
    BundleError : it cannot be exported, the file gives other numbers (by more than 1e-4), or pieces of a recording give
        other numbers than the whole.
    StorageError : the disk is full or the place cannot be written.
    """
    samples = frames.reach_samples + 20 * frames.step_samples
    example = torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    ends = Ends({INPUT: example, STATE: torch.zeros(2, state_size)}, ({1: "samples"}, {}), outputs=(OUTPUT, NEXT_STATE))
    weights = weights_of(module)
    model = trace(module, weights, ends)
    fill(model, weights)
    metadata = {"earnest": earnest.__version__, "sample_rate": str(sample_rate)}
    onnx.helper.set_model_props(model, metadata | {"labels": json.dumps(list(labels), ensure_ascii=False)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        _check(module, open_session(temporary, 1), frames, state_size)


def _check(module: Stateful, session: onnxruntime.InferenceSession, frames: Frames, state_size: int) -> None:
    """The file gives the module's numbers, for one recording and for three (one of them silent), whole and in pieces.

    Raises
    ------
    BundleError : it does not.
    """
    rng = np.random.default_rng(0)
    for batch in (1, 3):
        audio = (0.1 * rng.standard_normal((batch, frames.reach_samples + 41 * frames.step_samples))).astype(np.float32)
        audio[1:2] = 0.0
        state = np.zeros((batch, state_size), np.float32)
        with torch.no_grad():
            expected = module(torch.from_numpy(audio), torch.from_numpy(state))[0].numpy()
        for hop in (42, *CHECKED_HOPS):
            window, distance = frames.piece(hop * frames.step_samples)
            after, found = state, []
            for start in range(0, audio.shape[1] - window + 1, distance):
                piece = {INPUT: audio[:, start : start + window], STATE: after}
                scores, after = session.run([OUTPUT, NEXT_STATE], piece)
                found.append(scores)
            got = np.concatenate(found, axis=1)
            difference = float(np.abs(got - expected[:, : got.shape[1]]).max())
            if not difference <= TOLERANCE:
                raise BundleError(
                    f"the exported model differs from the scored one by {difference:.2g} (limit {TOLERANCE:g}) for "
                    f"{batch} recordings in pieces of {window} samples.",
                    "Something in the model or front end looks at more than the frames so far: leave out top_db, "
                    "differences and whatever else looks at a whole clip.",
                )
