"""Export a scored model to one self-contained ONNX file: raw audio in, probabilities out.

    module (batch, samples) → (batch, labels)  ─ torch.onnx.export ─►  graph without weights  ─ weights ─►  model.onnx
                                               ─ checks ─►  the same numbers at several lengths and batch sizes

Tracing takes seconds and does not look at the weights, so the folds of a run share one trace: its graph takes them as
inputs while it is simplified, and each fold's weights are then put in their places.

What was seen while exporting small models (convolution DFT, log, CNN, pooling) with torch 2.13 and dynamic samples:

- Exports well, and equals PyTorch at every length tried: framing by strided `conv1d` or `unfold`; lengths computed with
  `//`; reflect, replicate and constant padding; padding by `-n % hop`; masks from `arange`; max, average (also
  `ceil_mode`) and global pooling; mean, `var`, `std`, `sort`, `quantile`; `torch.stft` and `torch.fft.rfft`.
- A Python branch on a size (`if audio.shape[1] < n`) exports without a word the one side that the example took.
  So does adaptive pooling to more than one cell where the length is not divisible. Both are wrong at other lengths,
  and only running the file shows it; hence the check here. Dimensions given a name and a minimum do not help: the
  exporter turns such violations into nothing.
- `Tensor.median` along an axis has no conversion; `sort` and an index do the same.
- Adding a constant below 1e-8 is taken for adding zero and optimised away: log(x + 1e-9) becomes log(x), and digital
  silence becomes NaN. Front ends add 1 to x / floor instead, and the check here includes silence.
- An example batch of one clip is taken for a constant; the example here has two.
- `torch.stft` and `fft` become operators that few devices run and that are slower than a DFT by matrix products.
- The exporter talks on standard error (missing torchvision) and raises FutureWarning from its own inside, and it writes
  the stack trace of every operator, with the folders of this machine, into the file. All of that is removed here.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

import earnest
from earnest.errors import BundleError
from earnest.files import atomic_path
from earnest.runtime.engines.onnx import INPUT, OUTPUT

OPSET = 20
TOLERANCE = 1e-4
_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


@dataclass(frozen=True)
class Ends:
    """What a module takes and gives.

    Attributes
    ----------
    examples : name of an input → an example of it, whose first axis is the batch.
    free : for each input, axis → name of the axes (beside the batch) that may be of any size.
    outputs : names of what comes out.
    """

    examples: Mapping[str, torch.Tensor]
    free: tuple[Mapping[int, str], ...]
    outputs: tuple[str, ...] = (OUTPUT,)

    @classmethod
    def of_audio(cls, samples: int, dynamic: bool, outputs: tuple[str, ...] = (OUTPUT,)) -> Ends:
        """Audio (batch, samples) in."""
        example = torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
        return cls({INPUT: example}, ({1: "samples"} if dynamic else {},), outputs)


def export_onnx(
    module: nn.Module,
    path: Path,
    *,
    example_samples: int,
    dynamic_samples: bool,
    min_samples: int | None = None,
    labels: Sequence[str] = (),
    sample_rate: int | None = None,
    traces: Path | None = None,
) -> None:
    """Write a module as one ONNX file with its weights inside, and check the file against the module.

    The input is `audio` float32 (batch, samples), the output `scores` float32 (batch, labels). The same module gives
    the same bytes each time. The file replaces an old one only when it is complete and checked.

    Parameters
    ----------
    module : audio (batch, samples) to scores (batch, labels), in evaluation mode.
    path : the file to write.
    example_samples : the length to trace with; the only length that the file takes unless `dynamic_samples`.
    dynamic_samples : whether the file shall take clips of any length from `min_samples` on.
    min_samples : the shortest clip that the module takes; checked too. None: half of `example_samples`.
    labels, sample_rate : written into the file's metadata, for readers who have only the file.
    traces : folder where traces are kept and found. All modules that are exported with it must be of one build: alike
        in all but the values of their parameters and buffers. None: this module is traced for itself.

    Raises
    ------
    BundleError : the module cannot be exported, or the file gives other numbers than the module (largest difference
        above 1e-4, or 1e-4 of the largest score above one, at any tried length or batch size).
    StorageError : the disk is full or the place cannot be written.
    """
    weights = weights_of(module)
    model = _traced(module, weights, Ends.of_audio(example_samples, dynamic_samples), traces)
    fill(model, weights)
    metadata = {"earnest": earnest.__version__}
    if labels:
        metadata["labels"] = json.dumps(list(labels), ensure_ascii=False)
    if sample_rate is not None:
        metadata["sample_rate"] = str(sample_rate)
    shortest = example_samples // 2 if min_samples is None else max(min_samples, 1)
    lengths = _lengths(shortest, example_samples) if dynamic_samples else [example_samples]
    onnx.helper.set_model_props(model, metadata)
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        _check_form(temporary, dynamic_samples)
        _check_numbers(module, temporary, lengths)


def export_part(module: nn.Module, path: Path, ends: Ends) -> None:
    """Write a part of a pipeline (its front end, or its network from features on) as one ONNX file, unchecked.

    Raises
    ------
    BundleError : the part cannot be exported.
    StorageError : the disk is full or the place cannot be written.
    """
    weights = weights_of(module)
    model = trace(module, weights, ends)
    fill(model, weights)
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def weights_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """All parameters and buffers of a module, kept ones and others, by name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _traced(module: nn.Module, weights: Mapping[str, torch.Tensor], ends: Ends, traces: Path | None) -> onnx.ModelProto:
    """The module's graph, its weights being inputs: read from the folder of traces, or traced and left there."""
    if traces is None:
        return trace(module, weights, ends)
    form = [[name, list(value.shape), str(value.dtype)] for name, value in weights.items()]
    sizes = [[name, list(value.shape)] for name, value in ends.examples.items()]
    key = hashlib.sha256(json.dumps([form, sizes, [list(axes) for axes in ends.free]]).encode()).hexdigest()
    kept = traces / f"{key[:16]}.onnx"
    if not kept.is_file():
        traces.mkdir(parents=True, exist_ok=True)
        model = trace(module, weights, ends)
        with atomic_path(kept) as temporary:
            temporary.write_bytes(model.SerializeToString(deterministic=True))
    return onnx.load(kept)


def trace(module: nn.Module, weights: Mapping[str, torch.Tensor], ends: Ends) -> onnx.ModelProto:
    """Trace and convert; constants are folded and dead ends removed by the exporter's optimiser."""
    program = _export(module, ends)
    graph = program.model.graph
    for name in [name for name in graph.initializers if name in weights]:
        value = graph.initializers.pop(name)
        value.const_value = None  # as an input it is not folded into anything
        graph.inputs.append(value)
    with _quiet():
        program.optimize()
    model: onnx.ModelProto = program.model_proto
    _clean(model)
    return model


def fill(model: onnx.ModelProto, weights: Mapping[str, torch.Tensor]) -> None:
    """Put the weights in the places of the inputs that are called like them."""
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    wanted = [value.name for value in graph.input if value.name in weights]
    kept = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(kept)
    graph.initializer.extend(
        onnx.numpy_helper.from_array(weights[name].detach().cpu().numpy(), name) for name in wanted if name in used
    )


def _export(module: nn.Module, ends: Ends) -> torch.onnx.ONNXProgram:
    """Trace and convert, nothing simplified yet."""
    if module.training:
        raise BundleError("a model in training mode was given to the export.", "Call module.eval() first.")
    names = {"batch", *(name for axes in ends.free for name in axes.values())}
    sizes = {name: torch.export.Dim(name, min=1) for name in sorted(names)}
    dimensions = tuple({0: sizes["batch"], **{axis: sizes[name] for axis, name in axes.items()}} for axes in ends.free)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                module,
                tuple(ends.examples.values()),
                dynamo=True,
                input_names=list(ends.examples),
                output_names=list(ends.outputs),
                dynamic_shapes=(dimensions,) if _takes_any_number(module) else dimensions,
                opset_version=OPSET,
                verbose=False,
                optimize=False,
            )
    except torch.onnx.errors.OnnxExporterError as problem:
        raise BundleError(
            f"the model cannot be exported to ONNX: {_cause(problem)}",
            "Write the part it names with operations that ONNX has; see the notes in earnest/shipping/onnx.py.",
        ) from problem
    if program is None:
        raise BundleError("torch.onnx.export gave nothing.", "Update torch.")
    return program


def _takes_any_number(module: nn.Module) -> bool:
    """Whether `forward` is declared with `*inputs`; then torch wants their dimensions as one tuple."""
    kinds = {parameter.kind for parameter in inspect.signature(module.forward).parameters.values()}
    return inspect.Parameter.VAR_POSITIONAL in kinds


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own chatter and warnings off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _cause(problem: BaseException) -> str:
    """The first line of the innermost reason."""
    while problem.__cause__ is not None:
        problem = problem.__cause__
    return str(problem).strip().partition("\n")[0]


def _clean(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes about its source code, which holds the folders of this machine."""
    del model.metadata_props[:]
    model.doc_string = ""
    model.producer_name, model.producer_version = "earnest", earnest.__version__
    graphs = [model.graph, *model.functions]
    while graphs:
        graph = graphs.pop()
        graph.doc_string = ""
        del graph.metadata_props[:]
        values = [] if isinstance(graph, onnx.FunctionProto) else [*graph.input, *graph.output, *graph.initializer]
        for item in [*graph.node, *graph.value_info, *values]:
            item.doc_string = ""
            del item.metadata_props[:]
        for node in graph.node:
            for attribute in node.attribute:
                attribute.doc_string = ""
                graphs += [attribute.g, *attribute.graphs] if attribute.type in _GRAPHS else []


def _check_form(path: Path, dynamic_samples: bool) -> None:
    """The file is valid ONNX, complete in itself, and its input is as free as was asked."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as problem:
        raise BundleError(
            f"the exported model is not valid ONNX: {problem}", "Report this with your recipe."
        ) from problem
    model = onnx.load(path, load_external_data=False)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise BundleError(
            "the exported model keeps weights outside of its file.", "Models above 2 GB cannot be bundled."
        )
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    fixed = [size.HasField("dim_value") for size in sizes]
    if fixed != [False, not dynamic_samples]:
        raise BundleError(
            f"the exported model takes audio of shape {[size.dim_value or size.dim_param for size in sizes]}, "
            f"and (batch, {'samples' if dynamic_samples else 'a fixed length'}) was wanted.",
            "Something in the model turns the size of its input into a constant: look for int(), item() and branches.",
        )


def _lengths(shortest: int, example: int) -> list[int]:
    """Lengths to compare at: the ends, beyond the example, and odd ones between, where hops do not divide them."""
    between = [shortest + (example - shortest) * part // 7 + 1 for part in (2, 5)]
    return sorted({shortest, *between, example, example + example // 3 + 1})


def _check_numbers(module: nn.Module, path: Path, lengths: Sequence[int]) -> None:
    """The file gives the module's numbers, for one clip and for three (one of them silent), at every length."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for samples in lengths:
        for batch in (1, 3):
            audio = (0.1 * rng.standard_normal((batch, samples))).astype(np.float32)
            audio[1:2] = 0.0
            with torch.no_grad():
                expected = module(torch.from_numpy(audio)).numpy()
            (got,) = session.run([OUTPUT], {INPUT: audio})
            unit = max(1.0, float(np.abs(expected).max()))  # scores above one are values in a unit of their own
            difference = float(np.abs(got - expected).max()) / unit if got.shape == expected.shape else float("inf")
            if not difference <= TOLERANCE:
                raise BundleError(
                    f"the exported model differs from the scored one by {difference:.2g} (limit {TOLERANCE:g}) "
                    f"for {batch} clips of {samples} samples.",
                    "Something in the model depends on the length in a way that does not export: look for Python "
                    "branches on sizes and adaptive pooling.",
                )
