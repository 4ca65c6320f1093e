import json
from pathlib import Path
from typing import Any

import pytest
from rayspan_serving import inspect
from rayspan_serving.model_config import ModelConfig, Unreadable, read_config

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}


def test_the_shape_of_a_dense_model() -> None:
    assert ModelConfig(LLAMA).facts() == {
        "architecture": "LlamaForCausalLM",
        "modelType": "llama",
        "layers": 80,
        "attentionHeads": 64,
        "kvHeads": 8,
        "headDim": 128,
        "hiddenSize": 8192,
        "intermediateSize": 28672,
        "vocabSize": 128256,
        "dtype": "bfloat16",
        "maxPositionEmbeddings": 131072,
        "tiedEmbeddings": False,
        "quantization": None,
        "supportsPipeline": None,
    }


SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a model with several towers is told by its text": (
        {"architectures": ["Mllama"], "model_type": "mllama", "text_config": {"num_hidden_layers": 40}},
        {"architecture": "Mllama", "modelType": "mllama", "layers": 40},
    ),
    "the names of GPT-2": (
        {"n_layer": 12, "n_head": 12, "n_embd": 768},
        {"layers": 12, "attentionHeads": 12, "kvHeads": 12, "hiddenSize": 768, "headDim": 64},
    ),
    "an explicit head size wins": ({**LLAMA, "head_dim": 96}, {"headDim": 96}),
    "quantized": ({**LLAMA, "quantization_config": {"quant_method": "fp8"}}, {"quantization": "fp8"}),
    "the new name of dtype": ({"dtype": "float32"}, {"dtype": "float32"}),
    "an empty config says nothing": ({}, {"architecture": None, "layers": None, "headDim": None}),
}


@pytest.mark.parametrize("case", SHAPES)
def test_shapes(case: str) -> None:
    config, expected = SHAPES[case]
    facts = ModelConfig(config).facts()
    assert {name: facts[name] for name in expected} == expected


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(
        Unreadable, match=r"There is no folder /nope in the pod: is the volume mounted there\?"
    ):
        read_config("file:///nope")


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"holds no config\.json: it is not a model's folder"):
        read_config(f"file://{tmp_path}")


def test_a_config_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(Unreadable, match="is not JSON"):
        read_config(f"file://{tmp_path}")


def test_a_scheme_that_nobody_reads() -> None:
    with pytest.raises(Unreadable, match="A model cannot be read from ftp://"):
        read_config("ftp://x/y")


def test_a_bad_request_is_an_answer() -> None:
    found = inspect.answer("no json")
    assert "BadRequest" in {problem["reason"] for problem in found["problems"]}


def test_an_image_without_ray_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "installed", lambda package: None)
    found = inspect.answer('{"source": "file:///nope"}')
    messages = [problem["message"] for problem in found["problems"]]
    assert "The serving image has no ray. Use one built for Rayspan." in messages


def test_the_nearest_argument_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "known_arguments", lambda: {"max_model_len", "dtype"})
    unknown, problems = inspect.checked_arguments({"max_modl_len": 1, "dtype": "auto", "zzz": 1})
    assert unknown == {"max_modl_len": "max_model_len", "zzz": None}
    assert problems == []


def test_the_answer_always_fits_the_termination_message() -> None:
    found = {
        "versions": {},
        "backend": "cpu",
        "model": None,
        "unknownEngineArgs": {f"argument_{n}": None for n in range(500)},
        "problems": [inspect.problem("X", "y" * 3000) for _ in range(5)],
    }
    text = inspect.encode(found)
    assert len(text.encode()) <= 4096
    json.loads(text)
