"""Praat's TextGrid: tiers of intervals and of points, in the long and the short text form.

Reference: Praat manual, "TextGrid file formats" (https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html):
a reader takes quoted texts, free-standing numbers and flags in their order, and everything else is comment. That reads
both forms. Empty intervals are no labels. A label without text is written as one blank; labels that overlap within a
lane go to a further tier of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from earnest.errors import DataError
from earnest.formats.labels import Label, checked, text_of

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(![^\n]*)|(\S+)')
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")

Token = str | float | bool  # a text, a number, a flag


def read_labels(place: Path, recording: str | None = None) -> list[Label]:
    """The labels of a file; each tier is a lane.

    Raises
    ------
    DataError : the file cannot be read, or is no text form of a TextGrid.
    """
    tokens = _Tokens(place, text_of(place))
    if tokens.text() != "ooTextFile" or not tokens.text().startswith("TextGrid"):
        raise tokens.malformed("it does not begin like a TextGrid")
    tokens.number(), tokens.number()
    if not tokens.flag():
        return []
    labels: list[Label] = []
    for _ in range(tokens.count()):
        kind, name = tokens.text(), tokens.text()
        tokens.number(), tokens.number()
        if kind not in ("IntervalTier", "TextTier"):
            raise tokens.malformed(f"it holds a tier of the unknown kind “{kind}”")
        for _ in range(tokens.count()):
            start = tokens.number()
            end = tokens.number() if kind == "IntervalTier" else start
            text = tokens.text()
            if text or kind == "TextTier":
                labels.append(checked(start, end, text.strip(), name, f"{place}, tier “{name}”"))
    return labels


def labels_text(labels: Sequence[Label], recording: str, duration_s: float) -> str:
    """The long text form, each lane one or more tiers."""
    end_s = max([duration_s, *(label.end_s for label in labels)])
    tiers = [tier for lane in dict.fromkeys(label.lane for label in labels) for tier in _tiers(labels, lane)]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_time(end_s)}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, tier in enumerate(tiers, start=1):
        lines += [f"    item [{number}]:", *_tier(tier, end_s)]
    return "\n".join([*lines, ""])


def _tiers(labels: Sequence[Label], lane: str) -> list[list[Label]]:
    """The labels of a lane in rows within which nothing overlaps; points in a row of their own."""
    points = sorted(label for label in labels if label.lane == lane and label.start_s == label.end_s)
    rows: list[list[Label]] = []
    for label in sorted(label for label in labels if label.lane == lane and label.start_s < label.end_s):
        free = next((row for row in rows if _time(row[-1].end_s) <= _time(label.start_s)), None)
        if free is None:
            rows.append([label])
        else:
            free.append(label)
    return [*rows, *([points] if points else [])]


def _tier(labels: Sequence[Label], end_s: float) -> list[str]:
    points = labels[0].start_s == labels[0].end_s
    kind, what = ("TextTier", "points") if points else ("IntervalTier", "intervals")
    head = [f'class = "{kind}"', f"name = {_quoted(labels[0].lane)}", "xmin = 0", f"xmax = {_time(end_s)}"]
    if points:
        parts = [[f"number = {_time(label.start_s)}", f"mark = {_quoted(label.label)}"] for label in labels]
    else:
        parts = [
            [f"xmin = {_time(start)}", f"xmax = {_time(end)}", f"text = {_quoted(text)}"]
            for start, end, text in _filled(labels, end_s)
        ]
    lines = [" " * 8 + line for line in [*head, f"{what}: size = {len(parts)}"]]
    for number, part in enumerate(parts, start=1):
        lines += [f"        {what} [{number}]:", *(" " * 12 + line for line in part)]
    return lines


def _filled(labels: Sequence[Label], end_s: float) -> Iterator[tuple[float, float, str]]:
    """Intervals without gaps: what is not labelled is an empty one."""
    at_s = 0.0
    for label in labels:
        if _time(label.start_s) > _time(at_s):
            yield at_s, label.start_s, ""
        yield label.start_s, label.end_s, label.label or " "
        at_s = label.end_s
    if _time(at_s) < _time(end_s):
        yield at_s, end_s, ""


def _time(seconds: float) -> float:
    return round(seconds, 3)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


class _Tokens:
    """The values of a file one after the other."""

    def __init__(self, place: Path, text: str) -> None:
        self.place = place
        self._values = _values(text)

    def text(self) -> str:
        value = self._next()
        if not isinstance(value, str):
            raise self.malformed(f"where a text should stand, there is {value}")
        return value

    def number(self) -> float:
        value = self._next()
        if isinstance(value, bool) or not isinstance(value, float):
            raise self.malformed(f"where a number should stand, there is “{value}”")
        return value

    def count(self) -> int:
        value = self.number()
        if not value.is_integer() or value < 0:
            raise self.malformed(f"where a count should stand, there is {value:g}")
        return int(value)

    def flag(self) -> bool:
        value = self._next()
        if not isinstance(value, bool):
            raise self.malformed(f"where <exists> should stand, there is “{value}”")
        return value

    def malformed(self, why: str) -> DataError:
        return DataError(
            f"{self.place} is not a TextGrid as Praat writes it: {why}.",
            "Save it in Praat with “Save as text file” or “Save as short text file”.",
        )

    def _next(self) -> Token:
        value = next(self._values, None)
        if value is None:
            raise self.malformed("it ends too early")
        return value


def _values(text: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(text):
        quoted, _, word = found.groups()
        if quoted is not None:
            yield quoted.replace('""', '"')
        elif word in ("<exists>", "<absent>"):
            yield word == "<exists>"
        elif word and _NUMBER.fullmatch(word):
            yield float(word)
