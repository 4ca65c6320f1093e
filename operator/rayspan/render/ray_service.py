"""The RayService: KubeRay makes the Ray cluster, the Service and the Serve application from it."""

from __future__ import annotations

from typing import Any, Final

from rayspan.api.v1alpha1 import LLMDeployment, UpdateType
from rayspan.plan.types import Plan
from rayspan.render import names
from rayspan.render.head_group import head_group
from rayspan.render.network_policy import network_policies
from rayspan.render.record import asked, endpoint, recorded
from rayspan.render.revision import cluster_revision, digest, serve_revision
from rayspan.render.serve_config import serve_config, text
from rayspan.render.settings import RenderSettings
from rayspan.render.worker_group import worker_group

_UPGRADE: Final = {UpdateType.RECREATE: "None", UpdateType.NEW_CLUSTER: "NewCluster"}


def objects(deployment: LLMDeployment, plan: Plan, settings: RenderSettings) -> tuple[dict[str, Any], ...]:
    """All that is applied for a plan, the RayService last; nothing for ``spec.replicas: 0``.

    The NetworkPolicies come first: no pod is to be there before them. The Secret of the tokens and the inspection
    Job have builders of their own.
    """
    if not deployment.spec.replicas:
        return ()
    return (*network_policies(deployment, settings), ray_service(deployment, plan, settings))


def ray_service(deployment: LLMDeployment, plan: Plan, settings: RenderSettings) -> dict[str, Any]:
    """The RayService.

    The revision of the cluster's part is written on the pods too: KubeRay's own hash leaves out tolerations,
    so that a changed one would reach no pod.
    """
    config = serve_config(deployment, plan, settings)
    cluster = _ray_cluster(deployment, plan, settings)
    revision, serve = cluster_revision(cluster, config), serve_revision(config["applications"][0]["args"])
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        group["template"]["metadata"].setdefault("annotations", {})[names.CLUSTER_REVISION] = revision
    annotations = {
        names.ASKED: asked(deployment),
        names.CLUSTER_REVISION: revision,
        names.ENDPOINT: endpoint(deployment),
        names.IMAGE: deployment.spec.serving.image or settings.serving_image,
        names.PLAN: recorded(plan),
        names.RENDERED_BY: settings.version,
        names.REVISION: digest([revision, serve, deployment.spec.serving.max_ongoing_requests]),
        names.SERVE_REVISION: serve,
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": names.metadata(deployment, names.ray_service(deployment.metadata.name), annotations),
        "spec": {
            "upgradeStrategy": {"type": _UPGRADE[deployment.spec.update_strategy.type]},
            "rayClusterDeletionDelaySeconds": settings.old_cluster_seconds,
            "excludeHeadPodFromServeSvc": True,
            "serveConfigV2": text(config),
            "rayClusterConfig": cluster,
        },
    }


def _ray_cluster(deployment: LLMDeployment, plan: Plan, settings: RenderSettings) -> dict[str, Any]:
    return {
        "rayVersion": settings.ray_version,
        "authOptions": {"mode": "token", "secretName": names.token_secret(deployment.metadata.name)},
        "headGroupSpec": head_group(deployment, settings),
        "workerGroupSpecs": [worker_group(deployment, plan, stage, settings) for stage in plan.stages],
    }
