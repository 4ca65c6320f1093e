"""An operator of one namespace with the chart's own roles, against an API server that enforces them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.api.conftest import Operator, apply_inspected, condition, deployment, exists, ray_cluster, until
from tests.api.server import program
from tests.kubectl import get, kubectl

CHART = Path(__file__).parents[2] / "charts" / "rayspan"
DEFINES = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


def rendered(kinds: Collection[str], *values: str) -> list[dict[str, Any]]:
    """The chart's objects of these kinds."""
    arguments = ("template", "rayspan", str(CHART), "--namespace", "rayspan-system", *values)
    done = subprocess.run([program("helm"), *arguments], capture_output=True, text=True, check=True)
    return [each for each in yaml.safe_load_all(done.stdout) if each and each["kind"] in kinds]


def insiders() -> str:
    """Who the chart says may reach the inner ports of Ray pods."""
    (made,) = rendered(("Deployment",))
    (container,) = made["spec"]["template"]["spec"]["containers"]
    (found,) = (each["value"] for each in container["env"] if each["name"] == "RAYSPAN_RAY_INSIDERS")
    return str(found)


@pytest.fixture
def operator(namespace: str, tmp_path: Path, server: None) -> Iterator[Operator]:
    """In place of the one that may do everything."""
    made = rendered(DEFINES, "--set", f"watchNamespaces={{{namespace}}}")
    assert {each["kind"] for each in made} == {"Role", "RoleBinding"}
    for each in made:
        kubectl("create", "-f", "-", stdin=json.dumps(each))
    running = Operator(namespace, tmp_path, as_its_account=True, RAYSPAN_RAY_INSIDERS=insiders())
    yield running
    running.stop()
    print(running.log.read_text())


def test_a_restricted_operator_does_all_its_work_without_a_grant_in_the_cluster(
    namespace: str, operator: Operator
) -> None:
    apply_inspected(deployment(namespace))
    until("the RayService", lambda: exists("-n", namespace, "rayservice", "tiny"))
    ray_cluster(namespace)
    policies = get("-n", namespace, "networkpolicy")["items"]
    assert {each["metadata"]["name"] for each in policies} == {"tiny-ray", "tiny-serve"}
    kubectl("-n", namespace, "patch", "llm", "tiny", "--type=merge", "-p", '{"spec":{"replicas":2}}')

    def groups() -> list[int]:
        (found,) = get("-n", namespace, "raycluster")["items"]
        return [one["replicas"] for one in found["spec"]["workerGroupSpecs"]]

    until("the RayCluster scaled", lambda: groups() == [2])
    assert condition(namespace, "tiny", "PlanAccepted")["status"] == "True"
    kubectl("-n", namespace, "patch", "llm", "tiny", "--type=merge", "-p", '{"spec":{"replicas":0}}')
    until("the RayService gone", lambda: not exists("-n", namespace, "rayservice", "tiny"))
    refused = re.findall(r'cannot \w+ resource \\?"(\w+)', operator.log.read_text())
    assert refused == []


def test_a_namespace_whose_role_is_missing_hinders_no_other(namespace: str, operator: Operator) -> None:
    operator.stop()
    operator.serve(namespace, "not-there")
    apply_inspected(deployment(namespace))
    until("the RayService", lambda: exists("-n", namespace, "rayservice", "tiny"))
    assert "the namespaces not-there, which are left out" in operator.log.read_text()


def test_an_operator_that_makes_no_policies_removes_those_that_were_made(
    namespace: str, operator: Operator, tmp_path: Path
) -> None:
    def policies() -> list[Any]:
        found: list[Any] = get("-n", namespace, "networkpolicy")["items"]
        return found

    apply_inspected(deployment(namespace))
    until("the policies", lambda: len(policies()) == 2)
    operator.stop()
    values = ("--set", f"watchNamespaces={{{namespace}}}", "--set", "rayPods.networkPolicy.enabled=false")
    for each in rendered(DEFINES, *values):
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(each))
    # Its log is the same file: what it is refused shows in the assertion below.
    other = Operator(namespace, tmp_path, as_its_account=True)
    try:
        until("no policies", lambda: not policies())
        assert exists("-n", namespace, "rayservice", "tiny")
    finally:
        other.stop()
    assert re.findall(r'cannot \w+ resource \\?"(\w+)', operator.log.read_text()) == []
