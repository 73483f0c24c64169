"""The sections of the report that show sound: mel per class, and what the models looked at in a few clips.

Their pictures lie in `insight/` of the run directory; here they are only coloured.
"""

from __future__ import annotations

import json
import zipfile
from typing import Any

import numpy as np
from markupsafe import Markup

from earnest.errors import DataError
from earnest.reporting import png, svg
from earnest.reporting.rundir import RunFiles
from earnest.reporting.sections import Section
from earnest.reporting.sounds import Sounds
from earnest.reporting.wording import listing, many, plural, points

DIFFERENCE_DB = 12.0
TICKS_HZ = (100, 300, 1000, 3000, 10_000)


def stored(run: RunFiles, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Facts and arrays of a file in the run's `insight/`; None where the run has none.

    Raises
    ------
    DataError : the file is damaged.
    """
    path = run.path / "insight" / name
    if not path.is_file():
        return None
    try:
        if path.suffix == ".json":
            return json.loads(path.read_text(encoding="utf-8")), {}
        with np.load(path) as found:
            return json.loads(str(found["facts"])), {key: found[key] for key in found.files if key != "facts"}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        raise DataError(f"{path} is damaged: {problem}.", f"Delete it: the report then leaves {name} out.") from problem


def mel(run: RunFiles, sounds: Sounds) -> Section | None:
    """Every class as a picture: mean, three clips from its middle, difference from neutral."""
    found = stored(run, "mel.npz")
    if found is None:
        return None
    facts, arrays = found
    classes, noun = facts["classes"], _noun(facts)
    _hear([one["medoids"] for one in classes], sounds)
    rows, place = [], 0
    for number, one in enumerate(classes):
        medoids = arrays["medoids"][place : place + len(one["medoids"])]
        place += len(medoids)
        rows.append(
            {
                "label": one["label"],
                "count": many(one["clips"], "clip") + (f" of {one['of']}" if one["of"] > one["clips"] else ""),
                "groups": many(one["groups"], noun) if one["groups"] and noun else None,
                "mean": _loudness(arrays["means"][number], facts["range_db"]),
                "medoids": [
                    {"clip": clip, "picture": _loudness(picture, facts["range_db"])}
                    for clip, picture in zip(one["medoids"], medoids, strict=True)
                ],
                "difference": None
                if one["label"] == facts["neutral"]
                else png.picture(
                    _upright(arrays["differences"][number]), -DIFFERENCE_DB, DIFFERENCE_DB, png.DIFFERENCE
                ),
                "band": band_energy(facts, arrays, number),
            }
        )
    data = {
        "rows": rows,
        "hidden": facts["hidden"],
        "from": f"“{facts['neutral']}”" if facts["neutral"] else "the mean of all classes",
        "range": f"{facts['range_db']:g}",
        "difference": f"{DIFFERENCE_DB:g}",
        "frames": facts["frames"],
        "bands": many(len(facts["centres_hz"]), "mel band"),
        "hz": f"{facts['centres_hz'][0]:.0f} to {facts['centres_hz'][-1]:.0f} Hz",
        "nouns": plural(noun) if noun else None,
        "loudness": _bar(png.LOUDNESS),
        "colours": _bar(png.DIFFERENCE),
    }
    return Section("mel", "Mel per emotion" if facts["neutral"] else "Mel per class", "mel.html.j2", data)


def _noun(facts: dict[str, Any]) -> str | None:
    return "recording" if facts.get("group") == "source" else facts.get("group")


def _hear(medoids: list[list[str]], sounds: Sounds) -> None:
    """Play the classes' first medoids, then the second and third ones."""
    for turn in range(max(map(len, medoids))):
        sounds.want([clips[turn] for clips in medoids if turn < len(clips)])


def _upright(picture: np.ndarray) -> np.ndarray:
    """(frames, bands) → rows for the eye: high bands on top, time to the right."""
    return picture.T[::-1]


def _loudness(picture: np.ndarray, range_db: float) -> str:
    return png.picture(_upright(picture), -range_db, 0.0, png.LOUDNESS)


def _bar(colours: png.Palette) -> str:
    """A palette as a picture one row high."""
    return png.picture(np.arange(len(colours))[None], 0, len(colours) - 1, colours)


def band_energy(facts: dict[str, Any], arrays: dict[str, np.ndarray], number: int) -> Markup:
    """One class's mean energy in every band with its interval, over that of the reference (dashed)."""
    width, height, left, bottom = 300.0, 168.0, 38.0, 142.0
    centres, one = facts["centres_hz"], facts["classes"][number]
    shown = arrays["band"].astype(float)
    floor = max(float(arrays["low"].min()), float(shown.min()) - 6)
    top = min(float(arrays["high"].max()), float(shown.max()) + 6)
    across, up = svg.Scale(0, len(centres) - 1, left, width - 10), svg.Scale(floor, top, bottom, 12)
    parts = []
    for tick in svg.ticks(floor, top, 4):
        parts.append(svg.line(left, up(tick), width - 10, up(tick), "grid"))
        parts.append(svg.text(left - 7, up(tick) + 4, f"{tick:g}".replace("-", "−"), "tick", "end"))
    for hz in TICKS_HZ:
        if centres[0] <= hz <= centres[-1]:
            x = across(float(np.interp(hz, centres, np.arange(len(centres)))))
            parts.append(svg.text(x, bottom + 17, f"{hz / 1000:g}k" if hz >= 1000 else str(hz), "tick", "middle"))
    low, high = ([(across(n), up(float(v))) for n, v in enumerate(arrays[name][number])] for name in ("low", "high"))
    parts.append(svg.polygon([*high, *reversed(low)], "ribbon"))
    base = reference_energy(facts, arrays)
    parts.append(svg.path(((across(n), up(float(v))) for n, v in enumerate(base)), "curve reference-curve"))
    parts.append(svg.path(((across(n), up(float(v))) for n, v in enumerate(shown[number])), "curve train"))
    label = f"Mean energy of {one['label']} in {len(centres)} mel bands, in dB, with 95 % intervals"
    return svg.picture(width, height, label, *parts)


def reference_energy(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The energy in every band that classes are compared with: that of neutral, or the mean of all classes."""
    names, shown = [entry["label"] for entry in facts["classes"]], arrays["band"].astype(float)
    energy: np.ndarray = shown[names.index(facts["neutral"])] if facts["neutral"] else shown.mean(0)
    return energy


def saliency(run: RunFiles, sounds: Sounds) -> Section | None:
    """What the models looked at in their surest wrong and right answers."""
    found = stored(run, "saliency.npz")
    if found is None:
        return None
    facts, arrays = found
    cards = []
    for number, clip in enumerate(facts["clips"]):
        shape = arrays[f"features_{number}"].shape
        sounds.want([clip["id"]])
        if clip.get("start_s") is not None:  # older runs do not tell where in the clip the window lies
            sounds.lanes.setdefault(clip["id"], []).append(_lane(clip, arrays, number))
        features = png.picture(_upright(arrays[f"features_{number}"]), 0, 255, png.GREY)
        gradient = png.picture(_upright(arrays[f"gradient_{number}"]), 0, 255, png.HEAT)
        most = max(float(clip["drop"]), 1e-9)
        occlusion = png.picture(_upright(np.maximum(arrays[f"occlusion_{number}"], 0)), 0, most, png.HEAT)
        cards.append(
            {
                "clip": clip,
                "wrong": clip["label"] != clip["answer"],
                "pictures": [
                    ("gradient", _layers(features, gradient, f"Gradient over the features of {clip['id']}")),
                    ("occlusion", _layers(features, occlusion, f"Occlusion over the features of {clip['id']}")),
                ],
                "drop": points(clip["drop"]) if clip["drop"] > 0 else None,
                "size": f"{shape[0]} frames × {shape[1]} values",
            }
        )
    kinds = [
        many(sum(card["wrong"] is wrong for card in cards), f"{name} answer")
        for wrong, name in ((True, "wrong"), (False, "right"))
        if any(card["wrong"] is wrong for card in cards)
    ]
    data = {"cards": cards, "what": listing(kinds)}
    return Section("saliency", "What the model looked at", "saliency.html.j2", data)


def _lane(clip: dict[str, Any], arrays: dict[str, np.ndarray], number: int) -> dict[str, Any]:
    """What the answer hangs on over time, the strongest of each moment: gradient and occlusion, each from 0 to 1."""
    seconds, start = float(clip["seconds"]), float(clip["start_s"])
    gradient = arrays[f"gradient_{number}"].astype(float).max(axis=1)
    drop = np.maximum(arrays[f"occlusion_{number}"].astype(float), 0).max(axis=1)
    times = (np.arange(len(gradient)) + 0.5) * seconds / len(gradient)  # from the beginning of the window
    coarse = np.interp(times, (np.arange(len(drop)) + 0.5) * seconds / len(drop), drop)
    inside = start + times >= 0
    curves = [values[inside] / max(float(values.max()), 1e-9) for values in (gradient, coarse)]
    return {
        "name": "What it looked at",
        "kind": "scores",
        "times_s": (start + times[inside]).round(3).tolist(),
        "labels": ["gradient", "occlusion"],
        "values": [values.round(2).tolist() for values in curves],
    }


def _layers(under: str, over: str, label: str) -> Markup:
    """A picture with another on it, both stretched over the same frame."""
    layers = [
        svg.element("image", href=source, width=240, height=96, preserveAspectRatio="none", class_="pixels")
        for source in (under, over)
    ]
    return svg.picture(240, 96, label, *layers, class_="layers")
