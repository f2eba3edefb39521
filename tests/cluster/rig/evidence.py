"""What is shown of a cluster where a test failed: enough to begin with, and never more than a few screens."""

import itertools
import subprocess
from collections.abc import Iterator, Sequence
from typing import Final

from lbprovider.lab.provider import NAMESPACE
from tests.cluster.rig import workloads
from tests.cluster.rig.kubectl import Kubectl

_LINES: Final = 60
"""Of each."""
_PODS: Final = 12
_LOOKS: Final[Sequence[tuple[str, ...]]] = (
    ("get", "nodes", "--output=wide"),
    ("get", "pods", "--all-namespaces", "--output=wide"),
    ("get", "services", "--all-namespaces", "--output=wide"),
    ("get", "ipallocations,segments,ipaddresspools,l2advertisements", "--all-namespaces"),
    ("get", "leases", f"--namespace={NAMESPACE}", "--output=wide"),
    ("get", "events", f"--namespace={NAMESPACE}", "--sort-by=.lastTimestamp"),
    ("get", "events", f"--namespace={workloads.NAMESPACE}", "--sort-by=.lastTimestamp"),
)


def gather(kubectl: Kubectl) -> Iterator[tuple[str, str]]:
    """Titles and texts; what can't be had says why."""
    for look in _LOOKS:
        yield _ask(kubectl, *look)
    names = _said(kubectl, "get", "pods", f"--namespace={NAMESPACE}", "--output=name").split()
    for name in itertools.islice((each for each in names if each.startswith("pod/")), _PODS):
        here = f"--namespace={NAMESPACE}"
        yield _ask(kubectl, "describe", here, name)
        yield _ask(kubectl, "logs", here, name, f"--tail={_LINES}")
        title, previous = _ask(kubectl, "logs", here, name, "--previous", f"--tail={_LINES}")
        if "not found" not in previous:
            yield title, previous


def _ask(kubectl: Kubectl, *arguments: str) -> tuple[str, str]:
    lines = _said(kubectl, *arguments).splitlines()
    left_out = [f"… {len(lines) - _LINES} lines before"] if len(lines) > _LINES else []
    return f"kubectl {' '.join(arguments)}", "\n".join([*left_out, *lines[-_LINES:]])


def _said(kubectl: Kubectl, *arguments: str) -> str:
    """All that a command says: a failing one's reason is evidence too."""
    try:
        result = subprocess.run(
            kubectl.command(*arguments, "--request-timeout=10s"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return repr(error)
    return result.stdout
