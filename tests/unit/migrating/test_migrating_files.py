"""MetalLB's objects out of files: what is made of them, what is left, what is different, and what can't be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lbprovider.api.names import DEFAULT_CLASS
from lbprovider.deciding.known import Scope
from lbprovider.errors import InvalidDocument, InvalidObject, UserError
from lbprovider.migrating import showing
from lbprovider.migrating.files import Paper, on_paper

V1BETA1 = "metallb.io/v1beta1"


def told(tmp_path: Path, *objects: dict[str, Any], text: str = "", metallb_class: str = "", ours: bool = True) -> Paper:
    file = tmp_path / "metallb.yaml"
    file.write_text(text or yaml.safe_dump_all(objects), encoding="utf-8")
    return on_paper(
        [str(file)],
        None,
        namespace="lbprovider-system",
        metallb_namespace="metallb-system",
        metallb_class=metallb_class,
        scope=Scope(DEFAULT_CLASS, default_class=ours),
        now=0.0,
    )


def theirs(
    kind: str, name: str, spec: dict[str, Any], namespace: str = "metallb-system", **metadata: Any
) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": V1BETA1, "kind": kind, "metadata": metadata, "spec": spec}


def pool(name: str, *addresses: str, **more: Any) -> dict[str, Any]:
    metadata = more.pop("metadata", {})
    return theirs("IPAddressPool", name, {"addresses": list(addresses), **more}, **metadata)


def service(name: str, *addresses: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    annotations = spec.pop("annotations", {})
    fields = {"type": "LoadBalancer", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ipFamilies": ["IPv4"]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {**fields, "ipFamilyPolicy": "SingleStack", "ports": [{"port": 80}], **spec},
        "status": {"loadBalancer": {"ingress": [{"ip": each} for each in addresses]}},
    }


def written(paper: Paper) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(showing.manifests(paper.carried)))


def test_pools_and_advertisements_keep_their_names_and_all_that_they_say(tmp_path: Path) -> None:
    spec = {
        "addresses": ["192.0.2.0/24", "2001:db8::1-2001:db8::9"],
        "autoAssign": False,
        "avoidBuggyIPs": True,
        "serviceAllocation": {"priority": 5, "namespaces": ["a"], "serviceSelectors": [{"matchLabels": {"x": "y"}}]},
    }
    said = {
        "ipAddressPoolSelectors": [{"matchLabels": {"zone": "a"}}],
        "nodeSelectors": [{"matchExpressions": [{"key": "n", "operator": "In", "values": ["1"]}]}],
        "interfaces": ["eth0"],
    }
    paper = told(
        tmp_path,
        theirs("IPAddressPool", "lan", spec, labels={"zone": "a"}, annotations={"note": "1"}),
        theirs("L2Advertisement", "lan", said),
    )
    assert written(paper) == [
        {
            "apiVersion": "lbprovider.io/v1beta1",
            "kind": "IPAddressPool",
            "metadata": {"name": "lan", "namespace": "lbprovider-system", "labels": {"zone": "a"}},
            "spec": spec,
        },
        {
            "apiVersion": "lbprovider.io/v1beta1",
            "kind": "L2Advertisement",
            "metadata": {"name": "lan", "namespace": "lbprovider-system"},
            "spec": said,
        },
    ]
    assert paper.problems == ()
    assert paper.carried.notes == ()
    assert paper.carried.by_layer2 == {"lan"}


CONFIGURATION = """
address-pools:
- name: default
  protocol: layer2
  addresses: [192.0.2.10-192.0.2.19]
  auto-assign: false
  avoid-buggy-ips: true
- name: Far_Away
  protocol: bgp
  addresses: [198.51.100.0/24]
  bgp-advertisements: [{aggregation-length: 32, localpref: 100}]
peers:
- peer-address: 10.0.0.1
  peer-asn: 64501
  my-asn: 64500
bgp-communities: {no-export: "65535:65281"}
bfd-profiles: [{name: fast}]
"""


def config(text: str, namespace: str = "metallb-system") -> dict[str, Any]:
    metadata = {"name": "config", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"config": text}}


def test_the_old_configmap(tmp_path: Path) -> None:
    paper = told(tmp_path, config(CONFIGURATION))
    assert [(one["kind"], one["metadata"]["name"], one["spec"]) for one in written(paper)] == [
        (
            "IPAddressPool",
            "default",
            {"addresses": ["192.0.2.10-192.0.2.19"], "autoAssign": False, "avoidBuggyIPs": True},
        ),
        ("IPAddressPool", "far-away", {"addresses": ["198.51.100.0/24"]}),
        ("L2Advertisement", "default", {"ipAddressPools": ["default"]}),
    ]
    assert paper.carried.legacy == {"default"}
    assert paper.carried.by_bgp == {"far-away"}
    assert [left.what for left in paper.carried.left] == [
        "BGPPeer 10.0.0.1", "Community no-export", "BFDProfile fast", "AddressPool far-away, protocol bgp",
    ]  # fmt: skip
    assert any("'Far_Away', so it is far-away" in note for note in paper.carried.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is no YAML"),
        ("[]", "is no configuration of MetalLB"),
        ("address-pools: 1", "address-pools: is no list"),
        ("address-pools: [1]", r"address-pools\[0\]: is no pool"),
        ("address-pools: [{name: a, protocol: layer2}]", "addresses: is missing"),
        (
            "address-pools: [{name: a, protocol: layer2, addresses: [x], colour: red}]",
            "colour: is nothing that MetalLB",
        ),
    ],
)
def test_an_old_configmap_that_metallb_would_not_read(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidObject, match=said):
        told(tmp_path, config(text))


def test_the_configmap_of_something_else_is_passed_by(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing of MetalLB in these files"):
        told(tmp_path, config("address-pools: 1", namespace="other"))


@pytest.mark.parametrize("version", ["v1beta1", "v1alpha1"])
def test_address_pools_of_layer2_are_a_pool_and_an_advertisement(tmp_path: Path, version: str) -> None:
    one = theirs("AddressPool", "lan", {"protocol": "layer2", "addresses": ["192.0.2.10-192.0.2.19"]})
    paper = told(tmp_path, {**one, "apiVersion": f"metallb.io/{version}"})
    assert [(one["kind"], one["spec"]) for one in written(paper)] == [
        ("IPAddressPool", {"addresses": ["192.0.2.10-192.0.2.19"]}),
        ("L2Advertisement", {"ipAddressPools": ["lan"]}),
    ]


def test_what_is_about_bgp_is_listed_with_what_it_means(tmp_path: Path) -> None:
    paper = told(
        tmp_path,
        pool("lan", "192.0.2.0/24"),
        pool("far", "198.51.100.0/24"),
        theirs("L2Advertisement", "lan", {"ipAddressPools": ["lan"]}),
        theirs("BGPAdvertisement", "all", {}),
        {**theirs("BGPPeer", "router", {}), "apiVersion": "metallb.io/v1beta2"},
        service("web", "198.51.100.7"),
        service("both", "192.0.2.7"),
    )
    assert {left.what: left.meaning for left in paper.carried.left} == {
        "BGPAdvertisement metallb-system/all": "announces the pools far, lan by BGP; far by nothing else",
        "BGPPeer metallb-system/router": "a router that MetalLB's speakers have a BGP session with",
    }
    assert {one.key: one.by for one in paper.prospects} == {
        "default/web": ("BGP",),
        "default/both": ("layer 2", "BGP"),
    }
    assert all(one.kept for one in paper.prospects)


def test_what_metallb_reads_differently_is_written_as_it_was_meant(tmp_path: Path) -> None:
    paper = told(tmp_path, pool("lan", "192.0.2.5/24", "10.0.0.1-2001:db8::1"))
    assert paper.carried.pools[0].spec.addresses == ("192.0.2.0/24",)
    notes = " ".join(paper.carried.notes)
    assert "192.0.2.5/24 is written as 192.0.2.0/24" in notes
    assert "10.0.0.1-2001:db8::1 mixes IPv4 and IPv6" in notes
    assert "no L2Advertisement is for lan" in notes


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([pool("a", "192.0.2.0/24"), pool("b", "192.0.2.7")], "overlaps"),
        ([pool("a", "224.0.0.0/24")], "multicast"),
        ([pool("a", "10.0.0.1-2001:db8::1")], "no address left"),
        ([pool("a", "192.0.2.0/24"), pool("a", "192.0.3.0/24")], "two IPAddressPools a"),
        ([theirs("IPAddressPool", "a", {"addresses": 7})], "addresses"),
        ([theirs("AddressPool", "a", {"addresses": ["192.0.2.1"], "protocol": "x"})], "has to be layer2 or bgp"),
    ],
)
def test_what_nothing_can_be_made_of(tmp_path: Path, objects: list[dict[str, Any]], said: str) -> None:
    assert said in " ".join(told(tmp_path, *objects).problems)


def test_objects_in_another_namespace_count_for_nothing(tmp_path: Path) -> None:
    other = theirs("IPAddressPool", "x", {"addresses": ["192.0.3.0/24"]}, namespace="team")
    paper = told(tmp_path, pool("lan", "192.0.2.0/24"), other)
    assert [one.metadata.name for one in paper.carried.pools] == ["lan"]
    assert any(note.startswith("IPAddressPool team/x is not in MetalLB's namespace") for note in paper.carried.notes)


def test_sharing_across_namespaces_is_allowed_where_it_is_done(tmp_path: Path) -> None:
    sharing = {"annotations": {"metallb.universe.tf/allow-shared-ip": "k"}}
    paper = told(
        tmp_path,
        pool("lan", "192.0.2.0/24"),
        pool("other", "198.51.100.0/24"),
        service("a", "192.0.2.7", namespace="one", **sharing),
        service("b", "192.0.2.7", namespace="two", ports=[{"port": 81}], **sharing),
        service("c", "198.51.100.7"),
    )
    assert {one.metadata.name: one.spec.allow_sharing_across_namespaces for one in paper.carried.pools} == {
        "lan": True,
        "other": False,
    }
    assert paper.problems == ()
    assert "192.0.2.7 (of one, two)" in " ".join(paper.carried.notes)


def test_labels_of_tools_are_left_out_unless_a_selector_asks_for_them(tmp_path: Path) -> None:
    labels = {"argocd.argoproj.io/instance": "x", "app.kubernetes.io/instance": "y", "zone": "a"}
    asks = {"ipAddressPoolSelectors": [{"matchLabels": {"app.kubernetes.io/instance": "y"}}]}
    paper = told(
        tmp_path, pool("lan", "192.0.2.0/24", metadata={"labels": labels}), theirs("L2Advertisement", "l", asks)
    )
    assert paper.carried.pools[0].metadata.labels == {"app.kubernetes.io/instance": "y", "zone": "a"}
    assert "argocd.argoproj.io/instance" in " ".join(paper.carried.notes)


def test_services_that_would_not_keep_what_they_have(tmp_path: Path) -> None:
    contradicting = {"metallb.io/loadBalancerIPs": "192.0.2.8", "metallb.universe.tf/loadBalancerIPs": "192.0.2.9"}
    paper = told(
        tmp_path,
        pool("lan", "192.0.2.0/24"),
        service("fine", "192.0.2.7"),
        service("outside", "203.0.113.1"),
        service("two", "192.0.2.8", annotations=contradicting),
        service("classy", "192.0.2.10", loadBalancerClass="metallb"),
    )
    said = {problem.split()[1]: problem for problem in paper.problems}
    assert said.keys() == {"default/outside", "default/two"}
    assert "contradict" in said["default/two"]


def test_a_service_of_metallbs_class_needs_that_class(tmp_path: Path) -> None:
    objects = [pool("lan", "192.0.2.0/24"), service("web", "192.0.2.7", loadBalancerClass="metallb.io/l2")]
    assert "--lb-class=metallb.io/l2" in " ".join(told(tmp_path, *objects, metallb_class="metallb.io/l2").problems)


def test_what_a_service_would_lose_is_announced_by_metallb_all_the_same(tmp_path: Path) -> None:
    objects = [
        pool("lan", "192.0.2.0/24"),
        theirs("L2Advertisement", "all", {}),
        service("web", "192.0.2.7"),
        service("senseless", "192.0.2.8", annotations={"metallb.io/loadBalancerIPs": "nonsense"}),
    ]
    assert [(one.kept, one.by) for one in told(tmp_path, *objects).prospects] == [
        (False, ("layer 2",)),
        (True, ("layer 2",)),
    ]
    assert [(one.kept, one.by) for one in told(tmp_path, *objects, ours=False).prospects] == [
        (False, ("layer 2",)),
        (False, ("layer 2",)),
    ]


def test_a_file_that_cant_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDocument, match=r"metallb\.yaml"):
        told(tmp_path, text="a: [")
