"""The inner process of ``lbprovider lab``, in its sandbox: builds the lab, and tells its story or keeps it."""

import argparse

from lbprovider.lab import running
from lbprovider.lab.cluster import Lab
from lbprovider.lab.inner import inside
from lbprovider.lab.keep import keep
from lbprovider.lab.story.chapters import Story
from lbprovider.lab.story.telling import Teller, console
from lbprovider.settings import LabSettings


def _run(given: argparse.Namespace) -> int:
    settings = LabSettings(nodes=given.nodes, addresses=given.addresses, ipv6=given.ipv6, keep=given.keep)
    teller = Teller(console())
    teller.chapter(f"A cluster on this machine, in namespaces of its own; its logs: {given.directory}")
    with Lab(settings, given.directory, given.listen_fd, teller.say) as lab:
        places = {"client": lab.lan.client, "control": lab.lan.control}
        places |= {name: node.namespace for name, node in lab.lan.nodes.items()}
        running.publish(given.directory, {name: each.name for name, each in places.items()}, lab.inside)
        if settings.keep:
            keep(lab, teller)
        return Story(lab, teller).tell()


def main() -> None:
    """Entry point of the program."""
    parser = argparse.ArgumentParser(description="The lab inside its sandbox; started by `lbprovider lab`.")
    parser.add_argument("--nodes", required=True, type=int)
    parser.add_argument("--addresses", required=True, type=int)
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--keep", action="store_true")
    inside(parser, _run)


if __name__ == "__main__":
    main()
