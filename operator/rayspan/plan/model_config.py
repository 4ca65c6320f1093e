"""A model's ``config.json`` as the planner reads it: its layers' kinds and sizes, without its weights.

transformers gives the same thing many names and lets families leave out what is their default; the tables here
hold those names and defaults, none of them per model. Whether the sums that follow from it (:mod:`.parameters`) are
right is tested against transformers' own classes and against published sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "n_embed", "d_model"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"),
    "head_size": ("head_dim", "attention_head_dim", "kv_channels"),
    "dense": ("intermediate_size_mlp", "intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner"),
    "vocabulary": ("vocab_size", "padded_vocab_size"),
    "positions": ("max_position_embeddings", "n_positions", "seq_length"),
    "experts": ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
    "expert": ("moe_intermediate_size", "intermediate_size", "ffn_hidden_size"),
    "shared_experts": ("n_shared_experts", "num_shared_experts"),
    "shared_expert": ("shared_expert_intermediate_size", "shared_intermediate_size"),
    "window": ("sliding_window", "attention_chunk_size"),
}
"""Our name for a number, and those that transformers' classes have for it, the telling one first."""

TEXT: Final = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where models with several towers describe the one that generates text."""

UNGATED: Final = frozenset(
    {
        "bloom",
        "falcon",
        "gpt2",
        "gpt_bigcode",
        "gpt_neox",
        "gptj",
        "mpt",
        "nemotron",
        "nemotron_h",
        "opt",
        "phi",
    }
    | {"starcoder2"}
)
"""Model types whose feed-forward is two matrices; all others have a gate as a third."""

TIED: Final = frozenset(
    {"bloom", "cohere", "cohere2", "gemma", "gemma2", "gemma3", "gemma3_text", "gpt2", "mpt", "opt", "falcon"}
)
"""Model types whose head is the embedding unless their config says otherwise."""

BIASED: Final = frozenset(
    {"qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen2_vl_text", "qwen2_5_vl_text"}
)
"""Model types with biases of query, key and value that their config does not mention."""

FULL, SLIDING, LATENT, LINEAR, MAMBA, MAMBA2, NONE = (
    "full",
    "sliding",
    "latent",
    "linear",
    "mamba",
    "mamba2",
    "none",
)
"""Kinds of a layer's mixer. ``linear`` is the gated delta rule; ``none``: the layer is a feed-forward alone."""
DENSE, EXPERTS = "dense", "experts"
"""Kinds of a layer's feed-forward, beside ``none``."""

_LAYER_TYPES: Final = {
    "full_attention": FULL,
    "attention": FULL,
    "sliding_attention": SLIDING,
    "chunked_attention": SLIDING,
    "linear_attention": LINEAR,
    "mamba": MAMBA2,
}
_PATTERN: Final = {"M": (MAMBA2, NONE), "*": (FULL, NONE), "-": (NONE, DENSE), "E": (NONE, EXPERTS)}


class Incomplete(ValueError):
    """The config lacks what a sum needs; the text names it."""


@dataclass(frozen=True)
class Config:
    """Numbers of the text model by any of their names; what its own part lacks is looked for in the whole."""

    whole: Mapping[str, Any]
    text: Mapping[str, Any] = field(default_factory=dict)

    def first(self, *names: str) -> Any:
        """The first of these that is there and not null."""
        return next(
            (part[name] for part in (self.text, self.whole) for name in names if part.get(name) is not None),
            None,
        )

    def number(self, name: str) -> int | None:
        """One of NAMES, or a key as it stands; None where it is not there."""
        found = self.first(*NAMES.get(name, (name,)))
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def need(self, name: str) -> int:
        """The same, where nothing can be said without it."""
        found = self.number(name)
        if found is None:
            raise Incomplete(f"config.json has no {NAMES.get(name, (name,))[0]}")
        return found

    @property
    def model_type(self) -> str:
        """transformers' name of the family."""
        return str(self.text.get("model_type") or self.whole.get("model_type") or "")

    @property
    def multimodal(self) -> bool:
        """Whether there are towers beside the text model."""
        return any(isinstance(self.whole.get(name), Mapping) for name in ("vision_config", "audio_config"))

    @property
    def tied(self) -> bool:
        """Whether the output head is the embedding."""
        for part in (self.whole, self.text):
            if isinstance(said := part.get("tie_word_embeddings"), bool):
                return said
        return self.model_type in TIED

    @property
    def gated(self) -> bool:
        """Whether the feed-forward has a gate."""
        return self.model_type not in UNGATED

    @property
    def kv_heads(self) -> int:
        """Heads of key and value."""
        if self.first("multi_query") and self.number("kv_heads") is None:
            return 1
        return self.number("kv_heads") or self.need("heads")

    @property
    def head_size(self) -> int:
        """Numbers in one head."""
        return self.number("head_size") or self.need("hidden") // self.need("heads")

    @property
    def dense(self) -> int:
        """Width of a dense feed-forward. The first Qwen gives that of gate and value together."""
        given = self.number("dense") or 4 * self.need("hidden")
        return given // 2 if self.model_type == "qwen" else given

    @property
    def dtype(self) -> str:
        """Of the weights that are not quantised; config.json may leave it out, most are bfloat16."""
        return str(self.first("dtype", "torch_dtype") or "bfloat16").removeprefix("torch.")

    @property
    def quantization(self) -> Mapping[str, Any]:
        """How the checkpoint is quantised, as transformers has it; empty: not."""
        found = self.first("quantization_config", "compression_config")
        return found if isinstance(found, Mapping) else {}

    @property
    def biased(self) -> bool:
        """Whether query, key and value have biases."""
        said = self.first("attention_bias", "qkv_bias", "add_qkv_bias", "use_qkv_bias")
        return bool(said) if said is not None else self.model_type in BIASED

    def kinds(self) -> tuple[tuple[str, str], ...]:
        """(mixer, feed-forward) of each layer."""
        layers = self.need("layers")
        pattern = self.first("hybrid_override_pattern")
        if isinstance(pattern, str):
            return tuple(_PATTERN[letter] for letter in pattern[:layers])
        return tuple((self._mixer(index), self._feed_forward(index)) for index in range(layers))

    def _mixer(self, index: int) -> str:
        types = self.first("layer_types", "layers_block_type")
        if isinstance(types, list) and index < len(types):
            return _LAYER_TYPES.get(str(types[index]), FULL)
        if self.number("kv_lora_rank"):
            return LATENT
        if period := self.number("attn_layer_period"):  # Jamba
            return FULL if index % period == (self.number("attn_layer_offset") or 0) else MAMBA
        if interval := self.number("full_attention_interval"):  # Qwen3-Next
            return FULL if (index + 1) % interval == 0 else LINEAR
        if self.number("heads") is None and self.number("state_size"):
            return MAMBA2 if self.number("num_heads") else MAMBA
        return SLIDING if self._windowed(index) else FULL

    def _windowed(self, index: int) -> bool:
        if not self.number("window") or self.first("use_sliding_window") is False:
            return False
        pattern = self.number("sliding_window_pattern") or {"gemma2": 2, "gemma3_text": 6, "gemma3": 6}.get(
            self.model_type
        )
        if pattern:
            return bool((index + 1) % pattern)
        if self.model_type.startswith("qwen"):
            return index >= (self.number("max_window_layers") or 0)
        return True

    def _feed_forward(self, index: int) -> str:
        if self.number("heads") is None:
            return NONE
        if (self.number("experts") or 0) <= 1:
            return DENSE
        listed = self.first("moe_layers")  # Llama 4
        if isinstance(listed, list):
            return EXPERTS if index in listed else DENSE
        if index < (self.number("first_k_dense_replace") or 0) or index in (
            self.first("mlp_only_layers") or ()
        ):
            return DENSE
        every = self.first("interleave_moe_layer_step", "moe_layer_freq", "decoder_sparse_step")
        if isinstance(every, list):
            return EXPERTS if every[index] else DENSE
        if period := self.number("expert_layer_period"):  # Jamba
            return EXPERTS if index % period == (self.number("expert_layer_offset") or 0) else DENSE
        if isinstance(every, int) and every > 1 and self.first("first_k_dense_replace") is None:
            return EXPERTS if (index + 1) % every == 0 else DENSE
        return EXPERTS


def read(content: Mapping[str, Any]) -> Config:
    """The config in a parsed ``config.json``."""
    text: Mapping[str, Any] = next(
        (content[name] for name in TEXT if isinstance(content.get(name), Mapping)), {}
    )
    return Config(content, text.get("text_config", text))
