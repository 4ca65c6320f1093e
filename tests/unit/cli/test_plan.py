"""`rayspan plan`, offline: what it prints, and what it exits with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rayspan.cli.main import main

from tests.unit.plan.known import MODELS

MANIFEST = """
apiVersion: rayspan.dev/v1alpha1
kind: LLMDeployment
metadata: {name: llama}
spec:
  model: {id: meta-llama/Llama-3.1-70B-Instruct}
  engine: {args: {max_model_len: 8192}}
"""


def node(name: str, gib: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "nvidia.com/gpu.product": f"NVIDIA-H100-{gib}GB-HBM3",
                "nvidia.com/gpu.memory": str(gib * 1024),
            },
        },
        "status": {
            "allocatable": {"nvidia.com/gpu": "1"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


@pytest.fixture
def offline(tmp_path: Path) -> list[str]:
    """Arguments for the 70B Llama on nodes of a file."""
    (tmp_path / "llm.yaml").write_text(MANIFEST)
    config = MODELS["meta-llama/Llama-3.1-70B-Instruct"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    files = ["-f", str(tmp_path / "llm.yaml"), "--nodes", str(tmp_path / "nodes.yaml")]
    return ["plan", *files, "--model-config", str(tmp_path / "config.json")]


def test_what_fits_is_shown_and_exits_with_0(
    tmp_path: Path, offline: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nodes.yaml").write_text(yaml.safe_dump_all([node("a", 80), node("b", 80)]))
    assert main(offline) == 0
    told = capsys.readouterr().out
    assert "llama  TP1xPP2  2 GPUs per replica, 2 for 1 replica" in told
    assert "- 80 layers cut into 40 and 40" in told


def test_for_programs_it_is_the_status(
    tmp_path: Path, offline: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nodes.yaml").write_text(yaml.safe_dump_all([node("a", 80), node("b", 80)]))
    assert main([*offline, "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["fits"], told["plan"]["layers"]) == ("llama", True, [40, 40])
    assert told["plan"]["stages"][0]["weightsGiB"] == 65.7 and told["plan"]["stages"][0]["nodes"] == [
        "a",
        "b",
    ]
    assert main([*offline, "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == told


def test_what_does_not_fit_is_told_and_exits_with_2(
    tmp_path: Path, offline: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nodes.yaml").write_text(yaml.safe_dump_all([node("a", 40), node("b", 40)]))
    assert main(offline) == 2
    assert "do not fit on 2 nodes with 1 GPU of 40 GiB" in " ".join(capsys.readouterr().out.split())
    assert main([*offline, "-o", "json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["fits"] is False and told["message"].endswith("or engine.args.quantization: fp8.")


WRONG = {
    "[]": "holds no JSON object: give the model's config.json",
    "{": "is not JSON",
    "{}": "is no model's config: config.json has no num_hidden_layers",
}


@pytest.mark.parametrize("content", WRONG)
def test_a_config_that_is_none(
    content: str, tmp_path: Path, offline: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nodes.yaml").write_text(yaml.safe_dump(node("a", 80)))
    (tmp_path / "config.json").write_text(content)
    assert main(offline) == 2
    assert WRONG[content] in capsys.readouterr().err
