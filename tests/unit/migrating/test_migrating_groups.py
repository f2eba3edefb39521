"""What goes together: an L2Advertisement is shut as a whole, and all of a pool's are."""

from hypothesis import given
from hypothesis import strategies as st

from lbprovider.migrating.groups import Group, groups

POOLS = st.sets(st.sampled_from("abcde")).map(frozenset)
REACH = st.dictionaries(st.sampled_from(["v", "w", "x", "y", "z"]), POOLS)


def test_pools_that_nothing_ties_go_one_after_the_other() -> None:
    reach = {"x": frozenset("a"), "y": frozenset("b")}
    assert groups(reach, together=False) == (Group(("a",), ("x",)), Group(("b",), ("y",)))
    assert groups(reach, together=True) == (Group(("a", "b"), ("x", "y")),)


@given(REACH)
def test_no_pool_and_no_advertisement_is_in_two_groups_and_none_is_left_out(reach: dict[str, frozenset[str]]) -> None:
    found = groups(reach, together=False)
    assert sorted(pool for one in found for pool in one.pools) == sorted(frozenset().union(*reach.values()))
    assert sorted(name for one in found for name in one.advertisements) == sorted(
        n for n, some in reach.items() if some
    )
    for one in found:
        for name in one.advertisements:
            assert reach[name] <= set(one.pools)


@given(REACH)
def test_no_group_could_be_smaller(reach: dict[str, frozenset[str]]) -> None:
    for one in groups(reach, together=False):
        reached = {one.pools[0]}
        for _ in one.advertisements:
            for name in one.advertisements:
                if reach[name] & reached:
                    reached |= reach[name]
        assert reached == set(one.pools)
