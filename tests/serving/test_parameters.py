"""The operator's sums of parameters against the models that transformers makes of the same config, without memory."""

import pytest
import torch
from rayspan.plan.model_config import read
from rayspan.plan.parameters import count
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

SMALL = {
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 256}
LATENT = {
    **EXPERTS,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    "num_key_value_heads": 8,
    "kv_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 32,
}
FAMILIES = {
    "llama": {},
    "mistral": {"head_dim": 96},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 128},
    "phi3": {},
    "gemma2": {"head_dim": 64},
    "gemma3_text": {"head_dim": 64},
    "olmo2": {},
    "granite": {},
    "opt": {"ffn_dim": 1024, "word_embed_proj_dim": 512, "num_key_value_heads": 8},
    "gpt_neox": {"num_key_value_heads": 8},
    "mixtral": {"num_local_experts": 8},
    "qwen3_moe": {**EXPERTS, "num_experts": 8},
    "qwen2_moe": {**EXPERTS, "num_experts": 8, "shared_expert_intermediate_size": 512},
    "olmoe": {"num_experts": 8},
    "gpt_oss": {"num_local_experts": 8, "head_dim": 64},
    "deepseek_v2": {**LATENT, "q_lora_rank": None},
    "deepseek_v3": {**LATENT, "q_lora_rank": 128},
    "qwen3_next": {**EXPERTS, "num_experts": 8, "shared_expert_intermediate_size": 256, "head_dim": 64},
    "jamba": {"num_experts": 4, "attn_layer_period": 4, "attn_layer_offset": 2, "mamba_d_state": 16},
}
CLOSE = 0.005


@pytest.mark.parametrize("family", FAMILIES)
def test_the_sums_are_those_of_transformers(family: str) -> None:
    config = CONFIG_MAPPING[family](**{**SMALL, **FAMILIES[family]})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    made = sum(parameter.numel() for parameter in model.parameters())  # a tied head is one with the embedding
    counted = count(read(config.to_dict()))
    told = sum(layer.total for layer in counted.layers) + counted.embedding + counted.head + counted.last_norm
    print(f"{family}: {told} of {made}")
    assert abs(told / made - 1) < CLOSE
