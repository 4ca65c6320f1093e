"""Where each stage of each replica really is: Ray's actor table and the pods, held against the plan.

A stage of a replica is as good as the worst that is known of it. In order: a rank that died, a pod that
is gone or going, ranks that are missing or starting, ranks in different pods, a node that the plan does not
allow. Only a stage with none of these is Running, and only a replica of nothing else counts as ready.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rayspan.api.v1alpha1 import StageStatus
from rayspan.plan.facts import NodeFacts
from rayspan.plan.types import Plan, StagePlan
from rayspan.render.names import worker_group
from rayspan.report.observed import PodView, RankView, ReplicaView, ServeView
from rayspan.report.words import listing

_STAGE_GROUP: Final = worker_group(0).removesuffix("0")
_GOING: Final = ("STOPPING",)
_ALIVE: Final = "ALIVE"
_STARTING: Final = ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "RESTARTING")


class StageState(StrEnum):
    """State of one stage of one replica."""

    RUNNING = "Running"
    STARTING = "Starting"
    TERMINATING = "Terminating"
    DEAD = "Dead"
    FAILED = "Failed"
    """It died before it ever ran: Ray Serve says why the start failed, and starts another replica."""
    MISSING = "Missing"
    MISPLACED = "Misplaced"
    SPLIT = "Split"
    UNKNOWN = "Unknown"


_NEVER_RAN: Final = (StageState.STARTING, StageState.FAILED)
LOST: Final = (StageState.DEAD, StageState.MISSING, StageState.TERMINATING)


@dataclass(frozen=True)
class StagePlace:
    """One stage of one replica."""

    replica: str
    stage: int
    state: StageState
    why: str
    """For every state but Running: what is so, naming stage, pod and node."""
    pod: str | None
    node: str | None
    gpus: int
    layers: int
    restarts: int
    verified: bool = True
    """Whether the node's labels could be read, so that an allowed node is known to be one."""

    @property
    def status(self) -> StageStatus:
        """As the status has it."""
        return StageStatus(
            replica=self.replica,
            stage=self.stage,
            node=self.node,
            pod=self.pod,
            gpus=self.gpus,
            layers=self.layers,
            state=self.state.value,
            restarts=self.restarts,
        )


@dataclass(frozen=True)
class ReplicaPlace:
    """One replica with its stages in order."""

    replica: ReplicaView
    stages: tuple[StagePlace, ...]

    @property
    def going(self) -> bool:
        """Whether Serve is taking it down."""
        return self.replica.state in _GOING

    @property
    def ready(self) -> bool:
        """Whether it serves with every stage where it belongs."""
        return self.replica.state == "RUNNING" and all(s.state is StageState.RUNNING for s in self.stages)

    @property
    def able(self) -> bool:
        """Whether it can still answer: all its ranks live, wherever they are, if only for its grace period."""
        answering = (StageState.RUNNING, StageState.SPLIT, StageState.MISPLACED, StageState.TERMINATING)
        return self.replica.state == "RUNNING" and all(s.state in answering for s in self.stages)


@dataclass(frozen=True)
class Placement:
    """All replicas, in the order of their ids."""

    replicas: tuple[ReplicaPlace, ...] = ()

    @property
    def stages(self) -> list[StagePlace]:
        """All stages, replica by replica."""
        return [stage for replica in self.replicas for stage in replica.stages]

    @property
    def ready(self) -> int:
        """How many replicas serve, all their stages verified."""
        return sum(replica.ready for replica in self.replicas)


def placement(
    plan: Plan,
    serve: ServeView,
    pods: Sequence[PodView],
    nodes: Sequence[NodeFacts] | None,
    before: Sequence[StageStatus] = (),
) -> Placement:
    """Hold what runs against the plan.

    ``nodes``: None when they could not be read. ``before``: the stages as last written, for Ray forgets
    where a rank was once its node is gone.
    """
    last = {(stage.replica, stage.stage): stage for stage in before}
    by_name = {pod.name: pod for pod in pods}
    known = None if nodes is None else {node.name: node for node in nodes}
    return Placement(
        tuple(
            ReplicaPlace(
                replica,
                tuple(
                    _place(plan, stage, replica, by_name, known, last.get((replica.id, stage.index)))
                    for stage in plan.stages
                ),
            )
            for replica in sorted(serve.replicas, key=lambda r: (r.state in _GOING, r.id))
        )
    )


def stage_of(pod: PodView) -> int | None:
    """The stage that a pod's worker group is for."""
    number = pod.group.removeprefix(_STAGE_GROUP)
    return int(number) if pod.group.startswith(_STAGE_GROUP) and number.isdigit() else None


def named(pod: PodView) -> str:
    """A pod for a sentence: its role, name and node."""
    stage = stage_of(pod)
    role = "the head's pod" if pod.head else f"stage {stage}'s pod" if stage is not None else "pod"
    return f"{role} {pod.name}" + (f" on node {pod.node}" if pod.node else "")


def _place(
    plan: Plan,
    stage: StagePlan,
    replica: ReplicaView,
    pods: Mapping[str, PodView],
    nodes: Mapping[str, NodeFacts] | None,
    last: StageStatus | None,
) -> StagePlace:
    ranks = _current(replica.ranks, stage.index)
    names = sorted({rank.pod for rank in ranks if rank.pod})
    at = [pods[name] for name in names if name in pods]
    state, why = _judged(plan, stage, replica, ranks, names, at, nodes)
    if state is StageState.DEAD and replica.state != "RUNNING" and (last is None or last.state in _NEVER_RAN):
        state = StageState.FAILED
    pod, node = names[0] if names else None, at[0].node if at else None
    if state in LOST and node is None and last and last.pod and pod in (None, last.pod):
        why += f", last seen in pod {last.pod}" if pod is None else ""
        why += f" (node {last.node})" if last.node else ""
        pod, node = last.pod, last.node
    return StagePlace(
        replica=replica.id,
        stage=stage.index,
        state=state,
        why=why and f"Stage {stage.index} of replica {replica.id}: {why}.",
        pod=pod,
        node=node,
        gpus=plan.tensor,
        layers=stage.layers,
        restarts=max((pod.restarts for pod in at), default=0),
        verified=not stage.selector or (nodes is not None and all(pod.node in nodes for pod in at)),
    )


def _judged(
    plan: Plan,
    stage: StagePlan,
    replica: ReplicaView,
    ranks: Sequence[RankView],
    names: Sequence[str],
    at: Sequence[PodView],
    nodes: Mapping[str, NodeFacts] | None,
) -> tuple[StageState, str]:
    where = listing(named(pod).replace(f"stage {stage.index}'s pod", "pod") for pod in at)
    if dead := [rank for rank in ranks if rank.state != _ALIVE and rank.state not in _STARTING]:
        of = listing(str(rank.tensor) for rank in dead)
        died = f"tensor rank {of} died" if len(dead) == 1 else f"tensor ranks {of} died"
        return StageState.DEAD, died + (f" in {where}" if where else _gone(names))
    if gone := [name for name in names if name not in {pod.name for pod in at}]:
        return StageState.DEAD, f"pod {listing(gone)} is gone"
    if lost := [pod for pod in at if not _node_ready(pod, nodes)]:
        return StageState.DEAD, f"node {lost[0].node} of pod {lost[0].name} is not ready"
    if going := [pod for pod in at if pod.terminating]:
        return StageState.TERMINATING, f"pod {going[0].name} on node {going[0].node} is being terminated"
    if replica.state in _GOING:
        return StageState.TERMINATING, "Ray Serve is stopping the replica"
    alive = [rank for rank in ranks if rank.state == _ALIVE]
    if len(alive) < plan.tensor:
        found = f"{len(alive)} of {plan.tensor} tensor ranks live"
        return (StageState.MISSING if replica.state == "RUNNING" else StageState.STARTING), found
    if any(rank.pod is None for rank in alive):
        return StageState.MISSING, "it is in no pod that is there"
    if len(names) > 1:
        return StageState.SPLIT, f"its {plan.tensor} tensor ranks are in different pods: {where}"
    if wrong := _disallowed(stage, at[0], nodes):
        return StageState.MISPLACED, wrong
    if replica.state != "RUNNING":
        return StageState.STARTING, f"its ranks live in {where}, the replica is {replica.state}"
    return StageState.RUNNING, ""


def _node_ready(pod: PodView, nodes: Mapping[str, NodeFacts] | None) -> bool:
    node = nodes.get(pod.node) if nodes is not None and pod.node else None
    return node is None or node.ready


def _gone(names: Sequence[str]) -> str:
    return f" with pod {listing(names)}, which is gone" if names else ""


def _disallowed(stage: StagePlan, pod: PodView, nodes: Mapping[str, NodeFacts] | None) -> str:
    if pod.group != worker_group(stage.index):
        return f"it runs in pod {pod.name} of worker group {pod.group} on node {pod.node}"
    node = nodes.get(pod.node) if nodes is not None and pod.node else None
    if node is None:
        return ""
    for key, value in stage.selector.items():
        if node.labels.get(key) != value:
            has = f"has {key}={node.labels[key]}" if key in node.labels else f"has no label {key}"
            return f"pod {pod.name} is on node {node.name}, which {has} where the plan wants {key}={value}"
    return ""


def _current(ranks: Sequence[RankView], stage: int) -> list[RankView]:
    """A stage's ranks; of a rank that was started again only the best, for Ray remembers the dead."""

    def worth(rank: RankView) -> int:
        return 2 if rank.state == _ALIVE else 1 if rank.state in _STARTING else 0

    best: dict[int, RankView] = {}
    for rank in ranks:
        if rank.stage == stage and (rank.tensor not in best or worth(rank) > worth(best[rank.tensor])):
            best[rank.tensor] = rank
    return [best[tensor] for tensor in sorted(best)]
