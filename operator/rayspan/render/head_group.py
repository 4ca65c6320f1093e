"""The Ray head: coordination only. It declares no CPU, so that Serve puts no replica on it."""

from __future__ import annotations

from typing import Any, Final

from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.render import names
from rayspan.render.merge import merged
from rayspan.render.pods import (
    drain_hook,
    give_drain_time,
    head_readiness,
    pod_template,
    ray_probes,
    shared_memory,
    with_owners_template,
)
from rayspan.render.settings import RenderSettings

_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_WITHOUT_GPUS: Final = {
    "weight": 100,
    "preference": {
        "matchExpressions": [
            {"key": label, "operator": "DoesNotExist"}
            for label in ("nvidia.com/gpu.present", "amd.com/gpu.product-name")
        ]
    },
}
"""Labels of NVIDIA's GPU feature discovery and of AMD's node labeller. A head beside a stage would be lost
together with it."""

_AFTER_WAIT_SECONDS: Final = 8
"""What is left of the head's time to end once it has waited for the stage pods: Ray itself drains the node on
SIGTERM, for 5 s (pods.environment)."""


def head_group(deployment: LLMDeployment, settings: RenderSettings) -> dict[str, Any]:
    """``headGroupSpec``.

    The health-check variables make the head give a node up after about 10 s of silence instead of 30.
    """
    container, pod = shared_memory()
    container = merged(
        container,
        {
            "env": [
                # Its proxy answers its health and nothing else (rayspan_serving.proxy).
                {
                    "name": "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH",
                    "value": "rayspan_serving.proxy:of_the_head",
                },
                {"name": "RAY_health_check_period_ms", "value": "2000"},
                {"name": "RAY_health_check_timeout_ms", "value": "5000"},
                {"name": "RAY_health_check_failure_threshold", "value": "4"},
            ],
            "ports": [
                {"name": "gcs-server", "containerPort": 6379},
                {"name": "dashboard", "containerPort": names.DASHBOARD_PORT},
                {"name": "client", "containerPort": 10001},
                {"name": "serve", "containerPort": deployment.spec.serving.port},
                {"name": "metrics", "containerPort": names.METRICS_PORT},
            ],
            "resources": {"requests": {"cpu": settings.head_cpu, "memory": settings.head_memory}},
            **drain_hook("--head"),
            **ray_probes(),
            **head_readiness(),
        },
    )
    pod["terminationGracePeriodSeconds"] = settings.termination_grace_seconds
    pod["affinity"] = {"nodeAffinity": {_PREFERRED: [_WITHOUT_GPUS]}}
    template = pod_template(deployment, settings, container, pod)
    template = with_owners_template(deployment, template, without=("resources",))
    # It goes last: more time to end than the stage pods have.
    template["spec"]["terminationGracePeriodSeconds"] += settings.head_more_grace_seconds
    give_drain_time(template["spec"], _AFTER_WAIT_SECONDS)
    return {
        "rayStartParams": {
            "num-cpus": "0",
            "dashboard-host": "0.0.0.0",
            "object-store-memory": str(settings.object_store_bytes),
        },
        "template": template,
    }
