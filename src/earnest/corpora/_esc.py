"""What ESC-10 and ESC-50 share: names of files and folders, categories, folds.

ESC-50 names its clips FOLD-CLIP-TAKE-TARGET.wav; ESC-10 (and older copies of ESC-50) name them FOLD-CLIP-TAKE.ogg in
folders such as "001 - Dog bark". CLIP is the id of the recording on freesound.org that the clip was cut from.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

from earnest.formats._scan import scan_audio
from earnest.lists import BadRow

CATEGORIES = (
    *("dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow"),
    *("rain", "sea_waves", "crackling_fire", "crickets", "chirping_birds"),
    *("water_drops", "wind", "pouring_water", "toilet_flush", "thunderstorm"),
    *("crying_baby", "sneezing", "clapping", "breathing", "coughing"),
    *("footsteps", "laughing", "brushing_teeth", "snoring", "drinking_sipping"),
    *("door_wood_knock", "mouse_click", "keyboard_typing", "door_wood_creaks", "can_opening"),
    *("washing_machine", "vacuum_cleaner", "clock_alarm", "clock_tick", "glass_breaking"),
    *("helicopter", "chainsaw", "siren", "car_horn", "engine"),
    *("train", "church_bells", "airplane", "fireworks", "hand_saw"),
)

ESC10_FOLDERS = {
    "001 - Dog bark": "dog",
    "002 - Rain": "rain",
    "003 - Sea waves": "sea_waves",
    "004 - Baby cry": "crying_baby",
    "005 - Clock tick": "clock_tick",
    "006 - Person sneeze": "sneezing",
    "007 - Helicopter": "helicopter",
    "008 - Chainsaw": "chainsaw",
    "009 - Rooster": "rooster",
    "010 - Fire crackling": "crackling_fire",
}

CITATION = (
    "K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015, "
    "doi:10.1145/2733373.2806390"
)
FAULTS = (
    "clips are cut from freesound recordings; folds keep clips of one recording together, not those of one uploader",
    "shorter recordings are padded with digital silence to 5 s",
)

_NAME = re.compile(r"(?P<clip>(?P<fold>[1-5])-(?P<source>\d+)-(?P<take>[A-Z]))(?:-(?P<target>\d{1,2}))?")


def esc_rows(root: Path, wanted: Collection[str]) -> tuple[list[dict[str, Any]], list[BadRow]]:
    """One row per clip of the wanted categories, in either layout."""
    files, bad_rows = scan_audio(root)
    rows = []
    for file in files:
        path = PurePosixPath(file)
        found = _NAME.fullmatch(path.stem)
        if found is None:
            bad_rows.append(BadRow(file, "the name is not FOLD-CLIP-TAKE or FOLD-CLIP-TAKE-TARGET"))
            continue
        label = _label(found["target"], path.parent.name)
        if label is None:
            bad_rows.append(BadRow(file, "neither the name nor the folder gives a known category"))
        elif label in wanted:
            clip = {
                "id": found["clip"],
                "audio": file,
                "source": found["source"],
                "label": label,
                "fold": found["fold"],
            }
            rows.append(clip)
    return rows, bad_rows


def _label(target: str | None, folder: str) -> str | None:
    if target is None:
        return ESC10_FOLDERS.get(folder)
    return CATEGORIES[int(target)] if int(target) < len(CATEGORIES) else None
