"""An ONNX network with the same numbers in fewer and plainer operations, for runtimes and for 8 bits.

    what stands on weights alone                        is a weight
    batch norm behind a convolution (and mean pools)    goes into the convolution's weights
    mean over k × k cells behind a convolution          is a convolution with a stride of k
    mean over the whole image                           is global pooling, which has an operator in 8 bits
    ReLU before a maximum pool                          comes behind it

The exporter does not look at weights (`earnest.shipping.onnx`), so all of this is still to be done. The result differs
from the network by rounding only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime

from earnest.errors import BundleError
from earnest.runtime.engines.onnx import FAILURES, first_line

Numbers = npt.NDArray[np.float64]


def fold_constants(network: Path, out: Path) -> None:
    """Write the network with everything computed that stands on weights alone.

    ONNX Runtime's basic optimisations do this, and put batch norms into the convolutions right before them; its further
    ones would tie the file to this processor.

    Raises
    ------
    BundleError : ONNX Runtime cannot load the network.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    except FAILURES as problem:
        raise BundleError(f"onnxruntime cannot simplify this network: {first_line(problem)}") from problem
    model = onnx.load(out)
    used = {"", *(node.domain for node in model.graph.node)}
    kept = [needed for needed in model.opset_import if needed.domain in used]
    del model.opset_import[:]  # it names every domain that it knows
    model.opset_import.extend(kept)
    onnx.save(model, out)


def plain_forms(network: Path, out: Path) -> None:
    """Write the network, its constants folded before, in the forms that 8 bits want."""
    model = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.load(network)))
    for operator, step in STEPS.items():
        for node in [node for node in model.graph if node.op_type == operator]:
            step(model.graph, node)
    model.graph.sort()
    unused = [name for name, value in model.graph.initializers.items() if not value.uses()]
    for name in unused:
        model.graph.initializers.pop(name)
    plain = ir.to_proto(model)
    del plain.graph.value_info[:]  # a value that was moved has another size
    onnx.save(onnx.shape_inference.infer_shapes(plain), out)


def one_channel(convolution: ir.Node) -> bool:
    """Whether a convolution looks at a single channel: the first one over a spectrogram."""
    weight = _numbers(convolution.inputs[1])
    return weight is not None and weight.shape[1] == 1 and convolution.attributes.get_int("group", 1) == 1


def _norm_into_convolution(graph: ir.Graph, norm: ir.Node) -> None:
    """Convolution → mean pools → batch norm: means keep scale and shift, so the norm may come before them."""
    source = _maker(norm.inputs[0])
    while source is not None and source.op_type == "AveragePool" and not any(source.attributes.get_ints("pads", ())):
        source = _maker(source.inputs[0])
    statistics = [_numbers(value) for value in norm.inputs[1:5]]
    weight = _weight(source)
    if source is None or weight is None or any(each is None for each in statistics):
        return
    gain, offset, mean, variance = (each for each in statistics if each is not None)
    scale = gain / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
    bias = _numbers(source.inputs[2]) if len(source.inputs) > 2 else None
    moved = (0.0 if bias is None else bias) - mean
    _set_weights(graph, source, weight * scale.reshape(-1, *(1,) * (weight.ndim - 1)), moved * scale + offset)
    norm.outputs[0].replace_all_uses_with(_input(norm))
    graph.remove(norm, safe=True)


def _mean_into_convolution(graph: ir.Graph, pool: ir.Node) -> None:
    """Convolution → mean over k cells, every k cells: one convolution whose kernel is smeared over k cells."""
    source, sizes = _maker(pool.inputs[0]), pool.attributes
    weight, cells = _weight(source), tuple(sizes.get_ints("kernel_shape", ()))
    if source is None or weight is None or pool.outputs[0].is_graph_output():
        return
    apart = tuple(sizes.get_ints("strides", (1,) * len(cells))) == cells
    whole = not any(sizes.get_ints("pads", ())) and not sizes.get_int("ceil_mode", 0)
    if not (apart and whole) or {*_steps(source, "strides"), *_steps(source, "dilations")} != {1}:
        return
    kernel = weight.shape[2:]
    wide = np.zeros((*weight.shape[:2], *(size + cell - 1 for size, cell in zip(kernel, cells, strict=True))))
    for start in np.ndindex(*cells):
        place = [slice(at, at + size) for at, size in zip(start, kernel, strict=True)]
        wide[:, :, *place] += weight / np.prod(cells)
    bias = _numbers(source.inputs[2]) if len(source.inputs) > 2 else None
    _set_weights(graph, source, wide, np.zeros(len(wide)) if bias is None else bias)
    source.attributes.update(
        {"strides": ir.AttrInt64s("strides", cells), "kernel_shape": ir.AttrInt64s("kernel_shape", wide.shape[2:])}
    )
    pool.outputs[0].replace_all_uses_with(_input(pool))
    graph.remove(pool, safe=True)


def _mean_into_pool(graph: ir.Graph, mean: ir.Node) -> None:
    """Mean over all axes behind the channels: global pooling, and the axes of one cell taken away."""
    shape, axes = _input(mean).shape, _numbers(mean.inputs[1]) if len(mean.inputs) > 1 else None
    if shape is None or axes is None or len(shape) < 3 or mean.outputs[0].is_graph_output():
        return
    if sorted(int(axis) % len(shape) for axis in axes.ravel()) != list(range(2, len(shape))):
        return
    pool = ir.node("GlobalAveragePool", [_input(mean)], name=f"{mean.name}/pool")
    flat = ir.node("Flatten", pool.outputs, {"axis": 1}, name=f"{mean.name}/flat")
    last = pool if mean.attributes.get_int("keepdims", 1) else flat
    graph.insert_before(mean, [pool] if last is pool else [pool, flat])
    mean.outputs[0].replace_all_uses_with(last.outputs[0])
    graph.remove(mean, safe=True)


def _rectify_later(graph: ir.Graph, relu: ir.Node) -> None:
    """One-channel convolution → ReLU → maximum pool: the pool first.

    That convolution stays in float32. With the ReLU before the pool ONNX Runtime would put the change to 8 bits before
    the pool too, whose 8-bit form is slow.
    """
    source = _maker(relu.inputs[0])
    if source is None or source.op_type != "Conv" or not one_channel(source):
        return
    rectified = relu.outputs[0]
    while len(rectified.uses()) == 1 and (pool := rectified.consumers()[0]).op_type == "MaxPool":
        pooled = pool.outputs[0]
        if pooled.is_graph_output():
            return
        pooled.replace_all_uses_with(rectified)
        pool.replace_input_with(0, _input(relu))
        relu.replace_input_with(0, pooled)


STEPS = {
    "BatchNormalization": _norm_into_convolution,
    "AveragePool": _mean_into_convolution,
    "ReduceMean": _mean_into_pool,
    "Relu": _rectify_later,
}


def _input(node: ir.Node) -> ir.Value:
    """A node's first input."""
    value = node.inputs[0]
    if value is None:
        raise BundleError(f"the operation {node.name} has no input.", "Report this with your recipe.")
    return value


def _maker(value: ir.Value | None) -> ir.Node | None:
    """The node that makes a value, if nothing else takes it."""
    if value is None or len(value.uses()) != 1 or value.is_graph_output():
        return None
    return value.producer()


def _numbers(value: ir.Value | None) -> Numbers | None:
    """A weight's numbers; None for a value that is computed."""
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy().astype(np.float64)


def _weight(node: ir.Node | None) -> Numbers | None:
    """A convolution's kernel (outputs, inputs per group, …); None for all else."""
    return _numbers(node.inputs[1]) if node is not None and node.op_type == "Conv" else None


def _steps(convolution: ir.Node, name: str) -> tuple[int, ...]:
    return tuple(convolution.attributes.get_ints(name, (1,)))


def _set_weights(graph: ir.Graph, convolution: ir.Node, weight: Numbers, bias: Numbers) -> None:
    """Give a convolution other numbers, as weights of its own."""
    convolution.resize_inputs(3)
    for place, (kind, numbers) in enumerate((("weight", weight), ("bias", bias)), start=1):
        name = f"{convolution.outputs[0].name}/{kind}"
        graph.initializers.pop(name, None)
        value = ir.Value(name=name, const_value=ir.tensor(numbers.astype(np.float32), name=name))
        graph.register_initializer(value)
        convolution.replace_input_with(place, value)
