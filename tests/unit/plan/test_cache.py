"""KV cache of one request, by kind of layer."""

from __future__ import annotations

import pytest
from rayspan.plan.cache import LayerCache
from rayspan.plan.model_facts import as_loaded, model_facts

from tests.unit.plan.known import MODELS, known

TOKENS: dict[str, tuple[str, int]] = {
    "grouped queries: 80 layers x 2 x 8 heads x 128 x 2 bytes": (
        "meta-llama/Llama-3.1-70B-Instruct",
        80 * 2 * 8 * 128 * 2,
    ),
    "latent: 61 layers x (512 + 64) x 2 bytes": ("deepseek-ai/DeepSeek-V3", 61 * 576 * 2),
    "one head for all queries: 18 layers x 2 x 1 head x 256 x 2 bytes": (
        "google/gemma-2b-it",
        18 * 2 * 256 * 2,
    ),
    "attention in 4 of 32 layers, Mamba in the others": (
        "ai21labs/AI21-Jamba-Mini-1.5",
        4 * 2 * 8 * 128 * 2,
    ),
}


@pytest.mark.parametrize("case", TOKENS)
def test_a_token_takes(case: str) -> None:
    name, expected = TOKENS[case]
    assert sum(layer.token_bytes for layer in known(name).caches) == expected


def test_a_window_forgets() -> None:
    facts = known("google/gemma-2-9b-it")
    sliding = [layer for layer in facts.caches if layer.window]
    assert len(sliding) == facts.layers // 2 and {layer.window for layer in sliding} == {4096}
    assert sliding[0].request(100_000, 1) == sliding[0].request(4096, 1) == 4096 * sliding[0].token_bytes


def test_gpus_of_a_stage_share_heads_but_not_less_than_one_each() -> None:
    layer = LayerCache(token_bytes=800, heads=8)
    assert [layer.request(1, tensor) for tensor in (1, 2, 8, 16)] == [800, 400, 100, 100]
    assert LayerCache(token_bytes=800).request(1, 8) == 800, "latent: every GPU holds all of it"


def test_a_state_does_not_grow() -> None:
    mamba = [layer for layer in known("ai21labs/AI21-Jamba-Mini-1.5").caches if layer.state_bytes]
    assert len(mamba) == 28
    assert mamba[0].request(1, 1) == mamba[0].request(100_000, 1) > 0


LOADED: dict[str, tuple[dict[str, str], float, float]] = {
    "as it is": ({}, 1, 1),
    "as vLLM thinks best": ({"dtype": "auto", "kv_cache_dtype": "auto"}, 1, 1),
    "in 32 bits": ({"dtype": "float32"}, 2, 2),
    "with a cache of 8 bits": ({"kv_cache_dtype": "fp8"}, 1, 0.5),
    "quantised while loading": ({"quantization": "fp8"}, 0.5, 1),
}


@pytest.mark.parametrize("case", LOADED)
def test_the_engine_is_told_to_load_it(case: str) -> None:
    arguments, weights, cache = LOADED[case]
    plain = known("meta-llama/Llama-3.1-8B")
    loaded = as_loaded(plain, arguments)
    assert loaded.weights is not None and plain.weights is not None
    assert loaded.weights.layers[0] == plain.weights.layers[0] * weights
    assert loaded.caches[0].token_bytes == plain.caches[0].token_bytes * cache


def test_a_quantised_checkpoint_stays_what_it_is() -> None:
    plain = model_facts(MODELS["openai/gpt-oss-20b"])
    assert as_loaded(plain, {"quantization": "fp8", "dtype": "bfloat16"}).weights == plain.weights
