"""Every name that is derived from an LLMDeployment's, every label and annotation key."""

from __future__ import annotations

from typing import Any, Final

from rayspan.api.v1alpha1 import API_VERSION, GROUP, KIND, LLMDeployment

DEPLOYMENT_LABEL: Final = f"{GROUP}/deployment"
STAGE_LABEL: Final = f"{GROUP}/stage"
"""On stage pods, and the Ray node label that the placement group's bundles select."""

REVISION: Final = f"{GROUP}/revision"
"""Annotation: hash of all that is rendered, without replica counts."""
CLUSTER_REVISION: Final = f"{GROUP}/cluster-revision"
"""Annotation: hash of the part that needs new pods. KubeRay copies it from the RayService to each RayCluster
that it makes, and it stands on the pods: a cluster with another value is an old one."""
SERVE_REVISION: Final = f"{GROUP}/serve-revision"
"""Annotation: hash of the Serve application's arguments, which Serve rolls out in place."""
ENDPOINT: Final = f"{GROUP}/endpoint"
"""Annotation: the model's name and the port, as JSON."""
PLAN: Final = f"{GROUP}/plan"
"""Annotation: the plan that was rendered, as JSON; a restarted operator reads it back."""
ASKED: Final = f"{GROUP}/asked"
"""Annotation: hash of the spec that it was rendered for."""
RENDERED_BY: Final = f"{GROUP}/rendered-by"
"""Annotation: the version of the operator that rendered it."""
IMAGE: Final = f"{GROUP}/serving-image"
"""Annotation: the image of its pods."""
RESTARTED_AT: Final = f"{GROUP}/restarted-at"
"""Annotation of an LLMDeployment: any new value has it rendered anew by the operator that runs now."""

RAY_CONTAINER: Final = "ray"
INGRESS_DEPLOYMENT: Final = "OpenAiIngress"
AUTH_TOKEN_KEY: Final = "auth_token"
"""Key of Ray's token in the token Secret; the name is KubeRay's."""
PROBE_TOKEN_KEY: Final = "probe_token"
DASHBOARD_PORT: Final = 8265
METRICS_PORT: Final = 8080
RAY_LABEL: Final = "ray.io/cluster"
"""On every pod of a Ray cluster; KubeRay sets it."""


def ray_service(name: str) -> str:
    """The RayService."""
    return name


def token_secret(name: str) -> str:
    """The Secret with Ray's token and the probe's."""
    return f"{name}-ray-token"


def inner_policy(name: str) -> str:
    """The NetworkPolicy of all Ray pods."""
    return f"{name}-ray"


def serving_policy(name: str) -> str:
    """The NetworkPolicy of the serving port."""
    return f"{name}-serve"


def inspect_job(name: str, key: str) -> str:
    """The Job that reads the model's facts."""
    return f"{name}-inspect-{key}"


def bench_job(name: str) -> str:
    """The Job of a benchmark. One name for all of them: two at a time would measure each other."""
    return f"{name}-bench"


def serve_service(name: str) -> str:
    """The Service in front of the serving pods; KubeRay makes it."""
    return f"{name}-serve-svc"


def application(name: str) -> str:
    """The Serve application."""
    return name


def worker_group(stage: int) -> str:
    """The worker group of a stage."""
    return f"stage-{stage}"


def engine_deployment(model_id: str) -> str:
    """The Serve deployment that holds the engines, as Ray's own builder names it."""
    return "LLMServer:" + model_id.replace("/", "--").replace(".", "_")


def url(deployment: LLMDeployment, port: int | None = None) -> str:
    """The OpenAI endpoint inside the cluster; ``port``: where it serves now, if that is known."""
    meta = deployment.metadata
    port = port or deployment.spec.serving.port
    return f"http://{serve_service(meta.name)}.{meta.namespace}.svc:{port}/v1"


def labels(name: str) -> dict[str, str]:
    """Labels of everything that belongs to the LLMDeployment ``name``."""
    return {
        "app.kubernetes.io/managed-by": "rayspan",
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": "llmdeployment",
        DEPLOYMENT_LABEL: name,
    }


def selector(name: str) -> str:
    """Label selector of the stage pods."""
    return f"{DEPLOYMENT_LABEL}={name},{STAGE_LABEL}"


def metadata(
    deployment: LLMDeployment, name: str, annotations: dict[str, str] | None = None
) -> dict[str, Any]:
    """Metadata of an owned object: it goes when the LLMDeployment goes."""
    meta = deployment.metadata
    return {
        "name": name,
        "namespace": meta.namespace,
        "labels": labels(meta.name),
        **({"annotations": annotations} if annotations else {}),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": meta.name,
                "uid": meta.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
