"""Stages and heads that die, under load: how long nobody is served, how many requests fail, how long one hangs.

The same failures of a RayService written by hand are in test_baseline.py (``make baseline`` runs both).
"""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Lifecycle
from tests.e2e.llm import LLM, NAMESPACE
from tests.e2e.traffic import FAIL_FAST
from tests.kubectl import kubectl

SEEN_WITHIN = 30
"""Seconds until Ready must have turned False."""


@pytest.mark.long  # killed hard, below, is the harder of the two
def test_a_stage_pod_is_deleted(llm: LLM, lifecycle: Lifecycle) -> None:
    outcome = lifecycle.measure(
        "stage pod deleted",
        llm.address,
        lambda: llm.delete_pod(llm.stage_pod(1)),
        lambda: llm.is_("Ready"),
        noticed=lambda: not llm.is_("Ready"),
    )
    assert outcome.seen_after is not None and outcome.seen_after < SEEN_WITHIN
    assert outcome.longest < FAIL_FAST, outcome.details


def test_a_stage_pod_is_killed_hard(llm: LLM, lifecycle: Lifecycle) -> None:
    outcome = lifecycle.measure(
        "stage pod killed",
        llm.address,
        lambda: llm.delete_pod(llm.stage_pod(1), "--grace-period=0", "--force"),
        lambda: llm.is_("Ready"),
        noticed=lambda: not llm.is_("Ready"),
    )
    assert outcome.seen_after is not None and outcome.seen_after < SEEN_WITHIN
    assert outcome.longest < FAIL_FAST, outcome.details


def test_the_head_is_deleted(llm: LLM, lifecycle: Lifecycle) -> None:
    outcome = lifecycle.measure(
        "head pod deleted",
        llm.address,
        lambda: llm.delete_pod(llm.head()["metadata"]["name"]),
        lambda: llm.is_("Ready"),
        noticed=lambda: not llm.is_("Ready"),
    )
    assert outcome.seen_after is not None and outcome.seen_after < SEEN_WITHIN
    assert outcome.longest < FAIL_FAST, outcome.details


def test_a_worker_process_dies_and_its_pod_lives(llm: LLM, lifecycle: Lifecycle) -> None:
    kill = ("exec", llm.stage_pod(1), "-c", "ray", "--", "pkill", "-9", "-f", "RayWorkerProc")
    outcome = lifecycle.measure(
        "worker process killed",
        llm.address,
        lambda: kubectl("-n", NAMESPACE, *kill),
        lambda: llm.is_("Ready"),
        noticed=lambda: not llm.is_("Ready"),
    )
    assert outcome.seen_after is not None and outcome.seen_after < SEEN_WITHIN
    assert outcome.longest < FAIL_FAST, outcome.details
