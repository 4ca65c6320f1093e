"""The health check for Argo CD, run by the engine that Argo CD uses, over every status that the operator writes.

What is expected of each situation of test_conditions.py stands in health.yaml. ``recorded/`` has LLMDeployments as an API
server kept them, with what a running operator had written.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.unit.gitops.seen import HERE, WELL, Object, after_serving, deployment, run
from tests.unit.report.test_conditions import SITUATIONS

SCRIPT = HERE.parents[2] / "charts" / "rayspan" / "files" / "argocd-health.lua"
EXPECTED: dict[str, str] = yaml.safe_load((HERE / "health.yaml").read_text())


def health(*objects: Object, script: Path = SCRIPT) -> list[str]:
    """Argo CD's status and message of each object, in one line."""
    found = run("argocd-health", script, given=objects)
    return [f"{one['status']} {one.get('message', '')}".strip() for one in found]


def test_every_situation_has_its_health() -> None:
    assert dict(zip(SITUATIONS, health(*map(deployment, SITUATIONS)), strict=True)) == EXPECTED


def test_every_health_is_given_in_some_situation() -> None:
    assert {line.split()[0] for line in EXPECTED.values()} == {
        "Healthy",
        "Progressing",
        "Degraded",
        "Suspended",
    }


def test_only_what_is_ready_is_healthy() -> None:
    for sentence, line in EXPECTED.items():
        conditions = {one["type"]: one["status"] for one in deployment(sentence)["status"]["conditions"]}
        assert (line.split()[0] == "Healthy") == (conditions["Ready"] == "True"), sentence


def test_what_served_and_does_not_any_more_is_degraded_but_only_when_that_is_known() -> None:
    lost, unknown = map(after_serving, ("a stage's only pod is gone", "Ray's dashboard does not answer"))
    assert [lost["status"]["phase"], unknown["status"]["phase"]] == ["Recovering", "Recovering"]
    assert health(lost, unknown) == [
        "Degraded Stage 1's pod tiny-stage-1-0 is gone.",
        "Progressing Ray's dashboard did not answer /x within 5 s.",
    ]


EARLY: dict[str, tuple[Object, str]] = {
    "the operator has not seen it": (
        {"metadata": {"generation": 1}},
        "Progressing The operator has not seen this version yet.",
    ),
    "the operator has seen an older version, which was Ready": (
        deployment(WELL, generation=4),
        "Progressing The operator has not seen this version yet.",
    ),
    "it is being deleted": (
        deployment(WELL, deletionTimestamp="2030-01-01T00:00:00Z"),
        "Progressing It is being deleted.",
    ),
}


@pytest.mark.parametrize(("thing", "expected"), EARLY.values(), ids=list(EARLY))
def test_what_a_status_cannot_say(thing: Object, expected: str) -> None:
    assert health(thing) == [expected]


RECORDED = {
    "inspecting": "Progressing A Job reads the model's facts and the image's versions. "
    "It waits: its pod is not there yet",
    "waiting-for-kuberay": "Progressing KubeRay has not acted on the newest RayService yet.",
    "starting": "Progressing KubeRay has not acted on the newest RayService yet.",
    "refused": "Degraded spec.parallelism.tensor is 3, but the model's 4 attention heads cannot be shared evenly by 3: "
    "write 1, 2 or 4.",
    "stopped": "Suspended spec.replicas is 0.",
}


def test_recorded_objects_have_their_health() -> None:
    files = sorted((HERE / "recorded").glob("*.yaml"))
    found = health(*(yaml.safe_load(file.read_text()) for file in files))
    assert dict(zip((file.stem for file in files), found, strict=True)) == RECORDED


def test_the_engine_has_no_more_than_argo_cd_gives_it(tmp_path: Path) -> None:
    """No string, math or io: a check that used them would pass here and fail there."""
    script = tmp_path / "libraries.lua"
    script.write_text('return {status = (string or math or io or os) and "Degraded" or "Healthy"}')
    assert health({}, script=script) == ["Healthy"]
    script.write_text('return {status = "Fine"}')
    assert health({}, script=script) == ["Unknown Lua returned an invalid health status"]
