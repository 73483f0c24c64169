"""A model for TensorFlow Lite Micro: what it takes on a device, found by running it, and the model as C source."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earnest.errors import BundleError
from earnest.runtime.engines.tflm import Micro
from earnest.shipping.csource import defines, header

PLENTY = 64 << 20  # bytes; no model for a microcontroller needs as much
RUN = """
import os, sys
import numpy
from tflite_micro import runtime

with open(sys.argv[1], "rb") as file:
    model = file.read()
inputs, arena = int(sys.argv[2]), int(sys.argv[3])

def run(arena):
    network = runtime.Interpreter.from_bytes(model, arena_size=arena)
    for number in range(inputs):
        end = network.get_input_details(number)
        network.set_input(numpy.zeros(end["shape"], end["dtype"]), number)
    network.invoke()

"""
ONCE = RUN + "run(arena)"
LESS_AND_LESS = (
    RUN
    + """
def runs(arena):
    child = os.fork()
    if not child:
        run(arena)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0

more, failed = 0, arena - 16
while not runs(arena + more):
    failed, more = arena + more, max(16, 2 * more)
enough = arena + more
while enough - failed > 16:
    middle = (enough + failed) // 32 * 16
    failed, enough = (failed, middle) if runs(middle) else (middle, enough)
print(enough)
"""
)
RESOLVER_NAMES = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
COLUMNS = 20
MEASURED = "reference kernels on a 64-bit computer; other kernels and pointers of 32 bits need other sizes"

ENDS = """

/* The model, 16-byte aligned; it may stay in flash. */
extern const unsigned char earnest_model[EARNEST_MODEL_BYTES];

/* What the scores are of, in their order. */
extern const char *const earnest_labels[EARNEST_LABELS];
"""

RESOLVER = """

/* The operators that a tflite::MicroMutableOpResolver<EARNEST_OPERATORS> needs, and no more. */
#define EARNEST_ADD_OPERATORS(resolver) \\
    do { \\
%s \\
    } while (0)
"""

QUANTISED = """/* A normalised feature as the model takes it. */
static inline int8_t earnest_quantised(float feature)
{
    float step = rintf(feature / EARNEST_INPUT_SCALE) + EARNEST_INPUT_ZERO_POINT;
    return (int8_t)(step > -128.0f ? (step < 127.0f ? step : 127.0f) : -128.0f);
}

/* The score that a number of the model's output stands for. */
static inline float earnest_score(int8_t step)
{
    return (step - EARNEST_OUTPUT_ZERO_POINT) * EARNEST_OUTPUT_SCALE;
}
"""

SOURCE = """/* {about} */
#include "model_data.h"

#if defined(__GNUC__)
__attribute__((aligned(16)))
#else
_Alignas(16)
#endif
const unsigned char earnest_model[EARNEST_MODEL_BYTES] = {{
    {values},
}};

const char *const earnest_labels[EARNEST_LABELS] = {{
    {labels},
}};
"""


@dataclass(frozen=True)
class Needs:
    """What a model takes on a device.

    Attributes
    ----------
    arena_bytes : memory for all that it computes: the smallest arena, to 16 bytes, in which the interpreter ran it.
    head_bytes, tail_bytes : of it for values between operators, which share their places, and for what stays.
    measured : with which kernels.
    operators : as the schema of TFLite calls them, sorted.
    inputs, output : shape, scale and zero point of each end.
    """

    arena_bytes: int
    head_bytes: int
    tail_bytes: int
    measured: str
    operators: tuple[str, ...]
    inputs: list[dict[str, Any]]
    output: dict[str, Any]


def needs(path: Path, features: Sequence[np.ndarray]) -> Needs:
    """Run a model in the interpreter, with plenty of memory and with less and less.

    Parameters
    ----------
    path : a TFLite file with int8 inputs and output.
    features : one window's, (1, frames, bands) for each channel.

    Raises
    ------
    BundleError : an operator is lacking (it is named), the interpreter dies of the model, or no arena is large enough.
    MissingExtra : tflite-micro is not installed.
    """
    survive(path, len(features))
    model = path.read_bytes()
    network = Micro(model, PLENTY, path.name, len(features))
    network(features)
    told = "\n".join(network.allocations())
    total, head, tail = (int(re.findall(rf"allocation {part} (\d+)", told)[0]) for part in ("total", "head", "tail"))
    arena = smallest_arena(path, len(features), total)
    return Needs(arena, head, tail, MEASURED, operators(model), network.inputs, network.output)


def survive(path: Path, inputs: int) -> None:
    """Run a model in a process of its own: some models end the interpreter's process instead of raising an error.

    Raises
    ------
    BundleError : it died of this one.
    """
    done = _interpreted(ONCE, path, inputs, PLENTY)
    if done.returncode < 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BundleError(
            f"TensorFlow Lite Micro dies of {path.name}, of signal {-done.returncode}: {last}",
            "Choose another model, or another kind of file.",
        )


def smallest_arena(path: Path, inputs: int, counted: int) -> int:
    """The smallest arena, to 16 bytes, in which a model runs.

    What the interpreter counts when all is done is not always enough for getting there. Each size is tried in a process
    of its own, for in too small an arena the interpreter may crash.
    """
    done = _interpreted(LESS_AND_LESS, path, inputs, counted)
    if done.returncode:
        raise BundleError(f"the arena for {path.name} could not be found: {done.stderr.strip()[-300:]}")
    return int(done.stdout)


def _interpreted(script: str, path: Path, inputs: int, arena_bytes: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, str(path), str(inputs), str(arena_bytes)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def operators(model: bytes) -> tuple[str, ...]:
    """The operators of a TFLite file, as its schema calls them, sorted."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: key for key, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    tree = schema.Model.GetRootAs(model, 0)
    codes = (tree.OperatorCodes(number) for number in range(tree.OperatorCodesLength()))
    return tuple(sorted({names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes}))


def resolver_name(operator: str) -> str:
    """What an operator is called by the interpreter's resolver: `AddConv2D` adds CONV_2D."""
    words = [word if word == "2D" else word.capitalize() for word in operator.split("_")]
    return f"Add{RESOLVER_NAMES.get(operator, ''.join(words))}"


def facts(found: Needs, frontend: dict[str, Any]) -> str:
    """The needs as JSON, and what is told of the front end in C."""
    return json.dumps(asdict(found) | {"frontend": frontend}, indent=1) + "\n"


def c_header(found: Needs, model: bytes, labels: Sequence[str], about: str) -> str:
    """`model_data.h`: sizes, scales and operators; its functions take one channel of features."""
    numbers: dict[str, int | float] = {
        "MODEL_BYTES": len(model),
        "ARENA_BYTES": found.arena_bytes,
        "LABELS": len(labels),
        "OPERATORS": len(found.operators),
    }
    single = len(found.inputs) == 1
    if single:
        given = found.inputs[0]
        numbers |= {"INPUT_FRAMES": given["shape"][1], "INPUT_BANDS": given["shape"][2]}
        numbers |= {"INPUT_SCALE": given["scale"], "INPUT_ZERO_POINT": given["zero_point"]}
        numbers |= {"OUTPUT_SCALE": found.output["scale"], "OUTPUT_ZERO_POINT": found.output["zero_point"]}
    calls = " \\\n".join(f"        (resolver).{resolver_name(operator)}();" for operator in found.operators)
    note = f"/* ARENA_BYTES: {found.measured}. */\n"
    functions = [QUANTISED] if single else []
    parts = [
        "#include <math.h>\n",
        note + defines(numbers),
        '#ifdef __cplusplus\nextern "C" {\n#endif' + ENDS,
        *functions,
        "#ifdef __cplusplus\n}\n#endif" + RESOLVER % calls,
    ]
    return header("MODEL_DATA", about, parts)


def c_source(model: bytes, labels: Sequence[str], about: str) -> str:
    """`model_data.c`: the model and its labels."""
    rows = [model[start : start + COLUMNS] for start in range(0, len(model), COLUMNS)]
    values = ",\n    ".join(", ".join(str(byte) for byte in row) for row in rows)
    names = ",\n    ".join(text(label) for label in labels)
    return SOURCE.format(about=about.replace("*/", "* /"), values=values, labels=names)


def text(value: str) -> str:
    """A C string in UTF-8, written in ASCII."""
    plain = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}" for byte in value.encode()
    )
    return f'"{plain}"'
