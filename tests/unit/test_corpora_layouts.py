"""Details of the corpora's parsers that their common contract does not ask for, on small trees of the real layouts."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from earnest import leaks, registry
from earnest.corpora import info
from earnest.corpora._gtzan_parts import filtered_parts
from earnest.corpora._info import write_tone
from earnest.corpora._xlsx import read_xlsx, write_xlsx
from earnest.errors import DataError
from earnest.fetch import fetch
from earnest.recipe import Split
from earnest.splits import make_folds
from earnest.table import Table


def tones(root: Path, *files: str) -> None:
    rng = np.random.default_rng(0)
    for file in files:
        write_tone(root / file, rng)


def write(root: Path, file: str, *lines: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text("\n".join(lines) + "\n", encoding="utf-8")


def build(name: str, root: Path) -> Table:
    table: Table = registry.load("corpora", name).build(root)
    return table


def example(name: str, root: Path) -> Table:
    registry.load("corpora", name).example(root, np.random.default_rng(0))
    return build(name, root)


def row(table: Table, clip: str) -> dict[str, object]:
    return table.frame.filter(pl.col("id") == clip).row(0, named=True)


def reasons(table: Table) -> dict[str, str]:
    return {bad.row: bad.reason for bad in table.bad_rows}


def test_emodb_names(tmp_path: Path) -> None:
    tones(tmp_path, "emodb/wav/03a01Fa.wav", "emodb/wav/16b10Tb.wav", "emodb/wav/08a02W.wav", "emodb/wav/3a01Fa.wav")
    table = build("emodb", tmp_path)
    assert table.column("label").to_list() == ["happy", "angry", "sad"]
    assert table.column("speaker").to_list() == ["03", "08", "16"]
    assert table.column("gender").to_list() == ["male", "female", "female"]
    assert row(table, "16b10Tb")["version"] == "b"
    assert list(reasons(table)) == ["emodb/wav/3a01Fa.wav"]


@pytest.mark.parametrize("files", [("DC_a01", "DC_sa15", "KL_su03"), ("DC/a01", "DC/sa15", "KL/su03")])
def test_savee_in_one_folder_or_one_per_speaker(tmp_path: Path, files: tuple[str, ...]) -> None:
    tones(tmp_path, *(f"AudioData/{file}.wav" for file in files))
    table = build("savee", tmp_path)
    assert table.column("id").to_list() == ["DC_a01", "DC_sa15", "KL_su03"]
    assert table.column("label").to_list() == ["angry", "sad", "surprised"]
    assert table.column("speaker").to_list() == ["DC", "DC", "KL"]


def test_tess_misnamed_file_belongs_to_the_older_speaker_and_a_second_copy_is_kept_out(tmp_path: Path) -> None:
    tones(
        tmp_path,
        "OAF_neutral/OA_bite_neutral.wav",
        "YAF_pleasant_surprised/YAF_back_ps.wav",
        "OAF_Fear/OAF_back_fear.wav",
    )
    tones(tmp_path, "again/OAF_Fear/OAF_back_fear.wav")
    table = build("tess", tmp_path)
    assert set(table.column("speaker")) == {"OAF", "YAF"}
    assert row(table, "OA_bite_neutral")["speaker"] == "OAF"
    assert row(table, "YAF_back_ps")["label"] == "surprised"
    assert reasons(table) == {"OAF_back_fear": "the id stands in an earlier row already"}


def test_casia_folders_in_upper_and_lower_case(tmp_path: Path) -> None:
    tones(tmp_path, "CASIA/ZhaoZuoxiang/Surprise/201.wav", "CASIA/wangzhe/anger/250.wav")
    table = build("casia", tmp_path)
    assert table.column("id").to_list() == ["wangzhe/angry/250", "zhaozuoxiang/surprised/201"]


def test_crema_d_acted_and_perceived(tmp_path: Path) -> None:
    table = example("crema_d", tmp_path)
    tie, voted = row(table, "1001_IEO_ANG_XX"), row(table, "1001_DFA_HAP_XX")
    assert (voted["label"], voted["voice_vote"], voted["multimodal_vote"]) == ("happy", "neutral", "happy")
    assert voted["voice_level"] == 62.5
    assert (voted["gender"], voted["age"]) == ("female", 21.0)
    assert tie["voice_vote"] is None
    assert tie["face_vote"] == "angry"


def test_crema_d_without_votes_and_with_its_known_faults(tmp_path: Path) -> None:
    tones(tmp_path, "AudioWAV/1040_ITH_SAD_X.wav", "AudioWAV/1001_DFA_ANG_HI.wav", "AudioMP3/1001_DFA_ANG_HI.wav")
    tones(tmp_path, "AudioWAV/1076_MTI_SAD_XX.wav", "AudioWAV/1064_IEO_DIS_MD.wav")
    table = build("crema_d", tmp_path)
    assert table.column("id").to_list() == ["1001_DFA_ANG_HI", "1040_ITH_SAD_XX"]
    assert not table.has("voice_vote")
    assert set(reasons(table)) == {"AudioWAV/1076_MTI_SAD_XX.wav", "AudioWAV/1064_IEO_DIS_MD.wav"}


def test_nemo_polish_with_and_without_its_list(tmp_path: Path) -> None:
    table = example("nemo_polish", tmp_path)
    assert row(table, "MP0_surprised_2") | {"text": "Zdanie 2.", "gender": "male", "age": 25.0} == row(
        table, "MP0_surprised_2"
    )
    (tmp_path / "data.tsv").unlink()
    assert not build("nemo_polish", tmp_path).has("text")


def test_urbansound8k_folds_sources_and_salience(tmp_path: Path) -> None:
    table = example("urbansound8k", tmp_path)
    folds = make_folds(table, Split(name="official"))
    assert [fold.name for fold in folds.folds] == [str(number) for number in range(1, 11)]
    assert not folds.leaky
    assert table.column("source").n_unique() == 20
    assert set(table.column("salience")) == {"foreground", "background"}


def test_a_list_and_its_recordings_name_what_the_other_lacks(tmp_path: Path) -> None:
    table = example("urbansound8k", tmp_path)
    Path(table.column("audio")[0]).unlink()
    tones(tmp_path, "audio/fold1/1-1-0-0.wav")
    found = reasons(build("urbansound8k", tmp_path))
    assert found.pop("audio/fold1/1-1-0-0.wav") == "UrbanSound8K.csv does not list it"
    assert list(found.values()) == ["UrbanSound8K.csv lists it, but there is no such recording"]


def test_a_list_without_its_columns_says_which(tmp_path: Path) -> None:
    tones(tmp_path, "audio/fold1/1-1-0-0.wav")
    write(tmp_path, "metadata/UrbanSound8K.csv", "slice_file_name,class", "1-1-0-0.wav,car_horn")
    with pytest.raises(
        DataError, match=r"Found: UrbanSound8K.csv without fsID, salience, fold \(its columns: slice_file"
    ):
        build("urbansound8k", tmp_path)


def test_fsdnoisy18k_flags_are_booleans(tmp_path: Path) -> None:
    table = example("fsdnoisy18k", tmp_path)
    frame = table.frame.group_by("split").agg(pl.col("manually_verified", "noisy_small").sum(), pl.len()).sort("split")
    assert frame.rows() == [("test", 6, 0, 6), ("train", 2, 2, 16)]
    assert "Walk, footsteps" in set(table.column("label"))
    assert not make_folds(table, Split(name="official")).leaky


def test_iemocap_label_columns_and_values(tmp_path: Path) -> None:
    turn = "Session5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_F007.wav"
    tones(tmp_path, turn, "Session5/dialog/wav/Ses05M_script01_1b.wav")
    summary = "[6.2901 - 8.2357]\tSes05M_script01_1b_F007\texc\t[2.5000, 3.1667, 4.0000]"
    write(
        tmp_path, "Session5/dialog/EmoEvaluation/Ses05M_script01_1b.txt", "% header", "", summary, "C-E2:\tNeutral;\t()"
    )
    write(
        tmp_path,
        "Session5/dialog/EmoEvaluation/Categorical/Ses05M_script01_1b_e2_cat.txt",
        summary.replace("exc", "ang"),
    )
    table = build("iemocap", tmp_path)
    only = row(table, "Ses05M_script01_1b_F007")
    assert (only["speaker"], only["source"], only["scene"], only["gender"], only["fold"]) == (
        "Ses05F",
        "Ses05M_script01_1b",
        "script",
        "female",
        "5",
    )
    assert (only["label"], only["label4"], only["label6"], only["emotion"]) == ("happy", None, "excited", "excited")
    assert (only["valence"], only["arousal"], only["dominance"]) == (2.5, 3.1667, 4.0)
    assert not table.bad_rows


def test_iemocap_groups_are_sessions(tmp_path: Path) -> None:
    table = example("iemocap", tmp_path)
    assert len(make_folds(table, Split(name="leave-one-group-out")).folds) == 3
    official = make_folds(table, Split(name="official"))
    assert len(official.folds) == 3
    assert not official.leaky
    assert {"fearful", "frustrated"} & set(table.column("label").drop_nulls()) == set()


def test_iemocap_without_evaluations(tmp_path: Path) -> None:
    tones(tmp_path, "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav")
    with pytest.raises(DataError, match="1 turns, but no dialog/EmoEvaluation"):
        build("iemocap", tmp_path)


def test_msp_podcast_parts_values_and_unknown_speakers(tmp_path: Path) -> None:
    table = example("msp_podcast", tmp_path)
    folds = make_folds(table.with_target("valence"), Split(name="official"))
    assert [len(part) for part in (folds.folds[0].train, folds.folds[0].validation, folds.folds[0].test)] == [9, 3, 3]
    assert set(table.column("split")) == {"train", "validation", "test", "test2"}
    unknown = row(table, "MSP-PODCAST_0002_0002")
    assert (unknown["speaker"], unknown["source"], unknown["label"], unknown["emotion_code"]) == (
        None,
        "0002",
        None,
        "X",
    )
    assert all(table.column(name).dtype == pl.Float64 for name in ("valence", "arousal", "dominance"))


def test_talser_reads_any_list_with_the_columns(tmp_path: Path) -> None:
    tones(tmp_path, "a/one.wav", "a/two.wav", "a/three.wav")
    write(tmp_path, "notes.csv", "who,what", "ann,nothing")
    write(tmp_path, "a/ratings.tsv", "audio\tpleasure\tarousal\troom", "one.wav\t-0.5\t3\tA", "two.wav\tx\t1\tB")
    table = build("talser", tmp_path)
    assert table.frame.select("id", "valence", "arousal", "room").rows() == [("a/one.wav", -0.5, 3.0, "A")]
    assert reasons(table) == {
        "two.wav": "pleasure or arousal is no number",
        "a/two.wav": "ratings.tsv does not list it",
        "a/three.wav": "ratings.tsv does not list it",
    }


def test_modma_sheet_as_excel_or_csv(tmp_path: Path) -> None:
    table = example("modma", tmp_path)
    patient = row(table, "02010002/03")
    assert (patient["speaker"], patient["label"], patient["take"], patient["phq9"]) == ("02010002", "MDD", "3", 18.0)
    sheet = read_xlsx(tmp_path / "subjects_information_audio_lanzhou_2015.xlsx")
    (tmp_path / "subjects_information_audio_lanzhou_2015.xlsx").unlink()
    lines = [",".join(cell or "" for cell in line.values()) for line in sheet]
    write(tmp_path, "subjects_information_audio_lanzhou_2015.csv", ",".join(sheet[0]), *lines)
    assert build("modma", tmp_path).hash == table.hash


def test_modma_people_without_recordings_and_recordings_without_people(tmp_path: Path) -> None:
    tones(tmp_path, "audio/02010001/01.wav", "audio/02020008/29.wav", "audio/02020009/5.wav")
    sheet = [["subject id", "type"], [2010001, "MDD"], [2020008, "HC"], [2020010, "HC"], [2020011, "?"]]
    write_xlsx(tmp_path / "subjects_information_audio_lanzhou_2015.xlsx", sheet)
    table = build("modma", tmp_path)
    assert table.column("id").to_list() == ["02010001/01", "02020008/29"]
    assert set(reasons(table)) == {
        "audio/02020009/5.wav",
        "02020010",
        "subjects_information_audio_lanzhou_2015.xlsx: 2020011",
    }


def test_xlsx_as_excel_writes_it(tmp_path: Path) -> None:
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    sheet = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" t="s"><v>1</v></c></row><row r="2"/>'
        '<row r="3"><c r="A3"><v>2010001</v></c><c r="B3"><v>9</v></c>'
        '<c r="C3" t="inlineStr"><is><t>MDD</t></is></c></row>'
    )
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData>{sheet}</sheetData></worksheet>")
        texts = "<si><t>subject id</t></si><si><r><t>ty</t></r><r><t>pe</t></r></si>"
        book.writestr("xl/sharedStrings.xml", f"<sst {space}>{texts}</sst>")
    assert read_xlsx(tmp_path / "a.xlsx") == [{"subject id": "2010001", "type": "MDD"}]


@pytest.mark.parametrize("damage", [b"", b"not a workbook", None])
def test_damaged_xlsx(tmp_path: Path, damage: bytes | None) -> None:
    if damage is None:
        with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as book:
            book.writestr("xl/other.xml", "<a/>")
    else:
        (tmp_path / "a.xlsx").write_bytes(damage)
    with pytest.raises(DataError, match="cannot be read as an Excel workbook"):
        read_xlsx(tmp_path / "a.xlsx")


def daic(root: Path, session: int, *turns: str) -> None:
    tones(root, f"{session}_P/{session}_AUDIO.wav")
    write(root, f"{session}_P/{session}_TRANSCRIPT.csv", "start_time\tstop_time\tspeaker\tvalue", *turns)


def daic_lists(root: Path, *people: str) -> None:
    write(root, "train_split_Depression_AVEC2017.csv", "Participant_ID,PHQ8_Binary,PHQ8_Score,Gender", *people)
    write(root, "dev_split_Depression_AVEC2017.csv", "Participant_ID,PHQ8_Binary,PHQ8_Score,Gender")
    write(root, "full_test_split.csv", "Participant_ID,PHQ_Binary,PHQ_Score,Gender", "301,1,16,0")


def test_daic_woz_holds_no_interviewer(tmp_path: Path) -> None:
    table = example("daic_woz", tmp_path)
    assert len(table) == 18
    assert set(table.column("text")) == {'i\'m okay "i guess"'}
    first = row(table, "301_0003")
    assert (first["start_s"], first["end_s"], first["speaker"], first["label"], first["phq8"]) == (
        0.25,
        0.55,
        "301",
        "depressed",
        15.0,
    )
    assert not make_folds(table, Split(name="official")).leaky


def test_daic_woz_shifted_and_interrupted_sessions(tmp_path: Path) -> None:
    daic(tmp_path, 318, "1.0\t2.0\tParticipant\tyes", "2.5\t3\tParticipant\t<sync>", "", "3\t4\tEllie\tokay")
    daic(tmp_path, 373, "390\t394\tParticipant\tno", "394\t396\tParticipant\twho is there", "x\t500\tParticipant\ta")
    daic(tmp_path, 301, "1\t2\tParticipant\tyes")
    tones(tmp_path, "302_P/302_AUDIO.wav")
    daic_lists(tmp_path, "318,0,3,1", "373,0,9,0", "303,,,1", "304,0,1,1")
    table = build("daic_woz", tmp_path)
    assert table.column("id").to_list() == ["301_0002", "318_0002", "373_0002"]
    assert row(table, "318_0002")["start_s"] == pytest.approx(35.319917)
    assert row(table, "301_0002")["split"] == "test"
    found = reasons(table)
    assert found["373_TRANSCRIPT.csv line 3"] == "other people speak at this time"
    assert "no times" in found["373_TRANSCRIPT.csv line 4"]
    assert found["302_P/302_AUDIO.wav"] == "there is no 302_TRANSCRIPT.csv"
    assert found["304"] == "a list labels it, but there is no recording"
    assert "PHQ8_Binary is None" in found["train_split_Depression_AVEC2017.csv: 303"]


def test_gtzan_parts_are_as_published() -> None:
    parts = list(filtered_parts().values())
    assert [parts.count(part) for part in ("train", "validation", "test")] == [443, 197, 290]


def test_gtzan_leaves_known_faults_out(tmp_path: Path) -> None:
    example("gtzan", tmp_path)
    tones(tmp_path, "genres/jazz/jazz.00054.wav", "genres/pop/pop.00015.wav", "genres/jazz/._jazz.00000.wav")
    found = reasons(build("gtzan", tmp_path))
    assert "damaged" in found["genres/jazz/jazz.00054.wav"]
    assert "fault-filtered" in found["genres/pop/pop.00015.wav"]
    assert len(found) == 2


@pytest.mark.parametrize("name", ["emodb", "crema_d"])
@pytest.mark.parametrize("column", ["fold", "split"])
def test_ready_made_partitions_that_share_speakers_are_noticed(name: str, column: str, tmp_path: Path) -> None:
    table = example(name, tmp_path)
    parts = {"fold": ("1", "2"), "split": ("train", "test")}[column]
    dealt = pl.Series(column, [parts[number % 2] for number in range(len(table))])
    ready_made = Table.from_frame(table.frame.with_columns(dealt), name)
    folds = make_folds(ready_made, Split(name="official"))
    found = leaks.audit(ready_made, folds)
    assert folds.leaky
    assert found.leaks["speaker"] == table.column("speaker").n_unique()
    assert found.leaks["duplicate"] == 0


@pytest.mark.parametrize("name", [name for name in registry.names("corpora") if info(name).request])
def test_fetch_says_how_to_request(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be downloaded by a program") as caught:
        fetch(name, data=tmp_path)
    assert info(name).request in (caught.value.remedy or "")
    assert str(tmp_path / name) in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("urbansound8k", lambda root: (root / "metadata" / "UrbanSound8K.csv").write_bytes(b"\xff\xfe\x00")),
        ("iemocap", lambda root: next(root.rglob("Ses01*.txt")).write_bytes(b"\xb0\xff")),
        ("daic_woz", lambda root: next(root.rglob("300_TRANSCRIPT.csv")).write_bytes(b"\x00\x05\x16\x07\xb0")),
        ("crema_d", lambda root: (root / "processedResults" / "summaryTable.csv").write_bytes(b'"a,\n')),
    ],
)
def test_damaged_lists_are_named(name: str, spoil: Callable[[Path], None], tmp_path: Path) -> None:
    example(name, tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match="cannot be read") as caught:
        build(name, tmp_path)
    assert str(tmp_path) in caught.value.message


def test_the_page_on_corpora_names_each() -> None:
    page = (Path(__file__).parents[2] / "docs" / "corpora.md").read_text(encoding="utf-8")
    assert [name for name in registry.names("corpora") if f"`{name}`" not in page] == []
