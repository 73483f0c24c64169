"""Networks as TFLite files, by litert-torch in a process of its own.

    network ─ fold ─► torch.export ─ child process: litert-torch ─► TFLite, float32, one size of input, a batch of one

litert-torch asks for versions of small packages that exclude those of Earnest. What it takes to convert runs well
beside them, though: eleven pinned packages in a folder of their own in the user's cache, seen by the child alone. The
first conversion fetches them (about 785 MB); where litert-torch is installed beside Earnest, that one is used.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from earnest.errors import BundleError, StorageError
from earnest.files import cache_folder, storage_error
from earnest.shipping.folded import fold

PINS = Path(__file__).with_name("litert_pins.txt")
CHILD = """
import sys, numpy, torch, litert_torch
program = torch.export.load(sys.argv[1])
inputs = program.example_inputs[0]
model = litert_torch.convert(program.module(), inputs)
model.export(sys.argv[2])
numpy.save(sys.argv[3], model(*[value.numpy() for value in inputs]))
"""
TOLERANCE = 1e-3
LACKING = re.compile(r"(?:Lowering not found: |failed to legalize operation '|Unsupported op[^:]*: )([\w.:]+)")


def convert(module: nn.Module, examples: tuple[torch.Tensor, ...], path: Path) -> None:
    """Write a module as a TFLite file.

    Parameters
    ----------
    module : in evaluation mode.
    examples : its inputs, of the sizes that the file will take; the file must give the module's numbers for them.
    path : the file to write.

    Raises
    ------
    BundleError : the module has an operator that TFLite lacks (named where the converter names it), or the file gives
        other numbers than the module (largest difference above 1e-3, or 1e-3 of the largest score above one).
    StorageError : the converter is not there and cannot be fetched.
    """
    place = converter()
    with torch.no_grad():
        expected = module(*examples).numpy()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        exported, given = Path(folder) / "network.pt2", Path(folder) / "scores.npy"
        torch.export.save(torch.export.export(fold(module, examples), examples), exported)
        done = _run_child([str(exported), str(path), str(given)], place)
        if done.returncode or not given.is_file():
            raise BundleError(
                f"TensorFlow Lite cannot hold this network: {_reason(done.stderr)}", "Choose another kind of file."
            )
        difference = float(np.abs(np.load(given) - expected).max()) / max(1.0, float(np.abs(expected).max()))
    if not difference <= TOLERANCE:
        raise BundleError(
            f"TensorFlow Lite gives other numbers than this network: {difference:.2g} apart (limit {TOLERANCE:g}).",
            "Choose another kind of file.",
        )


def _run_child(arguments: Sequence[str], place: Path | None) -> subprocess.CompletedProcess[str]:
    """The conversion, with the converter's packages in sight."""
    given = os.environ.get("PYTHONPATH")
    paths = [*([str(place)] if place else []), *([given] if given else [])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", CHILD, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def converter() -> Path | None:
    """The folder with the converter's packages, made if it is not there; None where litert-torch is installed.

    Raises
    ------
    StorageError : pip cannot fetch the packages, or the folder cannot be written.
    """
    if importlib.util.find_spec("litert_torch"):
        return None
    place = converter_folder()
    if not place.is_dir():
        _install(place)
    return place


def converter_folder() -> Path:
    """Where the converter's packages lie: a folder for each list of packages and Python."""
    key = hashlib.sha256(PINS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return cache_folder() / "tools" / f"litert-{key}"


def _install(place: Path) -> None:
    """Fetch the pinned packages into a folder that is whole or not there at all."""
    print(f"Fetching the converter to TFLite into {place} (about 785 MB, once) ...", file=sys.stderr)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
    except OSError as problem:
        raise storage_error(place, problem) from problem
    packages = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    command = [*packages, "--target", str(new), "--requirement", str(PINS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or "pip gave no reason").splitlines()[-1]
            raise StorageError(
                f"the converter to TFLite, litert-torch, could not be fetched: {last}",
                f"Run this where the package index can be reached: {' '.join([*packages, '--target', str(place)])} "
                f"--requirement {PINS}",
            )
        if not place.is_dir():
            new.rename(place)
    except OSError as problem:
        raise storage_error(place, problem) from problem
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _reason(said: str) -> str:
    """What a failed conversion lacks, or its error."""
    lacking = list(dict.fromkeys(LACKING.findall(said)))
    if lacking:
        return f"it lacks the operator{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}."
    errors = re.findall(r"^[\w.]*(?:Error|Exception|Interrupt)\b.*", said, re.MULTILINE)
    return errors[-1] if errors else said.strip().rpartition("\n")[2] or "the converter ended without a word."
