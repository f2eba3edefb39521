"""``lbprovider plan``: what the controller would do with these manifests, before anybody applies them."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from lbprovider.api import names
from lbprovider.cli.options import NAMESPACE, DefaultClass, LbClass, Namespace
from lbprovider.cli.printable import printable
from lbprovider.errors import UsageError
from lbprovider.telemetry import configure_logging

LACKING: Final = 2
"""Exit status: some Service has less than it asks for."""
UNUSABLE: Final = 1
"""Exit status: nothing was planned."""


class Output(StrEnum):
    """For people, for programs, or to be read in again."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def plan(
    *,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--filename",
            "-f",
            metavar="FILE",
            show_default=False,
            help="Manifests, YAML or JSON; a directory stands for those in it, - for standard input. Can be repeated.",
        ),
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="For people, for programs, or to be read in again.")
    ] = Output.TABLE,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="KUBECONFIG",
            show_default=False,
            help="Apply the manifests to this cluster's objects, on paper, and show what would change there.",
        ),
    ] = None,
    namespace: Namespace = NAMESPACE,
    lb_class: LbClass = names.DEFAULT_CLASS,
    default_class: DefaultClass = True,
    ignore_exclude_label: Annotated[bool, typer.Option(help="As the speakers'.")] = False,
    at: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            show_default=False,
            help="The plan's time, as 2026-01-31T12:00:00Z: what has cooled down by then is free. Now if left out.",
        ),
    ] = "",
) -> None:
    """Show which Service gets which address and why, and who announces it; nothing is changed anywhere.

    Exit status: 0 every Service has what it asks for, 2 some have less, 1 the input can't be used.
    """  # fmt: skip
    if not files and against is None:
        raise typer.BadParameter("name manifests with -f, a cluster with --against, or both")
    from lbprovider.cli import planned, plantables  # noqa: PLC0415  (see the package docstring)
    from lbprovider.planning import Options  # noqa: PLC0415

    configure_logging("WARNING")
    try:
        now = planned.time_of(at) if at else time.time()
        options = Options(
            namespace, planned.scope(namespace, lb_class, default_class=default_class), ignore_exclude_label
        )
        found = planned.planned(files or (), sys.stdin, options, now, against)
    except UsageError as error:
        # Not 2, as of other commands: that says that something lacks.
        typer.echo(f"lbprovider: {error}", err=True)
        raise typer.Exit(UNUSABLE) from error
    for problem in found.unusable:
        typer.echo(f"lbprovider: {printable(str(problem))}", err=True)
    if found.plan is None:
        raise typer.Exit(UNUSABLE)
    match output:
        case Output.JSON:
            typer.echo(planned.as_json(found.plan, found.changes))
        case Output.YAML:
            typer.echo(planned.as_yaml(found.plan, now), nl=False)
        case Output.TABLE:
            plantables.show(found.plan.result, found.changes)
    raise typer.Exit(LACKING if found.plan.result.lacking else 0)
