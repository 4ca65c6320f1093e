"""What was rendered, as annotations: a restarted operator finds the running plan, and the way to reach it, where
they were rendered, also while a newer spec is refused.

An operator of another version renders other objects from the same spec. That is no reason to restart what serves, so
it leaves alone what was rendered for the same spec and the same plan, until one of them changes.

The names of nodes are left out: they are found afresh with every plan, and may be thousands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.plan.types import Holding, Plan, StagePlan
from rayspan.render import names
from rayspan.render.revision import digest
from rayspan.render.settings import RenderSettings


def recorded(plan: Plan) -> str:
    """The annotation's value."""
    document = {
        "tensor": plan.tensor,
        "gpuResource": plan.gpu_resource,
        "replicas": plan.replicas,
        "stages": [_stage(stage) for stage in plan.stages],
        **({} if plan.cache_tokens is None else {"cacheTokens": plan.cache_tokens}),
        **({} if plan.sized_for is None else {"sizedFor": dict(sorted(plan.sized_for.items()))}),
        "explanation": list(plan.explanation),
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def asked(deployment: LLMDeployment) -> str:
    """Hash of what its owner wants of the RayService. Fields that are at their default count as left out, so that a
    version that adds some sees the same."""
    spec = deployment.spec
    # Neither renders anything in it: objectives nothing at all, clients a NetworkPolicy.
    serving = spec.serving.model_copy(update={"allow_from": None})
    spec = spec.model_copy(update={"objectives": None, "serving": serving})
    wanted = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return digest([wanted, deployment.metadata.annotations.get(names.RESTARTED_AT)])


def left_alone(live: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether the annotations are of one that another version of the operator rendered, for the same spec and plan."""
    if live.get(names.RENDERED_BY) in (None, wanted[names.RENDERED_BY]):
        return False
    return live.get(names.ASKED) == wanted[names.ASKED] and _cut(live) == _cut(wanted)


def settings_of(
    live: Mapping[str, str], deployment: LLMDeployment, settings: RenderSettings
) -> RenderSettings:
    """The settings, with the image that it was rendered with where another version did, for the same spec."""
    ours = {names.RENDERED_BY: settings.version, names.ASKED: asked(deployment)}
    image = live.get(names.IMAGE)
    other = left_alone(live, {**live, **ours})
    return replace(settings, serving_image=image) if image and other else settings


def _cut(annotations: Mapping[str, str]) -> object:
    """What of a plan makes other pods or another application; its explanation does not."""
    plan = recorded_plan(annotations)
    if plan is None:
        return None
    stages = [(stage.layers, dict(stage.node_selector), dict(stage.pool or {})) for stage in plan.stages]
    return plan.tensor, plan.gpu_resource, plan.replicas, stages


def _stage(stage: StagePlan) -> dict[str, Any]:
    """What is not known is left out, so that it reads as it did before it could be."""
    known: dict[str, Any] = {"pool": dict(sorted(stage.pool.items()))} if stage.pool else {}
    if stage.holding:
        known["holding"] = [stage.holding.weights, stage.holding.cache, stage.holding.headroom]
    return {"layers": stage.layers, "nodeSelector": dict(sorted(stage.node_selector.items())), **known}


def recorded_plan(annotations: Mapping[str, str]) -> Plan | None:
    """The plan that a RayService was rendered from; None if it does not say, or says nonsense."""
    try:
        document: dict[str, Any] = json.loads(annotations[names.PLAN])
        return Plan(
            tensor=int(document["tensor"]),
            stages=tuple(
                StagePlan(
                    index,
                    int(stage["layers"]),
                    dict(stage["nodeSelector"]),
                    (),
                    dict(stage.get("pool", {})),
                    Holding(*map(float, stage["holding"])) if "holding" in stage else None,
                )
                for index, stage in enumerate(document["stages"])
            ),
            gpu_resource=str(document["gpuResource"]),
            explanation=tuple(map(str, document["explanation"])),
            replicas=int(document["replicas"]),
            cache_tokens=document.get("cacheTokens"),
            sized_for=document.get("sizedFor"),
        )
    except (KeyError, TypeError, ValueError):
        return None


def endpoint(deployment: LLMDeployment) -> str:
    """The annotation that says what to ask for, and where."""
    document = {"model": deployment.spec.model.id, "port": deployment.spec.serving.port}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def recorded_endpoint(annotations: Mapping[str, str]) -> tuple[str | None, int | None]:
    """The model's name and the port that a RayService was rendered with; None where it does not say."""
    try:
        document: dict[str, Any] = json.loads(annotations[names.ENDPOINT])
        return str(document["model"]), int(document["port"])
    except (KeyError, TypeError, ValueError):
        return None, None
