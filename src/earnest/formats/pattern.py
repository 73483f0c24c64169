"""Anyone's own folder, read by a path pattern.

    {label}/{speaker}_{take}.wav          folder = label; file name = speaker, underscore, take
    {speaker:2}{_:3}{label:1}*.wav        fixed widths: two characters speaker, three ignored, one label
    **/{speaker}-{_}-{label}.*            any folders above, any file ending

`{label}`, `{speaker}`, `{source}`, `{fold}`, `{split}` and any other `{name}` become columns; `{_}` is ignored. A part
takes as few characters as it can and never a slash. The same name twice must match the same text. `*` is anything but a
slash, `**` anything, `?` one character. Literal text matches in upper and lower case. A pattern without a slash is
matched against the file name, in whatever folder the file lies; otherwise against the path from the folder on.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from earnest.errors import DataError
from earnest.formats._scan import is_audio, scan, scan_audio
from earnest.lists import BadRow
from earnest.table import FIRST_COLUMNS, Table

RESERVED = frozenset(FIRST_COLUMNS) - {"speaker", "source"}

_TOKEN = re.compile(r"\{(?P<name>[^{}:]*)(?::(?P<width>[^{}]*))?\}|(?P<deep>\*\*/?)|(?P<any>\*)|(?P<one>\?)")
_LITERAL_SUFFIX = re.compile(r"\.\w+$")


@dataclass(frozen=True)
class PathPattern:
    """A compiled pattern; `fields` are the columns it gives."""

    text: str
    regex: re.Pattern[str]
    fields: tuple[str, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """The columns of one relative path, or None when it does not match."""
        path = unicodedata.normalize("NFC", path)
        found = self.regex.fullmatch(path if "/" in self.text else path.rpartition("/")[2])
        return found.groupdict() if found else None


def compile_pattern(text: str) -> PathPattern:
    """Compile a path pattern.

    Raises
    ------
    DataError : an unclosed brace, a name that cannot be a column, a width that is not a positive number, no field.
    """
    normal = unicodedata.normalize("NFC", text).removeprefix("./")
    fields: list[str] = []
    expression, end = "", 0
    for token in _TOKEN.finditer(normal):
        expression += _literal(normal[end : token.start()], text)
        end = token.end()
        if token["name"] is not None:
            expression += _field(token["name"], token["width"], fields, text)
        elif token["deep"]:
            expression += "(?:.*/)?" if token["deep"].endswith("/") else ".*"
        else:
            expression += "[^/]*" if token["any"] else "[^/]"
    expression += _literal(normal[end:], text)
    if not fields:
        raise _bad_pattern(text, "it names no column")
    return PathPattern(normal, re.compile(expression, re.IGNORECASE | re.DOTALL), tuple(fields))


def read(path: str | Path, pattern: str) -> Table:
    """The recordings below a folder whose paths match a pattern; recordings that do not match are bad rows.

    Raises
    ------
    DataError : the pattern is wrong, the folder cannot be read or holds no recording, or nothing matches.
    """
    folder = Path(path)
    compiled = compile_pattern(pattern)
    files, bad_rows = scan(folder)
    if not _LITERAL_SUFFIX.search(compiled.text):
        files = [file for file in files if is_audio(file)]
    rows = []
    for file in files:
        fields = compiled.match(file)
        if fields is not None:
            rows.append({"id": unicodedata.normalize("NFC", file), "audio": file, **fields})
        elif is_audio(file):
            bad_rows.append(BadRow(file, f"does not match the pattern {pattern}"))
    if not rows:
        example = next(iter(scan_audio(folder)[0]), "")
        raise DataError(
            f"none of the recordings in {folder} matches the pattern {pattern}; the first one is {example!r}.",
            "The pattern describes the path from the folder on, such as {label}/{speaker}_{take}.wav.",
        )
    return Table.from_frame(pl.DataFrame(rows), folder.absolute().name, root=folder, bad_rows=bad_rows)


def _literal(text: str, pattern: str) -> str:
    if "{" in text or "}" in text:
        raise _bad_pattern(pattern, "a brace is not closed")
    return re.escape(text)


def _field(name: str, width: str | None, fields: list[str], pattern: str) -> str:
    """The regular expression of one `{name}` or `{name:width}`; a new name is added to `fields`."""
    if width is not None and (not width.isdecimal() or int(width) == 0):
        raise _bad_pattern(pattern, f"the width in {{{name}:{width}}} is not a positive whole number")
    body = "[^/]+?" if width is None else f"[^/]{{{int(width)}}}"
    if name == "_":
        return body
    if not name.isidentifier() or name in RESERVED:
        raise _bad_pattern(pattern, f"{name!r} cannot be the name of a column")
    if name in fields:
        return f"(?P={name})"
    fields.append(name)
    return f"(?P<{name}>{body})"


def _bad_pattern(pattern: str, reason: str) -> DataError:
    return DataError(
        f"the pattern {pattern!r} is wrong: {reason}.",
        "Example: {label}/{speaker}_{take}.wav; {_} is ignored, {speaker:2} is two characters wide.",
    )
