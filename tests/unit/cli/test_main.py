"""The command line as it is called: what comes out where, with which exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rayspan.cli.main import main

ROOT = Path(__file__).resolve().parents[3]


def test_crd_prints_what_lies_in_crds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crd"]) == 0
    assert capsys.readouterr().out == (ROOT / "crds" / "llmdeployments.rayspan.dev.yaml").read_text()


@pytest.mark.parametrize("command", ["crd", "render"])
def test_offline_commands_load_neither_kopf_nor_a_client(command: str) -> None:
    arguments = ["render", "-f", "examples/tiny.yaml"] if command == "render" else ["crd"]
    program = (
        "import sys; from rayspan.cli.main import main; code = main(sys.argv[1:]);"
        "sys.exit(code or ' '.join({'kopf', 'kubernetes', 'aiohttp', 'rich'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_wrong_input_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "-f", "/nowhere"]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "rayspan: /nowhere cannot be read: No such file or directory\n")


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_render_offline_and_always_the_same(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["render", "-f", str(example)]
    if example.name == "llama-70b.yaml":
        arguments += ["--layers", "80"]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert main(arguments) == 0
    assert capsys.readouterr().out == first
    assert [each["kind"] for each in yaml.safe_load_all(first)] == ["RayService"]


def test_render_says_that_it_cannot_know_the_layers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "llm.yaml"
    file.write_text(
        "apiVersion: rayspan.dev/v1alpha1\nkind: LLMDeployment\nmetadata: {name: x}\n"
        "spec: {model: {id: a}, parallelism: {pipeline: 2}}\n"
    )
    assert main(["render", "-f", str(file)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(
        "rayspan: the model's number of layers is not known offline: give its config.json with --model-config"
    )


def test_render_plans_onto_the_nodes_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("gpu-a", "gpu-b", "gpu-c")
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {
                "allocatable": {"nvidia.com/gpu": "1"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
        for name in names
    ]
    (tmp_path / "nodes.yaml").write_text(yaml.safe_dump({"kind": "List", "items": nodes}))
    (tmp_path / "llm.yaml").write_text(
        "apiVersion: rayspan.dev/v1alpha1\nkind: LLMDeployment\nmetadata: {name: x}\nspec: {model: {id: a}}\n"
    )
    files = ["-f", str(tmp_path / "llm.yaml"), "--nodes", str(tmp_path / "nodes.yaml")]
    assert main(["render", *files, "--layers", "9"]) == 0
    (service,) = yaml.safe_load_all(capsys.readouterr().out)
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert [group["groupName"] for group in groups] == ["stage-0", "stage-1", "stage-2"]


def test_status_says_that_the_cluster_does_not_answer(tmp_path: Path) -> None:
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig))
    # In a process of its own: asyncio.run would close the loop that pytest-asyncio keeps in this one.
    command = [
        sys.executable,
        "-m",
        "rayspan.cli.main",
        "status",
        "tiny",
        "--kubeconfig",
        str(tmp_path / "config"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("rayspan: the cluster does not answer: ")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m rayspan.cli.main crd | head -n 1"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
