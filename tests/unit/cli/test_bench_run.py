"""The Job followed from its beginning to its end, against a cluster that says what it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from rayspan import errors
from rayspan.cli.bench.record import Level
from rayspan.cli.bench.run import Run
from rayspan.cli.errors import Failure
from rayspan.cluster.client import Client
from rayspan.cluster.kinds import JOB, LLM_DEPLOYMENT, POD, Kind

from tests.unit.cli.measured import level

Object = dict[str, Any]

JOB_OBJECT: Object = {
    "metadata": {"name": "llama-bench", "namespace": "default"},
    "spec": {"template": {"spec": {"containers": [{"name": "bench", "image": "serving:1"}]}}},
}
DEPLOYMENT: Object = {"metadata": {"name": "llama", "namespace": "default"}}
RUNNING: Object = {"running": {}}
ENDED: Object = {"terminated": {"exitCode": 1, "reason": "Error"}}
TOOL = json.dumps({"tool": "vllm bench serve 0.29.0"})
DONE = json.dumps({"done": True})


def result(concurrency: int) -> str:
    return json.dumps({"level": level(concurrency, 100).model_dump(by_alias=True, exclude={"verdict"})})


def pod(state: Object | None = None, unscheduled: str = "") -> Object:
    statuses = [{"name": "bench", "state": state}] if state else []
    condition = {"type": "PodScheduled", "status": "False", "message": unscheduled}
    return {
        "metadata": {"name": "llama-bench-x"},
        "status": {"containerStatuses": statuses, "conditions": [condition] if unscheduled else []},
    }


@dataclass
class Cluster:
    """At each look the next of ``looks``: a pod (None: there is none) and its log; the last one stays."""

    looks: Sequence[tuple[Object | None, str] | Exception]
    job: Object | None = field(default_factory=lambda: {**JOB_OBJECT})
    exists: bool = False
    deleted: list[str] = field(default_factory=list)
    number: int = -1
    passed: float = 0.0
    observed: int = 0

    async def create(self, wanted: Object) -> Object:
        if self.exists:
            raise errors.Conflict(409, "AlreadyExists", "already exists")
        return {**wanted, "metadata": {**wanted["metadata"], "uid": "job-uid"}}

    async def find(self, kind: Kind, namespace: str, *, labels: str) -> list[Object]:
        assert (kind, namespace, labels) == (POD, "default", "batch.kubernetes.io/controller-uid=job-uid")
        self.number = min(self.number + 1, len(self.looks) - 1)
        look = self.looks[self.number]
        if isinstance(look, Exception):
            raise look
        return [look[0]] if look[0] else []

    async def log(self, namespace: str, pod: str, container: str) -> str:
        assert (namespace, pod, container) == ("default", "llama-bench-x", "bench")
        look = self.looks[self.number]
        assert not isinstance(look, Exception)
        return look[1]

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        if kind == JOB:
            return self.job
        assert (kind, namespace, name) == (LLM_DEPLOYMENT, "default", "llama")
        self.observed += 1
        latency = {"observedAt": str(self.observed // 3)}
        return {**DEPLOYMENT, "status": {"diagnosis": {"verdict": "Engine"}, "latency": latency}}

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        self.deleted.append(f"{kind.name} {namespace}/{name} {uid}")


class Screen:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def phase(self, words: str) -> None:
        self.told.append(words)

    def progress(self, told: Object) -> None:
        self.told.append(told)

    def level(self, level: Level) -> None:
        self.told.append(level.concurrency)


async def followed(cluster: Cluster) -> tuple[Run, Screen]:
    screen = Screen()

    async def pause(seconds: float) -> None:
        cluster.passed += seconds

    run = Run(cast(Client, cluster), DEPLOYMENT, screen, lambda: cluster.passed, pause)
    await run(JOB_OBJECT)
    return run, screen


async def test_from_the_first_look_to_the_verdict() -> None:
    progress = json.dumps({"progress": {"concurrency": 2, "done": 3, "of": 9, "failed": 0}})
    begun = f"{TOOL}\nINFO 01-31 words of vLLM's own\n"
    cluster = Cluster(
        [
            (None, ""),
            (pod(unscheduled="0/3 nodes are available: 3 Insufficient cpu."), ""),
            (pod({"waiting": {"reason": "ContainerCreating"}}), ""),
            errors.ApiUnavailable("GET: reset by peer"),
            (pod(RUNNING), f"{begun}{result(1)}\n{progress[:20]}"),
            (pod(RUNNING), f"{begun}{result(1)}\n{progress}\n"),
            (pod(RUNNING), f"{begun}{result(1)}\n{progress}\n{result(2)}\n{DONE}\n"),
        ]
    )
    run, screen = await followed(cluster)
    assert screen.told == [
        "waiting for the Job's pod",
        "no node for the Job's pod: 0/3 nodes are available: 3 Insufficient cpu.",
        "the Job's pod is starting",
        "the cluster does not answer; the load goes on",
        1,
        json.loads(progress)["progress"],
        2,
        "waiting for the operator's verdict",
    ]
    assert [(each.concurrency, each.verdict) for each in run.levels] == [(1, "Engine"), (2, "Engine")]
    assert (run.tool, run.problem) == ("vllm bench serve 0.29.0", None)
    assert run.deployment["status"]["latency"]["observedAt"] == "1", (
        "the status is read until it is a newer one"
    )
    assert cluster.deleted == ["Job default/llama-bench job-uid"]


FAILED = {
    "status": {"conditions": [{"type": "Failed", "status": "True", "message": "it was active too long"}]}
}

FAILURES: dict[str, tuple[Cluster, str]] = {
    "the load says what is wrong": (
        Cluster(
            [(pod(ENDED), f"{TOOL}\n" + '{"error":"the endpoint does not answer the first request: 401"}')]
        ),
        "the endpoint does not answer the first request: 401",
    ),
    "it ends without a word of ours": (
        Cluster([(pod(ENDED), "Traceback\nNo module named rayspan_serving.bench")]),
        "the load ended with exit code 1 (Error): Traceback / No module named rayspan_serving.bench",
    ),
    "the image cannot be pulled": (
        Cluster([(pod({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}), "")]),
        "The serving image serving:1 cannot be pulled: not found",
    ),
    "the key's Secret is missing": (
        Cluster(
            [
                (
                    pod(
                        {
                            "waiting": {
                                "reason": "CreateContainerConfigError",
                                "message": 'secret "k" not found',
                            }
                        }
                    ),
                    "",
                )
            ]
        ),
        "There is no Secret 'k' in this namespace: create it, or name another in spec.model.tokenSecret or "
        "spec.serving.apiKeySecret.",
    ),
    "no node has room": (
        Cluster([(pod(unscheduled="0/3 nodes are available"), "")]),
        "no node for the Job's pod: 0/3 nodes are available. It asks for 500m CPU and 1Gi: make room for it, or see "
        "podTemplate",
    ),
    "the pod is evicted before it runs": (
        Cluster([(pod(), "")], job=FAILED),
        "the Job failed: it was active too long",
    ),
    "the Job's time is over": (Cluster([(None, "")], job=FAILED), "the Job failed: it was active too long"),
    "the Job is deleted": (Cluster([(None, "")], job=None), "the Job was deleted by someone else"),
}


@pytest.mark.parametrize(("cluster", "sentence"), FAILURES.values(), ids=list(FAILURES))
async def test_a_failure_is_a_sentence_and_leaves_no_job(cluster: Cluster, sentence: str) -> None:
    with pytest.raises(Failure) as failed:
        await followed(cluster)
    assert str(failed.value) == sentence
    assert cluster.deleted == ["Job default/llama-bench job-uid"]


async def test_levels_that_were_measured_are_kept_when_a_later_one_fails() -> None:
    log = f'{TOOL}\n{result(1)}\n{{"error":"no request was answered with 64 at a time: busy"}}\n'
    run, _ = await followed(Cluster([(pod(ENDED), log)]))
    assert (len(run.levels), run.problem) == (1, "no request was answered with 64 at a time: busy")


async def test_another_benchmark_is_left_alone() -> None:
    cluster = Cluster([(None, "")], exists=True)
    with pytest.raises(Failure, match=r"wait for it, or `kubectl delete job llama-bench -n default`"):
        await followed(cluster)
    assert cluster.deleted == []


async def test_a_cluster_that_stays_away_is_given_up() -> None:
    with pytest.raises(errors.ApiUnavailable):
        await followed(Cluster([errors.ApiUnavailable("no route")]))


async def test_an_interruption_deletes_the_job() -> None:
    cluster = Cluster([(pod(RUNNING), "")])
    paused = asyncio.Event()

    async def pause(_: float) -> None:
        paused.set()
        await asyncio.Event().wait()

    run = Run(cast(Client, cluster), DEPLOYMENT, Screen(), lambda: 0.0, pause)
    task = asyncio.create_task(run(JOB_OBJECT))
    await paused.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cluster.deleted == ["Job default/llama-bench job-uid"]
