"""The examples for Argo CD and Flux: their values are the chart's, their order is the documented one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from rayspan.api.v1alpha1 import API_VERSION, KIND

from tests.unit.chart.rendered import CHART, ROOT, helm

EXAMPLES = ROOT / "examples" / "gitops"


def documents(name: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all((EXAMPLES / name).read_text()) if each]


def values_in(thing: Any) -> list[dict[str, Any]]:
    """Helm values anywhere in a document."""
    if isinstance(thing, list):
        return [found for each in thing for found in values_in(each)]
    if not isinstance(thing, dict):
        return []
    here = [thing[key] for key in ("valuesObject", "values") if key in thing]
    return here + [found for each in thing.values() for found in values_in(each)]


@pytest.mark.parametrize("name", ["argocd/applications.yaml", "flux/kustomizations.yaml"])
def test_the_chart_takes_the_values(name: str, tmp_path: Path) -> None:
    (values,) = values_in(documents(name))
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    done = helm("template", "rayspan", str(CHART), "--values", str(file))
    assert done.returncode == 0, done.stderr
    assert "kind: ClusterRole" not in done.stdout


def test_kuberay_the_operator_and_the_deployments_come_in_this_order() -> None:
    waves = {
        each["metadata"]["name"]: int(each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
        for each in documents("argocd/applications.yaml")
    }
    assert sorted(waves, key=lambda name: waves[name]) == ["kuberay", "rayspan", "llm"]
    assert len(set(waves.values())) == 3


def test_argo_cd_renders_no_master_key_of_its_own() -> None:
    (values,) = values_in(documents("argocd/applications.yaml"))
    assert values["masterKey"]["existingSecret"]


def test_the_health_check_is_under_the_key_that_argo_cd_looks_for() -> None:
    (patch,) = documents("argocd/argocd-cm.yaml")
    key = f"resource.customizations.health.{API_VERSION.partition('/')[0]}_{KIND}"
    assert patch["data"][key] == (CHART / "files" / "argocd-health.lua").read_text()


def test_flux_looks_at_the_kind_that_there_is() -> None:
    checks = [
        each
        for one in documents("flux/kustomizations.yaml")
        for each in one["spec"].get("healthCheckExprs", ())
    ]
    assert [(each["apiVersion"], each["kind"]) for each in checks] == [(API_VERSION, KIND)]
    assert set(checks[0]) == {"apiVersion", "kind", "inProgress", "failed", "current"}
