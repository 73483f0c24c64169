"""Labels that people draw: one JSON file per clip, `annotations/TABLE/CLIP.json` in the studio's folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from earnest.errors import DataError
from earnest.files import atomic_write_text
from earnest.formats import labels

LONGEST = 120  # letters of a file's name; longer ids end in a hash
MOST_LANES, MOST_ITEMS = 100, 50_000
MEDIA_TYPES = {"rttm": "text/plain", "TextGrid": "text/plain", "txt": "text/plain", "csv": "text/csv"}


def place_of(root: Path, table: str, clip: str) -> Path:
    """Where the labels of a clip lie. Whatever an id holds, it becomes one name inside `annotations`."""
    return root / "annotations" / _name(table) / f"{_name(clip)}.json"


def read(place: Path) -> list[dict[str, Any]]:
    """The lanes of a clip; none where nothing was drawn yet.

    Raises
    ------
    DataError : the file is damaged.
    """
    try:
        lanes = json.loads(place.read_text(encoding="utf-8"))["lanes"]
        return _plain(lanes)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise DataError(f"{place} is damaged: {problem}.", "Move it away to begin anew.") from problem


def write(place: Path, lanes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Keep the lanes of a clip, whole or not at all; gives them as they were kept.

    Raises
    ------
    DataError : lanes without a name, or labels that are not stretches of time.
    StorageError : the disk is full or the place cannot be written.
    """
    kept = _plain(lanes)
    atomic_write_text(place, json.dumps({"lanes": kept}, ensure_ascii=False, indent=1) + "\n")
    return kept


def exported(lanes: Sequence[Mapping[str, Any]], suffix: str, recording: str, duration_s: float) -> str:
    """The lanes as the text of another program's file."""
    return labels.written(f".{suffix}", labels.from_lanes(lanes), recording, duration_s)


def _plain(lanes: Any) -> list[dict[str, Any]]:
    """Lanes and labels that are what they should be, in the order of time."""
    if not isinstance(lanes, list) or len(lanes) > MOST_LANES:
        raise DataError(f"Lanes are a list of at most {MOST_LANES}.", "Send them as the page does.")
    found: list[dict[str, Any]] = []
    for lane in lanes:
        items = sorted(labels.from_lanes([{**lane, "kind": "labels"}]))
        name = str(lane.get("name", ""))
        if len(items) > MOST_ITEMS or len(name) > 200 or any(len(item.label) > 2000 for item in items):
            raise DataError("A lane, a name or a label is too long.", "Split it.")
        plain = [{"start_s": item.start_s, "end_s": item.end_s, "label": item.label} for item in items]
        found.append({"name": name, "items": plain})
    return found


def _name(id: str) -> str:
    name = quote(id, safe="").replace(".", "%2E") or "%"
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 20]}-{hashlib.sha256(id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
