"""What kubectl and a real API server say of config/default: that it is as it should be, and that it may run."""

import http
import json
import os
import re
from pathlib import Path

import pytest
import yaml

from lbprovider.lab.provider import CONTROLLER, NAMESPACE, SPEAKER
from tests.e2e.rig import ours
from tests.e2e.rig.api import Object
from tests.e2e.rig.cluster import Cluster

pytestmark = pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])

DEFAULT = ours.CONFIG / "default"
ENFORCE = "pod-security.kubernetes.io/enforce"
BEYOND_BASELINE = {"non-default capabilities", "host namespaces", "hostPort", "hostPath volumes"}
"""All that the speaker asks of a node, in the words of Pod Security admission."""
OTHER = "registry.example/mirror/lbprovider:9.9.9"


@pytest.fixture(scope="module")
def applied(cluster: Cluster) -> Cluster:
    """All of it, as users apply it; nothing here runs Pods."""
    cluster.kubectl("apply", "-k", str(DEFAULT), "--validate=strict", "--warnings-as-errors")
    return cluster


def rendered(cluster: Cluster, folder: Path) -> list[Object]:
    return list(yaml.safe_load_all(cluster.kubectl("kustomize", str(folder))))


def workloads(objects: list[Object]) -> dict[str, Object]:
    """The Pod templates, by name of what makes the Pods."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in objects
        if each["kind"] in ("Deployment", "DaemonSet")
    }


def template(cluster: Cluster, name: str) -> Object:
    return workloads(rendered(cluster, DEFAULT))[name]


def test_it_is_applied_without_a_warning_and_then_there_is_nothing_to_change(applied: Cluster) -> None:
    again = applied.kubectl("apply", "-k", str(DEFAULT), "--validate=strict").splitlines()
    assert len(again) == len(rendered(applied, DEFAULT))
    assert [line for line in again if not line.endswith(" unchanged")] == []


def test_server_side_apply_takes_every_field_too(applied: Cluster) -> None:
    said = applied.kubectl("apply", "-k", str(DEFAULT), "--server-side", "--force-conflicts", "--dry-run=server")
    assert len(said.splitlines()) == len(rendered(applied, DEFAULT))


def test_a_field_that_is_not_known_would_be_refused(applied: Cluster, tmp_path: Path) -> None:
    document = yaml.safe_load((DEFAULT / "speaker.yaml").read_text(encoding="utf-8"))
    document["spec"]["template"]["spec"]["containers"][0]["hostPort"] = 7472
    (tmp_path / "speaker.yaml").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(RuntimeError, match="unknown field"):
        applied.kubectl("apply", "-f", str(tmp_path), "--validate=strict", "--dry-run=server")


def test_one_line_of_a_kustomization_says_which_image_both_run(applied: Cluster, tmp_path: Path) -> None:
    name, _, tag = OTHER.rpartition(":")
    overlay = {
        "resources": [os.path.relpath(DEFAULT, tmp_path.resolve())],
        "images": [{"name": "lbprovider", "newName": name, "newTag": tag}],
    }
    (tmp_path / "kustomization.yaml").write_text(json.dumps(overlay), encoding="utf-8")
    assert {
        (name, container["image"])
        for name, pod in workloads(rendered(applied, tmp_path)).items()
        for container in pod["spec"]["containers"]
    } == {(CONTROLLER, OTHER), (SPEAKER, OTHER)}


def found(cluster: Cluster) -> set[tuple[str, str]]:
    """What bears our label."""
    kinds = (
        "namespaces,crds,serviceaccounts,clusterroles,clusterrolebindings,roles,rolebindings,deployments,daemonsets,"
        "services,validatingwebhookconfigurations"
    )
    argv = ("get", kinds, "--all-namespaces", "--selector=app.kubernetes.io/part-of=lbprovider", "--output=json")
    return {(each["kind"], each["metadata"]["name"]) for each in json.loads(cluster.kubectl(*argv))["items"]}


def test_everything_of_ours_is_found_by_its_label(applied: Cluster) -> None:
    assert found(applied) == {(each["kind"], each["metadata"]["name"]) for each in rendered(applied, DEFAULT)}


def refusal(cluster: Cluster, level: str, pod: Object) -> str:
    """Why a Pod of this template may not run where this level is enforced; empty if it may."""
    namespace = f"is-{level}"
    labels = {"pod-security.kubernetes.io/enforce": level, "pod-security.kubernetes.io/enforce-version": "latest"}
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(made))
    metadata = {"name": "tried", "namespace": namespace, "labels": pod["metadata"]["labels"]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}
    answer = cluster.api.ask("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", body)
    return "" if answer.status == http.HTTPStatus.CREATED else str(answer.json["message"])


def test_the_controller_may_run_where_pod_security_is_restricted(applied: Cluster) -> None:
    assert refusal(applied, "restricted", template(applied, CONTROLLER)) == ""


def test_restricted_would_refuse_a_controller_that_may_do_anything_more(applied: Cluster) -> None:
    pod = template(applied, CONTROLLER)
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]
    assert "unrestricted capabilities" in refusal(applied, "restricted", pod)


def test_the_speaker_needs_the_nodes_network_and_disk_which_only_privileged_lets_it_have(applied: Cluster) -> None:
    said = refusal(applied, "baseline", template(applied, SPEAKER))
    assert set(re.findall(r"(?:: |\), )([\w -]+) \(", said)) == BEYOND_BASELINE, said
    assert refusal(applied, "privileged", template(applied, SPEAKER)) == ""
    assert applied.api.get(f"/api/v1/namespaces/{NAMESPACE}")["metadata"]["labels"][ENFORCE] == "privileged"


def test_at_the_end_one_command_takes_all_of_it_away(applied: Cluster) -> None:
    ours.pool(applied, "lan", "198.51.100.200")
    applied.kubectl("delete", "-k", str(DEFAULT), "--timeout=60s")
    assert found(applied) == set()
