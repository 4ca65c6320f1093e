"""What the operator's own settings say about rendered objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Peers = tuple[dict[str, Any], ...]
"""As in a NetworkPolicy's ``from``; none: nobody."""


@dataclass(frozen=True)
class Insiders:
    """Who reaches the inner ports of the Ray pods: the ports that are for no client."""

    rayspan: Peers
    """This operator: Ray's dashboard, the metrics, the serving port of every pod."""
    kuberay: Peers
    """KubeRay's operator: Ray's dashboard and the health of the head's proxy."""
    metrics: Peers = ()
    """Whoever scrapes the metrics: Prometheus."""


@dataclass(frozen=True)
class RenderSettings:
    """Defaults for what the spec leaves out; the same for every LLMDeployment of an operator."""

    serving_image: str = "ghcr.io/rayspan/serving:0.1.0"
    """Image of all Ray pods where spec.serving.image is left out."""
    version: str = "0.1.0"
    """Of the operator."""
    insiders: Insiders | None = None
    """For the NetworkPolicies of Ray pods; None: none are made."""
    ray_version: str = "2.60.0"
    """Ray in the serving image; KubeRay chooses its probes and features by it."""
    termination_grace_seconds: int = 35
    """A stage pod's time to end, where spec.serving.podTemplate says nothing. Draining takes 5 s less at
    most and ends earlier when nothing is in flight; KubeRay starts a replacement only when the old pod is
    gone, so this bounds an outage as well."""
    head_more_grace_seconds: int = 5
    """How much longer than a stage pod the head has to end: it waits for stage pods that end with it, so that
    their requests are told of each other's end. Alone it ends within some seconds."""
    old_cluster_seconds: int = 60
    """With the update strategy NewCluster: how long the old cluster finishes what it has begun."""
    graceful_shutdown_seconds: int = 30
    """A replica's time to end what it does when Serve takes it down; below the pod's own time."""
    execute_model_timeout_seconds: int = 60
    """A step of the engine that takes longer counts as a dead stage: a backstop behind the watchdog in the
    serving image (vLLM's default is 300: so long requests may hang). spec.engine.env may say otherwise."""
    head_cpu: str = "500m"
    head_memory: str = "2Gi"
    """Requests of the head: the head carries no serving load, and spec.serving.podTemplate's resources are
    for stage pods."""
    worker_cpu: str = "1"
    worker_memory: str = "4Gi"
    """Requests of a stage pod where spec.serving.podTemplate has none."""
    object_store_bytes: int = 512 * 2**20
    """Ray's object store per pod. Requests and weights do not pass through it; Ray's own default is 30 % of
    the node's memory."""
    inspect_deadline_seconds: int = 900
    """The inspection Job's time, image pull included."""
    inspect_ttl_seconds: int = 300
    """How long the finished inspection Job is kept."""
