"""`model.xml` and `model.bin`: OpenVINO, for processors and graphics of Intel, audio in, float32.

Read from ONNX by OpenVINO itself. What stands on weights alone is worked out before: its reader wants the weights of
recurrent layers as they are, not as something that is computed from them. Weights stay in float32; in half precision
those of the front end would cost up to 0.07 of a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from earnest.errors import BundleError
from earnest.runtime.engines.openvino import openvino_alone
from earnest.shipping.join import join_in_line
from earnest.shipping.simplify import fold_constants
from earnest.shipping.source import Source

FILE = "model.xml"
WEIGHTS = "model.bin"
SUMMARY = "OpenVINO, audio in"


def write(source: Source, windows: Sequence[np.ndarray], folder: Path) -> dict[str, Path]:
    """Join front end and simplified network, and have OpenVINO read and write them."""
    openvino = openvino_alone("Writing a file of OpenVINO")
    head, network = source.write_parts(folder)
    folded, whole = folder / "folded.onnx", folder / "whole.onnx"
    fold_constants(network, folded)
    join_in_line(head, folded, whole)
    try:
        model = openvino.Core().read_model(whole)
        openvino.save_model(model, folder / FILE, compress_to_fp16=False)
    except RuntimeError as problem:
        told = [line.strip() for line in str(problem).splitlines() if line.strip()]
        raise BundleError(f"OpenVINO cannot read this network: {' '.join(told[:6])[:400]}") from problem
    return {FILE: folder / FILE, WEIGHTS: folder / WEIGHTS}
