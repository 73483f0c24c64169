"""Wake words: what sounds nearly like them, who says what, and whose recordings stand where."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from earnest import audio, recipe, tasks, wakeword
from earnest.corpora._recordings import says
from earnest.errors import DataError
from earnest.recipe import Recipe
from earnest.shipping.assemble import licences_of
from earnest.table import Table
from earnest.wakeword import near, spoken_by
from earnest.wakeword.corpus import Wanted, build
from earnest.wakeword.plan import Amounts, plan

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="the extra [speech] is not installed"
)
HEY = [["h", "'eI"], ["'3:", "n", "I2", "s", "t"]]
INVENTORY = [["D", "@2"], ["k", "w", "'I", "k"], ["b", "r", "'aU", "n"], ["f", "'0", "k", "s"], ["l", "'eI", "z", "i"]]
FEW = Amounts(takes=1, near=6, near_takes=2, babble=10)


def test_near_phrases_differ_from_the_phrase_and_from_each_other() -> None:
    found = near.near(HEY, INVENTORY, 40, np.random.default_rng(0))
    sounds = {near.sound(words) for words in found}
    assert len(found) == len(sounds) == 40
    assert near.sound(HEY) not in sounds
    assert all(any(near.is_vowel(phoneme) for word in words for phoneme in word) for words in found[:5])


def test_every_word_of_a_near_phrase_has_a_vowel() -> None:
    company = [["k", "'ong55"], ["s", "i", "55"]]
    for words in near.near(company, INVENTORY, 60, np.random.default_rng(2)):
        assert all(any(map(near.is_vowel, word)) for word in words)


def test_parts_of_a_phrase_are_near_to_it() -> None:
    parts = [near.written(part) for part in near.parts(HEY)]
    assert parts == ["[[h'eI]]", "[['3:nI2st]]", "[['3:nI2st]]", "[[h'eI]]", "[['3:nI2st h'eI]]"]
    assert near.parts([["m", "'A@", "v", "I", "n"]]) == [[["m", "'A@"]], [["v", "I", "n"]]]


def test_a_change_keeps_stress_and_kind() -> None:
    for words in near.near([["m", "'A@", "v"]], INVENTORY, 10, np.random.default_rng(1)):
        for phoneme in (phoneme for word in words for phoneme in word):
            assert near.is_vowel(phoneme) or "'" not in phoneme


@needs_espeak
def test_a_voice_says_its_things_in_one_part_alone() -> None:
    drawn = plan("hey earnest", "en", ["hay harvest"], Amounts())
    parts: dict[str, set[str]] = {}
    for spoken in drawn:
        parts.setdefault(spoken.speaker, set()).add(spoken.part)
    assert {len(found) for found in parts.values()} == {1}
    assert {part for found in parts.values() for part in found} == {"train", "validation", "test"}
    assert len({spoken.utterance.file for spoken in drawn}) == len(drawn)
    assert any(spoken.utterance.text == "hay harvest" for spoken in drawn)
    assert drawn == plan("hey earnest", "en", ["hay harvest"], Amounts())


@needs_espeak
def test_voices_of_other_programs_train_and_say_what_they_can() -> None:
    voices = ["flite/slt", "mbrola/mb-us1", "command/program {text} {file}"]
    alone, drawn = (plan("hey earnest", "en", ["hay harvest"], Amounts(), ["yes"], given) for given in ((), voices))
    assert drawn[: len(alone)] == alone
    assert {spoken.part for spoken in drawn[len(alone) :]} == {"train"}
    for speaker in ("flite/slt", "mbrola/mb-us1", "command 0"):
        said = [(spoken.kind, spoken.utterance.text) for spoken in drawn if spoken.speaker == speaker]
        assert said.count(("word", "hey earnest")) == Amounts().takes
        assert {("near", "hay harvest"), ("near", "hey"), ("other", "yes")} <= set(said)
        assert any("[[" in text for _, text in said) == (speaker == "mbrola/mb-us1")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people who say the word twice and another word once: tones in folders of their own."""
    root, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    lines = ["path\ttext"]
    for person in range(8):
        for name, text in (("a", "marvin"), ("b", "Marvin"), ("c", "happy")):
            audio.write(root / f"p{person}" / f"{name}.wav", (0.1 * rng.standard_normal(8000)).astype("f4"), 16_000)
            lines.append(f"p{person}/{name}.wav\t{text}")
    (root / "transcripts.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@needs_espeak
@pytest.mark.parametrize(("learn_from", "learnt"), [(0, 0), (3, 3), (8, 8), (11, 11)])
def test_people_learn_or_test(people: Path, tmp_path: Path, learn_from: int, learnt: int) -> None:
    table, window_s = build(Wanted("marvin", recordings=str(people), learn_from=learn_from, amounts=FEW), tmp_path)
    rows = table.frame.select("kind", "split", "speaker", "label").rows(named=True)
    learners = table.frame.filter((table.frame["kind"] == "real") & (table.frame["split"] == "train"))
    assert learners["audio"].n_unique() == learnt
    assert len(learners) >= round(0.3 * 60) - learnt or not learnt  # few are repeated
    speakers: dict[str, set[str]] = {}
    for row in rows:
        speakers.setdefault(row["speaker"], set()).add(row["split"])
    assert {len(parts) for parts in speakers.values()} == {1}
    tested = {row["kind"] for row in rows if row["split"] == "test" and row["label"] == "marvin"}
    assert tested == ({"real"} if learn_from < 8 else {"word"})
    assert 0.8 < window_s < 1.6
    # What three learners say is told apart, and the synthetic voices say it too.
    other = {row["label"] for row in rows if row["kind"] in ("speech", "other")}
    assert other == ({"happy"} if learn_from >= 3 else {"unknown"})
    assert sum(row["kind"] == "other" for row in rows) == (FEW.other if learn_from >= 3 else 0)


@needs_espeak
def test_other_words_of_people_are_classes_of_their_own(people: Path, tmp_path: Path) -> None:
    wanted = Wanted("你好", "zh", other_words=(str(people),), amounts=FEW)
    table, _ = build(wanted, tmp_path)
    real = table.frame.filter(table.frame["kind"] == "speech")
    assert set(real["label"]) == {"marvin", "happy"}
    assert len(real) == 24, "all recordings, also those that test"
    assert real.group_by("speaker").agg(pl.col("split").n_unique())["split"].to_list() == [1] * 8
    spoken = table.frame.filter(table.frame["kind"] == "other")
    assert spoken.group_by("label").len().sort("label").rows() == [("happy", FEW.other), ("marvin", FEW.other)]
    audio.write(tmp_path / "one" / "a.wav", np.zeros(8000, "f4"), 16_000)
    with pytest.raises(DataError, match="is said alone by 3 people"):
        build(Wanted("你好", "zh", other_words=(str(tmp_path / "one"),), amounts=FEW), tmp_path)


@needs_espeak
def test_a_folder_without_the_word_is_told(people: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no recording of 'computer'"):
        build(Wanted("computer", recordings=str(people), amounts=FEW), tmp_path)


@needs_espeak
def test_sentences_with_the_word_only_test_it(people: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sentences"
    lines = ["path\ttext"]
    for person, texts in {
        "a": ["oh, Marvin!", "not here"],
        "b": ["marvins", "good day"],
        "c": ["hey marvin stop"],
    }.items():
        for number, text in enumerate(texts):
            audio.write(folder / person / f"{number}.wav", np.zeros(16_000, "f4"), 16_000)
            lines.append(f"{person}/{number}.wav\t{text}")
    (folder / "transcripts.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    table, _ = build(Wanted("marvin", recordings=str(folder), amounts=FEW), tmp_path / "corpus")
    heard = table.frame.filter(table.frame["stream"] == "said")
    assert sorted(heard["text"]) == ["hey marvin stop", "oh, Marvin!"]
    assert set(heard["split"]) == {"test"}
    assert set(heard["label"]) == {"marvin"}
    others = table.frame.filter(table.frame["kind"] == "speech")
    assert sorted(others["text"]) == ["good day", "marvins", "not here"]
    assert others.filter(others["text"] == "not here")["split"].item() == "test"  # of one who says it elsewhere
    assert (table.frame.filter(table.frame["split"] == "test")["kind"] == "word").any()
    tested = spoken_by(tmp_path)
    assert (tested["real"], tested["sentence"]) == (0, 2)
    assert tested["word"] > 0
    with pytest.raises(DataError, match="within sentences only"):
        build(Wanted("marvin", recordings=str(folder), learn_from=1, amounts=FEW), tmp_path / "again")


@pytest.mark.parametrize(
    ("text", "phrase", "said"),
    [
        ("Hey, Earnest: hello", "hey earnest", True),
        ("hey there earnest", "hey earnest", False),
        ("earnestly", "earnest", False),
        ("印度科技公司的选择", "公司", True),
        ("公 司", "公司", True),
        ("für dich", "für", True),
        ("dafür", "für", False),
        (None, "a", False),
    ],
)
def test_whether_a_phrase_stands_in_a_text(text: str | None, phrase: str, said: bool) -> None:
    assert says(text, [phrase]) is said


@needs_espeak
def test_a_command_is_a_further_voice(people: Path, tmp_path: Path) -> None:
    script = tmp_path / "voice.py"
    script.write_text(
        "import sys, wave\n"
        "with wave.open(sys.argv[2], 'wb') as out:\n"
        "    out.setparams((1, 2, 16000, 0, 'NONE', ''))\n"
        "    out.writeframes(bytes(len(sys.argv[1]) * 4000))\n"
    )
    command = f"{sys.executable} {script} {{text}} {{file}}"
    wanted = Wanted("marvin", other_words=(str(people),), commands=(command,), amounts=FEW)
    table, _ = build(wanted, tmp_path / "corpus")
    spoken = table.frame.filter(table.frame["speaker"] == "synthetic/command 0")
    assert sorted(set(spoken["label"])) == ["happy", "marvin", "unknown"]
    assert (spoken["label"] == "happy").sum() == 1
    assert (spoken["label"] == "marvin").sum() == FEW.takes
    cell = recipe.parse({"corpus": "x", "model": "ds_cnn", "task": {"name": "keyword", "words": ["marvin"]}})
    compose = tasks.find(cell.task).compose
    assert compose is not None
    names = [entry["corpus"] for entry in licences_of(compose(table, "label", cell, None))]
    assert sorted(names) == sorted(["espeak-ng", "command", people.name]), "and no `wakeword`"
    for wrong, match in (("no-such-program {text}", "no program"), (f"{sys.executable} -c 1", "wrote no file")):
        with pytest.raises(DataError, match=match):
            build(Wanted("marvin", commands=(wrong,), amounts=FEW), tmp_path / "again")


TABLE = Table.from_frame(pl.DataFrame({"id": ["a"], "audio": ["a.wav"], "label": ["marvin"]}), "one")


@pytest.mark.parametrize(
    ("window_s", "overrides", "network"),
    [(1.2, [], "mixednet"), (0.7, [], "ds_cnn"), (1.2, ["model=bc_resnet"], "bc_resnet")],
)
def test_for_esphome_a_network_that_devices_carry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, window_s: float, overrides: list[str], network: str
) -> None:
    class Asked(Exception):
        pass

    def asked(cell: Recipe, *_: object, **__: object) -> None:
        assert (cell.model.name, cell.frontend.name) == (network, "micro_frontend")
        raise Asked

    monkeypatch.setattr(wakeword, "build", lambda *_: (TABLE, window_s))
    monkeypatch.setattr(wakeword.journey, "run", asked)
    with pytest.raises(Asked):
        wakeword.make(Wanted("marvin"), tmp_path, overrides=overrides, targets=["microwakeword"])
