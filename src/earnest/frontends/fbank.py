"""Filter banks as in Kaldi: log-mel energies with Kaldi's numbers as defaults, and 80 bands.

The only difference between `fbank` and `log_mel` is the defaults. Dither is always 0: the same audio gives the same
features. As in Kaldi, a clip shorter than one window has no frames, and a rest at the end that fills none is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from earnest.frontends import log_mel
from earnest.frontends._framing import NotNegative, PadMode, Positive, WindowName
from earnest.frontends._mel import MelShape

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "kaldi": {"bands": 23, "scale": 32768.0},
    # torchaudio.compliance.kaldi.fbank(y), whose default is 23 bands on samples as they come
    "torchaudio": {"bands": 23, "scale": 1.0},
}


@dataclass(frozen=True)
class Config(log_mel.Config):
    """Filter bank numbers; see `FrameConfig`, `MelConfig` and `LogConfig` for what each means.

    `scale` brings audio in -1…1 to the range of 16-bit integers, in which Kaldi works and its floor is meant.
    """

    pad: PadMode = "none"
    window: WindowName = "povey"
    periodic: bool = False
    pre_emphasis: float = 0.97
    remove_dc: bool = True
    scale: Positive = 32768.0
    bands: int = 80
    f_min: NotNegative = 20.0
    mel_shape: MelShape = "mel"
    floor: Positive = 1.0
    floor_mode: Literal["clamp", "add"] = "clamp"


class FrontEnd(log_mel.FrontEnd):
    """(batch, samples) → (batch, frames, bands), frame t from sample t × hop on.

    Raises
    ------
    RecipeError : the numbers do not fit together at this sample rate.
    """
