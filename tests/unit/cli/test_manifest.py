"""What a wrong manifest is answered with: the field, what is wrong, what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from rayspan.cli.errors import WrongInput
from rayspan.cli.manifest import read_deployments

ROOT = Path(__file__).resolve().parents[3]

HEAD = """\
apiVersion: rayspan.dev/v1alpha1
kind: LLMDeployment
metadata: {name: x}
"""

WRONG_SPECS: dict[str, tuple[str, str]] = {
    "a field that must be there": (
        "{model: {}}",
        'spec.model.id is missing: What clients send as "model". No colon: Ray Serve reserves it for LoRA adapters.',
    ),
    "a misspelt field": ("{model: {id: a, soruce: b}}", "spec.model.soruce is unknown: did you mean source?"),
    "a misspelt field in a list": (
        "{model: {id: a}, parallelism: {stages: [{}, {nodeselector: {}}]}}",
        "spec.parallelism.stages[1].nodeselector is unknown: did you mean nodeSelector?",
    ),
    "a field that is like no other": (
        "{model: {id: a}, updateStrategy: {maxSurge: 1}}",
        "spec.updateStrategy.maxSurge is unknown: known here are type",
    ),
    "too small a number": ("{model: {id: a}, replicas: -1}", "spec.replicas is -1: write 0 or more"),
    "too large a number": ("{model: {id: a}, replicas: 1001}", "spec.replicas is 1001: write 1000 or less"),
    "a duration that is none": (
        "{model: {id: a}, objectives: {endToEnd: {p99: 5 seconds}}}",
        r"spec.objectives.endToEnd.p99 is '5 seconds': it must match ^([0-9]+(\.[0-9]+)?(ms|s|m))+$",
    ),
    "an unknown choice": (
        "{model: {id: a}, updateStrategy: {type: Rolling}}",
        "spec.updateStrategy.type is 'Rolling': write 'Recreate' or 'NewCluster'",
    ),
    "an argument that Rayspan sets": (
        "{model: {id: a}, engine: {args: {tensor_parallel_size: 2}}}",
        "spec.engine.args.tensor_parallel_size is set by Rayspan: write spec.parallelism.tensor instead",
    ),
    "a variable that Rayspan sets": (
        "{model: {id: a}, engine: {env: {VLLM_PP_LAYER_PARTITION: '4,4'}}}",
        "spec.engine.env.VLLM_PP_LAYER_PARTITION is set by Rayspan: write spec.parallelism.stages instead",
    ),
}


@pytest.mark.parametrize(("spec", "sentence"), WRONG_SPECS.values(), ids=list(WRONG_SPECS))
def test_a_wrong_spec(spec: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "llm.yaml"
    file.write_text(f"{HEAD}spec: {spec}\n")
    with pytest.raises(WrongInput) as refused:
        read_deployments(str(file))
    assert str(refused.value) == f"{file} is not a valid LLMDeployment:\n  {sentence}"


WRONG_FILES: dict[str, tuple[str, str]] = {
    "an empty file": ("", "is empty: it needs an object of kind LLMDeployment"),
    "another kind": ("kind: Service", "holds no LLMDeployment: found Service"),
    "no object at all": ("just words", "holds a str where an object is expected"),
    "broken YAML": ("a: [", "is not YAML: while parsing a flow node"),
    "an old version": (
        HEAD.replace("v1alpha1", "v1") + "spec: {}",
        ": apiVersion is 'rayspan.dev/v1': write rayspan.dev/v1alpha1",
    ),
}


@pytest.mark.parametrize(("content", "sentence"), WRONG_FILES.values(), ids=list(WRONG_FILES))
def test_a_wrong_file(content: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "llm.yaml"
    file.write_text(content)
    with pytest.raises(WrongInput) as refused:
        read_deployments(str(file))
    assert sentence in str(refused.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(WrongInput, match=r"^/nowhere cannot be read: No such file or directory$"):
        read_deployments("/nowhere")


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "llm.yaml"
    file.write_text(f"{HEAD}spec: {{model: {{}}, replicas: -1, parallelism: {{tensor: 0}}}}\n")
    with pytest.raises(WrongInput) as refused:
        read_deployments(str(file))
    assert str(refused.value).count("\n") == 3


def test_several_objects_and_lists_are_read_in_order(tmp_path: Path) -> None:
    file = tmp_path / "llm.yaml"
    second = (
        "{apiVersion: rayspan.dev/v1alpha1, kind: LLMDeployment, metadata: {name: y}, spec: {model: {id: b}}}"
    )
    file.write_text(f"{HEAD}spec: {{model: {{id: a}}}}\n---\nkind: List\nitems: [{second}, {{kind: Pod}}]\n")
    assert [each.metadata.name for each in read_deployments(str(file))] == ["x", "y"]


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_valid(example: Path) -> None:
    assert read_deployments(str(example))
