"""The pod that head, stages and inspection have in common.

It meets Pod Security "restricted". Service links are off because a Service named ``vllm`` would set
``VLLM_PORT`` to nonsense. The image's file system is read-only: caches are under one volume, and Ray's sessions, logs
and sockets under another, /tmp.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.render import names
from rayspan.render.merge import merged
from rayspan.render.model_source import location
from rayspan.render.settings import RenderSettings

CACHE_PATH: Final = "/var/cache/rayspan"
_KEYS_PATH: Final = "/etc/rayspan/api-keys"
HEALTH_PORT: Final = 52365
"""Ray's dashboard agent; KubeRay starts it there. /api/healthz needs no token."""


def image(deployment: LLMDeployment, settings: RenderSettings) -> str:
    """The serving image."""
    return deployment.spec.serving.image or settings.serving_image


def pod_template(
    deployment: LLMDeployment, settings: RenderSettings, container: dict[str, Any], pod: dict[str, Any]
) -> dict[str, Any]:
    """A pod with one container named ``ray``, with ``container`` and ``pod`` laid over the common part."""
    base_container = {
        "name": names.RAY_CONTAINER,
        "image": image(deployment, settings),
        "env": environment(),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "cache", "mountPath": CACHE_PATH}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    base_pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "fsGroup": 1000,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [merged(base_container, container)],
        "volumes": [{"name": "cache", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
    secrets = deployment.spec.serving.image_pull_secrets
    if secrets:
        base_pod["imagePullSecrets"] = [{"name": secret.name} for secret in secrets]
    return {
        "metadata": {"labels": names.labels(deployment.metadata.name)},
        "spec": merged(base_pod, pod),
    }


def with_owners_template(
    deployment: LLMDeployment, template: dict[str, Any], without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """``template`` with spec.serving.podTemplate merged over it.

    ``without`` names fields of the container ``ray`` that are not taken over.
    """
    own = deepcopy(deployment.spec.serving.pod_template)
    if not own:
        return template
    containers = [
        {key: value for key, value in item.items() if key not in without}
        if isinstance(item, dict) and item.get("name") == names.RAY_CONTAINER
        else item
        for item in own.get("spec", {}).get("containers") or []
    ]
    spec = {**own.get("spec", {}), **({"containers": containers} if containers else {})}
    result: dict[str, Any] = merged(template, {**own, "spec": spec})
    result["metadata"]["labels"] |= template["metadata"]["labels"]
    return result


def environment() -> list[dict[str, Any]]:
    """Variables of every container: what is written on the volume, no reports home, no prompts in logs, figures that
    are at most 2 s old when they are read (Ray's default: 10), and no second drain after the preStop hook's.

    HOME besides XDG_CACHE_HOME: flashinfer, among others, keeps compiled kernels in ~/.cache whatever that says."""
    return [
        {"name": "RAY_metrics_report_interval_ms", "value": "2000"},
        {"name": "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "value": "5"},
        {"name": "HOME", "value": CACHE_PATH},
        {"name": "XDG_CACHE_HOME", "value": CACHE_PATH},
        {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"},
        {"name": "VLLM_NO_USAGE_STATS", "value": "1"},
        {"name": "RAYLLM_ENABLE_REQUEST_PROMPT_LOGS", "value": "0"},
    ]


def drain_hook(*arguments: str) -> dict[str, Any]:
    """The preStop hook of a container (rayspan_serving.drain)."""
    command = ["python", "-m", "rayspan_serving.drain", *arguments]
    return {"lifecycle": {"preStop": {"exec": {"command": command}}}}


def give_drain_time(pod: dict[str, Any], after_seconds: int) -> None:
    """Tell the hook how long it may take: the pod's time to end, as the owner's template may have set it, less
    what is to be left of it afterwards."""
    drain = max(1, pod["terminationGracePeriodSeconds"] - after_seconds)
    for item in pod["containers"]:
        if item["name"] == names.RAY_CONTAINER:
            item["env"] = [*item["env"], {"name": "RAYSPAN_DRAIN_SECONDS", "value": str(drain)}]


def model_access(deployment: LLMDeployment) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a container and its pod need to read the model: the hub token by reference, the claim."""
    model = deployment.spec.model
    container: dict[str, Any] = {}
    pod: dict[str, Any] = {}
    if model.token_secret is not None:
        container["env"] = [secret_variable("HF_TOKEN", model.token_secret.name, model.token_secret.key)]
    place = location(model)
    if place.claim is not None:
        container["volumeMounts"] = [{"name": "model", "mountPath": place.mount_path, "readOnly": True}]
        claim = {"claimName": place.claim, "readOnly": True}
        pod["volumes"] = [{"name": "model", "persistentVolumeClaim": claim}]
    return container, pod


def api_keys(deployment: LLMDeployment) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a container and its pod need to tell API keys: a file, which the kubelet keeps as the Secret is. No
    variable, for that would stay as it was, and every process of the pod would have it."""
    secret = deployment.spec.serving.api_key_secret
    if secret is None:
        return {}, {}
    items = [{"key": secret.key, "path": "keys"}]
    source = {"secretName": secret.name, "defaultMode": 0o440, "items": items}
    return (
        {
            "env": [{"name": "RAYSPAN_API_KEYS_FILE", "value": f"{_KEYS_PATH}/keys"}],
            "volumeMounts": [{"name": "api-keys", "mountPath": _KEYS_PATH, "readOnly": True}],
        },
        {"volumes": [{"name": "api-keys", "secret": source}]},
    )


def secret_variable(name: str, secret: str, key: str) -> dict[str, Any]:
    """A variable whose value stays in its Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def shared_memory() -> tuple[dict[str, Any], dict[str, Any]]:
    """/dev/shm for Ray's object store and for the ranks' messages; KubeRay adds its own where none is."""
    return (
        {"volumeMounts": [{"name": "shared-mem", "mountPath": "/dev/shm"}]},
        {"volumes": [{"name": "shared-mem", "emptyDir": {"medium": "Memory"}}]},
    )


def ray_probes() -> dict[str, Any]:
    """Start and life of the Ray node. Slow to judge: a busy node is not a dead one, and Ray ends itself
    when its raylet is gone."""
    action = {"httpGet": {"path": "/api/healthz", "port": HEALTH_PORT}}
    return {
        "startupProbe": {**action, "periodSeconds": 3, "timeoutSeconds": 3, "failureThreshold": 100},
        "livenessProbe": {**action, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 12},
    }


def head_readiness() -> dict[str, Any]:
    """The head is ready when its Ray node and the cluster's state store are."""
    action = {"httpGet": {"path": "/api/healthz", "port": HEALTH_PORT}}
    return {"readinessProbe": {**action, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3}}


def serving_readiness() -> dict[str, Any]:
    """A stage pod is ready when the HTTP proxy of its node answers: every stage pod holds an ingress, so
    every one has a proxy, and the Service sends requests to no pod without one. A proxy that drains says 503.
    """
    action = {"httpGet": {"path": "/-/healthz", "port": "serve"}}
    return {"readinessProbe": {**action, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 2}}
