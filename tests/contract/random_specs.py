"""Specs of our kinds at random, right ones and wrong ones; all but those of :func:`slipped` pass their schema."""

import copy
import json
import random
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from lbprovider.api.names import object_name
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, POOLS, SEGMENTS, Resource
from tests.e2e.rig.api import Object

RIGHT: Final = 0.6
"""How many entries of a pool are right, mixed families and the order aside, and how many of its fields are left out."""

Chance = random.Random
Make = Callable[[Chance], Object]


GOOD4: Final = tuple(str(IPv4Address("192.0.2.0") + each) for each in (0, 1, 9, 10, 99, 100, 255, 256, 65536))
GOOD6: Final = tuple(
    form
    for each in (0, 1, 9, 10, 15, 16, 255, 256, 65535, 65536, 2**64)
    for good in (IPv6Address("2001:db8::") + each,)
    for form in (str(good), good.exploded.upper())
)


def address(chance: Chance) -> str:
    """Often a good one, and near the others; sometimes none, or one that no Service can have."""
    return chance.choice(
        (
            lambda: chance.choice(GOOD4),
            lambda: chance.choice(GOOD6),
            lambda: str(IPv4Address(chance.getrandbits(32))),
            lambda: str(IPv6Address(chance.getrandbits(128))),
            lambda: chance.choice(ODD_ADDRESSES),
        )
    )()


ODD_ADDRESSES: Final = (
    "127.0.0.1", "126.255.255.255", "128.0.0.0", "0.0.0.0", "0.1.2.3", "1.0.0.0", "169.254.7.7", "169.253.0.0",  # noqa: S104  (nothing binds to them)
    "169.255.0.0", "223.255.255.255", "224.0.0.1", "239.9.9.9", "240.0.0.1", "255.255.255.255", "::", "::1", "::2",
    "fe80::1", "febf::", "fec0::", "fe7f::", "ff02::1", "::ffff:192.0.2.1", "::ffff:c000:201", "::1.2.3.4",
    "2001:db8::192.0.2.1", "1:2:3:4:5:6:7::", "1:2:3:4::5:6:7:8", "::1:2:3:4:5:6:7:8", "1::2::3", "12345::", "1:2:3",
    "2001:db8::1%eth0", "fe80::1%0", "192.0.2.01", "192.0.2.256", "192.0.2", "1.2.3.4.5", "192.0.2.1.", "lan", "",
    "20", "x:y", "0x7f.0.0.1", "٣.2.3.4", "::g", "1.2.3.-4",
)  # fmt: skip
BLANKS: Final = ("", "", "", "", " ", "\t", "  ", "\n", "\u00a0", "\v", "\u2003")


def entry(chance: Chance) -> str:
    """An entry of a pool: most are right or nearly so."""
    if chance.random() < RIGHT:
        first, last = (chance.choice(chance.choice((GOOD4, GOOD6))) for _ in range(2))
        return chance.choice((first, f" {first} ", f"{first}-{last}", f"{first}/{128 if ':' in first else 32}"))
    around, dash = [chance.choice(BLANKS) for _ in range(2)], [chance.choice(BLANKS) for _ in range(2)]
    first, last = address(chance), address(chance)
    return chance.choice(
        (
            lambda: f"{around[0]}{first}{around[1]}",
            lambda: f"{around[0]}{first}/{length(chance)}{around[1]}",
            lambda: f"{around[0]}{first}{dash[0]}-{dash[1]}{last}{around[1]}",
            lambda: f"{around[0]}{first}{dash[0]}-{dash[1]}{first.partition('.')[0]}{last[-3:]}",
            lambda: f"{first}{chance.choice(('-', '/', ' ', ',', '--', ' - '))}{last}-{last}",
        )
    )()[:90]


def length(chance: Chance) -> str:
    return chance.choice(
        (str(chance.randrange(130)), "0", "8", "24", "32", "64", "128", "024", "", "+8", "8 ", " 8", "x")
    )


def selector(chance: Chance) -> Object:
    operators = ("In", "NotIn", "Exists", "DoesNotExist")
    expressions = [
        {
            "key": f"{chance.choice('ab')}{number}",
            "operator": chance.choice(operators),
            **chance.choice(({}, {"values": []}, {"values": ["x"]})),
        }
        for number in range(chance.randrange(3))
    ]
    return chance.choice(({}, {"matchLabels": {"a": "b"}}, {"matchExpressions": expressions}))


def selectors(chance: Chance) -> list[Object]:
    """Some, no two alike."""
    found = {json.dumps(selector(chance), sort_keys=True) for _ in range(chance.randrange(3))}
    return [json.loads(each) for each in sorted(found)]


def some(chance: Chance, values: tuple[str, ...]) -> list[str]:
    """At most two of them, in any order, none twice."""
    return chance.sample(values, chance.randrange(3))


DURATIONS: Final = ("0", "0s", "90s", "1h30m", "1.5h", "1µs", "1μs", "", "5", "1d", " 1s", "1s ", "1s\n", "-1s", ".5s",
                    "1.s", "00s", "1h1h", "0s0", "٣s")  # fmt: skip
NAMESPACES: Final = ("shop", "kube-system", "0", "Shop", "a-", "-a", "a.b", "", "a b", "a\n", "ä", "x" * 63)
INTERFACES: Final = ("eth0", "br-lan.100", ".", "eth0 eth1", "a/b", "a:b", "a\tb", "a\vb", "a\u00a0b", "ä", "\n")
SUBNETS: Final = (
    "192.0.2.0/24", "198.51.100.0/24", "10.0.0.0/8", "2001:db8::/64", "2001:DB8:1::/48", "0.0.0.0/0", "fe80::/64",
    "192.0.2.1/24", "192.0.2.0", "lan", " 10.0.0.0/8", "10.0.0.0/08", "::ffff:0:0/96", "fe80::%eth0/64",
)  # fmt: skip


def pool(chance: Chance) -> Object:
    whole = {
        "addresses": [entry(chance) for _ in range(chance.randrange(1, 3))],
        "excludeAddresses": [entry(chance) for _ in range(chance.randrange(2))],
        "reuseAfter": chance.choice(DURATIONS),
        "serviceAllocation": {
            "priority": 1,
            "namespaces": some(chance, NAMESPACES),
            "namespaceSelectors": selectors(chance),
            "serviceSelectors": selectors(chance),
        },
    }
    return {name: value for name, value in whole.items() if name == "addresses" or chance.random() > RIGHT}


def advertisement(chance: Chance) -> Object:
    whole = {
        "ipAddressPools": some(chance, ("lan", "dmz")),
        "ipAddressPoolSelectors": selectors(chance),
        "nodeSelectors": selectors(chance),
        "interfaces": some(chance, INTERFACES),
        "serviceSelectors": selectors(chance),
        "preferredNodeSelectors": [{"weight": 1, "nodeSelector": selector(chance)} for _ in range(chance.randrange(3))],
    }
    return dict(chance.sample(sorted(whole.items()), chance.randrange(4)))


def members(chance: Chance) -> Object:
    period = chance.choice(({}, {}, {"heartbeatPeriod": 50}, {"heartbeatPeriod": 200}))
    nodes = ("a", "b", "c")
    return {"members": chance.sample(nodes, chance.randrange(1, 4)), "need": chance.randrange(1, 5), **period}


def segment(chance: Chance) -> Object:
    return {
        "subnets": some(chance, SUBNETS),
        "interface": chance.choice(("", "", "eth0", "eth1")),
        "version": chance.randrange(5),
        "lists": [members(chance) for _ in range(chance.randrange(3))],
    }


LAN: Final[Object] = {
    "subnets": ["192.0.2.0/24", "2001:db8::/64"],
    "interface": "",
    "version": 2,
    "lists": [{"members": ["a", "b", "c"], "need": 2}, {"members": ["a", "b"], "need": 2, "heartbeatPeriod": 200}],
}


def segment_after(chance: Chance) -> Object:
    """What somebody may make of the Segment that is stored."""
    lists: list[Object] = LAN["lists"]
    changes: tuple[Object, ...] = (
        {"version": chance.randrange(5)},
        {"lists": chance.choice((lists[:1], lists[::-1], [], [lists[0], members(chance)], [members(chance)]))},
        {"lists": [{**each, "members": chance.sample(each["members"], len(each["members"]))} for each in lists]},
        {"subnets": chance.choice((LAN["subnets"][::-1], LAN["subnets"][:1], some(chance, SUBNETS)))},
        {"interface": chance.choice(("", "eth0"))},
        {"heartbeatPeriod": 100},
    )
    changed = dict(LAN)
    for change in chance.sample(changes, chance.randrange(1, 4)):
        changed |= change
    return changed


ALLOCATION: Final[Object] = {"address": "2001:db8::5", "pool": "lan"}


def allocation(chance: Chance) -> Object:
    return {"address": address(chance)[:39], "pool": "lan"}


def allocation_after(chance: Chance) -> Object:
    return chance.choice((allocation(chance), {**ALLOCATION, "pool": "dmz"}, {**ALLOCATION, "address": "2001:DB8::5"}))


def name_for(chance: Chance, spec: Object) -> str:
    """Of an IPAllocation: its own name, another's, or one that is nearly it."""
    text: str = spec["address"]
    names = ["192.0.2.1", "2001-db8-0-0-0-0-0-1", "web", "a.b", text.lower(), text.lower().replace(":", "-")]
    try:
        right = object_name(IPv6Address(text) if ":" in text else IPv4Address(text))
    except ValueError:
        right = "x"
    names += [right, right, right, right.replace("-0-", "-00-", 1)]
    fitting = [
        each for each in names if re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,37}[a-z0-9])?", each) and ".." not in each
    ]
    return chance.choice([each for each in fitting if not re.search(r"[.]-|-[.]", each)])


CASES: Final[Mapping[str, tuple[Resource[Any], Make, Object | None]]] = {
    "pools": (POOLS, pool, None),
    "advertisements": (ADVERTISEMENTS, advertisement, None),
    "segments": (SEGMENTS, segment, None),
    "segments that change": (SEGMENTS, segment_after, LAN),
    "allocations": (ALLOCATIONS, allocation, None),
    "allocations that change": (ALLOCATIONS, allocation_after, ALLOCATION),
}
"""What is tried: the kind, new specs, and the one that is stored before."""

_SLIPS: Final[tuple[object, ...]] = (None, True, -1, 0, 7, 10**6, 1.5, "", "x" * 400, [], {}, ["x", "x"], {"x": {}})
"""What may come in the place of something else."""


def slipped(chance: Chance, spec: Object) -> Object:
    """The spec with something in it gone, twice there, or replaced by what may not be there."""
    whole: Object = {"spec": copy.deepcopy(spec)}
    container, key = chance.choice(list(_places(whole)))
    if chance.random() < RIGHT:
        container[key] = chance.choice(_SLIPS)
    elif isinstance(container, list):
        container.append(copy.deepcopy(container[key]))
    else:
        del container[key]
    return whole


def _places(container: Any) -> list[tuple[Any, Any]]:
    """Every field and item below, as what holds it and where."""
    keys = list(container) if isinstance(container, dict) else range(len(container))
    here = [(container, key) for key in keys]
    nested = [container[key] for key in keys if isinstance(container[key], dict | list)]
    return here + [place for each in nested for place in _places(each)]
