"""Objects of another version of the operator stay as they are until the spec or the plan asks for others."""

from dataclasses import replace
from typing import Any

import pytest
from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.plan.types import Plan, StagePlan
from rayspan.render import Insiders, RenderSettings, left_alone, names, objects, settings_of

PLAN = Plan(
    1, (StagePlan(0, 4, {}, ()), StagePlan(1, 4, {}, ())), "nvidia.com/gpu", explanation=("It fits.",)
)
OLD = RenderSettings(version="0.1.0", serving_image="serving:0.1.0")
NEW = RenderSettings(version="0.2.0", serving_image="serving:0.2.0", termination_grace_seconds=50)


def deployment(annotations: dict[str, str] | None = None, **spec: Any) -> LLMDeployment:
    metadata = {"name": "tiny", "uid": "u", "annotations": annotations or {}}
    return LLMDeployment.model_validate({"metadata": metadata, "spec": {"model": {"id": "tiny"}, **spec}})


def annotations(
    settings: RenderSettings, made: LLMDeployment | None = None, plan: Plan = PLAN
) -> dict[str, str]:
    *_, service = objects(made or deployment(), plan, settings)
    found: dict[str, str] = service["metadata"]["annotations"]
    return found


def test_the_same_wish_is_left_alone_by_another_version_and_not_by_the_same() -> None:
    live = annotations(OLD)
    assert left_alone(live, annotations(NEW))
    assert not left_alone(live, annotations(replace(OLD, serving_image="other:1")))
    assert not left_alone({}, annotations(NEW))


@pytest.mark.parametrize(
    "wanted",
    [
        annotations(NEW, deployment(replicas=2)),
        annotations(NEW, deployment({names.RESTARTED_AT: "2026-11-22"})),
        annotations(NEW, plan=replace(PLAN, stages=(StagePlan(0, 5, {}, ()), StagePlan(1, 3, {}, ())))),
    ],
    ids=["spec", "restart", "plan"],
)
def test_what_is_asked_for_anew_is_rendered_anew(wanted: dict[str, str]) -> None:
    assert not left_alone(annotations(OLD), wanted)


def test_words_in_the_plan_and_fields_at_their_default_ask_for_nothing() -> None:
    assert left_alone(annotations(OLD), annotations(NEW, plan=replace(PLAN, explanation=("It fits well.",))))
    assert left_alone(annotations(OLD), annotations(NEW, deployment(replicas=1)))


def test_what_renders_nothing_in_a_ray_service_asks_for_nothing() -> None:
    peer: dict[str, Any] = {"podSelector": {}}
    policies = replace(NEW, insiders=Insiders((peer,), (peer,)))
    specs: tuple[dict[str, Any], ...] = (
        {"objectives": {"endToEnd": {"p99": "20s"}}},
        {"serving": {"allowFrom": []}},
        {"serving": {"allowFrom": [peer]}, "objectives": {}},
    )
    for spec in specs:
        assert left_alone(annotations(OLD), annotations(policies, deployment(**spec)))
        assert annotations(NEW) == annotations(policies, deployment(**spec))
    assert not left_alone(
        annotations(OLD), annotations(NEW, deployment(serving={"allowFrom": [], "port": 9000}))
    )


def test_its_image_is_kept_with_it() -> None:
    assert settings_of(annotations(OLD), deployment(), NEW).serving_image == "serving:0.1.0"
    assert settings_of(annotations(OLD), deployment(replicas=2), NEW) == NEW
    assert settings_of(annotations(OLD), deployment(), OLD) == OLD
    assert settings_of({}, deployment(), NEW) == NEW
