"""Is what ships what was scored? The exported file against the scored model, clip by clip.

The file is run by the runtime's own `Predictor`, windows, padding and averaging included: what is compared is what a
user of the bundle will run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError
from earnest.runtime.bundle import TAG_THRESHOLD, Bundle, Kind
from earnest.runtime.combine import Rule
from earnest.runtime.frames import Frames
from earnest.runtime.predictor import Predictor

LIMIT = 1e-4
NEAR_THRESHOLD = 1e-5  # so near to its threshold a tag's score may fall on either side by rounding alone


class Inputs(Protocol):
    """How a waveform becomes model inputs, in samples; `smallest` is the shortest input of the model."""

    @property
    def window(self) -> int: ...  # noqa: D102
    @property
    def hop(self) -> int: ...  # noqa: D102
    @property
    def short(self) -> Literal["pad", "keep"]: ...  # noqa: D102
    @property
    def smallest(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Parity:
    """How far the exported file is from the scored model.

    Attributes
    ----------
    clips : how many clips were compared.
    same_decisions : for how many of them both answer the same: the most probable label, the same tags, or for values
        numbers within the limit.
    largest_difference : the largest difference between two scores of the same clip and label; above one, relative to
        the score, so that the unit of a value does not matter.
    """

    clips: int
    same_decisions: int
    largest_difference: float

    @property
    def holds(self) -> bool:
        """Every decision is the same, and no score differs by more than 1e-4."""
        return self.same_decisions == self.clips and self.largest_difference <= LIMIT

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def check_parity(
    path: Path,
    expected: npt.NDArray[np.floating[Any]],
    audio: Callable[[int], npt.NDArray[np.float32]],
    inputs: Inputs,
    *,
    kind: Kind = "classes",
    combine: Rule = "mean",
    frames: Frames | None = None,
    threads: int = 1,
) -> Parity:
    """Run the exported file over every clip and compare with the scored probabilities.

    Parameters
    ----------
    path : the exported ONNX file.
    expected : (clips, labels), the scored model's scores, in the order of `audio`.
    audio : clip number → samples (samples,) float32 at the model's rate: the whole clip, as it was cut.
    inputs : the windows that the scored model was given.
    kind, combine : what a row of scores says, and how those of a clip's windows became one, as in
        `earnest.runtime.Bundle`.
    frames : of a model that answers for frames, where they lie; a clip is answered by the one in its middle.
    threads : threads for the exported file.

    Raises
    ------
    BundleError : the file does not load, or gives another number of labels.
    """
    if expected.ndim != 2:
        raise BundleError(f"expected probabilities of shape (clips, labels), got {expected.shape}.")
    clips, outputs = expected.shape
    bundle = Bundle(
        directory=path.parent,
        labels=tuple(str(label) for label in range(outputs)),
        sample_rate=1,  # never used: the audio comes at the model's rate
        window_samples=inputs.window,
        hop_samples=inputs.hop,
        short=inputs.short,
        min_samples=inputs.smallest,
        kind=kind,
        combine=combine,
        shape="frames" if frames else "clip",
        frames=frames.as_dict() if frames else None,
        files={path.name: {}},
    )
    predictor = Predictor(bundle, threads, model=path.name)
    same, largest = 0, 0.0
    for clip in range(clips):
        scores = predictor.probabilities(np.asarray(audio(clip), dtype=np.float32), f"clip {clip}")
        difference = _difference(scores, expected[clip])
        same += int(difference <= LIMIT if kind == "values" else same_answer(scores, expected[clip], kind))
        largest = max(largest, difference)
    return Parity(clips, same, largest)


def same_answer(
    scores: npt.NDArray[np.float64], expected: npt.NDArray[np.floating[Any]], kind: Literal["classes", "tags"]
) -> bool:
    """Whether two rows of scores (labels,) name the same label, or the same tags (but for what stands on the edge)."""
    if kind == "tags":
        clear = np.abs(expected - TAG_THRESHOLD) > NEAR_THRESHOLD
        return bool(np.all(((scores >= TAG_THRESHOLD) == (expected >= TAG_THRESHOLD)) | ~clear))
    return bool(scores.argmax() == expected.argmax())


def _difference(scores: npt.NDArray[np.float64], expected: npt.NDArray[np.floating[Any]]) -> float:
    """Largest difference, relative to scores above one; infinite where one of the two is not a number."""
    difference = float((np.abs(scores - expected) / np.maximum(1, np.abs(expected))).max())
    return difference if np.isfinite(difference) else float("inf")
