"""``lbprovider lab``: a whole cluster on this machine, to see it work and to try things."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from lbprovider.errors import HostError, UsageError
from lbprovider.settings import MOST_ADDRESSES, MOST_NODES, LabSettings

_DEFAULT: Final = LabSettings()

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
                f"options of `lbprovider lab` itself go without {context.invoked_subcommand}: they make a lab, "
                f"and {context.invoked_subcommand} finds one that runs"
            )
        return
    from lbprovider.lab import sandbox  # noqa: PLC0415  (see the package docstring)

    raise typer.Exit(sandbox.run(_arguments(settings), outlive=settings.keep))


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
