"""Everything that the status is made of. Gathered elsewhere; ``report`` only reads it."""

from __future__ import annotations

from dataclasses import dataclass, field

from rayspan.api.conditions import Reason
from rayspan.api.v1alpha1 import LLMDeployment, ModelStatus
from rayspan.plan.facts import NodeFacts
from rayspan.plan.types import Answer, Plan
from rayspan.report.observed import Known, Observed


@dataclass(frozen=True)
class Inspecting:
    """No answer yet: the Job that reads the model's facts is still at it."""

    detail: str = ""
    """What it waits for, if it waits: such as its pod's own words. No elapsed times."""


@dataclass(frozen=True)
class Refused:
    """A no from before the planner: the inspection of model and image, or a reference that is missing."""

    reason: Reason
    """InvalidSpec, ModelUnreadable, ImageUnusable or ReferenceMissing."""
    message: str
    """What is so and what to write instead."""


@dataclass(frozen=True)
class Settings:
    """What a cluster's operator may set."""

    completion_max_age_seconds: float = 60.0
    """A completion older than this proves nothing. Twice the time between two probes, at the least."""
    window_seconds: float = 300.0
    """Latencies and traffic are taken over this long, or over what there is. Five minutes hold 3,000
    requests at 10/s, enough for a p99, and forget an incident soon enough to alert on."""
    diagnosis_seconds: float = 45.0
    """Time that the bottleneck is looked for in, where enough was answered in it: three scrapes, so that what
    began a minute ago is all there is to see."""
    write_interval_seconds: float = 15.0
    """Latencies and traffic alone are written at most this often."""


@dataclass(frozen=True)
class Input:
    """One pass's knowledge. ``deployment.status`` is the status as it was last written."""

    deployment: LLMDeployment
    answer: Answer | Refused | Inspecting
    """What the planner says to the newest spec."""
    observed: Observed
    nodes: Known[tuple[NodeFacts, ...]]
    """All nodes that a pod may be on: their labels verify the placement."""
    revision: str | None = None
    """Revision that the newest spec renders to; None as long as it has no plan."""
    last_good: Plan | None = None
    """The plan that the live RayService was rendered from, when the answer is no plan."""
    apply_error: str | None = None
    """The API server's words, when it refused what was applied in this pass."""
    model: ModelStatus | None = None
    """Facts from the inspection, goes to the status as it is."""
    url: str | None = None
    selector: str | None = None
    service: str | None = None
    """Name of the Service that clients reach, for the data path."""
    settings: Settings = field(default_factory=Settings)

    @property
    def plan(self) -> Plan | None:
        """The plan that the running pods are held against: the newest, or else the last good one."""
        return self.answer if isinstance(self.answer, Plan) else self.last_good
