"""TFLite files in 8 bits: weights and activations as int8, by the AI Edge Quantizer.

Weights are symmetric with one scale per output channel; activations have one scale and zero point per tensor. Their
ranges come from the training windows alone: the smallest and largest value of all, cut to the part that keeps these
values with the least squared error, for a few far out take steps from all others. (On ESC-10, 93 of 100 clips then get
the float model's answer from bc_resnet in TensorFlow Lite Micro, and 69 without cutting; most models hardly change.)
The quantiser's own rule, a moving average of both ends, cuts off what many windows reach, and costs points of accuracy.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earnest._decoding.chatter import STDERR
from earnest.errors import BundleError, MissingExtra

EVERYTHING = ".*"
ANY = ("ALL_SUPPORTED",)
WITH_WEIGHTS = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
ALIGNMENT = 16  # bytes; what TensorFlow Lite Micro expects of weights
BINS = 2048
NARROW = 1e-3  # of the larger end: a range in which float32 has no room for so many bins
HEARD = 100  # windows whose values are counted, after the ends of all are known
LEVELS = 255  # steps of int8 from end to end
PARTS = np.linspace(1.0, 0.3, 20)  # of a range that are tried
FAILURES = (RuntimeError, ValueError, KeyError, TypeError, NotImplementedError)


def quantise(
    model: Path,
    windows: Iterable[Sequence[np.ndarray]],
    out: Path,
    part: str = EVERYTHING,
    operators: Sequence[str] = ANY,
) -> None:
    """Write a float TFLite file again with 8 bits, all of it in one flatbuffer.

    Parameters
    ----------
    model : a float file with a batch of one.
    windows : the inputs of training windows, on which ranges are measured; each with its batch axis.
    out : the file to write.
    part : what becomes 8 bits: a regular expression for names of operators. With everything, inputs and outputs are
        int8 too.
    operators : which kinds of operators, as `qtyping.TFLOperationName` calls them.

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
    for operator in operators:
        kind = qtyping.TFLOperationName[operator]
        rules.add_static_config(part, kind, activation_num_bits=8, weight_num_bits=8)
    try:
        with quiet():
            ((signature, ends),) = Interpreter(model_path=str(model)).get_signature_list().items()
            names = sorted(ends["inputs"])
            measure = calibrator.Calibrator(str(model), num_threads=1, qsv_update_func=widest)
            inputs = [dict(zip(names, window, strict=True)) for window in windows]
            measure.calibrate({signature: inputs}, rules)
            ranges = tightened(Listener(model), inputs[:HEARD], measure.get_model_qsvs(), part)
            work = quantizer.Quantizer(str(model), rules.get_quantization_recipe())
            done = work.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    except FAILURES as problem:
        raise BundleError(f"the AI Edge Quantizer cannot quantise this network: {problem}") from problem
    out.write_bytes(in_one_piece(bytes(done.quantized_model)))


def widest(seen: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The range that holds both of two ranges."""
    return {**seen, "min": np.minimum(seen["min"], new["min"]), "max": np.maximum(seen["max"], new["max"])}


class Listener:
    """A float file, run for the values between its operators."""

    def __init__(self, model: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(model), num_threads=1, experimental_preserve_all_tensors=True)
        self._run = self._interpreter.get_signature_runner()
        self.tensors: dict[str, int] = {end["name"]: end["index"] for end in self._interpreter.get_tensor_details()}

    def hear(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Run one window."""
        self._run(**inputs)

    def value(self, tensor: str) -> np.ndarray | None:
        """A tensor's value in that window; None where none was kept."""
        try:
            return np.asarray(self._interpreter.get_tensor(self.tensors[tensor]))
        except ValueError:
            return None


def tightened(
    listener: Listener, windows: Sequence[Mapping[str, np.ndarray]], ranges: dict[str, Any], part: str
) -> dict[str, Any]:
    """The ranges of activations, each cut to the part with the least squared error over the windows."""
    ends = {
        name: (float(np.min(seen["min"])), float(np.max(seen["max"])))
        for name, seen in ranges.items()
        if name in listener.tensors and re.match(part, name) and np.size(seen["min"]) == 1
    }
    # What is one number but for rounding has nothing to cut, and no room for bins.
    counts = {name: np.zeros(BINS) for name, (low, high) in ends.items() if high - low > NARROW * max(-low, high)}
    for window in windows:
        listener.hear(window)
        for name, count in counts.items():
            value = listener.value(name)
            if value is not None and value.dtype == np.float32:
                count += np.histogram(value, BINS, ends[name])[0]
    for name, count in counts.items():
        low, high = least_error(count, *ends[name])
        shape = np.shape(ranges[name]["min"])
        ranges[name] |= {"min": np.full(shape, low, np.float32), "max": np.full(shape, high, np.float32)}
    return ranges


def least_error(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The ends within which 8 bits keep a histogram's values best: both as they are, or one or both nearer to zero."""
    values = low + (np.arange(BINS) + 0.5) * (high - low) / BINS
    tried = [ends for part in PARTS for ends in ((low * part, high * part), (low * part, high), (low, high * part))]
    return min(tried, key=lambda ends: float(counts @ np.square(rounded(values, *ends) - values)))


def rounded(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values as they come back from int8 whose range has these ends, and zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / LEVELS
    zero = np.rint(-low / step)
    steps: np.ndarray = np.clip(np.rint(values / step) + zero, 0, LEVELS)
    back: np.ndarray = (steps - zero) * step
    return back


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
