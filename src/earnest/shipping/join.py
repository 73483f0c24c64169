"""ONNX graphs put together: side by side, their scores averaged, or one behind the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from earnest.files import atomic_path
from earnest.runtime.engines.onnx import INPUT, OUTPUT


def join_mean(parts: Sequence[Path], out: Path) -> None:
    """Write files that take the same audio as one that gives the mean of their scores."""
    prefixed = [onnx.compose.add_prefix(onnx.load(path), f"member{number}/") for number, path in enumerate(parts)]
    opsets: dict[str, int] = {}
    for model in prefixed:
        opsets |= {needed.domain: needed.version for needed in model.opset_import}
    first = prefixed[0].graph
    audio, scores = onnx.ValueInfoProto(), onnx.ValueInfoProto()
    audio.CopyFrom(first.input[0])
    scores.CopyFrom(first.output[0])
    audio.name, scores.name = INPUT, OUTPUT
    nodes = []
    for model in prefixed:
        nodes.append(onnx.helper.make_node("Identity", [INPUT], [model.graph.input[0].name]))
        nodes.extend(model.graph.node)
    nodes.append(onnx.helper.make_node("Mean", [model.graph.output[0].name for model in prefixed], [OUTPUT]))
    graph = onnx.helper.make_graph(
        nodes,
        "ensemble",
        [audio],
        [scores],
        [tensor for model in prefixed for tensor in model.graph.initializer],
        value_info=[info for model in prefixed for info in model.graph.value_info],
    )
    joined = onnx.helper.make_model(
        graph,
        functions=[function for model in prefixed for function in model.functions],
        opset_imports=[onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()],
        ir_version=max(model.ir_version for model in prefixed),
    )
    onnx.helper.set_model_props(joined, {entry.key: entry.value for entry in prefixed[0].metadata_props})
    save(joined, out)


def join_in_line(head: Path, network: Path, out: Path) -> None:
    """Write a front end and the network behind it as one file: what the first gives, the second takes by its name."""
    first = onnx.compose.add_prefix(onnx.load(head), "head/")
    second = onnx.compose.add_prefix(onnx.load(network), "network/")
    domains = {needed.domain for needed in first.opset_import}
    first.opset_import.extend(needed for needed in second.opset_import if needed.domain not in domains)
    first.ir_version = second.ir_version = max(first.ir_version, second.ir_version)
    pairs = [(value.name.replace("network/", "head/", 1), value.name) for value in second.graph.input]
    joined = onnx.compose.merge_models(first, second, io_map=pairs)
    rename(joined.graph, {f"head/{INPUT}": INPUT, f"network/{OUTPUT}": OUTPUT})
    save(joined, out)


def rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give values of a graph other names, wherever they are made or used."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for ends in (node.input, node.output):
            ends[:] = [names.get(name, name) for name in ends]


def save(model: onnx.ModelProto, out: Path) -> None:
    """Write a model, the same bytes each time, and check its form."""
    with atomic_path(out) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(temporary), full_check=True)
