"""The sections of the report about what stands behind the score: audit, files, environment, recipe, command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from earnest.reporting.rundir import RunFiles
from earnest.reporting.sections import Section
from earnest.reporting.spotting import in_streams
from earnest.reporting.verdict import is_void
from earnest.reporting.wording import (
    between,
    count,
    interval_of,
    listing,
    many,
    metric_name,
    number,
    scientific,
    score_text,
    size,
)

ROWS = 100
_KINDS = {"identical": "identical audio", "near": "nearly identical audio"}


def leak_audit(run: RunFiles) -> Section | None:
    """What was compared between training and test, and what was found."""
    audit = run.audit
    if audit is None:
        return None
    leaks = {**(audit.get("leaks") or {})}
    duplicates = [[str(part) for part in pair] for pair in audit.get("duplicates") or ()]
    checks = [
        _group_check("Speakers", int(audit.get("speakers") or 0), "speaker", leaks),
        _group_check("Sources", int(audit.get("sources") or 0), "source", leaks),
        {
            "name": "Audio",
            "what": f"Every clip against every other, for identical and nearly identical audio, over {_clips(audit)}.",
            "shared": leaks.get("duplicate"),
            "found": f"{many(len(duplicates), 'pair')} in the whole table" if duplicates else "no two clips alike",
            "checked": True,
        },
    ]
    data = {
        "checks": checks,
        "clean": not any(leaks.values()),
        "pairs": [(first, second, _KINDS.get(kind, kind)) for first, second, kind in _triples(duplicates)[:ROWS]],
        "hidden": max(0, len(duplicates) - ROWS),
        "rows": [_words(row) for row in (audit.get("rows") or ())[:ROWS]],
        "void": is_void(run.scores or {}),
        "reason": (run.scores or {}).get("allow_leaks"),
    }
    return Section("audit", "Leak audit", "audit.html.j2", data)


def _clips(audit: Mapping[str, Any]) -> str:
    return many(int(audit.get("clips") or 0), "clip")


def _group_check(name: str, groups: int, noun: str, leaks: Mapping[str, Any]) -> dict[str, Any]:
    if groups == 0:
        what = f"Not checked: the table does not say which {noun} a clip comes from."
        return {"name": name, "what": what, "shared": None, "found": "unknown", "checked": False}
    return {
        "name": name,
        "what": f"No {noun} may stand in training and test of the same fold.",
        "shared": leaks.get(noun),
        "found": many(groups, noun),
        "checked": True,
    }


def _triples(pairs: Sequence[Sequence[str]]) -> list[tuple[str, str, str]]:
    return [(pair[0], pair[1], pair[2] if len(pair) > 2 else "") for pair in pairs if len(pair) >= 2]


def _words(row: Any) -> str:
    """One row of the audit as text, whatever its shape."""
    if isinstance(row, Mapping):
        return ", ".join(f"{key}: {_words(value)}" for key, value in row.items())
    if isinstance(row, Sequence) and not isinstance(row, str):
        return ", ".join(_words(part) for part in row)
    return str(row)


def quarantine(run: RunFiles) -> Section | None:
    """The files that were kept out or repaired, with reason and remedy."""
    if not run.quarantine:
        return None
    order = sorted(run.quarantine, key=lambda entry: (entry.get("status") != "rejected", str(entry.get("path"))))
    rejected = sum(entry.get("status") == "rejected" for entry in run.quarantine)
    kinds = [
        *([f"{many(rejected, 'file')} kept out"] if rejected else []),
        *([f"{many(len(order) - rejected, 'file')} repaired"] if len(order) > rejected else []),
    ]
    rows = [{key: entry.get(key) for key in ("path", "status", "reason", "remedy")} for entry in order[:ROWS]]
    data = {"rows": rows, "hidden": max(0, len(order) - ROWS), "summary": listing(kinds)}
    return Section("quarantine", "Files set aside", "quarantine.html.j2", data)


def shipped(run: RunFiles) -> Section | None:
    """The files of the bundle, and how closely they follow the scored model."""
    if run.bundle is None:
        return None
    scored = run.bundle.get("scores") or {}
    files = []
    for name, facts in (run.bundle.get("files") or {}).items():
        own = scored.get(name) or {}
        bounds = interval_of(own.get("interval"))
        files.append(
            {
                "name": name,
                "size": size((facts or {}).get("bytes")),
                "sha256": (facts or {}).get("sha256"),
                "score": score_text(own.get("primary"), own["score"]) if number(own.get("score")) is not None else None,
                "interval": between(own.get("primary"), bounds) if bounds else None,
                "metric": metric_name(own.get("primary")) if own.get("primary") else None,
                "note": own.get("note"),
            }
        )
    measured = [_measured(name, found, run.bundle) for name, found in (run.bundle.get("measured") or {}).items()]
    rate = number(run.bundle.get("sample_rate"))
    window, hop = number(run.bundle.get("window_samples")), number(run.bundle.get("hop_samples"))
    parity = (run.scores or {}).get("parity") or {}
    largest = number(parity.get("largest_difference"))
    data = {
        "files": files,
        "measured": measured,
        "heard": [
            {"name": name, "threshold": f"{point['threshold']:g}", "does": in_streams(point)}
            for name, point in ((run.bundle.get("spotting") or {}).get("files") or {}).items()
        ],
        "parity": _parity(parity) if parity else None,
        "difference": None if largest is None else scientific(largest),
        "rate": f"{rate / 1000:g} kHz" if rate else None,
        "window": f"{window / rate:g} s" if rate and window else None,
        "hop": f"{hop / rate:g} s" if rate and hop else None,
        "licences": [_words(licence) for licence in run.bundle.get("licences") or ()],
        "place": str(run.path / "bundle"),
    }
    return Section("shipped", "Shipped file", "shipped.html.j2", data)


def _measured(name: str, found: Mapping[str, Any], bundle: Mapping[str, Any]) -> dict[str, Any]:
    """One file over the test clips of its fold, beside the scored model."""
    metric = found.get("primary")
    low, high = found["difference_interval"]
    peak, word = number(found.get("peak_mb")), found.get("word")
    return {
        "name": "in a stream" if name == "streamed" else f"{name} ({word} or not)" if word else name,
        "score": score_text(metric, found["score"]),
        "interval": between(metric, (found["interval"][0], found["interval"][1])),
        "difference": f"{100 * found['difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})",
        "same": f"{count(found['same_decisions'])} of {count(found['clips'])}",
        "largest": scientific(found["largest_difference"]),
        "size": size(found["bytes"]),
        "median": f"{found['median_ms']:.2f}",
        "p99": f"{found['p99_ms']:.2f}",
        "memory": None if peak is None else f"{peak:.1f}",
        "falls": None if found["passes"] else f"more than {100 * bundle['gate']:g} points below",
    }


def _parity(parity: Mapping[str, Any]) -> dict[str, Any]:
    """How many clips were compared, and on how many the two models decide differently."""
    clips, same = int(parity.get("clips") or 0), parity.get("same_decisions")
    if isinstance(same, bool):  # a plain yes or no is read as all or at least one
        return {"clips": many(clips, "clip"), "differ": None if same else "some decisions"}
    differ = clips - int(same or 0)
    return {"clips": many(clips, "clip"), "differ": many(differ, "decision") if differ else None}


def environment(run: RunFiles) -> Section | None:
    """Machine, versions and threads the run was made with."""
    if not run.environment:
        return None
    return Section("environment", "Environment", "facts.html.j2", {"rows": list(_flat(run.environment))})


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name} · ")
        elif value is not None:
            yield name, _words(value) if isinstance(value, str | Sequence) else _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return count(value) if isinstance(value, int) else str(value)


def recipe(run: RunFiles) -> Section | None:
    """The resolved recipe, and the command that runs it again."""
    if run.recipe is None:
        return None
    scored = run.scores is not None
    target = f"{run.path.name}-again" if scored else str(run.path)
    members = [str(member["run"]) for member in (run.scores or {}).get("ensemble") or ()]
    verb = f"ensemble {shlex.join(members)}" if members else f"run {shlex.quote(str(run.path / 'recipe.yaml'))}"
    command = f"earnest {verb} --out {shlex.quote(target)}"
    data = {"recipe": run.recipe, "command": command, "scored": scored}
    return Section("recipe", "Recipe and command", "recipe.html.j2", data)
