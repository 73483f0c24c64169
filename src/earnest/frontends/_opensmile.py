"""Functionals by openSMILE: one row of numbers per clip, from the Python package (extra `opensmile`).

F. Eyben, M. Wöllmer, B. Schuller, "openSMILE", ACM Multimedia 2010. openSMILE is a program of its own and cannot become
part of an exported model, so a run on it scores and reports but ships no bundle. Its licence allows research and
private use; commercial use needs one of audEERING's.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import torch

from earnest.errors import MissingExtra
from earnest.frontends._base import FrontEnd

SHORTEST_S = 0.0625
"""Below some 60 ms openSMILE has no frame for its slowest descriptors and gives NaN."""


class Functionals(FrontEnd):
    """(batch, samples) → (batch, 1, functionals), without a gradient.

    Parameters
    ----------
    config : the part's own frozen dataclass.
    sample_rate : in Hz; openSMILE takes any.
    feature_set : its name in `opensmile.FeatureSet`.

    Raises
    ------
    MissingExtra : the package opensmile is not installed.
    """

    exportable = False

    def __init__(self, config: Any, sample_rate: int, feature_set: str) -> None:
        super().__init__(config, sample_rate)
        try:
            opensmile = importlib.import_module("opensmile")
        except ModuleNotFoundError as error:
            raise MissingExtra(
                "opensmile", "opensmile", f"The front end {type(self).__module__.split('.')[-1]}"
            ) from error
        self.smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)
        self.bands = len(self.smile.feature_names)
        self.min_samples = math.ceil(SHORTEST_S * sample_rate)

    def frames_for(self, samples: int) -> int:
        """Always one."""
        return 1

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Functionals of each clip; (batch, samples) → (batch, 1, functionals).

        Raises
        ------
        DataError : the audio is not (batch, samples) floats, or shorter than `min_samples`.
        """
        self.check(audio)
        clips = audio.detach().float().cpu().numpy()
        rows = [self.smile.process_signal(clip, self.sample_rate).to_numpy()[0] for clip in clips]
        return torch.from_numpy(np.stack(rows).astype(np.float32)).to(audio.device).unsqueeze(1)
