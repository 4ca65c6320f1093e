"""``serveConfigV2``: the Serve application that runs in the Ray cluster.

Two parts. ``args`` is what the application is built from: any change in it restarts every replica, so no
replica count stands there that ever changes. ``deployments`` overrides what changes in place: counts and
limits. ``http_options`` is fixed when Serve first starts, so the port belongs to the cluster's revision;
the request timeout is not the proxy's and does not.

A stage's place is written three times, because each covers what another leaves open: bundle selectors put
bundle k on a node of its stage, ``VLLM_RAY_BUNDLE_INDICES`` ties rank r to bundle r (vLLM would order
bundles by random node ids), and ``VLLM_PP_LAYER_PARTITION`` says how many layers each stage holds.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from rayspan.api.owned import OWNED_ARGUMENTS, OWNED_ENVIRONMENT
from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.plan.types import Plan
from rayspan.render import names
from rayspan.render.model_source import location
from rayspan.render.settings import RenderSettings


def serve_config(deployment: LLMDeployment, plan: Plan, settings: RenderSettings) -> dict[str, Any]:
    """The document, as Serve's declarative API takes it."""
    spec = deployment.spec
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": spec.serving.port},
        "applications": [
            {
                "name": names.application(deployment.metadata.name),
                "route_prefix": "/",
                "import_path": "rayspan_serving.app:build",
                "args": {
                    "llm_configs": [_llm_config(deployment, plan, settings)],
                    "ingress_deployment_config": _ingress_config(deployment),
                },
                "deployments": [
                    {
                        "name": names.engine_deployment(spec.model.id),
                        "num_replicas": spec.replicas,
                        "max_ongoing_requests": spec.serving.max_ongoing_requests,
                    },
                    {
                        "name": names.INGRESS_DEPLOYMENT,
                        "num_replicas": spec.replicas * plan.pipeline,
                    },
                ],
            }
        ],
    }


def text(config: dict[str, Any]) -> str:
    """The document as YAML; equal documents give equal bytes, since KubeRay compares strings."""
    dumped: str = yaml.dump(config, Dumper=_Plain, sort_keys=False, width=1 << 20, allow_unicode=True)
    return dumped


def _llm_config(deployment: LLMDeployment, plan: Plan, settings: RenderSettings) -> dict[str, Any]:
    stages = [stage for stage in plan.stages for _ in range(plan.tensor)]
    return {
        "model_loading_config": {
            "model_id": deployment.spec.model.id,
            "model_source": location(deployment.spec.model).loading,
        },
        "engine_kwargs": engine_arguments(deployment, plan),
        "runtime_env": {
            "env_vars": {**engine_environment(deployment, plan, settings), **_time_limit(deployment)}
        },
        "placement_group_config": {"strategy": "PACK", "bundles": [{"GPU": 1} for _ in stages]},
        "deployment_config": {
            "num_replicas": 1,
            # The actor shares bundle 0 with rank 0; a CPU asked for here would have to be free there.
            "ray_actor_options": {"num_cpus": 0},
            "placement_group_bundle_label_selector": [{names.STAGE_LABEL: str(s.index)} for s in stages],
            "graceful_shutdown_timeout_s": settings.graceful_shutdown_seconds,
        },
    }


def _ingress_config(deployment: LLMDeployment) -> dict[str, Any]:
    """One ingress per stage pod. Its sliver of CPU is there for the head to lack: no ingress starts there."""
    return {
        "num_replicas": 1,
        "max_replicas_per_node": 1,
        "health_check_period_s": 2,
        "ray_actor_options": {"num_cpus": 0.1, "runtime_env": {"env_vars": _time_limit(deployment)}},
    }


def _time_limit(deployment: LLMDeployment) -> dict[str, str]:
    """For whoever answers requests: the replicas, and the ingresses in their place."""
    return {"RAYSPAN_REQUEST_TIMEOUT_SECONDS": str(deployment.spec.serving.request_timeout_seconds)}


def engine_arguments(deployment: LLMDeployment, plan: Plan) -> dict[str, Any]:
    """``engine_kwargs``: the owner's arguments and the ones that are Rayspan's."""
    given = dict(deployment.spec.engine.args or {})
    owned = {
        "tensor_parallel_size": plan.tensor,
        "pipeline_parallel_size": plan.pipeline,
        "distributed_executor_backend": "ray",
    }
    model = deployment.spec.model
    if model.revision and location(model).scheme == "hf":
        owned["revision"] = model.revision
        given.setdefault("tokenizer_revision", model.revision)
    _refuse(set(given) & set(OWNED_ARGUMENTS), "spec.engine.args")
    ordered: dict[str, Any] = _ordered({**given, **owned})
    return ordered


def engine_environment(deployment: LLMDeployment, plan: Plan, settings: RenderSettings) -> dict[str, str]:
    """Variables of the engine's processes: the replica hands them on to every rank."""
    given = deployment.spec.engine.env or {}
    _refuse(set(given) & set(OWNED_ENVIRONMENT), "spec.engine.env")
    default = {"VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": str(settings.execute_model_timeout_seconds)}
    owned = {
        "VLLM_RAY_BUNDLE_INDICES": ",".join(str(rank) for rank in range(plan.gpus_per_replica)),
        "VLLM_PP_LAYER_PARTITION": ",".join(str(layers) for layers in plan.layers),
        "VLLM_USE_RAY_V2_EXECUTOR_BACKEND": "1",
    }
    return dict(sorted({**default, **given, **owned}.items()))


def _refuse(clash: set[str], field: str) -> None:
    """Admission lets none of these through; what comes here without admission must not pass unseen."""
    if clash:
        owned = {**OWNED_ARGUMENTS, **OWNED_ENVIRONMENT}
        sentences = "; ".join(f"{field}.{name}: {owned[name]}" for name in sorted(clash))
        raise ValueError(f"set by Rayspan itself: {sentences}")


def _ordered(value: Any) -> Any:
    """The value with the keys of every map in order: the API server keeps none."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    return value


_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./:@-]*[A-Za-z0-9_]|[A-Z]")
_NOT_TEXT: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


class _Plain(yaml.SafeDumper):
    """Without anchors: the same selector twice is written twice. Texts that are not plain words are quoted:
    KubeRay reads this with another YAML library, to which ``1e3`` is a number."""

    def ignore_aliases(self, data: Any) -> bool:
        """No aliases."""
        return True


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = _WORD.fullmatch(value) is not None and value.lower() not in _NOT_TEXT
    # Only between double quotes everything can be escaped; line ends of other alphabets would be read as spaces.
    quotes = "'" if value.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else quotes)


_Plain.add_representer(str, _string)
