"""Each end of the inspection Job is a fact or a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rayspan.api.conditions import Reason
from rayspan.api.v1alpha1 import LayersStatus, ModelStatus, WeightsStatus
from rayspan.cluster.inspection import outcome
from rayspan.report.input import Inspecting, Refused

from tests.inspected import ANSWER

IMAGE = "registry.example/serving:1"


def pod(state: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"creationTimestamp": "1"}, "status": {"containerStatuses": [{"state": state}]}}


def ended(message: str, code: int = 0, reason: str = "Completed") -> dict[str, Any]:
    return pod({"terminated": {"exitCode": code, "reason": reason, "message": message}})


def waiting(reason: str, message: str) -> dict[str, Any]:
    return pod({"waiting": {"reason": reason, "message": message}})


def pending(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"metadata": {}, "status": {"conditions": [condition]}}


CASES: dict[str, tuple[dict[str, Any], Reason, str]] = {
    "an unknown engine argument with a near one": (
        ended(json.dumps({**ANSWER, "unknownEngineArgs": {"max_modl_len": "max_model_len"}})),
        Reason.INVALID_SPEC,
        "engine.args.max_modl_len is no engine argument of vLLM 0.29.0: write max_model_len instead.",
    ),
    "an unknown engine argument like no other": (
        ended(json.dumps({**ANSWER, "unknownEngineArgs": {"foo": None}})),
        Reason.INVALID_SPEC,
        "engine.args.foo is no engine argument of vLLM 0.29.0: remove it.",
    ),
    "a problem that the inspection names": (
        ended(json.dumps({"problems": [{"reason": "ModelUnreadable", "message": "No such repository."}]})),
        Reason.MODEL_UNREADABLE,
        "No such repository.",
    ),
    "an image that cannot be pulled": (
        waiting("ImagePullBackOff", 'Back-off pulling image "x": ErrImagePull: not found'),
        Reason.IMAGE_UNUSABLE,
        f"The serving image {IMAGE} cannot be pulled: not found",
    ),
    "the same image while it is pulled again": (
        waiting("ErrImagePull", "not found"),
        Reason.IMAGE_UNUSABLE,
        f"The serving image {IMAGE} cannot be pulled: not found",
    ),
    "a Secret that is missing": (
        waiting("CreateContainerConfigError", 'secret "hf-token" not found'),
        Reason.REFERENCE_MISSING,
        "There is no Secret 'hf-token' in this namespace: create it, or name another in spec.model.tokenSecret or "
        "spec.serving.apiKeySecret.",
    ),
    "a claim that is missing": (
        pending('0/3 nodes are available: persistentvolumeclaim "weights" not found.'),
        Reason.REFERENCE_MISSING,
        "There is no PersistentVolumeClaim 'weights' in this namespace: create it, or name another in "
        "spec.model.source.",
    ),
    "an image without Python": (
        ended('exec: "python": executable file not found in $PATH', 128, "StartError"),
        Reason.IMAGE_UNUSABLE,
        f"The image {IMAGE} lacks python, so it is no serving image: build it from serving_image/Dockerfile, "
        'or leave spec.serving.image out. Its own words: exec: "python": executable file not found in $PATH',
    ),
    "an image without the serving package": (
        ended("/usr/bin/python: No module named rayspan_serving", 1, "Error"),
        Reason.IMAGE_UNUSABLE,
        f"The image {IMAGE} lacks rayspan_serving, so it is no serving image: build it from "
        "serving_image/Dockerfile, or leave spec.serving.image out. Its own words: /usr/bin/python: No module "
        "named rayspan_serving",
    ),
    "an inspection out of memory": (
        ended("", 137, "OOMKilled"),
        Reason.MODEL_UNREADABLE,
        "The inspection of the model ran out of memory.",
    ),
    "an end without an answer": (
        ended("segmentation fault", 139, "Error"),
        Reason.MODEL_UNREADABLE,
        "The inspection of the model ended with exit code 139 and no answer: segmentation fault",
    ),
    "a model without layers": (
        ended(json.dumps({**ANSWER, "model": {"config": {"architectures": ["Odd"]}}})),
        Reason.MODEL_UNREADABLE,
        "The model cannot be planned: config.json has no num_hidden_layers.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_is(case: str) -> None:
    state, reason, message = CASES[case]
    assert outcome({}, [state], "key", IMAGE) == Refused(reason, message)


def test_an_answer_becomes_facts_under_its_key() -> None:
    found = outcome({}, [ended(json.dumps(ANSWER))], "key", IMAGE)
    assert found == ModelStatus(
        key="key", layers=8, architecture="LlamaForCausalLM", attention_heads=4, kv_heads=2, hidden_size=64,
        vocabulary_size=1000, supports_pipeline=True, inner_size=128, number_bytes=4,
        weights=WeightsStatus(
            source="headers", embedding_bytes=300, head_bytes=300, rest_bytes=4,
            layers=[LayersStatus(count=8, bytes=1000, token_cache_bytes=2 * 2 * 16 * 4, kv_heads=2)],
        ),
        backend="cpu", ray="2.60.0", vllm="0.29.0", python="3.11.2",
    )  # fmt: skip


def test_a_job_that_ran_out_of_time_says_what_it_waited_for() -> None:
    job = {
        "status": {
            "conditions": [{"type": "Failed", "status": "True", "message": "Job was active too long."}]
        }
    }
    assert outcome(job, [pending("0/3 nodes are available.")], "key", IMAGE) == Refused(
        Reason.MODEL_UNREADABLE,
        "The inspection of the model did not come to an end: Job was active too long. "
        "Last seen: no node for its pod: 0/3 nodes are available.",
    )


@pytest.mark.parametrize(
    ("pods", "detail"),
    [
        ([], "its pod is not there yet"),
        ([pod({"running": {}})], "reading the model's configuration"),
        ([waiting("ContainerCreating", "")], ""),
        ([pending("no GPUs")], "no node for its pod: no GPUs"),
    ],
)
def test_inspecting_while(pods: list[dict[str, Any]], detail: str) -> None:
    assert outcome({}, pods, "key", IMAGE) == Inspecting(detail)
