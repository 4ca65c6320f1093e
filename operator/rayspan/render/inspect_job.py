"""The Job that looks at the model and the image before anything is changed.

It runs ``rayspan_serving.inspect`` in the serving image, where the pods will read the model and with the
same access to it, but without a GPU. Its answer is the termination message of its container, for that can
be read from the pod's status, without logs.
"""

from __future__ import annotations

import json
from typing import Any, Final

from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.render import names
from rayspan.render.job import job, job_template
from rayspan.render.model_source import location
from rayspan.render.pods import secret_variable
from rayspan.render.revision import digest
from rayspan.render.settings import RenderSettings

CONTAINER: Final = "inspect"


def inspect_key(deployment: LLMDeployment, settings: RenderSettings) -> str:
    """Ten hex digits over all that the answer depends on: what is asked, of which image, with what access."""
    return digest(_template(deployment, settings)["spec"], 10)


def inspect_job(deployment: LLMDeployment, settings: RenderSettings) -> dict[str, Any]:
    """The Job."""
    name = names.inspect_job(deployment.metadata.name, inspect_key(deployment, settings))
    return job(
        names.metadata(deployment, name),
        _template(deployment, settings),
        settings.inspect_deadline_seconds,
        settings.inspect_ttl_seconds,
    )


def question(deployment: LLMDeployment) -> dict[str, Any]:
    """What ``rayspan_serving.inspect`` is asked, in the variable RAYSPAN_INSPECT.

    ``source`` is as seen from inside the pod: ``hf://``, ``s3://``, ``gs://``, or ``file://`` for paths and
    claims.
    """
    model = deployment.spec.model
    return {
        "source": location(model).uri,
        "revision": model.revision or "",
        "engineArgs": deployment.spec.engine.args or {},
    }


def _template(deployment: LLMDeployment, settings: RenderSettings) -> dict[str, Any]:
    engine = deployment.spec.engine
    asked = json.dumps(question(deployment), sort_keys=True, separators=(",", ":"))
    container: dict[str, Any] = {
        "command": ["python", "-m", "rayspan_serving.inspect"],
        "env": [
            {"name": "RAYSPAN_INSPECT", "value": asked},
            # Access to the model may depend on it: a mirror of the hub, an endpoint of a bucket.
            *({"name": name, "value": value} for name, value in sorted((engine.env or {}).items())),
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}},
        # What an image without rayspan_serving has to say stands in its log only.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    key = deployment.spec.serving.api_key_secret
    if key is not None:
        # It is not used here; but a Secret that is missing is found before anything is changed.
        container["env"].append(secret_variable("RAYSPAN_API_KEY", key.name, key.key))
    return job_template(deployment, settings, CONTAINER, container)
