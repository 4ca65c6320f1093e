"""KV cache: what one request of a given length takes on each layer, on one GPU.

By kind of a layer, with ``k`` key/value heads of ``d`` numbers of ``b`` bytes, ``t`` GPUs of a stage:

- full attention: ``2 d b max(1, k / t)`` per token
- sliding window: the same, for no more than the window
- latent attention: ``(c + p) b`` per token, whole on every GPU: the compressed key and value and the position's part
- gated delta rule and Mamba: a state that does not grow, ``1 / t`` of it

As in vLLM: ``get_num_kv_heads`` (vllm/config/model.py), ``page_size_bytes`` (vllm/v1/kv_cache_interface.py). Rounding
to blocks and to a common page size of mixed layers is left out: it is under a block of 16 tokens per request, for
models with states under a tenth.
"""

from __future__ import annotations

from dataclasses import dataclass

from rayspan.plan import model_config as kinds
from rayspan.plan.model_config import Config


@dataclass(frozen=True)
class LayerCache:
    """What a layer keeps of a request, over all GPUs of its stage as if there were one."""

    token_bytes: int = 0
    """Per token."""
    window: int = 0
    """Tokens beyond this are forgotten; 0: none are."""
    state_bytes: int = 0
    """Whatever the length."""
    heads: int = 0
    """Key/value heads that the GPUs of a stage share out; 0: every GPU holds all of it."""

    def request(self, tokens: int, tensor: int) -> float:
        """Bytes on one of ``tensor`` GPUs of a request of so many tokens."""
        kept = min(tokens, self.window) if self.window else tokens
        share = max(1, self.heads // tensor) / self.heads if self.heads else 1.0
        return kept * self.token_bytes * share + self.state_bytes / tensor


def layer_caches(config: Config, number_bytes: int) -> tuple[LayerCache, ...]:
    """Of each layer of the model. Raises model_config.Incomplete."""
    made = {mixer: _layer(config, mixer, number_bytes) for mixer in {pair[0] for pair in config.kinds()}}
    return tuple(made[mixer] for mixer, _ in config.kinds())


def _layer(config: Config, mixer: str, number: int) -> LayerCache:
    if mixer in (kinds.FULL, kinds.SLIDING):
        heads = config.kv_heads
        window = (config.number("window") or 0) if mixer == kinds.SLIDING else 0
        return LayerCache(token_bytes=2 * heads * config.head_size * number, window=window, heads=heads)
    if mixer == kinds.LATENT:
        return LayerCache(
            token_bytes=(config.need("kv_lora_rank") + config.need("qk_rope_head_dim")) * number
        )
    if mixer == kinds.LINEAR:
        keys = config.need("linear_num_key_heads") * config.need("linear_key_head_dim")
        values = config.need("linear_num_value_heads") * config.need("linear_value_head_dim")
        kernel = config.need("linear_conv_kernel_dim")
        state = values * config.need("linear_key_head_dim") * 4  # kept in float32
        return LayerCache(state_bytes=state + (2 * keys + values) * (kernel - 1) * number)
    if mixer in (kinds.MAMBA, kinds.MAMBA2):
        inner = config.need("hidden") * (config.first("mamba_expand", "expand") or 2)
        heads, size = (
            config.first("mamba_num_heads", "mamba_n_heads"),
            config.first("mamba_head_dim", "mamba_d_head"),
        )
        inner = heads * size if heads and size else inner
        state = config.first("ssm_state_size", "mamba_d_state", "state_size") or 16
        kernel = config.first("conv_kernel", "mamba_d_conv") or 4
        return LayerCache(state_bytes=inner * state * 4 + inner * (kernel - 1) * number)
    return LayerCache()
