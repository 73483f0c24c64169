"""Every corpus keeps the same contract: on a tiny tree of its own shape, and on the real one where it is at hand.

Real recordings are looked for in the folder named by the environment variable EARNEST_DATA.
"""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from earnest import audio, registry
from earnest.corpora import CorpusInfo, find_root, info, open_table
from earnest.corpora.espeak_words import utterances
from earnest.errors import DataError
from earnest.recipe import Split
from earnest.speaking import speak
from earnest.splits import make_folds
from earnest.table import Table

NAMES = registry.names("corpora")
REAL = {  # clips, speakers, sources, labels
    "fsdd": (3000, 6, 0, 10),
    "esc10": (400, 0, 304, 10),
    "ravdess": (1440, 24, 0, 8),
    "speech_commands": (1327, 426, 0, 30),
}


def tiny(name: str, root: Path) -> Table:
    module = registry.load("corpora", name)
    module.example(root, np.random.default_rng(0))
    table: Table = module.build(root)
    return table


def real_root(name: str) -> Path:
    place = os.environ.get("EARNEST_DATA")
    if not place or not (Path(place) / name).is_dir():
        pytest.skip(f"the recordings of {name} are not at hand: EARNEST_DATA does not name a folder with {name}")
    return Path(place) / name


@pytest.mark.parametrize("name", NAMES)
def test_info(name: str) -> None:
    known: CorpusInfo = registry.load("corpora", name).INFO
    assert known.name == name
    for text in (known.title, known.licence, known.citation, known.home, known.protocol, known.task):
        assert text
    assert known.embedded or name == "folder" or bool(known.downloads) != bool(known.request)
    assert known.layout or known.embedded or name == "folder"
    for file in known.downloads:
        assert file.url.startswith("https://")
        assert file.sha256 is None or len(file.sha256) == 64
    assert known.synthetic == ("synthetic" in known.title.lower())
    assert known.as_dict()["licence"] == known.licence


@pytest.mark.parametrize("name", NAMES)
def test_example_tree(name: str, tmp_path: Path) -> None:
    table = tiny(name, tmp_path / "one")
    assert len(table) >= 12
    assert not table.bad_rows
    assert table.column("id").is_unique().all()
    assert table.column("id").is_sorted()
    assert table.has("label")
    assert table.column("label").n_unique() >= 2
    assert all(audio.probe(path).frames > 0 for path in table.column("audio"))
    if name != "folder":
        assert table.info["licence"]
        assert table.info["citation"]
        assert table.has("licence")
        assert set(table.column("corpus")) == {name}
        assert table.has("speaker") or table.has("source") or table.has("split")


@pytest.mark.parametrize("name", NAMES)
def test_hash_does_not_depend_on_the_place_or_the_order_of_files(name: str, tmp_path: Path) -> None:
    first = tiny(name, tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two" / "elsewhere")
    second = registry.load("corpora", name).build(tmp_path / "two" / "elsewhere")
    assert second.hash == first.hash
    assert second.column("id").to_list() == first.column("id").to_list()
    assert second.column("audio")[0] != first.column("audio")[0]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "folder"])
def test_groups_can_be_kept_apart(name: str, tmp_path: Path) -> None:
    table = tiny(name, tmp_path)
    folds = make_folds(table, Split(name="group-k-fold", folds=2))
    assert not folds.leaky
    if table.has("speaker") or table.has("source"):
        assert folds.groups
    else:  # then only its official parts keep artists apart, and every other split says that it cannot
        assert "neither speakers nor sources" in folds.notes[0]
        assert make_folds(table, Split(name="official")).protocol == "official test part"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "folder"])
def test_foreign_files_are_named(name: str, tmp_path: Path) -> None:
    registry.load("corpora", name).example(tmp_path, np.random.default_rng(0))
    table = registry.load("corpora", name).build(tmp_path)
    if table.info["embedded"]:
        pytest.skip("its folder is made by Earnest itself")
    audio.write(tmp_path / "holiday song.wav", np.zeros(800, dtype=np.float32) + 0.1, 8_000)
    again = registry.load("corpora", name).build(tmp_path)
    assert again.hash == table.hash
    assert [bad.row for bad in again.bad_rows] == ["holiday song.wav"]


@pytest.mark.parametrize("name", [name for name in NAMES if not info(name).embedded and name != "folder"])
def test_wrong_folder(name: str, tmp_path: Path) -> None:
    audio.write(tmp_path / "holiday song.wav", np.zeros(800, dtype=np.float32) + 0.1, 8_000)
    with pytest.raises(DataError, match="earnest fetch") as caught:
        registry.load("corpora", name).build(tmp_path)
    assert f"Expected: {info(name).layout}. Found: " in caught.value.message
    assert "holiday song.wav" in caught.value.message
    assert (caught.value.remedy or "").startswith(info(name).request)


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_recordings(name: str) -> None:
    table = registry.load("corpora", name).build(real_root(name))
    found = (len(table), *(table.column(key).drop_nulls().n_unique() for key in ("speaker", "source", "label")))
    assert found == REAL[name]
    assert not table.bad_rows
    assert all(Path(path).is_file() for path in table.column("audio"))


def test_real_esc10_official_folds_keep_sources_apart() -> None:
    table = registry.load("corpora", "esc10").build(real_root("esc10"))
    folds = make_folds(table, Split(name="official"))
    assert [len(fold.test) for fold in folds.folds] == [80] * 5
    assert not folds.leaky


def test_real_fsdd_official_split_is_speaker_dependent() -> None:
    folds = make_folds(registry.load("corpora", "fsdd").build(real_root("fsdd")), Split(name="official"))
    assert len(folds.folds[0].test) == 300
    assert folds.leaky


def test_esc10_is_read_out_of_esc50(tmp_path: Path) -> None:
    module = registry.load("corpora", "esc50")
    module.example(tmp_path, np.random.default_rng(0))
    part = registry.load("corpora", "esc10").build(tmp_path)
    assert set(part.column("label")) == {"dog", "rain"}
    assert len(part) == 20


def test_speech_commands_rule_gives_the_split_of_the_lists() -> None:
    rule = registry.load("corpora", "speech_commands").official_split
    # The first from validation_list.txt, the second from testing_list.txt.
    validated = [
        "8b775397",
        "2643992f",
        "060cd039",
        "f5e5e8b0",
        "dbb40d24",
        "d57febf0",
        "16db1582",
    ]  # from validation_list.txt
    tested = [
        "f297e878",
        "7192fddc",
        "67961766",
        "553f1a79",
        "2d82a556",
        "4c841771",
        "0ea0e2f4",
    ]  # from testing_list.txt
    assert {rule(speaker) for speaker in validated} == {"validation"}
    assert {rule(speaker) for speaker in tested} == {"test"}
    assert rule("62581901") == "train"


def test_find_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("EARNEST_DATA", raising=False)
    with pytest.raises(DataError, match="earnest fetch fsdd"):
        find_root("fsdd")
    if sys.platform == "linux":
        (tmp_path / "cache" / "earnest" / "corpora" / "fsdd").mkdir(parents=True)
        assert find_root("fsdd").is_relative_to(tmp_path / "cache")
    (tmp_path / "data" / "fsdd").mkdir(parents=True)
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path / "data"))
    assert find_root("fsdd") == tmp_path / "data" / "fsdd"
    assert find_root("fsdd", tmp_path) == tmp_path
    assert find_root("fsdd", tmp_path / "data") == tmp_path / "data" / "fsdd"
    with pytest.raises(DataError, match="--data"):
        find_root("fsdd", tmp_path / "nothing")


def test_open_table_names_close_corpora() -> None:
    with pytest.raises(DataError, match="Did you mean ravdess"):
        open_table("ravdes")


def test_espeak_words_are_made_and_repeat_bit_for_bit(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="the extra [speech] is not installed")
    table = registry.load("corpora", "espeak_words").build(tmp_path)
    assert len(table) == 800
    assert table.column("speaker").n_unique() == 20
    assert {"你好", "yes"} <= set(table.column("label"))
    assert table.info["synthetic"]
    speak(utterances(), tmp_path / "again")
    for path in map(Path, table.column("audio")):
        again = tmp_path / "again" / path.parent.name / path.name
        assert again.read_bytes() == path.read_bytes()
