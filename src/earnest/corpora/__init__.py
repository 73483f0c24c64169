"""One file per public corpus, plus anyone's own folder and an embedded synthetic one."""

from __future__ import annotations

import os
from pathlib import Path

from earnest import registry
from earnest.corpora._info import CorpusInfo, Download
from earnest.errors import DataError, did_you_mean
from earnest.files import cache_folder
from earnest.formats import kaldi, rttm
from earnest.table import SUFFIXES, Table

__all__ = ["CorpusInfo", "Download", "find_root", "home_of", "info", "open_table"]

_OWN = "folder:"


def open_table(spec: str, *, pattern: str | None = None, data: Path | None = None) -> Table:
    """The clip table of a corpus, a folder or a list.

    Parameters
    ----------
    spec : a corpus's name; `folder:PATH`; the path of a list (.csv, .tsv, .jsonl, .parquet); the path of a folder
        (Kaldi, RTTM, AudioFolder, or described by `pattern`), as it is or below the folder of corpora; or a folder and
        its pattern: `speech/{speaker}/{take}.wav`.
    pattern : path pattern of one's own folder, see `earnest.formats.pattern`.
    data : where the corpus lies, instead of the usual places.

    Raises
    ------
    DataError : nothing of that name, or the data is absent or unusable.
    """
    if spec.startswith(_OWN):
        return _from_folder(Path(spec.removeprefix(_OWN)), pattern)
    if spec in registry.names("corpora") and spec != "folder":
        module = registry.load("corpora", spec)
        table: Table = module.build(find_root(spec, data))
        return table
    if pattern is None and "{" in spec:
        folder, _, rest = spec.partition("{")
        folder, _, first = folder.rpartition("/")
        return _from_folder(Path(folder or "."), f"{first}{{{rest}")
    path = _place(spec, data)
    if path.is_dir():
        return _from_folder(path, pattern)
    if path.suffix in SUFFIXES:
        return Table.read(path).without_missing_audio()
    choices = [name for name in registry.names("corpora") if name != "folder"]
    raise DataError(
        f"{spec!r} is neither a corpus nor a folder or list that exists.",
        f"{did_you_mean(spec, choices)} Your own recordings: corpus=folder:PATH",
    )


def find_root(name: str, data: Path | None = None) -> Path:
    """The folder of a corpus: `data`, else EARNEST_DATA/NAME, else the user's cache folder.

    Raises
    ------
    DataError : it is in none of these places.
    """
    if data is not None:
        if not data.is_dir():
            raise DataError(f"there is no folder {data}.", f"Give the folder that holds {name} with --data.")
        return data / name if (data / name).is_dir() else data
    places = [home_of(name), cache_folder() / "corpora" / name]
    if info(name).embedded:
        return places[-1]
    for place in places:
        if place.is_dir():
            return place
    looked = " or ".join(dict.fromkeys(str(place) for place in places))
    raise DataError(f"the corpus {name} is not at {looked}.", f"Run: earnest fetch {name}")


def home_of(name: str, data: Path | None = None) -> Path:
    """Where a corpus is put: `data`/NAME, else EARNEST_DATA/NAME, else the user's cache folder."""
    if data is not None:
        return data / name
    if os.environ.get("EARNEST_DATA"):
        return Path(os.environ["EARNEST_DATA"]) / name
    return cache_folder() / "corpora" / name


def info(name: str) -> CorpusInfo:
    """What a corpus says about itself."""
    found: CorpusInfo = registry.load("corpora", name).INFO
    return found


def _place(spec: str, data: Path | None) -> Path:
    """A path as it is, or where there is nothing of that name, below `data` or EARNEST_DATA."""
    roots = [data, os.environ.get("EARNEST_DATA")]
    places = [Path(spec), *(Path(root) / spec for root in roots if root)]
    return next((place for place in places if place.exists()), places[0])


def _from_folder(path: Path, pattern: str | None) -> Table:
    if pattern is None and kaldi.is_kaldi(path):
        return kaldi.read(path).without_missing_audio()
    if pattern is None and rttm.is_annotated(path):
        return rttm.read(path)
    table: Table = registry.load("corpora", "folder").build_folder(path, pattern)
    return table
