"""What a run was made with: versions, machine, threads, precision."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from earnest import __version__
from earnest.recipe import Recipe

PACKAGES = ("torch", "accelerate", "numpy", "polars", "scikit-learn", "soundfile", "soxr", "onnx", "onnxruntime")


def environment(recipe: Recipe) -> dict[str, Any]:
    """The content of `environment.json`."""
    import torch

    from earnest.training.loop import precision

    return {
        "earnest": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": recipe.training.threads,
        "precision": {"no": "fp32"}.get(precision(recipe.training), precision(recipe.training)),
        "packages": {name: version(name) for name in PACKAGES},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def version(package: str) -> str | None:
    """Installed version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
            return next(named, platform.processor())
    except OSError:
        return platform.processor() or platform.machine()
