"""What families leave out of their config.json, from transformers itself; and parameters counted by its classes."""

from rayspan_serving.model_config import ModelConfig


def test_what_a_family_leaves_out_is_filled_in() -> None:
    """gemma-3's published config says neither its vocabulary nor that the head is the embedding."""
    content = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "text_config": {"model_type": "gemma3_text", "hidden_size": 5376, "num_hidden_layers": 62},
        "vision_config": {"model_type": "siglip_vision_model"},
    }
    config = ModelConfig(content).with_defaults()
    assert config.layers == 62
    assert config.text["vocab_size"] == 262208
    assert config.text["num_attention_heads"] > 0
    assert config.tied
