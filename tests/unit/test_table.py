"""The clip table: checks, order, hash, lists in and out."""

import json
import time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earnest.errors import DataError, StorageError
from earnest.lists import BadRow
from earnest.table import FIRST_COLUMNS, Table


def table_of(**columns: list[object]) -> Table:
    return Table.from_frame(pl.DataFrame(columns), "test")


def test_columns_types_and_order() -> None:
    table = table_of(audio=["/b.wav", "/a.wav"], label=[2, 1], start_s=[1, None])
    assert table.frame.columns[:6] == list(FIRST_COLUMNS)
    assert table.column("id").to_list() == ["/a.wav", "/b.wav#1"]
    assert table.column("label").to_list() == ["1", "2"]
    assert table.frame.schema["start_s"] == pl.Float64
    assert not table.has("speaker")
    assert not table.has("nothing")
    assert len(table) == 2


def test_bad_rows_are_named_with_their_reason() -> None:
    table = table_of(
        id=["good", "good", "", "late", "before", "nan", "text", "silent"],
        audio=["a.wav"] * 7 + [""],
        start_s=[None, None, None, 2.0, -1.0, float("nan"), 0.0, None],
        end_s=["1", "1", "1", "2", "1", "1", "soon", "1"],
    )
    assert table.column("id").to_list() == ["good"]
    assert {bad.row: bad.reason for bad in table.bad_rows} == {
        "good": "the id stands in an earlier row already",
        "row 3": "the id is empty",
        "late": "end_s is not after start_s",
        "before": "start_s is negative",
        "nan": "start_s is not a finite number",
        "text": "end_s is not a finite number",
        "silent": "the audio path is empty",
    }


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(DataError, match=r"First of 1 bad rows: x: end_s is not after"):
        table_of(id=["x"], audio=["x.wav"], start_s=[2.0], end_s=[1.0])
    with pytest.raises(DataError, match="no column names the recordings"):
        table_of(sound=["x.wav"])


def test_relative_audio_starts_at_the_root(tmp_path: Path) -> None:
    table = Table.from_frame(pl.DataFrame({"file": ["a b/ü.wav", "/x.wav"]}), "t", root=tmp_path)
    assert table.column("audio").to_list() == ["/x.wav", f"{tmp_path}/a b/ü.wav"]


def test_column_names_close_ones() -> None:
    with pytest.raises(DataError, match="Did you mean label"):
        table_of(audio=["a"], label=["x"]).column("labell")


def test_hash_depends_on_content_only(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["a", "b"], "audio": ["a.wav", "b.wav"], "label": ["x", "y"]})
    first = Table.from_frame(frame, "one", root=tmp_path)
    moved = Table.from_frame(frame.reverse().with_columns(speaker=pl.lit(None)), "two", root=tmp_path / "moved")
    other = Table.from_frame(frame.with_columns(label=pl.Series(["x", "z"])), "one", root=tmp_path)
    assert first.hash == moved.hash != other.hash
    # Stored when the format of the hash was fixed: it must not change between versions or machines.
    assert first.hash == "2f35bff9e6b8cd33d6e2d9819ca59749ba34f054fba8d1473beeb2da2da7163c"


def test_rows_and_target() -> None:
    table = table_of(id=["a", "b", "c"], audio=["a", "b", "c"], label=["x", None, "y"], other=[None] * 3)
    assert table.rows([2, 0]).column("id").to_list() == ["c", "a"]
    kept = table.with_target("label")
    assert kept.column("id").to_list() == ["a", "c"]
    assert kept.bad_rows == (BadRow("b", "label is empty"),)
    assert kept.with_target("label") is kept
    with pytest.raises(DataError, match="'other' is empty"):
        table.with_target("other")


def test_missing_audio(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"x")
    table = Table.from_frame(pl.DataFrame({"audio": ["a.wav", "b.wav"]}), "t", root=tmp_path)
    kept = table.without_missing_audio()
    assert kept.column("id").to_list() == ["a.wav"]
    assert kept.bad_rows == (BadRow("b.wav", f"no file at {tmp_path}/b.wav"),)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(DataError, match="none of the 2 recordings exists"):
        table.without_missing_audio()


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_lists_go_out_and_come_back(tmp_path: Path, suffix: str) -> None:
    frame = pl.DataFrame(
        {
            "id": ["ü", 'quote"d', "new\nline"],
            "audio": [str(tmp_path / "a,b.wav"), "/elsewhere/c.wav", "/elsewhere/d.wav"],
            "label": ["01", "您好", None],
            "end_s": [0.1 + 0.2, None, 1e9],
            "labels": [["a", "b;c"], None, []],
            "valence": [0.5, -1.0, None],
        }
    )
    table = Table.from_frame(frame, "t", info={"licence": "CC0"}, bad_rows=(BadRow("x", "broken"),))
    table.write(tmp_path / f"list{suffix}")
    again = Table.read(tmp_path / f"list{suffix}")
    assert again.hash == table.hash
    assert again.frame.equals(table.frame)
    if suffix == ".parquet":
        assert (again.name, again.info, again.bad_rows) == (table.name, table.info, table.bad_rows)


def test_relative_paths_survive_a_move(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    Table.from_frame(pl.DataFrame({"audio": ["wavs/a.wav"]}), "t", root=tmp_path / "one").write(tmp_path / "one/t.csv")
    (tmp_path / "one").rename(tmp_path / "two")
    assert Table.read(tmp_path / "two" / "t.csv").column("audio").to_list() == [f"{tmp_path}/two/wavs/a.wav"]


def test_csv_of_other_peoples_making(tmp_path: Path) -> None:
    lines = [
        "\ufefffile; label ;speaker;labels",
        "a.wav; yes ;007;x;",
        "b.wav;no;007;x",
        "",
        "c.wav;no;;[oops",
        "d.wav;ja",
    ]
    (tmp_path / "list.csv").write_text("\r\n".join(lines), encoding="utf-8")
    table = Table.read(tmp_path / "list.csv")
    assert table.frame.select("id", "label", "speaker").rows() == [("b.wav", "no", "007")]
    assert [bad.row for bad in table.bad_rows] == ["line 2", "line 5", "line 6"]


def test_json_lines_of_other_peoples_making(tmp_path: Path) -> None:
    lines = ['{"path": "a.wav", "label": 3}', "[1]", "{", "", '{"path": "b.wav", "label": "x", "text": "a\u2028b"}']
    (tmp_path / "list.jsonl").write_text("\n".join(lines), encoding="utf-8")
    table = Table.read(tmp_path / "list.jsonl")
    assert table.column("label").to_list() == ["3", "x"]
    assert [bad.row for bad in table.bad_rows] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "no table at"),
        ("list.xlsx", b"", "unknown kind"),
        ("list.csv", b"", "no usable row"),
        ("list.csv", b"file,file\na,b\n", "stands twice"),
        ("list.csv", b"file,label\n\xff\xfe,b\n", "cannot be read"),
        ("list.csv", b'file,label\n"a,b\n', "cannot be read"),
        ("list.csv", b"name,label\na,b\n", "no column names"),
        ("list.jsonl", b"{}\n", "no column names"),
        ("list.parquet", b"PAR1 no", "cannot be read"),
    ],
)
def test_unreadable_lists(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        Table.read(tmp_path / name)


def test_writing_to_an_impossible_place(tmp_path: Path) -> None:
    table = table_of(audio=["a.wav"])
    with pytest.raises(DataError, match="unknown kind"):
        table.write(tmp_path / "t.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        table.write(tmp_path / "file" / "t.csv")


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(words, words, st.none() | words), min_size=1, max_size=12))
def test_json_lines_keep_any_text(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str | None]]
) -> None:
    place = tmp_path_factory.mktemp("t") / "t.jsonl"
    lines = [json.dumps({"id": f"{n} {a}", "file": f"/{a}", "label": b, "text": c}) for n, (a, b, c) in enumerate(rows)]
    place.write_text("\n".join(lines), encoding="utf-8")
    table = Table.read(place)
    assert len(table) == len(rows)
    table.write(place)
    assert Table.read(place).hash == table.hash


def test_hundred_thousand_rows_take_about_a_second() -> None:
    count = 100_000
    frame = pl.DataFrame({"audio": [f"a/{n}.wav" for n in range(count)], "label": [str(n % 30) for n in range(count)]})
    start = time.perf_counter()
    assert len(Table.from_frame(frame, "big").hash) == 64
    assert time.perf_counter() - start < 3  # 0.1 s on an idle core; the rest is for busy machines
