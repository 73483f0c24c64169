"""The verbs that make models; they need the extra `lab`."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earnest.cli.progress import watching
from earnest.cli.verb import (
    FAILED,
    SET_ASIDE,
    AsJson,
    Debug,
    Quiet,
    next_step,
    print_error,
    print_json,
    say,
)
from earnest.errors import DataError, RecipeError, did_you_mean

if TYPE_CHECKING:
    from earnest.journey import Progress
    from earnest.recipe import Recipe

Data = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of corpora (default: EARNEST_DATA).")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="The run directory (default: runs/NAME-HASH).")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Folds and seeds trained at once; it changes no result.")]


def run(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECIPE] [KEY=VALUE]", help="A recipe file or a shipped recipe's name, and overrides."),
    ] = None,
    out: Out = None,
    data: Data = None,
    jobs: Jobs = None,
    twin: Annotated[bool, typer.Option("--twin", help="Also score the leaky twin, for comparison.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train and score a recipe, and leave scores, report and bundle.

    Examples
    --------
    earnest run fsdd --twin
    earnest run recipes/esc10.yaml model=bc_resnet training.epochs=20 --out runs/esc10
    earnest run corpus=folder:words pattern='{label}/{speaker}_{take}.wav' split=leave-one-group-out model=ds_cnn

    A run that was stopped goes on when the same command is given again, and ends with the same numbers. Lists under
    `grid:` in a recipe multiply into several runs.
    """
    from earnest import recipe

    path, overrides = split_arguments(arguments or [])
    cells = recipe.load(path, [*overrides, "twin=true"] if twin else overrides)
    from earnest import journey

    results = []
    for cell in cells:
        place = out if out is None or len(cells) == 1 else out / f"{cell.name}-{cell.hash[:8]}"
        with watching(quiet=quiet) as progress:
            directory = journey.run(cell, place, data=data, jobs=jobs, progress=progress)
        results.append({**_scores(directory), "run": str(directory)})
        if not as_json:
            print_run(results[-1], quiet=quiet)
    if as_json:
        print_json(results[0] if len(results) == 1 else {"runs": results})
    if any(result.get("quarantined") for result in results):
        raise typer.Exit(SET_ASIDE)


def audit(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="A corpus, a list of clips, or folder:PATH.")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]", help="pattern=, split=, target=, sample_rate=")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Look for shared speakers and sources and for copies of the same audio.

    Examples
    --------
    earnest audit fsdd split=leave-one-group-out
    earnest audit folder:words pattern='{label}/{speaker}_{take}.wav' split=random
    earnest audit clips.csv --json

    With a split the exit code is 1 when training and test rows share something; without one, copies and the sizes of
    groups are reported.
    """
    with watching(quiet=quiet) as progress:
        found = _audit(_audit_recipe(corpus, options or []), split=_names_split(options), data=data, progress=progress)
    if as_json:
        print_json(found)
    else:
        print_audit(found)
    if any(found["leaks"].values()):
        raise typer.Exit(FAILED)
    if found["rejected"]:
        raise typer.Exit(SET_ASIDE)
    next_step(f"earnest run corpus={corpus} split=leave-one-group-out model=ds_cnn", quiet=quiet or as_json)


def corpora(
    data: Data = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List the corpora Earnest knows, and which of them are on this machine.

    Examples
    --------
    earnest corpora
    earnest corpora --json
    """
    known = [_corpus(name, data) for name in _corpus_names()]
    if as_json:
        print_json({"corpora": known})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "title", "task", "licence", "where")
    for entry in known:
        place = entry["path"] or ("made on the spot" if entry["embedded"] else f"earnest fetch {entry['name']}")
        table.add_row(entry["name"], entry["title"], entry["task"], entry["licence"], place)
    Console().print(table)
    next_step("earnest audit folder:PATH, for recordings of your own", quiet=quiet)


def split_arguments(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """The recipe among the arguments of `run`, if there is one, and the overrides.

    Raises
    ------
    RecipeError : nothing was given, two recipes were given, or no recipe of that name is shipped.
    """
    overrides = [text for text in arguments if re.match(r"[A-Za-z_][\w.]*=", text)]
    names = [text for text in arguments if text not in overrides]
    if len(names) > 1:
        raise RecipeError(f"expected one recipe, got {len(names)}: {', '.join(names)}.", "Overrides are key=value.")
    if not arguments:
        raise RecipeError("neither a recipe nor key=value pairs were given.", "For examples: earnest run --help")
    return (find_recipe(names[0]) if names else None), overrides


def find_recipe(name: str) -> Path:
    """The path of a recipe that was given as a path, or by the name of a shipped one."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    package = Path(__file__).parents[1]
    shipped = {
        found.stem: found
        for place in (package.parents[1] / "recipes", package / "recipes")
        for found in place.glob("*.yaml")
    }
    if name not in shipped:
        raise RecipeError(f"there is no recipe {name!r}.", did_you_mean(name, shipped))
    return shipped[name]


def print_run(scores: dict[str, Any], *, quiet: bool = False) -> None:
    """A run's result for people: the table, the verdict, where things lie, what to do next."""
    from rich.console import Console

    from earnest.reporting.console import summary_table
    from earnest.reporting.verdict import verdict

    directory = Path(scores["run"])
    console = Console()
    console.print(summary_table(scores))
    console.print(verdict(scores), markup=False, highlight=False, soft_wrap=True)
    if scores.get("quarantined"):
        say(f"{scores['quarantined']} files were set aside: {directory / 'quarantine.jsonl'}")
    for name, place in (("report", directory / "report.html"), ("bundle", directory / "bundle")):
        if place.exists():
            typer.echo(f"{name}: {place}")
    next_step(f"earnest predict {directory / 'bundle'} FILE", quiet=quiet)


def print_audit(found: dict[str, Any]) -> None:
    """An audit's result for people."""
    typer.echo(f"{found['clips']:,} clips, {found['speakers']:,} speakers, {found['sources']:,} sources")
    if found["protocol"]:
        typer.echo(f"split: {found['protocol']}")
    for kind, count in found["leaks"].items():
        if count:
            print_error(f"training and test share {count:,} {kind}{'' if count == 1 else 's'}.")
    for first, second, kind in found["duplicates"][:20]:
        typer.echo(f"{kind}: {first} = {second}")
    if len(found["duplicates"]) > 20:
        typer.echo(f"and {len(found['duplicates']) - 20:,} more pairs; --json lists all of them")
    for entry in found["rejected"]:
        print_error(f"{entry['path']}: {entry['reason']}", entry.get("remedy"))
    if not any(found["leaks"].values()):
        typer.echo("Nothing is shared between training and test." if found["protocol"] else "No split was checked.")


def _scores(directory: Path) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads((directory / "scores.json").read_text(encoding="utf-8"))
    return scores


def _audit_recipe(corpus: str, options: list[str]) -> Recipe:
    """The few keys of a recipe that an audit needs, checked as a recipe checks them."""
    from earnest import recipe

    known = ("pattern", "split", "target", "sample_rate")
    for option in options:
        key = re.split(r"[.=]", option)[0]
        if key not in known:
            raise RecipeError(f"audit has no option {key!r}.", did_you_mean(key, known))
    return recipe.parse(recipe.apply({"corpus": corpus, "model": "ds_cnn"}, options), "audit")


def _names_split(options: list[str] | None) -> bool:
    return any(re.match(r"split[.=]", option) for option in options or [])


def _audit(wanted: Recipe, *, split: bool, data: Path | None, progress: Progress) -> dict[str, Any]:
    from earnest import leaks
    from earnest.corpora import open_table
    from earnest.splits import make_folds
    from earnest.training.waveforms import Waveforms, decode

    table = open_table(wanted.corpus, pattern=wanted.pattern, data=data)
    bad = [{"path": row.row, "reason": row.reason, "remedy": None} for row in table.bad_rows]
    with tempfile.TemporaryDirectory(prefix="earnest-audit-") as folder:
        progress.stage("decoding", len(table))
        table, verdicts = decode(table, wanted.sample_rate, Path(folder), progress.step)
        bad += [verdict.as_dict() for verdict in verdicts if verdict.status == "rejected"]
        if not len(table):
            raise DataError(
                f"none of the recordings of {wanted.corpus} can be read.", bad[0]["reason"] if bad else None
            )
        folds = make_folds(table, wanted.split, wanted.target or "label") if split else None
        progress.stage("looking for copies")
        samples = Waveforms.open(Path(folder))
        found = leaks.audit(table, folds, samples=samples.__getitem__, sample_rate=wanted.sample_rate).as_dict()
        del samples  # unmapped before the folder goes
    repaired = [verdict.as_dict() for verdict in verdicts if verdict.status == "repaired"]
    return {**found, "protocol": folds.protocol if folds else None, "rejected": bad, "repaired": repaired}


def _corpus_names() -> list[str]:
    from earnest import registry

    return [name for name in registry.names("corpora") if name != "folder"]


def _corpus(name: str, data: Path | None) -> dict[str, Any]:
    from earnest.corpora import find_root, info

    entry = info(name)
    try:
        place = find_root(name, data)
    except DataError:
        place = None
    present = place is not None and place.is_dir()
    keys = ("name", "title", "licence", "task", "protocol", "home", "embedded", "synthetic")
    return {key: getattr(entry, key) for key in keys} | {"present": present, "path": str(place) if present else None}
