"""`model.fp16.onnx`: ONNX with the network's weights in half precision, about half the size.

Weights are stored in half precision, each behind a cast that ONNX Runtime works out when it loads the file: it computes
in float32 as ever, at the same speed on every processor. What computes in half precision (graphics processors) can be
made from `model.onnx` by its own tools. Kept in float32 are the front end, whose filters decide quiet sounds; vectors
(biases, statistics of norms), which are small in size and large in effect; and what half precision cannot hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from earnest.shipping.join import join_in_line
from earnest.shipping.source import Source

FILE = "model.fp16.onnx"
SUMMARY = "ONNX, the network's weights in half precision"


def write(source: Source, windows: Sequence[np.ndarray], folder: Path) -> dict[str, Path]:
    """Store the weights of the network behind the front end in half precision, and join both again."""
    head, network = source.write_parts(folder)
    half, whole = folder / "half.onnx", folder / FILE
    model = onnx.load(network)
    halve(model.graph)
    onnx.save(model, half)
    join_in_line(head, half, whole)
    return {FILE: whole}


def halve(graph: onnx.GraphProto) -> None:
    """Put matrices and kernels in half precision, each with a cast to what it was in front of all that takes it."""
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        exact = onnx.numpy_helper.to_array(tensor)
        if np.abs(exact).max(initial=0.0) > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(exact.astype(np.float16), f"{name}/half"))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], f"{name}/cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
