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


def test_what_the_planner_needs_is_kept_where_it_stands() -> None:
    config = ModelConfig(
        {
            **LLAMA,
            "eos_token_id": 2,
            "layer_types": ["full_attention"] * 80,
            "quantization_config": {"quant_method": "fp8", "ignored_layers": ["a"] * 99},
            "vision_config": {"depth": 32},
        }
    )
    assert config.kept() == {**LLAMA, "quantization_config": {"quant_method": "fp8"}, "vision_config": {}}


def test_a_model_with_several_towers_is_told_by_its_text() -> None:
    config = ModelConfig(
        {"architectures": ["Mllama"], "text_config": {"num_hidden_layers": 40, "bos_token_id": 1}}
    )
    assert (config.architecture, config.layers) == ("Mllama", 40)
    assert config.kept() == {"architectures": ["Mllama"], "text_config": {"num_hidden_layers": 40}}


def test_a_config_that_tells_all_is_taken_as_it_stands() -> None:
    config = ModelConfig(LLAMA)
    assert config.with_defaults() is config


def test_a_family_that_transformers_does_not_know_is_taken_as_it_stands() -> None:
    config = ModelConfig({"model_type": "of its own code"})
    assert config.with_defaults() is config


def test_layers_that_differ_are_kept_kind_by_kind() -> None:
    kinds = ["sliding_attention", "full_attention"]
    assert ModelConfig({"layer_types": kinds}).kept() == {"layer_types": kinds}


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
