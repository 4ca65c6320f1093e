"""What was observed. Every source may be missing, late or lying, so each field is a value or Unknown.

``cluster/observe.py`` fills these; everything in ``report`` reads them. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar


@dataclass(frozen=True)
class Unknown:
    """A fact that could not be read, and why: a clause that names the source, as ``the pods cannot be read: ...``."""

    because: str


T = TypeVar("T")
Known: TypeAlias = T | Unknown


@dataclass(frozen=True)
class PodView:
    """One Ray pod."""

    name: str
    uid: str
    cluster: str
    """RayCluster it belongs to (label ray.io/cluster)."""
    group: str
    """Worker group (label ray.io/group); ``headgroup`` for the head."""
    head: bool
    node: str | None
    ip: str | None
    phase: str
    ready: bool
    terminating: bool
    restarts: int
    image: str
    created_at: float
    gpus: int = 0
    """GPUs that its containers are limited to."""
    unschedulable: str | None = None
    """The scheduler's own words, when it finds no node."""
    waiting_reason: str | None = None
    """Why a container waits, such as ImagePullBackOff or CreateContainerConfigError."""
    waiting_message: str | None = None
    last_exit: str | None = None
    """Last words of a container that ended: reason, exit code, message."""


@dataclass(frozen=True)
class RayServiceView:
    """The owned RayService."""

    generation: int
    observed_generation: int
    active_cluster: str | None
    pending_cluster: str | None
    revision: str | None
    """Rayspan's annotation: hash of what was rendered."""
    serve_revision: str | None = None
    """Rayspan's annotation: hash of the Serve application's arguments."""
    model: str | None = None
    """What clients send as "model" to what was rendered last; None: it does not say."""
    port: int | None = None
    """Where it serves."""


@dataclass(frozen=True)
class WorkerGroupView:
    """A worker group as the running RayCluster has it."""

    name: str
    replicas: int
    workers_to_delete: tuple[str, ...] = ()
    """scaleStrategy.workersToDelete: KubeRay never clears it."""
    min_replicas: int | None = None
    max_replicas: int | None = None
    """KubeRay keeps the count between these two; None: not set."""


@dataclass(frozen=True)
class RayClusterView:
    """A RayCluster."""

    name: str
    groups: tuple[WorkerGroupView, ...]
    """In the order of the cluster's spec: a patch names them by index."""
    suspended: bool = False
    """Someone suspended it: KubeRay takes its pods away, and makes none until told not to."""
    refused: str | None = None
    """Why KubeRay cannot make a pod, in the API server's words."""


@dataclass(frozen=True)
class RankView:
    """One vLLM worker: one tensor rank of one stage, as Ray's actor table has it."""

    stage: int
    tensor: int
    state: str
    """Ray's actor state: ALIVE, PENDING_CREATION, RESTARTING, DEAD, ..."""
    pod: str | None
    """Pod of the Ray node that the actor runs on."""


@dataclass(frozen=True)
class ReplicaView:
    """One replica of the Serve deployment that holds the engines."""

    id: str
    state: str
    """Serve's replica state: STARTING, RUNNING, STOPPING, ..."""
    actor_id: str | None
    pod: str | None
    ranks: tuple[RankView, ...] = ()


@dataclass(frozen=True)
class WaitingGroup:
    """The placement group of a replica, for which Ray has no room yet."""

    replica: str
    bundles: int
    free: Mapping[str, float]
    """Pods that are in Ray, to GPUs that no placement group and no actor of their own accord holds there."""


@dataclass(frozen=True)
class ServeView:
    """The Serve application, from the head's dashboard."""

    status: str
    """NOT_STARTED, DEPLOYING, DEPLOY_FAILED, RUNNING, UNHEALTHY, DELETING."""
    message: str
    replicas: tuple[ReplicaView, ...]
    """Replicas that hold an engine."""
    ingresses: tuple[ReplicaView, ...]
    """Replicas that take requests."""
    revision: str | None = None
    """Hash of the arguments that Serve builds the application from now."""
    proxies: Mapping[str, str] = field(default_factory=dict)
    """Pod to the state of its HTTP proxy: STARTING, HEALTHY, UNHEALTHY, DRAINING, DRAINED."""
    waiting: tuple[WaitingGroup, ...] = ()
    deployed_at: float = 0.0
    """When Serve was last told what to run; seconds since the epoch."""


@dataclass(frozen=True)
class CompletionView:
    """The last completion that came, or did not come, through the serving path."""

    ok: bool
    at: float
    seconds: float
    detail: str
    """What was asked and what came back; no pod and no elapsed time, which would make every look new."""
    replica: str | None = None
    """Who answered, as the answer says."""
    reached: bool = True
    """Whether there was a connection at all."""


Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Histogram:
    """Cumulative buckets as a metrics page has them: upper bounds ascending, the last is infinity."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]


@dataclass(frozen=True)
class Scrape:
    """The wanted lines of one pod's metrics page. A series' labels include those that tell processes apart."""

    at: float
    pod_uid: str
    histograms: Mapping[tuple[str, Labels], Histogram] = field(default_factory=dict)
    values: Mapping[tuple[str, Labels], float] = field(default_factory=dict)
    """Counters and gauges."""


@dataclass(frozen=True)
class Observed:
    """Everything one pass saw."""

    at: float
    ray_service: Known[RayServiceView | None]
    """None: there is none."""
    ray_cluster: Known[RayClusterView | None]
    """The one that serves now."""
    pods: Known[tuple[PodView, ...]]
    serve: Known[ServeView | None]
    """None: no head answers yet because none runs."""
    completion: Known[CompletionView | None]
    """The newest answer of any replica, or the last failure; None: none was tried yet."""
    proofs: Mapping[str, CompletionView] = field(default_factory=dict)
    """The last word on each running replica, by its id; one that is not there was never reached."""
    silent: tuple[str, ...] = ()
    """Ways in that let no answer through yet: serving pods and the Service, for a sentence."""
    scrapes: tuple[Scrape, ...] = ()
    """All scrapes of the window, oldest first; empty: no pod answered."""
    kuberay: Known[str | None] = None
    """Version of the KubeRay operator; None: it could not be told from what is readable."""
    ray_service_kind: bool = True
    """Whether the API server knows the kind RayService; False: KubeRay is not installed."""
    pending_cluster: RayClusterView | None = None
    """The one that comes up beside it, to serve in its place."""

    @property
    def port(self) -> int | None:
        """Where what was rendered last serves; None: not known."""
        return self.ray_service.port if isinstance(self.ray_service, RayServiceView) else None
