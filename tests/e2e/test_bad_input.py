"""What only the cluster can know ends in PlanAccepted=False with a sentence, and harms nothing that serves.

What the API server refuses by itself is in tests/api/test_admission.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.llm import CPU_ENGINE, LLM, stages, tiny, wait_for

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "layers that do not sum to the model's": (
        {"parallelism": {"stages": [{"layers": 4}, {"layers": 5}]}},
        "InvalidSpec",
        "layers",
    ),
    "tensor x pipeline that no node can hold": (
        {"parallelism": {"tensor": 2, "pipeline": 2}},
        "Unplaceable",
        "spec.parallelism.tensor",
    ),
    "a node selector that no node matches": (
        {"parallelism": {"stages": stages("gpu-a", "gpu-z")}},
        "Unplaceable",
        "gpu-z",
    ),
    "an unknown engine argument": (
        {"engine": {"args": {**CPU_ENGINE, "max_modl_len": 512}}},
        "InvalidSpec",
        "max_model_len",
    ),
    "a model that is not there": (
        {"model": {"id": "tiny", "source": "file:///models/nowhere"}},
        "ModelUnreadable",
        "/models/nowhere",
    ),
    "a missing secret": (
        {
            "model": {
                "id": "tiny",
                "source": "hf://tiny/tiny",
                "tokenSecret": {"name": "nope", "key": "t"},
            }
        },
        "ReferenceMissing",
        "nope",
    ),
    "a missing API key": (
        {"serving": {"apiKeySecret": {"name": "nope", "key": "k"}}},
        "ReferenceMissing",
        "nope",
    ),
    "a missing claim": (
        {"model": {"id": "tiny", "source": "pvc://nope/tiny"}},
        "ReferenceMissing",
        "nope",
    ),
    "a priority class that is not there": (
        {"serving": {"podTemplate": {"spec": {"priorityClassName": "nope"}}}},
        "PodRefused",
        "no PriorityClass with name nope",
    ),
    "an image that lacks Ray": (
        {"serving": {"image": "localhost/rayspan/operator:dev"}},
        "ImageUnusable",
        "localhost/rayspan/operator:dev",
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_bad_input_ends_with_a_sentence_and_nothing_half_made(sentence: str, llm: LLM) -> None:
    change, reason, words = REFUSED[sentence]
    bad = LLM("bad")
    bad.apply(tiny("bad", **change))
    try:
        bad.wait("PlanAccepted", "False", timeout=90, reason=reason)
        message = bad.condition("PlanAccepted")["message"]
        print(f"\n{sentence}: {message}")
        assert words in message
        made = [
            name for name in bad.leftovers() if name.split(".")[0].startswith(("rayservice", "raycluster"))
        ]
        assert made == []
        assert llm.is_("Ready")
    finally:
        bad.delete()


def test_a_bad_edit_leaves_the_last_good_version_serving(llm: LLM) -> None:
    good = {pod["metadata"]["uid"] for pod in llm.pods()}
    llm.patch(json.dumps({"spec": {"engine": {"args": {"max_modl_len": 256}}}}))
    llm.wait("PlanAccepted", "False", timeout=90, reason="InvalidSpec")
    wait_for("Degraded", lambda: llm.is_("Degraded", reason="LastGoodServing"), 30, on_timeout=llm.explain)
    assert llm.is_("Serving") and llm.is_("Ready", "False")
    assert {pod["metadata"]["uid"] for pod in llm.pods()} == good
    llm.patch(json.dumps({"spec": {"engine": {"args": {"max_modl_len": None}}}}))
    llm.wait("Ready", timeout=180)
    assert {pod["metadata"]["uid"] for pod in llm.pods()} == good
