"""The Serve application builder: `import_path: rayspan_serving.app:build`.

Takes what `ray.serve.llm:build_openai_app` takes, for one model, and makes the same two deployments under the same
names, `LLMServer:<model id with / as -- and . as _>` and `OpenAiIngress`, from Ray's own parts with ours put in
where Ray lets them be put in: the server class, the ingress class and its web application, the request router.
"""

from typing import Any, cast

from ray import serve
from ray.llm._internal.serve.core.configs.openai_api_models import to_model_metadata
from ray.serve.deployment import Application
from ray.serve.llm import LLMConfig, LLMServingArgs, ModelLoadingConfig, build_llm_deployment
from ray.serve.llm.ingress import make_fastapi_ingress

from rayspan_serving.endpoints import web_app
from rayspan_serving.ingress import OpenAiIngress
from rayspan_serving.routes import endpoints
from rayspan_serving.server import LLMServer
from rayspan_serving.targets import SERVER_PREFIX

INGRESS = "OpenAiIngress"
STAGE_WORKER = "rayspan_serving.stage_worker.StageWorker"

SERVER_DEFAULTS: dict[str, Any] = {
    "request_router_config": {
        "request_router_class": "rayspan_serving.router:Router",
        "request_routing_stats_period_s": 2,  # by which a new replica tells where its server is
    },
    "health_check_period_s": 2,
    "health_check_timeout_s": 10,
}
"""A dead replica is seen by the controller at its next health check."""


def build(args: dict[str, Any]) -> Application:
    """The application for `args` as in ray.serve.llm:build_openai_app, with exactly one entry in llm_configs."""
    given = LLMServingArgs.model_validate(args)
    if len(given.llm_configs) != 1:
        raise ValueError(f"llm_configs must hold one model, not {len(given.llm_configs)}")
    config = with_defaults(cast(LLMConfig, given.llm_configs[0]))
    model = config.model_id
    server = build_llm_deployment(config, name_prefix=SERVER_PREFIX, deployment_cls=LLMServer)
    ingress: Any = make_fastapi_ingress(OpenAiIngress, endpoint_map=endpoints(), app=web_app())
    options = fixed_count(OpenAiIngress.get_deployment_options([config]), given.ingress_deployment_config)
    deployment: Any = serve.deployment(ingress, name=INGRESS, **options)
    application: Application = deployment.bind(
        llm_deployments={model: server}, model_cards={model: to_model_metadata(model, config)}
    )
    return application


def with_defaults(config: LLMConfig) -> LLMConfig:
    """Tokens are handed on as they come (Ray would gather them for 50 ms), the router is ours, stages are timed,
    and a model in a folder is taken from there."""
    config.experimental_configs.setdefault("stream_batching_interval_ms", 0)
    if int(config.engine_kwargs.get("pipeline_parallel_size") or 1) > 1:
        config.engine_kwargs.setdefault("worker_cls", STAGE_WORKER)
    if str(cast(ModelLoadingConfig, config.model_loading_config).model_source).startswith("/"):
        config.callback_config.callback_class = "rayspan_serving.node_init:NothingToFetch"
    config.deployment_config = fixed_count(SERVER_DEFAULTS, config.deployment_config)
    return config


def fixed_count(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Options with a fixed number of replicas unless autoscaling was asked for. Ray's default is autoscaling with
    bounds 1 to 1, against which the `num_replicas` of serveConfigV2's `deployments` would count for nothing."""
    if given.get("autoscaling_config"):
        return {**defaults, **given}
    options = {"num_replicas": 1, **defaults, **given}
    options.pop("autoscaling_config", None)
    return options
