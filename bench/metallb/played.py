"""Deployments and DaemonSets where there are no controllers and no kubelets: programs run as the objects say."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Self

from lbprovider.lab.process import Process
from tests.e2e.rig.api import ApiError
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.waiting import eventually

_PAUSE: Final = 0.25
"""Seconds between two looks; a real kubelet is told by a watch."""
_OS: Final = "kubernetes.io/os"
"""A node selector that every node here fits."""


@dataclass
class Workload:
    """A Deployment or DaemonSet, and what it runs.

    Args:
        manifest: the object.
        places: where its Pods are: nodes of a DaemonSet, an empty name for a Deployment.
        start: starts its program there; its Pod is there by then.
    """

    manifest: dict[str, Any]
    places: Sequence[str]
    start: Callable[[str], Process]
    running: dict[str, Process] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return str(self.manifest["metadata"]["namespace"])

    @property
    def path(self) -> str:
        plural = self.manifest["kind"].lower() + "s"
        return f"/apis/apps/v1/namespaces/{self.namespace}/{plural}/{self.manifest['metadata']['name']}"

    def pod(self, place: str) -> str:
        name = str(self.manifest["metadata"]["name"])
        return f"{name}-{place}" if place else name


class Played:
    """Plays them from construction to the end of the context.

    Args:
        cluster: where.
        workloads: the objects, which are created.
    """

    def __init__(self, cluster: Cluster, workloads: Sequence[Workload]) -> None:
        self._cluster = cluster
        self._workloads = workloads
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        for each in workloads:
            cluster.api.create(each.path.rpartition("/")[0], each.manifest)
        self._threads = [threading.Thread(target=self._play, args=(each,), daemon=True) for each in workloads]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise AssertionError("no more is played") from self._failure

    def until_up(self) -> None:
        """Until each program of each runs.

        Raises:
            AssertionError: it doesn't in time, or the player failed.
        """

        def up() -> bool:
            self._check()
            return all(len(each.running) == len(each.places) for each in self._workloads)

        eventually(up, "every workload runs", within=60)

    def _play(self, workload: Workload) -> None:
        try:
            with ThreadPoolExecutor(max_workers=len(workload.places)) as kubelets:
                while not self._ended.wait(_PAUSE):
                    try:
                        self._look(workload, kubelets)
                    except (ConnectionError, ApiError) as error:
                        # A machine that stands still for a while loses connections, and its etcd is late for the API
                        # server: the next look does what this one did not.
                        if isinstance(error, ApiError) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                            raise
        except BaseException as error:  # noqa: BLE001 - told to the test, which would wait for ever
            self._failure = error

    def _look(self, workload: Workload, kubelets: ThreadPoolExecutor) -> None:
        current = self._cluster.api.get(workload.path)
        wanted = self._wanted(workload, current)
        unwanted = [place for place in workload.running if place not in wanted]
        list(kubelets.map(lambda place: self._stop(workload, place), unwanted))
        for place in wanted:
            if place not in workload.running:
                self._start(workload, place)
        self._say(workload, current, len(wanted))

    def _wanted(self, workload: Workload, current: dict[str, Any]) -> Sequence[str]:
        spec = current["spec"]
        if current["kind"] == "Deployment":
            return workload.places if spec.get("replicas", 1) else ()
        fits = not spec["template"]["spec"].get("nodeSelector", {}).keys() - {_OS}
        return workload.places if fits else ()

    def _start(self, workload: Workload, place: str) -> None:
        name, pods = workload.pod(place), f"/api/v1/namespaces/{workload.namespace}/pods"
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": workload.manifest["spec"]["selector"]["matchLabels"]},
            "spec": {
                "nodeName": place or "control-plane",
                "hostNetwork": True,
                "containers": [{"name": name, "image": "played:none"}],
            },
        }
        if self._cluster.api.find(f"{pods}/{name}") is None:
            self._cluster.api.create(pods, body)
        if place:
            address = str(self._cluster.lan.nodes[place].address4)
            status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": address}
            self._cluster.api.patch(f"{pods}/{name}/status", {"status": status})
        workload.running[place] = workload.start(place)

    def _stop(self, workload: Workload, place: str) -> None:
        """As a kubelet: the Pod is gone when its program is."""
        workload.running[place].stop()
        pod = f"/api/v1/namespaces/{workload.namespace}/pods/{workload.pod(place)}"
        if self._cluster.api.find(pod) is not None:
            self._cluster.api.delete(pod, grace=0)
        del workload.running[place]

    def _say(self, workload: Workload, current: dict[str, Any], wanted: int) -> None:
        up = sum(process.running for process in workload.running.values())
        seen = {"observedGeneration": current["metadata"]["generation"]}
        if current["kind"] == "Deployment":
            status = {**seen, "replicas": up, "readyReplicas": up, "updatedReplicas": up, "availableReplicas": up}
        else:
            status = {
                **seen,
                "currentNumberScheduled": up,
                "numberMisscheduled": 0,
                "desiredNumberScheduled": wanted,
                "numberReady": up,
            }
        before = current.get("status", {})
        if any(before.get(key, 0) != value for key, value in status.items()):
            with contextlib.suppress(ApiError):  # somebody was faster: the next look sees it
                self._cluster.api.patch(f"{workload.path}/status", {"status": status})
