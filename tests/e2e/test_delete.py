"""Deleting the LLMDeployment removes everything, with the operator there and without it."""

from __future__ import annotations

from tests.e2e.llm import LLM, NAMESPACE, tiny, wait_for
from tests.kubectl import kubectl


def test_no_replicas_is_stopped_and_gives_the_gpus_back(llm: LLM) -> None:
    kubectl("-n", NAMESPACE, "scale", "llm", llm.name, "--replicas=0")
    wait_for("its pods to be gone", lambda: not llm.pods() and llm.status["phase"] == "Stopped", 120)


def test_nothing_is_left_after_a_delete(llm: LLM) -> None:
    assert llm.leftovers()
    kubectl("-n", NAMESPACE, "delete", "llm", llm.name, timeout=120)
    took = wait_for("everything to be gone", lambda: not llm.leftovers(), 120)
    print(f"\neverything gone after {took:.0f} s")


def test_it_can_be_deleted_while_the_operator_is_away(operator: None) -> None:
    scale = ("-n", "rayspan-system", "scale", "deployment", "rayspan")
    gone = LLM("gone")
    gone.apply(tiny("gone", replicas=1))
    wait_for("the RayService", lambda: any("rayservice" in name for name in gone.leftovers()), 60)
    kubectl(*scale, "--replicas=0")
    try:
        kubectl("-n", "rayspan-system", "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=rayspan")
        gone.delete()
    finally:
        kubectl(*scale, "--replicas=1")
        kubectl("-n", "rayspan-system", "rollout", "status", "deployment/rayspan", timeout=90)
