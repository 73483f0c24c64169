"""`model.ncnn.param` and `model.ncnn.bin`: ncnn, for phones and boards, normalised features in, float32.

    network ─ torch.jit.trace ─► pnnx ─► param, bin ─ run in a process of its own ─► the same scores, or an error

The file holds one length of windows, and engines fill shorter clips up. ncnn has no operator to cut frames with, so
`frontend.onnx` lies beside the file and feeds it; on a device without ONNX Runtime the front end in C does. pnnx drops
operators that it cannot write and ends as if nothing had happened, and ncnn dies of some of the files that it then
gets: so what pnnx says is read, and the first run is in another process.
"""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from earnest.errors import BundleError, MissingExtra
from earnest.runtime.engines import FRONTEND
from earnest.runtime.engines.tflite import filled
from earnest.shipping.parity import LIMIT
from earnest.shipping.source import Source

FILE = "model.ncnn.param"
WEIGHTS = "model.ncnn.bin"
SUMMARY = "ncnn, features in"
TRIED = 4  # windows that the file is compared with the network on
LONGEST_S = 600
RUN = """
import sys
from pathlib import Path
import numpy as np
from earnest.runtime.engines.ncnn import Network

folder = Path(sys.argv[1])
network = Network(folder / sys.argv[2], folder / sys.argv[3], 1)
channels = np.load(folder / "features.npz").values()
np.save(folder / "scores.npy", np.stack([network(one) for one in zip(*channels, strict=True)]))
"""


def write(source: Source, windows: Sequence[np.ndarray], folder: Path) -> dict[str, Path]:
    """Convert the network behind the front end, and compare both on some of the windows."""
    pnnx = _pnnx()
    head, _ = source.write_parts(folder)
    filled_up = [filled(window, source.inputs.window) for window in windows[:TRIED]]
    inputs = [source.features(torch.from_numpy(window)[None]) for window in filled_up]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        _convert(pnnx, source.network, inputs[0], Path(place))
        _compare(source.network, inputs, Path(place))
        for name in (FILE, WEIGHTS):
            (Path(place) / name).rename(folder / name)
    return {FILE: folder / FILE, WEIGHTS: folder / WEIGHTS, FRONTEND: head}


def _pnnx() -> Path:
    """Where the converter lies. It is a program of its own; its Python package is not imported."""
    for package in ("pnnx", "ncnn"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, "edge", "Writing a file of ncnn")
    spec = importlib.util.find_spec("pnnx")
    places = (spec.submodule_search_locations if spec else None) or []
    found = [path for place in places for path in sorted(Path(place).glob("pnnx*")) if path.stem == "pnnx"]
    if not found:
        raise BundleError(f"the package pnnx in {places} holds no program pnnx.", "Install it again: pip install pnnx")
    return found[0]


def _convert(pnnx: Path, network: nn.Module, example: Sequence[torch.Tensor], place: Path) -> None:
    """`model.ncnn.param` and `model.ncnn.bin` in a folder."""
    _trace(network, tuple(example), place / "model.pt")
    shapes = ",".join(f"[{','.join(map(str, channel.shape))}]f32" for channel in example)
    try:
        done = subprocess.run(
            [str(pnnx), "model.pt", f"inputshape={shapes}", "fp16=0"],
            cwd=place,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise BundleError(f"pnnx did not finish within {LONGEST_S} s on this network.") from problem
    said = (done.stdout + done.stderr).splitlines()
    lacking = [line.strip() for line in said if "not supported" in line or line.startswith("ignore ")]
    if lacking:
        raise BundleError(f"ncnn lacks an operator of this network; pnnx says: {'; '.join(dict.fromkeys(lacking))}")
    if done.returncode != 0 or not all((place / name).is_file() for name in (FILE, WEIGHTS)):
        last = next((line for line in reversed(said) if line.strip()), "nothing")
        raise BundleError(f"pnnx cannot convert this network; {_ending(done.returncode)}, and its last words: {last}")


def _trace(network: nn.Module, example: tuple[torch.Tensor, ...], out: Path) -> None:
    """Write the network as TorchScript.

    pnnx knows recurrent layers only as modules, so the network itself is traced; where it asks for the larger of two
    sizes, which that tracer cannot follow, its exported program is.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch would rather have torch.export, which pnnx reads less of
        try:
            traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        except (AssertionError, TypeError, RuntimeError):  # what torch.sym_max says to that tracer
            program = torch.export.export(network, example).module()
            traced = torch.jit.trace(program, example, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, out)


def _compare(network: nn.Module, inputs: Sequence[Sequence[torch.Tensor]], place: Path) -> None:
    """The file, run in another process, gives the network's scores."""
    channels = [torch.cat(channel).numpy() for channel in zip(*inputs, strict=True)]
    np.savez(place / "features.npz", *channels)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(place), FILE, WEIGHTS], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or not (place / "scores.npy").is_file():
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        layers = [line for line in said if line.startswith("layer ")]
        told = "; ".join(layers) or (said[-1] if said else "nothing")
        raise BundleError(f"ncnn cannot run this network; {_ending(done.returncode)}, and said: {told}")
    with torch.no_grad():
        expected = np.concatenate([network(*features).numpy() for features in inputs])
    given = np.load(place / "scores.npy")
    unit = max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(given - expected).max()) / unit if given.shape == expected.shape else float("inf")
    if not difference <= LIMIT:
        raise BundleError(
            f"ncnn gives other scores than this network: they differ by {difference:.2g} (limit {LIMIT:g})."
        )


def _ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"it ended with code {code}"
    known = code in (-int(each) for each in signal.Signals)
    return f"it died of {signal.Signals(-code).name if known else f'signal {-code}'}"
