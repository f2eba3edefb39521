"""``lbprovider lab``: a whole cluster on this machine, to see it work and to try things."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from lbprovider.errors import HostError, UsageError
from lbprovider.settings import MOST_ADDRESSES, MOST_NODES, LabSettings, TrialSettings

_DEFAULT: Final = LabSettings()

_INSTEAD: Final = {
    "enter": "enter finds one that runs",
    "trial": "trial makes its own: say them behind it",
}


class Output(StrEnum):
    """How results are told."""

    TABLE = "table"
    JSON = "json"


app = typer.Typer(
    help="A whole cluster on this machine, without Kubernetes and without root.",
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    pretty_exceptions_enable=False,
)


@app.callback()
def lab(
    context: typer.Context,
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running, for kubectl, until Ctrl-C; no faults.")
    ] = False,
    nodes: Annotated[int, typer.Option(help=f"How many nodes, up to {MOST_NODES}.")] = _DEFAULT.nodes,
    addresses: Annotated[
        int, typer.Option(help=f"How many Services, each with its address, up to {MOST_ADDRESSES}.")
    ] = _DEFAULT.addresses,
    ipv6: Annotated[bool, typer.Option("--ipv6", help="Dual-stack Services: an address of each family.")] = False,
) -> None:
    """Build a cluster on this machine, show each fault and what a client saw of it, and take it down again."""
    settings = LabSettings(nodes=nodes, addresses=addresses, ipv6=ipv6, keep=keep)
    if context.invoked_subcommand is not None:
        if settings != _DEFAULT:
            raise UsageError(
                f"options of `lbprovider lab` itself go without {context.invoked_subcommand}: they make a lab; "
                f"{_INSTEAD[context.invoked_subcommand]}"
            )
        return
    from lbprovider.lab import sandbox  # noqa: PLC0415  (see the package docstring)

    raise typer.Exit(sandbox.run(_arguments(settings), outlive=settings.keep))


@app.command()
def trial(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Trials by name, or all.", show_default=False)
    ] = None,
    *,
    listing: Annotated[bool, typer.Option("--list", help="List all trials, and do nothing.")] = False,
    repeat: Annotated[int, typer.Option(help="How many good samples are taken of each; the worst one counts.")] = 1,
    nodes: Annotated[
        int | None, typer.Option(help="How many nodes; as each trial likes best if left out.", show_default=False)
    ] = None,
    addresses: Annotated[int, typer.Option(help="How many Services; the first one's address is watched.")] = 1,
    ipv6: Annotated[bool, typer.Option("--ipv6", help="Watch an IPv6 address.")] = False,
    output: Annotated[Output, typer.Option("-o", "--output", help="How the end is told.")] = Output.TABLE,
) -> None:
    """Do one fault after the other to a cluster on this machine, and say what a client saw of each against its target.

    Exit status: 0 all targets are met, 1 one is missed, 3 this machine was too busy to tell.
    """
    from lbprovider.lab.trials import table  # noqa: PLC0415  (see the package docstring)

    if listing:
        from lbprovider.lab.story.telling import console  # noqa: PLC0415
        from lbprovider.lab.trials import telling  # noqa: PLC0415

        telling.listing(console())
        return
    if not names:
        raise UsageError("name a trial, or all: `lbprovider lab trial --list` lists them")
    settings = TrialSettings(names=tuple(names), repeat=repeat, nodes=nodes, addresses=addresses, ipv6=ipv6)
    table.chosen(settings.names, settings.nodes)
    from lbprovider.lab import sandbox  # noqa: PLC0415

    program = (sys.executable, "-m", "lbprovider.lab.trials")
    arguments = ["--repeat", str(repeat), "--addresses", str(addresses)]
    arguments += ["--nodes", str(nodes)] if nodes is not None else []
    arguments += ["--ipv6"] if ipv6 else []
    arguments += ["--json"] if output is Output.JSON else []
    raise typer.Exit(sandbox.run([*arguments, *names], program=program))


# What follows the place is the command's own, options and all.
@app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def enter(
    place: Annotated[str, typer.Argument(help="client, control (beside the API server), or a node.")] = "client",
    command: Annotated[
        list[str] | None, typer.Argument(help="What to run there; a shell if left out.", show_default=False)
    ] = None,
) -> None:
    """Run a command, or a shell, in a place of the lab that is running."""
    from lbprovider.lab import running  # noqa: PLC0415  (see the package docstring)

    found = running.find(running.temporary(), os.environ)
    argv = running.command(found, place, command or [os.environ.get("SHELL", "/bin/sh")], Path.cwd())
    try:
        os.execvpe(argv[0], argv, running.environment(found, os.environ))  # noqa: S606 - a command line of our own
    except OSError as error:
        raise HostError(f"can't run {argv[0]}: {error.strerror}; install the package util-linux") from error


def _arguments(settings: LabSettings) -> list[str]:
    """As the lab's inner program takes them."""
    switches = [f"--{name}" for name in ("keep", "ipv6") if getattr(settings, name)]
    return ["--nodes", str(settings.nodes), "--addresses", str(settings.addresses), *switches]
