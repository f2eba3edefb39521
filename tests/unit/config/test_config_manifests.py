"""What kubectl apply -k config/default installs: read as YAML, so that it needs neither kubectl nor a cluster."""

import re
from pathlib import Path
from typing import Final

import pytest
import yaml
from typer.main import get_command

from lbprovider import __version__
from lbprovider.api import names
from lbprovider.api.resources import ADVERTISEMENTS, POOLS
from lbprovider.cli.main import app
from lbprovider.controller import startup
from lbprovider.controller.webhook import judging, keeping, serving
from lbprovider.settings import ControllerSettings, SpeakerSettings
from lbprovider.speaker import leaving
from tests.e2e.rig.rights import ANY, Manifest, Right, granted

ROOT: Final = Path(__file__).parents[3]
NAMESPACE: Final = "lbprovider-system"
OWN_GROUPS: Final = {
    "lbprovider.io", "", "coordination.k8s.io", "discovery.k8s.io", "admissionregistration.k8s.io",
}  # fmt: skip


def load(folder: Path) -> list[Manifest]:
    """All objects of a kustomization, in its order."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    found: list[Manifest] = []
    for entry in listed:
        path = folder / entry
        found += load(path) if path.is_dir() else yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def installed() -> list[Manifest]:
    return load(ROOT / "config" / "default")


def one(installed: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (each for each in installed if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


@pytest.fixture
def controller(installed: list[Manifest]) -> Manifest:
    return one(installed, "Deployment", "lbprovider-controller")


@pytest.fixture
def speaker(installed: list[Manifest]) -> Manifest:
    return one(installed, "DaemonSet", "lbprovider-speaker")


@pytest.fixture(params=["controller", "speaker"])
def program(request: pytest.FixtureRequest) -> Manifest:
    found: Manifest = request.getfixturevalue(request.param)
    return found


def pod(workload: Manifest) -> Manifest:
    found: Manifest = workload["spec"]["template"]["spec"]
    return found


def container(workload: Manifest) -> Manifest:
    (only,) = pod(workload)["containers"]
    found: Manifest = only
    return found


def env(workload: Manifest) -> dict[str, str]:
    return {each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in container(workload)["env"]}


def test_everything_has_its_place_and_nothing_is_there_twice(installed: list[Manifest]) -> None:
    seen = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in installed]
    assert len(seen) == len(set(seen))
    cluster_wide = {
        "Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "ValidatingWebhookConfiguration",
    }  # fmt: skip
    for kind, namespace, name in seen:
        assert namespace == (None if kind in cluster_wide else NAMESPACE), name


def test_labels_say_what_belongs_to_what(installed: list[Manifest]) -> None:
    for each in installed:
        labels = dict(each["metadata"]["labels"])
        assert (labels.pop("app.kubernetes.io/name"), labels.pop("app.kubernetes.io/part-of")) == ("lbprovider",) * 2
        component = each["metadata"]["name"].removeprefix("lbprovider-")
        of_one = each["kind"] not in ("Namespace", "CustomResourceDefinition")
        ours = {key: value for key, value in labels.items() if key.startswith("app.kubernetes.io/")}
        assert ours == ({"app.kubernetes.io/component": component} if of_one else {})


def test_nothing_secret_is_shipped(installed: list[Manifest]) -> None:
    assert "Secret" not in {each["kind"] for each in installed}


def test_the_namespace_lets_the_speaker_into_the_nodes_network(installed: list[Manifest]) -> None:
    labels = one(installed, "Namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"


def test_both_run_one_image_of_this_version(program: Manifest) -> None:
    assert container(program)["image"] == "lbprovider"
    kustomization = yaml.safe_load((ROOT / "config" / "default" / "kustomization.yaml").read_text(encoding="utf-8"))
    (image,) = kustomization["images"]
    assert (image["name"], image["newTag"]) == ("lbprovider", __version__)
    assert f"ARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_a_workload_selects_its_own_pods_only(controller: Manifest, speaker: Manifest) -> None:
    for workload in (controller, speaker):
        selector = workload["spec"]["selector"]["matchLabels"]
        assert selector.items() <= workload["spec"]["template"]["metadata"]["labels"].items()
    assert controller["spec"]["selector"] != speaker["spec"]["selector"]


def test_arguments_and_environment_are_those_that_the_command_line_knows(program: Manifest) -> None:
    name, *arguments = container(program)["args"]
    command = get_command(app).commands[name]  # type: ignore[attr-defined]  # typer's app is a group
    flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert {argument.partition("=")[0] for argument in arguments if argument.startswith("--")} <= flags
    variables = {parameter.envvar for parameter in command.params} - {None}
    given = {variable["name"] for variable in container(program)["env"]}
    assert given <= variables
    # What has no default, or one that is right for one Pod only, comes from the Pod.
    assert {"POD_NAMESPACE"} | ({"NODE_NAME", "POD_NAME"} & variables) == given


def test_the_namespace_is_the_pods(program: Manifest) -> None:
    assert env(program)["POD_NAMESPACE"] == "metadata.namespace"


def test_replicas_are_told_apart_by_the_pods_name(controller: Manifest) -> None:
    assert env(controller)["POD_NAME"] == "metadata.name"


def test_a_speaker_knows_its_node(speaker: Manifest) -> None:
    assert env(speaker)["NODE_NAME"] == "spec.nodeName"


def test_probes_ask_the_port_that_is_served(program: Manifest) -> None:
    ports = {port["name"]: port["containerPort"] for port in container(program)["ports"]}
    assert ports["http"] == ControllerSettings(namespace="n", identity="i").http_port
    assert ports["http"] == SpeakerSettings(namespace="n", node_name="n").http_port
    assert container(program)["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container(program)["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_containers_may_do_little(program: Manifest) -> None:
    security = container(program)["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"]["drop"] == ["ALL"]
    assert pod(program)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "privileged" not in security


def test_all_that_is_kept_is_the_speakers_snapshot_on_its_node(controller: Manifest, speaker: Manifest) -> None:
    assert "volumes" not in pod(controller)
    (volume,) = pod(speaker)["volumes"]
    (mount,) = container(speaker)["volumeMounts"]
    # Made by kubelet, the folder is root's: without capabilities root can write in no other.
    assert volume["hostPath"] == {"path": mount["mountPath"], "type": "DirectoryOrCreate"}
    assert volume["name"] == mount["name"]
    assert container(speaker)["args"] == ["speaker", f"--snapshot-dir={mount['mountPath']}"]


def test_a_slow_start_is_no_reason_to_kill_and_a_loop_that_stands_still_is(program: Manifest) -> None:
    probes = container(program)
    start, live = probes["startupProbe"], probes["livenessProbe"]
    assert start["httpGet"] == live["httpGet"]
    # The controller asks an API server that doesn't answer for so long, and then ends by itself.
    assert start["periodSeconds"] * start["failureThreshold"] > 2 * startup.PATIENCE
    # One that is started may wait for a moment, not for its start again.
    assert "initialDelaySeconds" not in live
    assert container(program)["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_a_token_is_for_the_pod_that_asks_for_it(installed: list[Manifest], program: Manifest) -> None:
    account = one(installed, "ServiceAccount", pod(program)["serviceAccountName"])
    assert account["automountServiceAccountToken"] is False
    assert pod(program)["automountServiceAccountToken"] is True


def test_it_runs_where_linux_does(program: Manifest) -> None:
    # The speaker tolerates the taints of Windows nodes too.
    assert pod(program)["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_requests_are_there_and_no_limit_throttles(program: Manifest) -> None:
    assert container(program)["resources"].keys() == {"requests"}
    assert container(program)["resources"]["requests"].keys() == {"cpu", "memory"}


def test_the_controller_is_nobody_and_there_are_two_apart(controller: Manifest) -> None:
    assert controller["spec"]["replicas"] == 2
    security = pod(controller)["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"], security["runAsGroup"]) == (True, 65534, 65534)
    assert "add" not in container(controller)["securityContext"]["capabilities"]
    assert "hostNetwork" not in pod(controller)
    affinity = pod(controller)["affinity"]["podAntiAffinity"]
    # Required, the second would never start in a cluster of one node.
    (term,) = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
    assert "requiredDuringSchedulingIgnoredDuringExecution" not in affinity
    assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert term["podAffinityTerm"]["labelSelector"] == controller["spec"]["selector"]
    assert term["podAffinityTerm"]["matchLabelKeys"] == ["pod-template-hash"]


def test_an_update_of_the_controller_keeps_two_replicas(controller: Manifest) -> None:
    assert controller["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }


def test_the_controller_leaves_a_dead_node_soon(controller: Manifest) -> None:
    seconds = {each["key"]: each.get("tolerationSeconds") for each in pod(controller)["tolerations"]}
    assert seconds == {
        "node-role.kubernetes.io/control-plane": None,
        "node.kubernetes.io/not-ready": 30,
        "node.kubernetes.io/unreachable": 30,
    }


def test_nothing_keeps_the_only_node_of_a_cluster_from_being_drained(installed: list[Manifest]) -> None:
    assert "PodDisruptionBudget" not in {each["kind"] for each in installed}


def test_the_speaker_is_root_in_the_nodes_network_with_one_capability(speaker: Manifest) -> None:
    assert pod(speaker)["hostNetwork"] is True
    assert pod(speaker)["dnsPolicy"] == "Default"
    assert pod(speaker)["securityContext"]["runAsUser"] == 0
    assert container(speaker)["securityContext"]["capabilities"]["add"] == ["NET_RAW"]


def test_the_speakers_ports_are_the_nodes(speaker: Manifest) -> None:
    settings = SpeakerSettings(namespace="n", node_name="n")
    ports = {port["name"]: port for port in container(speaker)["ports"]}
    assert ports["heartbeat"]["protocol"] == "UDP"
    assert ports["heartbeat"]["containerPort"] == settings.heartbeat_port
    # In hostNetwork the API server refuses any other hostPort.
    assert all(port["hostPort"] == port["containerPort"] for port in ports.values())


def test_the_speaker_stays_whatever_befalls_its_node(speaker: Manifest) -> None:
    assert pod(speaker)["tolerations"] == [{"operator": "Exists"}]
    assert pod(speaker)["priorityClassName"] == "system-node-critical"


def test_speakers_are_replaced_one_at_a_time_and_have_the_time_to_hand_over(speaker: Manifest) -> None:
    assert speaker["spec"]["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
    }
    longest_move = 2 * 5 + leaving.SPARE  # seconds: 2 x hold at 500 nodes
    assert pod(speaker)["terminationGracePeriodSeconds"] > longest_move + leaving.LEAVE
    assert speaker["spec"]["minReadySeconds"] >= 1


@pytest.fixture
def webhook(installed: list[Manifest]) -> Manifest:
    (found,) = one(installed, "ValidatingWebhookConfiguration", names.WEBHOOK)["webhooks"]
    return dict(found)


def test_the_webhook_is_never_in_the_way(webhook: Manifest) -> None:
    assert webhook["failurePolicy"] == "Ignore"
    assert judging.DEADLINE < webhook["timeoutSeconds"] <= 3
    assert webhook["sideEffects"] == "None"  # so edits that are only tried (--dry-run=server) are checked too
    assert "caBundle" not in webhook["clientConfig"]  # which would be nobody's certificate


def test_the_webhook_is_asked_about_edits_of_what_counts_and_nothing_else(webhook: Manifest) -> None:
    assert webhook["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    asked = {
        (group, version, resource, operation)
        for rule in webhook["rules"]
        for group in rule["apiGroups"]
        for version in rule["apiVersions"]
        for resource in rule["resources"]
        for operation in rule["operations"]
    }
    pools, advertisements = POOLS.plural, ADVERTISEMENTS.plural
    of_pools = {(names.GROUP, names.VERSION, pools, each) for each in ("CREATE", "UPDATE", "DELETE")}
    assert asked == of_pools | {(names.GROUP, names.VERSION, advertisements, each) for each in ("CREATE", "UPDATE")}
    assert webhook["matchPolicy"] == "Equivalent"


def test_the_webhooks_service_leads_to_what_the_controller_serves(
    installed: list[Manifest], controller: Manifest, webhook: Manifest
) -> None:
    asked = webhook["clientConfig"]["service"]
    service = one(installed, "Service", asked["name"])
    assert service["metadata"]["namespace"] == asked["namespace"]
    assert f"{asked['name']}.{asked['namespace']}.svc" == keeping.hosts(NAMESPACE)[0]
    assert asked["path"] == serving.PATH
    (port,) = service["spec"]["ports"]
    ports = {each["name"]: each["containerPort"] for each in container(controller)["ports"]}
    assert (port["port"], ports[port["targetPort"]]) == (
        asked["port"],
        ControllerSettings(namespace="n", identity="i").webhook_port,
    )
    assert service["spec"]["selector"] == controller["spec"]["selector"]["matchLabels"]
    assert webhook["name"] == names.WEBHOOK_ENTRY
    assert webhook["admissionReviewVersions"] == [serving.VERSION.rpartition("/")[2]]


def test_each_runs_as_its_own_service_account(controller: Manifest, speaker: Manifest) -> None:
    assert pod(controller)["serviceAccountName"] == "lbprovider-controller"
    assert pod(speaker)["serviceAccountName"] == "lbprovider-speaker"


def user(account: str) -> str:
    return f"system:serviceaccount:{NAMESPACE}:{account}"


CONTROLLER: Final = user("lbprovider-controller")
SPEAKER: Final = user("lbprovider-speaker")

BESIDES: Final = {
    Right(CONTROLLER, "get", "services", ANY, ANY),
    Right(CONTROLLER, "patch", "events", ANY, ANY),
    Right(CONTROLLER, "get", "ipaddresspools.lbprovider.io", NAMESPACE, ANY),
    Right(CONTROLLER, "get", "l2advertisements.lbprovider.io", NAMESPACE, ANY),
}
"""What the controller does and could go on without: it doesn't refuse to start for it."""


def asked_at_start() -> set[Right]:
    found: set[Right] = set()
    for resource, subresource, verbs, where in (*startup._NEEDED, *startup._NEEDED_BY_THE_WEBHOOK):
        group = resource.api_version.rpartition("/")[0]
        plural = f"{resource.plural}.{group}".rstrip(".")
        scope = NAMESPACE if where and resource.namespaced else ANY
        name = ANY if where in ("", "own") else where
        found |= {Right(CONTROLLER, verb, f"{plural}/{subresource}".rstrip("/"), scope, name) for verb in verbs.split()}
    return found


def test_the_controller_is_granted_what_it_asks_for_at_its_start_and_hardly_more(installed: list[Manifest]) -> None:
    allowed = granted(installed, CONTROLLER)
    assert asked_at_start() <= allowed
    assert allowed - asked_at_start() <= BESIDES


def test_of_all_webhooks_the_controller_may_touch_its_own(installed: list[Manifest]) -> None:
    rights = {
        each for each in granted(installed, CONTROLLER) | granted(installed, SPEAKER) if "webhook" in each.resource
    }
    resource = "validatingwebhookconfigurations.admissionregistration.k8s.io"
    assert rights == {
        Right(CONTROLLER, verb, resource, ANY, names.WEBHOOK) for verb in ["get", "list", "watch", "patch"]
    }


def test_no_rule_is_a_wildcard(installed: list[Manifest]) -> None:
    for role in (each for each in installed if each["kind"] in ("Role", "ClusterRole")):
        for rule in role["rules"]:
            assert set(rule["apiGroups"]) <= OWN_GROUPS
            assert "*" not in (*rule["resources"], *rule["verbs"])
            assert "nonResourceURLs" not in rule


def test_every_rule_names_what_needs_it() -> None:
    for path in (ROOT / "config" / "rbac").glob("*.yaml"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if line.startswith("  - apiGroups:"):
                assert lines[number - 1].startswith("  # "), f"{path.name}:{number + 1}"


def test_only_the_controller_says_what_is_allocated(installed: list[Manifest]) -> None:
    writes = {"create", "update", "patch", "delete"}
    of_allocations = [
        each
        for each in granted(installed, SPEAKER) | granted(installed, CONTROLLER)
        if each.resource == "ipallocations.lbprovider.io"
    ]
    assert not [each for each in of_allocations if each.user == SPEAKER and each.verb in writes]
    assert {each.verb for each in of_allocations if each.user == CONTROLLER} >= {"create", "delete"}
    assert not any(each.resource.startswith("services") for each in granted(installed, SPEAKER))


def test_nobody_writes_a_service_but_its_status(installed: list[Manifest]) -> None:
    rights = granted(installed, CONTROLLER)
    assert {each.verb for each in rights if each.resource == "services"} == {"get", "list", "watch"}
    assert {each.verb for each in rights if each.resource == "services/status"} == {"patch"}


SECRETS: Final = {CONTROLLER: {names.HEARTBEAT_SECRET, names.WEBHOOK}, SPEAKER: {names.HEARTBEAT_SECRET}}


@pytest.mark.parametrize("account", [CONTROLLER, SPEAKER])
def test_secrets_leases_pools_and_advertisements_stay_in_the_own_namespace(
    installed: list[Manifest], account: str
) -> None:
    home = re.compile(r"secrets|leases\..*|(ipaddresspools|l2advertisements)\..*")
    for each in granted(installed, account):
        if home.fullmatch(each.resource):
            assert each.scope == NAMESPACE, each
        if each.resource == "secrets" and each.verb != "create":  # at creation RBAC knows no name
            assert each.name in SECRETS[account]
        if account == CONTROLLER and each.resource.startswith("leases") and each.verb in ("get", "update"):
            assert each.name == names.CONTROLLER_LEASE


def test_a_speaker_sees_one_namespace_and_only_whether_it_is_there(installed: list[Manifest]) -> None:
    rights = {each for each in granted(installed, SPEAKER) if each.resource == "namespaces"}
    assert rights == {Right(SPEAKER, "get", "namespaces", ANY, "kube-system")}


def test_the_dockerfile_builds_one_small_image_that_is_not_root() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    requirements, dependencies, code, final = re.split(r"\n(?=FROM )", text)[1:]
    assert "\nARG BASE=docker.io/library/python:3.13-slim\n" in text.partition("\nFROM ")[0]
    assert requirements.startswith("FROM ${BASE} AS requirements\n")
    assert dependencies.startswith("FROM ${BASE} AS dependencies\n")
    assert code.startswith("FROM dependencies AS code\n")
    assert final.startswith("FROM ${BASE}\n")
    assert 'ENTRYPOINT ["lbprovider"]' in final
    assert "USER 65534:65534" in final
    assert "apt" not in text
    assert not re.search(r"^RUN .*pip install", final, re.MULTILINE)


def test_all_that_the_dockerfile_copies_reaches_the_builder() -> None:
    wanted = set()
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            wanted |= set(line.split()[1:-1])
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{path}" for path in wanted} == {line for line in ignore if line.startswith("!")}
    assert all((ROOT / path).exists() for path in wanted)
