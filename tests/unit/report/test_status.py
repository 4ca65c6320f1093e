"""The status document: phases, what is kept from the last one, and when it is worth a write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from rayspan.api.v1alpha1 import Status
from rayspan.plan.types import Invalid
from rayspan.report.input import Input, Inspecting
from rayspan.report.observed import Scrape, Unknown
from rayspan.report.status import status, worth_writing
from rayspan.report.traffic import KV_CACHE_USAGE, REQUESTS, RUNNING, WAITING


def served(world: Any, change: Callable[[Input], Input], generation: int = 3) -> str:
    """The phase after a deployment that was Ready changed."""
    given = change(world.after(world.serving(), status(world.serving())))
    metadata = given.deployment.metadata.model_copy(update={"generation": generation})
    return str(
        status(replace(given, deployment=given.deployment.model_copy(update={"metadata": metadata}))).phase
    )


def test_a_lost_stage_of_what_served_is_a_recovery_and_not_a_start(world: Any) -> None:
    assert served(world, lambda given: world.without(given, "tiny-stage-1-0")) == "Recovering"


def test_a_new_generation_of_what_served_is_an_update(world: Any) -> None:
    assert (
        served(world, lambda given: world.seen(given, serve=None, completion=None), generation=4)
        == "Updating"
    )


def test_what_never_served_is_starting_also_with_a_newer_version(world: Any) -> None:
    starting = status(world.serving()).model_copy(update={"phase": "Starting"})
    older = world.seen(world.starting(), ray_service=world.service(revision="older"))
    assert status(world.after(older, starting)).phase == "Starting"


def test_a_new_generation_that_is_still_being_read_is_an_update(world: Any) -> None:
    assert (
        served(world, lambda g: replace(g, answer=Inspecting(), last_good=g.plan), generation=4) == "Updating"
    )


def test_an_update_lasts_until_it_is_ready(world: Any) -> None:
    updating = status(world.serving()).model_copy(update={"phase": "Updating"})
    assert status(world.after(world.starting(), updating)).phase == "Updating"
    assert status(world.after(world.serving(), updating)).phase == "Ready"


def test_a_deployment_that_is_being_deleted_says_so(world: Any) -> None:
    given = world.serving()
    metadata = given.deployment.metadata.model_copy(update={"deletion_timestamp": "2027-01-15T07:59:58Z"})
    given = replace(given, deployment=given.deployment.model_copy(update={"metadata": metadata}))
    assert status(given).phase == "Deleting"


def test_the_time_of_transition_is_kept_while_the_status_is_the_same(world: Any) -> None:
    first = status(world.serving())
    later = world.seen(
        world.after(world.without(world.serving(), "tiny-stage-1-0"), first), at=world.now + 10
    )
    times = {c.type: c.last_transition_time for c in status(later).conditions or ()}
    assert times["PlanAccepted"] == "2027-01-15T08:00:00Z"
    assert times["Ready"] == "2027-01-15T08:00:10Z"


def test_the_verdict_is_dated_from_its_first_day(world: Any) -> None:
    first = status(world.failing(world.serving()))
    again = status(world.seen(world.after(world.failing(world.serving()), first), at=world.now + 30))
    assert first.diagnosis is not None and first.diagnosis == again.diagnosis


def test_a_quiet_deployment_writes_nothing(world: Any) -> None:
    first = status(world.scraped(world.serving(), ()))
    for seconds in range(5, 60, 5):
        later = world.completed(world.scraped(world.after(world.serving(), first), ()), -seconds)
        later = world.seen(later, at=world.now + seconds)
        assert not worth_writing(first, status(later), inf)


def test_a_status_that_went_through_the_api_server_is_not_news(world: Any) -> None:
    first = status(world.scraped(world.serving(2), (0.3,) * 50))
    read = Status.model_validate(first.model_dump(by_alias=True, exclude_none=True, mode="json"))
    assert read == first
    assert not worth_writing(
        read, status(world.after(world.scraped(world.serving(2), (0.3,) * 50), read)), inf
    )


WORTH: dict[str, tuple[Callable[[Any], Input], Callable[[Any], Input], float, bool]] = {
    "a stage died": (lambda w: w.serving(), lambda w: w.without(w.serving(), "tiny-stage-1-0"), 0, True),
    "a pod was restarted": (lambda w: w.serving(), lambda w: w.pods(w.serving(), w.pod(0, restarts=1)), 0, True),
    "latencies are the same": (
        lambda w: w.scraped(w.serving(), (0.30,) * 50), lambda w: w.scraped(w.serving(), (0.30,) * 51), inf, False,
    ),
    "latencies doubled": (
        lambda w: w.scraped(w.serving(), (0.30,) * 50), lambda w: w.scraped(w.serving(), (0.60,) * 50), 15, True,
    ),
    "latencies doubled just after a write": (
        lambda w: w.scraped(w.serving(), (0.30,) * 50), lambda w: w.scraped(w.serving(), (0.60,) * 50), 14, False,
    ),
    "the rate doubled": (
        lambda w: w.scraped(w.serving(), (0.30,) * 50), lambda w: w.scraped(w.serving(), (0.30,) * 100), 15, True,
    ),
    "metrics are read for the first time": (
        lambda w: w.serving(objectives={"endToEnd": {"p50": "1s"}}),
        lambda w: w.scraped(w.serving(objectives={"endToEnd": {"p50": "1s"}}), (0.3,)), 0, True,
    ),
}  # fmt: skip


def loaded(
    world: Any, running: float = 0, waiting: float = 0, cache: float = 0, served: tuple[float, ...] = ()
) -> Input:
    """Two replicas with these gauges, to which users' requests went so often, by replica."""
    gauges: dict[Any, float] = {(RUNNING, ()): running, (WAITING, ()): waiting, (KV_CACHE_USAGE, ()): cache}
    counters: dict[Any, float] = {
        (REQUESTS, (("outcome", "ok"), ("replica", f"r{number}"))): count
        for number, count in enumerate(served)
    }
    pages = (
        Scrape(world.now - 60, "p", {}, {**gauges, **dict.fromkeys(counters, 0.0)}),
        Scrape(world.now, "p", {}, {**gauges, **counters}),
    )
    given: Input = world.seen(world.serving(2), scrapes=pages)
    return given


EVEN = (50, 50)
QUEUES: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "nothing changed": ({"running": 4, "served": EVEN}, {"running": 4, "served": EVEN}, False),
    "the first request runs, others have ended": ({"served": EVEN}, {"running": 1, "served": EVEN}, True),
    "the last request ended": ({"running": 1, "served": EVEN}, {"served": EVEN}, True),
    "one more of many runs": ({"running": 40, "served": EVEN}, {"running": 41, "served": EVEN}, False),
    "a tenth more run": ({"running": 40, "served": EVEN}, {"running": 44, "served": EVEN}, True),
    "the first one waits": (
        {"running": 40, "served": EVEN},
        {"running": 40, "waiting": 1, "served": EVEN},
        True,
    ),
    "the proof of each replica runs and no user asks": ({}, {"running": 2}, False),
    "more runs than proofs can and none has ended yet": ({}, {"running": 3}, True),
    "the proofs that were written ended": ({"running": 2}, {}, True),
    "the cache is a little fuller": ({"cache": 0.50, "served": EVEN}, {"cache": 0.54, "served": EVEN}, False),
    "the cache is fuller": ({"cache": 0.50, "served": EVEN}, {"cache": 0.56, "served": EVEN}, True),
    "an empty cache holds a little": ({}, {"cache": 0.04}, False),
    "shares moved a little": ({"served": (50, 50)}, {"served": (53, 47)}, False),
    "one replica gets most": ({"served": (50, 50)}, {"served": (80, 20)}, True),
    "the replicas changed places": ({"served": (80, 20)}, {"served": (20, 80)}, True),
}


@pytest.mark.parametrize("sentence", QUEUES)
def test_queues_and_shares_are_news(world: Any, sentence: str) -> None:
    old, new, expected = QUEUES[sentence]
    before, after = status(loaded(world, **old)), status(loaded(world, **new))
    assert worth_writing(before, after, 15) is expected
    assert not worth_writing(before, after, 14), "not before its time"


def test_the_shares_of_failures_are_no_news_of_their_own(world: Any) -> None:
    told = status(loaded(world, served=EVEN)).diagnosis
    assert told is not None
    first = status(loaded(world, served=EVEN))
    other = first.model_copy(update={"diagnosis": told.model_copy(update={"evidence": ["another"]})})
    assert not worth_writing(first, other, inf)


def test_no_replica_is_ready_while_completions_fail(world: Any) -> None:
    whole, failing = status(world.serving(2)).replicas, status(world.failing(world.serving(2))).replicas
    assert whole is not None and failing is not None
    assert (whole.ready, failing.ready, failing.desired) == (2, 0, 2)


@pytest.mark.parametrize("sentence", WORTH)
def test_worth_writing(world: Any, sentence: str) -> None:
    old, new, seconds, expected = WORTH[sentence]
    assert worth_writing(status(old(world)), status(new(world)), seconds) is expected


def test_the_document(world: Any) -> None:
    given = world.scraped(world.serving(2), (0.3,) * 60)
    document = status(given).model_dump(by_alias=True, exclude_none=True, mode="json")
    assert document["plan"] == {
        "tensor": 1, "pipeline": 2, "layout": "TP1xPP2", "layers": [38, 42], "gpus": 4,
        "explanation": ["Two stages, as spec.parallelism says."],
    }  # fmt: skip
    assert document["replicas"] == {"desired": 2, "ready": 2}
    assert document["stages"][1] == {
        "replica": "r0", "stage": 1, "node": "gpu-b", "pod": "tiny-stage-1-0", "gpus": 1, "layers": 42,
        "state": "Running", "restarts": 0,
    }  # fmt: skip
    assert document["latency"] == {
        "window": "1m", "requests": 60, "observedAt": "2027-01-15T08:00:00Z",
        "timeToFirstToken": {"p50": "308ms", "p95": "308ms", "p99": "308ms"},
        "interTokenLatency": {"p50": "308ms", "p95": "308ms", "p99": "308ms"},
        "endToEnd": {"p50": "308ms", "p95": "308ms", "p99": "308ms"},
    }  # fmt: skip
    assert document["traffic"] == {"requestsPerSecond": 1.0, "outputTokensPerSecond": 16.0, "errorRate": 0.0}
    assert document["environment"] == {
        "ray": "2.60.0", "vllm": "0.29.0", "kuberay": "1.6.2", "image": "serve:1", "backend": "cpu",
        "accelerator": "H200", "acceleratorMemory": "144384Mi",
        "dataPath": "client -> Service tiny-serve-svc:8000 -> HTTP proxy and ingress on gpu-a and gpu-b -> "
        "LLMServer with stage 0 on gpu-a -> stage 1 on gpu-b",
        "constraints": [
            "Llama: 80 layers in 2 stages of 1 GPU.",
            "CPU backend: the timings say nothing about GPUs.",
        ],
    }  # fmt: skip


def test_what_a_silent_source_said_last_stands_and_its_stages_are_unknown(world: Any) -> None:
    first = status(world.serving())
    blind = status(world.after(world.seen(world.serving(), serve=Unknown("timed out")), first))
    assert blind.environment == first.environment
    assert [(s.pod, s.state) for s in blind.stages or ()] == [
        ("tiny-stage-0-0", "Unknown"),
        ("tiny-stage-1-0", "Unknown"),
    ]


def test_a_refused_first_spec_has_no_plan_and_a_refused_later_one_shows_the_plan_that_serves(
    world: Any,
) -> None:
    assert status(world.fresh(answer=Invalid("no"))).plan is None
    plan = status(world.refused(Invalid("no"))).plan
    assert plan is not None and plan.layout == "TP1xPP2"


def test_stages_that_are_missing_because_the_application_failed_are_not_the_cause(world: Any) -> None:
    failed = world.serve(
        world.serving(),
        world.replica(state="STOPPING", ranks=()),
        status="DEPLOY_FAILED",
        message="no tokenizer",
    )
    told = status(world.seen(failed, completion=None)).diagnosis
    assert told is not None and told.evidence is not None
    assert told.summary == "Ray Serve says DEPLOY_FAILED: no tokenizer"
    assert told.action == "Read Ray Serve's words, and the log of the replica in the head's dashboard."
    assert told.evidence[0].startswith("PlacementVerified: 0 of 2 stages run.")


def test_the_diagnosis_names_the_first_cause_with_its_evidence_and_what_to_do(world: Any) -> None:
    pod = world.pod(1, phase="Pending", ready=False, node=None, unschedulable="0/3 nodes are available.")
    told = status(world.starting(pod)).diagnosis
    assert told is not None
    assert told.model_dump(exclude={"since"}, exclude_none=True) == {
        "verdict": "NotServing",
        "summary": "Stage 1's pod tiny-stage-1-0 cannot be scheduled: 0/3 nodes are available.",
        "evidence": [
            "Provisioned: Stage 1's pod tiny-stage-1-0 cannot be scheduled: 0/3 nodes are available.",
            "PlacementVerified: Ray Serve has no application yet.",
            "Serving: Ray Serve has no application yet.",
        ],
        "action": "Free or add a node that satisfies what the scheduler names.",
    }
