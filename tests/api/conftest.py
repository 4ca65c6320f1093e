"""An API server for these tests, a namespace for each, and an operator process that serves it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.api.manifest import crds_in
from tests.api.server import api_server, cached, free_port
from tests.conftest import CRDS
from tests.inspected import ANSWER
from tests.kubectl import Refused, apply, get, kubectl

IMAGE = "localhost/rayspan/no-such-image:1"
"""Pods of these tests never start: what the operator writes is what is looked at."""
KUBERAY: Final = ("rayservices.ray.io", "rayclusters.ray.io")


def node(name: str, pods: int = 110) -> dict[str, Any]:
    """A node with GPUs, and room for so many pods."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {
            "allocatable": {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": "64", "pods": str(pods)},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


@pytest.fixture(scope="package", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An API server of these tests' own, with the CRDs of this checkout and those of KubeRay in the cluster."""
    kuberay = kuberay_crds()
    before = os.environ.get("KUBECONFIG")
    with api_server(tmp_path_factory.mktemp("server")) as running:
        os.environ["KUBECONFIG"] = str(running.kubeconfig)
        install(*kuberay, *(yaml.safe_load(path.read_text()) for path in CRDS.glob("*.yaml")))
        kubectl("create", "-f", "-", stdin=json.dumps(node("gpu-a")))
        yield
    if before is None:
        del os.environ["KUBECONFIG"]
    else:
        os.environ["KUBECONFIG"] = before


@pytest.fixture(scope="package")
def crd(server: None) -> None:
    """In place of the one for the whole cluster: it is there already."""


def kuberay_crds(names: Sequence[str] = KUBERAY) -> list[dict[str, Any]]:
    """KubeRay's CRDs as the cluster that KUBECONFIG names has them; without one, as it would be given them."""
    try:
        found = [get("crd", name) for name in names]
    except (Refused, FileNotFoundError) as error:
        try:
            found = crds_in(cached("kuberay.yaml").read_text(), names)
        except FileNotFoundError:
            pytest.fail(f"no cluster with KubeRay answers: run `make cluster` or `make programs` ({error})")
    return [
        {
            "apiVersion": one["apiVersion"],
            "kind": one["kind"],
            "metadata": {"name": one["metadata"]["name"]},
            "spec": one["spec"],
        }
        for one in found
    ]


def install(*crds: dict[str, Any]) -> None:
    """Install CRDs and wait until they are served."""
    for one in crds:
        kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(one))
    for one in crds:
        until("the CRD is served", lambda: exists(one["spec"]["names"]["plural"], "-A"), seconds=120)  # noqa: B023  # called here


@pytest.fixture
def namespace(server: None) -> Iterator[str]:
    """A namespace that is gone afterwards."""
    name = f"api-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


class Operator:
    """``rayspan run`` from this checkout, for one namespace; with all rights, or those of the chart's account."""

    def __init__(
        self, namespace: str, folder: Path, *, as_its_account: bool = False, **variables: str
    ) -> None:
        """Variables: of its environment, besides those that it needs here."""
        self.log = folder / "operator.log"
        key = folder / "key"
        key.write_text(secrets.token_hex(32))
        self._environment = {
            **os.environ,
            "RAYSPAN_KEY_FILE": str(key),
            "RAYSPAN_WATCH_NAMESPACES": namespace,
            "RAYSPAN_LISTEN_HOST": "127.0.0.1",
            "RAYSPAN_LISTEN_PORT": str(free_port()),
            "RAYSPAN_METRICS_PORT": "0",
            **variables,
        }
        if as_its_account:
            kubeconfig = Path(os.environ["KUBECONFIG"]).with_name("operator.kubeconfig")
            self._environment["KUBECONFIG"] = str(kubeconfig)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def serve(self, *namespaces: str) -> None:
        """Start it for other namespaces than before."""
        self._environment["RAYSPAN_WATCH_NAMESPACES"] = ",".join(namespaces)
        self.start()

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [Path(sys.executable).with_name("rayspan"), "run"], env=self._environment, stderr=log
            )

    def stop(self) -> None:
        """Stop it as Kubernetes would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal and wait for nothing."""
        assert self._process is not None
        self._process.send_signal(number)

    def ended(self, seconds: float) -> int:
        """Wait until it ends by itself; its exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    def resident_mebibytes(self) -> float:
        """Its resident memory."""
        assert self._process is not None
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture
def operator(namespace: str, tmp_path: Path) -> Iterator[Operator]:
    """An operator for this test's namespace. Its log is printed when the test fails."""
    running = Operator(namespace, tmp_path)
    yield running
    running.stop()
    print(running.log.read_text())


def deployment(namespace: str, name: str = "tiny", **spec: Any) -> dict[str, Any]:
    """An LLMDeployment of one stage whose image does not exist."""
    return {
        "apiVersion": "rayspan.dev/v1alpha1",
        "kind": "LLMDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"id": "tiny", "source": "file:///models/tiny"},
            "parallelism": {"pipeline": 1},
            "serving": {"image": IMAGE},
            **spec,
        },
    }


def apply_inspected(document: dict[str, Any]) -> None:
    """Apply a deployment and stand in for the kubelet: run the inspection Job's pod to its answer."""
    apply(document)
    namespace, name = document["metadata"]["namespace"], document["metadata"]["name"]
    job = until(
        "the inspection Job",
        lambda: get("-n", namespace, "job", "-l", f"rayspan.dev/deployment={name}")["items"],
    )[0]
    template = job["spec"]["template"]
    labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": job["metadata"]["name"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": job["metadata"]["name"], "namespace": namespace, "labels": labels},
        "spec": template["spec"],
    }
    kubectl("create", "-f", "-", stdin=json.dumps(pod))
    ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(ANSWER)}
    container = {
        "name": "inspect",
        "ready": False,
        "restartCount": 0,
        "image": IMAGE,
        "imageID": "",
        "state": {"terminated": ended},
    }
    kubectl(
        "-n", namespace, "patch", "pod", job["metadata"]["name"], "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": {"phase": "Succeeded", "containerStatuses": [container]}}),
    )  # fmt: skip


def exists(*arguments: str) -> bool:
    """Whether ``kubectl get`` finds it."""
    try:
        get(*arguments)
    except Refused:
        return False
    return True


def until(what: str, happens: Callable[[], Any], seconds: float = 120) -> Any:
    """Wait for something to become true and return it; fails in words."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := happens():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def condition(namespace: str, name: str, kind: str) -> dict[str, Any]:
    """A condition of a deployment; empty while there is none."""
    status = get("-n", namespace, "llm", name).get("status") or {}
    return next((one for one in status.get("conditions") or () if one["type"] == kind), {})


def ray_cluster(namespace: str, name: str = "tiny") -> str:
    """What KubeRay does: make a RayCluster from the RayService, its labels and annotations; its uid."""
    service = get("-n", namespace, "rayservice", name)
    metadata = service["metadata"]
    owner = {"apiVersion": "ray.io/v1", "kind": "RayService", "name": name, "uid": metadata["uid"]}
    made = {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {
            "name": f"{name}-{secrets.token_hex(3)}",
            "namespace": namespace,
            "labels": metadata["labels"],
            "annotations": metadata["annotations"],
            "ownerReferences": [owner],
        },
        "spec": service["spec"]["rayClusterConfig"],
    }
    uid: str = json.loads(kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(made)))["metadata"][
        "uid"
    ]
    return uid
