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
import warnings
from pathlib import Path

import torch
from torch import nn

from earnest.errors import BundleError, StorageError
from earnest.files import cache_folder, storage_error
from earnest.shipping.folded import fold

PINS = Path(__file__).with_name("litert_pins.txt")
CHILD = """
import sys, torch, litert_torch
program = torch.export.load(sys.argv[1])
litert_torch.convert(program.module(), program.example_inputs[0]).export(sys.argv[2])
"""
LACKING = re.compile(r"(?:Lowering not found: |failed to legalize operation '|Unsupported op[^:]*: )([\w.:]+)")


def convert(module: nn.Module, examples: tuple[torch.Tensor, ...], path: Path) -> None:
    """Write a module as a TFLite file.

    Parameters
    ----------
    module : in evaluation mode.
    examples : its inputs, of the sizes that the file will take.
    path : the file to write.

    Raises
    ------
    BundleError : the module has an operator that TFLite lacks (named where the converter names it).
    StorageError : the converter is not there and cannot be fetched.
    """
    place = converter()
    program = torch.export.export(fold(module, examples), examples)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        exported = Path(folder) / "network.pt2"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of any two weights that are equal
            torch.export.save(program, exported)
        paths = [str(place)] if place else []
        given = os.environ.get("PYTHONPATH")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([*paths, *([given] if given else [])])}
        command = [sys.executable, "-c", CHILD, str(exported), str(path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not path.is_file():
        raise BundleError(f"TFLite cannot hold this network: {_reason(done.stderr)}", "Choose another kind of file.")


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
    """What a failed conversion lacks, or its last words."""
    lacking = list(dict.fromkeys(LACKING.findall(said)))
    if lacking:
        return f"it lacks the operator{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}."
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "the converter ended without a word."
