"""Checkpoints: tensors as safetensors, the rest as JSON, hashed, whole or not at all.

A checkpoint is two files. The tensors are written first, then the JSON, which holds their SHA-256: a checkpoint exists
only once its JSON does. The one before is kept, so that damage to the newest costs some epochs and not the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors

from earnest.errors import CheckpointError
from earnest.files import atomic_write_bytes, atomic_write_text


def save(directory: Path, name: str, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Write one checkpoint atomically.

    Parameters
    ----------
    directory : made if absent.
    name : file name without ending; writing it again replaces it.
    tensors : flat names → tensors (moved to the CPU).
    state : JSON values.

    Raises
    ------
    StorageError : no room, or the place cannot be written; what stood there before is intact.
    """
    directory.mkdir(parents=True, exist_ok=True)
    content = dump_tensors({key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()})
    digest = hashlib.sha256(content).hexdigest()
    # The tensors' file is named after their hash, so that replacing a checkpoint never touches the older one's bytes.
    atomic_write_bytes(directory / f"{name}-{digest[:16]}.safetensors", content)
    atomic_write_text(directory / f"{name}.json", json.dumps({"sha256": digest, "state": dict(state)}, indent=1))


def load(directory: Path, name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read one checkpoint and verify it.

    Raises
    ------
    CheckpointError : absent, or its bytes are not those that were written.
    """
    place = directory / f"{name}.json"
    try:
        record = json.loads(place.read_text(encoding="utf-8"))
        digest, state = record["sha256"], record["state"]
        content = (directory / f"{name}-{digest[:16]}.safetensors").read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint at {place}.", "Run the recipe again to train it.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{place} is damaged: {error}.", f"Delete {directory} and run the recipe again."
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise CheckpointError(
            f"{directory / name}: the weights are not those that were written (SHA-256 differs).",
            f"Delete {directory} and run the recipe again.",
        )
    try:
        return load_tensors(content), state
    except SafetensorError as error:
        raise CheckpointError(
            f"{directory / name}: {error}.", f"Delete {directory} and run the recipe again."
        ) from error


class History:
    """The two newest checkpoints of a training in progress."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def save(self, epoch: int, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
        """Write the state after an epoch; older ones than the previous are removed."""
        save(self.directory, f"epoch-{epoch:05d}", tensors, state)
        for old in self._names()[2:]:
            self._remove(old)

    def newest(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """The newest checkpoint that is whole, or None."""
        for name in self._names():
            try:
                return load(self.directory, name)
            except CheckpointError:
                self._remove(name)
        return None

    def clear(self) -> None:
        """Remove all of them: the training is finished."""
        for name in self._names():
            self._remove(name)

    def _names(self) -> list[str]:
        return sorted((path.stem for path in self.directory.glob("epoch-*.json")), reverse=True)

    def _remove(self, name: str) -> None:
        (self.directory / f"{name}.json").unlink(missing_ok=True)
        for path in self.directory.glob(f"{name}-*.safetensors"):
            path.unlink(missing_ok=True)
