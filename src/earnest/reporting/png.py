"""Small pictures of numbers as PNG in `data:` addresses: one byte per value, colours from a palette.

The file format is that of the PNG specification (ISO/IEC 15948): signature, IHDR, PLTE, tRNS, IDAT, IEND.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Palette = NDArray[np.uint8]  # colours of shape (levels, 4): red, green, blue, opacity


def palette(colours: Sequence[str], levels: int, opacity: tuple[float, float] = (1.0, 1.0)) -> Palette:
    """A palette that runs evenly through colours written `#rrggbb`, and from one opacity to another."""
    anchors = np.array([[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in colours], float)
    at = np.linspace(0, len(anchors) - 1, levels)
    mixed = [np.interp(at, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return np.stack([*mixed, np.linspace(*opacity, levels) * 255], axis=1).round().astype(np.uint8)


# Sound: dark to bright, evenly to the eye (matplotlib's "magma" at eleven places); 1 dB per step over 80 dB.
_MAGMA = ("#000004", "#140e36", "#3b0f70", "#641a80", "#8c2981", "#b73779", "#de4968", "#f7705c", "#fe9f6d", "#fecf92")
LOUDNESS = palette((*_MAGMA, "#fcfdbf"), 81)
# Less, equal, more: blue, near white, orange; a quarter of a dB per step over ±12 dB.
DIFFERENCE = palette(("#12436d", "#4c8fc4", "#f4f2ee", "#e58a3c", "#8a3d06"), 97)
# What is looked at (grey), and how strongly (through glass into orange).
GREY = palette(("#10141a", "#e8e6e1"), 64)
HEAT = palette(("#ff8a1f", "#ff8a1f", "#ffd23f"), 64, (0.0, 0.85))


def picture(values: ArrayLike, low: float, high: float, colours: Palette) -> str:
    """A `data:` address of a picture.

    Parameters
    ----------
    values : (rows, columns), the first row on top.
    low, high : what gets the first and the last colour; what lies outside gets the nearer one, and so does NaN the
        first.
    """
    table = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=low)
    steps = (np.clip((table - low) / (high - low), 0, 1) * (len(colours) - 1)).round().astype(np.uint8)
    return f"data:image/png;base64,{base64.b64encode(encode(steps, colours)).decode('ascii')}"


def encode(steps: NDArray[np.uint8], colours: Palette, *, fast: bool = False) -> bytes:
    """A picture as a file: numbers of colours of shape (rows, columns); `fast` saves time instead of bytes."""
    rows, columns = steps.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), steps], axis=1)  # filter type 0 before every row
    small = zlib.compressobj(1, strategy=zlib.Z_HUFFMAN_ONLY) if fast else zlib.compressobj(9)
    parts = [
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)),
        _chunk(b"PLTE", colours[:, :3].tobytes()),
        *([_chunk(b"tRNS", colours[:, 3].tobytes())] if colours[:, 3].min() < 255 else []),
        _chunk(b"IDAT", small.compress(lines.tobytes()) + small.flush()),
        _chunk(b"IEND", b""),
    ]
    return b"".join(parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
