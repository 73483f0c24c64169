"""`model.fp16.onnx`: ONNX with the network's weights and arithmetic in half precision, half the size.

The front end stays in float32: the squares of quiet sounds are below the smallest number of half precision. Made for
graphics processors and phones; on a processor without half precision ONNX Runtime computes in float32 and only the file
is smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from earnest.shipping.join import join_in_line
from earnest.shipping.source import Source

FILE = "model.fp16.onnx"
SUMMARY = "ONNX, the network in half precision"


def write(source: Source, windows: Sequence[np.ndarray], folder: Path) -> dict[str, Path]:
    """Convert the network behind the front end, and join both again."""
    head, network = source.write_parts(folder)
    half, whole = folder / "half.onnx", folder / FILE
    model = convert_float_to_float16(onnx.load(network), keep_io_types=True, disable_shape_infer=False)
    sorted_model = OnnxModel(model)
    sorted_model.topological_sort()  # the converter puts its casts at the end
    onnx.save(sorted_model.model, half)
    join_in_line(head, half, whole)
    return {FILE: whole}
