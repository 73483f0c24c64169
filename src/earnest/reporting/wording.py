"""How numbers and counts are written for people: the same in the report, on the terminal and in the verdict."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

METRIC_NAMES: Mapping[str, str] = {
    "accuracy": "accuracy",
    "uar": "unweighted average recall (UAR)",
    "macro_f1": "macro F1",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "map": "mean average precision (mAP)",
    "auc": "area under the ROC curve (AUC)",
    "micro_f1": "micro F1",
    "ccc": "concordance correlation (CCC)",
    "pearson": "Pearson correlation",
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
}
PLAIN_METRICS = frozenset({"ccc", "pearson", "rmse", "mae", "log_loss"})  # never written in per cent
GUESSES: Mapping[str, tuple[str, str]] = {  # a baseline's name, and what one does to get it
    "majority": ("Most frequent class", "always guessing the most frequent class"),
    "prevalence": ("Prevalence", "always answering each tag's share of the clips"),
    "mean": ("Mean", "always answering the mean of the training rows"),
    "chance": ("Chance", "guessing at random"),
}

DASH = "–"


def number(value: Any) -> float | None:
    """A finite float, or None for anything that is missing, not a number, or infinite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def interval_of(value: Any) -> tuple[float, float] | None:
    """A pair of finite bounds, or None where an interval is missing."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return None if low is None or high is None else (low, high)


def percent(value: Any, digits: int = 1) -> str:
    """A proportion from 0 to 1 as `87.3 %`; a dash where it is missing."""
    share = number(value)
    return DASH if share is None else f"{100 * share:.{digits}f} %"


def hundredths(value: Any, digits: int = 1) -> str:
    """A proportion from 0 to 1 as `87.3`, for columns whose heading carries the per cent sign."""
    share = number(value)
    return DASH if share is None else f"{100 * share:.{digits}f}"


def score_text(metric: Any, value: Any) -> str:
    """A score in its own manner: proportions as `87.3 %`, correlations and errors as `0.634`."""
    return percent(value) if str(metric) not in PLAIN_METRICS else score_bare(metric, value)


def score_bare(metric: Any, value: Any) -> str:
    """A score without its per cent sign: `87.3` or `0.634`."""
    if str(metric) not in PLAIN_METRICS:
        return hundredths(value)
    found = number(value)
    return DASH if found is None else f"{found:.3f}"


def between(metric: Any, bounds: tuple[float, float]) -> str:
    """An interval of a score as `82.1–91.0`, or `0.412 to 0.634` of what may be negative."""
    low, high = (score_bare(metric, bound) for bound in bounds)
    return f"{low} to {high}" if str(metric) in PLAIN_METRICS else f"{low}–{high}"


def points(difference: float) -> str:
    """A difference of two proportions as `11.2 points`, without its sign."""
    return f"{abs(100 * difference):.1f} points"


def score_points(metric: Any, difference: float) -> str:
    """A difference of two scores without its sign: `11.2 points`, or `0.112` of what is not in per cent."""
    return points(difference) if str(metric) not in PLAIN_METRICS else f"{abs(difference):.3f}"


def count(value: int) -> str:
    """A count as `3000` or `12,345`: separators from five digits on."""
    return f"{value:,}" if abs(value) >= 10_000 else str(value)


def plural(name: str) -> str:
    """The English plural of a group's name: speaker → speakers, city → cities, class → classes."""
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}s"


def many(value: int, name: str) -> str:
    """A count with its noun: `1 speaker`, `6 speakers`."""
    return f"{count(value)} {name if value == 1 else plural(name)}"


def listing(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def metric_name(primary: Any) -> str:
    """The spoken name of a metric's key."""
    return METRIC_NAMES.get(str(primary), str(primary).replace("_", " "))


def scientific(value: float) -> str:
    """A small number as `3.1 · 10⁻⁶`; zero as `0`."""
    if value == 0:
        return "0"
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits} · 10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def typeset(text: str) -> str:
    """A sentence whose per cent signs and ranges are not torn apart at the end of a line."""
    return re.sub(r"(?<=\d)–(?=\d)", "\u2060–\u2060", text.replace(" %", "\u00a0%"))


def size(value: Any) -> str:
    """A file size in bytes as `812 bytes`, `94 kB` or `5.6 MB` (powers of ten)."""
    amount = number(value)
    if amount is None:
        return DASH
    if amount < 1000:
        return f"{amount:.0f} bytes"
    return f"{amount / 1000:.0f} kB" if amount < 999_500 else f"{amount / 1e6:.1f} MB"


def duration(seconds: Any) -> str:
    """A stretch of time as `48 s`, `12 min 5 s` or `2 h 8 min`."""
    amount = number(seconds)
    if amount is None:
        return DASH
    if amount < 59.5:
        return f"{amount:.1f} s" if amount < 10 else f"{amount:.0f} s"
    minutes, rest = divmod(round(amount), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
