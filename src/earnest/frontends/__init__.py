"""Front ends: samples in, features out. One file per front end; its name is its registration.

A front end is a frozen dataclass `Config` of plain numbers and a module `FrontEnd`, which takes audio (batch, samples)
to features (batch, frames, bands); `channels` gives a tuple of them, for models that fuse several. A part may offer
`PRESETS`: named sets of numbers that reproduce another library.
"""

from __future__ import annotations

from typing import Any

from earnest import registry
from earnest.errors import RecipeError, did_you_mean
from earnest.frontends._base import Features, FrontEnd, Size, per_channel
from earnest.recipe import Part, configure

__all__ = ["Features", "FrontEnd", "Size", "build", "per_channel", "resolve"]


def resolve(part: Part) -> Any:
    """The numbers of a front end: its defaults, then its preset, then the recipe's own options.

    Parameters
    ----------
    part : name and options; the option `preset` names a set of numbers, which the other options override.

    Returns
    -------
    The part's frozen `Config`, in which no preset is left to look up.

    Raises
    ------
    RecipeError : the front end, the preset or an option is unknown (close names are given), or a value is wrong.
    """
    module = registry.load("frontends", part.name)
    options = dict(part.options)
    preset = options.pop("preset", None)
    if preset is not None:
        presets = getattr(module, "PRESETS", {})
        if preset not in presets:
            raise RecipeError(f"frontend {part.name}: unknown preset {preset!r}.", did_you_mean(str(preset), presets))
        options = {**presets[preset], **options}
    return configure(module.Config, options, f"frontend {part.name}")


def build(part: Part, sample_rate: int) -> FrontEnd:
    """Make a front end from a recipe's part.

    Parameters
    ----------
    part : name and options, as in `frontend: {name: log_mel, bands: 80}`.
    sample_rate : samples per second (Hz) of the audio it will take.

    Raises
    ------
    RecipeError : something is unknown, or the numbers do not fit together at this sample rate.
    """
    module = registry.load("frontends", part.name)
    frontend: FrontEnd = module.FrontEnd(resolve(part), sample_rate)
    return frontend
