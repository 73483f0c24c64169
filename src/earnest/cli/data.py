"""The verbs that look at recordings before anything is learnt from them; they need the extra `lab`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earnest.cli.progress import Transfer, watching
from earnest.cli.verb import (
    DIM,
    FAILED,
    SET_ASIDE,
    AsJson,
    Data,
    Debug,
    Quiet,
    next_step,
    paint,
    print_error,
    print_json,
    say,
)
from earnest.errors import DataError, RecipeError, did_you_mean

if TYPE_CHECKING:
    from earnest.pool import Progress
    from earnest.recipe import Recipe


def corpora(
    corpus: Annotated[str | None, typer.Argument(metavar="[CORPUS]", help="A corpus, a list, or folder:PATH.")] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the clips of CORPUS as .csv, .tsv, .jsonl or .parquet.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List the corpora Earnest knows, and which of them are on this machine; or write the clips of one as a list.

    Examples
    --------
    earnest corpora
    earnest corpora --json
    earnest corpora fsdd --write fsdd.csv
    """
    if corpus is not None or write is not None:
        _write_list(corpus, write, data, as_json)
        return
    known = [_corpus(name, data) for name in _corpus_names()]
    if as_json:
        print_json({"corpora": known})
        return
    for entry in known:
        place = entry["path"] or (
            "made when it is used" if entry["embedded"] else f"get it: earnest fetch {entry['name']}"
        )
        typer.echo(f"{entry['name']:<16} {place}")
        typer.echo(f"{'':<16} {paint(' · '.join((entry['title'], entry['task'], entry['licence'])), DIM, sys.stdout)}")
    next_step("earnest audit folder:PATH   (recordings of your own)", quiet=quiet)


def fetch(
    name: Annotated[
        str,
        typer.Argument(
            help="A corpus; `earnest corpora` lists them.",
            autocompletion=complete_corpus,
        ),
    ],
    data: Data = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Download a corpus, check it, and put it where recipes find it.

    Examples
    --------
    earnest fetch fsdd
    earnest fetch esc10 --data ~/corpora

    A download that was stopped goes on when the same command is given again.
    """
    from earnest.fetch import fetch as download

    with watching(quiet=quiet) as progress:
        found = download(name, data=data, progress=Transfer(progress))
    if as_json:
        print_json(found.as_dict())
        return
    typer.echo(f"{name}: {found.root}{' (was there already)' if found.already_there else ''}")
    for file in found.files:
        if not file.known:
            say(f"Note: no hash of {file.url} was published; the one seen now, {file.sha256}, is held from here on.")
    next_step(f"earnest audit {name}", quiet=quiet)


def audit(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="A corpus, a list of clips, or folder:PATH.")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]", help="pattern=, split=, target=")
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
        print_error(f"{entry['path'] or entry['id']}: {entry['reason']}", entry["remedy"])
    for note in found["notes"]:
        say(f"Note: {note}")
    if not any(found["leaks"].values()):
        typer.echo("Nothing is shared between training and test." if found["protocol"] else "No split was checked.")


def _audit_recipe(corpus: str, options: list[str]) -> Recipe:
    """The few keys of a recipe that an audit needs, checked as a recipe checks them."""
    from earnest import recipe

    known = ("pattern", "split", "target")
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

    progress.stage("reading the table")
    table = open_table(wanted.corpus, pattern=wanted.pattern, data=data)
    bad = [{"id": row.row, "path": None, "reason": row.reason, "remedy": None} for row in table.bad_rows]
    target = wanted.target or "label"
    folds = make_folds(table, wanted.split, target) if split else None
    progress.stage(f"comparing {len(table):,} clips")
    found = leaks.audit(table, folds, target=target).as_dict()
    return {**found, "protocol": folds.protocol if folds else None, "rejected": bad + found["rejected"]}


def _write_list(corpus: str | None, write: Path | None, data: Path | None, as_json: bool) -> None:
    from earnest.corpora import open_table

    if corpus is None or write is None:
        raise RecipeError("a list needs a corpus and a file.", "For example: earnest corpora fsdd --write fsdd.csv")
    table = open_table(corpus, data=data)
    table.write(write)
    if as_json:
        print_json({"list": str(write), "clips": len(table), "bad_rows": [bad.as_dict() for bad in table.bad_rows]})
    else:
        typer.echo(f"{write}: {len(table):,} clips")


def complete_corpus(incomplete: str) -> list[str]:
    """For shell completion: corpora that begin so."""
    return [name for name in _corpus_names() if name.startswith(incomplete)]


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
