"""Headers of safetensors files, and what their names tell."""

from __future__ import annotations

import json
from pathlib import Path

from rayspan_serving.model_weights import sizes, summary


def write(file: Path, tensors: dict[str, int]) -> None:
    """A safetensors file of which only the header is right: nothing else may be read."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, size in tensors.items():
        header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [begin, begin + size]}
        begin += size
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text)


def test_headers_of_all_files_of_a_folder_are_read(tmp_path: Path) -> None:
    write(tmp_path / "model-1.safetensors", {"a": 3, "b": 5})
    write(tmp_path / "model-2.safetensors", {"c": 7})
    assert sizes(f"file://{tmp_path}") == {"a": 3, "b": 5, "c": 7}


def test_a_folder_without_them_tells_nothing(tmp_path: Path) -> None:
    assert sizes(f"file://{tmp_path}") is None


def test_a_file_that_is_none_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"<html>")
    assert sizes(f"file://{tmp_path}") is None


def test_names_tell_what_a_tensor_belongs_to() -> None:
    found = summary(
        {
            "model.embed_tokens.weight": 100,
            "model.layers.0.self_attn.q_proj.weight": 10,
            "model.layers.0.mlp.experts.3.up_proj.weight": 20,
            "model.layers.0.mlp.shared_experts.up_proj.weight": 3,
            "model.layers.1.self_attn.q_proj.weight": 13,
            "model.layers.1.mlp.experts.3.up_proj.weight": 20,
            "model.layers.2.mlp.up_proj.weight": 40,
            "model.layers.3.eh_proj.weight": 1000,
            "model.visual.blocks.0.attn.weight": 7,
            "model.norm.weight": 2,
            "lm_head.weight": 100,
        },
        layers=3,
        tied=False,
    )
    assert found == {"layers": [[2, 33, 20], [1, 40, 0]], "embedding": 100, "head": 100, "rest": 9}


def test_a_tied_head_that_is_stored_is_not_loaded() -> None:
    found = summary({"wte.weight": 9, "lm_head.weight": 9, "h.0.mlp.weight": 1}, layers=1, tied=True)
    assert found == {"layers": [[1, 1, 0]], "embedding": 9, "head": 0, "rest": 0}
