"""The chart, rendered by the real helm: valid objects, least privilege, values that cannot be mistyped."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate.utils import validate
from rayspan.report.samples import HELP, PREFIX
from rayspan.telemetry import Telemetry

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "rayspan"
CACHE = Path(os.environ.get("RAYSPAN_CACHE") or Path.home() / ".cache" / "rayspan")
HELM = shutil.which("helm") or str(CACHE / "bin" / "helm")

Object = dict[str, Any]
SHAPES: dict[str, tuple[str, ...]] = {
    "as it comes": (),
    "restricted to two namespaces": ("--set", "watchNamespaces={llm-a,llm-b}"),
    "with a key of one's own": ("--set", "masterKey.existingSecret=mine"),
    "without CRDs": ("--set", "crds.install=false"),
    "with an image by digest": ("--set", f"image.digest=sha256:{'0' * 64}"),
    "with metrics collected": (
        "--set", "metrics.serviceMonitor.enabled=true", "--set", "metrics.rules.enabled=true",
        "--set", "metrics.dashboard.enabled=true", "--set", "metrics.rules.labels.release=prometheus",
    ),
    "with everything set": (
        "--set-json", '{"tolerations":[{"key":"infra","operator":"Exists"}]}'[1:-1].replace('"tolerations":', "tolerations="),
        "--set", "nodeSelector.pool=infra", "--set", "commonLabels.team=ml", "--set", "podAnnotations.note=x",
        "--set", "priorityClassName=high", "--set", "serviceAccount.annotations.role=x",
        "--set", "image.pullSecrets[0].name=registry", "--set", "env[0].name=TZ", "--set", "env[0].value=UTC",
        "--set-json", 'affinity={"nodeAffinity":{}}', "--set", "logFormat=text", "--set", "logLevel=debug",
    ),
}  # fmt: skip


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False)


def render(*values: str) -> list[Object]:
    done = helm("template", "rayspan", str(CHART), "--namespace", "rayspan-system", *values)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def one(objects: list[Object], kind: str) -> Object:
    (found,) = (each for each in objects if each["kind"] == kind)
    return found


def grants(objects: list[Object], kind: str) -> set[tuple[str, str, str]]:
    """(group, resource, verb) of all roles of a kind."""
    return {
        (group, resource, verb)
        for role in objects
        if role["kind"] == kind
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_helm_finds_nothing_to_complain_about() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("values", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_object_is_what_kubernetes_knows(values: tuple[str, ...]) -> None:
    objects = render(*values)
    for each in objects:
        if each["kind"] not in ("CustomResourceDefinition", "ServiceMonitor", "PrometheusRule"):
            validate(each, "1.34", strict=True)
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))


def test_the_crd_is_the_one_of_the_repository_and_stays() -> None:
    rendered = one(render(), "CustomResourceDefinition")
    assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    (source,) = (ROOT / "crds").glob("*.yaml")
    assert rendered == yaml.safe_load(source.read_text())


def test_the_crd_is_left_out_on_request() -> None:
    assert "CustomResourceDefinition" not in {each["kind"] for each in render("--set", "crds.install=false")}


def test_the_pod_meets_the_restricted_profile() -> None:
    pod = one(render(), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}


def test_secrets_are_written_and_never_read() -> None:
    verbs = {verb for _, resource, verb in grants(render(), "ClusterRole") if resource == "secrets"}
    assert verbs == {"create", "patch"}


def test_there_is_no_wildcard_and_nothing_that_runs_code() -> None:
    granted = grants(render(), "ClusterRole")
    assert not [each for each in granted if "*" in each]
    assert not [each for each in granted if each[1].startswith("pods/") or "proxy" in each[1]]
    assert not [each for each in granted if each[1] == "pods" and each[2] not in ("get", "list", "watch")]
    assert len(granted) <= 40


def test_with_listed_namespaces_only_what_has_no_namespace_is_read_everywhere() -> None:
    objects = render("--set", "watchNamespaces={llm-a,llm-b}")
    assert grants(objects, "ClusterRole") == {
        ("", "nodes", "list"),
        ("", "namespaces", "list"),
        ("", "namespaces", "watch"),
        ("apiextensions.k8s.io", "customresourcedefinitions", "list"),
        ("apiextensions.k8s.io", "customresourcedefinitions", "watch"),
    }
    assert {each["metadata"]["namespace"] for each in objects if each["kind"] == "Role"} == {"llm-a", "llm-b"}
    assert grants(objects, "Role") < grants(render(), "ClusterRole")


def test_a_key_of_ones_own_is_mounted_and_none_is_made() -> None:
    objects = render("--set", "masterKey.existingSecret=mine", "--set", "masterKey.key=token")
    assert "Secret" not in {each["kind"] for each in objects}
    volumes = one(objects, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert volumes[0]["secret"] == {
        "secretName": "mine",
        "defaultMode": 0o440,
        "items": [{"key": "token", "path": "key"}],
    }


def test_dashboard_and_rules_ask_for_what_the_operator_exports() -> None:
    """Every name in them is on its metrics page, that of deployments or its own."""
    objects = render(*SHAPES["with metrics collected"])
    telemetry = Telemetry()
    exported = {family.name for family in telemetry.registry.collect()} | {
        f"{PREFIX}_{name}" for name in HELP
    }
    panels = json.loads(one(objects, "ConfigMap")["data"]["rayspan.json"])["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    asked += [
        rule["expr"] for group in one(objects, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]
    ]
    names = {
        re.sub("_(total|count)$", "", name) for text in asked for name in re.findall(r"rayspan_[a-z_]+", text)
    }
    assert names - exported == set()
    assert {f"{PREFIX}_{name}" for name in HELP} - names == set()


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "a mistyped name": (
        ("--set", "watchNamespace=llm"),
        "additional properties 'watchNamespace' not allowed",
    ),
    "a mistyped name further down": (("--set", "image.repo=x"), "additional properties 'repo' not allowed"),
    "text where a list belongs": (("--set", "watchNamespaces=llm"), "got string, want array"),
    "an unknown log format": (("--set", "logFormat=xml"), "value must be one of 'json', 'text'"),
    "a digest that is none": (("--set", "image.digest=latest"), "does not match pattern"),
    "no account and no name for one": (
        ("--set", "serviceAccount.create=false"),
        "serviceAccount.name is needed when serviceAccount.create is false",
    ),
}


@pytest.mark.parametrize(("values", "message"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_value_is_refused(values: tuple[str, ...], message: str) -> None:
    done = helm("template", "rayspan", str(CHART), *values)
    assert done.returncode != 0
    assert message in done.stderr


def test_the_chart_can_be_packaged(tmp_path: Path) -> None:
    done = helm("package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("rayspan-*.tgz")
    listed = subprocess.run(["tar", "-tzf", str(package)], capture_output=True, text=True, check=True).stdout
    assert "rayspan/files/llmdeployments.rayspan.dev.yaml" in listed


def test_the_readme_names_every_value() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = (CHART / "README.md").read_text()
    assert [name for name in values if f"`{name}" not in text] == []
