"""How long a stage takes: for a decode step of one micro-batch, and for the prompts that come with it.

With the constants of a GPU (:mod:`.gpus`), ``t`` GPUs of the stage, and per layer the bytes of weights that a step
reads::

    decode  = cost of the place + layers x (cost of a layer [+ cost of agreeing, t > 1])
              + (bytes read + bytes of the head, on the last stage) / (t x bandwidth)
    prefill = tokens x bytes that a token passes through / (t x products per second)
    load    = decode + prefill of the prompt tokens that come with a decode step

Decode reads weights, prefill multiplies by them: two operations for each number of two bytes, so that bytes are
operations; with 8-bit weights both are half. The head is read once per step, for one token of each sequence, so it
weighs in decode alone, and a split made for decode alone gives the first stages too much of the prompts. Hence layers
are split by the load, with ``PROMPT_TOKENS`` for each token that is generated.

Of experts a step reads those that at least one of the ``b`` sequences is sent to: with ``e`` of ``E`` experts per
token, a share of ``1 - (1 - e/E)^b``, as if the router chose evenly; a token passes through ``e/E``. Reading KV cache
is left out: it grows with the lengths of the sequences, which only traffic tells, and is shared by the layers as their
weights are.

A pipeline of ``p`` stages has ``p`` micro-batches under way; the slowest stage gates them all. A step, in which
every sequence gains a token, takes ``p x max(floor, slowest stage)``; on one node ``max(floor, stage)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from rayspan.plan.gpus import Gpu
from rayspan.plan.split import FIRST, LAST, MIDDLE, place
from rayspan.plan.weights import Weights

SEQUENCES: Final = 32
"""Of a micro-batch, where traffic has not told: weights are read once for all, so it matters only for experts and prompts."""
PROMPT_TOKENS: Final = 4.0
"""For each token that is generated: between chat, which is about even, and questions about long documents."""


@dataclass(frozen=True)
class Work:
    """What stages have to do: sums over layers, so that any segment is a difference."""

    read: tuple[float, ...]
    """Bytes of weights that a decode step reads, of the first n layers."""
    passed: tuple[float, ...]
    """Bytes of weights that one token passes through, of the first n layers."""
    head: float
    """Bytes of the output head."""
    prompt_tokens: float
    """That come with a decode step of a micro-batch."""

    @property
    def layers(self) -> int:
        """Of the whole model."""
        return len(self.read) - 1


def work(
    weights: Weights,
    experts_per_token: int,
    experts: int,
    sequences: int = SEQUENCES,
    prompt_tokens: float = PROMPT_TOKENS,
) -> Work:
    """Of a model; ``prompt_tokens``: for each token that is generated."""
    each = experts_per_token / experts if experts else 1.0

    def sums(share: float) -> tuple[float, ...]:
        pairs = zip(weights.layers, weights.experts, strict=True)
        return (0.0, *accumulate(layer - routed + share * routed for layer, routed in pairs))

    return Work(
        read=sums(1 - (1 - each) ** sequences),
        passed=sums(each),
        head=float(weights.head or weights.embedding),
        prompt_tokens=sequences * prompt_tokens,
    )


def decode_seconds(work: Work, gpu: Gpu, tensor: int, place: str, begin: int, end: int, stages: int) -> float:
    """Of one micro-batch on the stage with the layers ``begin .. end-1``."""
    fixed = {FIRST: gpu.first_seconds, MIDDLE: gpu.middle_seconds, LAST: gpu.last_seconds}[place]
    layer = gpu.layer_seconds + (gpu.tensor_seconds if tensor > 1 else 0.0)
    head = work.head if place == LAST else 0.0
    if stages == 1:
        fixed = gpu.first_seconds
    return (
        fixed + (end - begin) * layer + (work.read[end] - work.read[begin] + head) / (tensor * gpu.bandwidth)
    )


def prefill_seconds(work: Work, gpu: Gpu, tensor: int, begin: int, end: int, tokens: float) -> float:
    """Of so many tokens of prompts through the layers ``begin .. end-1``, in a step that is made anyhow."""
    return tokens * (work.passed[end] - work.passed[begin]) / (tensor * gpu.flops)


def load_seconds(work: Work, gpu: Gpu, tensor: int, place: str, begin: int, end: int, stages: int) -> float:
    """Of one micro-batch's decode step and the prompts that come with it: what layers are split by."""
    decode = decode_seconds(work, gpu, tensor, place, begin, end, stages)
    return decode + prefill_seconds(work, gpu, tensor, begin, end, work.prompt_tokens)


Cost = Callable[[Work, Gpu, int, str, int, int, int], float]


def stage_seconds(
    work: Work, gpus: Sequence[Gpu], tensor: int, layers: Sequence[int], cost: Cost = decode_seconds
) -> tuple[float, ...]:
    """Of each stage of a split; ``gpus`` are those of the stages."""
    ends = list(accumulate(layers))
    last = len(layers) - 1
    return tuple(
        cost(work, gpus[i], tensor, place(i, last + 1), ends[i] - layers[i], ends[i], last + 1)
        for i in range(last + 1)
    )


def step_seconds(stages: Sequence[float], gpus: Sequence[Gpu]) -> float:
    """Of a step in which every sequence gains a token."""
    if len(stages) == 1:
        return max(stages[0], gpus[0].single_seconds)
    return len(stages) * max(*stages, *(gpu.floor_seconds for gpu in gpus))


def vllm_default(layers: int, stages: int) -> tuple[int, ...]:
    """The split that vLLM makes on its own (``get_pp_indices`` in vllm/distributed/utils.py): even, the remainder
    from the last stage but one towards the front."""
    base, spare = divmod(layers, stages)
    return tuple(base + (stages - 1 - spare <= stage < stages - 1) for stage in range(stages))
