"""What one GPU of a stage holds: weights, activations, overhead, and KV cache in what is left of vLLM's share.

As vLLM counts (``determine_available_memory`` in vllm/v1/worker/gpu_worker.py)::

    cache = utilization x memory - weights - activations - overhead

    weights      bytes of the stage's layers, of the embedding on the first stage and of the head on the last, over
                 the stage's GPUs
    activations  the peak of a pass over ``max_num_batched_tokens``: per token the residual, its copy and the wider
                 of attention's and feed-forward's inner values; on the last stage the logits of ``max_num_seqs``
                 sequences, in 32 bits and twice, for sampling
    overhead     CUDA's context, NCCL's buffers, CUDA graphs: constants, estimated; none on CPUs

The stage with the least caps all: every stage keeps its layers' part of the same tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import Any, Final

from rayspan.plan.facts import ModelFacts
from rayspan.plan.split import LAST

GIB: Final = 1024**3

UTILIZATION: Final = 0.92
"""vLLM 0.29's gpu_memory_utilization (vllm/config/cache.py)."""
CONTEXT_BYTES: Final = round(0.6 * GIB)
"""CUDA's context and libraries, and NCCL's buffers: estimated."""
GRAPHS_BYTES: Final = round(0.5 * GIB)
"""CUDA graphs, unless enforce_eager: estimated."""
LARGE_GPU: Final = 70 * GIB
"""From here vLLM takes the larger defaults (``get_batch_defaults`` in vllm/engine/arg_utils.py)."""


ARGUMENTS: Final = (
    "gpu_memory_utilization",
    "max_num_batched_tokens",
    "max_num_seqs",
    "kv_cache_memory_bytes",
    "enforce_eager",
    "max_model_len",
)
"""Engine arguments that memory depends on."""


@dataclass(frozen=True)
class Engine:
    """The engine arguments that memory depends on, with vLLM's defaults."""

    utilization: float
    batched_tokens: int | None
    sequences: int | None
    cache_bytes: int | None
    """kv_cache_memory_bytes: the cache as given, whatever the share."""
    eager: bool
    context: int
    """max_model_len: tokens that one request may have."""

    def tokens(self, memory: float) -> int:
        """max_num_batched_tokens on a GPU of so much memory."""
        return self.batched_tokens or (8192 if memory >= LARGE_GPU else 2048)

    def seqs(self, memory: float) -> int:
        """max_num_seqs on a GPU of so much memory."""
        return self.sequences or (1024 if memory >= LARGE_GPU else 256)


def engine(arguments: Mapping[str, Any], model: ModelFacts) -> Engine:
    """From spec.engine.args."""

    def whole(name: str) -> int | None:
        value = arguments.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None

    share = arguments.get("gpu_memory_utilization")
    return Engine(
        utilization=float(share) if isinstance(share, int | float) and 0 < share <= 1 else UTILIZATION,
        batched_tokens=whole("max_num_batched_tokens"),
        sequences=whole("max_num_seqs"),
        cache_bytes=whole("kv_cache_memory_bytes"),
        eager=bool(arguments.get("enforce_eager")),
        context=whole("max_model_len") or model.context or 4096,
    )


@dataclass(frozen=True)
class Need:
    """What one GPU of a stage holds, in bytes."""

    weights: float
    activations: float
    overhead: float
    request: float
    """KV cache of one request as long as the context."""


@dataclass(frozen=True)
class Room:
    """What is left for the cache on one GPU of a stage, in bytes."""

    cache: float
    headroom: float
    """Outside vLLM's share."""


class Memory:
    """Sums over a model's layers, so that a segment's need is a difference."""

    def __init__(self, model: ModelFacts, engine: Engine, tensor: int) -> None:
        assert model.weights is not None
        self.engine, self.tensor, self._model = engine, tensor, model
        self._weights = model.weights
        self._layers = [0, *accumulate(model.weights.layers)]
        requests = (layer.request(engine.context, tensor) for layer in model.caches)
        self._requests = [0.0, *accumulate(requests)]

    def need(self, place: str, begin: int, end: int, memory: float) -> Need:
        """Of the stage with the layers ``begin .. end-1`` on GPUs of ``memory`` bytes."""
        held = self._weights
        first, last = begin == 0, place == LAST
        ends = (held.embedding + held.rest if first else 0) + (held.head if last else 0)
        if last and not first and not held.head:
            ends += held.embedding  # tied, and the embedding is on another stage
        weights = (self._layers[end] - self._layers[begin] + ends) / self.tensor
        return Need(
            weights=weights,
            activations=self._activations(last, memory),
            overhead=self._overhead(),
            request=self._requests[end] - self._requests[begin],
        )

    def _overhead(self) -> int:
        if self._model.backend == "cpu":
            return 0
        return CONTEXT_BYTES + (0 if self.engine.eager else GRAPHS_BYTES)

    def room(self, need: Need, memory: float) -> Room:
        """Left on a GPU of ``memory`` bytes; a negative cache: the weights do not fit."""
        taken = need.weights + need.activations + need.overhead
        if self.engine.cache_bytes is not None:
            cache = float(self.engine.cache_bytes)
            return Room(cache if taken + cache <= memory else memory - taken - cache, memory - taken - cache)
        return Room(memory * self.engine.utilization - taken, memory * (1 - self.engine.utilization))

    def requests(self, need: Need, memory: float) -> float:
        """Requests as long as the context that the stage keeps at once; negative: the weights do not fit."""
        cache = self.room(need, memory).cache
        if cache < 0:
            return -1.0
        return cache / need.request if need.request else inf

    def _activations(self, last: bool, memory: float) -> float:
        model, tokens = self._model, self.engine.tokens(memory)
        hidden = model.hidden_size or 0
        inner = max(2 * (model.inner_size or 4 * hidden), 3 * hidden) / self.tensor
        logits = self.engine.seqs(memory) * (model.vocabulary_size or 0) * 8 if last else 0
        return tokens * (2 * hidden + inner) * 2 + logits
