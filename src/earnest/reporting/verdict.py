"""A run's result in one sentence that nobody can misread.

The sentence names on what kind of recordings the score holds, the score with its interval and what was resampled for
it, and what guessing gives. It says so when the score is void (training and test share something) and when it does not
beat guessing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from earnest.reporting.wording import (
    GUESSES,
    between,
    count,
    interval_of,
    listing,
    many,
    metric_name,
    number,
    plural,
    score_text,
)

Standing = Literal["honest", "unproven", "void", "unscored"]

_LEAK_NOUNS = {"speaker": "speaker", "source": "source recording", "duplicate": "duplicated clip"}


def verdict(scores: Mapping[str, Any]) -> str:
    """Say a run's result in one sentence.

    Parameters
    ----------
    scores : the content of a run's `scores.json`.

    Returns
    -------
    One English sentence without markup, such as "On speakers it has never heard, this model labels 87.3 % of 3000
    clips correctly (95 % interval 82.1–91.0 by resampling 6 speakers); always guessing the most frequent class gives
    10.0 %."
    """
    how = standing(scores)
    if how == "unscored":
        return "This run holds no score: no test clip was scored."
    if how == "void":
        return _void(scores)
    opening = f"{_where(scores)}, this model {_does(scores)} ({_uncertainty(scores)})"
    return f"{opening}; {_against_guessing(scores)}"


def standing(scores: Mapping[str, Any]) -> Standing:
    """Whether a score is honest, unproven (does not beat guessing), void (leaky), or not there at all."""
    score = number(scores.get("score"))
    if score is None:
        return "unscored"
    if is_void(scores):
        return "void"
    guess, _ = best_guess(scores)
    interval = interval_of(scores.get("interval"))
    low = interval[0] if interval else score
    return "unproven" if guess is not None and min(low, score) <= guess else "honest"


def is_void(scores: Mapping[str, Any]) -> bool:
    """Whether training and test share something, so that the score says nothing about new recordings."""
    leaks = scores.get("leaks") or {}
    return bool(scores.get("leaky") or scores.get("void") or any(leaks.values()))


def best_guess(scores: Mapping[str, Any]) -> tuple[float | None, str]:
    """The best of the trivial baselines, and what one does to get it."""
    baseline = scores.get("baseline") or {}
    found = [(value, how) for key, (_, how) in GUESSES.items() if (value := number(baseline.get(key))) is not None]
    return max(found, key=lambda guess: guess[0], default=(None, GUESSES["chance"][1]))


def group_noun(scores: Mapping[str, Any]) -> str | None:
    """What the clips are grouped by, as a noun (`speaker`, `recording`, …), or None where no group is known."""
    group = str(scores.get("group") or "").lower()
    if "speaker" in group:
        return "speaker"
    if group in ("", "none", "clip", "clips", "id", "row"):
        return None
    return "recording" if "source" in group else group.replace("_", " ")


def unheard(scores: Mapping[str, Any]) -> str:
    """What an honest score speaks about: `speakers it has never heard`, or clips where no group is known."""
    noun = group_noun(scores)
    if scores.get("transductive"):
        return "clips it has heard without their labels"
    return f"{plural(noun)} it has never heard" if noun and not _alone(scores) else "clips it was not trained on"


def _alone(scores: Mapping[str, Any]) -> bool:
    """Whether all test clips are of one group, so that nothing is known about others."""
    return scores.get("n_groups") == 1


def _where(scores: Mapping[str, Any]) -> str:
    place, noun = f"On {unheard(scores)}", group_noun(scores)
    if noun is None:
        return f"{place} (whose speakers and sources are not known)"
    return f"{place} (all of one {noun})" if _alone(scores) else place


def _does(scores: Mapping[str, Any]) -> str:
    """What the model does how well, in the words of the primary metric."""
    clips, classes = int(scores.get("n_units") or scores.get("n_clips") or 0), len(scores.get("labels") or ())
    unit = str(scores.get("level", "clip"))
    primary = scores.get("primary", "accuracy")
    score = score_text(primary, scores.get("score"))
    noun = {"tags": "tag", "values": "dimension"}.get(str(scores.get("kind")), "class")
    over = f" over {many(classes, noun)}" if classes else ""
    if primary == "accuracy":
        return f"labels {score} of {many(clips, unit)} correctly"
    if primary == "uar":
        return f"recognises {score} of a class's {plural(unit)} on average{over} and {many(clips, unit)}"
    name = metric_name(primary)
    return f"reaches {'an' if name[0] in 'aeiou' else 'a'} {name} of {score}{over} and {many(clips, unit)}"


def _uncertainty(scores: Mapping[str, Any]) -> str:
    """The interval and what it rests on, or why there is none."""
    interval = interval_of(scores.get("interval"))
    runs = int((scores.get("seeds") or {}).get("n") or 1)
    mean = f"mean of {count(runs)} seeds; " if runs > 1 else ""
    if interval is None:
        return f"{mean}no interval"
    return f"{mean}95 % interval {between(scores.get('primary'), interval)}{_basis(scores)}"


def _basis(scores: Mapping[str, Any]) -> str:
    """What the interval was made from; single clips and exact bounds are called by their name."""
    method = str(scores.get("interval_method") or "").lower()
    if "binomial" in method:
        return " from an exact bound over clips"
    if "single clips" in method:
        return " by resampling single clips"
    noun, groups = group_noun(scores) or "clip", int(scores.get("n_groups") or 0)
    return f" by resampling {many(groups, noun)}" if groups > 1 else ""


def _against_guessing(scores: Mapping[str, Any]) -> str:
    guess, how = best_guess(scores)
    score = number(scores.get("score"))
    if guess is None or score is None:
        return "no baseline was computed."
    gives = score_text(scores.get("primary"), guess)
    if standing(scores) == "honest":
        return f"{how} gives {gives}."
    if score <= guess:
        return f"that is no better than {how}, which gives {gives}."
    return f"the interval reaches down to what {how} gives ({gives}), so this does not show that it has learned."


def _void(scores: Mapping[str, Any]) -> str:
    leaks = scores.get("leaks") or {}
    shared = [many(int(leaks[key]), noun) for key, noun in _LEAK_NOUNS.items() if leaks.get(key)]
    other = [many(int(n), key) for key, n in leaks.items() if n and key not in _LEAK_NOUNS]
    what = listing([*shared, *other])
    cause = f"training and test share {what}" if what else "the split ignores which clips belong together"
    reason = scores.get("allow_leaks")
    allowed = f" (allowed by the recipe: “{reason}”)" if isinstance(reason, str) and reason else ""
    means = f"that this model {_does(scores)} says nothing about {unheard(scores)}"
    return f"This score is void: {cause}{allowed}; {means}."
