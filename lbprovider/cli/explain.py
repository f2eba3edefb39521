"""``lbprovider explain service NAMESPACE/NAME``: why it has these addresses, or none, and what to change."""

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from lbprovider.api import names
from lbprovider.cli.options import NAMESPACE, DefaultClass, Kubeconfig, LbClass, Namespace
from lbprovider.errors import UsageError
from lbprovider.telemetry import configure_logging

app = typer.Typer(no_args_is_help=True, help="Say why things are as they are, on the live cluster; changes nothing.")


class Output(StrEnum):
    """For people, or for programs."""

    TEXT = "text"
    JSON = "json"


@app.callback()
def _explain() -> None:
    """Keeps ``service`` a command of its own: more kinds of objects can be explained one day."""


@app.command()
def service(
    name: Annotated[str, typer.Argument(metavar="NAMESPACE/NAME", help="The Service; NAME alone is in `default`.")],
    *,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = NAMESPACE,
    lb_class: LbClass = names.DEFAULT_CLASS,
    default_class: DefaultClass = True,
    output: Annotated[Output, typer.Option("--output", "-o", help="For people, or for programs.")] = Output.TEXT,
) -> None:
    """Why a Service has its addresses or none: pools tried, the rule that chose, who announces, what to change."""
    key = name if "/" in name else f"default/{name}"
    if not all(key.split("/", 1)):
        raise UsageError(f"{name!r} is not NAMESPACE/NAME")
    # see the package docstring
    from lbprovider.cli import explaining, live  # noqa: PLC0415
    from lbprovider.deciding.known import Scope  # noqa: PLC0415

    configure_logging("WARNING")
    scope = Scope(lb_class, default_class)
    found = asyncio.run(live.as_admin(kubeconfig, lambda api: explaining.explained(api, key, namespace, scope)))
    typer.echo(explaining.as_json(found) if output is Output.JSON else explaining.as_text(found))
