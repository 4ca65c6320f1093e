"""What the planner is told: facts of the model and of the nodes. Gathered elsewhere, frozen here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rayspan.plan.cache import LayerCache
from rayspan.plan.weights import Weights


@dataclass(frozen=True)
class ModelFacts:
    """Facts of a model as its ``config.json`` has them, and of the image that is going to serve it."""

    layers: int
    architecture: str | None = None
    attention_heads: int | None = None
    kv_heads: int | None = None
    hidden_size: int | None = None
    vocabulary_size: int | None = None
    supports_pipeline: bool | None = None
    """Whether vLLM's class for the architecture can be cut into stages; None: not known."""
    backend: str | None = None
    """vLLM's platform in the serving image: cuda, rocm or cpu."""
    ray: str | None = None
    vllm: str | None = None
    """Versions in the serving image."""
    inner_size: int | None = None
    """Width of a feed-forward, of the widest kind."""
    context: int | None = None
    """Tokens that the model was made for."""
    number_bytes: int = 2
    """Of a number that is not quantised."""
    quantized: bool = False
    experts: int = 0
    experts_per_token: int = 0
    weights: Weights | None = None
    """None: not known, then memory is not checked and layers are split evenly."""
    caches: tuple[LayerCache, ...] = ()
    """Of each layer, where the weights are known."""


@dataclass(frozen=True)
class Taint:
    """A node's taint."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True)
class NodeFacts:
    """One Kubernetes node."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    gpus: int = 0
    """Allocatable GPUs, whoever holds them."""
    gpu_resource: str = "nvidia.com/gpu"
    """Extended resource that counts them."""
    gpus_held_by_others: int = 0
    """GPUs requested by pods that do not belong to the deployment being planned."""
    ready: bool = True
    cordoned: bool = False
    gpu_product: str | None = None
    gpu_memory_bytes: int | None = None
    """Of one GPU; None: no label says."""

    @property
    def gpu_memory(self) -> str | None:
        """The same as a Kubernetes quantity."""
        return f"{self.gpu_memory_bytes // 1024**2}Mi" if self.gpu_memory_bytes else None
