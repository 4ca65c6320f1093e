"""Parameters of a model by its config: for each layer, for the embedding and for the head.

Sums of the matrices that transformers' classes hold. With ``H`` hidden size, ``a`` heads of ``d`` numbers, ``k``
key/value heads, ``F`` width of a feed-forward, ``V`` vocabulary:

- attention: ``H a d + 2 H k d + a d H``
- latent attention (DeepSeek): query ``H r + r a (n + p)`` by a rank ``r``, or ``H a (n + p)`` without; key and value
  ``H (c + p) + c a (n + v)`` by a rank ``c``; output ``a v H``; ``n`` and ``p`` are a query's numbers without and
  with position, ``v`` those of a value
- feed-forward: ``3 H F`` with a gate, ``2 H F`` without
- experts: ``E`` times a feed-forward, shared ones beside them, the router ``H E``
- gated delta rule (Qwen3-Next) and Mamba: their projections and convolutions, as in the functions below
- embedding ``V H``, head ``V H`` unless tied

Norms and biases are counted where a family has them; they are under a thousandth of any of these models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from rayspan.plan import model_config as kinds
from rayspan.plan.model_config import Config


@dataclass(frozen=True)
class Parameters:
    """How many numbers, by how a quantised checkpoint stores them."""

    matrices: int = 0
    """Of attention and of feed-forwards that every token passes: what quantisation is for."""
    experts: int = 0
    """Of experts that the router chooses among; some formats quantise only these."""
    plain: int = 0
    """Norms, biases, routers, convolutions: never quantised."""

    def __add__(self, other: Parameters) -> Parameters:
        return Parameters(
            self.matrices + other.matrices, self.experts + other.experts, self.plain + other.plain
        )

    @property
    def total(self) -> int:
        """All of them."""
        return self.matrices + self.experts + self.plain


@dataclass(frozen=True)
class Count:
    """Parameters of a whole model."""

    layers: tuple[Parameters, ...]
    embedding: int
    head: int
    """0: it is the embedding."""
    last_norm: int


def count(config: Config) -> Count:
    """Parameters of the text model; towers beside it are not in its sizes. Raises model_config.Incomplete."""
    hidden, vocabulary = config.need("hidden"), config.need("vocabulary")
    made: dict[tuple[str, str], Parameters] = {}
    layers = []
    for pair in config.kinds():
        if pair not in made:
            made[pair] = _MIXERS[pair[0]](config) + _FEED_FORWARDS[pair[1]](config) + _norms(config, *pair)
        layers.append(made[pair])
    positions = (config.number("positions") or 0) * hidden if config.model_type in ("opt", "gpt2") else 0
    return Count(
        tuple(layers), vocabulary * hidden + positions, 0 if config.tied else vocabulary * hidden, hidden
    )


def _norms(config: Config, mixer: str, feed_forward: str) -> Parameters:
    each = 2 if config.model_type in ("gemma2", "gemma3_text") else 1
    return Parameters(
        plain=each * config.need("hidden") * ((mixer != kinds.NONE) + (feed_forward != kinds.NONE))
    )


def _nothing(config: Config) -> Parameters:
    return Parameters()


def _attention(config: Config) -> Parameters:
    hidden, size = config.need("hidden"), config.head_size
    queries, keys = config.need("heads") * size, config.kv_heads * size
    gate = queries if config.model_type.startswith("qwen3_next") else 0
    biases = queries + 2 * keys if config.biased else 0
    norms = (
        2 * size if config.model_type.startswith(("qwen3", "gemma3")) or config.first("use_qk_norm") else 0
    )
    return Parameters(matrices=hidden * (2 * queries + gate + 2 * keys), plain=biases + norms)


def _latent(config: Config) -> Parameters:
    hidden, heads, rank = config.need("hidden"), config.need("heads"), config.need("kv_lora_rank")
    plain_part, turned = config.need("qk_nope_head_dim"), config.need("qk_rope_head_dim")
    value = config.need("v_head_dim")
    query_rank = config.number("q_lora_rank")
    if query_rank:
        query = hidden * query_rank + query_rank * heads * (plain_part + turned)
    else:
        query = hidden * heads * (plain_part + turned)
    key_value = hidden * (rank + turned) + rank * heads * (plain_part + value)
    return Parameters(matrices=query + key_value + heads * value * hidden, plain=rank + (query_rank or 0))


def _linear(config: Config) -> Parameters:
    hidden = config.need("hidden")
    keys = config.need("linear_num_key_heads") * config.need("linear_key_head_dim")
    heads = config.need("linear_num_value_heads")
    values = heads * config.need("linear_value_head_dim")
    convolution = (2 * keys + values) * config.need("linear_conv_kernel_dim")
    projections = hidden * (2 * keys + 2 * values) + hidden * 2 * heads + values * hidden
    return Parameters(
        matrices=projections, plain=convolution + 2 * heads + config.need("linear_value_head_dim")
    )


def _mamba(config: Config) -> Parameters:
    hidden, state = config.need("hidden"), config.first("mamba_d_state", "state_size") or 16
    inner = hidden * (config.first("mamba_expand", "expand") or 2)
    rank = config.first("mamba_dt_rank", "time_step_rank")
    rank = rank if isinstance(rank, int) else -(-hidden // 16)
    kernel = config.first("mamba_d_conv", "conv_kernel") or 4
    projections = hidden * 2 * inner + inner * (rank + 2 * state) + rank * inner + inner * hidden
    return Parameters(matrices=projections, plain=inner * (kernel + 1) + inner * (state + 2))


def _mamba2(config: Config) -> Parameters:
    hidden, state = (
        config.need("hidden"),
        config.first("ssm_state_size", "mamba_d_state", "state_size") or 128,
    )
    heads = config.first("mamba_num_heads", "mamba_n_heads", "num_heads")
    size = config.first("mamba_head_dim", "mamba_d_head", "head_dim") or 64
    inner = heads * size if heads else hidden * (config.first("mamba_expand", "expand") or 2)
    heads = heads or inner // size
    groups = config.first("n_groups", "mamba_n_groups") or 1
    mixed = inner + 2 * groups * state
    kernel = config.first("conv_kernel", "mamba_d_conv") or 4
    projections = hidden * (inner + mixed + heads) + inner * hidden
    return Parameters(matrices=projections, plain=mixed * (kernel + 1) + 3 * heads + inner)


def _dense(config: Config) -> Parameters:
    return Parameters(matrices=(3 if config.gated else 2) * config.need("hidden") * config.dense)


def _experts(config: Config) -> Parameters:
    hidden, experts, width = config.need("hidden"), config.need("experts"), config.need("expert")
    shared = config.number("shared_expert")
    if shared is None:
        shared = width * (config.number("shared_experts") or 0)
    if config.model_type.startswith("llama4"):
        shared = width
    biases = experts * (2 * width + hidden) + experts if config.model_type == "gpt_oss" else 0
    gate = hidden if config.number("shared_expert") and config.model_type.startswith("qwen") else 0
    return Parameters(
        matrices=3 * hidden * shared,
        experts=3 * hidden * width * experts,
        plain=hidden * experts + biases + gate,
    )


_MIXERS: Final[Mapping[str, Callable[[Config], Parameters]]] = {
    kinds.FULL: _attention,
    kinds.SLIDING: _attention,
    kinds.LATENT: _latent,
    kinds.LINEAR: _linear,
    kinds.MAMBA: _mamba,
    kinds.MAMBA2: _mamba2,
    kinds.NONE: _nothing,
}
_FEED_FORWARDS: Final[Mapping[str, Callable[[Config], Parameters]]] = {
    kinds.DENSE: _dense,
    kinds.EXPERTS: _experts,
    kinds.NONE: _nothing,
}
