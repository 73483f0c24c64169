"""eGeMAPS: 88 functionals of voice, by openSMILE; see `_opensmile` for what that means.

F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for Voice Research and Affective Computing",
IEEE Transactions on Affective Computing 7(2), 2016; version 02 of the extended set.
"""

from __future__ import annotations

from dataclasses import dataclass

from earnest.frontends._opensmile import Functionals


@dataclass(frozen=True)
class Config:
    """Nothing to choose: the extended Geneva set is fixed."""


class FrontEnd(Functionals):
    """(batch, samples) → (batch, 1, 88).

    Raises
    ------
    MissingExtra : the package opensmile is not installed.
    """

    def __init__(self, config: Config, sample_rate: int) -> None:
        super().__init__(config, sample_rate, "eGeMAPSv02")
