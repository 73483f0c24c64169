"""Numbers as C source: constants, tables and header files."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

KINDS = {"float32": "float", "int16": "int16_t", "uint16": "uint16_t", "uint32": "uint32_t"}


def header(name: str, about: str, sections: Sequence[str]) -> str:
    """A header file with its guard, which says whose numbers it holds."""
    comment = textwrap.fill(about.replace("*/", "* /"), 117, subsequent_indent=" * ")
    return "\n".join(
        [
            f"/* {comment}\n * Written by Earnest; to change a number, change the recipe. */",
            f"#ifndef EARNEST_{name}_H\n#define EARNEST_{name}_H\n\n#include <stdint.h>\n",
            *sections,
            "#endif\n",
        ]
    )


def defines(values: Mapping[str, int | float]) -> str:
    """A macro `EARNEST_NAME` for each value."""
    return "".join(f"#define EARNEST_{name} {number(value)}\n" for name, value in values.items())


def number(value: int | float) -> str:
    """A C constant: nine digits, which give every float32 back; negative ones in brackets."""
    text = f"{value:.8e}f" if isinstance(value, float) else str(value)
    return f"({text})" if value < 0 else text


def array(name: str, table: np.ndarray) -> str:
    """A constant table of float32 or of integers; one of shape (values, 2) as complex numbers."""
    if table.ndim == 2:
        kind, width = "EarnestComplex", 3
        values = [f"{{{number(real)}, {number(imaginary)}}}" for real, imaginary in table.tolist()]
    else:
        kind, width = KINDS[table.dtype.name], 6 if table.dtype.kind == "f" else 16
        values = [number(value) for value in table.tolist()]
    rows = [", ".join(values[start : start + width]) for start in range(0, len(values), width)]
    body = ",\n    ".join(rows)
    return f"static const {kind} {name}[{len(values)}] = {{\n    {body},\n}};\n"
