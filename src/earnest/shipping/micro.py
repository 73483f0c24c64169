"""A model for TensorFlow Lite Micro: what it takes on a device, found by running it, and the model as C source."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from earnest.errors import BundleError
from earnest.runtime.engines.tflm import Micro
from earnest.shipping.csource import defines, header

PLENTY = 64 << 20  # bytes; no model for a microcontroller needs as much
STEP = 16  # bytes by which arenas are tried
TRIES = 256
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
    arena_bytes : memory for all that it computes: what the interpreter counts, and ran it with.
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


def needs(model: bytes, features: Sequence[np.ndarray], name: str) -> Needs:
    """Run a model in the interpreter, with less and less memory.

    Parameters
    ----------
    model : a TFLite file with int8 inputs and output.
    features : one window's, (1, frames, bands) for each channel.
    name : what to call the model in messages.

    Raises
    ------
    BundleError : an operator is lacking (it is named), or no arena is large enough.
    MissingExtra : tflite-micro is not installed.
    """
    network = Micro(model, PLENTY, name, len(features))
    network(features)
    told = "\n".join(network.allocations())
    total, head, tail = (int(re.findall(rf"allocation {part} (\d+)", told)[0]) for part in ("total", "head", "tail"))
    for arena in range(total, total + STEP * TRIES, STEP):
        try:
            Micro(model, arena, name, len(features))(features)
        except BundleError:
            continue
        return Needs(arena, head, tail, MEASURED, operators(model), network.inputs, network.output)
    raise BundleError(f"{name} runs in no arena of {total:,} to {arena:,} bytes, and was said to need {total:,}.")


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
