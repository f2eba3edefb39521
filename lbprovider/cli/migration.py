"""What ``lbprovider migrate`` does and prints."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from lbprovider.api.names import IPAddress
from lbprovider.cli.live import as_admin
from lbprovider.errors import UserError
from lbprovider.kube.ports import Api
from lbprovider.migrating import showing
from lbprovider.migrating.carrying import Carried
from lbprovider.migrating.looking import look
from lbprovider.migrating.migration import Migration, Place, Step
from lbprovider.migrating.outlook import Prospect

EXIT_FAILED: Final = 1
EXIT_PART: Final = 2
"""What can be carried over is; what is about BGP can't be."""


@dataclass(frozen=True, slots=True)
class How:
    """What is wanted of a cluster.

    Args:
        does: change it; else only say what would be done.
        back: undo all steps.
        manifests: print what is written, as YAML.
    """

    does: bool
    back: bool
    manifests: bool


async def on_cluster(kubeconfig: Path | None, namespace: str, metallb_namespace: str, how: How) -> int:
    """Plans, migrates or goes back; the exit status.

    Raises:
        LbproviderError: it can't be done, or has to stop.
    """
    return await as_admin(kubeconfig, lambda api: _on(api, Place(namespace, metallb_namespace), how))


async def _on(api: Api, place: Place, how: How) -> int:
    sight = await look(api, place.namespace, place.metallb, time.time())
    migration = Migration(api, place, sight, clock=time.monotonic, wall=time.time, say=typer.echo)
    if how.back:
        await migration.roll_back()
        typer.echo("MetalLB assigns and announces again; lbprovider's workloads are off, its objects are left")
        return 0
    status = show(sight.carried, sight.prospects, sight.problems, migration.steps, manifests=how.manifests)
    if not how.does:
        if not how.manifests:
            typer.echo("\nThis was a plan: nothing has been changed. With --yes it is done.")
        return status
    if sight.problems:
        raise UserError("nothing has been changed, for the reasons above")
    typer.echo()
    await migration.run()
    for line in _silences(migration.silences):
        typer.echo(line)
    if sight.keeps_speakers:
        typer.echo("MetalLB's speakers are left on: they go on announcing by BGP")
    return status


def show(
    carried: Carried,
    found: Sequence[Prospect],
    problems: Sequence[str],
    steps: Sequence[Step],
    *,
    manifests: bool,
) -> int:
    """Prints a plan; the exit status.

    Args:
        carried: what is written.
        found: what becomes of the Services.
        problems: why it can't be done.
        steps: how it is done; none for files.
        manifests: print only what is written, as YAML, and all that there is to be said to standard error.
    """
    if manifests:
        sys.stdout.write(showing.manifests(carried))
        lines = [f"{left.what} is not carried over: {left.meaning}" for left in carried.left]
        for line in (*lines, *carried.notes):
            typer.echo(line, err=True)
    else:
        for line in showing.outlook(carried, found):
            typer.echo(line)
        for line in showing.steps(steps) if steps and not problems else ():
            typer.echo(line)
    for problem in problems:
        typer.echo(f"lbprovider: {problem}", err=True)
    if problems:
        return EXIT_FAILED
    return EXIT_PART if carried.left else 0


def _silences(silences: Mapping[IPAddress, float]) -> Sequence[str]:
    if not silences:
        return ("All of it had been done already.",)
    worst = max(silences.values())
    lines = [f"  {address}: {silence * 1000:.0f} ms" for address, silence in silences.items()]
    return (
        f"{len(silences)} addresses handed over. At most so long did nobody answer (worst {worst * 1000:.0f} ms):",
        *lines,
    )
