"""Facts of a model from its ``config.json`` and, where they could be read, the headers of its weights; and the same
as they are kept in the status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final

from rayspan.api.v1alpha1 import LayersStatus, ModelStatus, WeightsStatus
from rayspan.plan import model_config, weights
from rayspan.plan.cache import LayerCache, layer_caches
from rayspan.plan.facts import ModelFacts
from rayspan.plan.memory import ARGUMENTS as MEMORY_ARGUMENTS
from rayspan.plan.model_config import Incomplete
from rayspan.plan.weights import DTYPE_BYTES, Weights


def model_facts(
    content: Mapping[str, Any],
    headers: Mapping[str, Any] | None = None,
    supports_pipeline: bool | None = None,
) -> ModelFacts:
    """Facts of the model in a parsed ``config.json``; raises Incomplete if not even its layers are told.

    ``headers``: ``{"layers": [[how many alike, bytes of one, bytes of its experts], ...], "embedding", "head",
    "rest"}`` in bytes, as rayspan_serving.model_weights sums them up. Without them the config's sums stand; where
    that lacks something, or does not agree with the headers about the layers, the weights stay unknown.
    """
    config = model_config.read(content)
    layers = config.need("layers")
    architectures = content.get("architectures") or config.text.get("architectures") or [None]
    number = round(DTYPE_BYTES.get(config.dtype, 2))
    try:
        heads, kv_heads = config.number("heads"), config.kv_heads
    except Incomplete:
        heads = kv_heads = None
    try:
        sizes = _from_headers(headers, layers) or weights.from_config(config)
        caches = layer_caches(config, number)
    except (Incomplete, ZeroDivisionError, KeyError, TypeError):
        sizes, caches = None, ()
    if sizes is not None and len(caches) != layers:
        sizes, caches = None, ()
    return ModelFacts(
        layers=layers,
        architecture=str(architectures[0]) if architectures[0] else None,
        attention_heads=heads,
        kv_heads=kv_heads,
        hidden_size=config.number("hidden"),
        vocabulary_size=config.number("vocabulary"),
        supports_pipeline=supports_pipeline,
        inner_size=config.number("dense"),
        context=config.number("positions"),
        number_bytes=number,
        quantized=bool(config.quantization),
        experts=config.number("experts") or 0,
        experts_per_token=config.first("num_experts_per_tok", "moe_topk", "top_k_experts") or 0,
        weights=sizes,
        caches=caches,
    )


def _from_headers(headers: Mapping[str, Any] | None, layers: int) -> Weights | None:
    if not headers:
        return None
    runs: Sequence[Sequence[int]] = headers["layers"]
    each = [(size, experts) for count, size, experts in runs for _ in range(count)]
    if len(each) != layers or not all(size for size, _ in each):
        return None
    return Weights(
        layers=tuple(size for size, _ in each),
        experts=tuple(experts for _, experts in each),
        embedding=int(headers["embedding"]),
        head=int(headers["head"]),
        rest=int(headers["rest"]),
        source=weights.HEADERS,
    )


_NUMBERS: Final[Mapping[str, int]] = {"float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2}
_CACHE_NUMBERS: Final[Mapping[str, int]] = {**_NUMBERS, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1}
"""Bytes of vLLM's names for data types; others, such as auto, leave them as they are."""
_HALVED: Final = frozenset({"fp8"})
"""What vLLM quantises an ordinary checkpoint to while loading it, if told so."""


def as_loaded(facts: ModelFacts, arguments: Mapping[str, Any]) -> ModelFacts:
    """The model as the engine is told to load it: its data type, quantisation and cache type change the sizes."""
    number = _NUMBERS.get(str(arguments.get("dtype")), facts.number_bytes)
    cached = _CACHE_NUMBERS.get(str(arguments.get("kv_cache_dtype")), number)
    sizes = facts.weights
    if sizes is not None and not facts.quantized:
        plain = number / facts.number_bytes
        layer = 1 / facts.number_bytes if arguments.get("quantization") in _HALVED else plain
        sizes = Weights(
            layers=tuple(round(size * layer) for size in sizes.layers),
            experts=tuple(round(size * layer) for size in sizes.experts),
            embedding=round(sizes.embedding * plain),
            head=round(sizes.head * plain),
            rest=round(sizes.rest * plain),
            source=sizes.source,
        )
    scale = cached / facts.number_bytes
    caches = tuple(replace(cache, token_bytes=round(cache.token_bytes * scale)) for cache in facts.caches)
    return replace(facts, weights=sizes, caches=caches, number_bytes=number)


SIZING: Final = ("dtype", "quantization", "kv_cache_dtype", *MEMORY_ARGUMENTS)
"""Engine arguments that sizes depend on."""


def sizing(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arguments that sizes depend on."""
    return {name: arguments[name] for name in SIZING if name in arguments}


_SHARED: Final = (ModelFacts.__dataclass_fields__.keys() & ModelStatus.model_fields.keys()) - {"weights"}
"""What facts and status call by the same name."""


def recorded(facts: ModelFacts, **about: Any) -> ModelStatus:
    """The facts as the status keeps them; ``about``: its other fields."""
    known = {name: getattr(facts, name) for name in _SHARED}
    known |= {name: known[name] or None for name in ("quantized", "experts", "experts_per_token")}
    weights = _recorded(facts.weights, facts.caches) if facts.weights else None
    return ModelStatus(**{**known, "weights": weights, **about})


def _recorded(sizes: Weights, caches: Sequence[LayerCache]) -> WeightsStatus:
    layers = zip(sizes.layers, sizes.experts, caches, strict=True)
    return WeightsStatus(
        source=sizes.source,
        embedding_bytes=sizes.embedding,
        head_bytes=sizes.head,
        rest_bytes=sizes.rest,
        layers=[
            LayersStatus(
                count=len(list(alike)),
                bytes=size,
                expert_bytes=experts,
                token_cache_bytes=cache.token_bytes,
                state_cache_bytes=cache.state_bytes,
                window=cache.window,
                kv_heads=cache.heads,
            )
            for (size, experts, cache), alike in groupby(layers)
        ],
    )


def recalled(status: ModelStatus) -> ModelFacts:
    """The facts from the status."""
    each = [run for run in (status.weights.layers if status.weights else ()) for _ in range(run.count)]
    sizes = status.weights and Weights(
        layers=tuple(run.bytes for run in each),
        experts=tuple(run.expert_bytes for run in each),
        embedding=status.weights.embedding_bytes,
        head=status.weights.head_bytes,
        rest=status.weights.rest_bytes,
        source=status.weights.source,
    )
    return ModelFacts(
        **status.model_dump(include=set(_SHARED), exclude_none=True),
        weights=sizes or None,
        caches=tuple(
            LayerCache(run.token_cache_bytes, run.window, run.state_cache_bytes, run.kv_heads) for run in each
        ),
    )
