"""What a Ready deployment's status says is true."""

from __future__ import annotations

import asyncio
import math
import re
from itertools import pairwise

import aiohttp

from tests.e2e.llm import LLM, NAMESPACE, wait_for
from tests.e2e.traffic import Traffic
from tests.kubectl import get, kubectl
from tests.streaming import ask


def test_a_chat_completion_comes_back_through_the_service(llm: LLM) -> None:
    async def one() -> str:
        async with aiohttp.ClientSession() as session:
            answer = await ask(session, llm.address(), "tiny", 8)
            return answer.detail if not answer.ok else ""

    assert asyncio.run(one()) == ""


def test_each_stage_runs_where_the_manifest_says_and_the_status_read_it_back(llm: LLM) -> None:
    stages = llm.status["stages"]
    assert [(s["stage"], s["node"], s["state"], s["layers"]) for s in stages] == [
        (0, "gpu-a", "Running", 4),
        (1, "gpu-b", "Running", 4),
    ]
    nodes = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in llm.pods()}
    assert all(nodes[s["pod"]] == s["node"] for s in stages)


def test_the_columns_of_kubectl_get_llm(llm: LLM) -> None:
    header, row = kubectl("-n", NAMESPACE, "get", "llm", llm.name).splitlines()
    assert header.split()[:5] == ["NAME", "READY", "PHASE", "REPLICAS", "PLAN"]
    assert row.split()[:5] == ["tiny", "True", "Ready", "1", "TP1xPP2"]


def test_the_environment_was_read_from_what_runs(llm: LLM) -> None:
    environment = llm.status["environment"]
    assert environment["ray"] == "2.60.0"
    assert environment["vllm"].startswith("0.29.0")
    assert environment["backend"] == "cpu"
    assert environment["image"].endswith("rayspan/serving:dev")
    assert "stage" in environment["dataPath"] and environment["constraints"]


def test_no_serving_load_is_on_the_head(llm: LLM) -> None:
    slices = get("-n", NAMESPACE, "endpointslices", "-l", f"kubernetes.io/service-name={llm.name}-serve-svc")
    targets = {e["targetRef"]["name"] for s in slices["items"] for e in s.get("endpoints") or []}
    workers = {p["metadata"]["name"] for p in llm.pods() if p is not None} - {llm.head()["metadata"]["name"]}
    assert targets == workers and len(workers) == 2


def test_pods_carry_no_secret_and_pass_pod_security_restricted(llm: LLM) -> None:
    """The namespace enforces ``restricted``: that the pods run is the proof. Tokens come by reference."""
    for pod in llm.pods():
        for container in pod["spec"]["containers"]:
            for variable in container.get("env", []):
                if re.search("TOKEN|KEY|PASSWORD", variable["name"]):
                    assert "value" not in variable or variable["value"] == "", variable["name"]


def test_percentiles_in_the_status_are_those_that_the_client_measured(llm: LLM) -> None:
    """Over at least 200 streaming requests, at p50, p95 and p99."""
    before = llm.status.get("latency", {}).get("requests", 0)
    with Traffic(llm.address, "tiny", concurrency=3, tokens=12) as traffic:
        wait_for("220 requests", lambda: len(traffic.requests) >= 220, 600)
    assert not traffic.failed
    # The status is only written when a percentile or a rate has moved: the last few may be missing.
    wait_for(
        "the scrapes to have seen nearly all",
        lambda: llm.status["latency"]["requests"] >= 0.97 * (before + len(traffic.requests)),
        60,
        on_timeout=lambda: str(llm.status.get("latency")) + f" client {len(traffic.requests)}",
    )
    latency = llm.status["latency"]
    samples = {
        "timeToFirstToken": [r.first_token - r.started for r in traffic.requests if r.first_token],
        "interTokenLatency": [b - a for r in traffic.requests for a, b in pairwise(r.tokens_at)],
        "endToEnd": [r.seconds for r in traffic.requests],
    }
    wrong = []
    for field, sample in samples.items():
        for percentile in (50, 95, 99):
            reported = seconds(latency[field][f"p{percentile}"])
            low, measured, high = around(percentile, sample)
            line = f"{field} p{percentile}: status {reported:.4f} s, client {measured:.4f} s"
            print(f"\n{line}, {reported / measured - 1:+.1%}", end="")
            room = ROOM[field]
            if not (1 - room) * low <= reported <= (1 + room) * high:
                wrong.append(f"{line}, its neighbours {low:.4f} and {high:.4f}")
    assert not wrong


ROOM = {"timeToFirstToken": 0.15, "interTokenLatency": 0.20, "endToEnd": 0.15}
"""The goal is 5 % everywhere, and what was reached is printed. What is asserted leaves room for a client that shares
two cores with proxies and engines: its own pauses between two tokens are in its record, not in the status."""


def around(percentile: int, sample: list[float]) -> tuple[float, float, float]:
    """The percentile by nearest rank, between its neighbours 0.5 % of the sample away: the p99 of 220 requests
    is one request, and the one that the test before sent is in the status as well."""
    ordered = sorted(sample)
    rank = math.ceil(percentile / 100 * len(ordered)) - 1
    slack = max(1, round(len(ordered) / 200))
    return ordered[max(0, rank - slack)], ordered[rank], ordered[min(len(ordered) - 1, rank + slack)]


def seconds(duration: str) -> float:
    """``1m2.5s`` or ``83ms`` in seconds."""
    unit = {"ms": 0.001, "s": 1.0, "m": 60.0}
    return sum(float(n) * unit[u] for n, u in re.findall(r"([0-9.]+)(ms|s|m)", duration))
