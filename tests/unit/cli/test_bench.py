"""`rayspan bench` as it is called: the command line, the files, two results compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from rayspan.cli.bench.files import place, save
from rayspan.cli.bench.png import MISSING
from rayspan.cli.bench.record import read_benchmark
from rayspan.cli.errors import WrongInput
from rayspan.cli.main import main

from tests.unit.cli.measured import benchmark, level

FIRST = benchmark(level(1, 100), level(2, 150))
SECOND = benchmark(level(1, 120), level(2, 150), replicas=3)

WRONG_LINES: dict[str, tuple[list[str], str]] = {
    "levels that fall": (
        ["--levels", "4,2"],
        "'4,2' is not a list of at most 16 rising numbers from 1 to 1024",
    ),
    "levels that are words": (["--levels", "many"], "write for example 1,2,4,8,16"),
    "no request": (["--requests", "0"], "'0' is no whole number from 1 to 100000"),
}


@pytest.mark.parametrize(("line", "sentence"), WRONG_LINES.values(), ids=list(WRONG_LINES))
def test_a_wrong_option(line: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "llama", *line])
    assert ended.value.code == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("line", [[], ["llama", "--compare", "a", "b"]])
def test_a_name_or_two_results(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *line]) == 2
    assert capsys.readouterr().err == (
        "rayspan: give the NAME of an LLMDeployment, or --compare with two results\n"
    )


def test_where_the_result_cannot_go_is_said_before_the_load(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "llama", "--save", "/nowhere/a.json"]) == 2
    assert capsys.readouterr().err == (
        "rayspan: --save /nowhere/a.json: /nowhere is no folder that can be written to\n"
    )
    with pytest.raises(WrongInput, match=r"write a name that ends in \.json$"):
        place("result.txt")


def test_what_is_saved_is_read_back_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(FIRST, place(str(tmp_path / "a.json")))
    assert read_benchmark(str(tmp_path / "a.json")) == FIRST
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert capsys.readouterr().err.startswith(f"written: {tmp_path}/a.json, {tmp_path}/a.html, ")


def test_without_pillow_it_is_said_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    save(FIRST, tmp_path / "a.json")
    assert capsys.readouterr().err.endswith(f"{MISSING}\n")
    assert not (tmp_path / "a.png").exists()


def test_the_file_has_a_kind_and_a_version_and_camel_case() -> None:
    document = FIRST.document()
    assert (document["apiVersion"], document["kind"]) == ("rayspan.dev/v1alpha1", "Benchmark")
    assert document["levels"][0]["timeToFirstToken"]["p95Seconds"] == 0.2
    assert document["levels"][0]["endToEnd"]["histogram"][0] == {"upToSeconds": 2.0, "count": 60}


def test_two_results_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(FIRST, tmp_path / "a.json")
    save(SECOND, tmp_path / "b.json")
    files = ["bench", "--compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    capsys.readouterr()
    assert main(files) == 0
    told = capsys.readouterr().out
    assert "+20.0 %" in told and "replicas      2  3" in told
    assert main([*files, "-o", "json"]) == 0
    told = capsys.readouterr().out
    assert json.loads(told)["levels"][0] == {
        "concurrency": 1, "figure": "output tokens/s", "a": 100.0, "b": 120.0, "percent": 20.0,
    }  # fmt: skip
    assert json.loads(told)["unlikeEnvironments"] == [{"field": "replicas", "a": 2, "b": 3}]
    assert main([*files, "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == json.loads(told)


WRONG_FILES: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "is not JSON: "),
    "something else": (
        '{"kind": "Pod"}',
        "holds no Benchmark: give the JSON file that `rayspan bench` wrote",
    ),
    "another version": (
        '{"kind": "Benchmark", "apiVersion": "rayspan.dev/v2"}',
        ": apiVersion is 'rayspan.dev/v2': this rayspan reads rayspan.dev/v1alpha1",
    ),
    "half of it": (
        '{"kind": "Benchmark", "apiVersion": "rayspan.dev/v1alpha1"}',
        "is not as `rayspan bench` wrote it: metadata: Field required",
    ),
}


@pytest.mark.parametrize(("content", "sentence"), WRONG_FILES.values(), ids=list(WRONG_FILES))
def test_a_wrong_file(
    content: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text(content)
    assert main(["bench", "--compare", str(tmp_path / "a.json"), "/nowhere"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"rayspan: {tmp_path / 'a.json'}") and sentence in told
