"""The inner process of ``lbprovider lab trial``, in its sandbox: builds labs, runs trials, says what was seen."""

import argparse
import sys

from rich.console import Console

from lbprovider.lab.inner import inside
from lbprovider.lab.story.telling import Teller, console
from lbprovider.lab.trials import telling
from lbprovider.lab.trials.runner import Runner
from lbprovider.lab.trials.table import chosen
from lbprovider.settings import TrialSettings


def _run(given: argparse.Namespace) -> int:
    settings = TrialSettings(
        names=tuple(given.name),
        repeat=given.repeat,
        nodes=given.nodes,
        addresses=given.addresses,
        ipv6=given.ipv6,
    )
    # With JSON asked for, nothing else may stand on standard output.
    teller = Teller(Console(stderr=True) if given.json else console())
    trials = chosen(settings.names, settings.nodes)
    teller.chapter(f"{len(trials)} of the failure matrix, {settings.repeat} times each; their logs: {given.directory}")
    results = []
    with Runner(settings, given.directory, teller.say) as runner:
        for result in runner.run(trials):
            teller.say(telling.line(result))
            results.append(result)
    if given.json:
        sys.stdout.write(telling.document(results) + "\n")
    else:
        found = Console()
        telling.table(results, found if found.is_terminal else Console(width=telling.WIDTH))
    for sentence in telling.closing(results):
        teller.add(sentence)
    return telling.status(results)


def main() -> None:
    """Entry point of the program."""
    parser = argparse.ArgumentParser(description="Trials inside their sandbox; started by `lbprovider lab trial`.")
    parser.add_argument("name", nargs="+")
    parser.add_argument("--repeat", required=True, type=int)
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--addresses", required=True, type=int)
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--json", action="store_true")
    inside(parser, _run)


if __name__ == "__main__":
    main()
