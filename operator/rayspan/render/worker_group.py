"""One worker group per stage: its label, its nodes, one pod per replica with all of the stage's GPUs.

A pod holds exactly the GPUs of one stage. A placement group that packs its bundles therefore fills whole
pods, and the tensor ranks of a stage stay together as long as no pod is half taken; that they do is read
back from Ray.
"""

from __future__ import annotations

from typing import Any, Final

from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.plan.nodes import GPU_TOLERATIONS, shares_host
from rayspan.plan.types import Plan, StagePlan
from rayspan.render import names
from rayspan.render.merge import merged
from rayspan.render.pods import (
    api_keys,
    drain_hook,
    give_drain_time,
    model_access,
    pod_template,
    ray_probes,
    secret_variable,
    serving_readiness,
    shared_memory,
    with_owners_template,
)
from rayspan.render.settings import RenderSettings

_AFTER_DRAIN_SECONDS: Final = 5
"""What is left of a pod's time to end once it has drained."""


def worker_group(
    deployment: LLMDeployment, plan: Plan, stage: StagePlan, settings: RenderSettings
) -> dict[str, Any]:
    """One of ``workerGroupSpecs``."""
    replicas = deployment.spec.replicas
    return {
        "groupName": names.worker_group(stage.index),
        "replicas": replicas,
        "minReplicas": replicas,
        "maxReplicas": replicas,
        "labels": {names.STAGE_LABEL: str(stage.index)},
        "rayStartParams": {"object-store-memory": str(settings.object_store_bytes)},
        "template": _template(deployment, plan, stage, settings),
    }


def _template(
    deployment: LLMDeployment, plan: Plan, stage: StagePlan, settings: RenderSettings
) -> dict[str, Any]:
    container, pod = _parts(deployment, plan, stage, settings)
    template = pod_template(deployment, settings, container, pod)
    template["metadata"]["labels"][names.STAGE_LABEL] = str(stage.index)
    result = with_owners_template(deployment, template)
    gpus = {plan.gpu_resource: str(plan.tensor)}
    for item in result["spec"]["containers"]:
        if item["name"] == names.RAY_CONTAINER:
            item["resources"] = merged(item["resources"], {"requests": gpus, "limits": gpus})
    give_drain_time(result["spec"], _AFTER_DRAIN_SECONDS)
    if stage.selector:
        result["spec"]["nodeSelector"] = dict(stage.selector)
    return result


def _parts(
    deployment: LLMDeployment, plan: Plan, stage: StagePlan, settings: RenderSettings
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a stage's container and pod have beyond the common part."""
    name, serving = deployment.metadata.name, deployment.spec.serving
    token = names.token_secret(name)
    variables = [
        # The clock of the latencies runs in Serve's HTTP proxies (rayspan_serving.proxy).
        {"name": "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", "value": "rayspan_serving.proxy:middlewares"},
        {"name": "RAYSPAN_APPLICATION", "value": names.application(name)},
        {"name": "RAYSPAN_MODEL", "value": deployment.spec.model.id},
        secret_variable("RAYSPAN_PROBE_TOKEN", token, names.PROBE_TOKEN_KEY),
    ]
    container: dict[str, Any] = {
        "env": variables,
        "ports": [
            {"name": "serve", "containerPort": serving.port},
            {"name": "metrics", "containerPort": names.METRICS_PORT},
        ],
        "resources": {"requests": {"cpu": settings.worker_cpu, "memory": settings.worker_memory}},
        **drain_hook(),
        **ray_probes(),
        **serving_readiness(),
    }
    pod: dict[str, Any] = {
        "affinity": {"podAntiAffinity": _apart(name, plan, stage)},
        "tolerations": [dict(toleration) for toleration in GPU_TOLERATIONS],
        "terminationGracePeriodSeconds": settings.termination_grace_seconds,
    }
    for more_container, more_pod in (shared_memory(), model_access(deployment), api_keys(deployment)):
        container, pod = merged(container, more_container), merged(pod, more_pod)
    return container, pod


def _apart(name: str, plan: Plan, stage: StagePlan) -> dict[str, Any]:
    """Keep off nodes that hold another stage of the same cluster, except those asked to share this host.

    ``matchLabelKeys`` leaves the pods of an old cluster out: a second one comes up beside it, perhaps with
    the stages swapped. Kubernetes takes it from 1.31 on and drops it before.
    """
    friends = [
        str(other.index)
        for other in plan.stages
        if other.index == stage.index or shares_host(stage.node_selector, other.node_selector)
    ]
    return {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {
                "topologyKey": "kubernetes.io/hostname",
                "matchLabelKeys": ["ray.io/cluster"],
                "labelSelector": {
                    "matchLabels": {names.DEPLOYMENT_LABEL: name},
                    "matchExpressions": [
                        {"key": names.STAGE_LABEL, "operator": "Exists"},
                        {"key": names.STAGE_LABEL, "operator": "NotIn", "values": friends},
                    ],
                },
            }
        ]
    }
