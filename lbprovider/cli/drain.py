"""``lbprovider drain`` and ``undrain``: take a node's addresses away from it, and let it have some again."""

import asyncio
from typing import Annotated, Final

import typer

from lbprovider.cli.options import NAMESPACE, Kubeconfig
from lbprovider.errors import UsageError
from lbprovider.telemetry import configure_logging

WITHIN: Final = 60.0
"""Seconds that ``drain`` waits, unless told otherwise."""

NodeName = Annotated[str, typer.Argument(metavar="NODE", help="The Node's name, as kubectl get nodes has it.")]


def drain(
    node: NodeName,
    *,
    kubeconfig: Kubeconfig = None,
    namespace: Annotated[
        str, typer.Option(envvar="POD_NAMESPACE", help="The namespace that the speakers run in.")
    ] = NAMESPACE,
    wait: Annotated[bool, typer.Option(help="Whether to wait until the node leads nothing.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = WITHIN,
) -> None:
    """Move all addresses away from a node, losing nothing, and give it none until `lbprovider undrain`."""
    if timeout <= 0:
        raise UsageError(f"--timeout {timeout:g}: say a time, or --no-wait")
    from lbprovider.cli import draining, live  # noqa: PLC0415  (see the package docstring)

    configure_logging("WARNING")
    within = timeout if wait else None
    asyncio.run(
        live.as_admin(kubeconfig, lambda api: draining.drain(api, node, namespace, within=within, say=typer.echo))
    )


def undrain(node: NodeName, *, kubeconfig: Kubeconfig = None) -> None:
    """Let a node have addresses again that `lbprovider drain` took out."""
    from lbprovider.cli import draining, live  # noqa: PLC0415  (see the package docstring)

    asyncio.run(live.as_admin(kubeconfig, lambda api: draining.undrain(api, node, say=typer.echo)))
