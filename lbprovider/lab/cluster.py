"""A whole cluster on one machine, without Kubernetes' own programs: LAN, API server, nodes, and lbprovider itself.

:class:`Lab` builds it and takes it down; what is done with it is for others (``story``, ``keep``). Every program is a
process of its own with a log of its own in the lab's directory; one that ends unasked is said in one sentence with the
end of its log. Nothing waits for a fixed time.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, TypeVar

from lbprovider import shipped
from lbprovider.api import resources
from lbprovider.api.names import object_name, segment_name
from lbprovider.api.segment import Segment
from lbprovider.election.segment import from_object
from lbprovider.errors import HostError
from lbprovider.kube.access import in_cluster
from lbprovider.lab import node, objects, provider
from lbprovider.lab.admin import Admin
from lbprovider.lab.apiserver import home
from lbprovider.lab.backing import Backing
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.lan import CONTROL, LAN4, LAN6, Lan
from lbprovider.lab.process import Process
from lbprovider.lab.provider import API_PORT, NAMESPACE
from lbprovider.lab.waiting import PATIENCE, until
from lbprovider.settings import LabSettings

T = TypeVar("T")

_SEGMENT: Final = segment_name([LAN4], "")
_API: Final = "apiserver"
_CONTROLLER: Final = "controller-1"
_HTTP_OK: Final = 200
_TAIL: Final = 12
"""Lines of a program's log that go with the sentence that it has ended."""

Say = Callable[[str], None]
"""Takes a line for the user."""


class Lab:
    """The cluster, from construction to :meth:`close`; a context manager. Usable once constructed.

    The programs live as long as the thread that constructs it.

    Args:
        settings: how large.
        directory: where logs, captures and the API server's data go.
        listen: a listening socket of the machine's own network, by number, for an API server that the machine's
            kubectl reaches.
        say: told what is ready, as it happens.
        spares: further nodes, whose speakers wait to be started.
    """

    def __init__(
        self,
        settings: LabSettings,
        directory: Path,
        listen: int | None = None,
        say: Say = lambda _: None,
        *,
        spares: int = 0,
    ) -> None:
        self.settings = settings
        self.directory = directory
        self._listen = listen
        self._programs: dict[str, Process] = {}
        with contextlib.ExitStack() as undo:
            self._undo = undo
            self.home = home.prepare(directory / _API, addresses=(CONTROL, "127.0.0.1"), names=("localhost",))
            self.lan = undo.enter_context(Lan(settings.nodes + spares, directory))
            say(f"a LAN with a switch, {_some(settings.nodes, 'node')} and a client, each in a namespace of its own")
            self._start_api()
            self.kubeconfig, self.inside = self._connect()
            self._install()
            say("an API server with the CRDs and the RBAC that are shipped")
            self._programs[_CONTROLLER] = provider.start_controller(self, _CONTROLLER)
            for number, name in enumerate(self.lan.nodes):
                if number < settings.nodes:
                    self.start_speaker(name)
                self._start_node(name)
            self.admin.live(lambda client: Backing(client, tuple(self.lan.nodes.values())).run())
            self.services = self.admin.follow(resources.SERVICES)
            self.allocations = self.admin.follow(resources.ALLOCATIONS)
            self._segments = self.admin.follow(resources.SEGMENTS)
            self.await_ready()
            say(f"a controller, and on each node a speaker that votes: {_some(settings.nodes, 'node')} ready")
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        self._undo.close()

    # --- provider.ControlPlane

    @property
    def authority(self) -> Path:
        """See there."""
        return self.home.ca

    def token_of(self, account: str) -> str:
        """See there."""
        return self.home.token(f"system:serviceaccount:{NAMESPACE}:{account}")

    # --- the API server

    def _start_api(self) -> None:
        argv = [sys.executable, "-m", "lbprovider.lab.apiserver", "--directory", str(self.home.directory)]
        argv += ["--listen", f"{CONTROL}:{API_PORT}"]
        argv += [] if self._listen is None else ["--listen-fd", str(self._listen)]
        descriptors = () if self._listen is None else (self._listen,)
        self._programs[_API] = self.lan.spawn(_API, self.lan.control, argv, descriptors=descriptors)

    def _connect(self) -> tuple[Path, Path]:
        """Reach the API server as its admin; the kubeconfigs to do so from the machine, and from inside the lab."""
        endpoints = self.until(self.home.endpoints, "the API server listens")
        account = provider.write_service_account(
            self.directory / "admin.serviceaccount", authority=self.authority, token=self.home.admin_token
        )
        access = in_cluster(account, provider.in_cluster_environment())
        self.admin = self._undo.enter_context(Admin(self.lan.control.name, access))
        inside = f"https://{CONTROL}:{API_PORT}"
        outside = next((each for each in endpoints if each != inside), inside)
        return self._admin_kubeconfig("kubeconfig", outside), self._admin_kubeconfig("inside.kubeconfig", inside)

    def _admin_kubeconfig(self, name: str, server: str) -> Path:
        path = self.directory / name
        return provider.write_kubeconfig(
            path, server=server, authority=self.authority, user="admin", token=self.home.admin_token
        )

    def _install(self) -> None:
        """What an admin applies before lbprovider starts, and the Nodes."""
        manifests = shipped.manifests()
        first = [each for each in manifests if each["kind"] in {"CustomResourceDefinition", "Namespace"}]
        self.admin.create_all(first)
        self.admin.create_all(each for each in manifests if each not in first)
        self.admin.create_all(objects.proxy_rights())
        self.admin.create_all(objects.node(each) for each in self.lan.nodes.values())
        for each in self.lan.nodes.values():
            self.admin.patch_status(objects.NODES, each.name, objects.node_status(each, dt.datetime.now(dt.UTC)))
        self.until(self._established, "the API server serves our kinds")
        period = objects.period(self.settings.nodes, self.settings.addresses)
        if period is not None:
            self.admin.create(objects.segment([LAN4, LAN6], period))

    def _established(self) -> bool:
        conditions = [each.status.get("conditions", ()) for each in self.admin.list(objects.CRDS) if each.status]
        wanted = {"type": "Established", "status": "True"}.items()
        return bool(conditions) and all(any(wanted <= each.items() for each in some) for some in conditions)

    def stop_api(self) -> None:
        """SIGKILL the API server."""
        self._programs.pop(_API).kill()

    def start_api(self) -> None:
        """Start the API server again, with what it had; it answers on return."""
        self._start_api()
        self.until(lambda: self.admin.get(resources.NAMESPACES, NAMESPACE), "the API server answers again")

    def back_up(self, copy: Path) -> None:
        """Copy what the API server holds now, as an admin backs up etcd."""
        with (
            contextlib.closing(sqlite3.connect(self.home.objects)) as held,
            contextlib.closing(sqlite3.connect(copy)) as kept,
        ):
            held.backup(kept)

    def restore(self, copy: Path) -> None:
        """SIGKILL the API server and start it with what a copy holds; it answers on return."""
        self.stop_api()
        for each in self.home.directory.glob(f"{self.home.objects.name}-*"):  # SQLite's journal is of what is replaced
            each.unlink()
        shutil.copyfile(copy, self.home.objects)
        self.start_api()

    # --- the nodes

    @property
    def _patience(self) -> float:
        """Seconds that all nodes together may take: they share the machine."""
        return PATIENCE + 5 * self.settings.nodes

    def _start_node(self, name: str) -> None:
        account = provider.write_service_account(
            self.directory / f"datapath-{name}.serviceaccount",
            authority=self.authority,
            token=self.home.token(objects.PROXY),
        )
        self._programs[f"datapath-{name}"] = node.start(self.lan, name, account, CONTROL, API_PORT)

    def start_speaker(self, name: str) -> None:
        """Start a node's speaker."""
        self._programs[f"speaker-{name}"] = provider.start_speaker(self, name)

    def kill_speaker(self, name: str) -> None:
        """SIGKILL a node's speaker; its node goes on."""
        self._programs.pop(f"speaker-{name}").kill()

    def speaker(self, name: str) -> Process:
        """A node's speaker, to be stopped for a while, say."""
        return self._programs[f"speaker-{name}"]

    def stop_speaker(self, name: str) -> Process:
        """SIGTERM to a node's speaker, as a kubelet ends a Pod; its process, which takes its time to end."""
        process = self._programs.pop(f"speaker-{name}")
        process.send(signal.SIGTERM)
        return process

    @property
    def speakers(self) -> tuple[str, ...]:
        """The nodes whose speaker should run."""
        return tuple(name for name in self.lan.nodes if f"speaker-{name}" in self._programs)

    def power_off(self, name: str) -> None:
        """Take a node's power: speaker, data path and links are gone at once."""
        for kind in ("speaker", "datapath"):
            self._programs.pop(f"{kind}-{name}", None)
        self.lan.power_off(name)

    def power_on(self, name: str) -> None:
        """Give a node its power back."""
        self.lan.heal(name)
        self._start_node(name)
        self.start_speaker(name)

    def ready(self, name: str) -> bool:
        """Whether a node's speaker votes and is connected on all its LANs; OSError when it doesn't run."""
        return provider.health(self.lan.nodes[name].namespace)[0] == _HTTP_OK

    def await_ready(self) -> None:
        """Until the controller and all speakers are ready, and the views of Services and addresses are up."""
        leads = "the controller is ready"
        self.until(lambda: provider.health(self.lan.control)[0] == _HTTP_OK, leads, within=self._patience)
        self.until(lambda: all(map(self.ready, self.speakers)), "every speaker is ready", within=self._patience)
        self.until(lambda: self.services.synced and self.allocations.synced, "Services and addresses are listed")

    def await_members(self) -> None:
        """Until every node votes on the LAN, which begins with the first pool there.

        While members are still added, the majority is one of few, and the death of one of those may leave none.
        """

        def all_vote() -> bool:
            segment = self.segment
            return segment is not None and [set(each.members) for each in segment.spec.lists] == [set(self.speakers)]

        self.until(all_vote, f"every node is a member of Segment {_SEGMENT}", within=self._patience)

    @property
    def segment_name(self) -> str:
        """Of the LAN's Segment."""
        return _SEGMENT

    @property
    def segment(self) -> Segment | None:
        """The LAN's Segment as the API server has it; None while there is none."""
        return self._segments.get(_SEGMENT)

    # --- who has what

    def leader(self, address: Address) -> str | None:
        """The node that the IPAllocation of an address says has it."""
        found = self.allocations.get(object_name(address))
        return found.status.leader or None if found is not None else None

    @property
    def hold(self) -> int:
        """How long a voter's promise lasts on the LAN, nanoseconds; good once all nodes are members."""
        segment = self.segment
        return from_object(segment).hold if segment is not None else 0

    def node_of(self, mac: str) -> str:
        """The name of the node with a MAC on the LAN; the MAC itself where none has it."""
        return next((each.name for each in self.lan.nodes.values() if each.mac == mac), mac)

    # --- its programs

    def ended(self) -> tuple[tuple[str, Process], ...]:
        """The programs that have ended though nobody asked them to, by name."""
        return tuple((name, each) for name, each in self._programs.items() if not each.running)

    def check(self) -> None:
        """See that every program runs.

        Raises:
            HostError: one has ended; with the end of its log.
        """
        for name, process in self.ended():
            raise HostError(f"{name} ended with status {process.status}; {process.log} says\n{process.tail(_TAIL)}")

    def start_again(self, name: str) -> None:
        """Start a program that has ended, as its kubelet would."""
        kind, _, place = name.partition("-")
        if name == _API:
            self._start_api()
        elif kind == "speaker":
            self.start_speaker(place)
        elif kind == "datapath":
            self._start_node(place)
        else:
            self._programs[name] = provider.start_controller(self, name)

    def until(
        self, condition: Callable[[], T | None], what: str, *, within: float = PATIENCE, every: float = 0.02
    ) -> T:
        """As :func:`lbprovider.lab.waiting.until`, and no longer than all programs run.

        Raises:
            HostError: a program has ended.
            Late: it never came true.
        """
        return until(condition, what, within=within, every=every, check=self.check)


def _some(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
