"""The report of a run: one self-contained HTML file that opens anywhere and asks nothing of the network.

Everything in it is read from the run directory. A content security policy inside the page forbids every request, and
allows no script but the page's own, so that nothing in a label or a file name can do harm.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earnest.errors import MissingExtra
from earnest.files import atomic_write_text

if TYPE_CHECKING:
    from jinja2 import Environment

    from earnest.reporting.rundir import RunFiles
    from earnest.reporting.sections import Section
    from earnest.reporting.sounds import Sounds

PAGE_BYTES = 4_900_000  # the whole page, so that it can be mailed
CLIP_BYTES = 200  # what is said about a named clip, at most
MARK = "<!-- sounds -->"


def write_report(run: Path) -> Path:
    """Write `report.html` into a run directory.

    Parameters
    ----------
    run : a run directory; what is missing in it (a twin, a bundle, the scores of a run that was interrupted) is left
        out of the report.

    Returns
    -------
    The path of the report.

    Raises
    ------
    DataError : the folder is not a run directory, or a file in it is damaged.
    MissingExtra : polars or jinja2 is not installed.
    StorageError : the report cannot be written.
    """
    try:
        from earnest.reporting.rundir import read_run

        content = render(read_run(Path(run)))
    except ModuleNotFoundError as problem:
        if (problem.name or "").startswith("earnest"):
            raise
        raise MissingExtra(problem.name or "jinja2", "lab", "Writing a report") from problem
    target = Path(run) / "report.html"
    atomic_write_text(target, content)
    return target


def render(run: RunFiles) -> str:
    """The report of a run as one HTML page."""
    from earnest.reporting.sounds import Sounds

    sounds = Sounds(run.table)
    return page(_head(run), _sections(run, sounds), sounds)


def page(head: Mapping[str, Any], sections: Sequence[Section | None], sounds: Sounds | None = None) -> str:
    """A whole page from its head, those of its sections that are there, and what they play."""
    from markupsafe import Markup

    from earnest.reporting import player

    templates = _templates()
    style, script = f"{player.look()}\n{_file(templates, 'style.css')}", _file(templates, "page.js")
    if sounds is not None:
        style, script = f"{style}\n{player.style()}", f"{player.script()}\n{script}"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    written: str = templates.get_template("report.html.j2").render(
        head=head,
        sections=[section for section in sections if section is not None],
        style=Markup(style),
        script=Markup(script),
        script_hash=digest,
        sounds=Markup(MARK),
    )
    if sounds is None:
        return written.replace(MARK, "")
    return written.replace(MARK, _sounds(templates, sounds, PAGE_BYTES - len(written.encode())))


def _sounds(templates: Environment, sounds: Sounds, room_bytes: int) -> str:
    """The clips of the page and what is said about them, in no more bytes than there is room for."""
    names = sum(len(clip) + CLIP_BYTES for clip in sounds.named())
    filled = sounds.fill(room_bytes - names)
    about = {
        clip: {**sounds.facts.get(clip, {}), "s": round(player.seconds, 3), "lanes": sounds.lanes.get(clip, [])}
        for clip, player in filled
    }
    silent = {clip: facts for clip, facts in sounds.facts.items() if clip not in about}
    made: str = templates.get_template("sounds.html.j2").render(clips=filled, about={**about, **silent})
    return made


def _sections(run: RunFiles, sounds: Sounds) -> list[Section | None]:
    """All sections in the order of the page; those that play ask for their clips in the order of their need."""
    from earnest.reporting import (
        activity,
        by_level,
        details,
        evidence,
        insights,
        listening,
        outputs,
        pictures,
        sections,
        spotting,
    )
    from earnest.reporting.inside import inside
    from earnest.reporting.tally import at_level

    run = at_level(run)
    found = activity.activity(run, sounds)
    mistakes, mel = listening.mistakes(run, sounds), pictures.mel(run, sounds)
    saliency, confusions = pictures.saliency(run, sounds), details.confusions(run, sounds)
    values, embedding = outputs.values(run, sounds), insights.embedding_map(run, sounds)
    listening.describe(run, sounds)
    return [
        sections.summary(run),
        by_level.by_level(run),
        sections.classes(run),
        sections.folds(run),
        insights.precisions(run),
        sections.learning(run),
        confusions,
        details.groups(run),
        insights.conditions(run),
        spotting.spotting(run),
        found,
        outputs.rates(run),
        outputs.trade_off(run),
        outputs.tags(run),
        values,
        outputs.errors(run),
        details.calibration(run),
        mel,
        embedding,
        evidence.leak_audit(run),
        mistakes,
        saliency,
        evidence.quarantine(run),
        evidence.shipped(run),
        inside(run),
        evidence.environment(run),
        evidence.recipe(run),
    ]


def _head(run: RunFiles) -> dict[str, Any]:
    """Title, verdict and the key figures under it."""
    from earnest.reporting.verdict import group_noun, standing, verdict
    from earnest.reporting.wording import count, duration, many, plural

    scores: Mapping[str, Any] = run.scores or {}
    noun = group_noun(scores)
    nouns = {"tags": "tags", "values": "dimensions"}.get(str(scores.get("kind")), "classes")
    facts = [
        ("task", scores.get("task")),
        ("clips", count(int(scores["n_clips"])) if scores.get("n_clips") else None),
        (plural(noun), count(int(scores["n_groups"])) if scores.get("n_groups") else None)
        if noun
        else ("groups", None),
        (nouns, len(scores.get("labels") or ()) or None),
        ("folds", len({str(fold.get("name")) for fold in scores.get("folds") or ()}) or None),
        ("parameters", count(int(scores["parameters"])) if scores.get("parameters") else None),
        ("time", duration(scores["seconds"]) if scores.get("seconds") else None),
    ]
    epochs = f" after {many(len(run.log), 'logged epoch')}" if run.log else ""
    unfinished = f"This run is not finished: it stopped{epochs} and has no score yet."
    return {
        "name": scores.get("name") or run.path.resolve().name,
        "corpus": scores.get("corpus"),
        "protocol": scores.get("protocol"),
        "verdict": verdict(scores) if run.scores else unfinished,
        "standing": standing(scores) if run.scores else "unfinished",
        "facts": [(name, value) for name, value in facts if value is not None],
    }


def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from earnest.reporting.wording import percent, points, typeset

    templates = Environment(
        loader=PackageLoader("earnest.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(percent=percent, points=points, typeset=typeset)
    return templates


def _file(templates: Environment, name: str) -> str:
    """The text of a template file that is not a template."""
    if templates.loader is None:
        return ""
    return templates.loader.get_source(templates, name)[0].strip()
