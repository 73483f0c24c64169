"""Filter banks as in Kaldi: log-mel energies with Kaldi's numbers as defaults, and 80 bands.

The only difference between `fbank` and `log_mel` is the defaults. There is no dither: the same audio gives the same
features. As in Kaldi, a clip shorter than one window has no frames, and a rest at the end that fills none is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from earnest.frontends import log_mel
from earnest.frontends._framing import NotNegative, PadMode, Positive, WindowName
from earnest.frontends._mel import MelShape

EPSILON = 1.1920928955078125e-07
"""Kaldi's floor: the step of single precision at 1."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # compute-fbank-feats --dither=0
    "kaldi": {"bands": 23, "floor": EPSILON},
    # torchaudio.compliance.kaldi.fbank(y), whose default is 23 bands on samples as they come
    "torchaudio": {"bands": 23, "floor": EPSILON, "scale": 1.0},
}


@dataclass(frozen=True)
class Config(log_mel.Config):
    """Filter bank numbers; see `log_mel.Config` for what each means.

    `scale` brings audio in -1…1 to the range of 16-bit integers, in which Kaldi works. The default `floor` of 100 is
    about the energy that rounding to 16 bits leaves in a band; below it, features would follow rounding, not sound.
    Kaldi's own floor (preset `kaldi`) only keeps digital silence finite.
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
    floor: Positive = 100.0
    floor_mode: Literal["clamp", "add"] = "clamp"


class FrontEnd(log_mel.FrontEnd):
    """(batch, samples) → (batch, frames, order × bands), frame t from sample t × hop on.

    Raises
    ------
    RecipeError : the numbers do not fit together at this sample rate.
    """
