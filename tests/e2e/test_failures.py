"""Stages and heads that die, under load: how long nobody is served, how many requests fail, how long one hangs.

The same failures of a RayService written by hand are in test_baseline.py (``make baseline`` runs both).
"""

from __future__ import annotations

from tests.e2e.conftest import Lifecycle, gpus
from tests.e2e.llm import LLM, NAMESPACE, wait_for
from tests.kubectl import kubectl

SEEN_WITHIN = 30
"""Seconds until Ready must have turned False."""
FAIL_FAST = 35
"""Longest time in seconds that any request may take to fail or be answered: the client's time-out is 60."""


def stage_pod(llm: LLM, stage: int) -> str:
    """Name of a running pod of this stage."""
    running = [p for p in llm.pods(stage) if "deletionTimestamp" not in p["metadata"]]
    return str(running[0]["metadata"]["name"])


def delete_pod(name: str, *arguments: str) -> str:
    """kubectl delete pod, without waiting for it to be gone."""
    return kubectl("-n", NAMESPACE, "delete", "pod", name, "--wait=false", *arguments)


def test_a_stage_pod_is_deleted(llm: LLM, lifecycle: Lifecycle) -> None:
    outcome = lifecycle.measure(
        "stage pod deleted",
        llm.address,
        lambda: delete_pod(stage_pod(llm, 1)),
        lambda: llm.is_("Ready"),
        noticed=lambda: not llm.is_("Ready"),
    )
    assert outcome.seen_after is not None and outcome.seen_after < SEEN_WITHIN
    assert outcome.longest < FAIL_FAST, outcome.details


def test_a_stage_pod_is_killed_hard(llm: LLM, lifecycle: Lifecycle) -> None:
    outcome = lifecycle.measure(
        "stage pod killed",
        llm.address,
        lambda: delete_pod(stage_pod(llm, 1), "--grace-period=0", "--force"),
        lambda: llm.is_("Ready"),
        noticed=lambda: not llm.is_("Ready"),
    )
    assert outcome.seen_after is not None and outcome.seen_after < SEEN_WITHIN
    assert outcome.longest < FAIL_FAST, outcome.details


def test_the_head_is_deleted(llm: LLM, lifecycle: Lifecycle) -> None:
    outcome = lifecycle.measure(
        "head pod deleted",
        llm.address,
        lambda: delete_pod(llm.head()["metadata"]["name"]),
        lambda: llm.is_("Ready"),
        noticed=lambda: not llm.is_("Ready"),
    )
    assert outcome.seen_after is not None and outcome.seen_after < SEEN_WITHIN
    assert outcome.longest < FAIL_FAST, outcome.details


def test_with_two_replicas_the_other_goes_on_serving(llm: LLM, lifecycle: Lifecycle) -> None:
    gpus(2)
    kubectl("-n", NAMESPACE, "scale", "llm", llm.name, "--replicas=2")
    wait_for("two replicas", lambda: llm.status["replicas"]["ready"] == 2, 300, on_timeout=llm.explain)
    outcome = lifecycle.measure(
        "stage pod killed, two replicas",
        llm.address,
        lambda: delete_pod(stage_pod(llm, 1), "--grace-period=0", "--force"),
        lambda: llm.is_("Ready") and llm.status["replicas"]["ready"] == 2,
        noticed=lambda: llm.is_("Degraded"),
    )
    assert outcome.outage < FAIL_FAST, "the other replica went on serving"
    assert outcome.longest < FAIL_FAST, outcome.details
    kubectl("-n", NAMESPACE, "scale", "llm", llm.name, "--replicas=1")
    wait_for("one replica", lambda: llm.is_("Ready") and len(llm.pods()) == 3, 180, on_timeout=llm.explain)
    gpus(1)


def test_a_worker_process_dies_and_its_pod_lives(llm: LLM, lifecycle: Lifecycle) -> None:
    kill = ("exec", stage_pod(llm, 1), "-c", "ray", "--", "pkill", "-9", "-f", "RayWorkerProc")
    outcome = lifecycle.measure(
        "worker process killed",
        llm.address,
        lambda: kubectl("-n", NAMESPACE, *kill),
        lambda: llm.is_("Ready"),
        noticed=lambda: not llm.is_("Ready"),
    )
    assert outcome.seen_after is not None and outcome.seen_after < SEEN_WITHIN
    assert outcome.longest < FAIL_FAST, outcome.details
