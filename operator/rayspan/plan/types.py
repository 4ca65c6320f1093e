"""What the planner answers: a Plan, or one of two kinds of no. All are values, none is raised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Holding:
    """What one GPU of a stage is going to hold, in bytes."""

    weights: float
    cache: float
    """KV cache."""
    headroom: float
    """What stays free."""


@dataclass(frozen=True)
class StagePlan:
    """One pipeline stage."""

    index: int
    layers: int
    node_selector: Mapping[str, str]
    """Labels that the owner wants of the stage's node; empty: any GPU node."""
    nodes: tuple[str, ...]
    """Names of the nodes that could hold it when it was planned, sorted."""
    pool: Mapping[str, str] = field(default_factory=dict)
    """Labels of the GPUs that it was planned for, where the nodes have several kinds."""
    holding: Holding | None = None
    """None: sizes of the model or of the GPUs are not known."""

    @property
    def selector(self) -> Mapping[str, str]:
        """All labels that the stage's node must carry."""
        return dict(sorted({**self.pool, **self.node_selector}.items()))


@dataclass(frozen=True)
class Plan:
    """How a model is cut and where its stages may run; the same for every replica."""

    tensor: int
    stages: tuple[StagePlan, ...]
    gpu_resource: str
    """Extended resource of the GPUs, such as ``nvidia.com/gpu``."""
    explanation: tuple[str, ...] = ()
    """One sentence per decision."""
    replicas: int = 1
    """Whole pipelines that the nodes were found to hold when it was planned."""
    cache_tokens: int | None = None
    """Tokens that the KV cache of one replica is going to hold; None: not known."""
    sized_for: Mapping[str, Any] | None = None
    """The engine arguments that its sizes are for, of those that sizes depend on; None: it was planned without."""

    @property
    def pipeline(self) -> int:
        """Number of stages."""
        return len(self.stages)

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers of each stage, in order."""
        return tuple(stage.layers for stage in self.stages)

    @property
    def layout(self) -> str:
        """The cut in one word, as in the printer column: ``TP2xPP2``."""
        return f"TP{self.tensor}xPP{self.pipeline}"

    @property
    def gpus_per_replica(self) -> int:
        """GPUs of one whole pipeline."""
        return self.tensor * self.pipeline


@dataclass(frozen=True)
class Invalid:
    """The spec contradicts itself or the model: only an edit helps."""

    message: str


@dataclass(frozen=True)
class Unplaceable:
    """No set of nodes can hold it now: an edit helps, and so may another node."""

    message: str


Answer = Plan | Invalid | Unplaceable
