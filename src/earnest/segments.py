"""How recordings become the clips of a run: after decoding, before the split and the audit.

    recordings (table, waveforms) ─ segment ─► clips (table, waveforms)

`whole` leaves every recording as it is. `crop-pad` keeps the first window of each (the "V2" of the depression
literature). `cut-all` cuts each into consecutive windows; the last, shorter one is a clip like any short clip and is
padded when it becomes a model input. `join-by-speaker` ("V0") first joins the recordings of one speaker and one target,
in the order of the table, with silence between them.

A piece is a row of its own. It inherits every column of the recording it comes from, and the column `recording` names
that recording; a split by speaker or source keeps the pieces of one recording together. A split that does not is the
best known leak of that literature (90 to 99 % on some 52 speakers), and `scattered` counts it.

Deviations from the published recipes: the last piece stands in the middle of its silence, where theirs is filled up
behind; pieces of digital silence are tested, since whoever uses the model cuts the same way, but not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from earnest.errors import RecipeError
from earnest.files import atomic_path
from earnest.recipe import Clips
from earnest.splits import Folds
from earnest.table import Table
from earnest.training.waveforms import SAMPLES, Waveforms, write_spans

OFFICIAL = ("fold", "split")  # recordings of different official parts are never joined


@dataclass(frozen=True)
class Joined:
    """Recordings laid out one after the other, all lengths in samples.

    Attributes
    ----------
    names : what each joined recording is called.
    members : rows of the table that each consists of, in order.
    starts, stops : per joined recording, where its members begin and end in it.
    """

    names: list[str]
    members: list[np.ndarray]
    starts: list[np.ndarray]
    stops: list[np.ndarray]


def segment(table: Table, targets: np.ndarray, column: str, cache: Path, clips: Clips, window: int) -> Table:
    """Turn decoded recordings into clips, in the table and in the waveforms.

    Parameters
    ----------
    table : the decoded recordings.
    targets : their encoded targets, (recordings, …): equal rows are one and the same target.
    column : the target column, for the names of joined recordings.
    cache : folder of the decoded audio; its spans are rewritten, and for `join-by-speaker` its samples too.
    clips : the recipe's rule.
    window : samples of one model input.

    Returns
    -------
    The table of the clips; for `whole` and `crop-pad` the one that was given.

    Raises
    ------
    RecipeError : the silence between joined recordings would fill whole windows.
    """
    if clips.segments == "whole":
        return table
    waveforms = Waveforms.open(cache)
    if clips.segments == "crop-pad":
        first, last = waveforms.spans.T
        write_spans(cache, np.stack([first, np.minimum(last, first + window)], axis=1), waveforms.sample_rate)
        return table
    if clips.segments == "join-by-speaker":
        gap = check_gap(clips, window, waveforms.sample_rate)
        joined = join(table, targets, column, waveforms.lengths, gap)
        sources = linked_sources(table, joined)
        begins = write_joined(cache, waveforms, joined)
    else:
        joined = each_alone(table, waveforms.lengths)
        sources = own_sources(table)
        begins = waveforms.spans[:, 0]
    pieces, spans = cut(table, joined, sources, begins, window, waveforms.sample_rate)
    write_spans(cache, spans, waveforms.sample_rate)
    return pieces


def check_gap(clips: Clips, window: int, sample_rate: int) -> int:
    """The samples of silence between two joined recordings.

    Raises
    ------
    RecipeError : a window (in samples) could fall into it.
    """
    gap = round(clips.gap_s * sample_rate)
    if clips.segments == "join-by-speaker" and gap >= window:
        raise RecipeError(
            f"clips.gap_s={clips.gap_s:g} is not shorter than a window of {clips.window_s:g} s: "
            "whole pieces would be silence.",
            "Use a shorter silence (0.5 s is usual) or longer windows.",
        )
    return gap


def each_alone(table: Table, lengths: np.ndarray) -> Joined:
    """Every recording by itself, under its own id."""
    rows = list(np.arange(len(table))[:, None])
    return Joined(table.column("id").to_list(), rows, list(np.zeros((len(table), 1), np.int64)), list(lengths[:, None]))


def join(table: Table, targets: np.ndarray, column: str, lengths: np.ndarray, gap: int) -> Joined:
    """The recordings of one speaker and one target after each other, `gap` samples of silence between them.

    A recording without a speaker stays alone. Recordings of different official folds or parts are not joined.
    """
    kinds = np.unique(targets.reshape(len(table), -1), axis=0, return_inverse=True)[1].reshape(-1).tolist()
    columns = ["speaker", column, *(name for name in OFFICIAL if table.has(name))]
    cells = table.frame.select(columns).rows()
    ids = table.column("id").to_list()
    members: dict[Any, list[int]] = {}
    for row, (speaker, _, *official) in enumerate(cells):
        key = ids[row] if speaker is None else (speaker, kinds[row], *official)
        members.setdefault(key, []).append(row)
    rows = [np.array(group) for group in members.values()]
    names = [
        key if isinstance(key, str) else "/".join(str(cell) for cell in cells[group[0]] if cell is not None)
        for key, group in members.items()
    ]
    stops = [np.cumsum(lengths[group] + gap) - gap for group in rows]
    return Joined(_different(names), rows, [stop - lengths[g] for g, stop in zip(rows, stops, strict=True)], stops)


def _different(names: Sequence[str]) -> list[str]:
    """The same names, with `~2`, `~3` … behind those that occurred before."""
    taken: set[str] = set()
    result = []
    for name in names:
        free, number = name, 1
        while free in taken:
            number += 1
            free = f"{name}~{number}"
        taken.add(free)
        result.append(free)
    return result


def own_sources(table: Table) -> list[str | None]:
    """The source of every row; where pieces need one to stay together, a recording without is a source of its own.

    Rows cut from one and the same file share one. Where every row has a speaker and none a source, the speaker keeps
    pieces together, and nothing is added.
    """
    given: list[str | None] = table.column("source").to_list()
    if not table.has("source") and not table.column("speaker").null_count():
        return given
    first: dict[str, str] = {}
    for clip, path in table.frame.select("id", "audio").iter_rows():
        first.setdefault(path, clip)
    return [
        first[path] if source is None else source for source, path in zip(given, table.column("audio"), strict=True)
    ]


def linked_sources(table: Table, joined: Joined) -> list[str | None]:
    """The source of every row, where sources that are joined anywhere have become one, named after the first of them.

    A piece may hold the end of one recording and the beginning of the next; so whatever is joined counts as one source.
    """
    given = own_sources(table)
    parent = {source: source for source in given if source is not None}

    def root(source: str) -> str:
        while parent[source] != source:
            parent[source] = parent[parent[source]]
            source = parent[source]
        return source

    for rows in joined.members:
        roots = sorted({root(source) for row in rows if (source := given[row]) is not None})
        parent.update(dict.fromkeys(roots, roots[0] if roots else ""))
    sizes: dict[str, int] = {}
    for source in parent:
        sizes[root(source)] = sizes.get(root(source), 0) + 1
    names = {first: first if size == 1 else f"{first}+{size - 1}" for first, size in sizes.items()}
    return [None if source is None else names[root(source)] for source in given]


def write_joined(cache: Path, waveforms: Waveforms, joined: Joined) -> np.ndarray:
    """Write the joined recordings in the place of the single ones, one at a time.

    Returns
    -------
    Where each joined recording begins in the new file, (joined,) int64 samples.
    """
    begins = np.zeros(len(joined.members), np.int64)
    place = cache / SAMPLES
    written = 0
    with atomic_path(place) as part_path, part_path.open("wb") as stream:
        for number, (rows, starts) in enumerate(zip(joined.members, joined.starts, strict=True)):
            begins[number] = written
            for row, start in zip(rows, starts, strict=True):
                silence = np.zeros(begins[number] + start - written, np.float32)
                stream.write(silence.tobytes())
                stream.write(np.ascontiguousarray(waveforms[row]).tobytes())
                written += len(silence) + int(waveforms.lengths[row])
    return begins


def cut(
    table: Table, joined: Joined, sources: Sequence[str | None], begins: np.ndarray, window: int, sample_rate: int
) -> tuple[Table, np.ndarray]:
    """Cut joined recordings into consecutive windows.

    `audio`, `start_s` and `end_s` of a piece name the recording it begins with, and the stretch of it that is in it.

    Returns
    -------
    pieces : one row per piece, in the order of their ids.
    spans : (pieces, 2) int64, where each lies in the file of samples.
    """
    totals = np.array([stops[-1] for stops in joined.stops], dtype=np.int64)
    counts = np.maximum(-(-totals // window), 1)
    digits = len(str(counts.max()))
    owners = np.repeat(np.arange(len(totals)), counts)
    numbers = np.concatenate([np.arange(count) for count in counts])
    starts, stops = numbers * window, np.minimum((numbers + 1) * window, totals[owners])

    rows, heard = [], []  # the member that a piece begins with, and the stretch of it in seconds of its file
    begin_s, end_s = (table.column(name).to_list() for name in ("start_s", "end_s"))
    for owner, start, stop in zip(owners.tolist(), starts.tolist(), stops.tolist(), strict=True):
        member = min(int(np.searchsorted(joined.stops[owner], start, side="right")), len(joined.members[owner]) - 1)
        row = int(joined.members[owner][member])
        first, last = int(joined.starts[owner][member]), int(joined.stops[owner][member])
        origin = begin_s[row] or 0.0
        from_s = origin + max(start - first, 0) / sample_rate
        rows.append(row)
        heard.append((from_s, end_s[row] if stop >= last else origin + (stop - first) / sample_rate))

    names = [joined.names[owner] for owner in owners]
    frame = table.frame[rows].with_columns(
        pl.Series("id", [f"{name}#{n + 1:0{digits}d}" for name, n in zip(names, numbers, strict=True)], pl.String),
        pl.Series("start_s", [start for start, _ in heard], pl.Float64),
        pl.Series("end_s", [end for _, end in heard], pl.Float64),
        pl.Series("source", [sources[row] for row in rows], pl.String),
        pl.Series("recording", names, pl.String),
    )
    order = frame.select(pl.arg_sort_by("id"))["id"].to_numpy()
    spans = (begins[owners][:, None] + np.stack([starts, stops], axis=1))[order]
    return Table(frame[order], table.name, table.bad_rows, table.info), spans


def without_silence(folds: Folds, table: Table, cache: Path) -> Folds:
    """The folds without those training and validation pieces in which every sample is zero; nothing else changes.

    They are all alike, whatever they are called, so that there is nothing to learn from them, and the audit would find
    their copies on both sides. Whole recordings are left as they are: there silence is a fault that should be seen.
    """
    if not table.has("recording"):
        return folds
    waveforms = Waveforms.open(cache)
    sounds = np.array([bool(waveforms[row].any()) for row in range(len(waveforms))])
    if sounds.all():
        return folds
    cleaned = tuple(
        replace(fold, train=fold.train[sounds[fold.train]], validation=fold.validation[sounds[fold.validation]])
        for fold in folds.folds
    )
    note = f"{int((~sounds).sum())} of {len(sounds)} pieces are digital silence; they are tested, but not trained on."
    return replace(folds, folds=cleaned, notes=(*folds.notes, note))


def leaks(table: Table, folds: Folds) -> dict[str, int]:
    """What a table of pieces adds to the audit's leaks: the number of torn recordings. Nothing for whole recordings."""
    return {"recording": scattered(table, folds)} if table.has("recording") else {}


def scattered(table: Table, folds: Folds) -> int:
    """How many recordings have pieces both in the training (or validation) and in the test rows of a fold."""
    if not table.has("recording"):
        return 0
    recordings = table.column("recording").to_numpy()
    torn: set[str] = set()
    for fold in folds.folds:
        training = np.concatenate([fold.train, fold.validation])
        torn.update(np.intersect1d(recordings[training], recordings[fold.test]).tolist())
    return len(torn)
