"""What the API server itself refuses, with the operator nowhere near: one sentence, and the exact words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kubectl import Refused, apply

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "stages list and pipeline of different length": (
        {"spec": {"parallelism": {"pipeline": 3, "stages": [{"layers": 4}, {"layers": 4}]}}},
        "spec.parallelism.stages and spec.parallelism.pipeline differ: give exactly one entry per stage, or "
        "leave pipeline out",
    ),
    "layers for some stages only": (
        {"spec": {"parallelism": {"stages": [{"layers": 4}, {}]}}},
        "spec.parallelism.stages: give layers for every stage, or for none and have them planned",
    ),
    "a layer count below 1": (
        {"spec": {"parallelism": {"stages": [{"layers": 0}, {"layers": 8}]}}},
        "spec.parallelism.stages[0].layers in body should be greater than or equal to 1",
    ),
    "a negative number of replicas": (
        {"spec": {"replicas": -1}},
        "spec.replicas in body should be greater than or equal to 0",
    ),
    "an absurd number of replicas": (
        {"spec": {"replicas": 100000}},
        "spec.replicas in body should be less than or equal to 1000",
    ),
    "an absurd tensor parallel size": (
        {"spec": {"parallelism": {"tensor": 4096}}},
        "spec.parallelism.tensor in body should be less than or equal to 64",
    ),
    "a port that pods without privileges cannot have": (
        {"spec": {"serving": {"port": 80}}},
        "spec.serving.port in body should be greater than or equal to 1024",
    ),
    "a port that Ray uses itself": (
        {"spec": {"serving": {"port": 8265}}},
        "spec.serving.port is one that Ray itself uses in the same pods (6379, 8080, 8265, 10001 to 19999 and "
        "52365): choose another, such as 8000",
    ),
    "clients by address and by pod in one": (
        {"spec": {"serving": {"allowFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}}},
        "spec.serving.allowFrom: an entry is either an ipBlock, or a namespaceSelector, a podSelector or both: write "
        "two entries for both",
    ),
    "clients by nothing": (
        {"spec": {"serving": {"allowFrom": [{}]}}},
        "spec.serving.allowFrom: an entry is either an ipBlock",
    ),
    "an argument that Rayspan owns": (
        {"spec": {"engine": {"args": {"tensor_parallel_size": 2}}}},
        "spec.engine.args.tensor_parallel_size is set by Rayspan: write spec.parallelism.tensor instead",
    ),
    "a flag that Rayspan owns": (
        {"spec": {"engine": {"args": {"disable_log_stats": True}}}},
        "spec.engine.args.disable_log_stats is set by Rayspan: leave it out",
    ),
    "a variable that Rayspan owns": (
        {"spec": {"engine": {"env": {"VLLM_PP_LAYER_PARTITION": "4,4"}}}},
        "spec.engine.env.VLLM_PP_LAYER_PARTITION is set by Rayspan: write spec.parallelism.stages instead",
    ),
    "a variable of Ray": (
        {"spec": {"engine": {"env": {"RAY_ADDRESS": "x"}}}},
        "spec.engine.env: names that begin with RAY_ are set by Rayspan",
    ),
    "a name too long for what is derived from it": (
        {"metadata": {"name": "a-name-that-goes-on-and-on-for-far-too-long"}},
        "metadata.name may have at most 40 characters, since the names of Services, Jobs and pods are derived "
        "from it: choose a shorter name",
    ),
    "a name that starts with a digit": (
        {"metadata": {"name": "7b"}},
        "metadata.name must start with a letter",
    ),
    "a model source of unknown scheme": (
        {"spec": {"model": {"id": "m", "source": "http://example.com/m"}}},
        "spec.model.source must be hf://ORG/NAME, pvc://CLAIM/PATH, s3://BUCKET/PATH, gs://BUCKET/PATH or "
        "file:///PATH",
    ),
    "a revision of something that has none": (
        {"spec": {"model": {"id": "m", "source": "pvc://weights/m", "revision": "main"}}},
        "spec.model.revision is for models of the hub only: leave it out, or use a source of hf://ORG/NAME",
    ),
    "a claim that no PersistentVolumeClaim can be named": (
        {"spec": {"model": {"id": "m", "source": "pvc://a:b/m"}}},
        "spec.model.source: pvc://CLAIM/PATH needs the name of a PersistentVolumeClaim in this namespace",
    ),
    "a Secret that none can be named": (
        {"spec": {"serving": {"apiKeySecret": {"name": "My Secret", "key": "k"}}}},
        "spec.serving.apiKeySecret.name in body should match",
    ),
    "a key that no Secret has": (
        {"spec": {"serving": {"apiKeySecret": {"name": "s", "key": "a key"}}}},
        "spec.serving.apiKeySecret.key in body should match",
    ),
    "an image with a space": (
        {"spec": {"serving": {"image": " image"}}},
        "spec.serving.image in body should match",
    ),
    "a variable that none can be named": (
        {"spec": {"engine": {"env": {"A B": "1"}}}},
        "spec.engine.env: names of variables hold only letters, digits, '_', '-' and '.', and begin with no digit",
    ),
    "a selector of a label that there cannot be": (
        {"spec": {"parallelism": {"stages": [{"nodeSelector": {"a b": "1"}}]}}},
        "spec.parallelism.stages[].nodeSelector has a key that no label can have",
    ),
    "a selector of a value that no label has": (
        {"spec": {"parallelism": {"stages": [{"nodeSelector": {"a": "b c"}}]}}},
        "spec.parallelism.stages[0].nodeSelector.a in body should match",
    ),
    "a model id with a space that is not plain": (
        {"spec": {"model": {"id": "m\xa0m"}}},
        "spec.model.id in body should match",
    ),
    "a model id with a colon": (
        {"spec": {"model": {"id": "m:adapter"}}},
        "spec.model.id in body should match '^[^\\x00- :/\\x7f-\\xa0][^\\x00- :\\x7f-\\xa0]*$'",
    ),
    "no model": ({"spec": {"model": None}}, "spec.model: Required value"),
    "a duration without unit": (
        {"spec": {"objectives": {"endToEnd": {"p99": "20"}}}},
        "spec.objectives.endToEnd.p99 in body should match",
    ),
    "autoscaling, which is not acted on": (
        {"spec": {"autoscaling": {"maxReplicas": 3}}},
        "spec.autoscaling is not acted on yet: leave it out, and scale by spec.replicas, `kubectl scale`, or a "
        "HorizontalPodAutoscaler on the scale subresource",
    ),
    "a field that does not exist": (
        {"spec": {"paralelism": {"tensor": 2}}},
        'unknown field "spec.paralelism"',
    ),
}


def deployment(change: dict[str, Any]) -> dict[str, Any]:
    """A good LLMDeployment with ``change`` merged into it."""
    spec = {"model": {"id": "tiny", "source": "file:///models/tiny"}, **change.get("spec", {})}
    return {
        "apiVersion": "rayspan.dev/v1alpha1",
        "kind": "LLMDeployment",
        "metadata": {"name": "good", "namespace": "default", **change.get("metadata", {})},
        "spec": spec,
    }


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_is_refused_with_what_to_write_instead(sentence: str, crd: None) -> None:
    change, message = BAD[sentence]
    with pytest.raises(Refused) as refused:
        apply(deployment(change), "--dry-run=server")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"spec": {"replicas": 0}},
        {"spec": {"parallelism": {"tensor": 2, "pipeline": 2, "stages": [{"layers": 38}, {"layers": 42}]}}},
        {"spec": {"engine": {"args": {"max_model_len": 8192, "compilation_config": {"mode": 2}}}}},
        {"spec": {"objectives": {"timeToFirstToken": {"p95": "500ms"}, "endToEnd": {"p99": "1m20s"}}}},
        {"spec": {"model": {"id": "org/name", "source": "pvc://weights/llama"}}},
    ],
    ids=str,
)
def test_good_input_is_taken(change: dict[str, Any], crd: None) -> None:
    assert "good" in apply(deployment(change), "--dry-run=server")
