"""The clips that a page plays: each is written into it once, the most wanted first, as far as there is room.

Sections name the clips they show; the page is filled with their sound last, when it is known how much room is left. A
clip whose sound is left out, or whose recording is gone, keeps its name and says why it is silent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from earnest.reporting.players import LONGEST_S, Player, player_of

SOUNDS = 120  # clips at most: each costs some milliseconds to decode and to encode
Lane = Mapping[str, Any]  # a label lane of the player, as JSON


@dataclass
class Sounds:
    """What a page wants to play, in the order in which it was asked for.

    Attributes
    ----------
    table : the clip table of the run, with `id`, `audio`, `start_s`, `end_s`.
    facts : clip → what the page says about it while it plays.
    lanes : clip → label lanes under its spectrogram.
    """

    table: pl.DataFrame | None
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    lanes: dict[str, list[Lane]] = field(default_factory=dict)
    _wanted: dict[str, None] = field(default_factory=dict)
    _named: dict[str, None] = field(default_factory=dict)
    _longest: dict[str, float] = field(default_factory=dict)
    _made: dict[str, Player] = field(default_factory=dict)
    _rows: dict[str, Mapping[str, Any]] | None = None

    def want(self, clips: Sequence[str], longest_s: float = LONGEST_S) -> None:
        """Play these clips too, after all that were asked for before; of each its first seconds."""
        self._longest.update({clip: longest_s for clip in clips if longest_s > self._longest.get(clip, 0)})
        self._wanted.update(dict.fromkeys(clips))
        self._rows = None

    def name(self, clips: Sequence[str]) -> None:
        """The page names these clips, whether it plays them or not."""
        self._named.update(dict.fromkeys(clips))

    def named(self) -> list[str]:
        """All clips that the page names or plays."""
        return list({**self._wanted, **self._named})

    def tell(self, clip: str, **facts: Any) -> None:
        """Say something about a clip while it plays; what is None is not said, and what was said first stays."""
        known = self.facts.setdefault(clip, {})
        known.update({key: value for key, value in facts.items() if value is not None and key not in known})

    def player(self, clip: str) -> Player:
        """The clip, decoded and made small; the same one again when it is asked for again."""
        if self._rows is None:
            wanted = list(self._wanted)
            found = [] if self.table is None else self.table.filter(pl.col("id").is_in(wanted)).to_dicts()
            self._rows = {str(row["id"]): row for row in found}
        if clip not in self._made:
            self._made[clip] = player_of(self._rows.get(clip), self._longest.get(clip, LONGEST_S))
        return self._made[clip]

    def fill(self, room_bytes: int) -> list[tuple[str, Player]]:
        """The clips with their sound, as many as fit into the room; why others are silent is told with them."""
        filled: list[tuple[str, Player]] = []
        for clip in self._wanted:
            if len(filled) == SOUNDS or room_bytes < 2_000:
                self.tell(clip, note="Its sound is left out to keep this page small.")
                continue
            player = self.player(clip)
            if player.source is None:
                self.tell(clip, note=player.note)
            elif len(player.source) > room_bytes:
                self.tell(clip, note="Its sound is left out to keep this page small.")
            else:
                room_bytes -= len(player.source)
                self.tell(clip, note=player.note)
                filled.append((clip, player))
        return filled
