"""``lbprovider migrate``: take a cluster's Services over from MetalLB, or say what that would come to."""

import asyncio
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from lbprovider.api import names
from lbprovider.cli.options import NAMESPACE, Kubeconfig
from lbprovider.errors import UsageError
from lbprovider.telemetry import configure_logging


class Output(StrEnum):
    """What is printed of a plan."""

    TABLE = "table"
    YAML = "yaml"


def migrate(
    *,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "-f", "--filename", help="Files or directories to read in place of the cluster; - is standard input."
        ),
    ] = None,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="table: the plan; yaml: the objects that it writes.")
    ] = Output.TABLE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--no-dry-run", help="Say what would be done, and change nothing.")
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", help="The same as --no-dry-run.")] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Undo all steps: MetalLB announces and assigns as before.")
    ] = False,
    kubeconfig: Kubeconfig = None,
    namespace: Annotated[
        str, typer.Option(envvar="POD_NAMESPACE", help="The namespace that lbprovider runs in.")
    ] = NAMESPACE,
    metallb_namespace: Annotated[str, typer.Option(help="The namespace that MetalLB runs in.")] = "metallb-system",
    metallb_class: Annotated[
        str, typer.Option(help="With -f: the loadBalancerClass that MetalLB serves (its --lb-class).")
    ] = "",
    lb_class: Annotated[
        str | None, typer.Option(help="With -f: the loadBalancerClass of lbprovider's controller.")
    ] = None,
    default_class: Annotated[
        bool | None, typer.Option(help="With -f: whether Services without a class are lbprovider's too.")
    ] = None,
) -> None:
    """Take Services over from MetalLB; no address changes, and never do two answer for one."""
    if yes and rollback:
        raise UsageError("--yes goes there and --rollback back: say one of them")
    does = yes or not dry_run or rollback
    if does and output is not Output.TABLE:
        raise UsageError(f"-o {output} prints a plan, and changes nothing: leave it out, or --yes and --rollback")
    configure_logging("WARNING")
    if files:
        if does:
            raise UsageError("files can't be migrated: leave -f out, or --yes and --rollback")
        classes = _Classes(metallb_class, lb_class or names.DEFAULT_CLASS, default=default_class is not False)
        status = _on_paper(files, namespace, metallb_namespace, classes, manifests=output is Output.YAML)
    else:
        if metallb_class or lb_class is not None or default_class is not None:
            raise UsageError("of a cluster the classes are read from the programs' own arguments: leave them out")
        from lbprovider.cli import migration  # noqa: PLC0415  (see the package docstring)

        how = migration.How(does=does, back=rollback, manifests=output is Output.YAML)
        status = asyncio.run(migration.on_cluster(kubeconfig, namespace, metallb_namespace, how))
    raise typer.Exit(status)


@dataclass(frozen=True, slots=True)
class _Classes:
    """Who serves which Services, where nobody can be asked."""

    metallb: str
    ours: str
    default: bool


def _on_paper(files: list[str], namespace: str, metallb_namespace: str, classes: _Classes, *, manifests: bool) -> int:
    from lbprovider.cli import migration  # noqa: PLC0415  (see the package docstring)
    from lbprovider.deciding.known import Scope  # noqa: PLC0415  (the same)
    from lbprovider.migrating.files import on_paper  # noqa: PLC0415  (the same)

    paper = on_paper(
        files,
        sys.stdin,
        namespace=namespace,
        metallb_namespace=metallb_namespace,
        metallb_class=classes.metallb,
        scope=Scope(classes.ours, classes.default),
        now=time.time(),
    )
    return migration.show(paper.carried, paper.prospects, paper.problems, (), manifests=manifests)
