"""``lbprovider lab --keep``: the lab stays as it is, for whoever wants to try things, until it is interrupted."""

import itertools
import threading
import time
from collections.abc import Mapping
from shutil import which
from typing import Final, NoReturn

from lbprovider.errors import LbproviderError
from lbprovider.lab.cluster import Lab
from lbprovider.lab.provider import command
from lbprovider.lab.story.arrival import TITLE, Arrival, Given
from lbprovider.lab.story.telling import Teller

_LOOK: Final = 0.5
"""Seconds between looks at whether every program runs."""
_PATIENCE: Final = (1.0, 5.0, 20.0, 60.0)
"""Seconds between starts of a program that keeps ending: the kubelet's idea, with a shorter end."""
_SHOWN: Final = 10
"""Services whose addresses are shown one by one."""


def keep(lab: Lab, teller: Teller) -> NoReturn:
    """Make the Services, say how to get at everything, and see that it runs until KeyboardInterrupt.

    Raises:
        LbproviderError: the Services did not get what they need.
    """
    arrival = Arrival(lab, teller.say)
    teller.chapter(TITLE)
    failed = [each for each in arrival.tell(TITLE) if not each.ok]
    for each in failed:
        teller.add(f"failed: {each}")
    _explain(lab, arrival.services, teller)
    _tend(lab, teller)


def _explain(lab: Lab, services: Mapping[str, Given], teller: Teller) -> None:
    shown = dict(itertools.islice(services.items(), _SHOWN))
    teller.chapter("The lab stays until Ctrl-C")
    for name, given in shown.items():
        addresses = " ".join(f"{each} (at {lab.leader(each) or 'no node yet'})" for each in given.addresses)
        teller.add(f"  Service {name:<8} {addresses}")
    if len(services) > len(shown):
        teller.add(f"  and {len(services) - len(shown)} more")
    first = next(iter(shown.values())).addresses[0]
    teller.add("In another terminal, an ordinary kubectl:")
    teller.add(f"  export KUBECONFIG={lab.kubeconfig}")
    teller.add("  kubectl get services,ipallocations,segments")
    teller.add("and the client on the LAN, a node (node1), or beside the API server (control):")
    us = "lbprovider" if which("lbprovider") == command() else command()  # from a virtual environment, by its path
    teller.add(f"  {us} lab enter client curl http://{first}/")
    teller.add(f"  {us} lab enter node1")
    teller.add(f"Logs: {lab.directory}/*.log")


def _tend(lab: Lab, teller: Teller) -> NoReturn:
    """Start again what ends, as a kubelet does."""
    pause = threading.Event()  # never set
    due: dict[str, float] = {}
    times: dict[str, int] = {}
    while True:
        for name, process in lab.ended():
            if name not in due:
                patience = _PATIENCE[min(times.get(name, 0), len(_PATIENCE) - 1)]
                times[name] = times.get(name, 0) + 1
                due[name] = time.monotonic() + patience
                teller.say(f"{name} ended with status {process.status} ({process.log}); again in {patience:.0f} s")
            elif time.monotonic() >= due[name]:
                del due[name]
                try:
                    lab.start_again(name)
                except (OSError, LbproviderError) as error:
                    teller.say(f"{name} can't be started: {error}")
                else:
                    teller.say(f"{name} started again")
        pause.wait(_LOOK)
