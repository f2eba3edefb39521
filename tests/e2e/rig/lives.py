"""What happens to Services in the course of their lives, and the writes that the controller makes of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.e2e.rig.meddled import NOBODY, Case

CREATE: Final = "create ipallocation"
UPDATE: Final = "update ipallocation"
DELETE: Final = "delete ipallocation"
STATUS: Final = "patch service status"
POOL: Final = "patch ipaddresspool status"
EVENT: Final = "create event"

Wanted = Mapping[str, Sequence[str]]
"""Addresses by the letters of the Services."""
Story = Callable[[Case], Iterator[Wanted]]
"""Yields what there is before a change, makes it, and yields what an undisturbed controller makes of it."""


@dataclass(frozen=True, slots=True)
class Life:
    """Something that happens to a Service, and the writes that it takes.

    Args:
        story: what happens.
        writes: of Services and IPAllocations, in their order.
        besides: others, which come when they come.
        reason: of the condition of Service ``a`` in the end.
        honest: whether statuses and IPAllocations are the controller's alone.
    """

    story: Story
    writes: Sequence[str]
    besides: Sequence[str] = ()
    reason: str = ""
    honest: bool = True


def created(case: Case) -> Iterator[Wanted]:
    case.pool()
    yield {}
    case.service("a")
    yield {"a": [case.four(1)]}


def dual_stack(case: Case) -> Iterator[Wanted]:
    case.pool()
    yield {}
    case.service("a", families="64")
    yield {"a": [case.six(1), case.four(1)]}


def second_family(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a")
    yield {"a": [case.four(1)]}
    case.edit("a", spec={"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"]})
    yield {"a": [case.four(1), case.six(1)]}


def one_family_less(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a", families="46")
    yield {"a": [case.four(1), case.six(1)]}
    case.edit("a", spec={"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]})
    yield {"a": [case.four(1)]}


def shared(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a", key="k")
    yield {"a": [case.four(1)]}
    case.service("b", key="k", port=443)
    yield {"a": [case.four(1)], "b": [case.four(1)]}


def moved(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a", asks=case.four(2))
    yield {"a": [case.four(2)]}
    case.annotate("a", asks=case.four(3))
    yield {"a": [case.four(3)]}


def moved_in_both_families(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a", families="46", asks=f"{case.four(2)},{case.six(2)}")
    yield {"a": [case.four(2), case.six(2)]}
    case.annotate("a", asks=f"{case.four(3)},{case.six(3)}")
    yield {"a": [case.four(3), case.six(3)]}


def moved_together(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("b", key="k", asks=case.four(1))
    case.service("a", key="k", port=443, asks=case.four(2))
    yield {"b": [case.four(1)], "a": [case.four(2)]}
    case.annotate("a", asks=case.four(1))
    yield {"b": [case.four(1)], "a": [case.four(1)]}


def moved_apart(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("b", key="k", asks=case.four(1))
    case.service("a", key="k", port=443, asks=case.four(1))
    yield {"b": [case.four(1)], "a": [case.four(1)]}
    case.annotate("a", asks=case.four(2))
    yield {"b": [case.four(1)], "a": [case.four(2)]}


def pool_named(case: Case) -> Iterator[Wanted]:
    case.pool(1, 4)
    case.pool(5, 9, called="other")
    case.service("a")
    yield {"a": [case.four(1)]}
    case.annotate("a", pool=f"{case.name}-other")
    yield {"a": [case.four(5)]}


def ports_changed(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a")
    yield {"a": [case.four(1)]}
    case.edit("a", spec={"ports": [{"port": 8080, "protocol": "TCP"}]})
    yield {"a": [case.four(1)]}


def deleted(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a")
    yield {"a": [case.four(1)]}
    case.delete("a")
    yield {"a": []}


def deleted_in_both_families(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a", families="46")
    yield {"a": [case.four(1), case.six(1)]}
    case.delete("a")
    yield {"a": []}


def deleted_beside_another(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("b", key="k")
    case.service("a", key="k", port=443)
    yield {"b": [case.four(1)], "a": [case.four(1)]}
    case.delete("a")
    yield {"b": [case.four(1)], "a": []}


def class_changed_away(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a", families="46")
    yield {"a": [case.four(1), case.six(1)]}
    case.edit("a", spec={"type": "ClusterIP", "externalTrafficPolicy": None, "allocateLoadBalancerNodePorts": None})
    case.edit("a", spec={"type": "LoadBalancer", "loadBalancerClass": "example.com/other"})
    yield {"a": []}


def cooled(case: Case) -> Iterator[Wanted]:
    case.pool(reuseAfter="1s")
    case.service("a")
    yield {"a": [case.four(1)]}
    case.delete("a")
    yield {"a": []}


def taken_while_cooling(case: Case) -> Iterator[Wanted]:
    case.pool(1, 1, reuseAfter="1h")
    case.service("b")
    case.settles({"b": [case.four(1)]})
    case.delete("b")
    yield {NOBODY: [case.four(1)]}
    case.service("a")
    yield {"a": [case.four(1)]}


def handed_on(case: Case) -> Iterator[Wanted]:
    case.pool(1, 1)
    case.service("b")
    case.settles({"b": [case.four(1)]})
    case.service("a")
    yield {"b": [case.four(1)], "a": []}
    case.delete("b")
    yield {"a": [case.four(1)]}


def exhausted(case: Case) -> Iterator[Wanted]:
    case.pool(1, 1)
    case.service("b")
    yield {"b": [case.four(1)]}
    case.service("a")
    yield {"b": [case.four(1)], "a": []}


def pool_grown(case: Case) -> Iterator[Wanted]:
    case.pool(1, 1)
    case.service("b")
    case.settles({"b": [case.four(1)]})
    case.service("a")
    yield {"b": [case.four(1)], "a": []}
    case.repool(1, 4)
    yield {"b": [case.four(1)], "a": [case.four(2)]}


def pool_taken_away(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a")
    yield {"a": [case.four(1)]}
    case.repool(3, 4)
    yield {"a": [case.four(1)]}


def pool_taken_by_force(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a")
    yield {"a": [case.four(1)]}
    case.repool(3, 4, force=True)
    yield {"a": [case.four(3)]}


def status_written_by_hand(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a")
    yield {"a": [case.four(1)]}
    case.lie("a", case.four(9))
    yield {"a": [case.four(1)]}


def allocation_deleted_by_hand(case: Case) -> Iterator[Wanted]:
    case.pool()
    case.service("a", asks=case.four(2))
    yield {"a": [case.four(2)]}
    case.take_away(case.four(2))
    yield {"a": [case.four(2)]}


LIVES: Final[Mapping[str, Life]] = {
    "created": Life(created, [CREATE, STATUS], [POOL]),
    "dual-stack": Life(dual_stack, [CREATE, CREATE, STATUS]),
    "second-family": Life(second_family, [CREATE, STATUS]),
    "one-family-less": Life(one_family_less, [STATUS, DELETE]),
    "shared": Life(shared, [UPDATE, STATUS]),
    "moved": Life(moved, [CREATE, STATUS, DELETE]),
    "moved-in-both-families": Life(moved_in_both_families, [CREATE, CREATE, STATUS, DELETE, DELETE]),
    "moved-together": Life(moved_together, [UPDATE, STATUS, DELETE]),
    "moved-apart": Life(moved_apart, [CREATE, STATUS, UPDATE]),
    "pool-named": Life(pool_named, [CREATE, STATUS, DELETE]),
    "ports-changed": Life(ports_changed, [UPDATE]),
    "deleted": Life(deleted, [DELETE]),
    "deleted-in-both-families": Life(deleted_in_both_families, [DELETE, DELETE]),
    "deleted-beside-another": Life(deleted_beside_another, [UPDATE]),
    "class-changed-away": Life(class_changed_away, [STATUS, DELETE, DELETE]),
    "cooled": Life(cooled, [UPDATE, DELETE]),
    "taken-while-cooling": Life(taken_while_cooling, [UPDATE, STATUS]),
    "handed-on": Life(handed_on, [DELETE, CREATE, STATUS]),
    "exhausted": Life(exhausted, [STATUS], [EVENT], reason="Exhausted"),
    "pool-grown": Life(pool_grown, [CREATE, STATUS]),
    "pool-taken-away": Life(pool_taken_away, [STATUS], [POOL], reason="Stranded"),
    "pool-taken-by-force": Life(pool_taken_by_force, [CREATE, STATUS, DELETE]),
    "status-written-by-hand": Life(status_written_by_hand, [UPDATE, STATUS], honest=False),
    "allocation-deleted-by-hand": Life(allocation_deleted_by_hand, [CREATE], honest=False),
}
