"""What the checks look at: one pass's input, with what follows from it worked out once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, TypeVar

from rayspan.api.conditions import ConditionType, Reason
from rayspan.api.v1alpha1 import LatencyStatus
from rayspan.plan.types import Plan
from rayspan.report.input import Input
from rayspan.report.observed import Known, PodView, RayServiceView, ServeView, Unknown
from rayspan.report.placement import Placement, named, placement, stage_of
from rayspan.report.stations import Stations
from rayspan.report.words import capital, message, quote

T = TypeVar("T")
FETCHED: Final = "ray_rayspan_fetched_bytes"
IMAGE_REASONS: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
CONFIG_REASONS: Final = ("CreateContainerConfigError",)
CRASH_REASONS: Final = ("CrashLoopBackOff", "CreateContainerError", "RunContainerError", "StartError")
Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    status: Truth
    reason: Reason
    message: str


def true(reason: Reason, *sentences: str) -> Finding:
    """It is so."""
    return Finding("True", reason, message(*sentences))


def false(reason: Reason, *sentences: str) -> Finding:
    """It is not so."""
    return Finding("False", reason, message(*sentences))


def unknown(reason: Reason, *sentences: str) -> Finding:
    """It cannot be told."""
    return Finding("Unknown", reason, message(*sentences))


def unobserved(value: Unknown) -> Finding:
    """A source did not answer; its own words name it."""
    return unknown(Reason.UNOBSERVED, f"{capital(quote(value.because)).rstrip('.')}.")


@dataclass(frozen=True)
class Scene:
    """Input, its consequences, and the conditions found so far."""

    given: Input
    latency: LatencyStatus | None = None
    ended: Mapping[str, float] = field(default_factory=dict)
    """Requests that ended in the window, by outcome (``traffic.ended``)."""
    stations: tuple[Stations, ...] = ()
    """Where the time of requests went, as far as the serving image tells: in the last moments, and in the window."""
    found: Mapping[ConditionType, Finding] = field(default_factory=dict)

    @property
    def plan(self) -> Plan | None:
        """The plan that what runs is held against."""
        return self.given.plan

    @property
    def desired(self) -> int:
        """Wanted replicas."""
        return self.given.deployment.spec.replicas

    @property
    def ray_service(self) -> RayServiceView | None:
        """The RayService, when it is known and there is one."""
        return known(self.given.observed.ray_service)

    @property
    def serve(self) -> ServeView | None:
        """The Serve application, when it is known and there is one."""
        return known(self.given.observed.serve)

    @property
    def cluster(self) -> str | None:
        """The RayCluster of the newest RayService: while one is pending, that one."""
        service = self.ray_service
        return (service.pending_cluster or service.active_cluster) if service else None

    @cached_property
    def pods(self) -> tuple[PodView, ...]:
        """Pods of that cluster, the head first, then by stage and name."""
        pods = known(self.given.observed.pods) or ()
        mine = [pod for pod in pods if pod.cluster == self.cluster]
        return tuple(sorted(mine, key=lambda pod: (not pod.head, stage_of(pod) or 0, pod.name)))

    @cached_property
    def placement(self) -> Placement | None:
        """Where the stages are; None when pods or Serve could not be read, or without a plan."""
        pods, nodes = known(self.given.observed.pods), known(self.given.nodes)
        if self.plan is None or self.serve is None or pods is None:
            return None
        return placement(self.plan, self.serve, pods, nodes, self.given.deployment.status.stages or ())

    @cached_property
    def unproven(self) -> list[tuple[Reason, str]]:
        """Replicas that Serve calls running but that have not answered lately, a reason and a sentence for each."""
        return [
            found
            for place in (self.placement.replicas if self.placement else ())
            if place.able and (found := self._unproven(place.replica.id))
        ]

    def _unproven(self, replica: str) -> tuple[Reason, str] | None:
        proof, observed = self.given.observed.proofs.get(replica), self.given.observed
        if proof is None:
            return Reason.NOT_REACHED, f"Replica {replica} has not answered a completion yet."
        if not proof.ok:
            return Reason.NO_COMPLETION, f"Replica {replica} does not answer: {quote(proof.detail)}"
        most = self.given.settings.completion_max_age_seconds
        if observed.at - proof.at > most:
            return Reason.NO_COMPLETION, f"Replica {replica} has not answered for over {most:g} s."
        return None

    @cached_property
    def fetching(self) -> float:
        """Bytes of a model's weights that are in its pods while more comes in; 0: none does."""
        pages: dict[str, list[float]] = {}
        for scrape in self.given.observed.scrapes:
            told = [value for (name, _), value in scrape.values.items() if name == FETCHED]
            if told:
                pages.setdefault(scrape.pod_uid, []).append(max(told))
        growing = [seen[-1] for seen in pages.values() if len(seen) < 2 or seen[-1] > seen[-2]]
        return sum(growing)

    @property
    def ready(self) -> int:
        """Replicas that answer, with all stages verified."""
        places = self.placement.replicas if self.placement else ()
        return sum(place.ready and self._unproven(place.replica.id) is None for place in places)

    @cached_property
    def head_lost(self) -> str:
        """What became of the head of a cluster whose stages run; empty: nothing that is known."""
        if not any(not pod.head and pod.phase == "Running" and not pod.terminating for pod in self.pods):
            return ""
        heads = [pod for pod in self.pods if pod.head]
        live = [pod for pod in heads if not pod.terminating]
        if not live:
            return (
                f"{capital(named(heads[0]))} is being terminated."
                if heads
                else "There is no head pod any more."
            )
        head = live[0]
        if head.phase == "Running" and (head.ready or not head.restarts):
            return ""
        return f"{capital(named(head))} {(trouble(head) or 'is starting again').rstrip('.')}."

    def is_true(self, condition: ConditionType) -> bool:
        """Whether a condition was found True."""
        return condition in self.found and self.found[condition].status == "True"


def known(value: Known[T]) -> T | None:
    """The value, or None when it is unknown."""
    return None if isinstance(value, Unknown) else value


def trouble(pod: PodView) -> str:
    """Why a pod does not run, in the scheduler's, the kubelet's or the container's own words; empty: no trouble."""
    if pod.unschedulable:
        return f"cannot be scheduled: {quote(pod.unschedulable)}"
    if pod.waiting_reason in IMAGE_REASONS:
        return f"cannot pull image {pod.image}: {quote(pod.waiting_message or pod.waiting_reason or '')}"
    if pod.waiting_reason in CONFIG_REASONS:
        return f"cannot be set up: {quote(pod.waiting_message or pod.waiting_reason or '')}"
    if pod.waiting_reason in CRASH_REASONS or pod.phase == "Failed":
        words = pod.last_exit or (pod.waiting_message if pod.waiting_reason != "CrashLoopBackOff" else None)
        return f"crashed: {quote(words or 'it left no words')}"
    return ""
