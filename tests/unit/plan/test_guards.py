"""What does not go together is told before a GPU is taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rayspan.api.v1alpha1 import Spec
from rayspan.plan.guards import NO_STAGES
from rayspan.plan.plan import plan
from rayspan.plan.types import Invalid, Plan, Unplaceable

from tests.unit.plan.known import known, machines

LLAMA = known("meta-llama/Llama-3.1-70B-Instruct")
NODES = machines(4, 1, "NVIDIA-H100-80GB-HBM3", 80)

BARS: dict[str, tuple[dict[str, Any], str]] = {
    "routed experts": (
        {"enable_return_routed_experts": True},
        "engine.args.enable_return_routed_experts needs the whole model in one stage: leave it out, or write pipeline: "
        "1.",
    ),
    "eagle3": (
        {"speculative_config": {"method": "eagle3"}},
        "speculative decoding by eagle3 needs the whole model in one stage: take another method, or write pipeline: 1.",
    ),
    "dspark": (
        {"speculative_config": {"method": "dspark"}},
        "speculative decoding by dspark needs the whole model in one stage: take another method, or write pipeline: 1.",
    ),
    "tensors of images in shared memory": (
        {"mm_tensor_ipc": "torch_shm"},
        "engine.args.mm_tensor_ipc: torch_shm needs the whole model on one GPU: leave it out, or write pipeline: 1.",
    ),
}


def spec(arguments: dict[str, Any], **parallelism: int) -> Spec:
    engine = {"args": {"max_model_len": 8192, **arguments}}
    return Spec.model_validate({"model": {"id": "m"}, "parallelism": parallelism, "engine": engine})


@pytest.mark.parametrize("case", BARS)
def test_stages_that_are_asked_for_are_refused(case: str) -> None:
    arguments, told = BARS[case]
    answer = plan(spec(arguments, pipeline=2), LLAMA, NODES, None)
    assert answer == Invalid(f"spec.parallelism.pipeline asks for 2 stages, but {told}")


@pytest.mark.parametrize("case", BARS)
def test_stages_are_not_planned(case: str) -> None:
    assert isinstance(plan(spec(BARS[case][0]), LLAMA, NODES, None), Unplaceable), (
        "it does not fit on one of these"
    )
    answer = plan(spec(BARS[case][0]), LLAMA, machines(1, 2, "NVIDIA-H100-80GB-HBM3", 80), None)
    assert isinstance(answer, Plan) and answer.layout == "TP2xPP1"


def test_every_row_says_where_it_is_from() -> None:
    assert len(BARS) == len(NO_STAGES) - 1, "and the architecture's own, which test_plan.py asks for"
    assert all("/" in guard.source for guard in NO_STAGES)


def test_a_vllm_that_is_too_new_for_its_ray() -> None:
    image = replace(LLAMA, ray="2.60.0", vllm="0.33.0")
    assert plan(spec({}), image, NODES, None) == Invalid(
        "The serving image has Ray 2.60.0 and vLLM 0.33.0, but this Ray can serve no vLLM newer than 0.32: build the "
        "image with the pair of serving_image/pyproject.toml, or leave spec.serving.image out."
    )
    assert isinstance(plan(spec({}), replace(image, vllm="0.29.0"), NODES, None), Plan)
