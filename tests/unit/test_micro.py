"""Files for microcontrollers: in one piece, aligned, as C, and lacking operators by name."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earnest.errors import BundleError, MissingExtra, StorageError
from earnest.recipe import Part
from earnest.runtime.bundle import Bundle
from earnest.runtime.engines import open_engine
from earnest.shipping import eightbit, litert, micro
from earnest.shipping.cfrontend import write_c_frontend
from earnest.training.pipeline import Normaliser

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs the extra [edge]")
flatbuffers = pytest.importorskip("flatbuffers")


def tflite(operator: str, weights: bytes = b"", outside: bytes = b"") -> bytes:
    """A TFLite file with one operator from an int8 input of five numbers to an output of the same size."""
    tree = schema.ModelT()
    tree.version, tree.description = 3, "test"
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, operator)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
    tree.operatorCodes = [code]
    tree.buffers = [schema.BufferT() for _ in range(4)]
    tree.buffers[3].data = np.frombuffer(weights, np.uint8) if weights else None
    graph, node = schema.SubGraphT(), schema.OperatorT()
    graph.tensors = [tensor(name, buffer) for buffer, name in ((1, "in"), (2, "out"))]
    node.opcodeIndex, node.inputs, node.outputs = 0, np.array([0], np.int32), np.array([1], np.int32)
    graph.inputs, graph.outputs, graph.operators = node.inputs, node.outputs, [node]
    tree.subgraphs = [graph]
    if outside:
        tree.buffers[3].offset, tree.buffers[3].size = 1 << 20, len(outside)  # takes the room that the true one will
        tree.buffers[3].offset = len(packed(tree))
    return packed(tree) + outside


def tensor(name: str, buffer: int) -> Any:
    found = schema.TensorT()
    found.name, found.buffer, found.type = name, buffer, schema.TensorType.INT8
    found.shape = np.array([1, 5], np.int32)
    found.quantization = schema.QuantizationParametersT()
    found.quantization.scale, found.quantization.zeroPoint = np.array([0.5], np.float32), np.array([-3], np.int64)
    return found


def packed(tree: Any) -> bytes:
    builder = flatbuffers.Builder()
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def buffers(model: bytes) -> list[bytes]:
    """What a file's flatbuffer holds, each of it at a multiple of 16 bytes."""
    found, start = [], np.frombuffer(model, np.uint8).ctypes.data
    root = schema.Model.GetRootAs(model, 0)
    for number in range(root.BuffersLength()):
        values = root.Buffers(number).DataAsNumpy()
        if not isinstance(values, int):
            assert (values.ctypes.data - start) % 16 == 0
            found.append(values.tobytes())
    return found


@pytest.mark.parametrize("length", [1, 15, 16, 1000])
def test_weights_behind_the_flatbuffer_come_into_it(length: int) -> None:
    weights = np.random.default_rng(0).bytes(length)
    model = tflite("RELU", outside=weights)
    assert buffers(model) == []
    assert buffers(eightbit.in_one_piece(model)) == [weights]


def test_weights_inside_are_aligned() -> None:
    weights = np.random.default_rng(0).bytes(77)
    assert buffers(eightbit.in_one_piece(tflite("RELU", weights))) == [weights]


def test_ranges_hold_all_that_was_seen() -> None:
    seen = {"min": np.array([-1.0, 0.0]), "max": np.array([1.0, 2.0]), "axis": 0}
    new = {"min": np.array([-3.0, 1.0]), "max": np.array([0.5, 9.0]), "axis": 0}
    found = eightbit.widest(seen, new)
    assert (found["min"].tolist(), found["max"].tolist(), found["axis"]) == ([-3, 0], [1, 9], 0)


def test_a_range_is_cut_where_a_few_values_far_out_take_steps_from_all_others() -> None:
    counts = np.zeros(eightbit.BINS)
    counts[:400] = 1000
    counts[-1] = 1
    low, high = eightbit.least_error(counts, 0.0, 10.0)
    assert low == 0.0
    assert 6 < high < 7
    assert eightbit.least_error(np.ones(eightbit.BINS), -4.0, 10.0) == (-4.0, 10.0)


def test_values_come_back_from_8_bits_within_half_a_step() -> None:
    values = np.linspace(-1, 3, 1000)
    assert np.abs(eightbit.rounded(values, -1, 3) - values).max() <= 0.5001 * 4 / 255 + 4 / 255 / 2
    assert eightbit.rounded(np.array([0.0, 9.0]), 1.0, 3.0).tolist() == [0.0, 3.0]


def test_the_interpreter_tells_what_a_model_needs(tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro", reason="needs tflite-micro, which has wheels for Linux on x86-64 only")
    path = tmp_path / "model"
    path.write_bytes(tflite("RELU"))
    found = micro.needs(path, [np.zeros((1, 5), np.float32)])
    assert found.operators == ("RELU",)
    assert found.inputs == [{"shape": [1, 5], "scale": 0.5, "zero_point": -3}]
    assert found.head_bytes + found.tail_bytes <= found.arena_bytes < 10_000
    scores = micro.Micro(tflite("RELU"), found.arena_bytes, "model")([np.array([[-9, -0.5, 0, 1.3, 99]], np.float32)])
    assert scores.tolist() == [0, 0, 0, 1.5, 65]
    assert micro.smallest_arena(path, 1, found.arena_bytes - 160) == found.arena_bytes


def test_an_operator_that_is_lacking_is_named(tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro", reason="needs tflite-micro, which has wheels for Linux on x86-64 only")
    path = tmp_path / "model"
    path.write_bytes(tflite("GELU"))
    with pytest.raises(BundleError, match=r"cannot hold model: .*GELU"):
        micro.needs(path, [np.zeros((1, 5), np.float32)])


def test_a_model_that_kills_the_interpreter_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.tflite").write_bytes(b"not looked at")
    monkeypatch.setattr(micro, "ONCE", "import os, sys; print('scale <= 1', file=sys.stderr, flush=True); os.abort()")
    with pytest.raises(BundleError, match=r"dies of model\.tflite, of signal 6: scale <= 1"):
        micro.survive(tmp_path / "model.tflite", 1)


def test_resolver_names() -> None:
    names = ["CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "PADV2", "RELU6"]
    wanted = ["AddConv2D", "AddMaxPool2D", "AddFullyConnected", "AddBatchMatMul", "AddPadV2", "AddRelu6"]
    assert [micro.resolver_name(name) for name in names] == wanted


MAIN = r"""
#include <stdio.h>
#include <stdint.h>
#include "model_data.h"

int main(void)
{
    fwrite(earnest_model, 1, sizeof earnest_model, stdout);
    for (int n = 0; n < EARNEST_LABELS; n++)
        printf("|%s", earnest_labels[n]);
    printf("|%d %d %d %g", (int)((uintptr_t)earnest_model % 16), earnest_quantised(0.75f), earnest_quantised(-1e9f),
           (double)earnest_score(7));
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, cc")
def test_the_c_array_is_the_file(tmp_path: Path) -> None:
    model = np.random.default_rng(0).bytes(333)
    end = {"shape": [1, 4, 5], "scale": 0.5, "zero_point": -3}
    found = micro.Needs(64, 32, 32, "here", ("RELU",), [end], end)
    labels = ["dog", 'say "no"?', "妈\\"]
    (tmp_path / "model_data.h").write_text(micro.c_header(found, model, labels, "A */ model"))
    (tmp_path / "model_data.c").write_text(micro.c_source(model, labels, "A */ model"))
    (tmp_path / "main.c").write_text(MAIN)
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *strict, "main.c", "model_data.c", "-o", "main", "-lm"], cwd=tmp_path, check=True)
    told = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout
    assert told[: len(model)] == model
    assert told[len(model) :].decode() == '|dog|say "no"?|妈\\|0 -1 -128 5'


def test_a_converter_that_cannot_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(litert.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StorageError, match=r"could not be fetched: (?s:.*)-m pip install"):
        litert.converter()
    assert "Fetching the converter" in capfd.readouterr().err
    assert list((tmp_path / "earnest" / "tools").iterdir()) == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Traceback\nRuntimeError: Lowering not found: aten.i0.default\n\nWhile executing", "operator aten.i0.default"),
        ("Traceback\n  File\nValueError: too long\nOriginal traceback:\nNone", "ValueError: too long"),
        ("Killed", "Killed"),
        ("", "without a word"),
    ],
)
def test_why_a_conversion_failed(said: str, told: str) -> None:
    assert told in litert._reason(said)


STUB = """
#pragma once
#include <cstddef>
#include <cstdint>
enum TfLiteStatus { kTfLiteOk };
struct TfLiteTensor { union { int8_t *int8; } data; };
namespace tflite {
struct Model;
const Model *GetModel(const void *);
template <unsigned int N> struct MicroMutableOpResolver { TfLiteStatus AddConv2D(); TfLiteStatus AddSoftmax(); };
struct MicroInterpreter {
    template <unsigned int N>
    MicroInterpreter(const Model *, const MicroMutableOpResolver<N> &, uint8_t *, size_t);
    TfLiteStatus AllocateTensors();
    TfLiteStatus Invoke();
    TfLiteTensor *input(size_t);
    TfLiteTensor *output(size_t);
};
}
"""


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler, c++")
def test_the_sketch_on_the_page_compiles(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "microcontrollers.md"
    (sketch,) = re.findall(r"```cpp\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    end = {"shape": [1, 51, 40], "scale": 0.5, "zero_point": -3}
    found = micro.Needs(64, 32, 32, "here", ("CONV_2D", "SOFTMAX"), [end], end)
    (tmp_path / "model_data.h").write_text(micro.c_header(found, b"model", ["yes", "no"], "A model"))
    normaliser = Normaliser(40)
    write_c_frontend(tmp_path, Part(name="log_mel", options={"bands": 40}), 16_000, normaliser, 16_000)
    for header in re.findall(r'#include "(tensorflow/.*?)"', sketch):
        (tmp_path / header).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / header).write_text(STUB if "interpreter" in header else "")
    strict = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", str(tmp_path), "-x", "c++", "-"]
    subprocess.run(["c++", *strict], input=sketch, text=True, check=True)


def test_what_is_not_installed_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("tflite_micro", "ai_edge_quantizer", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"'tflite-micro'(?s:.*)earnest\[edge\]"):
        micro.Micro(b"", 1024, "model")
    with pytest.raises(MissingExtra, match=r"'ai-edge-quantizer'(?s:.*)earnest\[edge\]"):
        eightbit.quantise(tmp_path / "a", [], tmp_path / "b")
    bundle = Bundle(tmp_path, ("yes",), 8000, 8000, 8000, files={"model.tflite": {}})
    with pytest.raises(MissingExtra, match=r"'ai-edge-litert'(?s:.*)earnest\[edge\]"):
        open_engine(bundle, "model.tflite")


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"no model")
    bundle = Bundle(tmp_path, ("yes",), 8000, 8000, 8000, files={"model.tflite": {}})
    with pytest.raises(BundleError, match="cannot be loaded by LiteRT"):
        open_engine(bundle, "model.tflite")


def test_a_file_of_other_sizes_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(tflite("RELU"))
    bundle = Bundle(tmp_path, ("yes",), 8000, 8000, 8000, files={"model.tflite": {}})
    with pytest.raises(BundleError, match=r"shapes \[\[1, 5\], \[1, 5\]\]"):
        open_engine(bundle, "model.tflite")
