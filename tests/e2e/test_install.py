"""The operator comes first and KubeRay later: it waits, says so, and goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.llm import LLM, tiny, wait_for
from tests.kubectl import kubectl

KUBERAY_CRDS = ("rayservices.ray.io", "rayclusters.ray.io", "rayjobs.ray.io")


def test_kuberay_is_installed_after_the_deployment_was_applied(operator: None) -> None:
    manifest = _manifest()
    kubectl("delete", "crd", *KUBERAY_CRDS, timeout=120)
    late = LLM("tiny")
    try:
        late.apply(tiny())
        late.wait("Provisioned", "False", timeout=120, reason="KubeRayMissing")
        print("\n" + late.condition("Provisioned")["message"])
        assert late.condition("Ready")["status"] == "False"
    finally:
        kubectl("apply", "--server-side", "--force-conflicts", "-f", str(manifest), timeout=120)
        kubectl("-n", "kuberay-system", "rollout", "restart", "deployment/kuberay-operator")
    wait_for("the RayService", lambda: any("rayservice" in name for name in late.leftovers()), 90)


def _manifest() -> Path:
    found = Path.home() / ".cache/rayspan/bin/kuberay.yaml"
    if not found.exists():
        pytest.fail(f"{found} is not there: `make cluster` writes it")
    return found
