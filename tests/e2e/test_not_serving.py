"""Why nothing is served: each cause made for real, and what the diagnosis says of it.

    make not-serving

What needs GPUs (their memory, NCCL, a driver that does not fit) cannot be made here: the words of an H200 are in
tests/unit/report/test_causes.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from dev import paths, topology
from tests.e2e.hub import GATED, SLOW, hub
from tests.e2e.llm import CPU_ENGINE, LLM, NAMESPACE, RESTRICTED, tiny, wait_for
from tests.kubectl import apply, kubectl

pytestmark = pytest.mark.long

MODEL = paths.CACHE / "models" / "tiny"


def pod(**fields: Any) -> dict[str, Any]:
    return {"serving": {"podTemplate": {"spec": fields}}}


def ray(**fields: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "ray", **fields}])


def memory(size: str) -> dict[str, Any]:
    return ray(resources={"requests": {"memory": size}, "limits": {"memory": size}})


def engine(env: dict[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
    return {"engine": {"args": {**CPU_ENGINE, **arguments}, **({"env": env} if env else {})}}


SQUATTER = {
    "name": "squatter",
    "image": "localhost/rayspan/serving:dev",
    "command": ["python", "-m", "http.server", "8000"],
    "securityContext": RESTRICTED,
}

CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "unschedulable": (memory("900Gi"), r"cannot be scheduled: .*Insufficient memory", "Free or add a node"),
    "image": (
        {"serving": {"image": "localhost/nothing:1"}},
        r"serving image localhost/nothing:1 cannot be pulled",
        "spec.serving.image",
    ),
    "no room for the cache": (engine(kv_cache_memory_bytes=4096), r"kv_cache_memory_bytes", "Edit spec"),
    "out of memory": (memory("600Mi"), r"(?i)memory|OOM|exit code 137", "memory"),
    "tokenizer": (engine(tokenizer="/models/none"), r"Repo id must be", "what they name is not there"),
    "network": (
        engine({"GLOO_SOCKET_IFNAME": "nosuch0"}),
        r"stage \d, in pod .*nosuch0|nosuch0",
        "GLOO_SOCKET_IFNAME",
    ),
    "port": (pod(containers=[SQUATTER]), r"(?i)address already in use|8000", "port"),
}
"""What is changed, and what summary and action say then."""


@pytest.fixture
def made(operator: None) -> Iterator[list[LLM]]:
    made: list[LLM] = []
    yield made
    for llm in made:
        llm.delete()


def told(llm: LLM, summary: str, action: str, timeout: float = 300) -> None:
    """Wait for the diagnosis, and print it."""

    def diagnosis() -> dict[str, Any]:
        found: dict[str, Any] = llm.status.get("diagnosis") or {}
        return found

    def right() -> bool:
        now = diagnosis()
        return bool(
            now.get("verdict") == "NotServing"
            and re.search(summary, now["summary"])
            and re.search(action, now.get("action", ""))
        )

    taken = wait_for(
        f"{llm.name} to be told", right, timeout, on_timeout=lambda: f"{diagnosis()}\n{llm.explain()}"
    )
    now = diagnosis()
    failure = (now.get("lastFailure") or {}).get("reason", "none")
    print(
        f"\n{llm.name}, after {taken:.0f} s: {now['summary'][:700]}\n  -> {now['action']} (lastFailure: {failure})"
    )


@pytest.mark.parametrize("case", CASES)
def test_a_start_that_fails_says_why(made: list[LLM], case: str) -> None:
    change, summary, action = CASES[case]
    llm = LLM(case.replace(" ", "-"))
    made.append(llm)
    llm.apply(tiny(llm.name, **change))
    told(llm, summary, action)


QUOTA: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-gpus", "namespace": NAMESPACE},
    "spec": {"hard": {"requests.nvidia.com/gpu": 0}},
}


def test_a_quota_that_is_used_up_says_so(made: list[LLM]) -> None:
    apply(QUOTA)
    try:
        llm = LLM("quota")
        made.append(llm)
        llm.apply(tiny(llm.name))
        told(llm, "cannot make a pod: .*exceeded quota: no-gpus", "Raise the quota")
    finally:
        kubectl("-n", NAMESPACE, "delete", "resourcequota", "no-gpus")
    llm.wait("Provisioned", timeout=120)


def test_a_gated_model_says_so(made: list[LLM]) -> None:
    with hub(MODEL, 1e9) as port:
        llm = from_hub(made, "gated", GATED, port)
        told(llm, "is gated: accept its terms", "tokenSecret")


def test_a_model_that_is_being_fetched_says_so(made: list[LLM]) -> None:
    """5 MB at 50 kB a second: a minute and a half on each node."""
    with hub(MODEL, 50e3) as port:
        llm = from_hub(made, "slow", SLOW, port)
        told(llm, "MiB of weights are here, and more is being fetched", "Wait", 400)


def from_hub(made: list[LLM], name: str, repository: str, port: int) -> LLM:
    llm = LLM(name)
    made.append(llm)
    endpoint = {"HF_ENDPOINT": f"http://{topology.HOST_IP}:{port}"}
    llm.apply(tiny(name, model={"id": name, "source": f"hf://{repository}"}, **engine(endpoint)))
    return llm


def test_an_engine_that_hangs_while_its_models_are_still_listed(llm: LLM) -> None:
    signalled(llm, "STOP")
    try:
        told(llm, "completion failed|does not answer", "log of stage 0's pod")
    finally:
        signalled(llm, "CONT")


SQUATTER_ACTOR = """
import ray
ray.init(address="auto", log_to_driver=False)
class Squatter: pass
ray.remote(Squatter).options(
    name="squatter", namespace="squatter", lifetime="detached", num_cpus=0, num_gpus=1,
    label_selector={"rayspan.dev/stage": "1"},
).remote()
"""
"""Queues for stage 1's GPU, and has it as soon as the replica lets go."""
GIVE_BACK = """
import ray
ray.init(address="auto", log_to_driver=False)
ray.kill(ray.get_actor("squatter", namespace="squatter"))
"""


def test_a_replica_whose_place_is_taken_says_for_which_bundle(llm: LLM) -> None:
    llm.wait("Ready")
    in_ray = ("-n", NAMESPACE, "exec", llm.stage_pod(0), "-c", "ray", "--", "python", "-c")
    kubectl(*in_ray, SQUATTER_ACTOR)
    try:
        signalled(llm, "KILL")
        told(
            llm,
            r"is pending: no room for bundle 1 of 2 \(stage 1, 1 GPU\): 0 GPUs free in pod",
            "holds that GPU",
        )
    finally:
        kubectl(*in_ray, GIVE_BACK)


def signalled(llm: LLM, signal: str) -> None:
    """Its engine's process is sent this signal."""
    in_pod = ("-n", NAMESPACE, "exec", llm.stage_pod(0), "-c", "ray", "--")
    kubectl(*in_pod, "pkill", f"-{signal}", "-f", "VLLM::EngineCore")
