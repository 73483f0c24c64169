"""Kaldi, AudioFolder and path patterns, in and out."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from earnest import audio
from earnest.corpora import open_table
from earnest.errors import DataError
from earnest.formats import audiofolder, kaldi, pattern
from earnest.table import Table


def tree(root: Path, *files: str) -> Path:
    for number, file in enumerate(files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        audio.write(root / file, np.full(80, 0.01 * (number + 1), dtype=np.float32), 8_000)
    return root


@pytest.mark.parametrize(
    ("text", "path", "fields"),
    [
        ("{label}/{speaker}_{take}.wav", "yes/ann_3.wav", {"label": "yes", "speaker": "ann", "take": "3"}),
        ("{label}/{speaker}_{take}.wav", "yes/ann_b_3.wav", {"label": "yes", "speaker": "ann", "take": "b_3"}),
        ("{label}/{speaker}_{take}.wav", "yes/no/ann_3.wav", None),
        ("{label}/{speaker}_{take}.wav", "yes/ann_3.WAV", {"label": "yes", "speaker": "ann", "take": "3"}),
        ("{speaker:2}{_:3}{label:1}*.wav", "wav/03a01Fa.wav", {"speaker": "03", "label": "F"}),
        ("{speaker:2}{_:3}{label:1}*.wav", "03a01.wav", None),
        ("**/{speaker}-{_}-{label}.*", "a/b/ann-x-yes.flac", {"speaker": "ann", "label": "yes"}),
        ("**/{speaker}-{_}-{label}.*", "ann-x-yes.flac", {"speaker": "ann", "label": "yes"}),
        ("data/**/{label}/*", "data/1/2/yes/x.wav", {"label": "yes"}),
        ("{label}/{label}_{take}.wav", "yes/yes_1.wav", {"label": "yes", "take": "1"}),
        ("{label}/{label}_{take}.wav", "yes/no_1.wav", None),
        ("{label}.?{take}.wav", "a.x1.wav", {"label": "a", "take": "1"}),
        ("{label} (1).wav", "a (1).wav", {"label": "a"}),
        ("{话语}_{speaker}.wav", "你好_张伟.wav", {"话语": "你好", "speaker": "张伟"}),
        ("{label}é.wav", "xe\u0301.wav", {"label": "x"}),
        ("./{label}/*.wav", "a/b.wav", {"label": "a"}),
    ],
)
def test_pattern(text: str, path: str, fields: dict[str, str] | None) -> None:
    assert pattern.compile_pattern(text).match(path) == fields


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{label", "not closed"),
        ("label}.wav", "not closed"),
        ("{label:x}", "positive whole number"),
        ("{label:0}", "positive whole number"),
        ("{label:}", "positive whole number"),
        ("{two words}", "cannot be the name"),
        ("{}", "cannot be the name"),
        ("{audio}", "cannot be the name"),
        ("*.wav", "names no column"),
        ("{_}.wav", "names no column"),
    ],
)
def test_wrong_patterns(text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        pattern.compile_pattern(text)


def test_folder_by_pattern(tmp_path: Path) -> None:
    tree(tmp_path, "你好/张伟_1.wav", "yes/ann_1.wav", "notes.wav")
    (tmp_path / "readme.txt").write_text("")
    (tmp_path / ".hidden").mkdir()
    tree(tmp_path, ".hidden/x_1.wav")
    table = open_table(f"folder:{tmp_path}", pattern="{label}/{speaker}_{take}.wav")
    assert table.frame.select("label", "speaker", "take").rows() == [("yes", "ann", "1"), ("你好", "张伟", "1")]
    assert [bad.row for bad in table.bad_rows] == ["notes.wav"]
    assert "does not match" in table.bad_rows[0].reason
    with pytest.raises(DataError, match=r"the first one is 'notes.wav'"):
        open_table(f"folder:{tmp_path}", pattern="{label}/{speaker}/{take}.wav")


def test_file_names_that_are_not_unicode(tmp_path: Path) -> None:
    tree(tmp_path, "yes/ann_1.wav")
    try:
        (tmp_path / "yes" / "bob_\udcff.wav").write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    table = pattern.read(tmp_path, "{label}/{speaker}_{take}.wav")
    assert len(table) == 1
    assert "not valid Unicode" in table.bad_rows[0].reason


def test_folders_without_recordings(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_table(f"folder:{tmp_path}/none")
    with pytest.raises(DataError, match="no files at all"):
        open_table(f"folder:{tmp_path}")
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(DataError, match=r"1 other files, for example readme.txt"):
        open_table(f"folder:{tmp_path}", pattern="{label}.wav")
    with pytest.raises(DataError, match="is a file"):
        open_table(f"folder:{tmp_path}/readme.txt")


def test_audiofolder_by_folders(tmp_path: Path) -> None:
    tree(tmp_path, "data/happy/a.wav", "data/sad/deep/b.wav", "data/c.wav")
    table = audiofolder.read(tmp_path)
    assert table.frame.select("id", "label").rows() == [("data/happy/a.wav", "happy"), ("data/sad/deep/b.wav", "sad")]
    assert [bad.row for bad in table.bad_rows] == ["data/c.wav"]


def test_audiofolder_with_splits(tmp_path: Path) -> None:
    tree(tmp_path, "train/happy/a.wav", "train/sad/b.wav", "Test/sad/c.wav")
    assert sorted(audiofolder.read(tmp_path).frame.select("label", "split").rows()) == [
        ("happy", "train"),
        ("sad", "test"),
        ("sad", "train"),
    ]


def test_audiofolder_of_one_label_and_of_none(tmp_path: Path) -> None:
    tree(tmp_path / "one", "happy/a.wav", "happy/b.wav")
    assert set(audiofolder.read(tmp_path / "one").column("label")) == {"happy"}
    tree(tmp_path / "flat", "a.wav", "b.wav")
    with pytest.raises(DataError, match="nothing says which label"):
        audiofolder.read(tmp_path / "flat")


def test_audiofolder_with_metadata(tmp_path: Path) -> None:
    tree(tmp_path, "wavs/a.wav", "wavs/b.wav")
    (tmp_path / "metadata.csv").write_text("file_name,label,speaker\nwavs/a.wav,x,ann\nwavs/b.wav,y,bob\nno.wav,z,c\n")
    table = open_table(str(tmp_path))
    assert table.column("speaker").to_list() == ["ann", "bob"]
    assert [bad.row for bad in table.bad_rows] == ["no.wav"]
    audiofolder.write(table, tmp_path / "out")
    again = audiofolder.read(tmp_path / "out")
    assert again.hash == table.hash
    assert again.column("audio").to_list() == table.column("audio").to_list()


def test_kaldi_goes_out_and_comes_back(tmp_path: Path) -> None:
    tree(tmp_path, "a b.wav", "c.wav")
    frame = pl.DataFrame(
        {
            "id": ["one two", "100%", "três"],
            "audio": ["a b.wav", "a b.wav", "c.wav"],
            "start_s": [0.0, 0.005, None],
            "end_s": [0.005, None, None],
            "speaker": ["Ann Lee", "Ann Lee", None],
            "label": ["yes", "no way", None],
            "text": ["hello  there", None, "你好"],
        }
    )
    table = Table.from_frame(frame, "t", root=tmp_path)
    kaldi.write(table, tmp_path / "kaldi")
    assert (tmp_path / "kaldi" / "spk2utt").read_text() == "Ann%20Lee 100%25 one%20two\n"
    again = open_table(str(tmp_path / "kaldi"))
    for name in ("id", "audio", "end_s", "speaker", "label", "text"):
        assert again.column(name).to_list() == table.column(name).to_list(), name
    assert again.column("start_s").to_list() == [0.005, 0.0, 0.0]
    assert again.column("source").n_unique() == 2


def test_kaldi_without_segments(tmp_path: Path) -> None:
    tree(tmp_path, "a.wav", "b.wav")
    table = Table.from_frame(pl.DataFrame({"audio": ["a.wav", "b.wav"], "label": ["x", "y"]}), "t", root=tmp_path)
    kaldi.write(table, tmp_path / "kaldi")
    again = kaldi.read(tmp_path / "kaldi")
    assert again.frame.select("id", "audio", "label").equals(table.frame.select("id", "audio", "label"))


def test_kaldi_of_other_peoples_making(tmp_path: Path) -> None:
    tree(tmp_path, "a.wav")
    (tmp_path / "wav.scp").write_text("rec1 a.wav\nrec2 sph2pipe -f wav b.sph |\n")
    (tmp_path / "segments").write_text("u1 rec1 0 0.01\nu2 rec2 0 1\nu3 rec3 0 1\nu4 rec1 0\nu5 rec1 0.01 0.005\n")
    (tmp_path / "utt2spk").write_text("u1 ann\n\n")
    table = kaldi.read(tmp_path)
    assert table.frame.select("id", "speaker", "source", "end_s").rows() == [("u1", "ann", "rec1", 0.01)]
    assert {bad.row for bad in table.bad_rows} == {"u2", "u3", "u4", "u5"}
    with pytest.raises(DataError, match=r"no wav.scp"):
        kaldi.read(tmp_path / "none")
    (tmp_path / "segments").unlink()
    (tmp_path / "wav.scp").write_text("rec2 sph2pipe -f wav b.sph |\n")
    with pytest.raises(DataError, match="a command, not a file"):
        kaldi.read(tmp_path)
