"""An operator of one namespace with the chart's own roles, against an API server that enforces them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.api.conftest import Operator, apply_inspected, condition, deployment, exists, ray_cluster, until
from tests.api.server import program
from tests.kubectl import get, kubectl

CHART = Path(__file__).parents[2] / "charts" / "rayspan"
DEFINES = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


def roles(*values: str) -> list[dict[str, Any]]:
    """The chart's roles and bindings."""
    arguments = ("template", "rayspan", str(CHART), "--namespace", "rayspan-system", *values)
    done = subprocess.run([program("helm"), *arguments], capture_output=True, text=True, check=True)
    return [each for each in yaml.safe_load_all(done.stdout) if each and each["kind"] in DEFINES]


@pytest.fixture
def operator(namespace: str, tmp_path: Path, server: None) -> Iterator[Operator]:
    """In place of the one that may do everything."""
    made = roles("--set", f"watchNamespaces={{{namespace}}}")
    assert {each["kind"] for each in made} == {"Role", "RoleBinding"}
    for each in made:
        kubectl("create", "-f", "-", stdin=json.dumps(each))
    running = Operator(namespace, tmp_path, as_its_account=True)
    yield running
    running.stop()
    print(running.log.read_text())


def test_a_restricted_operator_does_all_its_work_without_a_grant_in_the_cluster(
    namespace: str, operator: Operator
) -> None:
    apply_inspected(deployment(namespace))
    until("the RayService", lambda: exists("-n", namespace, "rayservice", "tiny"))
    ray_cluster(namespace)
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
