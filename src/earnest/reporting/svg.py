"""Small building blocks for charts as inline SVG: escaped elements, linear scales, round ticks.

Charts take their colours from the page's CSS classes, so that they follow the reader's light or dark theme, and hold
no style of their own. Everything that comes from data is escaped on its way in.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike

Value = str | int | float | None


@dataclass(frozen=True)
class Scale:
    """A linear map from data to pixels.

    Parameters
    ----------
    low, high : the ends of the data; equal ends are drawn in the middle.
    start, end : the pixels they fall on (`start > end` for an axis that points up).
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value; values outside the ends are drawn at the nearer end."""
        if self.high == self.low:
            return (self.start + self.end) / 2
        share = min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))
        return self.start + share * (self.end - self.start)


def element(tag: str, *children: Markup | str, **attributes: Value) -> Markup:
    """One element; `_` in attribute names becomes `-`, a trailing `_` is dropped, None leaves an attribute out.

    Text among the children is escaped unless it is markup already; numbers are written with two decimals at most.
    """
    inside = Markup("").join(child if isinstance(child, Markup) else escape(child) for child in children)
    written = Markup("").join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _plain(value))
        for name, value in attributes.items()
        if value is not None
    )
    return Markup("<{tag}{written}>{inside}</{tag}>").format(tag=tag, written=written, inside=inside)


def picture(width: float, height: float, label: str, *children: Markup, class_: str = "chart") -> Markup:
    """A chart that screen readers announce by `label`; an empty label marks pure decoration."""
    box = f"0 0 {_plain(width)} {_plain(height)}"
    if not label:
        return element(
            "svg",
            *children,
            viewBox=box,
            width=width,
            height=height,
            class_=class_,
            aria_hidden="true",
            focusable="false",
        )
    return element(
        "svg", *children, viewBox=box, width=width, height=height, class_=class_, role="img", aria_label=label
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def rectangle(x: float, y: float, width: float, height: float, class_: str, **more: Value) -> Markup:
    """A rectangle; a negative extent is drawn as none."""
    return element("rect", x=x, y=y, width=max(0.0, width), height=max(0.0, height), class_=class_, **more)


def dot(x: float, y: float, radius: float, class_: str, title: str | None = None) -> Markup:
    """A filled circle, with a text that shows when it is pointed at."""
    inside = (element("title", title),) if title else ()
    return element("circle", *inside, cx=x, cy=y, r=radius, class_=class_)


def text(x: float, y: float, words: str, class_: str = "", anchor: str = "start") -> Markup:
    """A line of text; `anchor` is start, middle or end."""
    return element("text", words, x=x, y=y, class_=class_ or None, text_anchor=None if anchor == "start" else anchor)


def path(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    """A line through points given in pixels."""
    return element("polyline", points=_places(points), class_=class_)


def polygon(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    """A filled shape between points given in pixels."""
    return element("polygon", points=_places(points), class_=class_)


def _places(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_plain(x)},{_plain(y)}" for x, y in points)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten) from `low` to `high`, about as many as asked for."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def shorten(words: str, characters: int) -> str:
    """The words, cut in the middle where they are longer than `characters`."""
    if len(words) <= characters:
        return words
    head = (characters - 1) // 2
    return f"{words[:head]}…{words[len(words) - (characters - 1 - head) :]}"


def peaks(samples: ArrayLike, columns: int) -> list[float]:
    """The largest magnitude in each of `columns` equal stretches of the samples, relative to the largest of all."""
    loud = np.abs(np.asarray(samples, dtype=np.float64))
    edges = np.round(np.arange(columns + 1) * len(loud) / columns).astype(int)
    sizes = np.array([loud[a:b].max(initial=0.0) for a, b in itertools.pairwise(edges.tolist())])
    found: list[float] = (sizes / (sizes.max(initial=0.0) or 1.0)).tolist()
    return found


def _plain(value: Value) -> str:
    """A number with two decimals at most and no trailing zeros; anything else as it is."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".") or "0"
    return str(value)
