"""What was rendered, as annotations: a restarted operator finds the running plan, and the way to reach it, where
they were rendered, also while a newer spec is refused.

The names of nodes are left out: they are found afresh with every plan, and may be thousands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.plan.types import Plan, StagePlan
from rayspan.render import names


def recorded(plan: Plan) -> str:
    """The annotation's value."""
    document = {
        "tensor": plan.tensor,
        "gpuResource": plan.gpu_resource,
        "replicas": plan.replicas,
        "stages": [
            {"layers": s.layers, "nodeSelector": dict(sorted(s.node_selector.items()))} for s in plan.stages
        ],
        "explanation": list(plan.explanation),
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def recorded_plan(annotations: Mapping[str, str]) -> Plan | None:
    """The plan that a RayService was rendered from; None if it does not say, or says nonsense."""
    try:
        document: dict[str, Any] = json.loads(annotations[names.PLAN])
        return Plan(
            tensor=int(document["tensor"]),
            stages=tuple(
                StagePlan(index, int(stage["layers"]), dict(stage["nodeSelector"]), ())
                for index, stage in enumerate(document["stages"])
            ),
            gpu_resource=str(document["gpuResource"]),
            explanation=tuple(map(str, document["explanation"])),
            replicas=int(document["replicas"]),
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
