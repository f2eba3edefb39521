"""What is wrong with a node is said when it begins and when it ends, and no oftener."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog

from lbprovider.speaker.noticing import IPVS, LASTING, Noticing, answers_for_all, arp_ignore
from lbprovider.speaker.telling import Kind


@dataclass
class World:
    why: str = ""
    interfaces: set[str] = field(default_factory=lambda: {"lo", "eth0", "eth1", IPVS})
    modes: dict[str, int] = field(default_factory=lambda: {"eth0": 1, "eth1": 1})
    told: list[tuple[Kind, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.noticing = Noticing(
            self,
            why_not_ready=lambda: self.why,
            interfaces=lambda: self.interfaces,
            lans=lambda: self.modes,
            mode=self.modes.__getitem__,
        )

    def of_node(self, kind: Kind, reason: str, message: str) -> None:
        self.told.append((kind, reason, message))

    def look(self, *sentences: str) -> list[str]:
        """The log lines of one look for each sentence."""
        with structlog.testing.capture_logs() as lines:
            for self.why in sentences:
                self.noticing.look_at_readiness()
        return [f"{line['event']}: {line['why']}" if "why" in line else line["event"] for line in lines]


def test_each_change_is_one_line() -> None:
    world = World()
    assert world.look("no quorum answers", "no quorum answers", "eth0 is down", "", "") == [
        "not ready: no quorum answers", "not ready: eth0 is down", "ready",
    ]  # fmt: skip


def test_a_wait_that_grows_shorter_is_no_news() -> None:
    assert World().look("silent for another 250 ms", "silent for another 50 ms") == [
        "not ready: silent for another 250 ms"
    ]


def test_what_lasts_is_an_event_and_so_is_its_end() -> None:
    world = World()
    world.look("", *["starting"] * 2, *["no quorum"] * (LASTING - 2))
    assert world.told == [("Warning", "SpeakerNotReady", "no quorum")]
    world.look(*["no quorum"] * 100, "", "", "")
    assert world.told[1:] == [("Normal", "SpeakerReady", "the speaker is ready again")]


def test_what_is_short_is_no_event() -> None:
    world = World()
    for _ in range(10):
        world.look(*["no quorum"] * (LASTING - 1), "")
    assert world.told == []


def test_a_start_that_is_ready_at_once_is_no_event() -> None:
    world = World()
    assert world.look(*[""] * 10) == ["ready"]
    assert world.told == []


@pytest.mark.parametrize(
    ("interfaces", "modes", "found"),
    [
        ({"eth0", IPVS}, {"eth0": 0}, ("eth0",)),
        ({"eth0", "eth1", IPVS}, {"eth1": 0, "eth0": 0}, ("eth0", "eth1")),
        ({"eth0", "eth1", IPVS}, {"eth0": 1, "eth1": 0}, ("eth1",)),
        ({"eth0", IPVS}, {"eth0": 1}, ()),
        ({"eth0", IPVS}, {"eth0": 2}, ()),
        ({"eth0", IPVS}, {"eth0": -1}, ()),
        ({"eth0"}, {"eth0": 0}, ()),
    ],
)
def test_ipvs_without_strict_arp_is_seen(interfaces: set[str], modes: dict[str, int], found: tuple[str, ...]) -> None:
    assert answers_for_all(interfaces, modes, modes.__getitem__) == found


def test_it_is_said_once_and_again_when_it_comes_back() -> None:
    world = World(modes={"eth0": 0})
    for _ in range(3):
        world.noticing.look_at_arp()
    assert [(kind, reason) for kind, reason, _ in world.told] == [("Warning", "IPVSWithoutStrictARP")]
    assert "strictARP: true" in world.told[0][2]
    world.modes["eth0"] = 1
    world.noticing.look_at_arp()
    world.modes["eth0"] = 0
    world.noticing.look_at_arp()
    assert len(world.told) == 2


def test_the_stricter_of_all_and_the_interface_counts(tmp_path: Path) -> None:
    for name, value in (("all", "0\n"), ("eth0", "0\n"), ("eth1", "1\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "arp_ignore").write_text(value, encoding="ascii")
    assert [arp_ignore(name, tmp_path) for name in ("eth0", "eth1", "gone")] == [0, 1, -1]
    (tmp_path / "all" / "arp_ignore").write_text("2\n", encoding="ascii")
    assert arp_ignore("eth0", tmp_path) == 2
