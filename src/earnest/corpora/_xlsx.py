"""The first sheet of an Excel workbook as rows of text: enough for the sheets that come with corpora.

An .xlsx file is a zip of XML (ECMA-376, part 1): xl/sharedStrings.xml holds the texts, xl/worksheets/sheet1.xml the
cells, each with its place ("B3") and a number, a text of its own, or the index of a shared text.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from earnest.errors import DataError

_SPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_SHEET, _TEXTS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
_MOST_BYTES = 64 << 20  # unpacked; the sheet of a corpus has kilobytes


def read_xlsx(place: Path) -> list[dict[str, str | None]]:
    """Rows of the first sheet below its header, as text; empty cells are None, empty rows are left out.

    Raises
    ------
    DataError : the file cannot be read as a workbook.
    """
    try:
        with zipfile.ZipFile(place) as book:
            if any(entry.file_size > _MOST_BYTES for entry in book.infolist()):
                raise DataError(f"{place} unpacks to more than 64 MiB.", "Save the sheet as CSV beside it.")
            texts = _texts(book.read(_TEXTS)) if _TEXTS in book.namelist() else []
            cells = [_cells(row, texts) for row in ElementTree.fromstring(book.read(_SHEET)).iter(f"{_SPACE}row")]
    except (OSError, zipfile.BadZipFile, KeyError, ElementTree.ParseError, ValueError, IndexError) as error:
        raise DataError(
            f"{place} cannot be read as an Excel workbook: {error}.", "Save the sheet as CSV beside it."
        ) from error
    header = cells[0] if cells else {}
    rows = [{name: row.get(column) for column, name in header.items() if name} for row in cells[1:]]
    return [row for row in rows if any(row.values())]


def _texts(content: bytes) -> list[str]:
    """The shared texts; one that is formatted in parts is put together."""
    return ["".join(part.text or "" for part in item.iter(f"{_SPACE}t")) for item in ElementTree.fromstring(content)]


def _cells(row: ElementTree.Element, texts: Sequence[str]) -> dict[str, str | None]:
    """Column letters → text of one row."""
    cells = {}
    for cell in row.iter(f"{_SPACE}c"):
        column = re.sub(r"\d", "", cell.get("r", ""))
        value = cell.find(f"{_SPACE}v")
        if cell.get("t") == "inlineStr":
            text = "".join(part.text or "" for part in cell.iter(f"{_SPACE}t"))
        elif value is None or value.text is None:
            text = ""
        else:
            text = texts[int(value.text)] if cell.get("t") == "s" else value.text
        cells[column] = text.strip() or None
    return cells


def write_xlsx(place: Path, rows: Sequence[Sequence[str | int]]) -> None:
    """A workbook of one sheet with at most 26 columns, for example trees; texts are shared, as Excel does it."""
    texts = list(dict.fromkeys(cell for row in rows for cell in row if isinstance(cell, str)))
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = [
            f'<c r="{chr(65 + column)}{number}" t="s"><v>{texts.index(cell)}</v></c>'
            if isinstance(cell, str)
            else f'<c r="{chr(65 + column)}{number}"><v>{cell}</v></c>'
            for column, cell in enumerate(row)
        ]
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    space = f'xmlns="{_SPACE[1:-1]}"'
    items = "".join(f"<si><t>{text}</t></si>" for text in texts)
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr(_TEXTS, f"<sst {space}>{items}</sst>")
        book.writestr(_SHEET, f"<worksheet {space}><sheetData>{''.join(lines)}</sheetData></worksheet>")
