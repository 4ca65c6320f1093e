"""Changes of a serving deployment, and hands that meddle: it converges, and what can go on serving does."""

from __future__ import annotations

import asyncio
import json

import aiohttp

from tests.e2e.conftest import Lifecycle, tag_serving_image
from tests.e2e.llm import CPU_ENGINE, LLM, NAMESPACE, stages, wait_for
from tests.kubectl import get, kubectl
from tests.streaming import Request, ask


async def one(url: str, tokens: int) -> Request:
    """One request."""
    async with aiohttp.ClientSession() as session:
        return await ask(session, url, "tiny", tokens)


def test_a_changed_engine_argument_reaches_the_engine(llm: LLM, lifecycle: Lifecycle) -> None:
    before = llm.uids()
    lifecycle.measure(
        "engine argument",
        llm.address,
        lambda: llm.patch(json.dumps({"spec": {"engine": {"args": {**CPU_ENGINE, "max_model_len": 384}}}})),
        lambda: llm.is_("Ready"),
    )
    too_long = asyncio.run(one(llm.address(), tokens=450))
    assert too_long.detail.startswith("400"), "within the 512 tokens of before, beyond the 384 of now"
    assert llm.uids() == before, "an engine argument needs no new pods"


def test_swapped_selectors_swap_the_stages_and_a_new_image_is_rolled_out(
    llm: LLM, lifecycle: Lifecycle
) -> None:
    """In one edit: each means new pods."""
    image = "localhost/rayspan/serving:other"
    tag_serving_image(image)
    change = {"parallelism": {"stages": stages("gpu-b", "gpu-a")}, "serving": {"image": image}}
    lifecycle.measure(
        "placement and image",
        llm.address,
        lambda: llm.patch(json.dumps({"spec": change})),
        lambda: llm.is_("Ready") and llm.status["environment"]["image"] == image,
    )
    assert [(s["stage"], s["node"]) for s in llm.status["stages"]] == [(0, "gpu-b"), (1, "gpu-a")]
    assert {c["image"] for pod in llm.pods() for c in pod["spec"]["containers"]} == {image}


def test_the_operator_away_and_back_changes_nothing(llm: LLM) -> None:
    before = llm.uids()
    operator = ("-n", "rayspan-system", "scale", "deployment", "rayspan")
    kubectl(*operator, "--replicas=0")
    kubectl("-n", "rayspan-system", "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=rayspan")
    service = get("-n", NAMESPACE, "rayservice", llm.name)
    kubectl(*operator, "--replicas=1")
    kubectl("-n", "rayspan-system", "rollout", "status", "deployment/rayspan", "--timeout=90s", timeout=100)
    llm.wait("Ready", timeout=180)
    after = get("-n", NAMESPACE, "rayservice", llm.name)
    assert after["spec"] == service["spec"]
    assert after["metadata"]["generation"] == service["metadata"]["generation"]
    assert llm.uids() == before


def test_an_edit_by_hand_of_what_is_owned_is_put_back(llm: LLM) -> None:
    before = get("-n", NAMESPACE, "rayservice", llm.name)["spec"]
    change = {"spec": {"excludeHeadPodFromServeSvc": False}}
    kubectl("-n", NAMESPACE, "patch", "rayservice", llm.name, "--type=merge", "-p", json.dumps(change))
    wait_for(
        "the edit to be undone", lambda: get("-n", NAMESPACE, "rayservice", llm.name)["spec"] == before, 30
    )


def test_an_owned_rayservice_that_was_deleted_comes_back(llm: LLM, lifecycle: Lifecycle) -> None:
    lifecycle.measure(
        "RayService deleted by hand",
        llm.address,
        lambda: kubectl("-n", NAMESPACE, "delete", "rayservice", llm.name, "--wait=false"),
        lambda: llm.is_("Ready"),
        noticed=lambda: not llm.is_("Ready"),
    )
