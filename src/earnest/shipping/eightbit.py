"""TFLite files in 8 bits: weights and activations as int8, by the AI Edge Quantizer.

Weights are symmetric with one scale per output channel; activations have one scale and zero point per tensor, from the
smallest and largest value that the training windows give. (The quantiser's own rule, a moving average of both, cuts off
what a few windows reach, and costs points of accuracy.)
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earnest._decoding.chatter import STDERR
from earnest.errors import BundleError, MissingExtra

EVERYTHING = ".*"
ALIGNMENT = 16  # bytes; what TensorFlow Lite Micro expects of weights
FAILURES = (RuntimeError, ValueError, KeyError, TypeError, NotImplementedError)


def quantise(model: Path, windows: Iterable[Sequence[np.ndarray]], out: Path, part: str = EVERYTHING) -> None:
    """Write a float TFLite file again with 8 bits, all of it in one flatbuffer.

    Parameters
    ----------
    model : a float file with a batch of one.
    windows : the inputs of training windows, on which ranges are measured; each with its batch axis.
    out : the file to write.
    part : what becomes 8 bits: a regular expression for names of operators. With everything, inputs and outputs are
        int8 too.

    Raises
    ------
    BundleError : the quantiser cannot take this model.
    MissingExtra : the quantiser is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
        from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
    except ImportError as missing:
        raise MissingExtra("ai-edge-quantizer", "edge", "TFLite in 8 bits") from missing
    rules = recipe_manager.RecipeManager()
    rules.add_static_config(part, qtyping.TFLOperationName.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    try:
        with quiet():
            ((signature, ends),) = Interpreter(model_path=str(model)).get_signature_list().items()
            names = sorted(ends["inputs"])
            measure = calibrator.Calibrator(str(model), num_threads=1, qsv_update_func=widest)
            inputs = [dict(zip(names, window, strict=True)) for window in windows]
            measure.calibrate({signature: inputs}, rules)
            work = quantizer.Quantizer(str(model), rules.get_quantization_recipe())
            done = work.quantize(measure.get_model_qsvs(), enable_progress_bar=False, enable_progress_report=False)
    except FAILURES as problem:
        raise BundleError(f"the AI Edge Quantizer cannot quantise this network: {problem}") from problem
    out.write_bytes(in_one_piece(bytes(done.quantized_model)))


def widest(seen: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The range that holds both of two ranges."""
    return {**seen, "min": np.minimum(seen["min"], new["min"]), "max": np.maximum(seen["max"], new["max"])}


def in_one_piece(model: bytes) -> bytes:
    """A TFLite file with all weights inside its flatbuffer, each at a multiple of 16 bytes.

    From 256 KiB of weights on the quantiser puts them behind the flatbuffer. TensorFlow Lite Micro does not look there,
    and computes with whatever it finds.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    class Buffer(schema.BufferT):  # type: ignore[misc]
        def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
            place = None
            if self.data is not None:
                weights = np.asarray(self.data, np.uint8).tobytes()
                builder.Prep(ALIGNMENT, len(weights))
                place = builder.CreateByteVector(weights)
            schema.BufferStart(builder)
            if place is not None:
                schema.BufferAddData(builder, place)
            return int(schema.BufferEnd(builder))

    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    for number, buffer in enumerate(tree.buffers):
        tree.buffers[number] = inside = Buffer()
        inside.data = buffer.data
        if (buffer.offset or 0) > 1:
            inside.data = np.frombuffer(model, np.uint8, buffer.size, buffer.offset)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without progress bars and advice, from Python or from C."""
    with STDERR.captured([]), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
