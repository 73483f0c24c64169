"""The verb that opens the studio; it needs the extra `studio`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earnest.cli.verb import AsJson, Data, Debug, Quiet, print_json, say

if TYPE_CHECKING:
    from earnest.studio.server import Address


def studio(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder with recordings or runs.")] = Path(),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1 (0: a free one).")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    data: Data = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """See and hear recordings, runs and models in the browser, on this machine.

    Examples
    --------
    earnest studio
    earnest studio ~/experiment --no-browser
    earnest studio ~/experiment --port 8765 --json

    It listens on 127.0.0.1 and nowhere else, and only who knows the token of the address gets in. Ctrl-C ends it and
    every run that was started from it; those go on with `resume`.
    """
    from earnest.studio.server import serve

    def ready(address: Address) -> None:
        if as_json:
            print_json({"url": address.url, "port": address.port, "token": address.token})
        else:
            typer.echo(address.url)
        say("Ctrl-C ends the studio.", quiet=quiet)
        if browser:
            import webbrowser

            webbrowser.open(address.url)

    serve(folder, port, data=data, ready=ready)
