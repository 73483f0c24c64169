"""The command line: one short function per verb, each of which imports what it needs when it is called.

`earnest VERB --help` opens with examples. Results go to standard output, everything else to standard error; with
`--json` standard output holds one JSON object and nothing more. Exit codes: 0 done, 1 failed, 2 wrong usage,
3 done with files set aside, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Annotated

import typer

from earnest.cli import data, lab, results, use
from earnest.cli.listen import listen
from earnest.cli.spectrogram import spectrogram
from earnest.cli.studio import studio
from earnest.cli.verb import Group, Verb, print_error
from earnest.cli.wake import wakeword

app = typer.Typer(
    name="earnest",
    cls=Group,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for function in (
    lab.demo,
    data.corpora,
    data.fetch,
    data.audit,
    lab.run,
    lab.ensemble,
    wakeword,
    results.table,
    results.compare,
    results.report,
    results.export,
    results.score,
    results.show,
    results.zoo,
    use.predict,
    listen,
    spectrogram,
    studio,
    use.doctor,
):
    app.command(cls=Verb)(function)


def _print_version(wanted: bool) -> None:
    if wanted:
        from earnest import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _earnest(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """An honest audio lab: from recordings to a model whose score can be trusted, and that runs anywhere with it.

    Examples
    --------
    earnest demo
    earnest run fsdd --out runs/fsdd
    earnest predict runs/fsdd/bundle recording.wav
    """


def main() -> None:
    """Run the command `earnest`; the process ends with one of the exit codes above."""
    if "--debug" not in sys.argv:
        sys.excepthook = _unexpected
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    typer.main.get_command(app)(prog_name="earnest")


def _unexpected(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """What an error nobody foresaw looks like: it is a fault of the program, so the message says how to report it."""
    print_error(
        f"Something went wrong that should not have: {kind.__name__}: {error}",
        "Run the same command with --debug to see where, and report it with that text.",
    )
