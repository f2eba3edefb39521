"""Network namespaces: made, wired, cut and deleted; and programs started in them.

The lab and the end-to-end tests build a LAN of them. A :class:`Namespace` is named under ``/run/netns``, where
``ip netns`` looks, and has one thread of its own that lives inside: every netlink request, sysctl and socket of
the namespace is made on it, so that the process itself never leaves the namespace it was started in.

Needs CAP_SYS_ADMIN and CAP_NET_ADMIN: root, or the root of a user namespace that has its own tmpfs on ``/run``.

Raises :class:`OSError` for what the kernel refuses (pyroute2's ``NetlinkError`` where netlink said no).
"""

import contextlib
import ctypes
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Final, TypeVar

from pyroute2 import IPRoute, NetlinkError

T = TypeVar("T")

DIRECTORY: Final = Path("/run/netns")
"""Where ip-netns(8) keeps the names of network namespaces."""

_CLONE_NEWNET: Final = 0x40000000  # sched.h
_MS_BIND: Final = 4096  # mount.h
_MNT_DETACH: Final = 2  # mount.h
_NUD_NOARP: Final = 0x40  # linux/neighbour.h

_libc: Final = ctypes.CDLL(None, use_errno=True)


def _call(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _new_namespace(path: Path) -> None:
    """Leave this thread's network namespace for a new one and give that a name."""
    _call(_libc.unshare(_CLONE_NEWNET), "unshare(CLONE_NEWNET)")
    path.touch(mode=0o444, exist_ok=False)
    source = f"/proc/self/task/{threading.get_native_id()}/ns/net"
    _call(_libc.mount(source.encode(), str(path).encode(), b"none", _MS_BIND, None), f"mount {path}")


def _enter(path: Path) -> None:
    """Move this thread into the namespace of that name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call(_libc.setns(descriptor, _CLONE_NEWNET), f"setns {path}")
    finally:
        os.close(descriptor)


class Namespace:
    """One network namespace, by its name.

    Use :meth:`create` for a new one and the constructor for one that is there. :meth:`close` lets go of it,
    :meth:`delete` also takes its name away: the kernel frees it, with every interface in it, once the last process
    in it has ended.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = DIRECTORY / name
        self._begin(_enter)

    @classmethod
    def create(cls, name: str) -> "Namespace":
        """Make a namespace; FileExistsError when the name is taken. Its loopback interface is up."""
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        namespace = cls.__new__(cls)
        namespace.name = name
        namespace.path = DIRECTORY / name
        try:
            namespace._begin(_new_namespace)  # noqa: SLF001 - an alternative constructor
            namespace.up("lo")
        except BaseException:
            forget(name)
            raise
        return namespace

    def _begin(self, enter: Callable[[Path], None]) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"netns-{self.name}")
        self._route: Any = None
        try:
            self.run(lambda: enter(self.path))
            self._route = self.run(IPRoute)
        except BaseException:
            self._thread.shutdown()
            raise

    def run(self, function: Callable[[], T]) -> T:
        """Call a function inside the namespace; a socket that it opens stays there wherever it is used."""
        return self._thread.submit(function).result()

    def close(self) -> None:
        """Leave the namespace as it is."""
        if self._route is not None:
            route, self._route = self._route, None
            self.run(route.close)
        self._thread.shutdown()

    def delete(self) -> None:
        """Close and take the name away."""
        self.close()
        forget(self.name)

    # --- interfaces

    def _index(self, interface: str) -> int:
        found: Sequence[int] = self._route.link_lookup(ifname=interface)
        if not found:
            raise FileNotFoundError(f"no interface {interface} in {self.name}")
        return found[0]

    def add_bridge(self, name: str) -> None:
        """Add a bridge that forwards at once and floods multicast, as a plain switch does.

        No spanning tree and no forward delay: a cable that is put back works at once. No multicast snooping: there
        is no querier, and a bridge that snoops without one loses Neighbor Solicitations.
        """

        def add() -> None:
            self._route.link("add", ifname=name, kind="bridge", br_stp_state=0, br_forward_delay=0, br_mcast_snooping=0)
            self._route.link("set", index=self._index(name), state="up")

        self.run(add)

    def add_veth(self, name: str, peer: "Namespace", peer_name: str) -> None:
        """Lay a cable to another namespace; both ends are up."""

        def add() -> None:
            with peer.path.open("rb") as there:
                self._route.link(
                    "add", ifname=name, kind="veth", peer={"ifname": peer_name, "net_ns_fd": there.fileno()}
                )

        self.run(add)
        peer.up(peer_name)
        self.up(name)

    def up(self, interface: str) -> None:
        """Set an interface administratively up."""
        self.run(lambda: self._route.link("set", index=self._index(interface), state="up"))

    def down(self, interface: str) -> None:
        """Set an interface administratively down: the other end of a veth loses its carrier."""
        self.run(lambda: self._route.link("set", index=self._index(interface), state="down"))

    def enslave(self, interface: str, bridge: str | None) -> None:
        """Make an interface a port of a bridge, or of none: then nothing passes and both ends keep their carrier."""
        self.run(
            lambda: self._route.link(
                "set", index=self._index(interface), master=self._index(bridge) if bridge is not None else 0
            )
        )

    def one_way(self, port: str, *, speaks: bool = True, hears: bool = True) -> None:
        """Cut one direction of a bridge's port, or neither: both ends keep their carrier, and the other way works.

        Args:
            port: enslaved to a bridge.
            speaks: whether what comes from the cable reaches the bridge.
            hears: whether what the bridge has for the cable goes there.

        Raises:
            OSError: this kernel can't lock a port (Linux 5.18), which is how nothing comes in any more.
        """

        def cut() -> None:
            index = self._index(port)
            flags = {
                "locked": not speaks,  # whoever was not learnt is not let in, and nobody is learnt
                "learning": speaks and hears,
                **dict.fromkeys(("unicast_flood", "mcast_flood", "bcast_flood"), hears),
            }
            self._route.brport("set", index=index, **{name: int(flag) for name, flag in flags.items()})
            self._route.brport("set", index=index, flush=None)
            known = self._link(port).get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA")
            if not speaks and not (known and known.get_attr("IFLA_BRPORT_LOCKED")):
                raise OSError(errno.EOPNOTSUPP, f"port {port} can't be locked: this kernel is older than Linux 5.18")

        self.run(cut)

    def mac(self, interface: str) -> str:
        """The hardware address of an interface, as ``aa:bb:cc:dd:ee:ff``."""
        return str(self.run(lambda: self._link(interface).get_attr("IFLA_ADDRESS")))

    def set_mac(self, interface: str, mac: str) -> None:
        """Give an interface another hardware address, as bonding does when it changes its active port."""
        self.run(lambda: self._route.link("set", index=self._index(interface), address=mac))

    def carrier(self, interface: str) -> bool:
        """Whether the interface sees a carrier; a cable cut behind the switch takes none away."""
        return bool(self.run(lambda: self._link(interface).get_attr("IFLA_CARRIER")))

    def _link(self, interface: str) -> Any:
        return self._route.get_links(self._index(interface))[0]

    # --- addresses and routes

    def add_address(self, interface: str, address: str, length: int) -> None:
        """Give an interface an address with its prefix length."""
        self.run(lambda: self._route.addr("add", index=self._index(interface), address=address, prefixlen=length))

    def remove_address(self, interface: str, address: str, length: int) -> None:
        """Take an address from an interface."""
        self.run(lambda: self._route.addr("delete", index=self._index(interface), address=address, prefixlen=length))

    def add_route(self, destination: str, gateway: str) -> None:
        """Route a prefix (``default`` and its gateway's family for all of it) by way of a neighbour."""
        family = "::/0" if ":" in gateway else "0.0.0.0/0"
        target = family if destination == "default" else destination
        self.run(lambda: self._route.route("add", dst=target, gateway=gateway))

    def add_link(self, destination: str, interface: str) -> None:
        """Reach a prefix on the link of an interface itself, as if all of it were neighbours."""
        self.run(lambda: self._route.route("add", dst=destination, oif=self._index(interface), scope="link"))

    def flush_neighbours(self, interface: str) -> None:
        """Forget every neighbour that was learnt on an interface: the next packet asks again."""

        def flush() -> None:
            index = self._index(interface)
            for family in (socket.AF_INET, socket.AF_INET6):
                for known in tuple(self._route.neigh("dump", family=family, ifindex=index)):
                    if known["state"] & _NUD_NOARP:  # multicast, which the kernel keeps for itself
                        continue
                    with contextlib.suppress(NetlinkError):  # gone by itself meanwhile
                        self._route.neigh("delete", ifindex=index, dst=known.get_attr("NDA_DST"))

        self.run(flush)

    def sysctl(self, key: str, value: int | str) -> None:
        """Write ``/proc/sys/net/<key>``, a path with slashes (an interface's name may have dots)."""
        self.run(lambda: Path("/proc/sys/net", key).write_text(str(value), encoding="ascii"))

    # --- connections and programs

    def dial(self, address: IPv4Address | IPv6Address, port: int, timeout: float) -> socket.socket:
        """A TCP connection from inside; however long it takes, the namespace goes on with other calls.

        Args:
            address: whom to call.
            port: likewise.
            timeout: seconds for this and for whatever the socket is used for.

        Raises:
            OSError: refused, unreachable, or TimeoutError.
        """
        family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
        connection = self.run(lambda: socket.socket(family, socket.SOCK_STREAM))
        try:
            connection.settimeout(timeout)
            connection.connect((str(address), port))
        except BaseException:
            connection.close()
            raise
        return connection

    def command(self, argv: Sequence[str], *, capabilities: Sequence[str] | None = None) -> list[str]:
        """The command line that runs a program in this namespace, in place of itself.

        The program gets SIGKILL when the thread that started it ends, so that nothing survives a killed run.

        Args:
            argv: the program and its arguments.
            capabilities: the only ones it may have, as capabilities(7) spells them without ``cap_`` (none at all when
                empty), and it can gain none; all that we have when None.
        """
        allowed: list[str] = []
        if capabilities is not None:
            bound = ",".join(["-all", *(f"+{each}" for each in capabilities)])
            allowed = ["--no-new-privs", f"--bounding-set={bound}", f"--inh-caps={bound}"]
        inside = ["setpriv", "--pdeathsig=KILL", *allowed, "--", *argv]
        return ["nsenter", f"--net={self.path}", "--", *inside]

    def evict(self) -> None:
        """SIGKILL every process that is inside, other than this one."""
        evict(self.name)


def names() -> tuple[str, ...]:
    """Every named network namespace, sorted."""
    return tuple(sorted(each.name for each in DIRECTORY.iterdir())) if DIRECTORY.is_dir() else ()


def forget(name: str) -> None:
    """Take the name of a namespace away, whether it is still mounted or not."""
    path = DIRECTORY / name
    if path.exists():
        _libc.umount2(str(path).encode(), _MNT_DETACH)  # EINVAL: a name whose mount is gone, left by a killed run
        path.unlink(missing_ok=True)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:  # the process has ended meanwhile
        return None
    return status.st_dev, status.st_ino


def _pids() -> Iterator[int]:
    return (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit())


def occupants(name: str) -> tuple[int, ...]:
    """The processes whose network namespace is the one of that name, other than this one."""
    wanted = _inode(DIRECTORY / name)
    if wanted is None:
        return ()
    return tuple(pid for pid in _pids() if pid != os.getpid() and _inode(Path(f"/proc/{pid}/ns/net")) == wanted)


def evict(name: str) -> None:
    """SIGKILL every process in a namespace, other than this one."""
    for pid in occupants(name):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
