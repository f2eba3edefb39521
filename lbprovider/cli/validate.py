"""``lbprovider validate -f FILE…``: what the API server and the webhook would refuse, without either."""

import sys
from typing import Annotated

import typer

from lbprovider.api import names
from lbprovider.cli.options import NAMESPACE, DefaultClass, LbClass


def validate(
    files: Annotated[
        list[str],
        typer.Option(
            "--file", "-f", metavar="FILE", help="Manifests: a file, a directory or - for standard input; repeatable."
        ),
    ],
    *,
    namespace: Annotated[
        str,
        typer.Option(
            envvar="POD_NAMESPACE",
            help="The namespace that lbprovider runs in, and in which pools are that name none.",
        ),
    ] = NAMESPACE,
    lb_class: LbClass = names.DEFAULT_CLASS,
    default_class: DefaultClass = True,
) -> None:
    """Check manifests without a cluster: exit status 1 with one line a problem, 0 where nothing is wrong."""
    # see the package docstring
    from lbprovider import shipped  # noqa: PLC0415
    from lbprovider.cli import validating  # noqa: PLC0415
    from lbprovider.deciding.known import Scope  # noqa: PLC0415
    from lbprovider.documents import reading  # noqa: PLC0415

    scope = Scope(lb_class, default_class)
    found = validating.validated(reading(files, sys.stdin), shipped.schemas(), namespace, scope)
    for finding in found.findings:
        typer.echo(finding)
    if found.refused:
        raise typer.Exit(1)
    typer.echo(found.summary)
