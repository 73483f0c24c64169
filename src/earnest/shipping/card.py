"""The model card: what the model is, what it scored and how, what it was trained on, and where it ends.

Everything in it comes out of the bundle's manifest; what the manifest does not say, the card does not say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from earnest.reporting.spotting import in_streams
from earnest.reporting.wording import score_text

_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?\s?commercial|research(?: use)? only", re.IGNORECASE)
_METRICS = {
    "accuracy": "accuracy",
    "uar": "UAR (unweighted average recall)",
    "macro_f1": "macro F1",
    "map": "mAP (mean average precision)",
    "auc": "AUC",
    "micro_f1": "micro F1",
    "ccc": "CCC (concordance correlation)",
    "pearson": "Pearson correlation",
}
_GIVES = {  # what a recording gets, by the kind of outputs
    "classes": "Gives a recording one of {count} labels: {labels}.",
    "tags": "Gives a recording any number of {count} labels: {labels}.",
    "values": "Gives a recording a number for each of: {labels}; in the unit of its training data.",
}
_READS = {"classes": "label", "tags": "labels", "values": "scores"}  # what to print of a prediction
_LIMITS = {
    "classes": "It always answers with one of its labels, also when a recording holds none of them or several.",
    "tags": "It gives a label from its threshold on (0.5 unless `bundle.json` says otherwise), and knows no others.",
    "values": "It answers with numbers whatever the recording holds, and rarely leaves the range it was trained on.",
}


def model_card(manifest: Mapping[str, Any]) -> str:
    """A model card in Markdown with the front matter that model hubs read.

    Parameters
    ----------
    manifest : the content of `bundle.json`; `files` may still lack the card itself.

    Returns
    -------
    The text of the card.
    """
    parts = [
        _front_matter(manifest),
        f"# {manifest['name'] or 'Sound classifier'}",
        _what_it_is(manifest),
        _how_to_use(manifest),
        _scores(manifest),
        *([_measured(manifest)] if manifest.get("measured") else []),
        *([_in_streams(manifest["spotting"])] if (manifest.get("spotting") or {}).get("fold") else []),
        _data(manifest["licences"]),
        _limits(manifest),
        _provenance(manifest),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def is_non_commercial(licence: Mapping[str, Any]) -> bool:
    """Whether a corpus's licence forbids commercial use, as far as its name tells."""
    return bool(_NON_COMMERCIAL.search(str(licence.get("licence", ""))))


def _front_matter(manifest: Mapping[str, Any]) -> str:
    """YAML for model hubs. No licence is claimed for the model: that is for its publisher to choose."""
    values: dict[str, Any] = {
        "library_name": "earnest",
        "pipeline_tag": "audio-classification",
        "tags": ["earnest", "onnx", "audio"],
    }
    if any(is_non_commercial(licence) for licence in manifest["licences"]):
        values["tags"].append("non-commercial-data")
    corpora = [str(licence["corpus"]) for licence in manifest["licences"] if licence.get("corpus")]
    if corpora:
        values["datasets"] = corpora
    results = [_result(score, corpora) for score in manifest["scores"].values() if corpora and _is_number(score)]
    if results:
        values["model-index"] = [{"name": manifest["name"], "results": results}]
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---"


def _is_number(score: Mapping[str, Any]) -> bool:
    """A score to publish: there is one, and it is not void."""
    return isinstance(score.get("score"), int | float) and not score.get("void")


def _result(score: Mapping[str, Any], corpora: Sequence[str]) -> dict[str, Any]:
    corpus = " + ".join(corpora)
    metric = {"type": score.get("primary", "score"), "value": score["score"], "name": score.get("protocol", "")}
    return {
        "task": {"type": "audio-classification"},
        "dataset": {"name": corpus, "type": corpus},
        "metrics": [{key: value for key, value in metric.items() if value != ""}],
    }


def _what_it_is(manifest: Mapping[str, Any]) -> str:
    labels = ", ".join(_code(label) for label in manifest["labels"])
    gives = _GIVES[manifest.get("kind", "classes")].format(count=len(manifest["labels"]), labels=labels)
    rate, window = manifest["sample_rate"], manifest["window_samples"]
    front = manifest["frontend"].get("name")
    inside = f" Its front end ({_code(front)}) is inside the model file: it takes raw audio." if front else ""
    return (
        f"{gives}\n\n"
        f"It takes mono audio at {rate} Hz in windows of {window / rate:.3g} s.{inside} "
        f"Made with Earnest {manifest['earnest']}."
    )


def _how_to_use(manifest: Mapping[str, Any]) -> str:
    rate, reads = manifest["sample_rate"], _READS[manifest.get("kind", "classes")]
    return f"""## Use it

With `pip install earnest` (PyTorch is not needed), from Python:

```python
from earnest import Predictor
predictor = Predictor("path/of/this/folder")
print(predictor.predict("recording.wav").{reads})
```

or on the command line, for files and for what is being heard now:

```sh
earnest predict path/of/this/folder recording.wav
earnest listen path/of/this/folder
```

Any ONNX runtime can run `model.onnx` by itself: `audio` float32 [batch, samples] at {rate} Hz, full scale ±1, gives
`scores` float32 [batch, labels], in the order of `labels` in `bundle.json`."""


def _scores(manifest: Mapping[str, Any]) -> str:
    lines = ["## Scores", ""]
    if not manifest["scores"]:
        return "\n".join([*lines, "No score was measured for the files in this bundle."])
    lines += ["| file | metric | score | interval | clips | protocol |", "| --- | --- | --- | --- | --- | --- |"]
    notes: list[str] = []
    for file, score in manifest["scores"].items():
        lines.append(_row(_code(file), score))
        overall = score.get("all_folds")
        if isinstance(overall, Mapping) and overall.get("n_clips") != score.get("n_clips"):
            lines.append(_row("its recipe, all folds", {"primary": score.get("primary"), **overall}))
        notes += [f"{_code(file)}: {sentence}" for sentence in _remarks(score)]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]).rstrip()


def _measured(manifest: Mapping[str, Any]) -> str:
    """Every file over the same test clips, beside the scored model."""
    lines = [
        "## Every file on the same test clips",
        "",
        "| file | score | interval | beside the scored model | same answers | size | one second takes |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for file, found in manifest["measured"].items():
        metric = str(found["primary"])
        low, high = found["difference_interval"]
        name = "`model.onnx` in pieces of 100 ms" if file == "streamed" else _code(file)
        name += f" ({_code(found['word'])} or not)" if found.get("word") else ""
        cells = [
            name + ("" if found["passes"] else f" **more than {100 * manifest['gate']:g} points below**"),
            score_text(metric, found["score"]),
            _interval(metric, found["interval"]),
            f"{100 * found['difference']:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})",
            f"{found['same_decisions']:,} of {found['clips']:,}",
            f"{found['bytes'] / 1024:,.0f} KB",
            f"{found['median_ms']:.2f} ms (p99 {found['p99_ms']:.2f})",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _in_streams(spotting: Mapping[str, Any]) -> str:
    """What the files miss, and hear that is not there, at thresholds that validation streams chose."""
    words = ", ".join(_code(word) for word in spotting["words"])
    lines = [
        "## In streams",
        "",
        f"Listening for {words} in streams of recordings that it has not heard; thresholds are those at which other "
        f"streams gave no more false alarms per hour than {spotting['wanted_per_hour']:g}:",
        "",
        f"- its recipe, over all folds, {in_streams(spotting['point'])}.",
    ]
    for file, point in (spotting.get("files") or {}).items():
        lines.append(
            f"- {_code(file)}, which hears streams in its own way, at {point['threshold']:g} {in_streams(point)}."
        )
    return "\n".join(lines)


def _row(what: str, score: Mapping[str, Any]) -> str:
    metric = str(score.get("primary") or "–")
    cells = [
        what,
        _METRICS.get(metric, metric),
        score_text(metric, score.get("score")) + (" (void)" if score.get("void") else ""),
        _interval(metric, score.get("interval")),
        _clips(score),
        str(score.get("protocol") or "not stated"),
    ]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _remarks(score: Mapping[str, Any]) -> list[str]:
    """What belongs beside the number: the baseline, how the interval was made, and the run's own note."""
    found = []
    baseline = score.get("baseline")
    if isinstance(baseline, Mapping) and baseline:
        metric = score.get("primary")
        given = ", ".join(f"{name} {score_text(metric, value)}" for name, value in baseline.items())
        found.append(f"baselines: {given}.")
    if score.get("level", "clip") != "clip":
        unit = score["level"]
        found.append(
            f"scored by {unit}: all clips of one {unit} together make one answer, and the count above is of {unit}s. "
            "What it says of a single recording was not scored."
        )
    for key in ("interval_method", "note"):
        text = score.get(key)
        if text:
            found.append(f"{str(text).rstrip('.')}.")
    return found


def _clips(score: Mapping[str, Any]) -> str:
    clips = score.get("n_clips")
    if not isinstance(clips, int):
        return "–"
    groups, group = score.get("n_groups"), score.get("group")
    return f"{clips:,} ({groups:,} by {group})" if isinstance(groups, int) and group else f"{clips:,}"


def _interval(metric: str, interval: Any) -> str:
    if not isinstance(interval, Sequence) or len(interval) != 2:
        return "–"
    return f"{score_text(metric, interval[0])} to {score_text(metric, interval[1])}"


def _data(licences: Sequence[Mapping[str, Any]]) -> str:
    lines = ["## Training data and its licences", ""]
    if not licences:
        return "\n".join([*lines, "Nothing is stated about the licence of the training data."])
    for licence in licences:
        title = licence.get("title") or licence.get("corpus") or "unnamed corpus"
        home = f" ({licence['home']})" if licence.get("home") else ""
        line = f"- **{title}**{home}. Licence: {licence.get('licence') or 'not stated'}."
        if licence.get("citation"):
            line += f" {' '.join(str(licence['citation']).split())}"
        lines.append(line)
    if any(is_non_commercial(licence) for licence in licences):
        lines += [
            "",
            "**Part of the training data may be used for non-commercial purposes only.** "
            "Clear the rights before using this model commercially.",
        ]
    return "\n".join(lines)


def _limits(manifest: Mapping[str, Any]) -> str:
    rate, window, shortest = manifest["sample_rate"], manifest["window_samples"], manifest["min_samples"]
    short = (
        f"Recordings shorter than {window / rate:.3g} s are padded with silence."
        if manifest["short"] == "pad"
        else f"Recordings shorter than {shortest / rate:.3g} s are padded with silence."
    )
    return f"""## Limits

- {_LIMITS[manifest.get("kind", "classes")]}
- The score holds for recordings like those it was measured on, under the protocol named above. Other speakers,
  rooms, microphones and languages were not measured unless the protocol says so.
- Longer recordings are covered by windows whose scores are averaged: a short sound in a long recording counts
  for little.
- {short} Nothing above {rate // 2} Hz reaches the model."""


def _provenance(manifest: Mapping[str, Any]) -> str:
    lines = [
        "## Provenance",
        "",
        f"- Recipe SHA-256: {_code(manifest['recipe_hash'] or 'not stated')}",
        f"- Clip table SHA-256: {_code(manifest['data_hash'] or 'not stated')}",
    ]
    lines += [f"- {_code(name)} SHA-256: {_code(entry['sha256'])}" for name, entry in manifest["files"].items()]
    return "\n".join(lines)


def _code(text: Any) -> str:
    """Text as Markdown code, whatever backticks and line ends it holds."""
    plain = " ".join(str(text).split())
    return f"`` {plain} ``" if "`" in plain else f"`{plain}`"
