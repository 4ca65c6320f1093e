"""The Job that puts a bounded load on a deployment: ``rayspan_serving.bench`` in the deployment's own image.

It is not the operator's: ``rayspan bench`` makes it with its user's rights, and deletes it. The operator leaves it
alone, but for its owner reference.
"""

from __future__ import annotations

import json
from typing import Any, Final

from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.render import names
from rayspan.render.job import job, job_template
from rayspan.render.pods import secret_variable
from rayspan.render.settings import RenderSettings

CONTAINER: Final = "bench"
_START_SECONDS: Final = 900
"""To pull the image and import vLLM."""
_TTL_SECONDS: Final = 300


def bench_job(deployment: LLMDeployment, image: str, question: dict[str, Any]) -> dict[str, Any]:
    """The Job. ``question`` is what ``rayspan_serving.bench`` is asked, with ``levels`` and ``seconds`` of each."""
    name = deployment.metadata.name
    metadata = names.metadata(deployment, names.bench_job(name))
    # To block the owner's deletion is a right of its own, which whoever runs a benchmark need not have.
    metadata["ownerReferences"][0] |= {"controller": False, "blockOwnerDeletion": False}
    template = job_template(
        deployment, RenderSettings(serving_image=image), CONTAINER, _container(deployment, question)
    )
    return job(metadata, template, deadline_seconds(question), _TTL_SECONDS)


def deadline_seconds(question: dict[str, Any]) -> int:
    """The first request counts as a level, and what is in flight at a level's end has the level's time again."""
    return _START_SECONDS + (len(question["levels"]) + 1) * (2 * int(question["seconds"]) + 10)


def _container(deployment: LLMDeployment, question: dict[str, Any]) -> dict[str, Any]:
    asked = json.dumps(question, sort_keys=True, separators=(",", ":"))
    key = deployment.spec.serving.api_key_secret
    return {
        "command": ["python", "-m", "rayspan_serving.bench"],
        "env": [
            {"name": "RAYSPAN_BENCH", "value": asked},
            # Access to the tokenizer may depend on it: a mirror of the hub, the hub left out.
            *(
                {"name": name, "value": value}
                for name, value in sorted((deployment.spec.engine.env or {}).items())
            ),
            *([secret_variable("OPENAI_API_KEY", key.name, key.key)] if key else []),
        ],
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
