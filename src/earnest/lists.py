"""Rows of CSV and JSON-lines files, read so that a bad line is named and the others are kept."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

LIST_COLUMNS = ("labels", "events")  # cells that hold several values

Row = dict[str, Any]


@dataclass(frozen=True)
class BadRow:
    """A row (by id, line or file) that was kept out of a table, and why."""

    row: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """The two fields as plain values."""
        return asdict(self)


def read_csv(path: Path) -> tuple[list[Row], list[BadRow]]:
    """Rows of a CSV file; the separator is the most frequent of comma, semicolon and tab in the header.

    Raises
    ------
    OSError, UnicodeDecodeError, csv.Error : the file cannot be read, or its header names a column twice.
    """
    rows: list[Row] = []
    bad_rows = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=max(",;\t", key=header.count), strict=True)
        names = [name.strip() for name in next(reader, [])]
        if len(set(names)) < len(names):
            raise csv.Error(f"a column stands twice in the header ({', '.join(names)})")
        for cells in reader:
            problem = None if len(cells) == len(names) else f"{len(cells)} cells where the header has {len(names)}"
            if not cells:
                continue
            row: Row = {name: cell.strip() or None for name, cell in zip(names, cells, strict=False)}
            try:
                row |= {name: _listed(row[name]) for name in LIST_COLUMNS if row.get(name)}
            except json.JSONDecodeError as error:
                problem = problem or f"a list is not JSON: {error.msg}"
            if problem:
                bad_rows.append(BadRow(f"line {reader.line_num}", problem))
            else:
                rows.append(row)
    return rows, bad_rows


def _listed(cell: str) -> Any:
    """A cell that holds several values: JSON, or names with semicolons between them."""
    return json.loads(cell) if cell.startswith("[") else [part.strip() for part in cell.split(";")]


def read_json_lines(path: Path) -> tuple[list[Row], list[BadRow]]:
    """Rows of a JSON-lines file; lines that are not JSON objects are bad rows.

    Raises
    ------
    OSError, UnicodeDecodeError : the file cannot be read.
    """
    rows: list[Row] = []
    bad_rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            bad_rows.append(BadRow(f"line {number}", f"not JSON: {error.msg}"))
            continue
        if isinstance(value, dict):
            rows.append(value)
        else:
            bad_rows.append(BadRow(f"line {number}", "not a JSON object"))
    return rows, bad_rows
