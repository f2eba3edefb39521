"""What the kernel does for a sandbox: the first steps inside a user namespace, and processes that end together.

The functions of the inside need the root of a user namespace with a mount and a network namespace of its own; each
raises :class:`OSError` with what was tried and the kernel's own words. ``python -m lbprovider.net.userns`` tries them
all and says in one line what is not allowed; it is run in a sandbox of its own, which nothing survives.
"""

import contextlib
import ctypes
import errno
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Final

RUN: Final = Path("/run")
NAMES: Final = "netns"
"""The entry of ``/run`` where ip-netns(8) keeps the names of network namespaces."""

_MS_BIND: Final = 0x1000  # mount.h
_MS_REC: Final = 0x4000  # mount.h
_PR_SET_PDEATHSIG: Final = 1  # prctl.h
_PR_SET_CHILD_SUBREAPER: Final = 36  # prctl.h
_SIOCSIFFLAGS: Final = 0x8914  # sockios.h
_IFF_UP: Final = 1  # if.h
_NETLINK_NETFILTER: Final = 12  # netlink.h
_NLMSG_ERROR: Final = 2  # netlink.h
_NLM_F_REQUEST: Final = 1  # netlink.h
_NFT_MSG_GETGEN: Final = 10 << 8 | 16  # nfnetlink.h, nf_tables.h
_REPLY_SIZE: Final = 4096


def _call(function: str, *arguments: object, what: str) -> None:
    # Opened where it is called: the lab's preflight is imported on systems without such a library, too.
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    words = (source.encode(), str(target).encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _call("mount", *words, what=f"mount {kind or 'bind'} on {target}")


# --- inside


def own_names(run: Path = RUN) -> None:
    """Give this mount namespace its own names of network namespaces, none so far; the rest of ``/run`` stays.

    An ordinary user can't make ``/run/netns``, and what is there is the machine's. So ``/run`` becomes a tmpfs into
    which everything else is bound again: a directory for temporary files may be in it, or all programs (NixOS).
    """
    before = os.open(run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _mount("tmpfs", run, "tmpfs", 0, "mode=755")
        for entry in os.scandir(f"/proc/self/fd/{before}"):
            if entry.name != NAMES:
                _bring_back(entry, run / entry.name)
    finally:
        os.close(before)
    (run / NAMES).mkdir()


def _bring_back(entry: os.DirEntry[str], here: Path) -> None:
    if entry.is_symlink():
        here.symlink_to(os.readlink(entry.path))  # noqa: PTH115 - what it says, not what it leads to
        return
    if entry.is_dir():
        here.mkdir()
    else:
        here.touch()
    # What the kernel doesn't let us bind (another's FUSE) the lab doesn't need: it stays an empty name.
    with contextlib.suppress(OSError):
        _mount(entry.path, here, "", _MS_BIND | _MS_REC)


def loopback_up() -> None:
    """Set ``lo`` of this network namespace up; the kernel gives it its addresses."""
    import fcntl  # noqa: PLC0415 - not on Windows, where the lab's preflight is imported too

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", _IFF_UP)  # netdevice(7): struct ifreq, up to its flags
        try:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)
        except OSError as error:
            raise OSError(error.errno, f"set lo up: {error.strerror}") from error


def ask_nftables() -> None:
    """Ask for the generation of the nftables rule set, which loads nf_tables where it is a module; OSError without."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
            kernel.settimeout(5)
            kernel.send(struct.pack("=IHHIIBBH", 20, _NFT_MSG_GETGEN, _NLM_F_REQUEST, 1, 0, socket.AF_UNSPEC, 0, 0))
            answer = kernel.recv(_REPLY_SIZE)
    except OSError as error:
        raise OSError(error.errno, f"nf_tables: {error.strerror or error}") from error
    _, kind, _, _, _, code = struct.unpack_from("=IHHIIi", answer)
    if kind == _NLMSG_ERROR and code:
        raise OSError(-code, f"nf_tables: {os.strerror(-code)}")


# --- ending together


def die_with_parent(number: signal.Signals) -> None:
    """Get this signal when the thread that started this process ends (prctl(2), PR_SET_PDEATHSIG)."""
    _call("prctl", _PR_SET_PDEATHSIG, int(number), 0, 0, 0, what="prctl(PR_SET_PDEATHSIG)")


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    _call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0, what="prctl(PR_SET_CHILD_SUBREAPER)")


def main() -> None:
    """Try what the lab needs, in a sandbox of its own."""
    try:
        own_names()
        loopback_up()
        ask_nftables()
    except OSError as error:
        sys.exit(f"{error.strerror} ({errno.errorcode.get(error.errno or 0, 'no error number')})")


if __name__ == "__main__":
    main()
