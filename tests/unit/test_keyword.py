"""The classes of the task keyword, made from a generated corpus and recordings beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from earnest import alarms, corpora, recipe, registry, tasks
from earnest.corpora._info import write_tone
from earnest.corpora._recordings import open_recordings, says
from earnest.errors import DataError, RecipeError
from earnest.recipe import Recipe
from earnest.splits import Fold
from earnest.table import Table
from earnest.tasks import ONLY, STREAM, keyword

SPEAKERS = ("0a7c2a8d", "1b7c2a8d", "2c7c2a8d", "3d7c2a8d", "4e7c2a8d")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five speakers with four words, the corpus's own noise, a folder of noises, and speech with transcripts."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for speaker in SPEAKERS:
        for word in ("yes", "no", "up", "cat"):
            write_tone(root / f"speech_commands/{word}/{speaker}_nohash_0.wav", rng, seconds=0.5)
    write_tone(root / "speech_commands/_background_noise_/pink.wav", rng, seconds=2.6)
    for name in ("a", "b", "c"):
        write_tone(root / f"noises/{name}/{name}.wav", rng, seconds=1.2)
    for name in ("ann/1", "ann/2", "bob/1", "bob/2"):
        write_tone(root / f"tales/{name}.wav", rng, seconds=1.5)
    texts = ["ann/1.wav\tann\tonce upon a time", "ann/2.wav\tann\tYES he said", "bob/1.wav\tbob\tyesterday"]
    (root / "tales/transcripts.tsv").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return root


def made(data: Path, **options: object) -> tuple[Table, Recipe]:
    task = {"name": "keyword", "words": ["yes", "no"], "background": ["noises"], "negatives": ["tales"], **options}
    wanted = recipe.parse({"corpus": "speech_commands", "model": "ds_cnn", "clips": {"window_s": 0.5}, "task": task})
    found = tasks.find(wanted.task)
    assert found.compose is not None
    return found.compose(corpora.open_table("speech_commands", data=data), "label", wanted, data), wanted


def counts(table: Table) -> dict[tuple[str, str | None], int]:
    rows = table.frame.group_by("label", "stream").len().rows()
    return {(label, stream): number for label, stream, number in rows}


def test_classes(data: Path) -> None:
    table, _ = made(data)
    assert counts(table) == {
        ("yes", None): 5,
        ("no", None): 5,
        ("unknown", None): 10,
        ("silence", None): 5,
        ("silence", "background"): 4,
        ("unknown", "speech"): 3,
        ("unknown", "piece"): 6,
    }
    silent = table.frame.filter((table.frame["label"] == "silence") & table.frame["stream"].is_null())
    assert set((silent["end_s"] - silent["start_s"]).to_list()) == {0.5}
    assert silent["audio"].n_unique() == 4, "every noise gives a piece before one gives two"


def test_recordings_in_which_a_word_is_said_are_left_out(data: Path) -> None:
    table, _ = made(data)
    names = set(table.column("id").to_list())
    assert {"tales/ann/1.wav", "tales/bob/1.wav", "tales/bob/2.wav"} <= names
    assert "tales/ann/2.wav" not in names
    assert says("Turn it UP, please.", ["up"])
    assert not says("upon a cup", ["up"])
    assert says("请打开你好小智的灯", ["你好小智"])
    assert not says(None, ["up"])


def test_pieces_and_recordings_of_one_source_stay_together(data: Path) -> None:
    table, _ = made(data)
    beside = table.frame.filter(table.frame["corpus"] != "speech_commands")
    for _, part in beside.group_by("source"):
        assert part["split"].n_unique() == 1
    assert beside["source"].null_count() == 0
    tales = beside.filter(beside["corpus"] == "tales")["source"].unique().sort().to_list()
    assert tales == ["tales/ann", "tales/bob"]


def test_what_is_only_heard_is_marked_and_not_learnt(data: Path) -> None:
    table, _ = made(data, negatives=[], streams=["tales"])
    assert counts(table)["unknown", "only"] == 3
    learnt = {entry["corpus"]: entry["learnt"] for entry in table.info["beside"]}
    assert learnt == {"_background_noise_": True, "noises": True, "tales": False}


def test_pieces_of_negatives_are_only_trained_on(data: Path) -> None:
    table, wanted = made(data, others=0.6)
    pieces = table.frame.filter(table.frame["stream"] == "piece")
    assert len(pieces) == 3, "as many as other words"
    assert set((pieces["end_s"] - pieces["start_s"]).to_list()) == {1.0}, "two windows"
    assert "piece" not in made(data, learn_negatives=False)[0].column("stream").to_list()
    every = np.arange(len(table))
    rows = alarms.divided(table, Fold("all", every, every, every), tasks.find(wanted.task))
    place = table.frame["id"].is_in(pieces["id"].to_list()).arg_true().to_list()
    assert set(place) <= set(rows.train.tolist())
    assert not set(place) & {*rows.validation.tolist(), *rows.test.tolist(), *rows.streams[0], *rows.streams[1]}


def test_words_apart_are_classes_and_make_no_events(data: Path) -> None:
    table, wanted = made(data, words=["yes"], apart=["up"])
    assert counts(table)["up", None] == 5
    assert counts(table)["unknown", None] == 10
    listening = tasks.find(wanted.task).listening
    assert listening is not None
    assert listening.words == ("yes",)
    with pytest.raises(DataError, match="'upp'"):
        made(data, apart=["upp"])


def test_other_words_are_limited_and_the_same_every_time(data: Path) -> None:
    table, _ = made(data, others=0.6)
    assert counts(table)["unknown", None] == 3
    assert table.hash == made(data, others=0.6)[0].hash


def test_words_alone(data: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for word in ("yes", "no"):
        for speaker in SPEAKERS:
            write_tone(tmp_path / f"speech_commands/{word}/{speaker}_nohash_0.wav", rng)
    table, _ = made(tmp_path, background=[], negatives=[])
    assert sorted(table.column("label").unique().to_list()) == ["no", "yes"]


def test_a_word_without_clips_is_named(data: Path) -> None:
    with pytest.raises(DataError, match="'yess'"):
        made(data, words=["yess", "no"])


def test_words_have_to_be_named(data: Path) -> None:
    with pytest.raises(RecipeError, match="none is named"):
        made(data, words=[])


def test_missing_recordings_are_named(data: Path) -> None:
    with pytest.raises(DataError, match="'talse' is neither a corpus nor a folder"):
        made(data, negatives=["talse"])


def test_background_shorter_than_a_window_is_refused(data: Path, tmp_path: Path) -> None:
    write_tone(tmp_path / "short/a.wav", np.random.default_rng(0), seconds=0.1)
    rng = np.random.default_rng(1)
    for word in ("yes", "no"):
        write_tone(tmp_path / f"speech_commands/{word}/{SPEAKERS[0]}_nohash_0.wav", rng)
    with pytest.raises(DataError, match="as long as a window"):
        made(tmp_path, background=["short"], negatives=[])


def test_pieces_of_clips_have_no_use(data: Path) -> None:
    _, wanted = made(data)
    cut = wanted.model_copy(update={"clips": wanted.clips.model_copy(update={"segments": "cut-all"})})
    compose = tasks.find(wanted.task).compose
    assert compose is not None
    with pytest.raises(RecipeError, match="segments"):
        compose(corpora.open_table("speech_commands", data=data), "label", cut, data)


def test_a_corpus_keeps_its_speakers(data: Path) -> None:
    frame = open_recordings("speech_commands", data)
    assert frame["speaker"][0] == f"speech_commands/{SPEAKERS[0]}"
    assert frame["source"].null_count() == len(frame), "the speaker keeps them together"


def test_a_label_is_what_is_said_in_corpora_of_words_alone(data: Path) -> None:
    assert set(open_recordings("speech_commands", data)["text"]) >= {"yes", "no"}
    registry.load("corpora", "ravdess").example(data / "ravdess", np.random.default_rng(0))
    feelings = open_recordings("ravdess", data)
    assert len(feelings) > 0
    assert feelings["text"].null_count() == len(feelings)


def test_what_is_only_heard_in_streams_is_no_loss_to_training(tmp_path: Path) -> None:
    """Beside official parts a recording of `streams` is heard, in validation or in the test, whoever speaks."""
    rng = np.random.default_rng(0)
    for number in range(24):
        write_tone(tmp_path / f"tales/s{number:02d}/1.wav", rng, seconds=1.0)
    lines = [f"s{number:02d}/1.wav\ts{number:02d}\tonce" for number in range(24)]
    (tmp_path / "tales/transcripts.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tales = open_recordings("tales", tmp_path)
    clips = tales.head(1).with_columns(pl.lit("train").alias("split"))
    speech = tales.with_columns(pl.lit("speech").alias(STREAM))
    learnt = placed(speech, clips)
    assert set(learnt) == {"train", "validation", "test"}
    heard = placed(speech.with_columns(pl.lit(ONLY).alias(STREAM)), clips)
    assert heard == ["validation" if part == "train" else part for part in learnt]
    mixed = pl.concat([speech, speech.with_columns(pl.lit(ONLY).alias(STREAM))])
    assert placed(mixed, clips) == learnt + learnt  # a speaker who is trained on is in no other part


def placed(added: pl.DataFrame, clips: pl.DataFrame) -> list[str]:
    parts: list[str] = keyword._placed(added, clips)["split"].to_list()
    return parts
