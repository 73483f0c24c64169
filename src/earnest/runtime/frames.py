"""Models that answer for frames: where each answer lies in time.

An answer speaks for a moment. The first one of a window lies `first_samples` behind the window's beginning, the others
follow every `step_samples`. A frame's own audio is `reach_samples` long; a model may answer some frames late, having
heard what comes behind, and then the first moments lie before the window. From one window to the next the model keeps
a state, so that a stream in pieces gives what the whole recording gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Frames:
    """The numbers of a model that answers for frames, in samples."""

    step_samples: int
    reach_samples: int
    first_samples: int

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Frames:
        """The numbers in a bundle's key `frames`."""
        return cls(values["step_samples"], values["reach_samples"], values["first_samples"])

    def as_dict(self) -> dict[str, int]:
        """Plain values for JSON."""
        return {key: getattr(self, key) for key in ("step_samples", "reach_samples", "first_samples")}

    def count(self, samples: int) -> int:
        """How many answers come from so many samples."""
        return max(0, (samples - self.reach_samples) // self.step_samples + 1)

    def moment(self, number: int) -> int:
        """The moment of an answer, from the window's beginning on."""
        return self.first_samples + number * self.step_samples

    def middle(self, samples: int) -> int:
        """The number of the answer that is nearest to the middle of so many samples."""
        nearest = round((samples / 2 - self.first_samples) / self.step_samples)
        return min(max(nearest, 0), self.count(samples) - 1)

    def piece(self, hop_samples: int) -> tuple[int, int]:
        """Length of a stream's windows and distance between them, so that no frame is left out or answered twice."""
        steps = max(1, round(hop_samples / self.step_samples))
        hop = steps * self.step_samples
        return hop + self.reach_samples - self.step_samples, hop


def is_frames(value: Any) -> bool:
    """Whether a value from a manifest holds what `Frames.of` needs, within its ranges."""
    if not isinstance(value, dict):
        return False
    numbers = [value.get(key) for key in ("step_samples", "reach_samples", "first_samples")]
    step, reach, first = (
        number if isinstance(number, int) and not isinstance(number, bool) else None for number in numbers
    )
    if step is None or reach is None or first is None:
        return False
    return 1 <= step <= reach <= 384_000 and abs(first) <= 384_000
