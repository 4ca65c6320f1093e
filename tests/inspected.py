"""What the inspection Job reports of a small model."""

from __future__ import annotations

from typing import Any

ANSWER: dict[str, Any] = {
    "versions": {"python": "3.11.2", "ray": "2.60.0", "vllm": "0.29.0"},
    "backend": "cpu",
    "model": {
        "config": {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "num_hidden_layers": 8,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "vocab_size": 1000,
            "tie_word_embeddings": False,
            "dtype": "float32",
        },
        "weights": {"layers": [[8, 1000, 0]], "embedding": 300, "head": 300, "rest": 4},
        "supportsPipeline": True,
    },
}
