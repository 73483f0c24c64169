"""Splits: no group on both sides, every clip tested once, the same folds in every process."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from earnest.errors import DataError
from earnest.grouping import allocate, connected_groups, deal
from earnest.recipe import Split
from earnest.splits import Folds, make_folds, twin_of
from earnest.table import Table

SPEAKERS = ("ann", "bob", "cem", "dai", "eva", "fay")


def table_of(**columns: Sequence[object]) -> Table:
    count = len(next(iter(columns.values())))
    frame = pl.DataFrame({"id": [f"{n:06d}" for n in range(count)], "audio": [f"/{n}" for n in range(count)]})
    return Table.from_frame(frame.with_columns(pl.Series(k, v, strict=False) for k, v in columns.items()), "test")


def digits(takes: int = 6) -> Table:
    """Like FSDD: two labels, six speakers, some takes each; the first two takes are the official test part."""
    rows = [(label, speaker, take) for label in "07" for speaker in SPEAKERS for take in range(takes)]
    split = ["test" if take < 2 else "train" for _, _, take in rows]
    return table_of(label=[row[0] for row in rows], speaker=[row[1] for row in rows], split=split)


def check(table: Table, folds: Folds) -> None:
    """What holds for every split that is not leaky."""
    for fold in folds.folds:
        for rows in (fold.train, fold.validation, fold.test):
            assert rows.dtype == np.int64
            assert (np.diff(rows) > 0).all()
            assert len(rows) > 0
        everything = np.concatenate((fold.train, fold.validation, fold.test))
        assert len(np.unique(everything)) == len(everything)
        if not folds.leaky:
            for name in folds.groups:
                values = table.column(name)
                outside = set(values[np.concatenate((fold.train, fold.validation))]) - {None}
                assert not outside & set(values[fold.test])


def covers_all(table: Table, folds: Folds) -> bool:
    tested = np.concatenate([fold.test for fold in folds.folds])
    return sorted(tested.tolist()) == list(range(len(table)))


def fingerprint(folds: Folds) -> str:
    digest = hashlib.sha256()
    for fold in folds.folds:
        for rows in (fold.train, fold.validation, fold.test):
            digest.update(rows.tobytes())
    return digest.hexdigest()


def test_leave_one_speaker_out() -> None:
    table = digits()
    folds = make_folds(table, Split(name="leave-one-group-out"))
    assert folds.protocol == "leave-one-speaker-out, 6 folds"
    assert [fold.name for fold in folds.folds] == list(SPEAKERS)
    assert folds.groups == ("speaker",)
    assert not folds.leaky
    assert not folds.notes
    check(table, folds)
    assert covers_all(table, folds)
    for fold in folds.folds:
        assert set(table.column("speaker")[fold.test]) == {fold.name}
        assert table.column("speaker")[fold.validation].n_unique() == 1  # a whole speaker
        assert not set(table.column("speaker")[fold.validation]) & set(table.column("speaker")[fold.train])


def test_group_k_fold_is_balanced() -> None:
    table = digits()
    folds = make_folds(table, Split(name="group-k-fold", folds=3))
    assert folds.protocol == "group-k-fold by speaker, 3 folds"
    assert [len(fold.test) for fold in folds.folds] == [24, 24, 24]
    check(table, folds)
    assert covers_all(table, folds)


def test_group_k_fold_balances_labels_of_uneven_groups() -> None:
    rng = np.random.default_rng(0)
    speaker = np.repeat(np.arange(40), rng.integers(1, 30, 40))
    label = (speaker % 4 + rng.integers(0, 2, len(speaker))) % 4
    table = table_of(label=[str(value) for value in label], speaker=[f"s{value}" for value in speaker])
    folds = make_folds(table, Split(name="group-k-fold", folds=4))
    check(table, folds)
    share = np.array([[np.mean(label[fold.test] == value) for value in range(4)] for fold in folds.folds])
    overall = np.array([np.mean(label == value) for value in range(4)])
    assert np.abs(share - overall).max() < 0.06  # 40 uneven groups cannot be balanced exactly
    sizes = [len(fold.test) for fold in folds.folds]
    assert max(sizes) - min(sizes) <= 0.1 * len(table)


def test_group_holdout() -> None:
    table = digits()
    folds = make_folds(table, Split(name="group-holdout", test=0.3, validation=0.25))
    assert folds.protocol == "group-holdout by speaker, 33% of the clips for testing"
    assert [fold.name for fold in folds.folds] == ["test"]
    check(table, folds)


def test_random_is_marked_as_leaky() -> None:
    table = digits()
    folds = make_folds(table, Split(name="random"))
    assert folds.leaky
    assert folds.protocol == "random 5 folds (LEAKY: ignores speaker)"
    assert covers_all(table, folds)
    alone = table_of(label=["a", "b"] * 10)
    assert not make_folds(alone, Split(name="random")).leaky


def test_without_groups_clips_are_dealt_out_and_that_is_said() -> None:
    table = table_of(label=["a"] * 20 + ["b"] * 10)
    folds = make_folds(table, Split(name="group-k-fold", folds=5))
    assert folds.groups == ()
    assert "neither speakers nor sources" in folds.notes[0]
    assert [list(table.column("label")[fold.test]).count("a") for fold in folds.folds] == [4] * 5
    check(table, folds)


def test_speakers_and_sources_are_kept_apart_together() -> None:
    # a and b share the session x, b and c share y: the three are one group
    table = table_of(
        label=["p", "q"] * 5,
        speaker=["a", "b", "b", "c", "d", "d", "e", "e", "f", "f"],
        source=["x", "x", "y", "y", "z", "z", "u", "u", "v", "v"],
    )
    groups = connected_groups(table, ["speaker", "source"])
    assert groups.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]
    folds = make_folds(table, Split(name="leave-one-group-out"))
    assert folds.protocol == "leave-one-group-out by speaker and source, 4 folds"
    assert [fold.name for fold in folds.folds] == ["a+b+c", "d", "e", "f"]
    check(table, folds)
    assert make_folds(table, Split(name="leave-one-group-out", group=("speaker",))).groups == ("speaker",)


def test_clips_without_a_speaker_are_groups_of_their_own() -> None:
    table = table_of(label=["p", "q"] * 4, speaker=["a", "a", "b", "b", None, None, None, None])
    assert connected_groups(table, ["speaker"]).tolist() == [0, 0, 1, 1, 2, 3, 4, 5]
    folds = make_folds(table, Split(name="group-k-fold", folds=2))
    assert any("4 clips have no speaker" in note for note in folds.notes)
    check(table, folds)


def test_official_folds() -> None:
    fold = [str(number % 12 + 1) for number in range(48)]
    source = [str(number // 2 * 24 + number % 12) for number in range(48)]
    table = table_of(label=[str(number // 12 % 2) for number in range(48)], fold=fold, source=source)
    folds = make_folds(table, Split(name="official"))
    assert folds.protocol == "official 12 folds"
    assert [made.name for made in folds.folds] == [str(number) for number in range(1, 13)]
    for made in folds.folds:
        assert set(table.column("fold")[made.test]) == {made.name}
    check(table, folds)
    assert covers_all(table, folds)


def test_official_split_that_shares_speakers_is_leaky() -> None:
    folds = make_folds(digits(), Split(name="official"))
    assert folds.leaky
    assert folds.protocol == "official test part"
    assert len(folds.folds[0].test) == 24


def test_official_validation_is_used_as_given() -> None:
    table = table_of(
        label=["p", "q"] * 5,
        split=["Training"] * 4 + ["dev"] * 2 + ["testing"] * 2 + [None, "spare"],
        speaker=list("aabbccddee"),
    )
    folds = make_folds(table, Split(name="official"))
    assert folds.folds[0].validation.tolist() == [4, 5]
    assert folds.folds[0].test.tolist() == [6, 7]
    assert not folds.leaky
    assert folds.notes == ("2 clips belong to no official part and are not used.",)


def test_validation_falls_back_when_one_group_is_left() -> None:
    table = table_of(label=["p", "q"] * 20, speaker=["a"] * 20 + ["b"] * 20)
    folds = make_folds(table, Split(name="leave-one-group-out"))
    check(table, folds)
    assert not folds.leaky
    assert len(folds.notes) == 2
    assert "its validation clips are other clips of the same speaker" in folds.notes[0]
    with_sources = table_of(
        label=["p", "q"] * 20, speaker=["a"] * 20 + ["b"] * 20, source=[str(number // 4) for number in range(40)]
    )
    folds = make_folds(with_sources, Split(name="leave-one-group-out", group=("speaker",)))
    assert "other sources" in folds.notes[0]
    for fold in folds.folds:
        source = with_sources.column("source")
        assert not set(source[fold.train]) & set(source[fold.validation])


def test_validation_leaves_every_label_in_training() -> None:
    # label r has clips of two speakers only; whichever is not tested must not become the validation speaker
    label = ["p", "q"] * 12
    label[0] = label[4] = "r"
    table = table_of(label=label, speaker=[SPEAKERS[number // 4] for number in range(24)])
    folds = make_folds(table, Split(name="leave-one-group-out"))
    for fold in folds.folds:
        assert "r" in set(table.column("label")[fold.train])


def test_label_that_occurs_only_in_a_test_fold_is_stated() -> None:
    table = table_of(label=["p", "q", "r"] + ["p", "q", "p"] * 3, speaker=list("aaabbbcccddd"))
    folds = make_folds(table, Split(name="leave-one-group-out"))
    assert folds.notes == ("Fold a: r occurs in its test clips but never in its training clips.",)


@pytest.mark.parametrize(
    ("columns", "split", "message"),
    [
        ({"label": list("pqpq"), "speaker": list("aaaa")}, {"name": "leave-one-group-out"}, "only one speaker"),
        ({"label": list("pqpq"), "speaker": list("aabb")}, {"name": "group-k-fold"}, "only 2 values of speaker"),
        ({"label": list("pqpq")}, {"name": "leave-one-group-out"}, "neither speakers nor sources"),
        ({"label": list("pqpq")}, {"name": "official"}, "no official split"),
        ({"label": list("pq"), "fold": list("11")}, {"name": "official"}, "one fold only"),
        ({"label": list("pq"), "split": ["train", "dev"]}, {"name": "official"}, "must hold train and test"),
        ({"label": list("pqr"), "speaker": list("abc")}, {"name": "leave-one-group-out"}, "one clip only"),
        ({"label": list("ppqq"), "speaker": list("aabb")}, {"name": "leave-one-group-out"}, "its own speaker"),
        ({"label": list("pq")}, {"name": "random"}, "at least 5"),
        ({"label": ["p"]}, {"name": "group-holdout"}, "at least 2"),
        ({"label": list("pq"), "speaker": list("ab")}, {"name": "leave-one-group-out"}, "1 clips to train on"),
        ({"label": list("pq"), "speaker": list("ab")}, {"group": ("speakr",)}, "Did you mean speaker"),
        ({"label": list("pq"), "speaker": [None, None]}, {"group": ("speaker",)}, "is empty"),
        (
            {"label": list("pqpq"), "speaker": list("aabb"), "source": list("xyyz")},
            {"name": "leave-one-group-out"},
            "connected into 1",
        ),
    ],
)
def test_errors(columns: dict[str, list[object]], split: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_folds(table_of(**columns), Split.model_validate(split))


@pytest.mark.parametrize("name", ["leave-one-group-out", "group-k-fold", "group-holdout", "official"])
def test_twin_has_the_same_sizes_and_ignores_groups(name: str) -> None:
    table = digits(takes=20)
    split = Split.model_validate({"name": name, "folds": 4})
    honest, twin = make_folds(table, split), twin_of(table, split)
    assert twin.leaky
    assert "LEAKY" in twin.protocol
    for one, other in zip(honest.folds, twin.folds, strict=True):
        assert one.name == other.name
        assert [len(rows) for rows in (one.train, one.validation, one.test)] == [
            len(rows) for rows in (other.train, other.validation, other.test)
        ]
        assert table.column("speaker")[other.test].n_unique() == 6
    check(table, twin)
    assert covers_all(table, twin) == covers_all(table, honest)


def test_folder_names_are_safe_and_distinct() -> None:
    table = table_of(label=["p", "q"] * 8, speaker=["a/b", "a/b", "a:b", "a:b", "../x", "../x", "A b", "A b"] * 2)
    names = [fold.name for fold in make_folds(table, Split(name="leave-one-group-out")).folds]
    assert len({name.casefold() for name in names}) == 4
    assert not any(sign in name for name in names for sign in "/\\:. ")
    chinese = table_of(label=["p", "q"] * 4, speaker=["张伟", "张伟", "李娜", "李娜"] * 2)
    assert {fold.name for fold in make_folds(chinese, Split(name="leave-one-group-out")).folds} == {"张伟", "李娜"}


def test_numeric_and_textual_targets() -> None:
    numbers = table_of(valence=np.linspace(-1, 1, 50).tolist(), speaker=[SPEAKERS[number % 6] for number in range(50)])
    folds = make_folds(numbers, Split(name="random", folds=5), target="valence")
    means = [numbers.column("valence")[fold.test].mean() for fold in folds.folds]
    assert max(map(abs, means)) < 0.15  # type: ignore[arg-type]
    texts = table_of(text=[f"sentence {number}" for number in range(600)], speaker=[str(n % 30) for n in range(600)])
    check(texts, make_folds(texts, Split(name="group-k-fold"), target="text"))


SCRIPT = """
from test_splits import digits, fingerprint
from earnest.recipe import Split
from earnest.splits import make_folds, twin_of
for name in ("official", "leave-one-group-out", "group-k-fold", "group-holdout", "random"):
    print(fingerprint(make_folds(digits(), Split(name=name, seed=3))), fingerprint(twin_of(digits(), Split(name=name))))
"""


def test_the_same_folds_in_every_process() -> None:
    answers = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.path.dirname(__file__)}  # noqa: PTH120
        command = [sys.executable, "-c", SCRIPT]
        answers.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(answers) == 1


def test_seed_changes_the_folds() -> None:
    made = {fingerprint(make_folds(digits(), Split(name="group-k-fold", folds=3, seed=seed))) for seed in range(5)}
    assert len(made) > 1


values = st.none() | st.integers(0, 9).map(str)
tables = st.lists(st.tuples(st.sampled_from("pqr"), values, values), min_size=6, max_size=60)
names = st.sampled_from(["leave-one-group-out", "group-k-fold", "group-holdout"])


@settings(deadline=None, max_examples=200)
@given(tables, names, st.integers(2, 6), st.integers(0, 3), st.floats(0.05, 0.6), st.floats(0.05, 0.6))
def test_no_group_is_ever_on_both_sides(
    rows: list[tuple[str, str | None, str | None]], name: str, count: int, seed: int, test: float, validation: float
) -> None:
    label, speaker, source = (list(column) for column in zip(*rows, strict=True))
    table = table_of(label=label, speaker=speaker, source=source)
    split = Split.model_validate({"name": name, "folds": count, "seed": seed, "test": test, "validation": validation})
    try:
        folds = make_folds(table, split)
    except DataError:
        assume(False)
    assert not folds.leaky
    check(table, folds)
    if name != "group-holdout":
        assert covers_all(table, folds)
    check(table, twin_of(table, split))


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 6), st.integers(0, 99))
def test_deal_gives_exact_sizes_and_even_strata(strata: list[int], parts: int, seed: int) -> None:
    count = len(strata)
    sizes = [count // parts + (part < count % parts) for part in range(parts)]
    dealt = deal(np.arange(count), np.array(strata), sizes, np.random.default_rng(seed))
    assert [len(rows) for rows in dealt] == sizes
    assert sorted(np.concatenate(dealt).tolist()) == list(range(count))
    for stratum in set(strata):
        counts = [int(np.sum(np.array(strata)[rows] == stratum)) for rows in dealt]
        assert max(counts) - min(counts) <= 2  # a run of turns that is cut at both ends


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=12, max_size=60), st.floats(0.05, 0.5), st.integers(0, 99))
def test_allocate_keeps_groups_whole_and_no_part_empty(groups: list[int], share: float, seed: int) -> None:
    assume(len(set(groups)) > 1)
    members = np.array(groups)
    rows = np.arange(len(members))
    parts = allocate(rows, members, rows % 3, [1 - share, share], np.random.default_rng(seed))
    assert all(len(part) for part in parts)
    assert not set(members[parts[0]]) & set(members[parts[1]])
    assert sorted(np.concatenate(parts).tolist()) == rows.tolist()


def test_hundred_thousand_rows_take_about_a_second() -> None:
    rng = np.random.default_rng(0)
    count = 100_000
    label, speaker = rng.integers(0, 35, count).astype(str), rng.integers(0, 2600, count).astype(str)
    table = table_of(label=label.tolist(), speaker=speaker.tolist())
    start = time.perf_counter()
    make_folds(table, Split(name="group-k-fold"))
    assert time.perf_counter() - start < 5  # 0.4 s on an idle core; the rest is for busy machines


@pytest.mark.parametrize("name", ["leave-one-group-out", "group-k-fold", "group-holdout", "random"])
def test_without_validation_all_other_groups_train(name: str) -> None:
    table = digits()
    for fold in make_folds(table, Split(name=name, folds=3, validation=0)).folds:
        assert len(fold.validation) == 0
        assert len(fold.train) + len(fold.test) == len(table)
