"""The chart as the real helm renders it."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "rayspan"
CACHE = Path(os.environ.get("RAYSPAN_CACHE") or Path.home() / ".cache" / "rayspan")
HELM = shutil.which("helm") or str(CACHE / "bin" / "helm")

Object = dict[str, Any]
SHAPES: dict[str, tuple[str, ...]] = {
    "as it comes": (),
    "restricted to two namespaces": ("--set", "watchNamespaces={llm-a,llm-b}"),
    "restricted, with nodes": ("--set", "watchNamespaces={llm-a,llm-b}", "--set", "listNodes=true"),
    "with a key of one's own": ("--set", "masterKey.existingSecret=mine"),
    "without CRDs": ("--set", "crds.install=false"),
    "with an image by digest": ("--set", f"image.digest=sha256:{'0' * 64}"),
    "with metrics collected": (
        "--set", "metrics.serviceMonitor.enabled=true", "--set", "metrics.rules.enabled=true",
        "--set", "metrics.dashboard.enabled=true", "--set", "metrics.rules.labels.release=prometheus",
    ),
    "with the pod scraped": ("--set", "metrics.podMonitor.enabled=true"),
    "with a standby": ("--set", "replicas=2"),
    "with a standby, restricted to its own namespace": (
        "--set", "replicas=2", "--set", "watchNamespaces={rayspan-system}",
    ),
    "shut off": (
        "--set", "networkPolicy.egress.enabled=true", "--set", "networkPolicy.egress.apiServerCIDRs={10.0.0.1/32}",
        "--set-json", 'networkPolicy.metricsFrom=[{"namespaceSelector":{"matchLabels":{"name":"monitoring"}}}]',
    ),
    "without what is optional": (
        "--set", "networkPolicy.enabled=false", "--set", "podDisruptionBudget.enabled=false",
        "--set", "serviceAccount.create=false", "--set", "serviceAccount.name=mine",
        "--set", "rayPods.networkPolicy.enabled=false", "--set", "podTemplatePolicy.enabled=false",
    ),
    "with everything set": (
        "--set-json", 'tolerations=[{"key":"infra","operator":"Exists"}]',
        "--set-json", 'topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule"}]',
        "--set", "nodeSelector.pool=infra", "--set", "podAnnotations.note=x", "--set", "podLabels.mesh=off",
        "--set", "commonLabels.team=ml", "--set", "commonAnnotations.cost-centre=ai",
        "--set", "priorityClassName=high", "--set", "serviceAccount.annotations.role=x",
        "--set", "image.pullSecrets[0].name=registry", "--set", "env[0].name=TZ", "--set", "env[0].value=UTC",
        "--set-json", 'affinity={"nodeAffinity":{}}', "--set", "logFormat=text", "--set", "logLevel=debug",
        "--set", "metrics.podMonitor.enabled=true", "--set", "metrics.rules.enabled=true",
        "--set", "metrics.dashboard.enabled=true", "--set", "watchNamespaces={llm-a}", "--set", "listNodes=true",
        "--set-json", 'rayPods.networkPolicy.metricsFrom=[{"namespaceSelector":{"matchLabels":{"name":"monitoring"}}}]',
        "--set", "podTemplatePolicy.allow={hostPath}", "--set", "podTemplatePolicy.serviceAccounts={models}",
    ),
}  # fmt: skip


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False)


def render(*values: str) -> list[Object]:
    """Objects of one's own, from a rendering that all tests with these values share."""
    return [document for document in yaml.safe_load_all(_template(*values)) if document]


@cache
def _template(*values: str) -> str:
    done = helm("template", "rayspan", str(CHART), "--namespace", "rayspan-system", *values)
    assert done.returncode == 0, done.stderr
    return done.stdout


def one(objects: list[Object], kind: str) -> Object:
    (found,) = (each for each in objects if each["kind"] == kind)
    return found


def kinds(objects: list[Object]) -> set[str]:
    return {each["kind"] for each in objects}
