"""An LLMDeployment under test: apply, wait, read; and what to do to its pods."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.kubectl import Refused, apply, get, kubectl

NAMESPACE = "llm-e2e"
EXAMPLE = Path(__file__).parents[2] / "examples" / "tiny.yaml"
CPU_ENGINE: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())["spec"]["engine"]["args"]
"""What vLLM needs to run stages on CPUs (docs/architecture.md, the CPU stage platform)."""

RESTRICTED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""The security context of a container that Pod Security ``restricted`` lets run."""


def tiny(name: str = "tiny", **spec: Any) -> dict[str, Any]:
    """The tiny model on two stages, gpu-a and gpu-b; ``spec`` replaces whole fields of the spec."""
    return {
        "apiVersion": "rayspan.dev/v1alpha1",
        "kind": "LLMDeployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "model": {"id": "tiny", "source": "file:///models/tiny"},
            "parallelism": {"stages": stages("gpu-a", "gpu-b")},
            "engine": {"args": CPU_ENGINE},
            **spec,
        },
    }


def stages(*nodes: str) -> list[dict[str, Any]]:
    """One stage per node, pinned by host name."""
    return [{"nodeSelector": {"kubernetes.io/hostname": node}} for node in nodes]


@dataclass(frozen=True)
class LLM:
    """One LLMDeployment in the test namespace."""

    name: str

    def apply(self, document: dict[str, Any]) -> None:
        """kubectl apply."""
        assert document["metadata"]["name"] == self.name
        apply(document)

    def patch(self, change: str) -> None:
        """A merge patch, as JSON text."""
        kubectl("-n", NAMESPACE, "patch", "llm", self.name, "--type=merge", "-p", change)

    def delete(self) -> None:
        """Delete it and wait until nothing that it owned is left."""
        kubectl("-n", NAMESPACE, "delete", "llm", self.name, "--ignore-not-found", timeout=180)
        wait_for(f"everything of {self.name} to be gone", lambda: not self.leftovers(), 180)

    def leftovers(self) -> list[str]:
        """Names of what carries this deployment's label, of every kind that Rayspan or KubeRay makes."""
        kinds = "rayservices,rayclusters,pods,services,secrets,jobs,networkpolicies,configmaps"
        found = kubectl(
            "-n", NAMESPACE, "get", kinds, "-l", f"rayspan.dev/deployment={self.name}", "-o", "name"
        )
        return found.split()

    @property
    def object(self) -> dict[str, Any]:
        """The object as the API server has it."""
        found: dict[str, Any] = get("-n", NAMESPACE, "llm", self.name)
        return found

    @property
    def status(self) -> dict[str, Any]:
        """Its status; empty before the first."""
        status: dict[str, Any] = self.object.get("status", {})
        return status

    def condition(self, kind: str) -> dict[str, Any]:
        """One condition of the current generation, or an empty dict."""
        document = self.object
        for condition in document.get("status", {}).get("conditions", []):
            if (
                condition["type"] == kind
                and condition.get("observedGeneration") == (document["metadata"]["generation"])
            ):
                found: dict[str, Any] = condition
                return found
        return {}

    def is_(self, kind: str, status: str = "True", reason: str | None = None) -> bool:
        """Whether a condition has this status (and reason) for the current generation."""
        found = self.condition(kind)
        return found.get("status") == status and reason in (None, found.get("reason"))

    def wait(self, kind: str, status: str = "True", timeout: float = 600, reason: str | None = None) -> float:
        """Wait for a condition; returns the seconds it took. On time-out shows what there is."""
        return wait_for(
            f"{self.name} to be {kind}={status}",
            lambda: self.is_(kind, status, reason),
            timeout,
            on_timeout=self.explain,
        )

    def explain(self) -> str:
        """Everything that helps to see why a wait ended in vain."""
        lines = [
            f"{c['type']}={c['status']} {c['reason']}: {c['message']}"
            for c in self.status.get("conditions", [])
        ]
        pods = kubectl("-n", NAMESPACE, "get", "pods", "-o", "wide")
        events = kubectl("-n", NAMESPACE, "get", "events", "--sort-by=.lastTimestamp").splitlines()[-15:]
        return "\n".join([*lines, pods, *events])

    def address(self) -> str:
        """Base URL of the OpenAI API by ClusterIP: the host has no cluster DNS."""
        service = get("-n", NAMESPACE, "service", f"{self.name}-serve-svc")
        return f"http://{service['spec']['clusterIP']}:8000/v1"

    def pods(self, stage: int | None = None) -> list[dict[str, Any]]:
        """Its Ray pods, or those of one stage."""
        selector = f"rayspan.dev/deployment={self.name},ray.io/cluster" + (
            f",rayspan.dev/stage={stage}" if stage is not None else ""
        )
        items: list[dict[str, Any]] = get("-n", NAMESPACE, "pods", "-l", selector)["items"]
        return items

    def uids(self) -> set[str]:
        """Identities of the pods that are not on their way out."""
        return {pod["metadata"]["uid"] for pod in self.pods() if "deletionTimestamp" not in pod["metadata"]}

    def stage_pod(self, stage: int) -> str:
        """Name of a running pod of this stage."""
        running = [pod for pod in self.pods(stage) if "deletionTimestamp" not in pod["metadata"]]
        return str(running[0]["metadata"]["name"])

    def delete_pod(self, name: str, *arguments: str) -> str:
        """kubectl delete pod, without waiting for it to be gone."""
        return kubectl("-n", NAMESPACE, "delete", "pod", name, "--wait=false", *arguments)

    def head(self) -> dict[str, Any]:
        """The pod of the Ray head."""
        (pod,) = [p for p in self.pods() if p["metadata"]["labels"].get("ray.io/node-type") == "head"]
        return pod


def wait_for(
    what: str,
    true: Callable[[], object],
    timeout: float,
    interval: float = 0.5,
    on_timeout: Callable[[], str] = lambda: "",
) -> float:
    """Ask again and again until it is true; returns the seconds it took."""
    started = time.monotonic()
    while time.monotonic() - started < timeout:
        try:
            if true():
                return time.monotonic() - started
        except (Refused, KeyError, IndexError, ValueError, subprocess.TimeoutExpired):
            pass  # not there yet
        time.sleep(interval)
    raise AssertionError(f"waited {timeout:.0f} s for {what}\n{on_timeout()}")
