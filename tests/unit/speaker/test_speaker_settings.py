"""Settings of the speaker that can't be meant are refused at start, by the name of their flag."""

from __future__ import annotations

from typing import Any

import pytest

from lbprovider.announce.probing import Probe
from lbprovider.errors import UsageError
from lbprovider.settings import MOST_FRAMES, SpeakerSettings


def settings(**fields: Any) -> SpeakerSettings:
    return SpeakerSettings(namespace="lbprovider-system", node_name="n1", **fields)


def test_as_shipped_four_thousand_frames_a_second_and_the_short_probe() -> None:
    shipped = settings()
    assert (shipped.gratuitous_pps, shipped.probe) == (4_000, Probe.SHORT)


@pytest.mark.parametrize("pace", [0, -1, MOST_FRAMES + 1])
def test_a_pace_that_sends_nothing_or_cannot_be_kept_is_refused(pace: int) -> None:
    with pytest.raises(UsageError, match=rf"--gratuitous-pps {pace}: between 1 and {MOST_FRAMES} frames a second"):
        settings(gratuitous_pps=pace)


@pytest.mark.parametrize("pace", [1, MOST_FRAMES])
def test_the_slowest_and_the_fastest_pace_are_taken(pace: int) -> None:
    assert settings(gratuitous_pps=pace).gratuitous_pps == pace
