"""LLMDeployments as the tools see them: one for each situation of test_conditions.py, with the operator's own status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rayspan.report.status import status

from tests.unit.report.conftest import World
from tests.unit.report.test_conditions import SITUATIONS

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("RAYSPAN_CACHE") or Path.home() / ".cache" / "rayspan")
WELL = "all is well"

Object = dict[str, Any]


def run(name: str, *arguments: Path, given: Any) -> Any:
    """What a program of dev/programs makes of JSON."""
    program = shutil.which(name) or str(CACHE / "bin" / name)
    if not Path(program).exists():
        pytest.fail(f"{program} is not there: run `make programs`")
    done = subprocess.run(
        [program, *arguments], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def deployment(sentence: str, **metadata: Any) -> Object:
    """The LLMDeployment of a situation, with the status that the operator writes for it."""
    given = SITUATIONS[sentence](World())
    wanted = given.deployment
    return {
        "apiVersion": "rayspan.dev/v1alpha1",
        "kind": "LLMDeployment",
        "metadata": {"name": wanted.metadata.name, "generation": wanted.metadata.generation, **metadata},
        "spec": {"replicas": wanted.spec.replicas},
        "status": status(given).model_dump(by_alias=True, exclude_none=True, mode="json"),
    }


def after_serving(sentence: str) -> Object:
    """The same for a deployment of the same generation that was Ready before."""
    given = SITUATIONS[sentence](World())
    generation = given.deployment.metadata.generation
    before = given.deployment.status.model_copy(update={"phase": "Ready", "observed_generation": generation})
    given = replace(given, deployment=given.deployment.model_copy(update={"status": before}))
    document = status(given).model_dump(by_alias=True, exclude_none=True, mode="json")
    return {"metadata": {"generation": generation}, "status": document}
