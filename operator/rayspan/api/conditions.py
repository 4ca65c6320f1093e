"""The vocabulary of the status: condition types and reasons, one line of doc each.

docs/conditions.md is generated from here.
"""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """Condition types, in the order in which they become true."""

    PLAN_ACCEPTED = "PlanAccepted"
    """The spec can be planned onto this cluster; False carries the arithmetic."""
    PROVISIONED = "Provisioned"
    """Every wanted pod of the current generation runs."""
    PLACEMENT_VERIFIED = "PlacementVerified"
    """Ray's own state has every stage on a node that the plan allows, all its tensor ranks together."""
    SERVING = "Serving"
    """A real completion came through the serving path a short while ago."""
    READY = "Ready"
    """The current generation is applied, placed, and serves with every replica."""
    OBJECTIVES_MET = "ObjectivesMet"
    """The latencies of the window are within spec.objectives."""
    DEGRADED = "Degraded"
    """It serves, but with fewer replicas than wanted, or with the last good version instead of this one."""


class Reason(StrEnum):
    """Reasons of conditions."""

    # PlanAccepted
    PLANNED = "Planned"
    """The plan stands in status.plan."""
    INSPECTING = "InspectingModel"
    """A short Job reads the model's facts and the image's versions."""
    INVALID_SPEC = "InvalidSpec"
    """The spec contradicts itself or the model; the message says what to write instead."""
    UNPLACEABLE = "Unplaceable"
    """No set of nodes can hold the plan; the message carries the arithmetic."""
    MODEL_UNREADABLE = "ModelUnreadable"
    """The model could not be read where spec.model says it is."""
    IMAGE_UNUSABLE = "ImageUnusable"
    """The serving image cannot be pulled, or lacks Ray, vLLM or rayspan_serving."""
    REFERENCE_MISSING = "ReferenceMissing"
    """A Secret or claim that the spec names does not exist in this namespace."""

    # Provisioned
    PODS_RUNNING = "PodsRunning"
    """Every wanted pod runs."""
    KUBERAY_MISSING = "KubeRayMissing"
    """The RayService resource is not known to this cluster: KubeRay is not installed."""
    APPLY_FAILED = "ApplyFailed"
    """The API server refused an object that Rayspan makes; the message is its own."""
    WAITING_FOR_KUBERAY = "WaitingForKubeRay"
    """KubeRay has not acted on the RayService yet."""
    PODS_PENDING = "PodsPending"
    """Pods are still starting."""
    POD_REFUSED = "PodRefused"
    """The API server lets a pod not be made: a quota, an admission policy, or something it names is not there; the message
    is its own."""
    POD_UNSCHEDULABLE = "PodUnschedulable"
    """The scheduler finds no node for a pod; the message is its own."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """A pod's image cannot be pulled."""
    POD_CRASHING = "PodCrashing"
    """A pod's container ends again and again; the message has its last words."""
    POD_LOST = "PodLost"
    """A pod that held a stage or the head is gone or going."""
    UPDATING = "Updating"
    """A change is being carried out."""

    # PlacementVerified
    VERIFIED = "Verified"
    """Every stage is where the plan wants it."""
    MISPLACED = "Misplaced"
    """A stage runs on a node that its selector does not allow."""
    TENSOR_RANKS_SPLIT = "TensorRanksSplit"
    """The tensor ranks of one stage are on different nodes; the replica is restarted to put it right."""
    STAGES_MISSING = "StagesMissing"
    """Fewer stages run than planned."""

    # Serving and Ready
    COMPLETION_ANSWERED = "CompletionAnswered"
    """A completion was answered through the serving path."""
    NO_COMPLETION = "NoCompletion"
    """The last completion failed or did not come back in time."""
    APPLICATION_DEPLOYING = "ApplicationDeploying"
    """Ray Serve is starting the application."""
    APPLICATION_FAILED = "ApplicationFailed"
    """Ray Serve could not start the application, or keep it healthy; the message is its own."""
    PROXY_FAILED = "ProxyFailed"
    """Where requests come in, no HTTP proxy of Ray Serve starts: most often something else holds its port."""
    STAGE_LOST = "StageLost"
    """A stage of a replica died."""
    HEAD_LOST = "HeadLost"
    """The Ray head is gone: nothing can be placed or replaced until it is back."""
    REPLICAS_READY = "ReplicasReady"
    """All replicas serve."""
    REPLICAS_MISSING = "ReplicasMissing"
    """Fewer replicas serve than wanted."""
    LAST_GOOD_SERVING = "LastGoodServing"
    """The newest spec was refused; the last good one goes on serving."""
    STOPPED = "Stopped"
    """spec.replicas is 0."""

    # ObjectivesMet
    WITHIN = "WithinObjectives"
    """Every objective is met."""
    EXCEEDED = "Exceeded"
    """A percentile exceeds its objective."""
    NO_TRAFFIC = "NoTraffic"
    """No request ended in the window: nothing to judge."""
    NOT_SET = "NotSet"
    """spec.objectives is empty."""

    # Any
    UNOBSERVED = "Unobserved"
    """The source of this fact did not answer; the message says which and why."""
    NOT_REACHED = "NotReached"
    """Something that must come first is not there yet."""
    HEALTHY = "Healthy"
    """Nothing is degraded."""


class Phase(StrEnum):
    """One word for the printer column, derived from the conditions."""

    REFUSED = "Refused"
    PENDING = "Pending"
    STARTING = "Starting"
    READY = "Ready"
    DEGRADED = "Degraded"
    UPDATING = "Updating"
    RECOVERING = "Recovering"
    STOPPED = "Stopped"
    DELETING = "Deleting"
