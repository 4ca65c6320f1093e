"""Whether an LLMDeployment came to its end: the status speaks of the newest spec, and so does the RayService."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.render import RenderSettings, names, ray_service, recorded_plan

from tests.api.direct import LLM, RAY_SERVICE, Direct

Object = dict[str, Any]

_SETTINGS = RenderSettings()
LOOK_SECONDS = 1.0


async def settle(
    api: Direct, namespace: str, wanted: Iterable[str], seconds: float
) -> tuple[dict[str, str], dict[str, str]]:
    """Wait until all of these are at their end: how each ended, and what is wrong with those that are not there."""
    names_wanted, deadline = set(wanted), time.monotonic() + seconds
    while True:
        found = {one["metadata"]["name"]: one for one in await api.find(LLM, namespace)}
        services = {one["metadata"]["name"]: one for one in await api.find(RAY_SERVICE, namespace)}
        stuck = {
            name: wrong for name in names_wanted if (wrong := unsettled(found.get(name), services.get(name)))
        }
        if not stuck or time.monotonic() > deadline:
            return {name: outcome(found[name]) for name in names_wanted - stuck.keys()}, stuck
        await asyncio.sleep(LOOK_SECONDS)


def unsettled(thing: Object | None, service: Object | None) -> str | None:
    """What is not yet as it has to end; None: it all is."""
    if thing is None:
        return "it is gone"
    generation, status = thing["metadata"]["generation"], thing.get("status") or {}
    if status.get("observedGeneration") != generation:
        return f"status of generation {status.get('observedGeneration')}, while it is {generation}"
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    if old := [kind for kind, one in conditions.items() if one["observedGeneration"] != generation]:
        return f"old conditions: {old}"
    plan, provisioned = conditions["PlanAccepted"], conditions["Provisioned"]
    if plan["status"] == "Unknown":
        return f"no plan: {plan['message']}"
    if thing["spec"]["replicas"] == 0:
        return "a RayService without replicas" if service else None
    if "does not belong to this LLMDeployment" in provisioned["message"]:
        return "the RayService of the one that was deleted is still there"
    if plan["status"] == "False" or provisioned["reason"] == "ApplyFailed":
        return None
    if service is None:
        return "no RayService"
    deployment = LLMDeployment.model_validate(thing)
    annotations = service["metadata"].get("annotations") or {}  # they may just have been removed by hand
    planned = recorded_plan(annotations)
    if planned is None:
        return "the RayService says no plan"
    rendered = ray_service(deployment, planned, _SETTINGS)["metadata"]["annotations"][names.REVISION]
    applied = annotations[names.REVISION]
    return None if applied == rendered else f"RayService of revision {applied}, while it should be {rendered}"


def outcome(thing: Object) -> str:
    """How it ended, in a word or two: for a table."""
    conditions = {one["type"]: one for one in thing["status"]["conditions"]}
    plan, provisioned = conditions["PlanAccepted"], conditions["Provisioned"]
    if plan["status"] == "False":
        late = "was refused: " in plan["message"]
        return "refused: the API server would not have the Job" if late else f"refused: {plan['reason']}"
    if thing["spec"]["replicas"] == 0:
        return "stopped"
    if provisioned["reason"] == "ApplyFailed":
        return "refused: the API server would not have the RayService"
    return "a RayService made"


def words(thing: Object) -> str:
    """The words of a refusal by the API server that came late, to the operator; empty: there was none."""
    conditions = {one["type"]: one for one in thing["status"]["conditions"]}
    late = outcome(thing).startswith("refused: the API server")
    return (
        max((conditions["PlanAccepted"]["message"], conditions["Provisioned"]["message"]), key=len)
        if late
        else ""
    )
