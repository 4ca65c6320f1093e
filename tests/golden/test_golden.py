"""A deployment and its nodes, and every object that is made of them, reviewed as diffs.

Each folder here is a case: ``deployment.yaml`` (the LLMDeployment), ``nodes.yaml`` (the model's layers and
the cluster's nodes) and ``objects.yaml`` (what is rendered). After a wanted change

    UPDATE_GOLDEN=1 uv run --group dev pytest tests/golden

writes the last one anew; read its diff before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.plan.facts import ModelFacts, NodeFacts, Taint
from rayspan.plan.plan import plan
from rayspan.plan.types import Plan
from rayspan.render import Insiders, RenderSettings, bench_job, inspect_job, objects, token_secret

HERE = Path(__file__).parent
CASES = sorted(path.parent.name for path in HERE.glob("*/deployment.yaml"))


INSIDERS = Insiders(
    rayspan=({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "rayspan-system"}}},),
    kuberay=({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kuberay-system"}}},),
    metrics=({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},),
)
BENCH = {"url": "http://example:8000/v1", "levels": [1, 2], "seconds": 60}


class Readable(yaml.SafeDumper):
    """Texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


Readable.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def node_facts(document: dict[str, Any]) -> NodeFacts:
    taints = tuple(Taint(**taint) for taint in document.pop("taints", ()))
    return NodeFacts(taints=taints, **document)


def rendered(case: str) -> str:
    deployment = LLMDeployment.model_validate(yaml.safe_load((HERE / case / "deployment.yaml").read_text()))
    cluster = yaml.safe_load((HERE / case / "nodes.yaml").read_text())
    nodes = [node_facts(document) for document in cluster["nodes"]]
    answer = plan(deployment.spec, ModelFacts(**cluster["model"]), nodes, None)
    assert isinstance(answer, Plan), answer
    settings = RenderSettings(serving_image="registry.example.com/rayspan/serving:1", insiders=INSIDERS)
    made = (
        *objects(deployment, answer, settings),
        token_secret(deployment, "<token>", "<probe token>"),
        inspect_job(deployment, settings),
        bench_job(deployment, "registry.example.com/rayspan/serving:1", BENCH),
    )
    return "".join(
        f"---\n{yaml.dump(item, Dumper=Readable, sort_keys=False, width=1 << 20)}" for item in made
    )


@pytest.mark.parametrize("case", CASES)
def test_objects_are_as_reviewed(case: str) -> None:
    golden = HERE / case / "objects.yaml"
    text = rendered(case)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert golden.read_text() == text, (
        "a wanted change? UPDATE_GOLDEN=1 pytest tests/golden, then read the diff"
    )
