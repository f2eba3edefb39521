"""``lbprovider COMMAND``: the programs in the image, and what admins type."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from lbprovider import __version__
from lbprovider.announce.pace import FRAMES_PER_SECOND
from lbprovider.announce.probing import Probe
from lbprovider.api import names
from lbprovider.cli import explain, lab
from lbprovider.cli.drain import drain, undrain
from lbprovider.cli.migrate import migrate
from lbprovider.cli.options import NAMESPACE, Namespace
from lbprovider.cli.plan import plan
from lbprovider.cli.validate import validate
from lbprovider.errors import LbproviderError, UsageError
from lbprovider.settings import SERVICE_ACCOUNT_DIR, ControllerSettings, FastPathKind, OnQuorumLoss, SpeakerSettings
from lbprovider.telemetry import configure_logging

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

app = typer.Typer(
    name="lbprovider",
    help="A load-balancer provider for Kubernetes on bare metal.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


app.add_typer(lab.app, name="lab")
app.add_typer(explain.app, name="explain")


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


Level = Annotated[LogLevel, typer.Option(envvar="LOG_LEVEL", case_sensitive=False, help="How much is logged.")]
HttpPort = Annotated[int, typer.Option(help="TCP port of /healthz, /readyz and /metrics; 0 takes any free one.")]


@app.callback(invoke_without_command=True)
def _root(
    *, version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version and exit.")] = False
) -> None:
    if version:
        typer.echo(f"lbprovider {__version__}")
        raise typer.Exit


@app.command()
def controller(
    *,
    namespace: Namespace = NAMESPACE,
    identity: Annotated[
        str, typer.Option(envvar="POD_NAME", help="This replica's name in the Lease; the host's name if left out.")
    ] = "",
    kubeconfig: Annotated[
        Path | None, typer.Option(envvar="KUBECONFIG", help="A kubeconfig file, when not run in a Pod.")
    ] = None,
    lb_class: Annotated[str, typer.Option(help="The spec.loadBalancerClass that is ours.")] = names.DEFAULT_CLASS,
    default_class: Annotated[bool, typer.Option(help="Whether Services without a class are ours too.")] = True,
    http_port: HttpPort = 7473,
    webhook: Annotated[
        bool, typer.Option(help="Whether edits of pools are checked before they are stored, where that is installed.")
    ] = True,
    webhook_port: Annotated[int, typer.Option(help="TCP port of the admission webhook; 0 takes any free one.")] = 9443,
    log_level: Level = LogLevel.INFO,
) -> None:
    """Give Services of type LoadBalancer their addresses (run by the Deployment)."""
    settings = ControllerSettings(
        namespace=namespace,
        identity=identity or platform.node(),
        kubeconfig=kubeconfig,
        lb_class=lb_class,
        default_class=default_class,
        http_port=http_port,
        webhook=webhook,
        webhook_port=webhook_port,
    )
    from lbprovider.controller.app import serve  # noqa: PLC0415  (see the package docstring)

    _run(serve(settings), log_level)


@app.command()
def speaker(
    *,
    node_name: Annotated[str, typer.Option(envvar="NODE_NAME", help="The Node that this speaker runs on.")],
    namespace: Namespace = NAMESPACE,
    service_account_dir: Annotated[
        Path, typer.Option(help="Directory with the ServiceAccount's token and ca.crt.")
    ] = SERVICE_ACCOUNT_DIR,
    heartbeat_port: Annotated[int, typer.Option(help="UDP port between the speakers; the same on every node.")] = 7472,
    http_port: HttpPort = 7473,
    ignore_exclude_label: Annotated[
        bool, typer.Option(help=f"Announce even from nodes labelled {names.EXCLUDE_NODE_LABEL}.")
    ] = False,
    snapshot_dir: Annotated[
        Path | None,
        typer.Option(help="Directory of the node to keep what a restart needs while the API server is down (secret)."),
    ] = None,
    on_quorum_loss: Annotated[
        OnQuorumLoss,
        typer.Option(
            help="lease: the last few serve once the others' Leases stood still; silent: they never do (safest)."
        ),
    ] = OnQuorumLoss.LEASE,
    fast_path: Annotated[
        FastPathKind,
        typer.Option(
            help="bpf: the kernel answers by itself for what this node leads (Linux 6.6, capabilities BPF, NET_ADMIN)."
        ),
    ] = FastPathKind.OFF,
    gratuitous_pps: Annotated[
        int, typer.Option(help="Announcements and probes a second on each LAN; few where switches inspect ARP.")
    ] = FRAMES_PER_SECOND,
    probe: Annotated[
        Probe,
        typer.Option(help="Before an address is first used, ask whether another host has it: 0.15 s, 5 s, or not."),
    ] = Probe.SHORT,
    log_level: Level = LogLevel.INFO,
) -> None:
    """Answer ARP and NDP for the addresses that this node leads (run by the DaemonSet)."""
    settings = SpeakerSettings(
        namespace=namespace,
        node_name=node_name,
        service_account_dir=service_account_dir,
        heartbeat_port=heartbeat_port,
        http_port=http_port,
        ignore_exclude_label=ignore_exclude_label,
        snapshot_dir=snapshot_dir,
        on_quorum_loss=on_quorum_loss,
        fast_path=fast_path,
        gratuitous_pps=gratuitous_pps,
        probe=probe,
    )
    from lbprovider.speaker.app import serve  # noqa: PLC0415  (see the package docstring)

    _run(serve(settings), log_level)


app.command()(drain)
app.command()(undrain)
app.command()(plan)
app.command()(validate)
app.command()(migrate)


def _run(program: Coroutine[Any, Any, None], level: LogLevel) -> None:
    configure_logging(level)
    asyncio.run(program)


def main() -> None:
    """The entry point: what the user, the host or the cluster did wrong is one sentence, never a traceback."""
    try:
        app()
    except UsageError as error:
        sys.exit(_say(error, EXIT_USAGE))
    except LbproviderError as error:
        sys.exit(_say(error, EXIT_FAILED))


def _say(error: LbproviderError, status: int) -> int:
    sys.stderr.write(f"lbprovider: {error}\n")
    return status
