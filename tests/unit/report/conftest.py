"""A deployment that serves, as one pass sees it, and ways to break it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from math import inf
from typing import Any

import pytest
from rayspan.api.v1alpha1 import LLMDeployment, ModelStatus, Status
from rayspan.plan.facts import NodeFacts
from rayspan.plan.types import Invalid, Plan, StagePlan, Unplaceable
from rayspan.report import latency, traffic
from rayspan.report.input import Input
from rayspan.report.observed import (
    CompletionView,
    Histogram,
    Observed,
    PodView,
    RankView,
    RayClusterView,
    RayServiceView,
    ReplicaView,
    Scrape,
    ServeView,
    WaitingGroup,
    WorkerGroupView,
)

NOW = 1_800_000_000.0
ANSWERED = CompletionView(ok=True, at=NOW - 20, seconds=0.3, detail="answered")
FAILED = CompletionView(
    ok=False, at=NOW - 2, seconds=10.0, detail="One token was asked for: HTTP 500 EngineDeadError"
)
BOUNDS = (*(float(f"{0.001 * 1.09**i:.4g}") for i in range(155)), 600.0, inf)
"""As rayspan_serving has them."""


def bucketed(seconds: Sequence[float]) -> tuple[float, ...]:
    """Cumulative counts, as Prometheus has them: a sample is in the first bucket with bound >= sample."""
    counts = Counter(bisect_left(BOUNDS, value) for value in seconds)
    return tuple(float(n) for n in accumulate(counts[i] for i in range(len(BOUNDS))))


class World:
    """Builders. ``serving()`` is a healthy deployment of two stages on gpu-a and gpu-b; the rest changes it."""

    now = NOW

    def plan(self, tensor: int = 1) -> Plan:
        return Plan(
            tensor=tensor,
            stages=tuple(
                StagePlan(
                    index=i, layers=layers, node_selector={"kubernetes.io/hostname": node}, nodes=(node,)
                )
                for i, (layers, node) in enumerate(((38, "gpu-a"), (42, "gpu-b")))
            ),
            gpu_resource="nvidia.com/gpu",
            explanation=("Two stages, as spec.parallelism says.",),
        )

    def deployment(self, replicas: int = 1, generation: int = 3, **spec: Any) -> LLMDeployment:
        return LLMDeployment.model_validate(
            {
                "metadata": {"name": "tiny", "namespace": "llm", "uid": "u", "generation": generation},
                "spec": {"model": {"id": "tiny"}, "replicas": replicas, **spec},
            }
        )

    def head(self, **changes: Any) -> PodView:
        pod = PodView(
            name="tiny-head", uid="head", cluster="tiny-1", group="headgroup", head=True, node="node-0",
            ip="10.0.0.1", phase="Running", ready=True, terminating=False, restarts=0, image="serve:1",
            created_at=NOW - 900,
        )  # fmt: skip
        return replace(pod, **changes)

    def pod(self, stage: int, number: int = 0, **changes: Any) -> PodView:
        name = f"tiny-stage-{stage}-{number}"
        pod = PodView(
            name=name, uid=name, cluster="tiny-1", group=f"stage-{stage}", head=False,
            node=("gpu-a", "gpu-b")[stage], ip=f"10.0.{stage}.{number + 2}", phase="Running", ready=True,
            terminating=False, restarts=0, image="serve:1", created_at=NOW - 800, gpus=1,
        )  # fmt: skip
        return replace(pod, **changes)

    def replica(self, number: int = 0, tensor: int = 1, **changes: Any) -> ReplicaView:
        ranks = tuple(
            RankView(stage=stage, tensor=rank, state="ALIVE", pod=f"tiny-stage-{stage}-{number}")
            for stage in (0, 1)
            for rank in range(tensor)
        )
        replica = ReplicaView(
            id=f"r{number}", state="RUNNING", actor_id=f"actor-{number}", pod=f"tiny-stage-0-{number}",
            ranks=ranks,
        )  # fmt: skip
        return replace(replica, **changes)

    def rank(self, stage: int, tensor: int = 0, state: str = "ALIVE", pod: str | None = None) -> RankView:
        return RankView(stage=stage, tensor=tensor, state=state, pod=pod or f"tiny-stage-{stage}-0")

    def node(self, name: str, **changes: Any) -> NodeFacts:
        node = NodeFacts(
            name=name,
            labels={"kubernetes.io/hostname": name},
            gpus=8,
            gpu_product="H200",
            gpu_memory_bytes=141 * 1024**3,
        )
        return replace(node, **changes)

    def serving(self, replicas: int = 1, tensor: int = 1, **spec: Any) -> Input:
        return Input(
            deployment=self.deployment(replicas, **spec),
            answer=self.plan(tensor),
            revision="rev",
            nodes=(self.node("node-0"), self.node("gpu-a"), self.node("gpu-b")),
            model=ModelStatus(key="k", layers=80, architecture="Llama", backend="cpu", ray="2.60.0", vllm="0.29.0"),
            url="http://tiny-serve-svc.llm.svc:8000/v1",
            service="tiny-serve-svc",
            selector="rayspan.dev/deployment=tiny",
            observed=Observed(
                at=NOW,
                ray_service=RayServiceView(
                    generation=2, observed_generation=2, active_cluster="tiny-1", pending_cluster=None,
                    revision="rev",
                ),
                ray_cluster=RayClusterView(
                    "tiny-1", (WorkerGroupView("stage-0", replicas), WorkerGroupView("stage-1", replicas))
                ),
                pods=(self.head(), *(self.pod(s, n) for n in range(replicas) for s in (0, 1))),
                serve=ServeView(
                    status="RUNNING", message="",
                    replicas=tuple(self.replica(n, tensor) for n in range(replicas)),
                    ingresses=(ReplicaView("i0", "RUNNING", "a", "tiny-stage-0-0"),
                               ReplicaView("i1", "RUNNING", "b", "tiny-stage-1-0")),
                ),
                completion=ANSWERED,
                proofs={f"r{n}": ANSWERED for n in range(replicas)},
                kuberay="1.6.2",
            ),
        )  # fmt: skip

    def seen(self, given: Input, **changes: Any) -> Input:
        """``given`` with other observations."""
        return replace(given, observed=replace(given.observed, **changes))

    def proxies(self, first: str, second: str) -> Input:
        """Two stages whose pods' proxies are in these states, asked long after the start."""
        given = self.serving()
        states = {"tiny-stage-0-0": first, "tiny-stage-1-0": second}
        serve = replace(given.observed.serve, proxies=states)  # type: ignore[type-var]
        return self.seen(given, serve=serve, completion=None)

    def waiting(self, free: dict[str, float]) -> Input:
        """One replica that is starting and whose placement group is pending, with these GPUs left in Ray."""
        replica = self.replica(0, state="STARTING", ranks=())
        given = self.serve(
            self.serving(), replica, status="DEPLOYING", waiting=(WaitingGroup("r0", 2, free),)
        )
        return self.seen(given, completion=None)

    def pods(self, given: Input, *pods: PodView) -> Input:
        """``given`` with these pods in place of those with the same names."""
        named = {pod.name: pod for pod in given.observed.pods} | {pod.name: pod for pod in pods}  # type: ignore[union-attr]
        return self.seen(given, pods=tuple(named.values()))

    def without(self, given: Input, *names: str) -> Input:
        """``given`` without these pods."""
        return self.seen(given, pods=tuple(p for p in given.observed.pods if p.name not in names))  # type: ignore[union-attr]

    def serve(self, given: Input, *replicas: ReplicaView, **changes: Any) -> Input:
        """``given`` with these replicas, and other changes to the application."""
        serve = replace(given.observed.serve, **({"replicas": replicas} if replicas else {}), **changes)  # type: ignore[type-var]
        return self.seen(given, serve=serve)

    def service(self, **changes: Any) -> RayServiceView:
        """The RayService of ``serving()``, changed."""
        service = self.serving().observed.ray_service
        assert isinstance(service, RayServiceView)
        return replace(service, **changes)

    def fresh(self, **changes: Any) -> Input:
        """A deployment for which nothing was made yet."""
        nothing = self.seen(
            self.serving(), ray_service=None, ray_cluster=None, pods=(), serve=None, completion=None
        )
        return replace(nothing, model=None, **changes)

    def refused(self, answer: Invalid | Unplaceable) -> Input:
        """A newer spec that is refused, while the last good one serves."""
        given = self.serving()
        return replace(given, answer=answer, last_good=self.plan(), revision=None)

    def starting(self, *pods: PodView) -> Input:
        """A deployment's first minutes, with these pods."""
        return self.seen(self.pods(self.serving(), *pods), serve=None, completion=None)

    def failing(self, given: Input) -> Input:
        """``given`` with completions that fail."""
        proofs = dict.fromkeys(given.observed.proofs, FAILED)
        return self.seen(given, completion=FAILED, proofs=proofs)

    def proven(self, given: Input, **proofs: CompletionView | None) -> Input:
        """``given`` with another last word on some replicas; None: never reached."""
        merged = {**given.observed.proofs, **proofs}
        return self.seen(given, proofs={name: view for name, view in merged.items() if view})

    def completed(self, given: Input, ago: float) -> Input:
        """``given`` with completions so many seconds ago."""
        answered = replace(ANSWERED, at=NOW - ago)
        return self.seen(given, completion=answered, proofs=dict.fromkeys(given.observed.proofs, answered))

    def more(self) -> Input:
        """One replica more than wanted."""
        two = self.serving(2)
        return replace(two, deployment=self.deployment(1))

    def scraped(self, given: Input, seconds: Sequence[float]) -> Input:
        """``given`` with two scrapes of stage 0's pod, between which requests took so long."""
        scrapes = (self.scrape(NOW - 60, ()), self.scrape(NOW, seconds))
        return self.seen(given, scrapes=scrapes)

    def scrape(
        self, at: float, seconds: Sequence[float], pod: str = "tiny-stage-0-0", worker: str = "w0"
    ) -> Scrape:
        """A page on which all requests so far took so long."""
        labels = (("WorkerId", worker),)
        counts = bucketed(seconds)
        return Scrape(
            at=at,
            pod_uid=pod,
            histograms={(metric, labels): Histogram(BOUNDS, counts) for metric in latency.METRICS},
            values={
                (traffic.REQUESTS, (("outcome", "ok"), *labels)): float(len(seconds)),
                (traffic.OUTPUT_TOKENS, labels): 16.0 * len(seconds),
            },
        )

    def bounds(self) -> tuple[float, ...]:
        """The ingress's grid."""
        return BOUNDS

    def bucketed(self, seconds: Sequence[float]) -> tuple[float, ...]:
        """Cumulative counts of samples on the ingress's grid."""
        return bucketed(seconds)

    def after(self, given: Input, status: Status) -> Input:
        """``given`` with ``status`` as the last written."""
        return replace(given, deployment=given.deployment.model_copy(update={"status": status}))


@pytest.fixture
def world() -> World:
    return World()
