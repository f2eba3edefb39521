from typing import Literal

import pytest

from lbprovider.api.meta import Condition, LabelExpression, LabelSelector, ObjectMeta, to_builtins, with_condition
from lbprovider.api.pool import IPAddressPool, IPAddressPoolSpec
from lbprovider.api.resources import NAMESPACES, POOLS, SEGMENTS, SERVICES

THEN, NOW = "2025-01-01T00:00:00Z", "2025-01-01T00:01:00Z"


def ready(status: Literal["True", "False", "Unknown"], message: str = "", since: str = "") -> Condition:
    return Condition(type="Ready", status=status, reason="Because", message=message, last_transition_time=since)


OTHER = Condition(type="Other", status="True", reason="Because", last_transition_time=THEN)


def test_a_first_condition_begins_now() -> None:
    assert with_condition((), ready("True"), NOW) == (ready("True", since=NOW),)


def test_another_status_begins_now_and_stays_in_its_place() -> None:
    assert with_condition((ready("True", since=THEN), OTHER), ready("False"), NOW) == (ready("False", since=NOW), OTHER)


def test_another_message_keeps_the_time_of_the_status() -> None:
    changed = with_condition((OTHER, ready("True", "one", THEN)), ready("True", "two"), NOW)
    assert changed == (OTHER, ready("True", "two", THEN))


def test_the_same_again_equals_what_was_so_nothing_is_written() -> None:
    before = (OTHER, ready("True", "same", THEN))
    assert with_condition(before, ready("True", "same"), NOW) == before


LABELS = {"tier": "web", "zone": "a"}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        (LabelSelector(), True),
        (LabelSelector(match_labels={"tier": "web"}), True),
        (LabelSelector(match_labels={"tier": "web", "zone": "b"}), False),
        (LabelSelector(match_labels={"gone": ""}), False),
        (LabelSelector(match_expressions=(LabelExpression(key="zone", operator="In", values=("a", "b")),)), True),
        (LabelSelector(match_expressions=(LabelExpression(key="zone", operator="In", values=("b",)),)), False),
        (LabelSelector(match_expressions=(LabelExpression(key="gone", operator="In", values=("b",)),)), False),
        (LabelSelector(match_expressions=(LabelExpression(key="zone", operator="NotIn", values=("a",)),)), False),
        # As in Kubernetes: a label that isn't there has none of the values.
        (LabelSelector(match_expressions=(LabelExpression(key="gone", operator="NotIn", values=("a",)),)), True),
        (LabelSelector(match_expressions=(LabelExpression(key="zone", operator="Exists"),)), True),
        (LabelSelector(match_expressions=(LabelExpression(key="gone", operator="Exists"),)), False),
        (LabelSelector(match_expressions=(LabelExpression(key="zone", operator="DoesNotExist"),)), False),
        (LabelSelector(match_expressions=(LabelExpression(key="gone", operator="DoesNotExist"),)), True),
        (
            LabelSelector(
                match_labels={"tier": "web"},
                match_expressions=(
                    LabelExpression(key="zone", operator="Exists"),
                    LabelExpression(key="tier", operator="DoesNotExist"),
                ),
            ),
            False,
        ),
    ],
)
def test_a_label_selector_matches_when_all_of_it_does(selector: LabelSelector, *, matches: bool) -> None:
    assert selector.matches(LABELS) is matches


def test_an_object_is_encoded_with_the_names_of_the_api_and_without_its_defaults() -> None:
    pool = IPAddressPool(
        metadata=ObjectMeta(name="lan"),
        spec=IPAddressPoolSpec(addresses=("192.0.2.0/24",), avoid_buggy_ips=True, allow_sharing_across_namespaces=True),
    )
    assert to_builtins(pool) == {
        "metadata": {"name": "lan"},
        "spec": {"addresses": ("192.0.2.0/24",), "avoidBuggyIPs": True, "allowSharingAcrossNamespaces": True},
    }


def test_an_object_is_known_by_namespace_and_name() -> None:
    assert IPAddressPool(metadata=ObjectMeta(name="lan", namespace="system")).key == "system/lan"
    assert IPAddressPool(metadata=ObjectMeta(name="lan")).key == "lan"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (SERVICES.path(), "/api/v1/services"),
        (SERVICES.path("web", "shop", "status"), "/api/v1/namespaces/web/services/shop/status"),
        (NAMESPACES.path("ignored", "web"), "/api/v1/namespaces/web"),
        (POOLS.path("system"), "/apis/lbprovider.io/v1beta1/namespaces/system/ipaddresspools"),
        (SEGMENTS.path(name="192.0.2.0-24"), "/apis/lbprovider.io/v1beta1/segments/192.0.2.0-24"),
    ],
)
def test_each_kind_has_its_path(path: str, expected: str) -> None:
    assert path == expected


def test_a_resource_is_named_as_in_a_message_of_the_api_server() -> None:
    assert str(SERVICES) == "services"
    assert str(POOLS) == "ipaddresspools.lbprovider.io"
