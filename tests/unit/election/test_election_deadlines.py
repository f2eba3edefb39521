"""All deadlines at once are those that each claim has by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lbprovider.election.claims import Ask, Claims
from lbprovider.election.evidence import Echoed, Evidence
from lbprovider.election.guards import ALL
from lbprovider.election.outcome import WonReason
from lbprovider.election.segment import MemberList, Segment

NOW = 1_000
PEERS = ("b", "c", "d", "e")
ADDRESSES = [bytes((10, 0, 0, last)) for last in range(12)]

echoes = st.builds(
    Echoed,
    sent=st.just(0),
    expiry=st.integers(NOW - 3, NOW + 6),
    kv=st.integers(0, 5),
    refused=st.one_of(st.none(), st.just(frozenset()), st.frozensets(st.sampled_from(ADDRESSES), max_size=2)),
    version=st.integers(1, 2),
)
lists = st.builds(
    MemberList,
    st.lists(st.sampled_from(("a", *PEERS)), unique=True, min_size=1).map(tuple),
    st.integers(1, 3),
)


@given(
    st.lists(lists, min_size=1, max_size=2),
    st.dictionaries(st.sampled_from(PEERS), echoes),
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=len(ADDRESSES), max_size=len(ADDRESSES)),
    st.integers(NOW - 3, NOW + 6),
)
def test_all_at_once_is_each_by_itself_but_for_what_has_passed(
    members: list[MemberList], echoed: dict[str, Echoed], made: list[tuple[int, bool]], mine: int
) -> None:
    claims = Claims()
    evidence = Evidence("a", claims, ALL)
    evidence._echoed.update(echoed)
    segment = Segment("uid", "lan", 1, tuple(members))
    for address, (since, moving) in zip(ADDRESSES, made, strict=True):
        claim = claims.ask(Ask(address, WonReason.UNCLAIMED, "", 0), 0)
        claim.since = since
        if moving:
            claim.successor, claim.named_at = "b", NOW - 500_000_000
    together = evidence.deadlines(segment, mine, claims.values(), NOW)
    evidence.refresh(segment, mine, claims.values())
    alone = {each.address: each.until for each in claims.values()}
    assert together.keys() == alone.keys()
    for address, deadline in alone.items():
        assert together[address] == deadline or max(together[address], deadline) <= NOW, address


def test_what_a_voter_refuses_has_a_deadline_of_its_own() -> None:
    claims = Claims()
    evidence = Evidence("a", claims, ALL)
    for address in ADDRESSES[:2]:
        claims.ask(Ask(address, WonReason.UNCLAIMED, "", 0), 0)
    evidence._echoed.update(
        b=Echoed(0, NOW + 9, 5, frozenset({ADDRESSES[0]}), 1), c=Echoed(0, NOW + 5, 5, frozenset(), 1)
    )
    segment = Segment("uid", "lan", 1, (MemberList(("a", "b", "c"), 2),))
    assert evidence.deadlines(segment, NOW + 20, claims.values(), NOW) == {
        ADDRESSES[0]: NOW + 5,
        ADDRESSES[1]: NOW + 9,
    }
