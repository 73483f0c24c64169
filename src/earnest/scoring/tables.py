"""Comparison tables: rows of dicts as Markdown, LaTeX, CSV or HTML.

A cell is text, a number, None, or a `(value, low, high)` triple. The best value of a column is bold, among the
rows of one `corpus` where rows say theirs. A row that may not be believed (a leaky twin) carries `"void": True` or a
reason, is marked so, and is never the best. A row with `"alike": True` does not differ significantly from the best: its
score is marked ≈.
"""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from earnest.errors import DataError, did_you_mean

ALIKE = " ≈"
Row = Mapping[str, Any]
Kind = Literal["text", "percent", "number", "count"]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    key : where a row holds the cell.
    title : the heading.
    kind : `percent` multiplies fractions by 100; `number` shows `digits` decimals; `count` whole numbers.
    best : which end is bold, or None.
    digits : decimals shown.
    """

    key: str
    title: str
    kind: Kind = "text"
    best: Literal["high", "low"] | None = None
    digits: int = 1


def render(rows: Sequence[Row], columns: Sequence[Column] | None = None, style: str = "markdown") -> str:
    """The table as text.

    Parameters
    ----------
    rows : one mapping per line; a key that a row lacks is an empty cell.
    columns : what to show; found from the rows when not given (triples and fractions as percent, higher is better).
    style : `markdown`, `latex` (booktabs), `csv` (full numbers, bounds in columns of their own) or `html`.

    Raises
    ------
    DataError : an unknown style, or a cell that does not fit its column.
    """
    if style not in STYLES:
        raise DataError(f"unknown table style {style!r}.", did_you_mean(style, STYLES))
    shown = list(columns) if columns is not None else guess_columns(rows)
    return STYLES[style](rows, shown)


def guess_columns(rows: Sequence[Row]) -> list[Column]:
    """A column for each key, in order of appearance."""
    keys = dict.fromkeys(key for row in rows for key in row if key not in ("void", "alike"))
    columns = []
    for key in keys:
        values = [row[key] for row in rows if row.get(key) is not None]
        title = key.replace("_", " ")
        if any(isinstance(value, tuple) for value in values):
            columns.append(Column(key, title, "percent", "high"))
        elif values and all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            columns.append(Column(key, title, "count"))
        elif values and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            fractions = all(0 <= value <= 1 for value in values)
            columns.append(Column(key, title, "percent", "high") if fractions else Column(key, title, "number"))
        else:
            columns.append(Column(key, title))
    return columns


def format_cell(value: Any, column: Column) -> str:
    """A cell as plain text: `87.3 [84.1, 90.0]`, `1,440`, or nothing for None and NaN.

    Raises
    ------
    DataError : a cell of a number column that is no number.
    """
    if value is None:
        return ""
    if column.kind == "text":
        return str(value)
    numbers = _numbers(value, column)
    if math.isnan(numbers[0]):
        return ""
    scale = 100.0 if column.kind == "percent" else 1.0
    digits = 0 if column.kind == "count" else column.digits
    texts = [f"{number * scale:,.{digits}f}" for number in numbers]
    return texts[0] if len(texts) == 1 else f"{texts[0]} [{texts[1]}, {texts[2]}]"


def _numbers(value: Any, column: Column) -> tuple[float, ...]:
    parts = tuple(value) if isinstance(value, tuple | list) else (value,)
    if len(parts) not in (1, 3):
        raise DataError(
            f"column {column.key!r}: {value!r} has {len(parts)} parts.", "Give a number, or (value, low, high)."
        )
    try:
        return tuple(float(part) for part in parts)
    except (TypeError, ValueError) as error:
        raise DataError(f"column {column.key!r}: {value!r} is no number.", "Is the column of kind 'text'?") from error


def _best(rows: Sequence[Row], column: Column) -> set[int]:
    """The rows whose shown value is the best of the column among rows of the same corpus; all that read alike."""
    if column.best is None:
        return set()
    scale = 100.0 if column.kind == "percent" else 1.0
    rivals: dict[Any, dict[int, float]] = {}
    for number, row in enumerate(rows):
        if row.get(column.key) is None or row.get("void"):
            continue
        value = _numbers(row[column.key], column)[0]
        if not math.isnan(value):
            rivals.setdefault(row.get("corpus"), {})[number] = round(value * scale, column.digits)
    winners = set()
    for values in rivals.values():
        top = (max if column.best == "high" else min)(values.values())
        winners |= {number for number, value in values.items() if value == top and len(values) > 1}
    return winners


def _cells(
    rows: Sequence[Row], columns: Sequence[Column], escape: Callable[[str], str], bold: Callable[[str], str]
) -> list[list[str]]:
    """All cells escaped; of the best ones the value is bold, not its interval; void rows say so in the first cell."""
    best = [_best(rows, column) for column in columns]
    table = []
    for number, row in enumerate(rows):
        line = []
        for column, winners in zip(columns, best, strict=True):
            value, space, interval = format_cell(row.get(column.key), column), "", ""
            if column.kind != "text":
                value, space, interval = value.partition(" ")
            text = bold(escape(value)) if number in winners else escape(value)
            if row.get("alike") and column.key == "score" and value:
                text += escape(ALIKE)
            line.append(text + space + escape(interval))
        if row.get("void") and line:
            line[0] = f"{line[0]} {escape(_void_mark(row))}".strip()
        table.append(line)
    return table


def _void_mark(row: Row) -> str:
    return f"(void: {row['void']})" if isinstance(row["void"], str) else "(void)"


def _markdown(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    def escape(text: str) -> str:
        return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")

    lines = [
        [escape(column.title) for column in columns],
        ["---" if column.kind == "text" else "---:" for column in columns],
        *_cells(rows, columns, escape, lambda text: f"**{text}**"),
    ]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


LATEX_SPECIALS = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "\n": " ", "≈": r"$\approx$"}
)


def _latex(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    def escape(text: str) -> str:
        return text.translate(LATEX_SPECIALS)

    # braces keep a cell that opens with a bracket from being read as the optional argument of \\
    body = _cells(rows, columns, escape, lambda text: rf"\textbf{{{text}}}")
    lines = [
        r"\begin{tabular}{" + "".join("l" if column.kind == "text" else "r" for column in columns) + "}",
        r"\toprule",
        " & ".join(escape(column.title) for column in columns) + r" \\",
        r"\midrule",
        *(" & ".join(f"{{{cell}}}" if cell.startswith("[") else cell for cell in line) + r" \\" for line in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _csv(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Numbers in full and unscaled; a column of triples becomes three."""
    spread = {c.key for c in columns if c.kind != "text" and any(isinstance(r.get(c.key), tuple | list) for r in rows)}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads = [
        name
        for column in columns
        for name in ([column.key, f"{column.key}_low", f"{column.key}_high"] if column.key in spread else [column.key])
    ]
    writer.writerow([*heads, "void"])
    for row in rows:
        line: list[Any] = []
        for column in columns:
            value = row.get(column.key)
            if column.key not in spread:
                line.append("" if value is None else value)
                continue
            numbers = _numbers(value, column) if value is not None else ()
            line.extend([*numbers, "", "", ""][:3])
        void = row.get("void")
        writer.writerow([*line, void if isinstance(void, str) else ("void" if void else "")])
    return out.getvalue()


def _html(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    heads = "".join(f"<th{_number_class(column)}>{html.escape(column.title)}</th>" for column in columns)
    lines = ["<table>", f"<thead><tr>{heads}</tr></thead>", "<tbody>"]
    for row, cells in zip(
        rows, _cells(rows, columns, html.escape, lambda text: f"<strong>{text}</strong>"), strict=True
    ):
        inside = "".join(f"<td{_number_class(c)}>{cell}</td>" for c, cell in zip(columns, cells, strict=True))
        lines.append(f'<tr class="void">{inside}</tr>' if row.get("void") else f"<tr>{inside}</tr>")
    return "\n".join([*lines, "</tbody>", "</table>"]) + "\n"


def _number_class(column: Column) -> str:
    return "" if column.kind == "text" else ' class="number"'


STYLES: dict[str, Callable[[Sequence[Row], Sequence[Column]], str]] = {
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
    "html": _html,
}
