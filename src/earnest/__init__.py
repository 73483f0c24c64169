"""Earnest, an honest audio lab: from recordings to a model whose score can be trusted, and that runs anywhere with it.

The names below are the public ones; each is imported when it is first asked for, so that `import earnest` is quick and
using a model needs no PyTorch.

>>> import earnest
>>> predictor = earnest.Predictor("runs/fsdd/bundle")  # doctest: +SKIP
>>> predictor.predict("recording.wav").label  # doctest: +SKIP
'seven'
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earnest.corpora import open_table
    from earnest.errors import AudioError, BundleError, DataError, EarnestError, LeakError, RecipeError
    from earnest.journey import run
    from earnest.leaks import audit
    from earnest.recipe import Recipe
    from earnest.recipe import load as load_recipe
    from earnest.runtime import Bundle, Event, Prediction, Predictor, Streamer
    from earnest.splits import Folds, make_folds
    from earnest.table import Table

__version__ = "0.1.0"

# ONNX Runtime's wheels can report to their maker from version 1.31 on; here nothing does unless the user says so.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "AudioError",
    "Bundle",
    "BundleError",
    "DataError",
    "EarnestError",
    "Event",
    "Folds",
    "LeakError",
    "Prediction",
    "Predictor",
    "Recipe",
    "RecipeError",
    "Streamer",
    "Table",
    "__version__",
    "audit",
    "load_recipe",
    "make_folds",
    "open_table",
    "run",
]

# Public name → the module it lives in, and its name there where that differs.
_HOMES = {
    "AudioError": ("errors", ""),
    "Bundle": ("runtime", ""),
    "BundleError": ("errors", ""),
    "DataError": ("errors", ""),
    "EarnestError": ("errors", ""),
    "Event": ("runtime", ""),
    "Folds": ("splits", ""),
    "LeakError": ("errors", ""),
    "Prediction": ("runtime", ""),
    "Predictor": ("runtime", ""),
    "Recipe": ("recipe", ""),
    "RecipeError": ("errors", ""),
    "Streamer": ("runtime", ""),
    "Table": ("table", ""),
    "audit": ("leaks", ""),
    "load_recipe": ("recipe", "load"),
    "make_folds": ("splits", ""),
    "open_table": ("corpora", ""),
    "run": ("journey", ""),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        from earnest.errors import did_you_mean

        raise AttributeError(f"earnest has no {name!r}. {did_you_mean(name, __all__)}")
    import importlib

    module, own_name = _HOMES[name]
    return getattr(importlib.import_module(f"earnest.{module}"), own_name or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
