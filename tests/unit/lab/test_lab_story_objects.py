"""What the lab applies: all that is shipped, with nothing lost on the way; and what it writes itself."""

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lbprovider import shipped
from lbprovider.api.names import segment_name
from lbprovider.errors import HostError
from lbprovider.ipam.ranges import buggy_within, parse
from lbprovider.kube.client import encode
from lbprovider.lab import objects
from lbprovider.lab.lan import LAN4, LAN6
from lbprovider.settings import MOST_ADDRESSES, MOST_NODES

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("manifest", shipped.manifests(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_a_shipped_manifest_reaches_the_api_server_as_it_is(manifest: dict[str, Any]) -> None:
    resource, content = objects.read(manifest)
    assert json.loads(encode(resource, content)) == manifest


def test_what_others_need_comes_first() -> None:
    kinds = [each["kind"] for each in shipped.manifests()]
    assert kinds[:5] == ["CustomResourceDefinition"] * 4 + ["Namespace"]
    assert set(kinds[5:]) == {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


def test_manifests_are_found_where_a_wheel_puts_them(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"neither in .*nowhere nor .*installed.*: install lbprovider anew"):
        shipped.manifests([tmp_path / "nowhere", tmp_path / "installed"])
    (tmp_path / "installed").symlink_to(ROOT / "config")
    assert shipped.manifests([tmp_path / "nowhere", tmp_path / "installed"]) == shipped.manifests()


def test_the_lab_writes_no_field_that_gets_lost() -> None:
    written = [
        objects.pool("lan", objects.ranges(MOST_ADDRESSES, ipv6=True)),
        objects.advertisement("lan"),
        objects.service("web-1", dual_stack=True),
        objects.endpoint_slice("default", "web-1", "IPv6", {"node1": LAN6[1]}),
        *objects.proxy_rights(),
    ]
    for each in written:
        resource, content = objects.read(each)
        assert json.loads(encode(resource, content)) == each


def test_a_service_is_dual_stack_when_asked() -> None:
    assert objects.service("web-1", dual_stack=True)["spec"]["ipFamilyPolicy"] == "RequireDualStack"
    assert "ipFamilies" not in objects.service("web-1", dual_stack=False)["spec"]


def test_large_labs_beat_more_slowly_and_small_ones_as_any_cluster() -> None:
    assert [objects.period(nodes, 2) for nodes in (1, 3, 12)] == [None, None, None]
    assert [objects.period(nodes, 2) for nodes in (13, MOST_NODES)] == [52, 200]
    assert [objects.period(3, services) for services in (1000, 1001, MOST_ADDRESSES)] == [None, 51, 250]


def test_a_segment_is_named_as_its_speakers_name_it() -> None:
    made = objects.segment([LAN4, LAN6], 200)
    resource, content = objects.read(made)
    assert json.loads(encode(resource, content)) == made
    assert made["metadata"]["name"] == segment_name([LAN6, LAN4], "eth0")


def test_a_node_is_ready_or_silent() -> None:
    now = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    ready = objects.ready_condition(now, ready=True)
    assert (ready["status"], ready["lastTransitionTime"]) == ("True", "2026-01-02T03:04:05Z")
    assert objects.ready_condition(now, ready=False)["status"] == "Unknown"


@pytest.mark.parametrize("services", [1, 50, 51, MOST_ADDRESSES + 1])
@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "dual-stack"])
def test_the_pool_has_room_for_every_service(services: int, *, ipv6: bool) -> None:
    given = [parse(each, "pool") for each in objects.ranges(services, ipv6=ipv6)]
    room = Counter({"IPv4": 0, "IPv6": 0})
    for each in given:
        room[each.family] += each.size - (buggy_within(each) if each.family == "IPv4" else 0)
    assert room["IPv4"] >= services
    assert (room["IPv6"] >= services) is ipv6
