"""``lbprovider validate``: one line a problem, with file, document, object and field; no cluster."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from lbprovider import shipped
from lbprovider.api.names import DEFAULT_CLASS
from lbprovider.cli.main import app
from lbprovider.cli.validating import validated
from lbprovider.deciding.known import Scope
from lbprovider.documents import Document, Reading

ROOT: Final = Path(__file__).parents[3]
SCHEMAS: Final = shipped.schemas()
runner = CliRunner()

GOOD: Final = """
    apiVersion: lbprovider.io/v1beta1
    kind: IPAddressPool
    metadata: {name: lan}
    spec: {addresses: [192.0.2.0/24]}
"""


def ask(text: str, *options: str) -> tuple[int, list[str]]:
    """The exit status, and the lines that are printed of this as standard input."""
    result = runner.invoke(app, ["validate", "-f", "-", *options], input=dedent(text))
    assert result.stderr == ""
    return result.exit_code, result.stdout.splitlines()


def only(text: str, *options: str) -> str:
    """The one problem, without the place that all have."""
    status, lines = ask(text, *options)
    assert (status, len(lines)) == (1, 1), lines
    return lines[0].removeprefix("standard input, ")


def service(annotations: str = "{}", spec: str = "", name: str = "web") -> str:
    return f"""
    apiVersion: v1
    kind: Service
    metadata: {{name: {name}, namespace: shop, annotations: {annotations}}}
    spec: {{type: LoadBalancer, ports: [{{port: 80}}]{spec and f", {spec}"}}}
    """


def allocation(address: str = "192.0.2.10", pool: str = "lan", service: str = "web") -> str:
    return f"""
    apiVersion: lbprovider.io/v1beta1
    kind: IPAllocation
    metadata: {{name: {address}}}
    spec:
      address: {address}
      pool: {pool}
      services: [{{namespace: shop, name: {service}, uid: "1"}}]
    """


def both(*documents: str) -> str:
    return "\n---\n".join(dedent(each) for each in documents)


def test_what_is_right_is_counted_and_ends_well() -> None:
    assert ask(GOOD) == (0, ["1 object, nothing wrong"])
    other = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
    assert ask(both(GOOD, service(), other)) == (0, ["2 objects, nothing wrong; not looked at: 1 of other kinds"])


def test_all_problems_of_all_files_are_said_sorted_by_place(tmp_path: Path) -> None:
    bad = GOOD.replace("192.0.2.0/24", "192.0.2.0/33").replace("lan}\n", "bad}\n")
    bad = bad.replace("spec: {", "spec: {autoAsign: true, ")
    (tmp_path / "b.yaml").write_text(dedent(bad))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.yaml").write_text(
        both(GOOD, "apiVersion: v1", "spec: [", GOOD.replace("name: lan", "name: LAN"))
    )
    (tmp_path / "a" / "c.txt").write_text("not a manifest")
    result = runner.invoke(app, ["validate", "-f", str(tmp_path / "b.yaml"), "-f", str(tmp_path / "a")])
    lines = [line.removeprefix(f"{tmp_path}/") for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [line.split(": ")[0] for line in lines] == [
        "a/a.yaml, document 2",
        "a/a.yaml, document 3, line 11",
        "a/a.yaml, document 4",
        "b.yaml, document 1",
        "b.yaml, document 1",
    ]
    assert lines[0] == "a/a.yaml, document 2: kind: is missing: each Kubernetes object has one"
    assert lines[2].startswith(
        'a/a.yaml, document 4: IPAddressPool lbprovider-system/LAN metadata.name: Invalid value: "LAN": a lowercase RFC'
    )
    assert lines[3] == (
        "b.yaml, document 1: IPAddressPool lbprovider-system/bad spec.autoAsign: is no field of an IPAddressPool"
    )
    assert lines[4] == (
        'b.yaml, document 1: IPAddressPool lbprovider-system/bad spec.addresses[0]: "192.0.2.0/33" is none of: a CIDR '
        "(192.0.2.0/24), a range (192.0.2.10-192.0.2.20), an address (192.0.2.10), IPv4 or IPv6; '33' is no prefix "
        "length, IPv4 has 0 to 32"
    )


def test_a_file_that_is_not_there_is_a_problem() -> None:
    result = runner.invoke(app, ["validate", "-f", "/nonexistent/pools.yaml"])
    assert result.exit_code == 1
    assert result.stdout == "/nonexistent/pools.yaml: can't be read: No such file or directory\n"


def test_an_item_of_a_list_is_named() -> None:
    text = """
    apiVersion: v1
    kind: List
    items:
    - {apiVersion: lbprovider.io/v1beta1, kind: IPAddressPool, metadata: {name: a}, spec: {addresses: [192.0.2.1]}}
    - {apiVersion: lbprovider.io/v1beta1, kind: IPAddressPool, metadata: {name: b}, spec: {addresses: []}}
    """
    assert only(text).startswith("document 1, item 1: IPAddressPool lbprovider-system/b spec.addresses: Invalid value:")


def test_no_file_is_a_usage_error() -> None:
    assert runner.invoke(app, ["validate"]).exit_code == 2


@pytest.mark.parametrize("version", ["lbprovider.io/v1", "lbprovider.io/v1beta1"])
def test_an_unknown_kind_of_ours_is_a_problem(version: str) -> None:
    text = f"apiVersion: {version}\nkind: IPPool\nmetadata: {{name: lan}}\n"
    assert only(text) == (
        f'document 1: IPPool lan kind: "IPPool" is no kind of {version}: lbprovider.io/v1beta1 has IPAddressPool, '
        "IPAllocation, L2Advertisement, Segment"
    )


def test_metallbs_spellings_are_read_as_ours() -> None:
    text = both(
        GOOD.replace("lbprovider.io", "metallb.io").replace("name: lan", "name: lan, namespace: metallb-system"),
        """
        apiVersion: metallb.io/v1beta1
        kind: L2Advertisement
        metadata: {name: lan, namespace: metallb-system}
        spec:
          preferredNodeSelectors: [{weight: 500, preference: {}}]
        """,
        "apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {name: x}\n",
    )
    assert only(text) == (
        "document 2: L2Advertisement lbprovider-system/lan spec.preferredNodeSelectors[0].weight: Invalid value: 500: "
        "spec.preferredNodeSelectors[0].weight in body should be less than or equal to 100"
    )


def test_the_line_stays_a_line_and_speaks_to_no_terminal() -> None:
    text = 'apiVersion: lbprovider.io/v1beta1\nkind: "A\\nB\\e[31m"\nmetadata: {name: "x\\ny"}\n'
    assert only(text).startswith(r'document 1: A\nB\x1b[31m x\ny kind: "A\nB\u001b[31m" is no kind')


# --- together


def test_pools_that_overlap_are_told_once_at_the_later() -> None:
    status, lines = ask(both(GOOD, GOOD.replace("name: lan", "name: new"), GOOD.replace("2.0/24", "3.0/24, 192.0.2.9")
                             .replace("name: lan", "name: third")))  # fmt: skip
    assert status == 1
    assert [line.removeprefix("standard input, document ") for line in lines] == [
        f"{number}: IPAddressPool lbprovider-system/{name} {field} has addresses in common with other pools, {common}: "
        "take them out of one of the two"
        for number, name, field, common in (
            (2, "new", 'spec.addresses[0]: "192.0.2.0/24"', "192.0.2.0-192.0.2.255 with IPAddressPool lan"),
            (
                3,
                "third",
                'spec.addresses[1]: "192.0.2.9"',
                "192.0.2.9 with IPAddressPool lan, 192.0.2.9 with IPAddressPool new",
            ),
        )
    ]


def test_only_pools_of_the_namespace_count() -> None:
    text = both(GOOD, GOOD.replace("name: lan", "name: lan, namespace: shop"))
    odd = (
        'warning: standard input, document 2: IPAddressPool shop/lan metadata.namespace: "shop" is not '
        "lbprovider-system, where lbprovider runs, so this counts for nothing"
    )
    assert ask(text) == (0, [odd, "2 objects, nothing wrong"])
    status, lines = ask(text, "--namespace", "shop")
    assert (status, len(lines)) == (1, 1)
    assert 'IPAddressPool shop/lan metadata.name: "lan" is there twice' in lines[0]


def test_a_missing_pool_is_worth_a_warning_only() -> None:
    advertisement = """
    apiVersion: lbprovider.io/v1beta1
    kind: L2Advertisement
    metadata: {name: all}
    spec: {ipAddressPools: [lan, dmz, bad]}
    """
    there = both(GOOD, advertisement.replace(", dmz, bad", ""))
    assert ask(there) == (0, ["2 objects, nothing wrong"])
    status, lines = ask(both(GOOD, advertisement, GOOD.replace("name: lan", "name: bad").replace("/24", "/33")))
    assert (status, len(lines)) == (1, 2), "a pool that is wrong is there all the same"
    assert lines[0] == (
        'warning: standard input, document 2: L2Advertisement lbprovider-system/all spec.ipAddressPools[1]: "dmz" is '
        "no IPAddressPool that is there: make it, or take the name out"
    )


def test_one_object_twice_is_a_slip() -> None:
    assert only(both(GOOD, service(), GOOD.replace("192.0.2.0", "198.51.100.0"))) == (
        'document 3: IPAddressPool lbprovider-system/lan metadata.name: "lan" is there twice, first in standard input, '
        "document 1: keep one"
    )
    assert only(both(service(), service())).startswith(
        'document 2: Service shop/web metadata.name: "web" is there twice'
    )


def test_a_pool_that_leaves_out_live_addresses_is_told_so() -> None:
    held = allocation("198.51.100.7")
    assert only(both(GOOD, held)).startswith(
        "document 1: IPAddressPool lbprovider-system/lan spec.addresses: leaves out addresses that Services hold, "
        "198.51.100.7 (shop/web): put them back"
    )
    assert ask(both(GOOD, allocation()))[0] == 0
    assert ask(both(GOOD.replace("lan}", 'lan, annotations: {lbprovider.io/force: "true"}}'), held))[0] == 0
    split = GOOD.replace("name: lan", "name: other").replace("192.0.2", "198.51.100")
    assert ask(both(GOOD, held, split))[0] == 0
    assert len(ask(both(GOOD, held, split.replace("/24", "/33")))[1]) == 1, "nobody knows what that one would cover"
    assert ask(both(GOOD, allocation("198.51.100.7", pool="elsewhere")))[0] == 0
    overlapping = GOOD.replace("name: lan", "name: other").replace("/24", "/24, 203.0.113.0/24")
    assert "in common" in only(both(GOOD, overlapping, allocation("203.0.113.7", pool="other"))), "that first"


def test_pinning_is_held_against_services_and_namespaces_of_the_input() -> None:
    pinned = GOOD.replace(
        "24]", "24], serviceAllocation: {namespaceSelectors: [{matchLabels: {kubernetes.io/metadata.name: bank}}]}"
    )
    shop = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
    assert ask(both(pinned, allocation(), service()))[0] == 0, "whose namespace's labels aren't known"
    assert only(both(pinned, allocation(), service(), shop)).startswith(
        "document 1: IPAddressPool lbprovider-system/lan spec.serviceAllocation: shuts out Services that hold "
        "addresses, 192.0.2.10 (shop/web): let them in"
    )
    assert ask(both(pinned.replace("bank", "shop"), allocation(), service(), shop))[0] == 0


# --- Services


@pytest.mark.parametrize(
    ("annotations", "spec", "said"),
    [
        (
            "{lbprovider.io/loadBalancerIPs: 192.0.2.300}",
            "",
            "InvalidAddress: annotation lbprovider.io/loadBalancerIPs",
        ),
        (
            "{metallb.io/address-pool: a, lbprovider.io/address-pool: b}",
            "",
            "ContradictingRequest: metadata.annotations",
        ),
        ("{lbprovider.io/loadBalancerIPs: 192.0.2.1}", "loadBalancerIP: 192.0.2.2", "ContradictingRequest: The annot"),
        ('{lbprovider.io/loadBalancerIPs: "192.0.2.1,192.0.2.2"}', "", "DuplicateFamily: "),
        ('{lbprovider.io/loadBalancerIPs: "192.0.2.1,2001:db8::1"}', "", "FamilyMismatch: "),
        ('{lbprovider.io/loadBalancerIPs: "2001:db8::1"}', "ipFamilies: [IPv4]", "FamilyMismatch: "),
        ('{lbprovider.io/loadBalancerIPs: "2001:db8::1"}', "clusterIP: 10.0.0.1", "FamilyMismatch: "),
        ("{lbprovider.io/loadBalancerIPs: 192.0.2.1}", "ipFamilyPolicy: RequireDualStack", "FamilyMismatch: Only "),
    ],
)
def test_requests_that_make_no_sense_are_said_by_their_reason(annotations: str, spec: str, said: str) -> None:
    assert only(service(annotations, spec)).startswith(f"document 1: Service shop/web {said}")


@pytest.mark.parametrize(
    ("annotations", "spec"),
    [
        ('{lbprovider.io/loadBalancerIPs: "2001:db8::1"}', ""),
        ('{lbprovider.io/loadBalancerIPs: "192.0.2.1"}', ""),
        ('{lbprovider.io/loadBalancerIPs: "192.0.2.1,2001:db8::1"}', "ipFamilyPolicy: PreferDualStack"),
        ('{lbprovider.io/loadBalancerIPs: "2001:db8::1"}', "ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4]"),
        ('{lbprovider.io/loadBalancerIPs: "192.0.2.1,2001:db8::1"}', "ipFamilies: [IPv6, IPv4]"),
        ("{lbprovider.io/loadBalancerIPs: nonsense}", "loadBalancerClass: example.com/other"),
        ("{lbprovider.io/address-pool: nowhere}", ""),
        ("{lbprovider.io/loadBalancerIPs: nonsense}", "clusterIP: None"),
    ],
    ids=[
        "IPv6 cluster",
        "IPv4 cluster",
        "dual-stack",
        "dual-stack, one",
        "both families",
        "not ours",
        "a pool",
        "none",
    ],
)
def test_requests_that_some_cluster_could_meet_are_well(annotations: str, spec: str) -> None:
    assert ask(service(annotations, spec))[0] == 0


def test_whose_services_are_ours_is_the_controllers_to_say() -> None:
    bad = service("{lbprovider.io/loadBalancerIPs: nonsense}")
    assert ask(bad)[0] == 1
    assert ask(bad, "--no-default-class")[0] == 0
    classed = service("{lbprovider.io/loadBalancerIPs: nonsense}", "loadBalancerClass: example.com/other")
    assert ask(classed, "--lb-class", "example.com/other")[0] == 1


def test_services_that_cannot_be_read_are_said() -> None:
    assert only(service().replace("port: 80", "port: http")) == (
        "document 1: Service shop/web spec.ports[0].port: is text, and has to be a whole number"
    )
    assert only(service(name="Web")).startswith("document 1: Service shop/Web metadata.name: Invalid value:")
    assert only(service().replace("port: 80", "port: 0")).startswith(
        "document 1: Service shop/web spec.ports[0].port: 0"
    )
    assert only("apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}\n").startswith("document 1: Namespace a.b met")
    assert only("apiVersion: v1\nkind: Namespace\nmetadata: {}\n") == (
        "document 1: Namespace metadata.name: is missing: each Namespace has one"
    )


def test_a_name_may_be_left_to_the_api_server() -> None:
    text = both(GOOD.replace("name: lan", "generateName: lan-"), service().replace("name: web", "generateName: web-"))
    assert ask(both(text, text.replace("192.0.2", "198.51.100"))) == (0, ["4 objects, nothing wrong"])


def test_the_examples_are_right() -> None:
    for path in sorted((ROOT / "examples").glob("*.yaml")):
        result = runner.invoke(app, ["validate", "-f", str(path)])
        assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1), result.stdout


# --- whatever there is, it is answered

json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**64) | st.sampled_from(["", "a", "192.0.2.1", "2001:db8::/64", "\n"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "namespace", "labels", "addresses", "spec", "services", "a", "ports", "lists", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
heads = st.sampled_from(
    [("lbprovider.io/v1beta1", kind) for kind in SCHEMAS]
    + [("metallb.io/v1beta1", "IPAddressPool"), ("metallb.io/v1beta1", "L2Advertisement")]
    + [("v1", "Service"), ("v1", "Namespace"), ("lbprovider.io/v2", "X")]
)


@given(
    st.lists(
        st.builds(
            lambda head, rest: {**rest, "apiVersion": head[0], "kind": head[1]},
            heads,
            st.fixed_dictionaries({}, optional={"metadata": json, "spec": json, "status": json, "x": json}),
        ),
        max_size=4,
    )
)
def test_whatever_the_documents_hold_each_is_answered(raws: list[dict[str, object]]) -> None:
    documents = tuple(Document("x", number, None, raw) for number, raw in enumerate(raws, start=1))
    scope = Scope(DEFAULT_CLASS, default_class=True)
    found = validated(Reading(documents, ()), SCHEMAS, "lbprovider-system", scope)
    assert found.checked == len(raws)
    assert all("\n" not in str(finding) and 0 < finding.number <= len(raws) for finding in found.findings)


def test_the_page_shows_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifests").mkdir()
    dmz = GOOD.replace("name: lan", "name: dmz").replace("192.0.2.0/24", "192.0.2.64/26")
    (tmp_path / "manifests" / "pools.yaml").write_text(both(GOOD, dmz))
    (tmp_path / "manifests" / "web.yaml").write_text(dedent(service("{lbprovider.io/loadBalancerIPs: 192.0.2.300}")))
    result = runner.invoke(app, ["validate", "-f", "manifests/"])
    page = (ROOT / "docs" / "validate.md").read_text(encoding="utf-8")
    assert f"$ lbprovider validate -f manifests/\n{result.stdout}$ echo $?\n{result.exit_code}\n" in page
    assert "`12 objects, nothing wrong`" in page
