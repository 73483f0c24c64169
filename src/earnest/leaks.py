"""The audit: do training and test share speakers, sources, or the same audio?

Three things are looked for. **Speakers** and **sources** that stand in training or validation and in test of one fold.
**Identical** audio: the same decoded samples, apart from zeros at either end. **Near-identical** audio: copies with
another gain, polarity, codec, sampling rate or start, clips cut from one another, clips that share a stretch of a
second or more. What is not found: copies with another speed or pitch, and sounds buried in louder ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from earnest._copies import SILENCE, Copies, Reader, Samples, find
from earnest.table import Table

if TYPE_CHECKING:
    from earnest.splits import Fold, Folds

ALL_PAIRS = 10  # larger sets of identical clips are listed against their first
LISTED_IDS = 20


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes
    ----------
    clips, speakers, sources : how many there are (0 where the table does not tell).
    leaks : `speaker`, `source`, `duplicate`: how many distinct ones stand on both sides of a fold.
    duplicates : pairs of ids with the same audio, and `identical` or `near`; leaks or not.
    rows : one mapping per shared speaker, source and sound, and per pair of copies with different labels.
    groups : for speakers and sources: their number and the clips of the smallest and the largest.
    rejected : clips that could not be read, with reason and remedy; they were not compared.
    notes : what the audit could not look at.
    copies : the duplicates as row numbers.
    """

    clips: int
    speakers: int
    sources: int
    leaks: dict[str, int]
    duplicates: tuple[tuple[str, str, str], ...]
    rows: tuple[Mapping[str, Any], ...]
    groups: Mapping[str, Mapping[str, int]]
    rejected: tuple[Mapping[str, str | None], ...] = ()
    notes: tuple[str, ...] = ()
    copies: tuple[Copies, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything but the row numbers, ready for JSON."""
        return {
            "clips": self.clips,
            "speakers": self.speakers,
            "sources": self.sources,
            "leaks": dict(self.leaks),
            "duplicates": [list(pair) for pair in self.duplicates],
            "groups": {name: dict(sizes) for name, sizes in self.groups.items()},
            "rows": [dict(row) for row in self.rows],
            "rejected": [dict(entry) for entry in self.rejected],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Heard:
    """What listening to a table's clips gave, whatever the folds.

    Attributes
    ----------
    copies : the sounds that stand in the table more than once.
    notes : what could not be compared.
    rejected : clips that could not be read, with reason and remedy.
    """

    copies: tuple[Copies, ...]
    notes: tuple[str, ...]
    rejected: tuple[Mapping[str, str | None], ...]


def listen(table: Table, samples: Samples | None = None, sample_rate: int = 16_000) -> Heard:
    """Look for copies of the same audio; the long part of an audit. Parameters as for `audit`."""
    reader = Reader(table, samples, sample_rate)
    copies, notes = find(reader, len(table))
    return Heard(tuple(copies), tuple(notes), tuple(reader.rejected.values()))


def audit(
    table: Table,
    folds: Folds | None = None,
    *,
    samples: Samples | None = None,
    sample_rate: int = 16_000,
    target: str = "label",
    heard: Heard | None = None,
) -> Audit:
    """Look for shared speakers, shared sources and copies of the same audio.

    Parameters
    ----------
    table : the clips.
    folds : the split to check; without one, duplicates and group sizes are reported and `leaks` is all zero.
    samples : from a row number to its mono float32 audio at `sample_rate`; default: each clip is decoded from its file.
    sample_rate : the rate in hertz of what `samples` gives.
    target : the column whose values copies should share.
    heard : what `listen` gave for this table before; None listens now.

    Returns
    -------
    Audit
        A clip that cannot be read is listed in `rejected`; it never ends the audit.
    """
    groups = {name: _groups(table, name) for name in ("speaker", "source")}
    heard = heard or listen(table, samples, sample_rate)
    copies = heard.copies
    ids = table.column("id").to_list()
    labels = table.column(target).to_list() if table.has(target) else [None] * len(table)
    rows: list[dict[str, Any]] = []
    leaks = {"speaker": 0, "source": 0, "duplicate": 0}
    for name, members in groups.items():
        shared = list(_shared_groups(name, members, folds, ids))
        leaks[name] = len(shared)
        rows += shared
    sides = _sides(folds, len(table))
    straddling = [(entry, _straddles(entry, sides)) for entry in copies]
    leaks["duplicate"] = _sounds([entry for entry, where in straddling if where])
    rows += [_copy_row(entry, where, ids, labels) for entry, where in straddling]
    return Audit(
        clips=len(table),
        speakers=len(groups["speaker"]),
        sources=len(groups["source"]),
        leaks=leaks,
        duplicates=tuple(sorted(pair for entry in copies for pair in _pairs(entry, ids))),
        rows=tuple(rows),
        groups={name: _sizes(members) for name, members in groups.items() if members},
        rejected=heard.rejected,
        notes=heard.notes,
        copies=copies,
    )


def without_copies(folds: Folds, found: Audit) -> Folds:
    """The folds without those training and validation rows that are copies of a test row; the test rows stay whole.

    For official folds, whose test rows are not ours to change. Each fold that loses rows says so in the notes.
    """
    cleaned, notes = [], list(folds.notes)
    for fold in folds.folds:
        tested = set(fold.test.tolist())
        spoiled: set[int] = set()
        for entry in found.copies:
            for ours, theirs in ((entry.first, entry.second), (entry.second, entry.first)):
                if not tested.isdisjoint(theirs):
                    spoiled.update(set(ours) - tested)
        train, validation = (rows[~np.isin(rows, list(spoiled))] for rows in (fold.train, fold.validation))
        lost = len(fold.train) + len(fold.validation) - len(train) - len(validation)
        if lost:
            clips = "clip was" if lost == 1 else "clips were"
            notes.append(f"fold {fold.name}: {lost} training {clips} left out as copies of test clips.")
        cleaned.append(replace(fold, train=train, validation=validation))
    return replace(folds, folds=tuple(cleaned), notes=tuple(notes))


def _groups(table: Table, name: str) -> dict[str, np.ndarray]:
    """The rows of each speaker or source; without a named source, a recording that several rows share is one."""
    values: list[Any] = table.column(name).to_list() if table.has(name) else [None] * len(table)
    if name == "source":
        paths = table.column("audio").to_list()
        times: dict[str, int] = defaultdict(int)
        for path in paths:
            times[path] += 1
        values = [
            path if value is None and times[path] > 1 else value for value, path in zip(values, paths, strict=True)
        ]
    members: dict[str, list[int]] = defaultdict(list)
    for row, value in enumerate(values):
        if value is not None:
            members[str(value)].append(row)
    return {value: np.array(members[value], dtype=np.int64) for value in sorted(members)}


def _sizes(members: Mapping[str, np.ndarray]) -> dict[str, int]:
    sizes = [len(rows) for rows in members.values()]
    return {"n": len(sizes), "smallest": min(sizes), "largest": max(sizes)}


def _training(fold: Fold) -> np.ndarray:
    """Rows that a model has seen or been chosen by."""
    return np.concatenate([fold.train, fold.validation])


def _shared_groups(
    name: str, members: Mapping[str, np.ndarray], folds: Folds | None, ids: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """One row for each speaker or source that stands on both sides of a fold, with the largest meeting as example."""
    sides = [(fold.name, _training(fold), fold.test) for fold in (folds.folds if folds else ())]
    of_row = np.full(len(ids), -1, dtype=np.int64)
    names = list(members)
    for number, rows in enumerate(members.values()):
        of_row[rows] = number
    meetings: dict[int, list[str]] = defaultdict(list)
    examples: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for fold, training, test in sides:
        for number in np.intersect1d(of_row[training], of_row[test]).tolist():
            if number >= 0:
                meetings[number].append(fold)
                if number not in examples:
                    examples[number] = training[of_row[training] == number], test[of_row[test] == number]
    for number in sorted(meetings):
        training, test = examples[number]
        yield {
            "kind": name,
            "value": names[number],
            "folds": meetings[number],
            "training_clips": len(training),
            "test_clips": len(test),
            "example": [ids[training[0]], ids[test[0]]],
        }


def _sides(folds: Folds | None, clips: int) -> list[tuple[str, np.ndarray]]:
    """For each fold, the side of every row: 1 training or validation, 2 test, 0 neither."""
    sides = []
    for fold in folds.folds if folds else ():
        side = np.zeros(clips, dtype=np.int8)
        side[_training(fold)] = 1
        side[fold.test] = 2
        sides.append((fold.name, side))
    return sides


def _straddles(entry: Copies, sides: Iterable[tuple[str, np.ndarray]]) -> list[tuple[str, int, int]]:
    """Folds that hold a copy on either side, each with one training row and one test row."""
    where = []
    for fold, side in sides:
        for ours, theirs in ((entry.first, entry.second), (entry.second, entry.first)):
            training = [row for row in ours if side[row] == 1]
            test = [row for row in theirs if side[row] == 2]
            if training and test:
                where.append((fold, training[0], test[0]))
                break
    return where


def _sounds(entries: Sequence[Copies]) -> int:
    """The number of distinct sounds: sets of rows that are connected through copies."""
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while parent.setdefault(row, row) != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for entry in entries:
        first = root(entry.first[0])
        for row in (*entry.first, *entry.second):
            parent[root(row)] = first
    return len({root(row) for row in parent})


def _pairs(entry: Copies, ids: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """The pairs of ids that stand for these copies."""
    if entry.kind == "near":
        first, second = sorted((ids[entry.first[0]], ids[entry.second[0]]))
        yield first, second, "near"
        return
    rows = entry.first
    heads = rows if len(rows) <= ALL_PAIRS else rows[:1]
    for place, head in enumerate(heads):
        for other in rows[place + 1 :]:
            first, second = sorted((ids[head], ids[other]))
            yield first, second, "identical"


def _copy_row(
    entry: Copies, where: Sequence[tuple[str, int, int]], ids: Sequence[str], labels: Sequence[Any]
) -> dict[str, Any]:
    """One set of copies in words: how alike, which rows, which folds, and whether the labels contradict each other."""
    members = list(dict.fromkeys((*entry.first, *entry.second)))
    row: dict[str, Any] = {
        "kind": "duplicate" if where else "copies",
        "how": "identical" if entry.kind == SILENCE else entry.kind,
        "ids": [ids[member] for member in members[:LISTED_IDS]],
    }
    if len(members) > LISTED_IDS:
        row["further_ids"] = len(members) - LISTED_IDS
    if entry.kind == SILENCE:
        row["note"] = "digital silence: every sample is zero"
    if entry.kind == "near":
        row["shared_s"], row["coherence"] = round(entry.seconds, 2), round(entry.coherence, 3)
    if where:
        row["folds"] = [fold for fold, _, _ in where]
        row["example"] = [ids[where[0][1]], ids[where[0][2]]]
    given = sorted({str(labels[member]) for member in members if labels[member] is not None})
    if len(given) > 1:
        row["labels_differ"] = given
    return row
