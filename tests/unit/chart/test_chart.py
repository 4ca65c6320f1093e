"""The chart as a whole: valid objects, labels everywhere, CRDs that stay, a package."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from kubernetes_validate.utils import validate

from tests.unit.chart.rendered import CHART, ROOT, SHAPES, helm, kinds, one, render

NOT_OF_KUBERNETES = ("CustomResourceDefinition", "ServiceMonitor", "PodMonitor", "PrometheusRule")


def test_helm_finds_nothing_to_complain_about() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("values", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_object_is_what_kubernetes_knows(values: tuple[str, ...]) -> None:
    objects = render(*values)
    for each in objects:
        if each["kind"] not in NOT_OF_KUBERNETES:
            validate(each, "1.34", strict=True)
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))


def test_the_shapes_leave_no_template_out() -> None:
    """Every kind in the templates is in some shape, so that it was validated above."""
    texts = [file.read_text() for file in (CHART / "templates").glob("*.yaml")]
    written = {
        line.removeprefix("kind: ") for text in texts for line in text.splitlines() if line[:5] == "kind:"
    }
    assert written | {"CustomResourceDefinition"} == {
        kind for each in SHAPES.values() for kind in kinds(render(*each))
    }


def test_common_labels_and_annotations_are_on_every_object_and_on_the_pod() -> None:
    objects = render(*SHAPES["with everything set"])
    marked = [each["metadata"] for each in objects]
    marked.append(one(objects, "Deployment")["spec"]["template"]["metadata"])
    assert [each for each in marked if each["labels"]["team"] != "ml"] == []
    assert [each for each in marked if each["annotations"]["cost-centre"] != "ai"] == []


def test_nobodys_labels_replace_those_that_pods_are_selected_by() -> None:
    mine = "app\\.kubernetes\\.io/name=mine"
    deployment = one(render("--set", f"commonLabels.{mine}", "--set", f"podLabels.{mine}"), "Deployment")[
        "spec"
    ]
    wanted = deployment["selector"]["matchLabels"].items()
    assert wanted <= deployment["template"]["metadata"]["labels"].items()


def test_a_release_may_be_called_by_a_number() -> None:
    done = helm("template", "12345", str(CHART))
    assert done.returncode == 0, done.stderr
    found = one([each for each in yaml.safe_load_all(done.stdout) if each], "Deployment")
    assert found["spec"]["selector"]["matchLabels"]["app.kubernetes.io/instance"] == "12345"


def test_the_crd_is_the_one_of_the_repository_and_stays() -> None:
    rendered = one(render(), "CustomResourceDefinition")
    assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert rendered["metadata"].pop("labels")["app.kubernetes.io/name"] == "rayspan"
    (source,) = (ROOT / "crds").glob("*.yaml")
    assert rendered == yaml.safe_load(source.read_text())


def test_the_crd_is_left_out_on_request() -> None:
    assert "CustomResourceDefinition" not in kinds(render("--set", "crds.install=false"))


def test_the_chart_can_be_packaged(tmp_path: Path) -> None:
    done = helm("package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("rayspan-*.tgz")
    listed = subprocess.run(["tar", "-tzf", str(package)], capture_output=True, text=True, check=True).stdout
    assert "rayspan/files/llmdeployments.rayspan.dev.yaml" in listed
