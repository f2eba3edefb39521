"""The diagrams of docs/election.md, from the code's own reasons: ``python -m tests.sim.diagram`` writes them there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from lbprovider.election.outcome import LostReason, WonReason
from tests.sim.coverage import OUTCOMES

PAGE: Final = Path(__file__).parents[2] / "docs" / "election.md"
_BLOCK: Final = re.compile(r"(<!-- (claim|segment): [^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)

_ENDS: Final[dict[LostReason, str]] = {
    LostReason.TAKEN_OVER: "Named",
    LostReason.SUCCESSOR_UNHEARD: "Named",
}
"""In which state a tenure ends for each reason; ``Owned`` for all others."""
_SWAPS: Final[dict[str, tuple[str, str]]] = {
    "members/grown": ("One", "Two"),
    "swap/18 witness": ("One", "Two"),
    "swap/C9 taken off": ("One", "Two"),
    "swap/C10 left": ("One", "Two"),
    "swap/17 cleared": ("Two", "One"),
    "swap/19 last resort": ("One", "Last"),
    "swap/C9 yielded": ("One", "One"),
}


def claim() -> str:
    """The life of one node's claim to one address."""
    lines = ["stateDiagram-v2", "    [*] --> Asked: 13"]
    lines += [f"    Asked --> Owned: 10, {reason}" for reason in WonReason]
    lines += ["    Asked --> [*]: 11b, asked in vain", "    Owned --> Named: 14, a successor"]
    for reason in LostReason:
        rule, _ = OUTCOMES[f"Lost/{reason}"]
        lines.append(f"    {_ENDS.get(reason, 'Owned')} --> [*]: {rule}, {reason}")
    return "\n".join(lines)


def segment() -> str:
    """How the lists of a Segment change."""
    names = {"One": "one list", "Two": "two lists, and a quorum of each", "Last": "one list, the last resort"}
    lines = ["stateDiagram-v2", *(f'    state "{text}" as {name}' for name, text in names.items()), "    [*] --> One"]
    for outcome, (before, after) in _SWAPS.items():
        rule, what = OUTCOMES[outcome]
        lines.append(f"    {before} --> {after}: {rule}, {what}")
    return "\n".join([*lines, "    Last --> Two: 16"])


def drawn(page: str) -> str:
    """The page with its diagrams as the code has them."""
    diagrams = {"claim": claim, "segment": segment}
    return _BLOCK.sub(lambda match: f"{match[1]}```mermaid\n{diagrams[match[2]]()}\n```\n{match[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
