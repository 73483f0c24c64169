"""Labels in time in five formats: there and back, what the formats' own programs write, and what is wrong."""

from pathlib import Path

import pytest

from earnest.errors import DataError
from earnest.formats import labels, textgrid
from earnest.formats.labels import Label

HOSTILE = 'say "hi", <a>; — 你好'
ONE_LANE = [Label(0.0, 0.5, "speech"), Label(0.25, 0.75, "noise, loud"), Label(0.9, 1.0, HOSTILE)]
LANES = [Label(0.1, 0.2, "a", "words"), Label(0.15, 0.4, "b", "words"), Label(0.3, 0.3, "click", "words")]
LANES += [Label(0.0, 1.0, "", "speakers"), Label(1.0, 1.5, "ann", "speakers")]


def _back(tmp_path: Path, suffix: str, given: list[Label]) -> list[Label]:
    place = tmp_path / f"a{suffix}"
    place.write_text(labels.written(suffix, given, "a", 2.0), encoding="utf-8")
    return labels.read(place, "a.wav")


@pytest.mark.parametrize("suffix", [".TextGrid", ".txt", ".csv", ".tsv"])
def test_one_lane_comes_back(tmp_path: Path, suffix: str) -> None:
    found = _back(tmp_path, suffix, ONE_LANE)
    assert [(one.start_s, one.end_s, one.label) for one in found] == [(a.start_s, a.end_s, a.label) for a in ONE_LANE]


@pytest.mark.parametrize("suffix", [".TextGrid", ".csv"])
def test_lanes_points_overlaps_and_labels_without_text_come_back(tmp_path: Path, suffix: str) -> None:
    assert _back(tmp_path, suffix, LANES) == LANES


def test_rttm_comes_back_without_blanks(tmp_path: Path) -> None:
    found = _back(tmp_path, ".rttm", [Label(0.5, 1.25, "ann lee"), Label(1.0, 2.0, "")])
    assert found == [Label(0.5, 1.25, "ann_lee", "speakers"), Label(1.0, 2.0, "", "speakers")]


@pytest.mark.parametrize("suffix", labels.SUFFIXES)
def test_no_labels_come_back(tmp_path: Path, suffix: str) -> None:
    assert _back(tmp_path, suffix, []) == []


SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
2.3
<exists>
2
"IntervalTier"
"Mary"
0
2.3
2
0
1
""
1
2.3
"a ""b"" c"
"TextTier"
"bell"
0
2.3
1
1.5
"ding"
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_short_text_grid_of_praat(tmp_path: Path, encoding: str) -> None:
    place = tmp_path / "a.TextGrid"
    place.write_text(SHORT, encoding=encoding)
    assert labels.read(place) == [Label(1.0, 2.3, 'a "b" c', "Mary"), Label(1.5, 1.5, "ding", "bell")]


def test_long_text_grid_fills_what_is_not_labelled() -> None:
    text = textgrid.labels_text([Label(0.5, 1.0, "x")], "a", 2.0)
    assert "intervals: size = 3" in text
    assert '            xmin = 1.0\n            xmax = 2.0\n            text = ""' in text


def test_audacity_passes_over_frequencies(tmp_path: Path) -> None:
    place = tmp_path / "a.txt"
    place.write_text("0.5\t1.0\tbird\n\\\t1000.0\t2000.0\n2.0\t2.0\t\n", encoding="utf-8")
    assert labels.read(place) == [Label(0.5, 1.0, "bird"), Label(2.0, 2.0, "")]


@pytest.mark.parametrize("text", ["Start;End;Label\n0.5;1;a\n", "onset\toffset\tevent_label\n0.5\t1\ta\n"])
def test_tables_of_other_programs(tmp_path: Path, text: str) -> None:
    place = tmp_path / "a.csv"
    place.write_text(text, encoding="utf-8")
    assert labels.read(place) == [Label(0.5, 1.0, "a")]


def test_dcase_with_several_recordings_needs_a_name(tmp_path: Path) -> None:
    place = tmp_path / "strong.tsv"
    place.write_text("filename\tonset\toffset\tevent_label\nb.wav\t0\t1\tDog\na.wav\t1\t2\tCat\n", encoding="utf-8")
    assert labels.read(place, "a.flac") == [Label(1.0, 2.0, "Cat")]
    with pytest.raises(DataError, match="tells of 2 recordings"):
        labels.read(place, "c")


def test_dcase_without_names_of_columns(tmp_path: Path) -> None:
    place = tmp_path / "a.tsv"
    place.write_text("0.5\t1.0\tclearthroat\n", encoding="utf-8")
    assert labels.read(place, "script001") == [Label(0.5, 1.0, "clearthroat")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "0.5 1.0 bird\n", "no label of Audacity"),
        ("a.txt", "2\t1\tbird\n", "line 1 goes from 2 s to 1 s"),
        ("a.txt", "-1\t1\tbird\n", "line 1 goes from -1 s"),
        ("a.csv", "start_s,end_s,label\n0,1,a\nx,2,b\n", "line 3: 'x' and '2' are not two times"),
        ("a.csv", "time,text\n", "no column start_s and no column end_s"),
        ("a.csv", "", "no column"),
        ("a.csv", "start_s,end_s,label\n0,nan,a\n", "to nan s"),
        ("a.csv", "start_s,end_s,label\n0,1," + "a" * 200_000 + "\n", "is no table, from line 2 on"),
        ("a.tsv", "", "no columns onset"),
        ("a.tsv", "filename\tonset\toffset\tevent_label\na.wav\t0\t1\tDog\na.wav\t2\t3\n", "line 3 is no event"),
        ("a.tsv", "event_label\tonset\toffset\nDog\t1\n", "line 2 is no event"),
        ("a.TextGrid", SHORT.replace("<exists>\n2", "<exists>\n1e999"), "a count should stand, there is inf"),
        ("a.TextGrid", "hello", "it ends too early"),
        ("a.TextGrid", SHORT.replace('"IntervalTier"', "7"), "a text should stand"),
        ("a.TextGrid", SHORT.replace("TextTier", "Tier"), "unknown kind"),
        ("a.srt", "", "not read or written"),
        ("a.rttm", "SPEAKER a 1 x y <NA> <NA> who\n", "line 1"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, text: str, message: str) -> None:
    place = tmp_path / name
    place.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        labels.read(place)


def test_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        labels.read(tmp_path / "none.csv")


def test_lanes_of_the_player_and_back() -> None:
    assert labels.from_lanes(labels.to_lanes(LANES)) == LANES
    assert labels.from_lanes([{"name": "p", "kind": "scores", "times_s": [], "labels": [], "values": []}]) == []
    with pytest.raises(DataError, match="known form"):
        labels.from_lanes([{"name": "a", "items": [{"start_s": 1}]}])
