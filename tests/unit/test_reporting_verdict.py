"""The sentence above every report, and the table on the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from earnest.reporting import wording
from earnest.reporting.console import format_score, summary_table
from earnest.reporting.verdict import standing, verdict


def scores(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "corpus": "digits",
        "protocol": "leave-one-speaker-out, 6 folds",
        "primary": "accuracy",
        "score": 0.873,
        "interval": [0.821, 0.91],
        "interval_method": "95% delete-one-group jackknife with Student's t, 6 groups.",
        "baseline": {"majority": 0.1, "chance": 0.1},
        "n_clips": 3000,
        "n_groups": 6,
        "group": "speaker",
        "labels": [str(digit) for digit in range(10)],
        "seeds": {"n": 1, "mean": 0.873, "sd": None, "scores": [0.873]},
        "leaks": {"speaker": 0, "source": 0, "duplicate": 0},
        "allow_leaks": None,
        "leaky": False,
    }
    return {**values, **changes}


def test_an_honest_score_is_said_with_its_interval_and_what_guessing_gives() -> None:
    assert verdict(scores()) == (
        "On speakers it has never heard, this model labels 87.3 % of 3000 clips correctly (95 % interval 82.1–91.0 by "
        "resampling 6 speakers); always guessing the most frequent class gives 10.0 %."
    )


def test_recordings_take_the_place_of_speakers_where_clips_are_grouped_by_source() -> None:
    sentence = verdict(scores(group="source", n_groups=160))
    assert sentence.startswith("On recordings it has never heard,")
    assert "by resampling 160 recordings" in sentence


def test_a_group_of_ones_own_is_named() -> None:
    assert verdict(scores(group="city", n_groups=5)).startswith("On cities it has never heard,")


def test_without_groups_the_sentence_says_that_speakers_are_unknown() -> None:
    sentence = verdict(scores(group=None, n_groups=3000, interval_method="95% BCa bootstrap of single clips as if …"))
    assert sentence.startswith("On clips it was not trained on (whose speakers and sources are not known),")
    assert "by resampling single clips" in sentence


def test_one_speaker_alone_allows_no_word_about_others() -> None:
    sentence = verdict(scores(n_groups=1, interval_method="95% …, single clips as if independent (one group only)"))
    assert sentence.startswith("On clips it was not trained on (all of one speaker),")
    assert "never heard" not in sentence


def test_an_exact_bound_is_not_called_resampling() -> None:
    sentence = verdict(scores(score=1.0, interval=[0.998, 1.0], interval_method="exact binomial bound over clips …"))
    assert "from an exact bound over clips" in sentence
    assert "resampling" not in sentence


@pytest.mark.parametrize(
    ("primary", "words"),
    [
        ("uar", "recognises 87.3 % of a class's clips on average over 10 classes and 3000 clips"),
        ("auc", "reaches an area under the ROC curve (AUC) of 87.3 % over 10 classes and 3000 clips"),
        ("macro_f1", "reaches a macro F1 of 87.3 % over 10 classes and 3000 clips"),
    ],
)
def test_other_metrics_have_their_own_words(primary: str, words: str) -> None:
    assert words in verdict(scores(primary=primary))


def test_several_seeds_are_said_to_be_a_mean() -> None:
    assert "(mean of 3 seeds; 95 % interval" in verdict(scores(seeds={"n": 3}))


def test_a_score_at_the_baseline_is_no_better_than_guessing() -> None:
    worse = scores(score=0.6, interval=[0.5, 0.7], baseline={"majority": 0.62, "chance": 0.5})
    assert standing(worse) == "unproven"
    assert verdict(worse).endswith(
        "that is no better than always guessing the most frequent class, which gives 62.0 %."
    )


def test_a_score_whose_interval_reaches_the_baseline_shows_nothing() -> None:
    close = scores(score=0.65, interval=[0.55, 0.75], baseline={"majority": 0.62, "chance": 0.5})
    assert standing(close) == "unproven"
    assert "so this does not show that it has learned" in verdict(close)


def test_the_better_of_two_baselines_counts() -> None:
    sentence = verdict(scores(baseline={"majority": 0.08, "chance": 0.1}))
    assert sentence.endswith("guessing at random gives 10.0 %.")


def test_a_leaky_score_is_void_and_says_why() -> None:
    void = scores(leaky=True, leaks={"speaker": 6, "source": 0, "duplicate": 1}, allow_leaks="a quick look")
    assert standing(void) == "void"
    assert verdict(void) == (
        "This score is void: training and test share 6 speakers and 1 duplicated clip (allowed by the recipe: “a quick "
        "look”); that this model labels 87.3 % of 3000 clips correctly says nothing about speakers it has never heard."
    )


def test_leaks_make_a_score_void_even_where_the_split_is_not_called_leaky() -> None:
    assert standing(scores(leaks={"speaker": 0, "source": 2, "duplicate": 0})) == "void"


def test_a_leaky_split_without_counts_is_void_too() -> None:
    assert verdict(scores(leaky=True)).startswith("This score is void: the split ignores which clips belong together;")


@pytest.mark.parametrize("score", [None, float("nan")])
def test_no_score_is_said_as_such(score: float | None) -> None:
    assert verdict(scores(score=score)) == "This run holds no score: no test clip was scored."


def test_missing_interval_and_baseline_are_said() -> None:
    sentence = verdict(scores(interval=None, baseline={}))
    assert "(no interval)" in sentence
    assert sentence.endswith("no baseline was computed.")


@pytest.mark.parametrize(
    ("score", "interval", "text"),
    [
        (0.873, [0.821, 0.91], "87.3 [82.1, 91.0]"),
        (1.0, None, "100.0"),
        (None, None, "–"),
        (0.5, [None, 0.7], "50.0"),
        (0.0, (0.0, 0.004), "0.0 [0.0, 0.4]"),
    ],
)
def test_scores_and_intervals_are_written_in_per_cent(score: Any, interval: Any, text: str) -> None:
    assert format_score(score, interval) == text


def rendered(values: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=140, color_system=None)
    console.print(summary_table(values))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_sets_the_twin_beside_the_honest_score_and_calls_it_void() -> None:
    twin = {"score": 0.985, "interval": [0.979, 0.99], "protocol": "random, 6 folds", "void": True}
    lines = rendered(scores(twin=twin, seeds={"n": 3, "mean": 0.873, "sd": 0.008})).splitlines()
    assert any("this model (honest)" in line and "87.3 [82.1, 91.0]" in line for line in lines)
    assert any("leaky twin (VOID)" in line and "98.5 [97.9, 99.0]" in line for line in lines)
    assert any("mean ± sd" in line and "87.3 ± 0.8" in line for line in lines)
    assert any("most frequent class" in line and "10.0" in line for line in lines)


def test_the_table_marks_a_leaky_run_and_does_without_a_twin() -> None:
    text = rendered(scores(leaky=True))
    assert "this model (VOID: leaky)" in text
    assert "twin" not in text


def test_brackets_in_names_are_text_not_markup() -> None:
    assert "[red]corpus[/red]" in rendered(scores(corpus="[red]corpus[/red]", protocol="[bold]"))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (wording.count(3000), "3000"),
        (wording.count(12_345), "12,345"),
        (wording.many(1, "class"), "1 class"),
        (wording.many(2, "class"), "2 classes"),
        (wording.plural("day"), "days"),
        (wording.plural("city"), "cities"),
        (wording.points(-0.112), "11.2 points"),
        (wording.points(0.01), "1.0 points"),
        (wording.scientific(3.1e-6), "3.1 · 10⁻⁶"),
        (wording.scientific(0.0), "0"),
        (wording.size(812), "812 bytes"),
        (wording.size(94_300), "94 kB"),
        (wording.size(999_700), "1.0 MB"),
        (wording.duration(4.25), "4.2 s"),
        (wording.duration(59.99), "1 min 0 s"),
        (wording.duration(731), "12 min 11 s"),
        (wording.duration(7700), "2 h 8 min"),
        (wording.listing(["a", "b", "c"]), "a, b and c"),
        (wording.percent(True), "–"),
        (wording.typeset("82.1–91.0 and 5 %"), "82.1\u2060–\u206091.0 and 5\u00a0%"),
    ],
)
def test_numbers_are_written_for_people(made: str, expected: str) -> None:
    assert made == expected
