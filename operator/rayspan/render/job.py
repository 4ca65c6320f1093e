"""The Jobs that run the serving image beside a deployment: its pod once, without a GPU and without Ray."""

from __future__ import annotations

from typing import Any, Final

from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.render.merge import merged
from rayspan.render.pods import model_access, pod_template, with_owners_template
from rayspan.render.settings import RenderSettings

_NOT_TAKEN: Final = ("command", "args", "resources", "lifecycle", "ports", "readinessProbe", "livenessProbe")


def job_template(
    deployment: LLMDeployment, settings: RenderSettings, name: str, container: dict[str, Any]
) -> dict[str, Any]:
    """A pod with one container of this name, with access to the model, where spec.serving.podTemplate says."""
    more_container, pod = model_access(deployment)
    template = pod_template(
        deployment, settings, merged(container, more_container), {"restartPolicy": "Never", **pod}
    )
    result = with_owners_template(deployment, template, without=_NOT_TAKEN)
    result["spec"]["restartPolicy"] = "Never"
    containers = result["spec"]["containers"]
    result["spec"]["containers"] = [{**containers[0], "name": name}]
    return result


def job(
    metadata: dict[str, Any], template: dict[str, Any], deadline_seconds: int, ttl_seconds: int
) -> dict[str, Any]:
    """A Job that is tried once, ends in time and goes by itself some time later."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline_seconds,
            "ttlSecondsAfterFinished": ttl_seconds,
            "template": template,
        },
    }
