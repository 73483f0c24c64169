"""ComParE: 6373 functionals of sound, by openSMILE; see `_opensmile` for what that means.

B. Schuller et al., "The INTERSPEECH 2016 Computational Paralinguistics Challenge"; the set is that of 2013 on.
"""

from __future__ import annotations

from dataclasses import dataclass

from earnest.frontends._opensmile import Functionals


@dataclass(frozen=True)
class Config:
    """Nothing to choose: the ComParE set of 2016 is fixed."""


class FrontEnd(Functionals):
    """(batch, samples) → (batch, 1, 6373).

    Raises
    ------
    MissingExtra : the package opensmile is not installed.
    """

    def __init__(self, config: Config, sample_rate: int) -> None:
        super().__init__(config, sample_rate, "ComParE_2016")
