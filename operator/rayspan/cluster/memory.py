"""What the passes over deployments remember of each other. All of it can be lost at any time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from rayspan.api.conditions import Phase
from rayspan.api.v1alpha1 import ModelStatus, Status
from rayspan.cluster.events import Turn
from rayspan.cluster.metrics import Window
from rayspan.cluster.proof import Proof
from rayspan.cluster.ray import Seen
from rayspan.plan.types import Plan
from rayspan.report.input import Refused


@dataclass
class Memory:
    """One deployment's memory; a deployment made anew under the same name gets a new one."""

    uid: str
    window: Window
    models: dict[str, ModelStatus] = field(default_factory=dict)
    """What inspections found, by their key. One dict per namespace: deployments of one model share it."""
    refused: dict[str, Refused] = field(default_factory=dict)
    """What an inspection refused, by its key, while another is at it."""
    plan: Plan | None = None
    """The plan of what was applied last."""
    rendered: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the RayService, as seen last: how and by whom it was rendered."""
    plan_read: bool = False
    """Whether it was looked for in the cluster since the start."""
    settled: bool = False
    """Whether the last pass found it Ready."""
    truths: tuple[str, ...] = ()
    """What each condition was in the last pass."""
    changed_at: float = -math.inf
    """When a condition changed last."""
    secret_wanted: bool = True
    """Whether the Secret of the tokens has to be written: it may not be read."""
    secret_at: float = -math.inf
    policies_left: bool = True
    """Whether NetworkPolicies may be left of an operator that made them, where this one makes none."""
    written_at: float = -math.inf
    written: Mapping[str, Turn] | None = None
    """Conditions, by their types, as this process wrote them last. A status may be read that is older, or gone by someone's
    hand: what is told in events was told already."""
    scraped_at: float = -math.inf
    serve: Seen | None = None
    """What Ray's dashboard told last, while that may do for the ranks."""
    serve_at: float = -math.inf
    """When its tables were read for that."""
    proof: Proof = field(default_factory=Proof)

    def settle(self, status: Status, now: float) -> None:
        """Remember whether it is Ready, and when that or another condition changed."""
        truths = tuple(f"{one.type} {one.status}" for one in status.conditions or ())
        if truths != self.truths:
            self.truths, self.changed_at = truths, now
        self.settled = status.phase == Phase.READY


@dataclass
class Memories:
    """All deployments' memories."""

    window_seconds: float
    _by_name: dict[tuple[str, str], Memory] = field(default_factory=dict)
    _models: dict[str, dict[str, ModelStatus]] = field(default_factory=dict)

    def of(self, key: tuple[str, str], uid: str) -> Memory:
        """The memory of the deployment with this namespace, name and uid."""
        memory = self._by_name.get(key)
        if memory is None or memory.uid != uid:
            models = self._models.setdefault(key[0], {})
            memory = self._by_name[key] = Memory(uid, Window(self.window_seconds), models)
        return memory

    def forget(self, key: tuple[str, str]) -> None:
        """It is gone."""
        self._by_name.pop(key, None)
